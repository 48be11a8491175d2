//! The process: what runs on every replica, and what on the leader alone.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::archive::Archive;
use super::context::ReportSource;
use super::controllers::{self, Parts, Shutdown};
use super::leader::{self, Candidate};
use super::readiness::{Readiness, Stage};
use super::server::{self, Authority};
use super::{OperatorError, Options, admin, definitions};
use crate::metrics::OperatorMetrics;
use crate::plan::{PodOptions, ReportOptions, Settings};

/// Time to end what was begun when the operator is told to end.
const LAST_LOOKS: Duration = Duration::from_secs(20);

/// Runs an operator until SIGTERM or SIGINT, or until it has lost its Lease.
pub fn run(options: &Options) -> Result<(), OperatorError> {
    // A second call finds the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| OperatorError::Failed(format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(operator(options));
    // Whoever has lost the Lease must not finish what it is at.
    runtime.shutdown_background();
    ended
}

async fn operator(options: &Options) -> Result<(), OperatorError> {
    let shutdown = shutdown()?;
    let metrics = OperatorMetrics::new()
        .map_err(|error| OperatorError::Failed(format!("cannot set up metrics: {error}")))?;
    let readiness = Readiness::new();
    let listener = TcpListener::bind(options.admin_listen).await.map_err(|error| {
        OperatorError::Config(format!("cannot listen on {}: {error}", options.admin_listen))
    })?;
    tokio::spawn(admin::serve(listener, readiness.clone(), metrics.clone()));

    let config = Config::infer()
        .await
        .map_err(|error| OperatorError::Config(format!("cannot tell where the API server is: {error}")))?;
    let client = connect(config.clone())?;
    if until(&shutdown, definitions::wait(&client)).await.is_none() {
        return Ok(());
    }
    let Some(report) = until(&shutdown, report_server(options, &client)).await else {
        return Ok(());
    };
    let report = report?;
    readiness.reach(Stage::Standby);

    let parts = Parts {
        client,
        namespace: options.watch_namespace.clone(),
        identity: options.identity.clone(),
        settings: settings(options),
        report,
        metrics: metrics.clone(),
        concurrency: options.concurrency,
    };
    if options.leader_election {
        let lease_client = leader::client(&config).map_err(|error| failed_to_connect(&error))?;
        elect(options, &lease_client, parts, &readiness, &metrics, shutdown).await
    } else {
        lead(parts, &readiness, &metrics, shutdown).await;
        Ok(())
    }
}

/// Starts the report server, which runs on every replica, and gives what relays need to know of it.
async fn report_server(options: &Options, client: &Client) -> Result<ReportSource, OperatorError> {
    let archive = options
        .archive
        .as_ref()
        .map(|url| Archive::open(url, options.archive_options.iter().cloned()))
        .transpose()
        .map_err(|error| OperatorError::Config(error.to_string()))?;
    let listener = TcpListener::bind(options.report_listen).await.map_err(|error| {
        OperatorError::Config(format!("cannot listen on {}: {error}", options.report_listen))
    })?;
    let authority = Authority::load_or_create(
        client.clone(),
        &options.namespace,
        &options.name,
        &options.report_url,
    )
    .await
    .map_err(|error| OperatorError::Failed(format!("the report server has no certificate: {error}")))?;
    let url = options.report_url.clone();
    // Asked anew for each pod: certificates change weeks before the server uses them.
    let told = authority.clone();
    let source: ReportSource = Arc::new(move || {
        Some(ReportOptions {
            url: url.clone(),
            authorities: told.certificates_pem(),
        })
    });
    tokio::spawn(server::serve(
        listener,
        server::Context {
            client: client.clone(),
            authority,
            archive,
        },
    ));
    Ok(source)
}

/// Waits for the Lease, leads as long as it holds, and gives it back at the end.
async fn elect(
    options: &Options,
    client: &Client,
    parts: Parts,
    readiness: &Readiness,
    metrics: &OperatorMetrics,
    shutdown: Shutdown,
) -> Result<(), OperatorError> {
    let candidate = Candidate {
        namespace: options.namespace.clone(),
        name: options.name.clone(),
        identity: options.identity.clone(),
    };
    tracing::info!(lease = %options.name, identity = %options.identity, "waiting for the Lease");
    let Some(leadership) = until(&shutdown, leader::acquire(client, candidate)).await else {
        return Ok(());
    };
    let lost = tokio::select! {
        reason = leadership.hold() => Some(reason),
        () = lead(parts, readiness, metrics, shutdown) => None,
    };
    if let Some(reason) = lost {
        metrics.leader.set(0);
        return Err(OperatorError::LeaseLost {
            name: options.name.clone(),
            reason,
        });
    }
    leadership.release().await;
    Ok(())
}

/// Runs the controllers until they are told to end.
async fn lead(parts: Parts, readiness: &Readiness, metrics: &OperatorMetrics, shutdown: Shutdown) {
    readiness.reach(Stage::Syncing);
    metrics.leader.set(1);
    tracing::info!("this replica leads");
    let running = controllers::run(parts, shutdown.clone(), || {
        readiness.reach(Stage::Leading);
        tracing::info!("everything is read; the controllers run");
    });
    let overdue = async {
        shutdown.await;
        tracing::info!("the operator ends: what was begun is ended first");
        tokio::time::sleep(LAST_LOOKS).await;
    };
    tokio::select! {
        () = running => {}
        () = overdue => tracing::warn!("not everything was ended in {} s", LAST_LOOKS.as_secs()),
    }
    metrics.leader.set(0);
}

fn settings(options: &Options) -> Settings {
    Settings {
        pod: PodOptions {
            image: options.image.clone(),
            ids: options.ids,
            report: None,
        },
        archive: options
            .archive
            .as_ref()
            .map(|url| url.trim_end_matches('/').to_owned()),
        start_patience: options.start_patience,
        retry_delay: options.retry_delay,
        keep_pods: options.keep_pods,
    }
}

pub(super) fn connect(config: Config) -> Result<Client, OperatorError> {
    Client::try_from(config).map_err(|error| failed_to_connect(&error))
}

fn failed_to_connect(error: &kube::Error) -> OperatorError {
    OperatorError::Config(format!("cannot set up the client of the API server: {error}"))
}

/// The outcome, unless it is time to end before.
async fn until<T>(shutdown: &Shutdown, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        outcome = work => Some(outcome),
        () = shutdown.clone() => None,
    }
}

/// Comes back on SIGTERM and SIGINT.
fn shutdown() -> Result<Shutdown, OperatorError> {
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let told = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(told.boxed().shared())
}

fn handler(kind: SignalKind) -> Result<Signal, OperatorError> {
    signal(kind).map_err(|error| OperatorError::Failed(format!("cannot handle signals: {error}")))
}
