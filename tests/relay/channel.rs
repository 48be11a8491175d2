//! Who may be the executor, and what becomes of one that misbehaves.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use mledojo::wire::agent::ErrorType;
use mledojo::wire::channel::ToExec;

use crate::support::executor::{Executor, greet};
use crate::support::{Agent, Files, Process, execute, info, problem, relay_command, start_relay, until};

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
fn a_program_that_was_never_sent_is_not_charged() {
    let files = Files::new(15, HOUR);
    let _relay = start_relay(&files);
    let not_ready = (503, "not_ready".to_owned());
    // It reads no more, which shows when the next program is sent.
    let (link, answer) = greet(&files.socket(), None).unwrap();
    let ToExec::Welcome { secret } = answer else {
        panic!("{answer:?}");
    };
    link.stream.shutdown(Shutdown::Read).unwrap();
    let mut agent = Agent::new(&files);
    for key in ["a", "b", "c"] {
        let answer = agent.post("/v1/step", Some(key), &execute("submit 0.1"));
        assert_eq!(problem(&answer), not_ready);
    }
    // It goes while a program is half sent.
    let (link, _) = greet(&files.socket(), Some(secret.clone())).unwrap();
    let waiting = {
        let mut agent = Agent::new(&files);
        let program = "print x\n".repeat(100_000);
        thread::spawn(move || agent.post("/v1/step", Some("a"), &execute(&program)))
    };
    agent.wait_busy();
    drop(link);
    assert_eq!(problem(&waiting.join().unwrap()), not_ready);
    assert_eq!(agent.state().steps, 0);
    let _executor = Executor::resume(files.socket(), Some(secret));
    assert_eq!(agent.step("a", &execute("submit 0.1")).step, 1);
    assert_eq!(files.journal().1.len(), 1);
}

#[test]
fn a_flood_of_strangers_costs_few_lines_and_lets_the_executor_in() {
    let files = Files::new(15, HOUR);
    let log = files.path("relay.log");
    let mut command = relay_command(&files);
    command
        .env("DOJO_LOG", "warn")
        .stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let _relay = Process::start(&mut command);
    until("the relay is there", || {
        std::fs::metadata(files.connection()).ok()
    });
    for _ in 0..600 {
        let mut stream = UnixStream::connect(files.socket()).unwrap();
        // It may be shown out before it has said all.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
    }
    let executor = Executor::start(files.socket());
    executor.secret();
    assert_eq!(Agent::new(&files).step("a", &info()).step, 1);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!((1..=6).contains(&text.lines().count()), "{text}");
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
    // Those whose first frame is no Hello were shown out, and the oldest of the silent ones made room.
    for (index, mut stranger) in strangers.into_iter().enumerate() {
        if index % 3 != 0 || index == 0 {
            stranger.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let read = std::io::Read::read(&mut stranger, &mut [0; 64]);
            let ended = match &read {
                Ok(count) => *count == 0,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            };
            assert!(ended, "{index}: {read:?}");
        }
    }
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
