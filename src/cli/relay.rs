//! `dojo relay`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::relay::{self, Options, ReportTarget};

/// Arguments of `dojo relay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration of the episode (JSON)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Directory with answers and leaderboards
    #[arg(long, value_name = "DIR")]
    private: PathBuf,
    /// Directory with the public data
    #[arg(long, value_name = "DIR")]
    public: PathBuf,
    /// Directory for trajectory, logs, program texts and the relay's own state
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// UNIX socket that the executor connects to
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Address of the agent API; port 0 takes a free one and keeps it over a restart
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// File to write address and token of the agent API to
    #[arg(long, value_name = "FILE")]
    connection: PathBuf,
    /// Address of /healthz, /readyz and /metrics, without a token
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// Result file [default: result.json in --state]
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    #[command(flatten)]
    report: Option<Report>,
}

/// Where to report while the episode runs: all of these, or none.
#[derive(Debug, clap::Args)]
#[group(requires_all = ["report_url", "report_ca", "report_token", "report_namespace", "report_attempt"])]
struct Report {
    /// Base URL of the operator's report server
    #[arg(long, value_name = "URL", required = false)]
    report_url: String,
    /// Certificates (PEM) of the authorities of the report server
    #[arg(long, value_name = "FILE", required = false)]
    report_ca: PathBuf,
    /// Token of this pod, read anew for each report
    #[arg(long, value_name = "FILE", required = false)]
    report_token: PathBuf,
    /// Namespace of the Episode
    #[arg(long, value_name = "NAME", required = false)]
    report_namespace: String,
    /// Number of the attempt
    #[arg(long, value_name = "N", required = false)]
    report_attempt: u32,
}

impl From<Report> for ReportTarget {
    fn from(report: Report) -> Self {
        Self {
            url: report.report_url,
            authorities: report.report_ca,
            token: report.report_token,
            namespace: report.report_namespace,
            attempt: report.report_attempt,
        }
    }
}

/// Runs `dojo relay`. Exit codes: 0 told to end, 1 failure, 2 wrong input, 3 the Task cannot grade.
pub fn main(args: Args) -> ExitCode {
    super::log();
    let Args {
        config,
        private,
        public,
        state,
        socket,
        listen,
        connection,
        admin_listen,
        result,
        report,
    } = args;
    let options = Options {
        config,
        private,
        public,
        state,
        socket,
        listen,
        connection,
        admin_listen,
        result,
        report: report.map(ReportTarget::from),
    };
    match relay::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}
