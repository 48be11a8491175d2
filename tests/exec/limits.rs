//! Time, memory, processes, cancelling: how a program is ended, and that nothing of it is left.

use std::time::{Duration, Instant};

use mledojo::wire::channel::{FromExec, RunExit, ToExec};
use rustix::process::Signal;

use super::support::{Event, Executor, PATIENCE, Start, execute, marker, processes, until};

/// Starts children that ignore SIGTERM: one in a session of its own, one of a double fork; then waits.
fn stubborn(marker: &str) -> String {
    format!(
        r#"
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "{marker}"])
subprocess.Popen(["sleep", "{marker}"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        subprocess.Popen(["sleep", "{marker}"])
        time.sleep(1000)
    os._exit(0)
os.wait()
print("started", flush=True)
time.sleep(1000)
"#
    )
}

#[test]
fn the_time_limit_ends_a_program_with_all_that_descends_from_it() {
    for start in [Start::Usual, Start::Bare] {
        let marker = marker();
        let mut executor = Executor::started(start, &[]);
        let mut request = execute(1, &stubborn(&marker));
        request.timeout_ms = 2500;
        request.grace_ms = 300;
        let outcome = executor.connect().run(&request);
        assert_eq!(
            outcome.finished.exit,
            RunExit::TimedOut { killed: true },
            "{start:?}"
        );
        assert_eq!(
            outcome.stdout(),
            "started\n",
            "output from before the end is there"
        );
        assert_eq!(processes(&marker), [0; 0], "{start:?}");
        let wall = outcome.finished.usage.wall_seconds;
        assert!((2.7..12.0).contains(&wall), "{wall}");
    }
}

#[test]
fn a_program_that_heeds_sigterm_is_not_killed() {
    let code = "import signal, sys, time\ndef end(*_):\n    print('saved', flush=True)\n    sys.exit(0)\nsignal.signal(signal.SIGTERM, end)\ntime.sleep(1000)";
    let mut request = execute(1, code);
    request.timeout_ms = 2500;
    request.grace_ms = 10_000;
    let outcome = Executor::start().connect().run(&request);
    assert_eq!(outcome.finished.exit, RunExit::TimedOut { killed: false });
    assert_eq!(outcome.stdout(), "saved\n");
    assert!(outcome.finished.usage.wall_seconds < 10.0);
}

#[test]
fn a_program_that_stopped_itself_is_ended_too() {
    let mut request = execute(1, "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)");
    request.timeout_ms = 700;
    let outcome = Executor::start().connect().run(&request);
    assert!(matches!(outcome.finished.exit, RunExit::TimedOut { .. }));
}

#[test]
fn a_submission_of_a_program_that_ran_out_of_time_is_not_sent() {
    let mut request = execute(
        1,
        "import time\nopen('submission.csv', 'w').write('id')\ntime.sleep(1000)",
    );
    request.timeout_ms = 700;
    let outcome = Executor::start().connect().run(&request);
    assert!(outcome.submission.is_empty());
    assert_eq!(
        outcome.finished.submission,
        mledojo::wire::channel::SubmissionFound::NotLooked
    );
}

#[test]
fn cancelling_ends_a_run_and_the_next_one_works() {
    let marker = marker();
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    relay.send(&ToExec::Run(execute(1, &stubborn(&marker))));
    assert!(matches!(
        relay.next(),
        Event::Message(FromExec::Started { run: 1 })
    ));
    assert!(matches!(relay.next(), Event::Bulk(_)));
    relay.send(&ToExec::Cancel { run: 77 });
    relay.send(&ToExec::Cancel { run: 1 });
    let outcome = relay.outcome();
    assert_eq!(outcome.finished.exit, RunExit::Cancelled);
    assert_eq!(processes(&marker), [0; 0]);
    assert_eq!(relay.run(&execute(2, "print('on')")).well().stdout(), "on\n");
}

#[test]
fn memory_over_the_limit_ends_a_program_with_the_reason() {
    let limit = (300 * 1024 * 1024).to_string();
    let mut executor = Executor::started(Start::Usual, &["--memory", &limit]);
    let mut relay = executor.connect();
    let hog = "import time\nblocks = []\nfor i in range(100):\n    blocks.append(b'x' * (20 * 1024 * 1024 + i))\n    time.sleep(0.02)\n";
    let outcome = relay.run(&execute(1, hog));
    let RunExit::Resource { message } = &outcome.finished.exit else {
        panic!("{:?}", outcome.finished)
    };
    assert!(
        message.contains("memory") && message.contains("300 MiB"),
        "{message}"
    );
    // 8 children share 200 MiB with their parent: that is 200 MiB, not 1.8 GiB.
    let shared = "import os, time\nblock = b'x' * (200 * 1024 * 1024)\npids = []\nfor i in range(8):\n    pid = os.fork()\n    if pid == 0:\n        time.sleep(0.6)\n        os._exit(0)\n    pids.append(pid)\nfor pid in pids:\n    os.waitpid(pid, 0)\n";
    relay.run(&execute(2, shared)).well();
}

#[test]
fn files_in_shared_memory_count_as_memory() {
    let limit = (200 * 1024 * 1024).to_string();
    let mut executor = Executor::started(Start::Usual, &["--memory", &limit]);
    let (mut relay, _, layers) = executor.connect_with("s");
    if !layers.iter().any(|layer| layer == "private-root") {
        return println!("not run: shared memory is the machine's here");
    }
    let code = "import time\nfor name in ('/dev/shm/a', '/tmp/b'):\n    with open(name, 'wb') as file:\n        for i in range(6):\n            file.write(b'x' * (20 * 1024 * 1024))\ntime.sleep(20)\n";
    let outcome = relay.run(&execute(1, code));
    assert!(
        matches!(outcome.finished.exit, RunExit::Resource { .. }),
        "{:?}",
        outcome.finished
    );
    // What it held is free again.
    relay
        .run(&execute(
            2,
            "block = b'x' * (120 * 1024 * 1024)\nimport time\ntime.sleep(0.3)",
        ))
        .well();
}

#[test]
fn the_end_of_the_connection_ends_the_run_and_removes_its_submission() {
    let marker = marker();
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let code = format!("open('submission.csv', 'w').write('id')\n{}", stubborn(&marker));
    relay.send(&ToExec::Run(execute(1, &code)));
    assert!(matches!(
        relay.next(),
        Event::Message(FromExec::Started { run: 1 })
    ));
    assert!(matches!(relay.next(), Event::Bulk(_)));
    assert!(executor.path("workspace/submission.csv").exists());
    drop(relay);
    let (mut relay, resume, _) = executor.connect_with("the-secret");
    assert_eq!(resume.as_deref(), Some("the-secret"));
    assert_eq!(processes(&marker), [0; 0]);
    assert!(!executor.path("workspace/submission.csv").exists());
    relay.run(&execute(2, "print(1)")).well();
}

#[test]
fn sigterm_ends_the_executor_and_what_runs() {
    for start in [Start::Usual, Start::Bare] {
        let marker = marker();
        let mut executor = Executor::started(start, &[]);
        let mut relay = executor.connect();
        relay.send(&ToExec::Run(execute(1, &stubborn(&marker))));
        assert!(matches!(
            relay.next(),
            Event::Message(FromExec::Started { run: 1 })
        ));
        assert!(matches!(relay.next(), Event::Bulk(_)));
        let asked = Instant::now();
        executor.signal(Signal::TERM);
        assert_eq!(executor.ended(), Some(0), "{start:?}");
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{start:?} {:?}",
            asked.elapsed()
        );
        until("all processes are gone", || {
            processes(&marker).is_empty().then_some(())
        });
    }
}

#[test]
fn with_a_killed_executor_goes_what_runs_where_it_has_its_own_process_numbers() {
    let marker = marker();
    let mut executor = Executor::start();
    let (mut relay, _, layers) = executor.connect_with("s");
    if !layers.iter().any(|layer| layer == "pid-namespace") {
        return println!("not run: no process numbers of its own here");
    }
    relay.send(&ToExec::Run(execute(1, &stubborn(&marker))));
    assert!(matches!(
        relay.next(),
        Event::Message(FromExec::Started { run: 1 })
    ));
    assert!(matches!(relay.next(), Event::Bulk(_)));
    executor.signal(Signal::KILL);
    until("all processes are gone", || {
        processes(&marker).is_empty().then_some(())
    });
}

#[test]
fn a_bomb_of_processes_is_ended() {
    for start in [Start::Usual, Start::Bare] {
        let mut executor = Executor::started(start, &[]);
        let mut relay = executor.connect();
        // Each process has three children, in sessions of their own; 363 in all.
        let code = "import os, time\nfor depth in range(5):\n    for i in range(3):\n        if os.fork() == 0:\n            os.setsid()\n            break\n    else:\n        break\nopen(f'p{os.getpid()}', 'w')\ntime.sleep(1000)";
        let mut request = execute(1, code);
        request.timeout_ms = 1500;
        request.grace_ms = 50;
        let began = Instant::now();
        let outcome = relay.run(&request);
        assert!(
            matches!(outcome.finished.exit, RunExit::TimedOut { .. }),
            "{start:?}"
        );
        assert!(began.elapsed() < PATIENCE / 2, "{start:?} {:?}", began.elapsed());
        assert_eq!(
            processes(
                &executor
                    .path("workspace")
                    .join("execution_1.py")
                    .display()
                    .to_string()
            ),
            [0; 0],
            "{start:?}"
        );
    }
}
