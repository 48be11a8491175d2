//! `dojo operator`.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::api::Duration;
use crate::operator::{self, Options};
use crate::plan::Ids;

/// Arguments of `dojo operator`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Namespace that the operator itself is in [default: POD_NAMESPACE of the environment]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Name of the operator's Deployment, Service and Lease
    #[arg(long, value_name = "NAME", default_value = "mle-dojo-operator")]
    name: String,
    /// Name of this replica, as none other has [default: POD_NAME of the environment]
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// The only namespace whose Tasks and Episodes are run [default: all]
    #[arg(long, value_name = "NAMESPACE")]
    watch_namespace: Option<String>,
    /// Image of this program, for the pods of episodes
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Where the relays of episodes find the report server [default: https://NAME.NAMESPACE.svc:8443]
    #[arg(long, value_name = "URL")]
    report_url: Option<String>,
    /// Address of the report server
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8443")]
    report_listen: SocketAddr,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:9090")]
    admin_listen: SocketAddr,
    /// Where trajectories are archived, such as s3://bucket/prefix or file:///var/lib/dojo [default: nowhere]
    #[arg(long, value_name = "URL")]
    archive: Option<String>,
    /// How long an image may fail to be pulled, or a container to be made, before the attempt is given up
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    start_patience: Duration,
    /// Delay before the second attempt; it doubles with each further one, up to 5m
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    retry_delay: Duration,
    /// What becomes of the pod of a finished episode
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    finished_pods: FinishedPods,
    /// The cluster assigns one user to all containers of a pod, as OpenShift does
    #[arg(long)]
    assigned_ids: bool,
    /// Objects of one kind that are worked on at one time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Run without a Lease: there is no other replica, nor will there be one during an update
    #[arg(long)]
    no_leader_election: bool,
}

/// What becomes of the pod of a finished episode.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum FinishedPods {
    /// It stays until its Episode goes
    Keep,
    /// It is deleted when its result is taken
    Delete,
}

/// Runs `dojo operator`. Exit codes: 0 told to end, 1 failure or lost Lease, 2 wrong input.
pub fn main(args: Args) -> ExitCode {
    super::log();
    let ended = options(args)
        .map_err(operator::OperatorError::Config)
        .and_then(|options| operator::run(&options));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn options(args: Args) -> Result<Options, String> {
    let Args {
        namespace,
        name,
        identity,
        watch_namespace,
        image,
        report_url,
        report_listen,
        admin_listen,
        archive,
        start_patience,
        retry_delay,
        finished_pods,
        assigned_ids,
        concurrency,
        no_leader_election,
    } = args;
    let namespace = given(namespace, "--namespace", "POD_NAMESPACE")?;
    let identity = given(identity, "--identity", "POD_NAME")?;
    let report_url = report_url.unwrap_or_else(|| format!("https://{name}.{namespace}.svc:8443"));
    Ok(Options {
        identity,
        watch_namespace,
        image,
        report_url: report_url.trim_end_matches('/').to_owned(),
        report_listen,
        admin_listen,
        archive,
        // Not `vars`, which panics where a variable of whatever name is no UTF-8.
        archive_options: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| {
                ["AWS_", "AZURE_", "GOOGLE_"]
                    .iter()
                    .any(|store| name.starts_with(store))
            })
            .collect(),
        start_patience: seconds(&start_patience),
        retry_delay: seconds(&retry_delay),
        keep_pods: finished_pods == FinishedPods::Keep,
        ids: if assigned_ids { Ids::Assigned } else { Ids::Fixed },
        concurrency,
        leader_election: !no_leader_election,
        namespace,
        name,
    })
}

/// A flag, or the variable that the chart fills from the pod itself.
fn given(flag: Option<String>, name: &str, variable: &str) -> Result<String, String> {
    flag.or_else(|| std::env::var(variable).ok())
        .filter(|value| !value.is_empty())
        .ok_or_else(|| {
            format!("it is not known without {name}, or {variable} in the environment; set one of them")
        })
}

fn seconds(duration: &Duration) -> i64 {
    i64::try_from(duration.millis() / 1000).unwrap_or(i64::MAX)
}
