//! The `Task` kind: a competition that agents work on.

#![allow(clippy::duplicated_attributes)] // printcolumn repeats type_ and json_path by design of the derive.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{
    FileSource, IMAGE_PATTERN, Limits, NAME_PATTERN, NameRef, Quantity, RELATIVE_FILE_PATTERN,
    optional_quantity,
};
use super::evaluation::EvaluationSpec;
use super::schema;

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
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name of a Task has at most 63 characters: it becomes a label"),
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
        name = "Episodes",
        type_ = "integer",
        json_path = ".status.episodes.total",
        description = "Number of its episodes"
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
    /// Default limits of this Task's episodes. Unset: 15 steps, 12h, 1h for each `execute_code`.
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
    /// Volume that holds what the agent may read. Unset: `prepare` fills a fresh directory for each episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<VolumeSource>,
    /// Volume that holds answers and leaderboards; only relay and grader mount it. Unset: `prepare` fills a fresh
    /// directory for each episode.
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
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub claim_name: String,
    /// Directory within the claim. Unset: its root.
    #[schemars(length(min = 1, max = 1024), regex(pattern = RELATIVE_FILE_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
}

/// An OCI image used as a volume.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSource {
    /// Image reference.
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE_PATTERN))]
    pub reference: String,
}

/// Where an agent's code runs.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// Container image with Python 3 and the libraries of the task. The local runner does not use it.
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE_PATTERN))]
    pub image: String,
    /// Python requirements (PEP 508), such as `pandas>=2`, that the local runner installs into a cached virtual
    /// environment; no options of pip. The image is expected to have them. Unset: the standard library only.
    #[schemars(
        length(max = 128),
        inner(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9][^\r\n]*$"))
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// What the sandbox gets; requests and limits are equal. Default 1 CPU, 2Gi of memory and 10Gi of disk.
    #[serde(default)]
    pub resources: ResourceSpec,
    /// GPUs of the sandbox. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuSpec>,
    /// What executed code may reach. `None` (default): no sockets but UNIX ones; `Loopback`: TCP on this machine or pod, as
    /// torchrun and NCCL need it; `Allow`: whatever the machine or the cluster's NetworkPolicy lets through.
    #[serde(default)]
    pub network: NetworkMode,
    /// What happens where the sandbox layers of the documented minimum are missing. `Required` (default): no code is
    /// executed; `BestEffort`: it is executed with the layers that there are, which are recorded.
    #[serde(default)]
    pub sandbox: SandboxMode,
    /// RuntimeClass of the pod. Unset: the cluster's default.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Node labels that the pod needs. Unset: any node.
    #[schemars(schema_with = "schema::labels")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pod tolerates, besides those of its GPU resource. Unset: none.
    #[schemars(schema_with = "schema::tolerations")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Secrets for pulling images. Unset: those of the namespace's default service account.
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<NameRef>,
    /// Extra labels of the pod. Keys that begin with `mledojo.dev/` are refused. Unset: none.
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('mledojo.dev/'))").message("labels of mledojo.dev/ are set by the operator"))]
    #[schemars(schema_with = "schema::labels")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Extra annotations of the pod. Keys that begin with `mledojo.dev/` are refused. Unset: none.
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('mledojo.dev/'))").message("annotations of mledojo.dev/ are set by the operator"))]
    #[schemars(schema_with = "schema::annotations")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// CPU, memory and disk of a container.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(string(self.cpu)).compareTo(quantity('10m')) >= 0").message("cpu must be at least 10m").field_path(".cpu"),
    validation = Rule::new("quantity(string(self.memory)).compareTo(quantity('64Mi')) >= 0").message("memory must be at least 64Mi: a number without a unit is bytes, 2Gi is two gibibytes").field_path(".memory"),
    validation = Rule::new("quantity(string(self.ephemeralStorage)).compareTo(quantity('64Mi')) >= 0").message("ephemeralStorage must be at least 64Mi: a number without a unit is bytes, 2Gi is two gibibytes").field_path(".ephemeralStorage"),
)]
pub struct ResourceSpec {
    /// CPU cores, such as `500m` or `4`. Default `1`.
    #[serde(default = "default_cpu")]
    pub cpu: Quantity,
    /// Memory, such as `2Gi`. Default `2Gi`.
    #[serde(default = "default_memory")]
    pub memory: Quantity,
    /// Disk of workspace, temporary files and the data that `prepare` makes, such as `10Gi`. Default `10Gi`.
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
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Least memory of one device, such as `40Gi`. Unset: any.
    #[schemars(schema_with = "optional_quantity")]
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
    #[schemars(schema_with = "schema::conditions")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// SHA-256 over what of the Task bears on a result. Unset while the Task is not ready.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Data that were prepared into the Task's claims. Unset: none were, or each episode prepares its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PreparedData>,
    /// Its episodes, counted now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episodes: Option<EpisodeCounts>,
}

/// Data that were prepared once for all episodes.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreparedData {
    /// SHA-256 over the manifest: path, size and SHA-256 of every public and private file.
    #[schemars(length(max = 64))]
    pub digest: String,
    /// Job that prepared them.
    #[schemars(length(max = 253))]
    pub job: String,
}

/// Number of a Task's episodes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EpisodeCounts {
    /// All of them.
    pub total: i32,
    /// Those that wait, start or are suspended.
    pub waiting: i32,
    /// Those whose agent acts.
    pub running: i32,
    /// Those with a result.
    pub completed: i32,
    /// Those that ended without one.
    pub failed: i32,
}
