//! A scripted episode whose every observation is committed, so that a change of wording is seen.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::*;
use super::world::{Episode, broke, config, graded, ran, request, sent, standing};
use crate::wire::channel::{RunExit, SubmissionFound};

const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"execution_7.py\", line 2, in <module>\n    \
                         train['target']\nKeyError: 'target'\n";

fn transcript(out: &mut String, replies: &mut Vec<Value>, asked: &StepRequest, reply: &StepReply) {
    let _ = writeln!(
        out,
        "##### {} {}",
        asked.action,
        Value::Object(asked.params.clone())
    );
    out.push_str(&reply.observation.feedback.base.feedback);
    out.push('\n');
    let mut value = serde_json::to_value(reply).unwrap();
    value["observation"]["feedback"]["base"]["feedback"] = "see feedback.txt".into();
    replies.push(value);
}

fn script() -> Vec<(StepRequest, Vec<EffectOutcome>)> {
    let execute = |code: &str| request("execute_code", json!({"code": code}));
    let validate = |code: &str| request("validate_code", json!({"code": code}));
    let exited = |code| RunExit::Exited { code };
    vec![
        (request("request_info", json!({"info_type": "all"})), vec![]),
        (request("request_info", json!({"info_type": "answers"})), vec![]),
        (request("submit", json!({"file": "submission.csv"})), vec![]),
        (
            validate("print('a'"),
            vec![broke(
                RunExit::Syntax {
                    message: "line 1, column 6: '(' was never closed".into(),
                },
                "",
            )],
        ),
        (
            validate("print('a')"),
            vec![ran(
                exited(0),
                SubmissionFound::NotLooked,
                "a\n",
                "UserWarning: slow\n",
            )],
        ),
        (validate("train['target']"), vec![broke(exited(1), TRACEBACK)]),
        (
            execute("train = {}\ntrain['target']\n"),
            vec![broke(exited(1), TRACEBACK)],
        ),
        (
            execute("pass"),
            vec![ran(exited(0), SubmissionFound::Missing, "", "")],
        ),
        (
            execute("os.mkdir('submission.csv')"),
            vec![ran(
                exited(0),
                SubmissionFound::Refused {
                    reason: "it is a directory".into(),
                },
                "",
                "",
            )],
        ),
        (
            execute("# a bad submission"),
            vec![
                sent(),
                EffectOutcome::Evaluated(Err(GradeFailure::Invalid(
                    "row 3: `target` is empty; write a number".into(),
                ))),
            ],
        ),
        (
            execute("# a baseline"),
            vec![sent(), graded(standing(0.912_345_678, 7, 3), None)],
        ),
        (
            execute("# worse"),
            vec![sent(), graded(standing(0.83, 9, 4), None)],
        ),
        (
            execute("# better"),
            vec![sent(), graded(standing(0.985, 2, 1), None)],
        ),
        (
            request("reset", json!({})),
            vec![EffectOutcome::ResetDone(Ok(()))],
        ),
        (
            execute("while True: pass"),
            vec![ran(
                RunExit::TimedOut { killed: false },
                SubmissionFound::NotLooked,
                "epoch 1\n",
                "",
            )],
        ),
        (
            execute("x = bytearray(10**11)"),
            vec![broke(
                RunExit::Resource {
                    message: "memory over the limit of 2.0 GiB".into(),
                },
                "",
            )],
        ),
        (
            execute("os.kill(1, 9)"),
            vec![EffectOutcome::ExecutorLost(Loss::Closed)],
        ),
        (
            execute("import time; time.sleep(1000)"),
            vec![broke(RunExit::Cancelled, "")],
        ),
        (
            execute("# the grader fails"),
            vec![
                sent(),
                EffectOutcome::Evaluated(Err(GradeFailure::Task(
                    "answers.csv has no column `target`".into(),
                ))),
            ],
        ),
    ]
}

fn check(name: &str, committed: &str, found: &str) {
    if super::goldens_are_written() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/env")
            .join(name);
        super::write_golden(&path, found);
    } else if committed != found {
        let line = committed.lines().zip(found.lines()).position(|(a, b)| a != b);
        panic!(
            "tests/data/env/{name} differs, first in line {:?}; if that is meant, run the tests with \
             DOJO_WRITE_GOLDENS=1\n{found}",
            line.map(|line| line + 1)
        );
    }
}

#[test]
fn a_scripted_episode_reads_as_committed() {
    let mut episode = Episode::new(config(|_| ()));
    let (mut text, mut replies) = (String::new(), Vec::new());
    for (asked, outcomes) in script() {
        let reply = episode.step(asked.clone(), outcomes);
        transcript(&mut text, &mut replies, &asked, &reply);
    }
    let asked = request("get_history", json!({"from": 7, "limit": 5}));
    let page = episode.read(7, 11);
    let reply = episode.step(asked.clone(), vec![page]);
    transcript(&mut text, &mut replies, &asked, &reply);

    // The wall clock runs out during the last program.
    episode.ms = 3_600_000 - 2_000;
    let asked = request("execute_code", json!({"code": "while True: pass"}));
    let reply = episode.step(asked.clone(), vec![broke(RunExit::TimedOut { killed: true }, "")]);
    transcript(&mut text, &mut replies, &asked, &reply);

    check(
        "feedback.txt",
        include_str!("../../../tests/data/env/feedback.txt"),
        &text,
    );
    let replies: String = replies
        .iter()
        .map(|reply| serde_json::to_string_pretty(reply).unwrap() + "\n")
        .collect();
    check(
        "replies.json",
        include_str!("../../../tests/data/env/replies.json"),
        &replies,
    );
}

#[test]
fn each_feedback_mode_reads_as_committed() {
    let mut text = String::new();
    for evaluation in [
        json!({"feedback": "Score"}),
        json!({"feedback": "Validity"}),
        json!({"holdout": {"percent": 40}, "stepReward": "Improvement"}),
        json!({"metric": {"builtin": "Rmse"}, "leaderboards": [], "reward": "Score", "stepReward": "Score"}),
    ] {
        let _ = writeln!(text, "######## {evaluation}");
        let mut episode = Episode::new(config(|config| {
            for (key, value) in evaluation.as_object().unwrap() {
                config["evaluation"][key] = value.clone();
            }
        }));
        let boards = !episode.config.evaluation.leaderboards.is_empty();
        let asked = request("request_info", json!({"info_type": "metadata"}));
        let reply = episode.step(asked.clone(), vec![]);
        transcript(&mut text, &mut Vec::new(), &asked, &reply);
        for (score, place) in [(0.5, 8), (0.75, 6)] {
            let mut visible = standing(score, place, 3);
            if !boards {
                (visible.places, visible.human_rank) = (Vec::new(), None);
            }
            let hidden = standing(score + 0.125, place - 1, 2);
            let asked = request("execute_code", json!({"code": "pass"}));
            let reply = episode.step(asked.clone(), vec![sent(), graded(visible, Some(hidden))]);
            transcript(&mut text, &mut Vec::new(), &asked, &reply);
            let mut observation = serde_json::to_value(&reply.observation).unwrap();
            let keys = [
                "current_raw_score",
                "current_position_score",
                "best_raw_score",
                "best_position_score",
            ];
            for key in keys {
                let _ = writeln!(text, "{key}: {}", observation[key].take());
            }
            let _ = writeln!(
                text,
                "reward: {}\nsubmission: {}\n",
                reply.reward, observation["result"]["submission"]
            );
        }
    }
    check(
        "feedback_modes.txt",
        include_str!("../../../tests/data/env/feedback_modes.txt"),
        &text,
    );
}
