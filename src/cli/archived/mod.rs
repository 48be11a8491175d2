//! `dojo logs` and `dojo trajectory`: what the operator's archive has of an Episode.
//!
//! Users show the report server the credentials of their kubeconfig; it asks the API server whether they may get the
//! Episode. The way to it is a port-forward to one of the operator's pods, unless `--server` names another.

mod credentials;
pub mod logs;
mod server;
mod source;
pub mod trajectory;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use source::Source;

/// Which Episode, and how to get at the operator.
#[derive(Debug, clap::Args)]
struct Which {
    /// Name of the Episode
    episode: String,
    /// Namespace of the Episode [default: that of the kubeconfig's context]
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// Number of the attempt [default: the latest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Namespace of the operator [env: DOJO_OPERATOR_NAMESPACE] [default: mle-dojo-system]
    #[arg(long, value_name = "NAME")]
    operator_namespace: Option<String>,
    /// Name of the operator's Service [env: DOJO_OPERATOR_NAME] [default: mle-dojo-operator]
    #[arg(long, value_name = "NAME")]
    operator_name: Option<String>,
    /// URL of the report server, where it is reached without a port-forward
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Certificates (PEM) of the report server's authorities [default: the ConfigMap NAME-ca of the operator]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Which {
    fn operator_namespace(&self) -> String {
        chosen(
            self.operator_namespace.as_deref(),
            "DOJO_OPERATOR_NAMESPACE",
            "mle-dojo-system",
        )
    }

    fn operator_name(&self) -> String {
        chosen(
            self.operator_name.as_deref(),
            "DOJO_OPERATOR_NAME",
            "mle-dojo-operator",
        )
    }
}

fn chosen(option: Option<&str>, variable: &str, default: &str) -> String {
    let set = || std::env::var(variable).ok().filter(|value| !value.is_empty());
    option
        .map(str::to_owned)
        .or_else(set)
        .unwrap_or_else(|| default.to_owned())
}

/// Why a command fails.
#[derive(Debug)]
enum Failure {
    /// What to tell.
    Told(String),
    /// Standard output or the file of `-o` takes no more.
    Output(io::Error),
}

impl From<String> for Failure {
    fn from(told: String) -> Self {
        Self::Told(told)
    }
}

/// Runs a command to its exit code: 0 done, 1 failed. A reader that has seen enough is no failure.
fn run(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    super::log();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("dojo: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let told = match runtime.block_on(work) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(Failure::Output(error)) => format!("cannot write the output: {error}"),
        Err(Failure::Told(told)) => told,
    };
    eprintln!("dojo: {told}");
    ExitCode::FAILURE
}
