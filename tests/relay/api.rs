//! What the agent API answers.

use std::thread;
use std::time::Duration;

use mledojo::wire::agent::{ActionStatus, ErrorType};
use serde_json::json;

use crate::support::executor::Executor;
use crate::support::{Agent, Files, connect, execute, info, problem, start_relay, until};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_submission_is_graded_and_its_reward_comes_back() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    let first = agent.step("a", &execute("print hello\nsubmit 0.4"));
    assert_eq!(first.observation.action_status, ActionStatus::Success);
    // Places 4 of 5: as good as the entry of 0.4.
    assert!((first.observation.current_raw_score - 0.4).abs() < 1e-12);
    assert!((first.reward - 0.4).abs() < 1e-12);
    let better = agent.step("b", &execute("submit 0.05"));
    assert!((better.reward - 1.0).abs() < 1e-12);
    let failed = agent.step("c", &execute("print no\nexit 3"));
    assert_eq!(failed.step, 3);
    assert_eq!(
        failed.observation.error.unwrap().error_type,
        ErrorType::CodeRuntimeError
    );
    let page = agent.step("d", &json!({"action": "get_history"}));
    assert!(page.observation.result.to_string().contains("submit 0.05"));
    assert_eq!(
        agent
            .step("e", &json!({"action": "reset"}))
            .observation
            .action_status,
        ActionStatus::Success
    );

    let result = files.result();
    assert_eq!((result.steps, result.valid_submission), (5, true));
    assert!((result.reward - 1.0).abs() < 1e-12);
    assert_eq!(result.layers, ["landlock-abi-7"]);
    let text = |name: &str| std::fs::read_to_string(files.path(name)).unwrap();
    assert_eq!(text("run/code/execution_1.py"), "print hello\nsubmit 0.4");
    assert_eq!(text("run/logs/execution_1.log"), "hello\n");
}

#[test]
fn a_bad_submission_fails_its_step_and_says_why() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let reply = Agent::new(&files).step("a", &execute("large 70"));
    assert_eq!(reply.observation.action_status, ActionStatus::Failed);
    let error = reply.observation.error.unwrap();
    assert_eq!(error.error_type, ErrorType::InvalidSubmissionError, "{error:?}");
    assert!(!files.result().valid_submission);
}

#[test]
fn only_the_token_opens_the_agent_api() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let mut agent = Agent::new(&files);
    agent.state();
    let (mut http, token) = connect(&files.connection()).unwrap();
    let short = &token[..token.len() - 1];
    for headers in [
        &[][..],
        &[("Authorization", "Bearer ")],
        &[("Authorization", short)],
    ] {
        for (method, path) in [("POST", "/v1/step"), ("GET", "/v1/state"), ("GET", "/nowhere")] {
            let answer = http.request(method, path, headers, b"{}").unwrap();
            assert_eq!(problem(&answer), (401, "unauthorized".into()));
        }
    }
    assert_eq!(http.request("GET", "/healthz", &[], b"").unwrap().status, 200);
}

#[test]
fn malformed_requests_are_refused_and_not_counted() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    agent.step("first", &info());
    let mut ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        problem(&agent.attempt(method, path, headers, body).unwrap())
    };
    for body in [
        &b"{"[..],
        b"[]",
        b"{\"action\": 7}",
        b"{\"action\": \"reset\", \"kode\": 1}",
        b"\xff",
    ] {
        assert_eq!(ask("POST", "/v1/step", &[], body), (400, "bad_request".into()));
    }
    let key = "k".repeat(129);
    for key in ["", "a b", &key] {
        let answer = ask(
            "POST",
            "/v1/step",
            &[("Idempotency-Key", key)],
            b"{\"action\": \"reset\"}",
        );
        assert_eq!(answer, (400, "bad_request".into()), "{key:?}");
    }
    assert_eq!(
        ask("GET", "/v1/step", &[], b""),
        (405, "method_not_allowed".into())
    );
    assert_eq!(ask("GET", "/v2/step", &[], b""), (404, "not_found".into()));
    assert_eq!(
        ask("POST", "/v1/cancel", &[], b""),
        (409, "nothing_running".into())
    );
    assert_eq!(
        ask("GET", "/v1/output", &[], b""),
        (409, "nothing_running".into())
    );
    // The larger one is still being sent when it is clear that it is too large.
    for large in [2 * 1024 * 1024 + 1, 50 * 1024 * 1024] {
        let large = vec![b' '; large];
        assert_eq!(ask("POST", "/v1/step", &[], &large), (413, "too_large".into()));
    }
    assert_eq!(agent.state().steps, 1);
}

#[test]
fn a_step_before_the_executor_is_there_is_sent_again_later() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let mut agent = Agent::new(&files);
    let answer = agent.post("/v1/step", Some("a"), &info());
    assert_eq!(problem(&answer), (503, "not_ready".into()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let _executor = Executor::start(files.socket());
    assert_eq!(agent.step("a", &info()).step, 1);
}

#[test]
fn one_step_runs_at_a_time_and_the_same_request_joins_it() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    let body = execute("wait\nsubmit 0.1");
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let (mut agent, body) = (Agent::new(&files), body.clone());
            thread::spawn(move || agent.step_bytes("same", &body))
        })
        .collect();
    agent.wait_busy();
    assert_eq!(
        problem(&agent.post("/v1/step", Some("other"), &info())),
        (409, "busy".into())
    );
    assert_eq!(
        problem(&agent.post("/v1/step", None, &body)),
        (409, "busy".into())
    );
    assert_eq!(
        problem(&agent.post("/v1/step", Some("same"), &info())),
        (422, "idempotency_conflict".into())
    );
    executor.release();
    let replies: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(agent.step_bytes("same", &body), replies[0]);
    assert_eq!(executor.runs(), 1);
    assert_eq!(
        problem(&agent.post("/v1/step", Some("same"), &info())),
        (422, "idempotency_conflict".into())
    );
    assert_eq!(files.journal().1.len(), 1);
}

#[test]
fn a_client_that_goes_away_neither_stops_nor_loses_its_step() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    agent.step("a", &info());
    let body = execute("wait\nsubmit 0.1");
    let (mut gone, token) = connect(&files.connection()).unwrap();
    let headers = [("Authorization", token.as_str()), ("Idempotency-Key", "b")];
    gone.send("POST", "/v1/step", &headers, body.to_string().as_bytes())
        .unwrap();
    agent.wait_busy();
    drop(gone);
    executor.release();
    until("the step ends without its client", || {
        (files.journal().1.len() == 2).then_some(())
    });
    assert_eq!(agent.step("b", &body).step, 2);
    assert_eq!(executor.runs(), 1);
}

#[test]
fn a_running_program_can_be_followed_and_cancelled() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    let step = {
        let mut agent = Agent::new(&files);
        thread::spawn(move || agent.step("a", &execute("print one\nflood 100000\nprint two\nwait")))
    };
    agent.wait_busy();
    let (mut follower, token) = connect(&files.connection()).unwrap();
    let mut output = until("the program's output can be followed", || {
        follower
            .send("GET", "/v1/output", &[("Authorization", &token)], b"")
            .unwrap();
        let mut answer = follower.head().unwrap();
        if answer.status != 200 {
            follower.body(&mut answer).unwrap();
        }
        (answer.status == 200).then_some(answer)
    });
    until("the program is cancelled", || {
        let answer = agent.attempt("POST", "/v1/cancel", &[], b"").unwrap();
        (answer.status == 202).then_some(())
    });
    let reply = step.join().unwrap();
    assert_eq!(
        reply.observation.error.unwrap().error_type,
        ErrorType::CodeCancelledError
    );
    follower.body(&mut output).unwrap();
    assert_eq!(output.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(
        String::from_utf8(output.body).unwrap(),
        format!("one\n{}two\n", "f".repeat(100_000))
    );
}
