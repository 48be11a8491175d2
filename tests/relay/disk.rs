//! The journal on the disk: restarts, cut lines, other configurations, a full disk.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use crate::support::executor::Executor;
use crate::support::{
    Agent, DOJO, Files, Process, execute, failing_relay, info, journal, problem, start_relay, until,
};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_restart_goes_on_where_it_was_at_the_same_address() {
    let files = Files::new(15, HOUR);
    let mut relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    let first = agent.step_bytes("a", &execute("submit 0.3"));
    let before = (fs::read(files.connection()).unwrap(), files.result());
    relay.kill();
    let _relay = start_relay(&files);
    let mut after = files.result();
    after.layers.clone_from(&before.1.layers);
    after.wall_seconds = before.1.wall_seconds;
    // The executor has connected again, or is about to.
    after.executor = before.1.executor;
    assert_eq!((fs::read(files.connection()).unwrap(), after), before);
    assert_eq!(agent.step_bytes("a", &execute("submit 0.3")), first);
    let second = agent.step("b", &execute("submit 0.4"));
    assert_eq!(second.step, 2);
    assert_eq!(second.observation.best_raw_score, Some(0.3));
}

#[test]
fn a_port_that_was_taken_in_the_meantime_is_replaced_and_told() {
    let files = Files::new(15, HOUR);
    let mut relay = start_relay(&files);
    let executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    agent.step("a", &info());
    let before: serde_json::Value = serde_json::from_slice(&fs::read(files.connection()).unwrap()).unwrap();
    relay.kill();
    let taken = before["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let _thief = until("the port is free", || std::net::TcpListener::bind(taken).ok());
    let _relay = start_relay(&files);
    let after: serde_json::Value = serde_json::from_slice(&fs::read(files.connection()).unwrap()).unwrap();
    assert_ne!(before["url"], after["url"]);
    assert_eq!(before["token"], after["token"]);
    assert_eq!(agent.step("b", &info()).step, 2);
    drop(executor);
}

#[test]
fn a_line_that_a_crash_cut_short_is_dropped() {
    let files = Files::new(15, HOUR);
    let mut relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    agent.step("a", &info());
    relay.kill();
    let path = files.path("run/trajectory.jsonl");
    let whole = fs::read(&path).unwrap();
    for cut in [
        1,
        20,
        whole.len() - whole.iter().position(|byte| *byte == b'\n').unwrap(),
    ] {
        // The second line again, without its end.
        let line = &whole[whole.iter().position(|byte| *byte == b'\n').unwrap() + 1..];
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&line[..cut.min(line.len() - 1)]).unwrap();
        let mut relay = start_relay(&files);
        assert_eq!(fs::read(&path).unwrap(), whole);
        relay.kill();
    }
    // Even where nothing but a part of the header was written.
    fs::write(&path, &whole[..10]).unwrap();
    let _relay = start_relay(&files);
    assert_eq!(journal(&path).1.len(), 0);
    assert_eq!(agent.step("a", &info()).step, 1);
}

#[test]
fn a_journal_that_was_changed_is_not_continued() {
    let files = Files::new(15, HOUR);
    let mut relay = start_relay(&files);
    let executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    for key in ["a", "b", "c"] {
        agent.step(key, &info());
    }
    relay.kill();
    drop(executor);
    let path = files.path("run/trajectory.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    for (why, changed) in [
        ("line 3", vec![lines[0], lines[1], lines[3]]),
        ("line 2", vec![lines[0], "{}", lines[2]]),
        ("line 2", vec![lines[0], lines[0]]),
        ("line 1", vec![lines[1], lines[2]]),
    ] {
        let changed = changed.join("\n") + "\n";
        fs::write(&path, &changed).unwrap();
        let (code, log) = failing_relay(&files);
        assert_eq!(code, 1, "{log}");
        assert!(log.contains(why), "{log}");
        assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    }
}

#[test]
fn another_configuration_does_not_continue_the_episode() {
    let files = Files::new(15, HOUR);
    let mut relay = start_relay(&files);
    relay.kill();
    files.configure(16, HOUR, 7);
    let (code, log) = failing_relay(&files);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("another configuration"), "{log}");
    fs::write(files.path("config.json"), "{\"episode\": 1}").unwrap();
    let (code, log) = failing_relay(&files);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("config.json"), "{log}");
}

#[test]
fn two_relays_do_not_share_a_state_directory() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let (code, log) = failing_relay(&files);
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("another relay"), "{log}");
    Agent::new(&files).state();
}

#[test]
fn a_full_disk_costs_the_step_and_nothing_else() {
    let files = Files::new(15, HOUR);
    // With SIGXFSZ ignored, a write over the limit stops half-way and then fails, as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\"";
    let mut command = Command::new("bash");
    command
        .args(["-c", limited, DOJO])
        .args(files.arguments())
        .env("DOJO_LOG", "off");
    let relay = Process::start(&mut command);
    until("the relay writes its connection file", || {
        fs::metadata(files.connection()).ok()
    });
    let executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    agent.step("a", &info());
    let before = fs::read(files.path("run/trajectory.jsonl")).unwrap();
    let large = serde_json::json!({"action": "made_up", "params": {"x": "y".repeat(40_000)}});
    for _ in 0..2 {
        assert_eq!(
            problem(&agent.post("/v1/step", Some("large"), &large)),
            (500, "journal_failed".into())
        );
        assert_eq!(fs::read(files.path("run/trajectory.jsonl")).unwrap(), before);
    }
    // A program whose text cannot be kept is not run.
    let program = execute(&("print x\n".to_owned() + &"#".repeat(40_000)));
    assert_eq!(
        problem(&agent.post("/v1/step", Some("program"), &program)),
        (500, "step_failed".into())
    );
    assert_eq!(executor.runs(), 0);
    assert_eq!(agent.step("b", &info()).step, 2);
    assert_eq!(files.journal().1.len(), 2);
    drop(relay);
    let _relay = start_relay(&files);
    assert_eq!(agent.step("c", &info()).step, 3);
}

#[test]
fn a_termination_message_is_written_in_place() {
    use std::os::unix::fs::MetadataExt;
    let files = Files::new(15, HOUR);
    let message = files.path("termination-log");
    fs::write(&message, "").unwrap();
    let inode = fs::metadata(&message).unwrap().ino();
    let mut command = crate::support::relay_command(&files);
    let _relay = Process::start(command.arg("--result").arg(&message));
    let _executor = Executor::start(files.socket());
    until("the relay is there", || fs::metadata(files.connection()).ok());
    Agent::new(&files).step("a", &info());
    let result: mledojo::wire::result::EpisodeResult =
        serde_json::from_slice(&fs::read(&message).unwrap()).unwrap();
    assert_eq!(result.steps, 1);
    assert_eq!(fs::metadata(&message).unwrap().ino(), inode);
}
