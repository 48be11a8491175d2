//! The resources of `mledojo.dev/v1alpha1`: what a user writes and what is reported back.
//!
//! ```text
//!   Task  <---taskRef---  Episode
//!    |                       |
//!    +-- data, environment   +-- agent, limits, seed
//!        evaluation, limits      status: reward, medal, usage, provenance
//! ```
//!
//! The schema that the API server enforces is derived from these types; the local runner enforces the same schema
//! and the same CEL rules ([`crate::plan::validate`]).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub mod agent;
pub mod common;
pub mod conditions;
pub mod episode;
pub mod evaluation;
pub mod schema;
pub mod standing;
pub mod status;
pub mod task;

pub use agent::{AgentSpec, ContainerAgent};
pub use common::{Duration, FileSource, KeyRef, Limits, NameRef, Quantity};
pub use episode::{Episode, EpisodeSpec};
pub use evaluation::{BuiltinMetric, Direction, EvaluationSpec, Feedback, StepReward};
pub use status::EpisodeStatus;
pub use task::{Domain, NetworkMode, SandboxMode, Task, TaskSpec};

/// API group of every kind of this project.
pub const GROUP: &str = "mledojo.dev";
/// The only served version so far.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as it stands in YAML.
pub const API_VERSION: &str = "mledojo.dev/v1alpha1";

/// The CustomResourceDefinitions of every kind, in the order of their plural names.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![Episode::crd(), Task::crd()]
}
