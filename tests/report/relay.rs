//! The relay as a process: what it tells, over restarts, and what a server that is dead does to it.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::stage::{POD_TOKEN, Stage};
use crate::support::executor::Executor;
use crate::support::{Agent, Files, execute, info, start_relay, until};

const HOUR: Duration = Duration::from_secs(3600);
const TRAJECTORY: &str = "trajectory.jsonl";

fn local(files: &Files, path: &str) -> Vec<u8> {
    fs::read(files.path("run").join(path)).unwrap()
}

#[test]
fn a_reward_is_seen_while_the_episode_runs_and_its_files_are_archived_whole() {
    let stage = Stage::new();
    let files = Files::new(15, HOUR);
    let mut relay = stage.relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    agent.step("a", &execute("print hello\nsubmit 0.25"));
    let begun = Instant::now();
    until("the reward is in the status", || {
        (stage.api.status()["reward"] == json!(0.6)).then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    agent.step("b", &info());
    until("the trajectory is archived", || {
        stage
            .archived(TRAJECTORY)
            .filter(|bytes| *bytes == local(&files, TRAJECTORY))
    });
    until("the log is archived", || {
        stage
            .archived("logs/execution_1.log")
            .filter(|bytes| *bytes == b"hello\n")
    });
    agent.step("c", &execute("print bye"));
    relay.signal(Signal::TERM);
    assert!(relay.wait().success());
    // What the status names is one plain file.
    let uri = stage.api.status()["trajectory"]["uri"]
        .as_str()
        .unwrap()
        .to_owned();
    let sealed = until("the trajectory is one object", || {
        fs::read(uri.strip_prefix("file://").unwrap()).ok()
    });
    assert_eq!(sealed, local(&files, TRAJECTORY));
    assert_eq!(stage.archived("logs/execution_3.log").unwrap(), b"bye\n");
    let digest: String = Sha256::digest(&sealed)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(files.result().trajectory_sha256, digest);
}

#[test]
fn a_relay_that_is_killed_goes_on_where_the_archive_ends() {
    let stage = Stage::new();
    let files = Files::new(15, HOUR);
    let executor = Executor::start(files.socket());
    for round in 1..4 {
        let mut relay = stage.relay(&files);
        let mut agent = Agent::new(&files);
        agent.step(&format!("step-{round}"), &execute(&format!("print {round}")));
        until("the trajectory is archived", || {
            stage
                .archived(TRAJECTORY)
                .filter(|bytes| *bytes == local(&files, TRAJECTORY))
        });
        relay.kill();
    }
    drop(executor);
    until("the logs are archived", || {
        let _relay = stage.relay(&files);
        until("the last log is archived", || {
            stage.archived("logs/execution_3.log")
        });
        (1..4)
            .all(|round| {
                stage.archived(&format!("logs/execution_{round}.log"))
                    == Some(format!("{round}\n").into_bytes())
            })
            .then_some(())
    });
}

#[test]
fn an_exchanged_token_is_used_from_the_next_report_on() {
    let stage = Stage::new();
    stage.set_token("expired");
    let files = Files::new(15, HOUR);
    let _relay = stage.relay(&files);
    let _executor = Executor::start(files.socket());
    Agent::new(&files).step("a", &info());
    until("the bad token is seen", || {
        (stage.api.world().token_reviews > 0).then_some(())
    });
    assert!(stage.api.world().applied.is_empty());
    stage.set_token(POD_TOKEN);
    until("the step is in the status", || {
        (stage.api.status()["steps"] == json!("1/15")).then_some(())
    });
}

#[test]
fn a_relay_whose_attempt_is_another_ones_stops_to_report() {
    let stage = Stage::new();
    stage.set_token("pod/team-a/ep-1/another-uid");
    let files = Files::new(15, HOUR);
    let mut relay = stage.relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    agent.step("a", &info());
    until("it was refused", || {
        (stage.api.world().token_reviews > 0).then_some(())
    });
    agent.step("b", &info());
    assert_eq!(files.result().steps, 2);
    relay.signal(Signal::TERM);
    assert!(relay.wait().success());
    assert!(stage.api.world().applied.is_empty());
}

/// Time of so many steps.
fn timed(files: &Files, steps: u32) -> Duration {
    let mut agent = Agent::new(files);
    agent.step("first", &info());
    let begun = Instant::now();
    for step in 0..steps {
        agent.step(&format!("{step}"), &info());
    }
    begun.elapsed()
}

#[test]
fn a_dead_server_slows_no_step_and_the_end_for_a_bounded_time() {
    const STEPS: u32 = 400;
    let stage = Stage::new();
    let alone = {
        let files = Files::new(1000, HOUR);
        let _relay = start_relay(&files);
        let _executor = Executor::start(files.socket());
        timed(&files, STEPS)
    };
    // One that takes connections and says nothing, and one that is not there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("https://localhost:{}", silent.local_addr().unwrap().port());
    for url in [silent_url.as_str(), "https://localhost:1"] {
        let files = Files::new(1000, HOUR);
        let mut relay = stage.relay_to(&files, url);
        let _executor = Executor::start(files.socket());
        let reporting = timed(&files, STEPS);
        eprintln!("{STEPS} steps: {alone:?} without a server, {reporting:?} with {url}");
        assert!(
            reporting < alone * 3 + Duration::from_millis(500),
            "{reporting:?} instead of {alone:?} with {url}"
        );
        let begun = Instant::now();
        relay.signal(Signal::TERM);
        assert!(relay.wait().success());
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

#[test]
fn options_of_the_report_come_together() {
    let arguments = |more: &[&str]| {
        let all = [
            "relay",
            "--config",
            "a",
            "--private",
            "b",
            "--public",
            "c",
            "--state",
            "d",
            "--socket",
            "e",
            "--listen",
            "127.0.0.1:0",
            "--connection",
            "f",
        ];
        all.iter()
            .chain(more)
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let all = [
        "--report-url",
        "https://x",
        "--report-ca",
        "ca",
        "--report-token",
        "t",
        "--report-namespace",
        "n",
        "--report-attempt",
        "1",
    ];
    assert!(mledojo::cli::accepts(&arguments(&[])).is_ok());
    mledojo::cli::accepts(&arguments(&all)).unwrap();
    for left_out in 0..5 {
        let mut some = all.to_vec();
        some.drain(left_out * 2..left_out * 2 + 2);
        assert!(mledojo::cli::accepts(&arguments(&some)).is_err(), "{some:?}");
    }
}
