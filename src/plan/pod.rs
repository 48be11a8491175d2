//! What a cluster would get for one attempt at an episode.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};

use crate::api::{Episode, Task};

/// What of a pod is not up to Task and Episode.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodOptions {
    /// Image of this program.
    pub image: String,
}

/// The objects of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Configuration of the relay.
    pub config_map: ConfigMap,
    /// The pod.
    pub pod: Pod,
}

/// The objects of attempt `attempt` (from 1).
#[allow(clippy::unimplemented)]
pub fn cluster(_task: &Task, _episode: &Episode, _attempt: u32, _options: &PodOptions) -> Plan {
    unimplemented!()
}
