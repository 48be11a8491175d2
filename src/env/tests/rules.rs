//! The rules of an episode, one sentence each.

use serde_json::{Value, json};

use super::super::*;
use super::world::{Episode, at, broke, config, graded, public, ran, request, sent, standing};
use crate::api::conditions::Outcome;
use crate::api::status::RewardBasis;
use crate::wire::channel::{RunExit, RunRequest, SubmissionFound, SubmissionRequest};

fn evaluation(change: &Value) -> RelayConfig {
    config(|config| {
        for (key, value) in change.as_object().unwrap() {
            config["evaluation"][key] = value.clone();
        }
    })
}

fn limits(change: &Value) -> RelayConfig {
    config(|config| {
        for (key, value) in change.as_object().unwrap() {
            config["limits"][key] = value.clone();
        }
    })
}

fn name() -> StepRequest {
    request("request_info", json!({"info_type": "name"}))
}

fn execute() -> StepRequest {
    request("execute_code", json!({"code": "pass"}))
}

fn run_of(effect: &Effect) -> &RunRequest {
    match effect {
        Effect::Run(run) => run,
        other => panic!("no run: {other:?}"),
    }
}

fn type_of(reply: &StepReply) -> ErrorType {
    reply.observation.error.as_ref().unwrap().error_type
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
            vec![EffectOutcome::ExecutorLost {
                reason: "killed".into(),
            }],
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
        EffectOutcome::ExecutorLost {
            reason: "killed".into(),
        },
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

#[test]
fn the_step_that_spends_the_last_step_is_truncated_and_no_other_follows() {
    let mut episode = Episode::new(limits(&json!({"steps": 2})));
    assert!(!episode.keyed(name(), Some("a"), vec![]).truncated);
    let last = episode.keyed(
        execute(),
        Some("b"),
        vec![sent(), graded(standing(0.9, 3, 2), None)],
    );
    assert!(last.truncated && !last.terminated);
    assert_eq!(last.observation.truncated_by, Some(Budget::Steps));
    assert_eq!(last.observation.budget.steps, 0);
    assert!(last.reward > 0.0);
    let over = Begin::Refused(Refusal::EpisodeOver(Budget::Steps));
    assert_eq!(episode.begin(name(), Some("c")), over);
    assert_eq!(episode.begin(name(), Some("a")), Begin::Replay { step: 1 });
    assert_eq!(episode.begin(execute(), Some("b")), Begin::Replay { step: 2 });
    let ended = episode.engine.result(episode.now());
    assert_eq!(
        (ended.outcome, ended.sequence),
        (Some(Outcome::StepsExhausted), 4)
    );
    episode.ms += 100_000_000;
    assert_eq!(episode.begin(name(), None), over, "the budget stays the same one");
    assert_eq!(episode.engine.result(episode.now()), ended);
}

#[test]
fn a_wall_clock_that_runs_out_while_the_agent_thinks_ends_the_episode() {
    let mut episode = Episode::new(limits(&json!({"wallClockMs": 10_000})));
    episode.step(name(), vec![]);
    let before = episode.engine.result(episode.now());
    assert_eq!(episode.engine.deadline_ms(), Some(at(10_000).monotonic_ms));
    episode.ms = 9_999;
    assert_eq!(episode.engine.spent(episode.now()), None);
    episode.ms = 10_000;
    assert_eq!(episode.engine.spent(episode.now()), Some(Budget::WallClock));
    assert_eq!(
        episode.begin(name(), None),
        Begin::Refused(Refusal::EpisodeOver(Budget::WallClock))
    );
    episode.ms = 15_000;
    let after = episode.engine.result(episode.now());
    assert_eq!(after.outcome, Some(Outcome::WallClockExhausted));
    assert!(after.sequence > before.sequence);
    assert_eq!((after.steps, after.wall_seconds), (1, 10.0));
    assert!(episode.engine.state(episode.now()).truncated);
}

#[test]
fn a_program_is_cut_by_the_wall_clock_when_that_comes_first() {
    let mut episode = Episode::new(limits(&json!({"wallClockMs": 10_000})));
    episode.ms = 7_500;
    let reply = episode.execute(vec![broke(RunExit::TimedOut { killed: false }, "")]);
    assert_eq!(run_of(&episode.effects[0]).timeout_ms, 2_000);
    // The clock of the engine reads 9 s here; the executor's word that the limit was reached decides.
    assert_eq!(reply.observation.truncated_by, Some(Budget::WallClock));
    assert_eq!(reply.observation.budget.wall_clock_seconds, 0.0);
    let error = reply.observation.error.unwrap().error;
    assert!(error.contains("wall clock of the episode"), "{error}");
    assert_eq!(episode.engine.spent(episode.now()), Some(Budget::WallClock));
    assert_eq!(episode.rebuilt().spent(at(0)), Some(Budget::WallClock));
}

#[test]
fn a_submission_that_was_graded_after_the_wall_clock_ran_out_counts() {
    let mut episode = Episode::new(limits(&json!({"wallClockMs": 10_000})));
    episode.ms = 8_000;
    let reply = episode.execute(vec![sent(), graded(standing(0.9, 3, 2), None)]);
    assert_eq!(reply.observation.truncated_by, Some(Budget::WallClock));
    assert_eq!(episode.engine.result(episode.now()).score, Some(0.9));
}

#[test]
fn the_wall_clock_counts_on_from_the_last_step_after_a_restart() {
    let mut episode = Episode::new(limits(&json!({"wallClockMs": 10_000})));
    episode.step(name(), vec![]);
    let mut engine = Engine::new(episode.config.clone(), public());
    for record in episode.records() {
        engine.commit(&record);
    }
    assert_eq!(engine.deadline_ms(), None);
    assert_eq!(engine.budget_left(at(0)).wall_clock_seconds, 9.5);
    engine.start(at(1_000_000));
    assert_eq!(engine.spent(at(1_009_499)), None);
    assert_eq!(engine.spent(at(1_009_500)), Some(Budget::WallClock));
}

#[test]
fn a_second_step_is_refused_and_the_same_one_joins_until_the_record_is_journaled() {
    let mut episode = Episode::new(config(|_| ()));
    assert!(matches!(episode.begin(execute(), Some("k")), Begin::Perform(_)));
    let checks = |episode: &mut Episode| {
        assert!(episode.engine.state(episode.now()).busy);
        assert_eq!(episode.begin(execute(), None), Begin::Refused(Refusal::Busy));
        assert_eq!(episode.begin(name(), Some("l")), Begin::Refused(Refusal::Busy));
        assert_eq!(episode.begin(execute(), Some("k")), Begin::Join);
        assert_eq!(
            episode.begin(name(), Some("k")),
            Begin::Refused(Refusal::IdempotencyConflict { step: None })
        );
    };
    checks(&mut episode);
    let now = episode.now();
    let progress = episode
        .engine
        .advance(broke(RunExit::Exited { code: 1 }, ""), now);
    let Progress::Finished(record) = progress else {
        panic!("{progress:?}")
    };
    checks(&mut episode);
    episode.commit(&record);
    assert!(!episode.engine.state(episode.now()).busy);
    assert_eq!(episode.begin(execute(), Some("k")), Begin::Replay { step: 1 });
    assert_eq!(
        episode.begin(name(), Some("k")),
        Begin::Refused(Refusal::IdempotencyConflict { step: Some(1) })
    );
    assert!(matches!(episode.begin(execute(), Some("l")), Begin::Perform(_)));
    assert_eq!(
        episode.begin(execute(), Some("k")),
        Begin::Replay { step: 1 },
        "also while another step runs"
    );
}

#[test]
fn a_request_that_makes_no_sense_is_a_step_with_a_key_like_any_other() {
    let mut episode = Episode::new(config(|_| ()));
    let bad = request("execute_code", json!({"cod": "pass"}));
    let reply = episode.keyed(bad.clone(), Some("k"), vec![]);
    assert_eq!(type_of(&reply), ErrorType::InvalidArgumentError);
    assert_eq!(
        reply.observation.history_summary,
        "Total Actions: 1, Last Action: execute_code"
    );
    let record = &episode.records()[0];
    assert_eq!(
        (record.action.as_str(), &record.params),
        ("execute_code", &bad.params)
    );
    assert_eq!(episode.begin(bad, Some("k")), Begin::Replay { step: 1 });
}

#[test]
fn a_step_that_was_given_up_leaves_nothing_behind() {
    let mut episode = Episode::new(config(|_| ()));
    let before = episode.engine.state(episode.now());
    let Begin::Perform(first) = episode.begin(execute(), Some("k")) else {
        panic!("no effect")
    };
    episode.engine.abandon();
    assert_eq!(episode.engine.state(episode.now()), before);
    let Begin::Perform(second) = episode.begin(execute(), Some("k")) else {
        panic!("no effect")
    };
    assert_eq!(run_of(&first).file_name, run_of(&second).file_name);
    assert_ne!(run_of(&first).run, run_of(&second).run);
}

#[test]
fn an_outcome_that_does_not_fit_fails_the_step_and_nothing_else() {
    let mut episode = Episode::new(config(|_| ()));
    let reply = episode.execute(vec![EffectOutcome::ResetDone(Ok(()))]);
    assert_eq!(type_of(&reply), ErrorType::SandboxError);
    let now = episode.now();
    let progress = episode.engine.advance(EffectOutcome::ResetDone(Ok(())), now);
    let Progress::Finished(record) = progress else {
        panic!("{progress:?}")
    };
    assert_eq!((record.step, record.action.as_str()), (2, ""));
}

#[test]
fn history_asks_only_when_there_is_something_to_read() {
    let mut episode = Episode::new(config(|_| ()));
    let first = episode.step(request("get_history", json!({})), vec![]);
    assert_eq!(first.observation.result["data"]["steps"], json!([]));
    let beyond = episode.step(request("get_history", json!({"from": 9})), vec![]);
    assert_eq!(beyond.observation.action_status, ActionStatus::Success);
    let feedback = &beyond.observation.feedback.base.feedback;
    assert!(
        feedback.contains("There is no step 9 yet; the last one is 1."),
        "{feedback}"
    );
    let page = episode.read(2, 2);
    let second = episode.step(request("get_history", json!({"from": 2})), vec![page]);
    assert_eq!(episode.effects, [Effect::ReadHistory { first: 2, last: 2 }]);
    assert_eq!(
        second.observation.result["data"]["steps"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(second.observation.result["data"]["next"], Value::Null);
}

#[test]
fn a_history_that_cannot_be_read_is_said_to_be_so() {
    let mut episode = Episode::new(config(|_| ()));
    episode.step(name(), vec![]);
    let reply = episode.step(
        request("get_history", json!({})),
        vec![EffectOutcome::History(Vec::new())],
    );
    assert_eq!(type_of(&reply), ErrorType::SandboxError);
}

#[test]
fn a_history_of_the_largest_programs_stays_bounded_however_often_it_is_read() {
    let mut episode = Episode::new(limits(&json!({"steps": 200})));
    for n in 0..50 {
        let code = "é".repeat(50_000 + n);
        episode.step(
            request("execute_code", json!({"code": code})),
            vec![broke(RunExit::Exited { code: 1 }, &"x".repeat(16_000))],
        );
    }
    let mut sizes = Vec::new();
    for from in [1, 1, 1, 2, 50] {
        let page = episode.read(from, 49 + from.min(2));
        let reply = episode.step(
            request(
                "get_history",
                json!({"from": from, "limit": 50.min(51 - from + from.min(2) - 1)}),
            ),
            vec![page],
        );
        assert_eq!(reply.observation.action_status, ActionStatus::Success);
        sizes.push(serde_json::to_string(&reply).unwrap().len());
    }
    assert!(sizes.iter().all(|size| *size < 150_000), "{sizes:?}");
}
