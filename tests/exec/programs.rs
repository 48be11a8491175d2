//! What a program is given and what comes back.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use mledojo::wire::channel::{FromExec, OutputCaps, RunExit, ToExec};
use mledojo::wire::frame::Frame;

use super::support::{Event, Executor, Start, execute, marker, processes, python, run_once};

#[test]
fn an_exit_code_and_both_streams_come_back() {
    let outcome =
        run_once("import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)\nsys.exit(3)");
    assert_eq!(outcome.finished.exit, RunExit::Exited { code: 3 });
    assert_eq!(outcome.stdout(), "to stdout\n");
    assert_eq!(outcome.stderr(), "to stderr\n");
    assert!(outcome.started);
}

#[test]
fn a_traceback_names_the_program_and_its_line() {
    let outcome = run_once("x = 1\n\nraise KeyError('no such column')\n");
    assert_eq!(outcome.finished.exit, RunExit::Exited { code: 1 });
    assert!(
        outcome.stderr().contains("execution_1.py\", line 3"),
        "{}",
        outcome.stderr()
    );
    assert!(
        outcome.stderr().contains("raise KeyError('no such column')"),
        "{}",
        outcome.stderr()
    );
}

#[test]
fn a_signal_comes_back() {
    let outcome = run_once("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)");
    assert_eq!(outcome.finished.exit, RunExit::Signaled { signal: 11 });
}

#[test]
fn a_program_that_does_not_parse_is_not_run() {
    let outcome = run_once("print('before')\nx = (1 +\ny = = 2\n");
    let RunExit::Syntax { message } = &outcome.finished.exit else {
        panic!("{:?}", outcome.finished.exit)
    };
    assert!(message.starts_with("execution_1.py, line "), "{message}");
    assert!(
        message.contains(", column ") && message.contains("SyntaxError: ") && message.ends_with('^'),
        "{message}"
    );
    assert_eq!(outcome.stdout(), "");
    assert!(!outcome.started);
}

#[test]
fn a_null_byte_and_odd_unicode_are_no_trouble() {
    let outcome = run_once("x = 1\0");
    assert!(
        matches!(&outcome.finished.exit, RunExit::Syntax { message } if message.contains("null byte")),
        "{outcome:?}"
    );
    let outcome = run_once("naïve = '😀'\nprint(naïve)").well();
    assert_eq!(outcome.stdout(), "😀\n");
}

#[test]
fn the_environment_is_clean_and_says_where_things_are() {
    let mut executor = Executor::start();
    let code = "import json, os\nprint(json.dumps(dict(os.environ, cwd=os.getcwd())))";
    let mut request = execute(1, code);
    request.env = vec![
        ("DOJO_SEED".into(), "7".into()),
        (
            "DOJO_PUBLIC".into(),
            executor.path("public").display().to_string(),
        ),
    ];
    let outcome = executor.connect().run(&request).well();
    let variables: std::collections::BTreeMap<String, String> =
        serde_json::from_str(outcome.stdout()).unwrap();
    let workspace = executor.path("workspace").display().to_string();
    for (name, value) in [
        ("HOME", workspace.as_str()),
        ("cwd", &workspace),
        ("DOJO_WORKSPACE", &workspace),
        ("DOJO_SEED", "7"),
        ("LANG", "C.UTF-8"),
        ("PYTHONUNBUFFERED", "1"),
    ] {
        assert_eq!(variables[name], value, "{name}");
    }
    assert!(variables["MPLCONFIGDIR"].starts_with(&workspace));
    assert!(variables["OMP_NUM_THREADS"].parse::<u32>().unwrap() > 0);
    assert!(
        !variables.contains_key("CARGO") && !variables.contains_key("CARGO_MANIFEST_DIR"),
        "{variables:?}"
    );
}

#[test]
fn modules_and_files_of_earlier_steps_are_there() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    relay
        .run(&execute(1, "open('features.py', 'w').write('NAME = \"petal\"')"))
        .well();
    let outcome = relay.run(&execute(2, "import os, features\nprint(features.NAME)\nprint(open(os.path.join(os.environ['DOJO_WORKSPACE'], 'features.py')).read())")).well();
    assert_eq!(outcome.stdout(), "petal\nNAME = \"petal\"\n");
}

#[test]
fn public_data_can_be_read_and_not_written() {
    let mut executor = Executor::start();
    let public = executor.path("public");
    let code = format!(
        "import os\nprint(open({path:?}).readline().strip())\nfor name in ('new.csv', 'train.csv'):\n    try:\n        open(os.path.join({public:?}, name), 'a')\n        print('written')\n    except OSError as error:\n        print(type(error).__name__)\n",
        path = public.join("train.csv"),
    );
    let outcome = executor.connect().run(&execute(1, &code)).well();
    let lines: Vec<&str> = outcome.stdout().lines().collect();
    assert_eq!(lines[0], "id,target");
    assert!(!outcome.stdout().contains("written"), "{}", outcome.stdout());
}

#[test]
fn output_is_live() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let code = "import os, time\nprint('first', flush=True)\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\nprint('second')";
    relay.send(&ToExec::Run(execute(1, code)));
    assert!(matches!(
        relay.next(),
        Event::Message(FromExec::Started { run: 1 })
    ));
    let mut first = Vec::new();
    while first != b"first\n" {
        match relay.next() {
            Event::Bulk(Frame::Stdout(1, bytes)) => first.extend(bytes),
            other => panic!("before the end comes {other:?}"),
        }
    }
    std::fs::write(executor.path("workspace/go"), "").unwrap();
    let outcome = relay.outcome().well();
    assert_eq!(outcome.output, b"second\n");
    assert_eq!(outcome.stdout(), "first\nsecond\n");
}

#[test]
fn the_beginning_and_the_end_of_long_output_are_kept_and_the_log_is_capped() {
    let mut executor = Executor::start();
    let mut request = execute(
        1,
        "import sys\nfor i in range(100000):\n    print(f'line {i:06}')\n",
    );
    request.output = OutputCaps {
        head: 120,
        tail: 120,
        log: 2400,
    };
    let outcome = executor.connect().run(&request).well();
    assert!(outcome.stdout().starts_with("line 000000\n") && outcome.stdout().ends_with("line 099999\n"));
    assert!(
        outcome.stdout().contains("[… 1199760 bytes left out …]"),
        "{}",
        outcome.stdout()
    );
    assert_eq!(outcome.finished.stdout.total_bytes, 1_200_000);
    assert_eq!(outcome.output.len(), 2400);
}

#[test]
fn endless_output_does_not_fill_memory() {
    let mut executor = Executor::started(Start::Bare, &[]);
    let mut request = execute(
        1,
        "import os\nblock = b'x' * 1048576\nfor i in range(600):\n    os.write(1, block)\n",
    );
    request.output.log = 1000;
    let mut relay = executor.connect();
    let outcome = relay.run(&request).well();
    assert_eq!(outcome.finished.stdout.total_bytes, 600 * 1_048_576);
    assert_eq!(outcome.output.len(), 1000);
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", executor.pid().as_raw_nonzero())).unwrap();
    let peak: u64 = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap();
    assert!(peak < 100_000, "the executor has used {peak} kB");
}

#[test]
fn a_child_that_keeps_the_output_open_does_not_hold_up_the_end() {
    let marker = marker();
    let code = format!(
        "import subprocess\nsubprocess.Popen(['sleep', '{marker}'], start_new_session=True)\nprint('done')"
    );
    let outcome = run_once(&code).well();
    assert_eq!(outcome.stdout(), "done\n");
    assert!(outcome.finished.usage.wall_seconds < 10.0);
    assert_eq!(processes(&marker), [0; 0], "a process is left");
}

#[test]
fn usage_is_measured() {
    let code = "import time, hashlib\nblock = bytearray(200 * 1024 * 1024)\nend = time.process_time() + 0.3\nwhile time.process_time() < end:\n    hashlib.sha256(b'x' * 100000).digest()\ntime.sleep(0.2)";
    let usage = run_once(code).well().finished.usage;
    assert!(
        usage.wall_seconds >= 0.5 && usage.wall_seconds < 10.0,
        "{usage:?}"
    );
    assert!(usage.cpu_seconds >= 0.3 && usage.cpu_seconds < 5.0, "{usage:?}");
    assert!(
        usage.peak_memory_bytes > 200 * 1024 * 1024 && usage.peak_memory_bytes < 400 * 1024 * 1024,
        "{usage:?}"
    );
}

#[test]
fn cpu_time_of_orphans_counts() {
    let code = "import os, time\nif os.fork() == 0:\n    if os.fork() == 0:\n        end = time.process_time() + 0.4\n        while time.process_time() < end:\n            pass\n        open('done', 'w')\n    os._exit(0)\nos.wait()\nwhile not os.path.exists('done'):\n    time.sleep(0.01)\ntime.sleep(0.1)";
    let usage = run_once(code).well().finished.usage;
    assert!(usage.cpu_seconds >= 0.4, "{usage:?}");
}

#[test]
fn every_kind_of_start_runs_programs() {
    for start in [Start::Usual, Start::Ordinary, Start::Bare, Start::RootBare] {
        let mut executor = Executor::started(start, &[]);
        let (mut relay, _, layers) = executor.connect_with("s");
        let outcome = relay
            .run(&execute(
                1,
                "import os\nopen('submission.csv', 'w').write('id')\nprint(os.getuid())",
            ))
            .well();
        assert_eq!(
            outcome.stdout().trim(),
            start.code_user().to_string(),
            "{start:?} {layers:?}"
        );
        assert_eq!(outcome.submission, b"id", "{start:?}");
        for layer in ["seccomp", "no-new-privs", "no-capabilities"] {
            assert!(layers.iter().any(|name| name == layer), "{start:?} {layers:?}");
        }
        assert!(
            layers.iter().any(|name| name.starts_with("landlock-abi-")),
            "{start:?} {layers:?}"
        );
        println!("{start:?}: {layers:?}");
    }
}

#[test]
fn a_python_given_by_name_is_found_on_the_path() {
    for start in [Start::Usual, Start::Ordinary, Start::Bare, Start::RootBare] {
        let mut executor = Executor::started(start, &["--python", "python3"]);
        let mut relay = executor.connect();
        let outcome = relay.run(&execute(1, "import sys\nprint(sys.executable)")).well();
        let expected = super::support::python(start).with_file_name("python3");
        assert_eq!(
            outcome.stdout().trim(),
            expected.display().to_string(),
            "{start:?}"
        );
    }
}

#[test]
fn a_python_below_a_closed_directory_is_reached_through_the_private_root() {
    if !rustix::process::geteuid().is_root() {
        return println!("not run: needs root");
    }
    let mut executor = Executor::start();
    let (mut relay, _, layers) = executor.connect_with("s");
    if !layers.iter().any(|layer| layer == "private-root") {
        return println!("not run: no private root here");
    }
    let workspace = executor.path("workspace");
    std::fs::set_permissions(executor.dir.path(), Permissions::from_mode(0o700)).unwrap();
    let outcome = relay
        .run(&execute(
            1,
            "import os\nprint(os.getcwd(), os.path.exists('/boot'), os.path.exists('/usr'))",
        ))
        .well();
    assert_eq!(outcome.stdout(), format!("{} False True\n", workspace.display()));
}

#[test]
fn a_python_out_of_reach_is_said_with_the_way_out_and_nothing_is_run() {
    if !rustix::process::geteuid().is_root() {
        return println!("not run: needs root");
    }
    let closed = tempfile::tempdir().unwrap();
    std::fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let hidden = closed.path().join("python3");
    std::os::unix::fs::symlink(python(Start::Bare), &hidden).unwrap();
    let mut executor = Executor::started(Start::RootBare, &["--python", hidden.to_str().unwrap()]);
    let outcome = executor.connect().run(&execute(1, "print(1)"));
    let RunExit::Sandbox { message } = &outcome.finished.exit else {
        panic!("{:?}", outcome.finished);
    };
    assert!(
        message.contains(&format!("user {}", Start::RootBare.code_user()))
            && message.contains("another interpreter"),
        "{message}"
    );
}
