//! The `Task` kind: a competition that agents work on.

#![allow(clippy::duplicated_attributes)] // printcolumn repeats type_ and json_path by design of the derive.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{FileSource, Limits, NameRef, Quantity};
use super::evaluation::EvaluationSpec;

/// A competition: what to predict, the data, how a submission is graded, and what an episode may use.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "mledojo.dev",
    version = "v1alpha1",
    kind = "Task",
    doc = "A machine-learning competition that agents work on, step by step.",
    namespaced,
    category = "mledojo",
    status = "TaskStatus",
    derive = "PartialEq",
    cel,
    printcolumn(
        name = "Domain",
        type_ = "string",
        json_path = ".spec.domain",
        description = "Kind of data"
    ),
    printcolumn(
        name = "Metric",
        type_ = "string",
        json_path = ".spec.evaluation.metric.builtin",
        description = "Metric of a submission"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='TaskReady')].status",
        description = "Whether episodes can start"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since creation"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct TaskSpec {
    /// Title for people.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// The assignment as the agent reads it (Markdown). `request_info` returns it as `overview`.
    #[schemars(length(min = 1, max = 65_536))]
    pub description: String,
    /// Kind of data.
    pub domain: Domain,
    /// Where public and private data come from.
    pub data: DataSpec,
    /// Where an agent's code runs.
    pub environment: EnvironmentSpec,
    /// How a submission is graded.
    pub evaluation: EvaluationSpec,
    /// Default limits of this Task's episodes.
    #[serde(default)]
    pub limits: Limits,
}

/// Kind of data of a Task.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Domain {
    /// Tables.
    Tabular,
    /// Images and video.
    Vision,
    /// Text.
    Language,
    /// Series over time.
    TimeSeries,
    /// Sound.
    Audio,
    /// Several of the others, or graphs and molecules.
    Other,
}

/// Where the data of a Task come from: `prepare`, or `public` with `private`, or `path`.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.prepare) || has(self.path) || (has(self.public) && has(self.private))").message("set prepare, or path, or both public and private"),
    validation = Rule::new("has(self.public) == has(self.private)").message("public and private go together"),
    validation = Rule::new("!(has(self.path) && (has(self.prepare) || has(self.public)))").message("path stands alone: it names data that are prepared already").field_path(".path"),
)]
pub struct DataSpec {
    /// Python file with a function `prepare(raw, public, private)` that takes three `pathlib.Path` and fills `public`
    /// and `private`. `raw` is an empty directory, or the raw data where the author has mounted some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<FileSource>,
    /// Volume that holds what the agent may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<VolumeSource>,
    /// Volume that holds answers and leaderboards. Only relay and grader mount it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<VolumeSource>,
    /// Directory with `public/` and `private/` on this machine, absolute or relative to the YAML file. Local runner
    /// only: in a cluster a Task with `path` is not ready.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A volume with data. Exactly one field is set.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.persistentVolumeClaim) ? 1 : 0) + (has(self.image) ? 1 : 0) + (has(self.configMap) ? 1 : 0) == 1").message("set exactly one of persistentVolumeClaim, image and configMap"))]
pub struct VolumeSource {
    /// A claim of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimSource>,
    /// An OCI image or artifact, mounted read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
    /// A ConfigMap of the same namespace, for small data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<NameRef>,
}

/// A persistent volume claim.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimSource {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// Directory within the claim. Unset: its root.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
}

/// An OCI image used as a volume.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSource {
    /// Image reference.
    #[schemars(length(min = 1, max = 512))]
    pub reference: String,
}

/// Where an agent's code runs.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// Container image with Python 3 and the libraries of the task. The local runner does not use it.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Python requirements (PEP 508) that the local runner installs into a cached virtual environment. The image is
    /// expected to have them.
    #[schemars(length(max = 128), inner(length(min = 1, max = 512)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// What the sandbox gets; requests and limits are equal. Default 1 CPU and 2Gi of memory.
    #[serde(default)]
    pub resources: ResourceSpec,
    /// GPUs of the sandbox. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuSpec>,
    /// What executed code may reach. Default `None`.
    #[serde(default)]
    pub network: NetworkMode,
    /// What happens where the sandbox layers of the documented minimum are missing. Default `Required`.
    #[serde(default)]
    pub sandbox: SandboxMode,
    /// RuntimeClass of the pod. Unset: the cluster's default.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Node labels that the pod needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pod tolerates, besides those of its GPU resource.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Secrets for pulling images.
    #[schemars(length(max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<NameRef>,
    /// Extra labels of the pod. Keys of `mledojo.dev/` are refused.
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('mledojo.dev/'))").message("labels of mledojo.dev/ are set by the operator"))]
    #[schemars(extend("maxProperties" = 32))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Extra annotations of the pod.
    #[schemars(extend("maxProperties" = 32))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// CPU, memory and disk of the sandbox.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSpec {
    /// CPU cores, such as `500m` or `4`. Default `1`.
    #[serde(default = "default_cpu")]
    pub cpu: Quantity,
    /// Memory, such as `2Gi`. Default `2Gi`.
    #[serde(default = "default_memory")]
    pub memory: Quantity,
    /// Disk of workspace and temporary files, such as `10Gi`. Default `10Gi`.
    #[serde(default = "default_disk")]
    pub ephemeral_storage: Quantity,
}

fn default_cpu() -> Quantity {
    Quantity("1".into())
}

fn default_memory() -> Quantity {
    Quantity("2Gi".into())
}

fn default_disk() -> Quantity {
    Quantity("10Gi".into())
}

impl Default for ResourceSpec {
    fn default() -> Self {
        Self {
            cpu: default_cpu(),
            memory: default_memory(),
            ephemeral_storage: default_disk(),
        }
    }
}

/// GPUs of the sandbox.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuSpec {
    /// Number of devices. Default 1.
    #[schemars(range(min = 1, max = 64))]
    #[serde(default = "one")]
    pub count: i32,
    /// Product as the GPU feature labels name it, such as `NVIDIA-H100-80GB-HBM3`. Unset: any.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Least memory of one device, such as `40Gi`. Unset: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Extended resource that stands for a device. Default `nvidia.com/gpu`.
    #[schemars(length(min = 3, max = 253), regex(pattern = r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$"))]
    #[serde(default = "default_gpu_resource")]
    pub resource: String,
}

fn one() -> i32 {
    1
}

fn default_gpu_resource() -> String {
    "nvidia.com/gpu".into()
}

/// What executed code may reach over the network.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum NetworkMode {
    /// Nothing: sockets other than UNIX ones cannot be made.
    #[default]
    None,
    /// TCP on the loopback interface, as torchrun and NCCL need it.
    Loopback,
    /// Everything that the machine or the cluster's NetworkPolicy lets through.
    Allow,
}

/// How strictly the sandbox is required.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SandboxMode {
    /// Refuse to execute code where a layer of the documented minimum (Landlock ABI 4, seccomp) is missing.
    #[default]
    Required,
    /// Use what the machine has and record it.
    BestEffort,
}

/// What the operator knows of a Task.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `TaskReady`: True when episodes can start, else the reason why not.
    #[schemars(length(max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
