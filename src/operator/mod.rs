//! The operator: effects against the API server around the pure decisions of [`crate::plan`].
//!
//! ```text
//!   run        process: client, admin server, definitions, leadership, controllers
//!     leader     one replica holds the Lease and runs the controllers
//!     controllers   watch -> store -> queue -> look
//!       episode/   observe -> plan::lifecycle -> apply -> report
//!       task/      observe -> plan::task      -> apply -> report
//!       orphans    pods whose Episode is gone
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `admin`, `readiness` | health, metrics, and whether this replica is ready |
//! | `places` | how many connections a listener has |
//! | `definitions` | are the CustomResourceDefinitions there? |
//! | `watch`, `prune`, `owned`, `nodes`, `memory` | what is known of the cluster, and what of a change matters to whom |
//! | `children`, `call`, `events`, `backoff` | making, ending and letting go of objects; requests; Events; waiting after failures |
//! | `server`, `archive` | what relays report, what users read; where files are kept |
//! | `uninstall` | what has to happen before the operator is removed |

mod admin;
pub mod archive;
mod backoff;
mod call;
mod children;
mod context;
mod controllers;
mod definitions;
mod episode;
mod events;
mod leader;
mod memory;
#[cfg(test)]
mod mock;
mod nodes;
mod orphans;
mod owned;
mod places;
mod prune;
mod readiness;
mod run;
pub mod server;
mod task;
mod uninstall;
mod watch;

use std::net::SocketAddr;

use thiserror::Error;

pub use run::run;
pub use uninstall::{UninstallOptions, uninstall};

use crate::plan::Ids;

/// What an operator is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespace that the operator itself is in: of its Lease and its certificates.
    pub namespace: String,
    /// Name of its Deployment, Service and Lease.
    pub name: String,
    /// Name of this replica among all: the name of its pod.
    pub identity: String,
    /// The only namespace whose Tasks and Episodes it runs. Unset: all.
    pub watch_namespace: Option<String>,
    /// Image of this program, for the pods of episodes.
    pub image: String,
    /// Where relays find the report server.
    pub report_url: String,
    /// Where the report server listens.
    pub report_listen: SocketAddr,
    /// Where health and metrics are served.
    pub admin_listen: SocketAddr,
    /// URL below which trajectories are archived. Unset: none are.
    pub archive: Option<String>,
    /// What the archive's store is told besides, by the names of the environment, such as `AWS_REGION`.
    pub archive_options: Vec<(String, String)>,
    /// How long an image may fail to be pulled, or a container to be made, before the attempt is given up; seconds.
    pub start_patience: i64,
    /// Delay before the second attempt in seconds.
    pub retry_delay: i64,
    /// Whether the pod of a finished episode stays until its Episode goes.
    pub keep_pods: bool,
    /// Under which users containers of episodes run.
    pub ids: Ids,
    /// Looks at objects of one kind at one time.
    pub concurrency: u16,
    /// Whether it runs its controllers only while it holds the Lease.
    pub leader_election: bool,
}

/// Why an operator ends.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// It was given something wrong.
    #[error("{0}")]
    Config(String),
    /// Another replica may lead by now; this one must not go on.
    #[error("the Lease {name} is lost ({reason}): this replica ends, so that there are never two leaders")]
    LeaseLost {
        /// Name of the Lease.
        name: String,
        /// What happened to it.
        reason: String,
    },
    /// Something failed.
    #[error("{0}")]
    Failed(String),
}

impl OperatorError {
    /// Exit code of the process: 1 failure, 2 wrong input.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::LeaseLost { .. } | Self::Failed(_) => 1,
        }
    }
}
