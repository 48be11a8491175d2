//! Budgets, signals, the result file, metrics.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mledojo::api::conditions::Outcome;
use rustix::process::Signal;

use crate::support::executor::Executor;
use crate::support::http::Http;
use crate::support::{
    Agent, Files, Process, execute, failing_relay, info, problem, relay_command, start_relay, until,
};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_last_step_truncates_and_no_further_one_is_accepted() {
    let files = Files::new(2, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    assert!(!agent.step("a", &info()).truncated);
    assert_eq!(files.result().outcome, None);
    let last = agent.step_bytes("b", &info());
    assert!(serde_json::from_slice::<serde_json::Value>(&last).unwrap()["truncated"] == true);
    assert_eq!(files.result().outcome, Some(Outcome::StepsExhausted));
    assert_eq!(
        problem(&agent.post("/v1/step", Some("c"), &info())),
        (410, "episode_over".into())
    );
    assert_eq!(agent.step_bytes("b", &info()), last);
    assert!(agent.state().truncated);
}

#[test]
fn the_wall_clock_ends_an_idle_episode() {
    let files = Files::new(15, Duration::from_millis(400));
    let _relay = start_relay(&files);
    assert_eq!(files.result().outcome, None);
    let _executor = Executor::start(files.socket());
    until("the result has the outcome", || {
        (files.result().outcome == Some(Outcome::WallClockExhausted)).then_some(())
    });
    let mut agent = Agent::new(&files);
    assert!(agent.state().truncated);
    assert_eq!(
        problem(&agent.post("/v1/step", None, &info())),
        (410, "episode_over".into())
    );
}

#[test]
fn sigterm_ends_an_idle_and_a_busy_relay_at_once() {
    for busy in [false, true] {
        let files = Files::new(15, HOUR);
        let mut relay = start_relay(&files);
        let executor = Executor::start(files.socket());
        let mut agent = Agent::new(&files);
        agent.step("a", &execute("submit 0.2"));
        let client = busy.then(|| {
            let mut client = Agent::new(&files);
            let body = execute("wait\nsubmit 0.1").to_string();
            let client = thread::spawn(move || {
                client.attempt("POST", "/v1/step", &[("Idempotency-Key", "b")], body.as_bytes())
            });
            agent.wait_busy();
            client
        });
        let told = Instant::now();
        relay.signal(Signal::TERM);
        assert_eq!(relay.wait().code(), Some(0));
        assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
        if let Some(client) = client {
            assert!(client.join().unwrap().is_none());
        }
        assert_eq!(files.journal().1.len(), 1);
        assert_eq!(files.result().steps, 1);
        executor.release();
        let _relay = start_relay(&files);
        assert_eq!(Agent::new(&files).step("b", &execute("wait\nsubmit 0.1")).step, 2);
    }
}

#[test]
fn sigterm_does_not_wait_for_grading() {
    let files = Files::new(15, HOUR);
    let mut relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    // Reading a pipe that nobody writes to takes for ever.
    let answers = files.path("private/answers.csv");
    std::fs::remove_file(&answers).unwrap();
    assert!(Command::new("mkfifo").arg(&answers).status().unwrap().success());
    let mut client = Agent::new(&files);
    let body = execute("submit 0.1").to_string();
    let client = thread::spawn(move || {
        until("the relay is gone", || {
            match client.attempt("POST", "/v1/step", &[], body.as_bytes()) {
                Some(answer) if answer.status == 503 => None,
                other => Some(other.is_none()),
            }
        })
    });
    until("the program has ended and its grading runs", || {
        let code = std::fs::metadata(files.path("run/code/execution_1.py"));
        (code.is_ok()
            && Agent::new(&files)
                .post("/v1/cancel", None, &serde_json::json!({}))
                .status
                == 409)
            .then_some(())
    });
    let told = Instant::now();
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    assert!(client.join().unwrap());
    assert_eq!(files.journal().1.len(), 0);
}

#[test]
fn a_task_that_cannot_grade_is_found_before_the_first_step() {
    let files = Files::new(15, HOUR);
    std::fs::remove_file(files.path("private/answers.csv")).unwrap();
    let (code, log) = failing_relay(&files);
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("answers.csv"), "{log}");
    let result = files.result();
    assert!(result.task_error.unwrap().contains("answers.csv"));
    assert_eq!(result.outcome, None);
}

#[test]
fn metrics_and_readiness_need_no_token_on_their_own_port() {
    let files = Files::new(15, HOUR);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let _relay = Process::start(relay_command(&files).arg("--admin-listen").arg(port.to_string()));
    let mut http = until("the admin port is open", || Http::connect(&port.to_string()).ok());
    let mut get = |path: &str| http.request("GET", path, &[], b"").unwrap();
    assert_eq!(get("/healthz").status, 200);
    assert_eq!(get("/readyz").status, 503);
    let executor = Executor::start(files.socket());
    executor.secret();
    let mut agent = Agent::new(&files);
    agent.step("a", &info());
    agent.step("b", &execute("exit 1"));
    agent.step("c", &serde_json::json!({"action": "made_up_name"}));
    assert_eq!(get("/readyz").status, 200);
    let metrics = String::from_utf8(get("/metrics").body).unwrap();
    for line in [
        "dojo_relay_steps_total{action=\"request_info\",status=\"success\"} 1".to_owned(),
        "dojo_relay_steps_total{action=\"execute_code\",status=\"failed\"} 1".to_owned(),
        "dojo_relay_steps_total{action=\"unknown\",status=\"failed\"} 1".to_owned(),
        "dojo_relay_step_duration_seconds_count{action=\"request_info\"} 1".to_owned(),
        "dojo_relay_executor_connected 1".to_owned(),
        format!("dojo_relay_journal_bytes {}", files.result().trajectory_bytes),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    assert_eq!(get("/v1/state").status, 404);
}

#[test]
fn no_secret_is_in_an_argument_or_a_log() {
    let files = Files::new(15, HOUR);
    let mut relay = {
        let mut command: Command = relay_command(&files);
        Process::start(
            command
                .env("DOJO_LOG", "trace")
                .stderr(std::process::Stdio::piped()),
        )
    };
    until("the connection file is there", || {
        std::fs::metadata(files.connection()).ok()
    });
    let executor = Executor::start(files.socket());
    let resume = executor.secret();
    Agent::new(&files).step("a", &info());
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", relay.child.id())).unwrap();
    relay.signal(Signal::TERM);
    relay.wait();
    let log = relay.stderr();
    assert!(log.contains("relay is ready"), "{log}");
    let connection = std::fs::read_to_string(files.connection()).unwrap();
    let connection: serde_json::Value = serde_json::from_str(&connection).unwrap();
    for secret in [connection["token"].as_str().unwrap(), &resume] {
        assert_eq!(secret.len(), 64);
        assert!(!line.contains(secret));
        assert!(!log.contains(secret));
    }
}
