//! The agents as processes, against a real relay.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // a test program: a panic is its failure

mod support;

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use support::executor::Executor;
use support::{Agent, DOJO, Files, Process, info, start_relay, until};

const HOUR: Duration = Duration::from_secs(3600);

const ACTIONS: &str = "
- action: request_info
  params: {info_type: overview}
- action: execute_code
  params:
    code: |
      print first
      exit 1
- action: execute_code
  params: {code: submit 0.4}
- action: execute_code
  params: {code: submit 0.25}
- action: get_history
- action: reset
- action: validate_code
  params: {code: print checked}
";

fn replay(files: &Files, actions: &str) -> Command {
    let mut command = Command::new(DOJO);
    command
        .args(["agent", "replay", "--connection"])
        .arg(files.connection())
        .arg("--actions")
        .arg(files.path(actions));
    command
}

fn exec(files: &Files, script: &str) -> Command {
    let mut command = Command::new(DOJO);
    command
        .args(["agent", "exec", "--seed", "42", "--connection"])
        .arg(files.connection())
        .args(["--", "sh", "-c", script])
        .stdout(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn rewards(files: &Files) -> Vec<f64> {
    files.journal().1.iter().map(|step| step.reply.reward).collect()
}

#[test]
fn a_list_is_replayed_and_its_trajectory_gives_the_same_rewards_again() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    fs::write(files.path("actions.yaml"), ACTIONS).unwrap();
    let output = replay(&files, "actions.yaml").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let lines = text(&output);
    let expected = [
        "step 1 request_info SUCCESS reward 0.0000 best -",
        "step 2 execute_code FAILED reward 0.0000 best -",
        "step 3 execute_code SUCCESS reward 0.4000 best 0.4000",
        "step 4 execute_code SUCCESS reward 0.6000 best 0.6000",
        "step 5 get_history SUCCESS reward 0.0000 best 0.6000",
        "step 6 reset SUCCESS reward 0.0000 best 0.6000",
        "step 7 validate_code SUCCESS reward 0.0000 best 0.6000",
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);

    let again = Files::new(15, HOUR);
    let _relay = start_relay(&again);
    let _executor = Executor::start(again.socket());
    let trajectory = fs::read(files.path("run/trajectory.jsonl")).unwrap();
    fs::write(again.path("earlier.jsonl"), trajectory).unwrap();
    let output = replay(&again, "earlier.jsonl").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(rewards(&again), rewards(&files));
    assert_eq!(rewards(&again).len(), 7);
}

#[test]
fn a_replay_that_starts_again_goes_on_where_it_was() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let executor = Executor::start(files.socket());
    let actions = ACTIONS.replace("submit 0.25", "\"wait\\nsubmit 0.25\"");
    fs::write(files.path("actions.yaml"), actions).unwrap();
    let mut first = Process::start(replay(&files, "actions.yaml").stderr(Stdio::null()));
    until("the fourth step runs", || (executor.runs() == 3).then_some(()));
    first.kill();
    let mut second = Process::start(replay(&files, "actions.yaml").stderr(Stdio::null()));
    executor.release();
    assert_eq!(second.wait().code(), Some(0));
    assert_eq!(rewards(&files), [0.0, 0.0, 0.4, 0.6, 0.0, 0.0, 0.0]);
    assert_eq!(executor.runs(), 4);
}

#[test]
fn a_replay_outlives_its_relay() {
    let files = Files::new(15, HOUR);
    let mut relay = start_relay(&files);
    let executor = Executor::start(files.socket());
    let actions = ACTIONS.replace("submit 0.25", "\"wait\\nsubmit 0.25\"");
    fs::write(files.path("actions.yaml"), actions).unwrap();
    let mut agent = Process::start(replay(&files, "actions.yaml").stderr(Stdio::null()));
    until("the fourth step runs", || (executor.runs() == 3).then_some(()));
    relay.kill();
    executor.release();
    let _relay = start_relay(&files);
    assert_eq!(agent.wait().code(), Some(0));
    assert_eq!(rewards(&files), [0.0, 0.0, 0.4, 0.6, 0.0, 0.0, 0.0]);
}

#[test]
fn a_spent_budget_ends_a_replay_without_an_error() {
    let files = Files::new(2, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    fs::write(files.path("actions.yaml"), ACTIONS).unwrap();
    for _ in 0..2 {
        let output = replay(&files, "actions.yaml").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert_eq!(files.journal().1.len(), 2);
    }
    // A budget that was spent before the first action too.
    let another = ACTIONS.replace("overview", "name");
    fs::write(files.path("actions.yaml"), another).unwrap();
    let output = replay(&files, "actions.yaml").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("idempotency_conflict"),
        "{}",
        text(&output)
    );
}

#[test]
fn wrong_actions_are_all_named_before_the_first_step() {
    let files = Files::new(2, HOUR);
    fs::write(
        files.path("actions.yaml"),
        "- {action: run_code}\n- {params: {}}\n",
    )
    .unwrap();
    let output = replay(&files, "actions.yaml").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let log = text(&output);
    assert!(
        log.contains("action 1: `run_code`") && log.contains("action 2: `action` is missing"),
        "{log}"
    );
    let output = replay(&files, "nothing.yaml").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("nothing.yaml"));
}

#[test]
fn a_command_finds_the_relay_in_its_environment_and_its_code_is_passed_on() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let script = "env | grep ^DOJO_ | sort; tr '\\0' ' ' < /proc/$PPID/cmdline; exit 5";
    let mut agent = Process::start(
        exec(&files, script)
            .env("DOJO_LOG", "warn")
            .env("DOJO_CACHE", "/x"),
    );
    assert_eq!(agent.wait().code(), Some(5));
    let output = std::io::read_to_string(agent.child.stdout.take().unwrap()).unwrap();
    let connection: serde_json::Value =
        serde_json::from_slice(&fs::read(files.connection()).unwrap()).unwrap();
    let (url, token) = (
        connection["url"].as_str().unwrap(),
        connection["token"].as_str().unwrap(),
    );
    let lines: Vec<_> = output.lines().collect();
    let connection = files.connection();
    assert_eq!(
        lines[..4],
        [
            &format!("DOJO_CONNECTION={}", connection.display()),
            "DOJO_SEED=42",
            &format!("DOJO_TOKEN={token}"),
            &format!("DOJO_URL={url}"),
        ]
    );
    assert!(
        lines[4].contains("agent exec") && !lines[4].contains(token),
        "{}",
        lines[4]
    );
}

#[test]
fn a_command_that_does_not_exist_is_wrong_usage() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let output = Command::new(DOJO)
        .args(["agent", "exec", "--connection"])
        .arg(files.connection())
        .args(["--", "/no/such/program"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("/no/such/program"));
}

#[test]
fn a_signal_reaches_the_whole_group_of_the_command() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    for (script, signal, code) in [
        // The shell's child is in the group as well and would outlive it otherwise.
        ("sleep 600 & echo $!; wait", Signal::TERM, 128 + 15),
        ("trap 'exit 9' INT; sleep 600 & echo $!; wait", Signal::INT, 9),
        ("sleep 600 & echo $!; kill -9 $$", Signal::TERM, 128 + 9),
        // One that does not want to end is killed before the wrapper would be.
        ("trap '' TERM; sleep 600 & echo $!; wait", Signal::TERM, 128 + 9),
    ] {
        let mut agent = Process::start(&mut exec(&files, script));
        let mut stdout = std::io::BufReader::new(agent.child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        let background: u32 = line.trim().parse().unwrap();
        if !script.contains("kill") {
            agent.signal(signal);
        }
        assert_eq!(agent.wait().code(), Some(code), "{script}");
        until("what the command left behind is gone", || {
            let status = fs::read_to_string(format!("/proc/{background}/stat")).unwrap_or_default();
            (status.is_empty() || status.contains(") Z ")).then_some(())
        });
    }
}

#[test]
fn a_command_that_stays_after_the_budget_is_spent_is_ended() {
    let files = Files::new(1, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Process::start(&mut exec(&files, "trap 'exit 3' TERM; sleep 600 & wait"));
    Agent::new(&files).step("a", &info());
    let spent = Instant::now();
    assert_eq!(agent.wait().code(), Some(0));
    let time = spent.elapsed();
    assert!(
        time > Duration::from_secs(9) && time < Duration::from_secs(15),
        "{time:?}"
    );
}

#[test]
fn a_command_that_fails_because_the_budget_is_spent_has_not_failed() {
    let files = Files::new(1, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    Agent::new(&files).step("a", &json!({"action": "request_info"}));
    let mut agent = Process::start(&mut exec(&files, "exit 7"));
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn a_command_waits_for_its_relay() {
    let files = Files::new(15, HOUR);
    let mut agent = Process::start(&mut exec(&files, "exit 4"));
    let _relay = start_relay(&files);
    assert_eq!(agent.wait().code(), Some(4));
    fs::remove_file(files.connection()).unwrap();
    let mut agent = Process::start(&mut exec(&files, "exit 4"));
    // Told to end while it still waits; the signal may come before its handler is there.
    agent.signal(Signal::TERM);
    let status = agent.wait();
    use std::os::unix::process::ExitStatusExt;
    assert!(
        status.code() == Some(128 + 15) || status.signal() == Some(15),
        "{status}"
    );
}
