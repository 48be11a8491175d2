//! Types that more than one kind uses.

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Kubernetes quantity as it is written in YAML, such as `500m`, `2Gi` or `4`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Quantity(
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
    )]
    pub String,
);

/// A file that enters by a ConfigMap of the same namespace.
///
/// Authors keep plain files beside a `kustomization.yaml`; its `configMapGenerator` makes the ConfigMap.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSource {
    /// ConfigMap and key that hold the file.
    pub config_map_key_ref: KeyRef,
}

/// One key of one object of the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within the object's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A reference by name to an object of the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NameRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What an episode may use before it is ended from outside. A budget that is spent truncates the episode: it completes
/// with the best submission that it had.
///
/// On a Task these are the defaults of its episodes; on an Episode each field that is set overrides the Task's.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.wallClock) || duration(self.wallClock) > duration('0s')").message("wallClock must be longer than 0s").field_path(".wallClock"),
    validation = Rule::new("!has(self.actionTimeout) || duration(self.actionTimeout) > duration('0s')").message("actionTimeout must be longer than 0s").field_path(".actionTimeout"),
    validation = Rule::new("!has(self.validationTimeout) || duration(self.validationTimeout) > duration('0s')").message("validationTimeout must be longer than 0s").field_path(".validationTimeout"),
)]
pub struct Limits {
    /// Number of steps (actions of any kind). Default 15.
    #[schemars(range(min = 1, max = 100_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<i32>,
    /// Wall clock of the whole episode from its first possible step, thinking included, such as `12h`. Time during
    /// which nothing of the episode runs (after an interruption) does not count. Default `12h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<Duration>,
    /// Time limit of one `execute_code`, such as `30m`. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_timeout: Option<Duration>,
    /// Time limit of one `validate_code`, such as `2m`. Default: `actionTimeout`, at most `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_timeout: Option<Duration>,
}
