//! Which submission is handed over.

use mledojo::wire::channel::{RunExit, SubmissionFound};

use super::support::{Executor, Outcome, execute, run_once};

fn refused(code: &str) -> Outcome {
    let outcome = run_once(code).well();
    assert!(outcome.submission.is_empty(), "bytes were sent");
    outcome
}

#[test]
fn a_submission_is_sent_and_kept_under_its_number() {
    let mut executor = Executor::start();
    let code = "open('submission.csv', 'wb').write(b'id,target\\n' + b'1,0\\n' * 200000)";
    let outcome = executor.connect().run(&execute(3, code)).well();
    assert_eq!(outcome.submission.len(), 10 + 800_000);
    let SubmissionFound::Sent { bytes, sha256 } = &outcome.finished.submission else {
        panic!("{:?}", outcome.finished)
    };
    assert_eq!(*bytes, 800_010);
    assert_eq!(*sha256, digest(&outcome.submission));
    assert!(!executor.path("workspace/submission.csv").exists());
    assert_eq!(
        std::fs::read(executor.path("workspace/submission_3.csv")).unwrap(),
        outcome.submission
    );
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn an_earlier_submission_is_never_this_ones() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let failed = relay.run(&execute(
        1,
        "open('submission.csv', 'w').write('id')\nraise SystemExit(1)",
    ));
    assert_eq!(failed.finished.exit, RunExit::Exited { code: 1 });
    assert_eq!(failed.finished.submission, SubmissionFound::NotLooked);
    assert!(executor.path("workspace/submission.csv").exists());
    let silent = relay
        .run(&execute(2, "import os\nprint(os.path.exists('submission.csv'))"))
        .well();
    assert_eq!(silent.stdout(), "False\n");
    assert_eq!(silent.finished.submission, SubmissionFound::Missing);
    assert!(silent.submission.is_empty());
}

#[test]
fn something_in_the_way_of_the_program_or_the_kept_submission_is_replaced() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let code = "import os\nos.makedirs('submission_2.csv/x')\nos.symlink('/etc/passwd', 'execution_2.py')\nos.makedirs('submission.csv/y/z')";
    relay.run(&execute(1, code));
    let outcome = relay
        .run(&execute(2, "open('submission.csv', 'w').write('second')"))
        .well();
    assert_eq!(outcome.submission, b"second");
    assert_eq!(
        std::fs::read_to_string(executor.path("workspace/submission_2.csv")).unwrap(),
        "second"
    );
    assert!(std::fs::read_to_string("/etc/passwd").unwrap().contains("root"));
}

#[test]
fn a_link_is_refused() {
    let outcome =
        refused("import os\nopen('real.csv', 'w').write('id')\nos.symlink('real.csv', 'submission.csv')");
    assert!(
        outcome.refusal().contains("symbolic link"),
        "{}",
        outcome.refusal()
    );
}

#[test]
fn a_directory_and_a_fifo_and_a_socket_are_refused() {
    assert!(
        refused("import os\nos.mkdir('submission.csv')")
            .refusal()
            .contains("a directory")
    );
    assert!(
        refused("import os\nos.mkfifo('submission.csv')")
            .refusal()
            .contains("a FIFO")
    );
    let socket = "import socket\nsocket.socket(socket.AF_UNIX).bind('submission.csv')";
    assert!(refused(socket).refusal().contains("a socket"));
}

#[test]
fn a_submission_that_is_too_large_is_refused_with_both_sizes() {
    let outcome = refused("open('submission.csv', 'wb').truncate(1000001)");
    assert!(
        outcome.refusal().contains("1000001") && outcome.refusal().contains("1000000"),
        "{}",
        outcome.refusal()
    );
    let exact = run_once("open('submission.csv', 'wb').truncate(1000000)").well();
    assert_eq!(exact.submission.len(), 1_000_000);
}

#[test]
fn a_submission_that_cannot_be_read_is_refused() {
    let outcome =
        refused("import os\nopen('submission.csv', 'w').write('id')\nos.chmod('submission.csv', 0)");
    assert!(
        outcome.refusal().contains("cannot be opened"),
        "{}",
        outcome.refusal()
    );
}

#[test]
fn a_workspace_that_was_closed_is_opened_again() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let outcome = relay
        .run(&execute(
            1,
            "import os\nopen('submission.csv', 'w').write('id')\nos.chmod('.', 0)",
        ))
        .well();
    assert_eq!(outcome.submission, b"id");
    relay.run(&execute(2, "print(1)")).well();
}
