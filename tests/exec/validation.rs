//! Validation: in a throw-away copy, with nothing left behind.

use mledojo::wire::channel::{RunExit, SubmissionFound};

use super::support::{Executor, Start, execute, validate};

#[test]
fn a_validation_sees_the_workspace_and_leaves_it_as_it_was() {
    for start in [Start::Usual, Start::Bare] {
        let mut executor = Executor::started(start, &[]);
        let mut relay = executor.connect();
        let setup = "import os\nos.mkdir('models')\nopen('models/a.txt', 'w').write('weights')\nos.symlink('models/a.txt', 'link')\nos.mkfifo('fifo')";
        relay.run(&execute(1, setup)).well();
        let code = "import os\nprint(open('link').read(), sorted(os.listdir('.')))\nopen('models/a.txt', 'w').write('changed')\nopen('submission.csv', 'w').write('id')\nos.remove('link')";
        let outcome = relay.run(&validate(2, code)).well();
        assert_eq!(
            outcome.stdout(),
            "weights ['execution_1.py', 'link', 'models', 'validation_2.py']\n",
            "{start:?}"
        );
        assert_eq!(outcome.finished.submission, SubmissionFound::NotLooked);
        assert!(outcome.submission.is_empty());
        let look = "import os\nprint(open('link').read(), sorted(os.listdir('.')))";
        let after = relay.run(&execute(3, look)).well();
        assert_eq!(
            after.stdout(),
            "weights ['execution_1.py', 'execution_3.py', 'fifo', 'link', 'models']\n",
            "{start:?}"
        );
        assert!(!executor.path("scratch/validation").exists());
    }
}

#[test]
fn absolute_paths_lead_into_the_copy_where_programs_have_their_own_mounts() {
    let mut executor = Executor::start();
    let (mut relay, _, layers) = executor.connect_with("s");
    let workspace = executor.path("workspace");
    let code = format!(
        "import os\nassert os.environ['DOJO_WORKSPACE'] == os.getcwd()\nopen({:?}, 'w').write('x')\nprint(os.getcwd())",
        workspace.join("new.csv")
    );
    let outcome = relay.run(&validate(1, &code));
    if layers.iter().any(|layer| layer == "program-namespaces") {
        assert_eq!(outcome.well().stdout().trim(), workspace.display().to_string());
    } else {
        assert!(
            outcome.stderr().contains("PermissionError"),
            "{}",
            outcome.stderr()
        );
    }
    assert!(!workspace.join("new.csv").exists());
}

#[test]
fn a_syntax_error_is_found_before_anything_runs() {
    let outcome = Executor::start()
        .connect()
        .run(&validate(1, "print('ran')\nif True\n    pass\n"));
    let RunExit::Syntax { message } = &outcome.finished.exit else {
        panic!("{:?}", outcome.finished)
    };
    assert!(
        message.starts_with("validation_1.py, line 2, column "),
        "{message}"
    );
    assert_eq!(outcome.stdout(), "");
}

#[test]
fn a_traceback_and_a_time_limit_are_as_in_an_execution() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let outcome = relay.run(&validate(1, "\nraise ValueError('x')"));
    assert_eq!(outcome.finished.exit, RunExit::Exited { code: 1 });
    assert!(
        outcome.stderr().contains("validation_1.py\", line 2"),
        "{}",
        outcome.stderr()
    );
    let mut request = validate(2, "import time\ntime.sleep(1000)");
    request.timeout_ms = 600;
    assert!(matches!(
        relay.run(&request).finished.exit,
        RunExit::TimedOut { .. }
    ));
    assert!(!executor.path("scratch/validation").exists());
}

#[test]
fn a_workspace_that_is_too_large_to_copy_is_said_with_what_to_do() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    relay
        .run(&execute(1, "open('large', 'wb').truncate(1 << 31)"))
        .well();
    let outcome = relay.run(&validate(2, "print(1)"));
    let RunExit::Sandbox { message } = &outcome.finished.exit else {
        panic!("{:?}", outcome.finished)
    };
    assert!(
        message.contains("more than 1 GiB") && message.contains("remove"),
        "{message}"
    );
    relay.run(&execute(3, "print(1)")).well();
}

#[test]
fn the_copy_counts_against_the_time_limit() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let many = "for i in range(15000):\n    open('file-%d' % i, 'w').write('x')";
    relay.run(&execute(1, many)).well();
    let mut request = validate(2, "print(1)");
    request.timeout_ms = 20;
    let outcome = relay.run(&request);
    assert_eq!(outcome.finished.exit, RunExit::TimedOut { killed: false });
    assert!(outcome.finished.usage.wall_seconds >= 0.02 && !outcome.started);
    assert!(!executor.path("scratch/validation").exists());
    relay.run(&execute(3, "print(1)")).well();
}
