//! What actions do and show: programs, grading, feedback modes, the result.

use serde_json::{Value, json};

use super::super::*;
use super::world::{Episode, broke, config, graded, name, ran, request, run_of, sent, standing, type_of};
use crate::api::status::RewardBasis;
use crate::wire::channel::{RunExit, SubmissionFound, SubmissionRequest};

fn evaluation(change: &Value) -> RelayConfig {
    config(|config| {
        for (key, value) in change.as_object().unwrap() {
            config["evaluation"][key] = value.clone();
        }
    })
}

#[test]
fn execute_code_runs_in_the_workspace_and_asks_for_its_own_submission() {
    let mut episode = Episode::new(config(|_| ()));
    episode.step(name(), vec![]);
    episode.execute(vec![sent(), graded(standing(0.9, 3, 2), None)]);
    let run = run_of(&episode.effects[0]);
    assert_eq!(
        (run.kind, run.file_name.as_str()),
        (RunKind::Execute, "execution_2.py")
    );
    assert_eq!(run.code, "import os\nprint(os.environ['DOJO_PUBLIC'])\n");
    assert_eq!(run.timeout_ms, 300_000);
    assert_eq!(
        run.submission,
        Some(SubmissionRequest {
            file: "submission.csv".into(),
            max_bytes: 104_857_600,
            keep_as: "submission_2.csv".into(),
        })
    );
    let env: Vec<_> = run
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        env,
        [
            ("DOJO_SEED", "7"),
            ("PYTHONHASHSEED", "7"),
            ("DOJO_PUBLIC", "/data/public"),
            ("DOJO_WORKSPACE", "/workspace"),
        ]
    );
    assert_eq!(episode.effects[1], Effect::Evaluate);
}

#[test]
fn a_seed_beyond_pythons_range_still_lets_python_start() {
    let mut episode = Episode::new(config(|config| {
        config["seed"] = json!(u64::from(u32::MAX) + 6);
    }));
    episode.execute(vec![broke(RunExit::Exited { code: 1 }, "")]);
    let env = &run_of(&episode.effects[0]).env;
    assert!(env.contains(&("PYTHONHASHSEED".into(), "5".into())), "{env:?}");
    assert!(
        env.contains(&("DOJO_SEED".into(), "4294967301".into())),
        "{env:?}"
    );
}

#[test]
fn validate_code_has_its_own_limit_and_never_grades() {
    let mut episode = Episode::new(config(|_| ()));
    let reply = episode.step(request("validate_code", json!({"code": "pass"})), vec![sent()]);
    let run = run_of(&episode.effects[0]);
    assert_eq!(
        (run.kind, run.file_name.as_str(), run.timeout_ms),
        (RunKind::Validate, "validation_1.py", 60_000)
    );
    assert_eq!(run.submission, None);
    assert_eq!(episode.effects.len(), 1);
    assert_eq!(
        (reply.reward, reply.observation.action_status),
        (0.0, ActionStatus::Success)
    );
    assert_eq!(episode.records()[0].grade, None);
    assert!(episode.records()[0].usage.is_some());
}

#[test]
fn a_program_that_failed_is_not_graded_although_a_submission_came() {
    for exit in [
        RunExit::Exited { code: 1 },
        RunExit::Signaled { signal: 9 },
        RunExit::TimedOut { killed: false },
        RunExit::Cancelled,
    ] {
        let mut episode = Episode::new(config(|_| ()));
        let found = SubmissionFound::Sent {
            bytes: 1,
            sha256: "00".into(),
        };
        let reply = episode.execute(vec![ran(exit, found, "", "")]);
        assert_eq!(reply.observation.action_status, ActionStatus::Failed);
        assert_eq!(episode.effects.len(), 1, "no Evaluate");
        assert_eq!(reply.observation.result["submission"], Value::Null);
    }
}

#[test]
fn each_failure_has_its_error_type_and_no_reward() {
    let exited = |submission| vec![ran(RunExit::Exited { code: 0 }, submission, "", "")];
    let refused = |failure| vec![sent(), EffectOutcome::Evaluated(Err(failure))];
    let cases = [
        (
            exited(SubmissionFound::Missing),
            ErrorType::SubmissionNotFoundError,
        ),
        (exited(SubmissionFound::NotLooked), ErrorType::SandboxError),
        (
            exited(SubmissionFound::Refused {
                reason: "a FIFO".into(),
            }),
            ErrorType::InvalidSubmissionError,
        ),
        (
            refused(GradeFailure::Invalid("row 1".into())),
            ErrorType::InvalidSubmissionError,
        ),
        (
            refused(GradeFailure::Task("no answers".into())),
            ErrorType::EvaluationError,
        ),
        (
            vec![sent(), graded(standing(f64::NAN, 1, 1), None)],
            ErrorType::EvaluationError,
        ),
        (
            vec![EffectOutcome::ExecutorLost(Loss::Closed)],
            ErrorType::SandboxResourceError,
        ),
        (
            vec![broke(RunExit::Syntax { message: "x".into() }, "")],
            ErrorType::CodeSyntaxError,
        ),
    ];
    for (outcomes, error_type) in cases {
        let mut episode = Episode::new(config(|_| ()));
        let reply = episode.execute(outcomes);
        assert_eq!(type_of(&reply), error_type);
        assert_eq!(reply.observation.action_status, ActionStatus::Failed);
        assert_eq!((reply.reward, reply.observation.current_raw_score), (0.0, 0.0));
        assert_eq!(episode.engine.state(episode.now()).steps, 1);
    }
}

#[test]
fn a_reset_that_fails_is_a_sandbox_error() {
    for outcome in [
        EffectOutcome::ResetDone(Err("permission denied".into())),
        EffectOutcome::ExecutorLost(Loss::Closed),
    ] {
        let mut episode = Episode::new(config(|_| ()));
        let reply = episode.step(request("reset", json!({})), vec![outcome]);
        assert_eq!(type_of(&reply), ErrorType::SandboxError);
    }
}

#[test]
fn reset_refunds_nothing_and_keeps_record_and_best() {
    let mut episode = Episode::new(config(|_| ()));
    episode.execute(vec![sent(), graded(standing(0.9, 3, 2), None)]);
    let before = episode.engine.budget_left(episode.now());
    let reply = episode.step(
        request("reset", json!({})),
        vec![EffectOutcome::ResetDone(Ok(()))],
    );
    assert_eq!(episode.effects[2], Effect::Reset { run: 2 });
    assert_eq!(reply.observation.best_raw_score, Some(0.9));
    let after = episode.engine.budget_left(episode.now());
    assert_eq!(after.steps, before.steps - 1);
    assert!(after.wall_clock_seconds < before.wall_clock_seconds);
    let page = episode.read(1, 2);
    let history = episode.step(request("get_history", json!({})), vec![page]);
    assert_eq!(history.observation.result["data"]["total"], 2);
}

#[test]
fn what_the_grader_says_of_the_task_is_recorded_and_not_shown() {
    let mut episode = Episode::new(config(|_| ()));
    let secret = "answers.csv says ".to_owned() + &"é".repeat(400);
    let reply = episode.execute(vec![
        sent(),
        EffectOutcome::Evaluated(Err(GradeFailure::Task(secret.clone()))),
    ]);
    let shown = serde_json::to_string(&reply).unwrap();
    assert!(!shown.contains("answers.csv"), "{shown}");
    assert_eq!(episode.records()[0].task_error.as_deref(), Some(secret.as_str()));
    let error = episode.engine.result(episode.now()).task_error.unwrap();
    assert_eq!(error.chars().count(), 200);
    assert!(secret.starts_with(&error));
    let page = episode.read(1, 1);
    let history = episode.step(request("get_history", json!({})), vec![page]);
    assert!(!serde_json::to_string(&history).unwrap().contains("answers.csv"));
    assert_eq!(
        episode.rebuilt().result(episode.now()),
        episode.engine.result(episode.now())
    );
}

#[test]
fn an_episode_with_a_valid_submission_has_a_result_whatever_the_grader_did_besides() {
    let mut episode = Episode::new(config(|_| ()));
    episode.execute(vec![
        sent(),
        EffectOutcome::Evaluated(Err(GradeFailure::Task("overflow".into()))),
    ]);
    assert!(episode.engine.result(episode.now()).task_error.is_some());
    episode.execute(vec![sent(), graded(standing(0.9, 3, 2), None)]);
    let result = episode.engine.result(episode.now());
    assert_eq!((result.task_error, result.score), (None, Some(0.9)));
}

#[test]
fn a_sandbox_that_never_ran_a_program_is_told_of_and_one_that_was_spoilt_later_is_not() {
    let refused = || {
        broke(
            RunExit::Sandbox {
                message: "no Landlock".into(),
            },
            "",
        )
    };
    let mut episode = Episode::new(config(|_| ()));
    let error = |episode: &Episode| episode.engine.result(episode.now()).sandbox_error;
    assert_eq!(error(&episode), None);
    episode.execute(vec![refused()]);
    assert!(error(&episode).unwrap().contains("no Landlock"));
    assert_eq!(
        episode.rebuilt().result(episode.now()),
        episode.engine.result(episode.now())
    );
    episode.execute(vec![broke(RunExit::Exited { code: 1 }, "Traceback")]);
    assert_eq!(error(&episode), None);
    episode.execute(vec![refused()]);
    assert_eq!(error(&episode), None);
}

#[test]
fn validity_feedback_records_the_grade_and_shows_nothing_of_it() {
    let mut episode = Episode::new(evaluation(&json!({"feedback": "Validity"})));
    let reply = episode.execute(vec![sent(), graded(standing(0.918_273, 3, 2), None)]);
    let shown = serde_json::to_string(&reply).unwrap();
    assert!(!shown.contains("0.918") && !shown.contains("private"), "{shown}");
    assert_eq!((reply.reward, reply.observation.best_raw_score), (0.0, None));
    assert_eq!(
        episode.records()[0].grade.as_ref().unwrap().visible.score,
        0.918_273
    );
    assert_eq!(episode.engine.state(episode.now()).best_raw_score, None);
    let result = episode.engine.result(episode.now());
    assert_eq!(
        (result.score, result.reward),
        (Some(0.918_273), standing(0.0, 3, 2).human_rank.unwrap())
    );
    let page = episode.read(1, 1);
    let history = episode.step(request("get_history", json!({})), vec![page]);
    let shown = serde_json::to_string(&history).unwrap();
    assert!(
        !shown.contains("0.918") && shown.contains("\"total_reward\":0.0"),
        "{shown}"
    );
}

#[test]
fn the_best_is_chosen_on_visible_rows_and_counted_on_hidden_ones() {
    let mut episode = Episode::new(evaluation(&json!({"holdout": {"percent": 50}})));
    let basis = |episode: &Episode| episode.engine.result(episode.now()).basis;
    assert_eq!(basis(&episode), RewardBasis::HumanRankHoldout);
    let hidden = [standing(0.771_771, 4, 2), standing(0.991_991, 1, 1)];
    let reply = episode.execute(vec![sent(), graded(standing(0.9, 3, 2), Some(hidden[0].clone()))]);
    assert!(!serde_json::to_string(&reply).unwrap().contains("0.771"));
    let reply = episode.execute(vec![sent(), graded(standing(0.8, 5, 3), Some(hidden[1].clone()))]);
    assert!(!serde_json::to_string(&reply).unwrap().contains("0.991"));
    let result = episode.engine.result(episode.now());
    assert_eq!(result.score, Some(0.771_771));
    assert_eq!(result.reward, hidden[0].human_rank.unwrap());
    assert_eq!(
        result.places,
        [("private".into(), 4, 10), ("public".into(), 2, 4)]
    );
    assert_eq!(result.basis, RewardBasis::HumanRankHoldout);
}

#[test]
fn an_episode_without_a_valid_submission_has_reward_0() {
    let mut episode = Episode::new(config(|_| ()));
    episode.execute(vec![broke(RunExit::Exited { code: 1 }, "")]);
    let result = episode.engine.result(episode.now());
    assert_eq!(
        (result.reward, result.score, result.valid_submission),
        (0.0, None, false)
    );
    assert_eq!((result.outcome, result.steps, result.step_limit), (None, 1, 40));
    assert_eq!(
        (result.execution_seconds, result.peak_memory_bytes),
        (1.084, 123_456_789)
    );
}

#[test]
fn a_score_task_without_boards_is_rewarded_by_its_best_raw_score() {
    let mut episode = Episode::new(evaluation(&json!({
        "metric": {"builtin": "Rmse"}, "leaderboards": [], "reward": "Score", "stepReward": "Improvement",
    })));
    let mut rewards = Vec::new();
    for score in [4.0, 5.0, 2.5] {
        let mut standing = standing(score, 1, 1);
        (standing.places, standing.human_rank, standing.medal) = (Vec::new(), None, None);
        rewards.push(episode.execute(vec![sent(), graded(standing, None)]).reward);
    }
    assert_eq!(rewards, [0.0, 0.0, 1.5]);
    let result = episode.engine.result(episode.now());
    assert_eq!(
        (result.score, result.reward, result.basis),
        (Some(2.5), 2.5, RewardBasis::Score)
    );
}
