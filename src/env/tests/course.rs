//! The course of an episode: budgets, restarts, repeated requests, history.

use serde_json::{Value, json};

use super::super::*;
use super::world::{
    Episode, at, broke, config, execute, graded, name, public, request, run_of, sent, standing, type_of,
};
use crate::api::conditions::Outcome;
use crate::wire::channel::RunExit;

fn limits(change: &Value) -> RelayConfig {
    config(|config| {
        for (key, value) in change.as_object().unwrap() {
            config["limits"][key] = value.clone();
        }
    })
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
fn a_score_survives_the_journal_to_the_last_bit() {
    // Numbers whose shortest text a careless reader takes for their neighbour.
    for score in [
        0.425_000_000_000_000_04,
        0.1 + 0.2,
        1.0 - f64::EPSILON / 2.0,
        5e-324,
    ] {
        let mut episode = Episode::new(config(|_| ()));
        episode.execute(vec![sent(), graded(standing(score, 3, 2), None)]);
        let read = episode.records()[0].grade.clone().unwrap().visible.score;
        assert_eq!(read.to_bits(), score.to_bits(), "{score:?} became {read:?}");
    }
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
    for (from, limit) in [(1, 50), (1, 50), (1, 50), (2, 50), (50, 1)] {
        let page = episode.read(from, from + limit - 1);
        let asked = request("get_history", json!({"from": from, "limit": limit}));
        let reply = episode.step(asked, vec![page]);
        assert_eq!(reply.observation.action_status, ActionStatus::Success);
        sizes.push(serde_json::to_string(&reply).unwrap().len());
    }
    assert!(sizes.iter().all(|size| *size < 150_000), "{sizes:?}");
}
