//! What becomes of an episode whose directory is there already. Pure but for the reading.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::layout::EpisodeDir;
use crate::api::conditions::{FailureClass, Phase};
use crate::api::{Episode, Task};
use crate::plan::status::SANDBOX_REFUSED;

/// Fields of `spec.environment` that only a cluster uses.
const CLUSTER_ONLY: [&str; 7] = [
    "annotations",
    "image",
    "imagePullSecrets",
    "labels",
    "nodeSelector",
    "runtimeClassName",
    "tolerations",
];
/// Longest value that a difference shows, in characters.
const MAX_SHOWN: usize = 40;

/// Everything that a result depends on, as it stood when the episode was started.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// `spec` of the Task, without what only a cluster uses.
    pub task: Value,
    /// Of the Episode's `spec`: task, agent, limits, seed.
    pub episode: Value,
    /// SHA-256 of each file of a ConfigMap that was used, by `map/key`.
    pub files: BTreeMap<String, String>,
    /// Digest of the data; unset until they were prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Directory of the public data, which executed code was told; unset until they were prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<PathBuf>,
}

impl Configuration {
    /// Of a Task, an Episode and the digests of their files.
    pub fn new(task: &Task, episode: &Episode, files: BTreeMap<String, String>) -> serde_json::Result<Self> {
        let mut task = serde_json::to_value(&task.spec)?;
        if let Some(environment) = task["environment"].as_object_mut() {
            environment.retain(|name, _| !CLUSTER_ONLY.contains(&name.as_str()));
        }
        let spec = &episode.spec;
        Ok(Self {
            task,
            episode: json!({
                "taskRef": spec.task_ref,
                "agent": spec.agent,
                "limits": spec.limits,
                "seed": spec.seed,
            }),
            files,
            data: None,
            public: None,
        })
    }

    /// What is different in `now`, one line for each field. Data are not compared: they are not prepared yet.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        compare("Task spec", &self.task, &now.task, &mut lines);
        compare("Episode spec", &self.episode, &now.episode, &mut lines);
        let names = self
            .files
            .keys()
            .chain(now.files.keys().filter(|name| !self.files.contains_key(*name)));
        for name in names {
            if self.files.get(name) != now.files.get(name) {
                lines.push(format!("file {name} has another content"));
            }
        }
        lines
    }
}

fn compare(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let of =
                |fields: &Map<String, Value>, name: &str| fields.get(name).cloned().unwrap_or(Value::Null);
            let names = before
                .keys()
                .chain(after.keys().filter(|name| !before.contains_key(*name)));
            for name in names {
                compare(
                    &format!("{path}.{name}"),
                    &of(before, name),
                    &of(after, name),
                    lines,
                );
            }
        }
        _ if before == after => {}
        _ => lines.push(format!("{path} was {}, is {}", shown(before), shown(after))),
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "unset".to_owned();
    }
    let text = value.to_string();
    if text.chars().count() <= MAX_SHOWN {
        return text;
    }
    let beginning: String = text.chars().take(MAX_SHOWN).collect();
    format!("{beginning}…")
}

/// What is in an episode's directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Existing {
    /// Something that no run has made.
    pub foreign: bool,
    /// The Episode with its status.
    pub episode: Option<Episode>,
    /// What it was started with.
    pub configuration: Option<Configuration>,
    /// Whether a step was journaled.
    pub has_steps: bool,
}

impl Existing {
    /// Reads it; `None` when there is nothing. Files that cannot be understood count as absent.
    pub fn read(dir: &EpisodeDir) -> io::Result<Option<Self>> {
        let mut entries = match fs::read_dir(dir.root()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        if entries.next().is_none() {
            return Ok(None);
        }
        let text = |path| fs::read_to_string(path).ok();
        Ok(Some(Self {
            foreign: !dir.state().is_dir(),
            episode: text(dir.episode()).and_then(|text| serde_saphyr::from_str(&text).ok()),
            configuration: text(dir.configuration()).and_then(|text| serde_json::from_str(&text).ok()),
            // The header is the first line; a line that was cut short has no end.
            has_steps: fs::read(dir.trajectory())
                .is_ok_and(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count() > 1),
        }))
    }
}

/// What to do with an episode.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Start it in an empty directory: what is there is removed.
    Anew {
        /// Number of the attempt, from 1.
        attempt: i32,
    },
    /// Go on where it stopped.
    Continue {
        /// The Episode as it stood, if it was written.
        previous: Option<Box<Episode>>,
        /// Number of the attempt, from 1.
        attempt: i32,
    },
    /// It is finished.
    Keep(Box<Episode>),
}

/// Decides, or says why what is there can neither be kept nor be replaced. `fresh`: the user wants all episodes anew.
pub fn decide(existing: Option<Existing>, now: &Configuration, fresh: bool) -> Result<Decision, Vec<String>> {
    let Some(existing) = existing else {
        return Ok(Decision::Anew { attempt: 1 });
    };
    if existing.foreign {
        return Err(vec!["it has files that no run has made".to_owned()]);
    }
    if fresh {
        return Ok(Decision::Anew { attempt: 1 });
    }
    let status = existing
        .episode
        .as_ref()
        .and_then(|episode| episode.status.as_ref());
    let phase = status.map(|status| status.phase).unwrap_or_default();
    let attempts = status.and_then(|status| status.attempt).unwrap_or(1);
    let failed = (phase == Phase::Failed).then(|| {
        status
            .and_then(|status| status.failure.as_ref())
            .map_or(FailureClass::Infrastructure, |failure| failure.class)
    });
    // A broken Task or a sandbox that runs nothing has spoilt the steps; an episode without steps has nothing to lose.
    let refused = status.is_some_and(|status| status.reason.as_deref() == Some(SANDBOX_REFUSED));
    if failed == Some(FailureClass::Task) || refused {
        return Ok(Decision::Anew {
            attempt: attempts + 1,
        });
    }
    let differences = existing
        .configuration
        .as_ref()
        .map(|before| before.differences(now));
    match differences {
        Some(lines) if lines.is_empty() => {}
        _ if !existing.has_steps && phase != Phase::Completed => {
            return Ok(Decision::Anew {
                attempt: attempts + i32::from(failed.is_some()),
            });
        }
        Some(lines) => return Err(lines),
        None => return Err(vec!["it is not recorded what it was started with".to_owned()]),
    }
    Ok(match existing.episode {
        Some(episode) if phase == Phase::Completed => Decision::Keep(Box::new(episode)),
        previous => Decision::Continue {
            previous: previous.map(Box::new),
            attempt: attempts + i32::from(failed.is_some()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{EpisodeStatus, FailureStatus};

    fn configuration(steps: i64) -> Configuration {
        Configuration {
            task: json!({"limits": {"steps": steps}, "title": "t"}),
            episode: json!({"seed": 0}),
            files: BTreeMap::from([("code/prepare.py".to_owned(), "aa".to_owned())]),
            data: None,
            public: None,
        }
    }

    fn existing(phase: Phase, class: Option<FailureClass>, has_steps: bool) -> Existing {
        let mut episode = Episode::new(
            "e",
            serde_json::from_value(json!({"taskRef": {"name": "t"}, "agent": {}})).unwrap(),
        );
        episode.status = Some(EpisodeStatus {
            phase,
            attempt: Some(2),
            failure: class.map(|class| FailureStatus {
                class,
                reason: "Reason".into(),
                message: "message".into(),
            }),
            ..EpisodeStatus::default()
        });
        Existing {
            foreign: false,
            episode: Some(episode),
            configuration: Some(configuration(15)),
            has_steps,
        }
    }

    fn attempt(decision: &Result<Decision, Vec<String>>) -> Option<i32> {
        match decision {
            Ok(Decision::Anew { attempt }) => Some(*attempt),
            Ok(Decision::Continue { attempt, .. }) => Some(100 + attempt),
            Ok(Decision::Keep(_)) | Err(_) => None,
        }
    }

    #[test]
    fn the_same_configuration_is_kept_continued_or_tried_again() {
        use FailureClass::{Infrastructure, Task};
        let now = configuration(15);
        let decided = |existing| decide(Some(existing), &now, false);
        assert_eq!(attempt(&decide(None, &now, false)), Some(1));
        assert!(matches!(
            decided(existing(Phase::Completed, None, true)),
            Ok(Decision::Keep(_))
        ));
        assert_eq!(attempt(&decided(existing(Phase::Running, None, true))), Some(102));
        assert_eq!(
            attempt(&decided(existing(Phase::Starting, None, false))),
            Some(102)
        );
        assert_eq!(
            attempt(&decided(existing(Phase::Failed, Some(Infrastructure), true))),
            Some(103)
        );
        assert_eq!(
            attempt(&decided(existing(Phase::Failed, Some(Task), true))),
            Some(3)
        );
    }

    #[test]
    fn another_configuration_is_refused_unless_nothing_would_be_lost() {
        let now = configuration(16);
        let decided = |existing| decide(Some(existing), &now, false);
        let refused = Err(vec!["Task spec.limits.steps was 15, is 16".to_owned()]);
        assert_eq!(decided(existing(Phase::Completed, None, false)), refused);
        assert_eq!(decided(existing(Phase::Pending, None, true)), refused);
        assert_eq!(attempt(&decided(existing(Phase::Pending, None, false))), Some(2));
        assert_eq!(
            attempt(&decided(existing(Phase::Failed, Some(FailureClass::Task), true))),
            Some(3)
        );
        let fresh = decide(Some(existing(Phase::Completed, None, true)), &now, true);
        assert_eq!(attempt(&fresh), Some(1));
    }

    #[test]
    fn a_directory_of_somebody_else_is_never_touched() {
        let foreign = Existing {
            foreign: true,
            ..Existing::default()
        };
        for fresh in [false, true] {
            let decision = decide(Some(foreign.clone()), &configuration(1), fresh);
            assert!(decision.is_err());
        }
    }

    #[test]
    fn differences_are_named_by_field_and_file() {
        let before = configuration(15);
        let mut now = configuration(15);
        now.task["title"] = json!("a title that is much longer than what fits into a line");
        now.episode["seed"] = Value::Null;
        now.files = BTreeMap::from([("code/other.py".to_owned(), "aa".to_owned())]);
        assert_eq!(
            before.differences(&now),
            [
                "Task spec.title was \"t\", is \"a title that is much longer than what f…",
                "Episode spec.seed was 0, is unset",
                "file code/prepare.py has another content",
                "file code/other.py has another content",
            ]
        );
    }
}
