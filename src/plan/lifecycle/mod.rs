//! What to do about an Episode in a cluster, from what was seen of it.
//!
//! Level-triggered: the same world gives the same decision, and what must be on record before a step is taken is written
//! to the status first. So the attempt's number is recorded in one pass and its pod made in the next; a result is recorded
//! in one pass and its pod let go in the next. A crash between any two steps loses nothing and makes nothing twice.
//!
//! ```text
//!   Pending --task ready--> Starting: number on record --> pod made --> its UID on record --agent acts--> Running
//!      ^                       |                                                                            |
//!      +-- attempt lost, pause +<---------------- lost to infrastructure, retries left --------------------+
//!                                                                                                           |
//!                 pod let go, Episode deleted after its time <-- result or failure on record <--------------+
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `decide` | the step to take |
//! | `harvest`, `fate` | what a pod says; what becomes of its attempt, and whose fault it is |
//! | `starting`, `details`, `retry` | what a pod waits for; what is recorded of it; the pause after a lost attempt |
//! | `parts`, `live`, `notes` | who writes which field; what a report changes; Events |

mod decide;
mod details;
mod fate;
mod harvest;
mod live;
mod notes;
mod parts;
mod retry;
mod starting;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::pod::{Plan, PodOptions};
use super::status::Observed;
use crate::api::{Episode, Task};

pub use decide::decide;
pub use live::{LiveUpdate, live};
pub use notes::{Note, notes};
pub use parts::{controller_part, live_part, same_controller_part};

/// `spec.managedBy` of an Episode that this operator runs.
pub const MANAGER: &str = "mledojo.dev/episode-controller";

/// What the operator was started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What of a pod is not up to Task and Episode.
    pub pod: PodOptions,
    /// URI below which trajectories are archived, without a slash at its end. Unset: none are.
    pub archive: Option<String>,
    /// How long an image may fail to be pulled, or a container to be made, before the attempt is given up; seconds.
    pub start_patience: i64,
    /// Delay before the second attempt in seconds; it doubles with each further one up to 5 minutes.
    pub retry_delay: i64,
    /// Whether the pod of a finished episode stays until its Episode goes.
    pub keep_pods: bool,
}

/// What of a node bears on an episode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// What pods can have of it, as quantities.
    pub allocatable: std::collections::BTreeMap<String, String>,
    /// Whether the node is ready and takes pods.
    pub usable: bool,
}

/// What was seen of an Episode and of what it needs.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The Episode, its status included.
    pub episode: &'a Episode,
    /// Its Task; unset: there is none of that name.
    pub task: Option<&'a Task>,
    /// The pods that this Episode owns, by UID, in whatever state.
    pub pods: &'a [Pod],
    /// The nodes of the cluster; unset: they cannot be read, and nothing is said about them.
    pub nodes: Option<&'a [NodeFacts]>,
    /// What the operator was started with.
    pub settings: &'a Settings,
    /// The clock.
    pub now: Timestamp,
}

/// Name and UID of a pod; a request about it holds for no other pod of that name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodRef {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// What to do, apart from the status; in this order: what reports have left goes before the pod that makes new ones comes,
/// and a pod is deleted before it is let go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions {
    /// The live fields of the status speak of an earlier attempt, or of one without a result: they go.
    pub clear_live: bool,
    /// Objects to make, where they are not there yet.
    pub create: Option<Plan>,
    /// Pods to end.
    pub delete: Vec<PodRef>,
    /// Pods whose result is on record, or not wanted: their finalizer goes.
    pub release: Vec<PodRef>,
    /// The time after the end has passed: the Episode goes.
    pub delete_episode: bool,
}

/// What a look at an Episode comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What [`super::status`] makes the status of. Unset: the status is left alone.
    pub observed: Option<Observed>,
    /// What to do.
    pub actions: Actions,
    /// Seconds until the next look, where nothing else calls for one before.
    pub look_again: Option<i64>,
}
