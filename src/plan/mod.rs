//! Pure decisions: is it valid, what does the relay get, what would a cluster get, what is reported.
//!
//! ```text
//!   documents --validate--> Checked { tasks, episodes, config_maps }      or every problem at once
//!                              |
//!                              +--resolve--> RelayConfig                  what the relay needs to know
//!                              +--cluster--> Plan { config_map, pod }     what a cluster would get
//!   Observed + previous + now --status--> EpisodeStatus                   what is reported
//!   episodes + now ------------table---> what `kubectl get episodes` prints
//!
//!   World (Episode, Task, pods, nodes) --decide--> Decision { Observed, actions }      the operator's step
//!   TaskWorld -------------------------decide_task--> TaskDecision { status, NetworkPolicy, Job }
//! ```

pub mod document;
mod gpu;
pub mod lifecycle;
pub mod pod;
pub mod resolve;
pub mod status;
pub mod table;
pub mod task;
pub mod validate;

pub use document::{Checked, Document, Problem, Sourced, name_of, namespace_of};
pub use lifecycle::{Actions, Decision, NodeFacts, PodRef, Settings, World};
pub use pod::{Ids, NotPlannable, Plan, PodOptions, ReportOptions, cluster};
pub use resolve::{Dirs, resolve, task_digest};
pub use status::{Observed, Stage, status};
pub use table::{Table, table};
pub use validate::validate;
