//! The relay with the real executor and real Python.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use mledojo::wire::agent::ErrorType;

use crate::support::{Agent, DOJO, Files, Process, execute, start_relay, until};

/// The user of executed code where the tests run as root.
const CODE_USER: &str = "20779:20779";

const SUBMIT: &str = "
import os, pathlib
rows = pathlib.Path(os.environ['DOJO_PUBLIC'], 'sample_submission.csv').read_text().splitlines()
with open('submission.csv', 'w') as out:
    print(rows[0], file=out)
    for row in range(1, 5):
        print(row, 0.15, sep=',', file=out)
print('seed', os.environ['DOJO_SEED'])
";

const WAIT: &str = "
import pathlib, time
pathlib.Path('started').touch()
while True:
    time.sleep(0.01)
";

fn python() -> PathBuf {
    let output = Command::new("python3")
        .args(["-I", "-c", "import sys; print(sys.executable)"])
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn start_executor(files: &Files) -> Process {
    for dir in ["exec", "exec/workspace", "exec/state", "exec/scratch"] {
        let _ = fs::create_dir(files.path(dir));
    }
    let mut command = Command::new(DOJO);
    command.arg("exec").arg("--socket").arg(files.socket());
    for (option, dir) in [
        ("--public", "public"),
        ("--workspace", "exec/workspace"),
        ("--state", "exec/state"),
        ("--scratch", "exec/scratch"),
    ] {
        command.arg(option).arg(files.path(dir));
    }
    command.arg("--python").arg(python());
    if rustix::process::geteuid().is_root() {
        command.args(["--user", CODE_USER]);
    }
    Process::start(&mut command)
}

#[test]
fn python_is_executed_and_its_submission_graded_while_either_side_is_killed() {
    let files = Files::new(15, Duration::from_secs(3600));
    fs::set_permissions(files.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    files.set_dirs(&files.path("public"), &files.path("exec/workspace"));
    let mut relay = start_relay(&files);
    let mut executor = start_executor(&files);
    let mut agent = Agent::new(&files);
    let reply = agent.step("a", &execute(SUBMIT));
    assert_eq!(reply.observation.error, None);
    assert!((reply.reward - 0.8).abs() < 1e-12, "{reply:?}");
    let log = fs::read_to_string(files.path("run/logs/execution_1.log")).unwrap();
    assert_eq!(log, "seed 7\n");

    // A killed executor fails the step, and the next one goes on in the same workspace.
    let started = files.path("exec/workspace/started");
    let running = |key: &'static str| {
        let mut agent = Agent::new(&files);
        let step = thread::spawn(move || agent.step(key, &execute(WAIT)));
        until("the program runs", || fs::metadata(&started).ok());
        fs::remove_file(&started).unwrap();
        step
    };
    let step = running("b");
    executor.kill();
    let error = step.join().unwrap().observation.error.unwrap().error_type;
    assert!(
        matches!(error, ErrorType::SandboxError | ErrorType::SandboxResourceError),
        "{error:?}"
    );
    let _executor = start_executor(&files);
    assert!((agent.step("c", &execute(SUBMIT)).reward - 0.8).abs() < 1e-12);

    // A killed relay asks for the step again; cancelled, it is recorded as such.
    let step = running("d");
    relay.kill();
    let _relay = start_relay(&files);
    until("the program runs again", || fs::metadata(&started).ok());
    until("the program is cancelled", || {
        let answer = agent.attempt("POST", "/v1/cancel", &[], b"")?;
        (answer.status == 202).then_some(())
    });
    let reply = step.join().unwrap();
    assert_eq!(reply.step, 4);
    assert_eq!(
        reply.observation.error.unwrap().error_type,
        ErrorType::CodeCancelledError
    );
    assert_eq!(files.journal().1.len(), 4);
    assert!(!files.result().layers.is_empty());
}
