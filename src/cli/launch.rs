//! `dojo launch`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::api::{NetworkMode, SandboxMode};
use crate::exec::{Confinement, launch};

use super::exec::Strength;

/// Arguments of `dojo launch`. It is started by `dojo exec` with a pipe as standard input.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory or file that may be read and executed
    #[arg(long, value_name = "PATH")]
    read: Vec<PathBuf>,
    /// Directory that may be changed
    #[arg(long, value_name = "DIR")]
    write: Vec<PathBuf>,
    /// Device file that may be used
    #[arg(long, value_name = "PATH")]
    device: Vec<PathBuf>,
    /// What may be reached
    #[arg(long, value_enum, default_value = "none")]
    network: Network,
    /// What happens where a layer of the documented minimum is missing
    #[arg(long, value_enum, default_value = "required")]
    sandbox: Strength,
    /// Mount a directory over another one
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"])]
    bind: Option<Vec<PathBuf>>,
    /// Start nothing: prove the layers, among them that this directory is out of reach, and print them
    #[arg(long, value_name = "DIR")]
    prove: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true)]
    program: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Network {
    /// UNIX sockets only
    None,
    /// A network of its own with a loopback interface
    Loopback,
    /// The machine's network
    Allow,
}

/// Runs `dojo launch`.
pub fn main(args: Args) -> ExitCode {
    let network = match args.network {
        Network::None => NetworkMode::None,
        Network::Loopback => NetworkMode::Loopback,
        Network::Allow => NetworkMode::Allow,
    };
    let bind = args.bind.and_then(|paths| <[PathBuf; 2]>::try_from(paths).ok());
    let wanted = Confinement {
        read: args.read,
        write: args.write,
        devices: args.device,
        network,
        sandbox: SandboxMode::from(args.sandbox),
        bind: bind.map(|[from, to]| (from, to)),
        prove: args.prove,
    };
    launch(&wanted, &args.program)
}
