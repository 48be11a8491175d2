use super::*;
use crate::api::conditions::Medal;
use crate::api::status::RewardBasis;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn observed(stage: Stage) -> Observed {
    Observed {
        generation: Some(1),
        agent: "replay".into(),
        step_limit: 15,
        task_problem: None,
        stage,
        attempt: Some(1),
        retries: None,
        started_at: Some(at(0)),
        result: None,
        failure: None,
        pod: None,
        node: Some("laptop".into()),
        gpu: None,
        provenance: Some(ProvenanceStatus {
            version: "0.1.0".into(),
            task_digest: "abc".into(),
            ..ProvenanceStatus::default()
        }),
        trajectory_uri: Some("file:///runs/demo/trajectory.jsonl".into()),
    }
}

fn result(valid: bool) -> EpisodeResult {
    EpisodeResult {
        sequence: 3,
        outcome: None,
        task_error: None,
        sandbox_error: None,
        steps: 3,
        step_limit: 15,
        score: valid.then_some(0.991_234_56),
        reward: if valid { 0.876_54 } else { 0.0 },
        basis: RewardBasis::HumanRank,
        valid_submission: valid,
        places: if valid {
            vec![("private".into(), 3, 20)]
        } else {
            Vec::new()
        },
        medal: valid.then_some(Medal::Gold),
        above_median: valid.then_some(true),
        wall_seconds: 12.5,
        execution_seconds: 8.0,
        cpu_seconds: 7.5,
        peak_memory_bytes: 1 << 20,
        trajectory_sha256: "def".into(),
        trajectory_bytes: 4096,
        executor: true,
        layers: vec!["seccomp".into()],
    }
}

fn ended(code: i32) -> Stage {
    Stage::Ended {
        agent_exit: Some(code),
    }
}

fn failure(class: FailureClass) -> FailureStatus {
    FailureStatus {
        class,
        reason: "RelayLost".into(),
        message: "the relay ended with signal 9".into(),
    }
}

/// Phase, reason, outcome, failure class, reward.
type Summary = (
    Phase,
    Option<&'static str>,
    Option<Outcome>,
    Option<FailureClass>,
    Option<f64>,
);

#[test]
fn phase_outcome_and_reward_follow_from_what_was_observed() {
    let waiting = Stage::Waiting {
        reason: "Queued".into(),
        message: "2 others run".into(),
    };
    let starting = Stage::Starting {
        reason: "PreparingData".into(),
        message: "prepare.py runs".into(),
    };
    let with = |stage: Stage, change: fn(&mut Observed)| {
        let mut observed = observed(stage);
        change(&mut observed);
        observed
    };
    let truncated = |observed: &mut Observed| {
        observed.result = Some(EpisodeResult {
            outcome: Some(Outcome::StepsExhausted),
            ..result(true)
        });
    };
    let task_error = |observed: &mut Observed| {
        observed.result = Some(EpisodeResult {
            task_error: Some("answers.csv has no column `y`".into()),
            ..result(true)
        });
    };
    use FailureClass as Class;
    let cases: Vec<(&str, Observed, Summary)> = vec![
        (
            "queued",
            with(waiting.clone(), |_| {}),
            (Phase::Pending, Some("Queued"), None, None, None),
        ),
        (
            "its Task has a problem",
            with(waiting, |observed| {
                observed.task_problem = Some("data.path".into());
            }),
            (Phase::Pending, Some("TaskNotReady"), None, None, None),
        ),
        (
            "suspended",
            with(Stage::Suspended, |_| {}),
            (Phase::Suspended, None, None, None, None),
        ),
        (
            "starting",
            with(starting.clone(), |_| {}),
            (Phase::Starting, Some("PreparingData"), None, None, None),
        ),
        (
            "preparation failed",
            with(starting, |observed| {
                observed.failure = Some(failure(FailureClass::Task));
            }),
            (Phase::Failed, Some("RelayLost"), None, Some(Class::Task), None),
        ),
        (
            "running without a valid submission",
            with(Stage::Running, |observed| observed.result = Some(result(false))),
            (Phase::Running, None, None, None, None),
        ),
        (
            "running with one",
            with(Stage::Running, |observed| observed.result = Some(result(true))),
            (Phase::Running, None, None, None, Some(0.876_54)),
        ),
        (
            "out of steps, the agent not gone yet",
            with(Stage::Running, truncated),
            (Phase::Running, None, None, None, Some(0.876_54)),
        ),
        (
            "the agent finished",
            with(ended(0), |observed| observed.result = Some(result(true))),
            (
                Phase::Completed,
                None,
                Some(Outcome::AgentFinished),
                None,
                Some(0.876_54),
            ),
        ),
        (
            "the agent finished without a valid submission",
            with(ended(0), |observed| observed.result = Some(result(false))),
            (
                Phase::Completed,
                Some("NoValidSubmission"),
                Some(Outcome::AgentFinished),
                None,
                Some(0.0),
            ),
        ),
        (
            "the agent crashed",
            with(ended(137), |observed| observed.result = Some(result(true))),
            (
                Phase::Completed,
                None,
                Some(Outcome::AgentFailed),
                None,
                Some(0.876_54),
            ),
        ),
        (
            "a spent budget outranks the exit code",
            with(ended(1), truncated),
            (
                Phase::Completed,
                None,
                Some(Outcome::StepsExhausted),
                None,
                Some(0.876_54),
            ),
        ),
        (
            "a spent budget outranks a later failure",
            with(ended(1), |observed| {
                observed.result = Some(EpisodeResult {
                    outcome: Some(Outcome::WallClockExhausted),
                    ..result(true)
                });
                observed.failure = Some(failure(FailureClass::Infrastructure));
            }),
            (
                Phase::Completed,
                None,
                Some(Outcome::WallClockExhausted),
                None,
                Some(0.876_54),
            ),
        ),
        (
            "the grader is broken, even while the agent acts",
            with(Stage::Running, task_error),
            (Phase::Failed, Some("TaskBroken"), None, Some(Class::Task), None),
        ),
        (
            "the grader is broken and a budget is spent",
            with(ended(0), |observed| {
                observed.result = Some(EpisodeResult {
                    outcome: Some(Outcome::StepsExhausted),
                    task_error: Some("no board".into()),
                    ..result(true)
                });
            }),
            (Phase::Failed, Some("TaskBroken"), None, Some(Class::Task), None),
        ),
        (
            "the relay was lost: never a reward of 0",
            with(ended(0), |observed| {
                observed.result = Some(result(true));
                observed.failure = Some(failure(FailureClass::Infrastructure));
            }),
            (
                Phase::Failed,
                Some("RelayLost"),
                None,
                Some(Class::Infrastructure),
                None,
            ),
        ),
        (
            "no result at all",
            with(ended(0), |_| {}),
            (
                Phase::Failed,
                Some("NoResult"),
                None,
                Some(Class::Infrastructure),
                None,
            ),
        ),
        (
            "cancelled",
            with(Stage::Cancelled, |observed| observed.result = Some(result(true))),
            (Phase::Cancelled, None, None, None, None),
        ),
    ];
    for (name, observed, expected) in cases {
        let status = status(&observed, None, at(60));
        let found = (
            status.phase,
            status.reason.as_deref(),
            status.outcome,
            status.failure.as_ref().map(|failure| failure.class),
            status.reward,
        );
        assert_eq!(found, expected, "{name}");
        let flag = |wanted: &str| {
            status
                .conditions
                .iter()
                .any(|condition| condition.type_ == wanted)
        };
        assert_eq!(flag("Completed"), status.phase == Phase::Completed, "{name}");
        assert_eq!(flag("Failed"), status.phase == Phase::Failed, "{name}");
        assert_eq!(status.finished_at.is_some(), status.phase.is_final(), "{name}");
        let findings = crate::plan::validate::status_findings(&serde_json::to_value(&status).unwrap());
        assert!(findings.is_empty(), "{name}: {findings:?}");
    }
}

#[test]
fn a_completed_episode_reports_score_places_medal_usage_and_where_its_trajectory_is() {
    let mut observed = observed(ended(0));
    observed.result = Some(result(true));
    let status = status(&observed, None, at(60));
    assert_eq!(status.steps.as_deref(), Some("3/15"));
    let display = status.display.unwrap();
    assert_eq!(display.score.as_deref(), Some("0.99123"));
    assert_eq!(display.reward.as_deref(), Some("0.8765"));
    assert_eq!(status.reward_basis, Some(RewardBasis::HumanRank));
    assert_eq!(status.medal, Some(Medal::Gold));
    assert_eq!((status.places[0].place, status.places[0].total), (3, 20));
    assert_eq!(status.usage.unwrap().execution_seconds, 8.0);
    assert_eq!(status.provenance.unwrap().sandbox_layers, ["seccomp"]);
    assert_eq!(status.trajectory.unwrap().digest, "def");
    assert_eq!(status.started_at, Some(Time(at(0))));
    assert_eq!(status.finished_at, Some(Time(at(60))));
}

#[test]
fn the_same_observation_gives_the_same_status_at_any_later_time() {
    for stage in [
        Stage::Running,
        ended(0),
        ended(1),
        Stage::Cancelled,
        Stage::Suspended,
    ] {
        let mut observed = observed(stage.clone());
        observed.result = Some(result(true));
        let first = status(&observed, None, at(60));
        let later = status(&observed, Some(&first), at(3_600));
        assert_eq!(first, later, "{stage:?}");
    }
}

#[test]
fn a_condition_keeps_its_time_until_its_status_flips() {
    let time_of = |status: &EpisodeStatus, wanted: &str| {
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == wanted);
        condition.map(|condition| (condition.status.clone(), condition.last_transition_time.0))
    };
    let starting = |reason: &str| Stage::Starting {
        reason: reason.into(),
        message: String::new(),
    };
    let first = status(&observed(starting("PreparingData")), None, at(1));
    let second = status(&observed(starting("Starting")), Some(&first), at(2));
    let third = status(&observed(Stage::Running), Some(&second), at(3));
    assert_eq!(time_of(&first, "PodReady"), Some(("False".into(), at(1))));
    assert_eq!(
        time_of(&second, "PodReady"),
        Some(("False".into(), at(1))),
        "only the reason changed"
    );
    assert_eq!(time_of(&third, "PodReady"), Some(("True".into(), at(3))));
    assert_eq!(time_of(&third, "TaskReady"), Some(("True".into(), at(1))));
    assert_eq!(time_of(&third, "Completed"), None);
    assert!(
        third
            .conditions
            .iter()
            .all(|condition| condition.observed_generation == Some(1))
    );
}

#[test]
fn times_have_whole_seconds_and_texts_fit_the_schema() {
    let mut observed = observed(ended(0));
    observed.failure = Some(FailureStatus {
        class: FailureClass::Infrastructure,
        reason: "9 not camel-case!".into(),
        message: "é".repeat(10_000),
    });
    let now = at(60).checked_add(jiff::Span::new().milliseconds(789)).unwrap();
    let status = status(&observed, None, now);
    assert_eq!(status.finished_at, Some(Time(at(60))));
    let failure = status.failure.as_ref().unwrap();
    assert_eq!(failure.reason, "notcamelcase");
    assert_eq!(failure.message.chars().count(), MAX_MESSAGE);
    let findings = crate::plan::validate::status_findings(&serde_json::to_value(&status).unwrap());
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(word("12"), "Unknown");
}
