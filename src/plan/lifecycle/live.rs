//! What a report of a running episode's relay changes in its status.

use jiff::Timestamp;

use crate::api::conditions::{ConditionType, Phase};
use crate::api::status::EpisodeStatus;
use crate::plan::status::take_live;
use crate::wire::result::EpisodeResult;

/// Seconds between two writes that tell of nothing but more steps.
const STEADY_SECONDS: i64 = 60;

/// What to do with a report.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // made and taken apart at once, never kept
pub enum LiveUpdate {
    /// It is older than what is on record, or the attempt is over.
    Stale,
    /// It tells of nothing that cannot wait.
    Hold,
    /// The status to write; its live fields are those of the report.
    Write(EpisodeStatus),
}

/// What to do with a report of the relay of the attempt on record. `last_write`: when the last report of this episode was
/// written; unset: none was. A better reward is written at once, step counts alone at most once a minute. The end is not
/// written here: the controller does that when it has the pod's own word.
pub fn live(
    previous: &EpisodeStatus,
    result: &EpisodeResult,
    trajectory_uri: Option<String>,
    last_write: Option<Timestamp>,
    now: Timestamp,
) -> LiveUpdate {
    let runs = matches!(previous.phase, Phase::Starting | Phase::Running);
    let newer = previous
        .sequence
        .is_none_or(|recorded| i64::try_from(result.sequence).is_ok_and(|reported| reported > recorded));
    if !runs || !newer {
        return LiveUpdate::Stale;
    }
    let mut status = previous.clone();
    take_live(&mut status, result, trajectory_uri);
    let better = (status.score, status.reward) != (previous.score, previous.reward);
    // A clock that starts with the agent, so that the first step alone is no news.
    let due = previous.phase == Phase::Running
        && last_write
            .or_else(|| running_since(previous))
            .is_none_or(|last| now.as_second() - last.as_second() > STEADY_SECONDS);
    if better || due {
        LiveUpdate::Write(status)
    } else {
        LiveUpdate::Hold
    }
}

/// When the pod became ready.
fn running_since(status: &EpisodeStatus) -> Option<Timestamp> {
    let ready = ConditionType::PodReady.as_str();
    let found = status.conditions.iter().find(|found| found.type_ == ready)?;
    Some(found.last_transition_time.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::conditions::Outcome;
    use crate::api::status::RewardBasis;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).unwrap()
    }

    fn result(sequence: u64, score: Option<f64>) -> EpisodeResult {
        EpisodeResult {
            sequence,
            outcome: None,
            task_error: None,
            sandbox_error: None,
            steps: 1,
            step_limit: 15,
            score,
            reward: score.unwrap_or(0.0),
            basis: RewardBasis::Score,
            valid_submission: score.is_some(),
            places: Vec::new(),
            medal: None,
            above_median: None,
            wall_seconds: 1.0,
            execution_seconds: 1.0,
            cpu_seconds: 1.0,
            peak_memory_bytes: 1,
            trajectory_sha256: "abc".into(),
            trajectory_bytes: 10,
            executor: true,
            layers: Vec::new(),
        }
    }

    fn recorded(phase: Phase, sequence: Option<i64>, score: Option<f64>) -> EpisodeStatus {
        EpisodeStatus {
            phase,
            sequence,
            score,
            reward: score,
            ..EpisodeStatus::default()
        }
    }

    fn since(mut status: EpisodeStatus, second: i64) -> EpisodeStatus {
        status.conditions = vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
            type_: "PodReady".into(),
            status: "True".into(),
            reason: "Running".into(),
            message: String::new(),
            last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(second)),
            observed_generation: None,
        }];
        status
    }

    fn word(update: &LiveUpdate) -> &'static str {
        match update {
            LiveUpdate::Stale => "stale",
            LiveUpdate::Hold => "hold",
            LiveUpdate::Write(_) => "write",
        }
    }

    #[test]
    fn a_report_is_written_when_a_reader_waits_for_it_and_never_set_back() {
        let running = |sequence, score| recorded(Phase::Running, sequence, score);
        let mut ended = result(5, None);
        ended.outcome = Some(Outcome::StepsExhausted);
        let mut broken = result(5, None);
        broken.task_error = Some("answers.csv is gone".into());
        for (name, previous, report, last, expected) in [
            (
                "the first one, before the agent is seen to act",
                recorded(Phase::Starting, None, None),
                result(0, None),
                None,
                "hold",
            ),
            (
                "the first one soon after the agent began",
                since(running(None, None), -5),
                result(2, None),
                None,
                "hold",
            ),
            (
                "the first one a minute after the agent began",
                since(running(None, None), -61),
                result(2, None),
                None,
                "write",
            ),
            (
                "more steps soon after",
                running(Some(2), None),
                result(4, None),
                Some(0),
                "hold",
            ),
            (
                "more steps a minute later",
                running(Some(2), None),
                result(4, None),
                Some(-61),
                "write",
            ),
            (
                "after a restart of the server",
                running(Some(2), None),
                result(4, None),
                None,
                "write",
            ),
            (
                "the first valid score",
                running(Some(2), None),
                result(4, Some(0.5)),
                Some(0),
                "write",
            ),
            (
                "the same score",
                running(Some(2), Some(0.5)),
                result(4, Some(0.5)),
                Some(0),
                "hold",
            ),
            (
                "a better score",
                running(Some(2), Some(0.5)),
                result(4, Some(0.75)),
                Some(0),
                "write",
            ),
            ("a spent budget", running(Some(2), None), ended, Some(0), "hold"),
            ("a broken Task", running(Some(2), None), broken, Some(0), "hold"),
            (
                "the same one again",
                running(Some(4), None),
                result(4, Some(0.5)),
                None,
                "stale",
            ),
            (
                "an older one",
                running(Some(6), None),
                result(4, Some(0.5)),
                None,
                "stale",
            ),
            (
                "after the end",
                recorded(Phase::Completed, Some(2), None),
                result(4, None),
                None,
                "stale",
            ),
            (
                "after the attempt",
                recorded(Phase::Pending, None, None),
                result(4, None),
                None,
                "stale",
            ),
            (
                "while suspended",
                recorded(Phase::Suspended, Some(2), None),
                result(4, None),
                None,
                "stale",
            ),
        ] {
            let update = live(&previous, &report, None, last.map(at), at(0));
            assert_eq!(word(&update), expected, "{name}");
        }
    }

    #[test]
    fn what_is_written_is_the_report_on_top_of_what_was_there() {
        let mut previous = recorded(Phase::Running, Some(2), None);
        previous.node = Some("node1".into());
        let LiveUpdate::Write(status) = live(
            &previous,
            &result(4, Some(0.5)),
            Some("file:///a".into()),
            None,
            at(0),
        ) else {
            panic!("not written");
        };
        assert_eq!(
            (status.steps.as_deref(), status.sequence),
            (Some("1/15"), Some(4))
        );
        assert_eq!((status.score, status.reward), (Some(0.5), Some(0.5)));
        assert_eq!(status.trajectory.unwrap().uri, "file:///a");
        assert_eq!(status.node.as_deref(), Some("node1"));
    }
}
