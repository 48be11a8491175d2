//! Who acts in an episode.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::common::{FileSource, IMAGE_PATTERN};
use super::task::ResourceSpec;

/// The agent of an episode. Exactly one field is set.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.replay) ? 1 : 0) + (has(self.container) ? 1 : 0) == 1").message("set exactly one of replay and container"))]
pub struct AgentSpec {
    /// Plays recorded actions: a YAML list of `{action, params}`, or the `trajectory.jsonl` of an earlier episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<FileSource>,
    /// Any program in a container; the local runner starts the same command on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerAgent>,
}

impl AgentSpec {
    /// One word for tables: `replay` or `container`.
    pub fn kind(&self) -> &'static str {
        if self.replay.is_some() {
            "replay"
        } else {
            "container"
        }
    }
}

/// An agent that is a program of its own.
///
/// It finds `DOJO_URL` (base URL of the agent API) and `DOJO_TOKEN` (bearer token) in its environment. When it exits
/// the episode is complete; an exit code other than 0 gives the outcome `AgentFailed`.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerAgent {
    /// Container image. The local runner does not use it.
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE_PATTERN))]
    pub image: String,
    /// Program and leading arguments. It must be stated: the image's entry point cannot be known.
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Further arguments.
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Plain environment variables, each name once. Names that begin with `DOJO_` are refused.
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// What the agent's container gets; requests and limits are equal. Default 1 CPU, 2Gi of memory and 10Gi of disk. The
    /// local runner does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceSpec>,
}

/// One environment variable.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.name.startsWith('DOJO_')").message("names of DOJO_ are set by the episode").field_path(".name"))]
pub struct EnvVar {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value.
    #[schemars(length(max = 4096))]
    pub value: String,
}
