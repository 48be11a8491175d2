//! What a run leaves to say at its end.

use std::path::Path;

use jiff::Timestamp;

use super::unready::Unready;
use crate::api::Episode;
use crate::api::conditions::Phase;
use crate::plan::{name_of, table};

/// A finished or interrupted run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every episode with its status, in the order of the documents.
    pub episodes: Vec<Episode>,
    /// One line for each episode that went wrong.
    pub remarks: Vec<String>,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// When it ended.
    pub at: Timestamp,
}

impl Report {
    /// Exit code: 0 every episode is completed, 130 interrupted, else 1.
    pub fn exit_code(&self) -> u8 {
        if self.interrupted {
            130
        } else {
            u8::from(self.completed() < self.episodes.len())
        }
    }

    /// Number of completed episodes.
    pub fn completed(&self) -> usize {
        self.episodes
            .iter()
            .filter(|episode| phase(episode) == Phase::Completed)
            .count()
    }

    /// The table that `kubectl get episodes` would print.
    pub fn table(&self) -> String {
        table(&self.episodes, self.at, false).render()
    }

    /// How to go on after an interruption.
    pub fn farewell(&self) -> Option<String> {
        self.interrupted.then(|| {
            format!(
                "Interrupted: {} of {} episodes are completed. Run the same command again to continue.",
                self.completed(),
                self.episodes.len()
            )
        })
    }
}

/// Summary of an episode.
pub fn phase(episode: &Episode) -> Phase {
    episode
        .status
        .as_ref()
        .map(|status| status.phase)
        .unwrap_or_default()
}

/// One line on an episode without a result.
pub fn failure(episode: &Episode, unready: &Unready) -> String {
    let mut lines = unready.message.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    // The last line of a program's output says what went wrong, as a rule.
    let message = match lines.next_back() {
        Some(last) => format!("{first} {}", last.trim()),
        None => first.to_owned(),
    };
    let log = unready
        .log
        .as_ref()
        .map(|log| format!(" (log: {})", log.display()));
    format!(
        "{}: {:?} failure, {}: {message}{}",
        name_of(episode),
        unready.class,
        unready.reason,
        log.unwrap_or_default()
    )
}

/// One line on an episode whose agent crashed: it has a result, but hardly the one that was hoped for.
pub fn crash(episode: &Episode, what: &str, log: &Path) -> String {
    format!("{}: {what} (log: {})", name_of(episode), log.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::EpisodeStatus;

    fn episode(phase: Phase) -> Episode {
        let spec = serde_json::json!({"taskRef": {"name": "t"}, "agent": {}});
        let mut episode = Episode::new("e", serde_json::from_value(spec).unwrap());
        episode.status = Some(EpisodeStatus {
            phase,
            ..EpisodeStatus::default()
        });
        episode
    }

    #[test]
    fn only_a_run_whose_episodes_are_all_completed_succeeds() {
        let code = |phases: &[Phase], interrupted| {
            Report {
                episodes: phases.iter().map(|phase| episode(*phase)).collect(),
                remarks: Vec::new(),
                interrupted,
                at: Timestamp::UNIX_EPOCH,
            }
            .exit_code()
        };
        assert_eq!(code(&[Phase::Completed, Phase::Completed], false), 0);
        assert_eq!(code(&[Phase::Completed, Phase::Failed], false), 1);
        assert_eq!(code(&[Phase::Suspended], false), 1);
        assert_eq!(code(&[Phase::Completed, Phase::Pending], true), 130);
    }

    #[test]
    fn a_failure_is_one_line_with_the_last_words_of_the_program() {
        let unready = Unready::task(
            "PrepareFailed",
            "prepare ended with exit code 1:\nTraceback\n  File\nValueError: no\n",
        )
        .with_log("/runs/log");
        assert_eq!(
            failure(&episode(Phase::Failed), &unready),
            "e: Task failure, PrepareFailed: prepare ended with exit code 1: ValueError: no (log: /runs/log)"
        );
    }
}
