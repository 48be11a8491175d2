//! Who may be the executor, and what becomes of one that misbehaves.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use mledojo::wire::agent::ErrorType;
use mledojo::wire::channel::ToExec;

use crate::support::executor::{Executor, greet};
use crate::support::{Agent, Files, execute, info, start_relay, until};

const HOUR: Duration = Duration::from_secs(3600);

fn refusal(files: &Files, resume: Option<String>) -> String {
    match greet(&files.socket(), resume).unwrap().1 {
        ToExec::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_second_executor_is_refused_and_the_first_one_stays() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let executor = Executor::start(files.socket());
    executor.secret();
    assert!(refusal(&files, None).contains("another executor"));
    assert!(refusal(&files, Some("wrong".into())).contains("secret"));
    let mut agent = Agent::new(&files);
    agent.step("a", &execute("submit 0.1"));
    assert_eq!(files.result().steps, 1);
}

#[test]
fn once_a_program_ran_only_the_secret_opens_the_channel() {
    let files = Files::new(15, HOUR);
    let mut relay = start_relay(&files);
    let executor = Executor::start(files.socket());
    let secret = executor.secret();
    Agent::new(&files).step("a", &execute("print x"));
    drop(executor);
    relay.kill();
    let _relay = start_relay(&files);
    assert!(refusal(&files, None).contains("secret"));
    let (_link, answer) = greet(&files.socket(), Some(secret.clone())).unwrap();
    assert_eq!(
        answer,
        ToExec::Welcome {
            secret: secret.clone()
        }
    );
    // Its restart comes before the end of the old connection is noticed.
    let (_second, answer) = greet(&files.socket(), Some(secret)).unwrap();
    assert!(matches!(answer, ToExec::Welcome { .. }));
}

#[test]
fn an_executor_that_ended_before_any_program_ran_is_let_in_again() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    drop(greet(&files.socket(), None).unwrap());
    let answer = until("the end of the first one is noticed", || {
        match greet(&files.socket(), None).unwrap().1 {
            ToExec::Refused { .. } => None,
            welcome => Some(welcome),
        }
    });
    assert!(matches!(answer, ToExec::Welcome { .. }));
}

#[test]
fn an_executor_lost_in_a_step_fails_that_step_and_the_episode_goes_on() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let mut agent = Agent::new(&files);
    for (key, program) in ["drop", "garbage", "submit 0.1\nlarge 1000001", "print x\ngarbage"]
        .into_iter()
        .enumerate()
    {
        let reply = agent.step(&format!("bad-{key}"), &execute(program));
        let error = reply.observation.error.unwrap().error_type;
        assert!(
            matches!(error, ErrorType::SandboxError | ErrorType::SandboxResourceError),
            "{program}: {error:?}"
        );
        let reply = agent.step(&format!("good-{key}"), &execute("submit 0.1"));
        assert!((reply.reward - 1.0).abs() < 1e-12);
    }
    assert_eq!(files.journal().1.len(), 8);
}

#[test]
fn strangers_at_the_socket_do_not_keep_the_executor_out() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let strangers: Vec<_> = (0..100)
        .map(|index| {
            let mut stream = UnixStream::connect(files.socket()).unwrap();
            match index % 3 {
                0 => {}
                1 => stream.write_all(&[1, 0xff, 0xff, 0xff, 0xff]).unwrap(),
                _ => stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
            }
            stream
        })
        .collect();
    let executor = Executor::start(files.socket());
    executor.secret();
    assert_eq!(Agent::new(&files).step("a", &info()).step, 1);
    drop(strangers);
}

#[test]
fn the_socket_is_open_to_every_user_and_secrets_are_not() {
    use std::os::unix::fs::PermissionsExt;
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let mode = |name: &str| std::fs::metadata(files.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("s"), 0o666);
    assert_eq!(mode("connection.json"), 0o640);
    assert_eq!(mode("run/.state/relay"), 0o700);
    assert_eq!(mode("run/.state/relay/secrets.json"), 0o600);
}

#[test]
fn an_executor_that_returns_meets_a_waiting_agent() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    drop({
        let executor = Executor::start(files.socket());
        executor.secret();
        executor
    });
    let step = {
        let mut agent = Agent::new(&files);
        thread::spawn(move || agent.step("a", &execute("submit 0.2")))
    };
    let _executor = Executor::start(files.socket());
    assert_eq!(step.join().unwrap().step, 1);
}
