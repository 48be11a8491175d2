//! The `Episode` kind: one agent working on one Task.

#![allow(clippy::duplicated_attributes)] // printcolumn repeats type_ and json_path by design of the derive.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::AgentSpec;
use super::common::{Duration, Limits, NAME_PATTERN, NameRef};
use super::status::EpisodeStatus;

/// One rollout of one agent on one Task. Only `suspend` and `ttlAfterFinished` can change after creation.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "mledojo.dev",
    version = "v1alpha1",
    kind = "Episode",
    doc = "One agent working on one Task, step by step; the reward is written to its status.",
    namespaced,
    // Not `ep`: that is the short name of the core kind Endpoints, which kubectl prefers.
    shortname = "epi",
    category = "mledojo",
    status = "EpisodeStatus",
    derive = "PartialEq",
    cel,
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name of an Episode has at most 63 characters: it becomes a label"),
    printcolumn(
        name = "Task",
        type_ = "string",
        json_path = ".spec.taskRef.name",
        description = "Task that is worked on"
    ),
    printcolumn(
        name = "Agent",
        type_ = "string",
        json_path = ".status.agent",
        description = "Kind of agent"
    ),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "Summary of the conditions"
    ),
    printcolumn(
        name = "Steps",
        type_ = "string",
        json_path = ".status.steps",
        description = "Steps done of steps allowed"
    ),
    printcolumn(
        name = "Score",
        type_ = "string",
        json_path = ".status.display.score",
        description = "Raw score of the best submission"
    ),
    printcolumn(
        name = "Reward",
        type_ = "string",
        json_path = ".status.display.reward",
        description = "Reward of the episode"
    ),
    printcolumn(
        name = "Medal",
        type_ = "string",
        json_path = ".status.medal",
        description = "Medal of the best submission"
    ),
    printcolumn(
        name = "GPU",
        type_ = "string",
        json_path = ".status.gpu",
        description = "GPU that was used"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since creation"
    ),
    printcolumn(
        name = "Node",
        type_ = "string",
        json_path = ".status.node",
        priority = 1,
        description = "Node of the pod"
    ),
    printcolumn(
        name = "Attempt",
        type_ = "integer",
        json_path = ".status.attempt",
        priority = 1,
        description = "Number of the attempt"
    ),
    printcolumn(
        name = "Outcome",
        type_ = "string",
        json_path = ".status.outcome",
        priority = 1,
        description = "How the episode ended"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.taskRef == oldSelf.taskRef").message("taskRef cannot change after creation: create another Episode").field_path(".taskRef"),
    validation = Rule::new("self.agent == oldSelf.agent").message("agent cannot change after creation: create another Episode").field_path(".agent"),
    validation = Rule::new("has(self.limits) == has(oldSelf.limits) && (!has(self.limits) || self.limits == oldSelf.limits)").message("limits cannot change after creation: create another Episode").field_path(".limits"),
    validation = Rule::new("self.seed == oldSelf.seed").message("seed cannot change after creation: create another Episode").field_path(".seed"),
    validation = Rule::new("has(self.scheduling) == has(oldSelf.scheduling) && (!has(self.scheduling) || self.scheduling == oldSelf.scheduling)").message("scheduling cannot change after creation: create another Episode").field_path(".scheduling"),
    validation = Rule::new("has(self.retry) == has(oldSelf.retry) && (!has(self.retry) || self.retry == oldSelf.retry)").message("retry cannot change after creation: create another Episode").field_path(".retry"),
    validation = Rule::new("has(self.managedBy) == has(oldSelf.managedBy) && (!has(self.managedBy) || self.managedBy == oldSelf.managedBy)").message("managedBy cannot change after creation: create another Episode").field_path(".managedBy"),
)]
pub struct EpisodeSpec {
    /// The Task, in the same namespace.
    pub task_ref: NameRef,
    /// Who acts.
    pub agent: AgentSpec,
    /// Overrides of the Task's limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Seed that executed code and agent find as `DOJO_SEED`; executed code has it as `PYTHONHASHSEED` too. Default 0.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    #[serde(default)]
    pub seed: i64,
    /// Placement. The local runner does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<SchedulingSpec>,
    /// True: the episode does not start, and a running one loses its pod. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Controller that owns this Episode. Unset or `mledojo.dev/episode-controller`: this operator; any other value:
    /// the operator leaves it alone. The local runner does not use it.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// What happens after a failure that was not the agent's doing. Unset: 3 further attempts. The local runner does not
    /// use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetrySpec>,
    /// Time after the end when the Episode is deleted, such as `24h`. Unset: never. The local runner does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<Duration>,
}

/// Placement of an episode's pod.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SchedulingSpec {
    /// PriorityClass of the pod. Unset: the cluster's default.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Kueue LocalQueue, put into the label `kueue.x-k8s.io/queue-name`. Unset: no queue.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_name: Option<String>,
    /// Scheduler of the pod. Unset: the cluster's default.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
}

/// Retries after an infrastructure failure.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrySpec {
    /// Number of further attempts. Default 3.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default = "default_retries")]
    pub limit: i32,
}

fn default_retries() -> i32 {
    3
}
