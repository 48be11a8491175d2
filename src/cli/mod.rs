//! The edge: the only reader of argv and of the environment. One file per subcommand.

mod agent;
mod archived;
mod crds;
mod exec;
mod grade;
mod install;
mod launch;
mod manifest;
mod operator;
mod plan;
mod relay;
mod run;
mod tether;
mod uninstall_hook;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs episodes of machine-learning-engineering agents: on this machine, or as the operator of a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(name = "dojo", version, max_term_width = 110)]
struct Cli {
    /// End with standard input, whose other end `dojo run` holds: a role does not outlive its runner
    #[arg(long, hide = true)]
    lifeline: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run episodes on this machine
    Run(run::Args),
    /// Run a foreign program that does not outlive the runner (used by `dojo run`)
    #[command(hide = true)]
    Tether(tether::Args),
    /// Print what a cluster would get: policies, jobs and pods
    Plan(plan::Args),
    /// Grade one submission, or place one score
    Grade(grade::Args),
    /// Print what the programs of an Episode in a cluster have written
    Logs(archived::logs::Args),
    /// Fetch the trajectory of an Episode in a cluster
    Trajectory(archived::trajectory::Args),
    /// Print the CustomResourceDefinitions
    Crds(crds::Args),
    /// Run Episodes in this cluster
    Operator(operator::Args),
    /// Relay the steps of one episode (the sidecar)
    Relay(relay::Args),
    /// Execute programs for a relay (inside the sandbox)
    Exec(exec::Args),
    /// Act in an episode
    Agent(agent::Args),
    /// Confine this process, then become the program (used by `dojo exec`)
    #[command(hide = true)]
    Launch(launch::Args),
    /// Copy this program into a directory (the first container of a pod)
    #[command(hide = true)]
    Install(install::Args),
    /// Write the digest of prepared data (the last container of the Job that prepares them)
    #[command(hide = true)]
    Manifest(manifest::Args),
    /// Stop an operator and let go of what waits for it (before it is removed)
    #[command(hide = true)]
    UninstallHook(uninstall_hook::Args),
}

/// Whether `args` (without the program's name) are a command line of this program; the error says what is wrong.
/// Nothing is run. A planned pod is held against it.
pub fn accepts(args: &[String]) -> Result<(), String> {
    let line = std::iter::once("dojo").chain(args.iter().map(String::as_str));
    Cli::try_parse_from(line)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Reads argv, runs the subcommand and gives its exit code: 0 success, 1 failure, 2 wrong usage or bad input.
pub fn main() -> ExitCode {
    let Cli { lifeline, command } = Cli::parse();
    // The executor goes through stages that a thread does not survive; it watches its standard input itself.
    let watched = lifeline && !matches!(command, Command::Exec(_) | Command::Launch(_));
    if watched && let Err(error) = crate::local::lifeline::hold() {
        eprintln!("dojo: cannot watch standard input: {error}");
        return ExitCode::FAILURE;
    }
    match command {
        Command::Run(args) => run::main(args),
        Command::Tether(args) => tether::main(&args),
        Command::Plan(args) => plan::main(args),
        Command::Grade(args) => grade::main(args),
        Command::Logs(args) => archived::logs::main(&args),
        Command::Trajectory(args) => archived::trajectory::main(&args),
        Command::Crds(args) => crds::main(args),
        Command::Operator(args) => operator::main(args),
        Command::Relay(args) => relay::main(args),
        Command::Exec(args) => exec::main(args),
        Command::Agent(args) => agent::main(args),
        Command::Launch(args) => launch::main(args),
        Command::Install(args) => install::main(args),
        Command::Manifest(args) => manifest::main(&args),
        Command::UninstallHook(args) => uninstall_hook::main(args),
    }
}

/// Sets up the log of a role. `DOJO_LOG` is its filter, such as `debug`; `DOJO_LOG_FORMAT=json` makes JSON lines.
fn log() {
    let json = std::env::var("DOJO_LOG_FORMAT").is_ok_and(|format| format == "json");
    match std::env::var("DOJO_LOG") {
        Ok(filter) => crate::telemetry::init_filtered(&filter, json),
        Err(_) => crate::telemetry::init(json),
    }
}

/// Root of the cache, absolute: children have other working directories.
fn cache() -> Result<std::path::PathBuf, String> {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(std::path::PathBuf::from)
    };
    let root = var("DOJO_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("mle-dojo")))
        .or_else(|| var("HOME").map(|home| home.join(".cache/mle-dojo")))
        .ok_or("there is no place for the cache: set DOJO_CACHE, XDG_CACHE_HOME or HOME")?;
    std::path::absolute(&root).map_err(|error| format!("cannot use {}: {error}", root.display()))
}
