//! Defaults and overrides, worked out once.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::document::name_of;
use crate::api::{Episode, Limits, Task};
use crate::wire::config::{RelayConfig, ResolvedLimits, TaskFacts};
use crate::wire::hex;

/// Steps of an episode when neither Task nor Episode says.
pub const DEFAULT_STEPS: u32 = 15;
/// Wall clock of an episode in milliseconds when neither says: 12 hours.
pub const DEFAULT_WALL_CLOCK_MS: u64 = 12 * 3_600_000;
/// Time limit of one `execute_code` in milliseconds when neither says: 1 hour.
pub const DEFAULT_ACTION_TIMEOUT_MS: u64 = 3_600_000;
/// Time limit of one `validate_code` in milliseconds when neither says and `actionTimeout` is longer: 10 minutes.
pub const DEFAULT_VALIDATION_TIMEOUT_MS: u64 = 600_000;

/// Directories as executed code sees them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dirs {
    /// Public data.
    pub public: String,
    /// Workspace.
    pub workspace: String,
}

/// What the relay of an episode needs to know.
pub fn resolve(task: &Task, episode: &Episode, dirs: &Dirs) -> RelayConfig {
    let spec = &task.spec;
    RelayConfig {
        episode: name_of(episode).to_owned(),
        task: TaskFacts {
            name: name_of(task).to_owned(),
            title: spec.title.clone(),
            description: spec.description.clone(),
            domain: spec.domain,
        },
        seed: u64::try_from(episode.spec.seed).unwrap_or_default(),
        limits: limits(&spec.limits, episode.spec.limits.as_ref()),
        evaluation: spec.evaluation.clone(),
        network: spec.environment.network,
        public_dir: dirs.public.clone(),
        workspace_dir: dirs.workspace.clone(),
    }
}

/// The limits of an episode: each field from the Episode, else from its Task, else the default.
pub fn limits(task: &Limits, episode: Option<&Limits>) -> ResolvedLimits {
    let steps = episode.and_then(|limits| limits.steps).or(task.steps);
    let time = |field: fn(&Limits) -> &Option<crate::api::Duration>| {
        let own = episode.and_then(|limits| field(limits).as_ref());
        own.or_else(|| field(task).as_ref())
            .map(crate::api::Duration::millis)
    };
    let action_timeout_ms = time(|limits| &limits.action_timeout).unwrap_or(DEFAULT_ACTION_TIMEOUT_MS);
    ResolvedLimits {
        steps: steps
            .and_then(|steps| u32::try_from(steps).ok())
            .unwrap_or(DEFAULT_STEPS),
        wall_clock_ms: time(|limits| &limits.wall_clock).unwrap_or(DEFAULT_WALL_CLOCK_MS),
        action_timeout_ms,
        validation_timeout_ms: time(|limits| &limits.validation_timeout)
            .unwrap_or_else(|| action_timeout_ms.min(DEFAULT_VALIDATION_TIMEOUT_MS)),
    }
}

/// Fields of a Task's environment that say where and under which names its pods run, not what they compute.
const PLACEMENT: &[&str] = &[
    "nodeSelector",
    "tolerations",
    "imagePullSecrets",
    "labels",
    "annotations",
];

/// SHA-256, hexadecimal, over what of a Task bears on a result: its spec without placement, labels and pull secrets,
/// and the content of its `prepare` file (unset: it has none, or it is not at hand).
pub fn task_digest(task: &Task, prepare: Option<&[u8]>) -> String {
    let mut spec = serde_json::to_value(&task.spec).unwrap_or_default();
    if let Some(environment) = spec["environment"].as_object_mut() {
        for field in PLACEMENT {
            environment.shift_remove(*field);
        }
    }
    // Sorted, so that moving a field in the source does not change every digest.
    spec.sort_all_objects();
    let content = prepare.map_or(Value::Null, |bytes| hex(&Sha256::digest(bytes)).into());
    hex(&Sha256::digest(
        serde_json::json!({"prepare": content, "spec": spec}).to_string(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(limits: &str) -> Task {
        let text = format!(
            "{{apiVersion: mledojo.dev/v1alpha1, kind: Task, metadata: {{name: iris}}, spec: {{title: Irises, \
             description: Tell them apart., domain: Tabular, data: {{path: /data}}, environment: {{image: a}}, \
             evaluation: {{metric: {{builtin: Accuracy}}}}, limits: {limits}}}}}"
        );
        serde_saphyr::from_str(&text).unwrap()
    }

    fn episode(limits: &str) -> Episode {
        let text = format!(
            "{{apiVersion: mledojo.dev/v1alpha1, kind: Episode, metadata: {{name: demo}}, spec: {{taskRef: {{name: \
             iris}}, agent: {{}}, seed: 7, limits: {limits}}}}}"
        );
        serde_saphyr::from_str(&text).unwrap()
    }

    fn dirs() -> Dirs {
        Dirs {
            public: "/p".into(),
            workspace: "/w".into(),
        }
    }

    #[test]
    fn limits_come_from_the_episode_then_from_the_task_then_from_the_defaults() {
        let cases = [
            ("{}", "{}", (15, 43_200_000, 3_600_000, 600_000)),
            (
                "{steps: 4, wallClock: 1h, actionTimeout: 5m}",
                "{}",
                (4, 3_600_000, 300_000, 300_000),
            ),
            (
                "{steps: 4, wallClock: 1h, actionTimeout: 5m}",
                "{steps: 9, actionTimeout: 20m}",
                (9, 3_600_000, 1_200_000, 600_000),
            ),
            (
                "{validationTimeout: 30m}",
                "{actionTimeout: 1m}",
                (15, 43_200_000, 60_000, 1_800_000),
            ),
        ];
        for (task_limits, episode_limits, (steps, wall, action, validation)) in cases {
            let config = resolve(&task(task_limits), &episode(episode_limits), &dirs());
            let expected = ResolvedLimits {
                steps,
                wall_clock_ms: wall,
                action_timeout_ms: action,
                validation_timeout_ms: validation,
            };
            assert_eq!(config.limits, expected, "{task_limits} {episode_limits}");
        }
    }

    #[test]
    fn the_relay_learns_names_seed_and_directories() {
        let config = resolve(&task("{}"), &episode("{}"), &dirs());
        assert_eq!(
            (config.episode.as_str(), config.task.name.as_str()),
            ("demo", "iris")
        );
        assert_eq!((config.seed, config.public_dir.as_str()), (7, "/p"));
        assert_eq!(config.workspace_dir, "/w");
    }

    #[test]
    fn the_digest_of_a_task_moves_with_what_matters_and_with_nothing_else() {
        let plain = task("{}");
        let digest = task_digest(&plain, Some(b"a"));
        assert_eq!(digest.len(), 64);
        assert_eq!(digest, task_digest(&plain, Some(b"a")));
        assert_ne!(digest, task_digest(&plain, Some(b"b")), "the prepare file");
        assert_ne!(digest, task_digest(&plain, None), "no prepare file");
        assert_ne!(digest, task_digest(&task("{steps: 3}"), Some(b"a")), "limits");
        let mut placed = plain.clone();
        placed.metadata.resource_version = Some("12".into());
        placed
            .spec
            .environment
            .labels
            .insert("team".into(), "vision".into());
        placed
            .spec
            .environment
            .node_selector
            .insert("zone".into(), "a".into());
        assert_eq!(digest, task_digest(&placed, Some(b"a")), "placement");
    }
}
