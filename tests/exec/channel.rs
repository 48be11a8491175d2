//! The connection: its secret, its end, its beginning anew.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use mledojo::wire::channel::{FromExec, RunExit, ToExec};
use rustix::process::Signal;

use super::support::{Event, Executor, Start, execute, python, until};

#[test]
fn the_first_connection_has_no_secret_and_later_ones_show_it() {
    let mut executor = Executor::start();
    let (relay, resume, layers) = executor.connect_with("first-secret");
    assert_eq!(resume, None);
    assert!(
        layers.len() <= 16 && layers.iter().all(|layer| layer.len() <= 64),
        "{layers:?}"
    );
    drop(relay);
    let (mut relay, resume, _) = executor.connect_with("first-secret");
    assert_eq!(resume.as_deref(), Some("first-secret"));
    relay.run(&execute(1, "print(1)")).well();
}

#[test]
fn a_restarted_executor_knows_the_secret_and_code_cannot_read_it() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let state = executor.path("state/resume");
    let found = until("the secret is kept", || std::fs::metadata(&state).ok());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        found.uid(),
        executor.start.code_user(),
        "only permissions do not guard it"
    );
    let code = format!(
        "try:\n    print(open({state:?}).read())\nexcept OSError as error:\n    print(type(error).__name__)"
    );
    let outcome = relay.run(&execute(1, &code)).well();
    assert!(
        ["PermissionError\n", "FileNotFoundError\n"].contains(&outcome.stdout()),
        "{}",
        outcome.stdout()
    );
    executor.signal(Signal::KILL);
    executor.ended();
    executor.restart();
    let (mut relay, resume, _) = executor.connect_with("the-secret");
    assert_eq!(resume.as_deref(), Some("the-secret"));
    relay.run(&execute(2, "print(1)")).well();
}

#[test]
fn a_refused_executor_ends_with_a_failure() {
    let mut executor = Executor::start();
    let (mut relay, _, _) = executor.accept();
    relay.send(&ToExec::Refused {
        reason: "another executor has this episode".into(),
    });
    assert_eq!(executor.ended(), Some(1));
    let log = executor.log();
    assert!(
        log.contains("the relay refuses this executor: another executor has this episode"),
        "{log}"
    );
}

#[test]
fn the_log_says_what_the_sandbox_is_and_what_ran() {
    for start in [Start::Usual, Start::RootBare] {
        let mut executor = Executor::started(start, &[]);
        executor.connect().run(&execute(1, "print(1)")).well();
        let log = executor.log();
        for part in ["seccomp", "connected to the relay", "run ended"] {
            assert!(log.contains(part), "{start:?}: {log}");
        }
    }
}

#[test]
fn one_thing_runs_at_a_time() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    relay.send(&ToExec::Run(execute(1, "import time\ntime.sleep(1000)")));
    assert!(matches!(
        relay.next(),
        Event::Message(FromExec::Started { run: 1 })
    ));
    let outcome = relay.run(&execute(2, "print(1)"));
    assert_eq!(outcome.finished.run, 2);
    assert!(matches!(outcome.finished.exit, RunExit::Sandbox { .. }));
    assert!(relay.reset(3).is_some());
    relay.send(&ToExec::Cancel { run: 1 });
    assert_eq!(relay.outcome().finished.exit, RunExit::Cancelled);
    assert_eq!(relay.reset(4), None);
}

#[test]
fn a_relay_that_speaks_gibberish_is_left() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    relay.send(&ToExec::Welcome {
        secret: "again".into(),
    });
    relay.run(&execute(1, "print(1)")).well();
    relay.gibberish();
    assert!(matches!(relay.next(), Event::Closed));
    executor.connect().run(&execute(2, "print(1)")).well();
}

#[test]
fn code_cannot_take_the_executors_place() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let socket = executor.path("socket/exec.sock");
    // Code may be able to connect: without the secret it is a stranger to the relay.
    let code = format!(
        "import socket, struct\nfor path in ({socket:?}, '/run/dojo/exec.sock'):\n    try:\n        s = socket.socket(socket.AF_UNIX)\n        s.connect(path)\n        hello = b'{{\"type\":\"hello\",\"version\":1,\"resume\":null,\"layers\":[]}}'\n        s.sendall(b'\\x01' + struct.pack('>I', len(hello)) + hello)\n        print('connected')\n        break\n    except OSError as error:\n        print(type(error).__name__)\n"
    );
    let outcome = relay.run(&execute(1, &code)).well();
    if outcome.stdout().contains("connected") {
        let (_stranger, resume, _) = executor.accept();
        assert_eq!(resume, None, "a stranger has the secret");
    }
}

#[test]
fn options_that_cannot_be_used_are_said_at_once() {
    use std::process::Command;
    let dir = super::support::open_tempdir();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let said = |python: &str, public: &str, more: &[&str]| {
        let output = Command::new(super::support::dojo())
            .arg("exec")
            .args([
                "--socket",
                &path("s"),
                "--workspace",
                &path("w"),
                "--state",
                &path("st"),
                "--scratch",
                &path("sc"),
            ])
            .args(["--python", python, "--public", public])
            .args(more)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let python = python(Start::Usual).display().to_string();
    let here = dir.path().to_str().unwrap();
    assert!(said("/nonexistent/python", here, &[]).contains("no Python at \"/nonexistent/python\""));
    assert!(said(&python, &path("nothing"), &[]).contains("no directory of public data"));
    assert!(said(&python, "relative", &[]).contains("must be absolute"));
    assert!(said(&python, here, &["--read-path", "/nonexistent/data"]).contains("/nonexistent/data"));
    assert!(said(&python, here, &["--user", "nobody"]).contains("65534:65534"));
}

#[test]
fn the_end_of_standard_input_ends_the_executor_where_it_is_watched() {
    for start in [Start::Usual, Start::RootBare] {
        let mut executor = Executor::started(start, &["--watch-stdin"]);
        let mut relay = executor.connect();
        relay.run(&execute(1, "print(1)")).well();
        executor.end_input();
        assert_eq!(executor.ended(), Some(0), "{start:?}");
    }
}
