//! `dojo run` before an episode starts: input, environments, data, locks.

#![allow(clippy::unwrap_used)] // a test program: a panic is its failure

mod local_support;

use std::fs;

use local_support::{BASELINE, Bench, code, mode, wait_until};
use rustix::process::Signal;

#[test]
fn wrong_input_is_told_whole_and_nothing_is_made() {
    let bench = Bench::new();
    bench.task("line", &[vec![code(BASELINE)]]);
    bench.write("in/line/all.yaml", "apiVersion: mledojo.dev/v1alpha1\nkind: Episode\nmetadata: {name: e}\nspec: {taskRef: {name: gone}, seed: x}\n");
    bench.write(
        "in/broken/kustomization.yaml",
        "resources: [nowhere.yaml]\nnamePrefix: x\n",
    );
    let run = bench.run(&["line"], &[]).expect(2);
    assert!(run.stderr.contains("Episode/e: spec.seed"), "{}", run.stderr);
    assert!(run.stderr.contains("spec.agent"), "{}", run.stderr);
    let run = bench.run(&["broken"], &[]).expect(2);
    assert!(
        run.stderr.contains("namePrefix: is not supported here"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
    assert!(!bench.path("runs").exists());
    bench.run(&[], &[]).expect(2);
}

#[test]
fn documents_without_an_episode_are_nothing_to_run() {
    let bench = Bench::new();
    bench.task("line", &[]);
    let run = bench.run(&["line"], &[]).expect(2);
    assert!(run.stderr.contains("there is no Episode in "), "{}", run.stderr);
}

#[test]
fn a_python_that_is_not_there_is_named() {
    let bench = Bench::new();
    bench.task("line", &[vec![code(BASELINE)]]);
    let run = bench.run(&["line"], &["--python", "/nowhere/python3"]).expect(1);
    assert!(
        run.stderr.contains("\"/nowhere/python3\" cannot be started"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_broken_prepare_fails_its_episodes_with_the_reason_and_leaves_nothing_in_the_cache() {
    let bench = Bench::new();
    bench.task_with(
        "broken",
        "def prepare(raw, public, private):\n    (public / 'half').write_text('x')\n    raise ValueError('no raw data')\n",
        "",
        &[vec![code(BASELINE)], vec![code(BASELINE)]],
    );
    bench.task_with("empty", "x = 1\n", "", &[vec![code(BASELINE)]]);
    let no_board = bench.prepare().replace("leaderboard.csv", "board.csv");
    bench.task_with("boardless", &no_board, "", &[vec![code(BASELINE)]]);
    let run = bench.run(&["broken", "empty", "boardless"], &[]).expect(1);
    for (episode, reason) in [
        (
            "broken-0",
            "PrepareFailed: prepare ended with exit code 1: ValueError: no raw data",
        ),
        (
            "broken-1",
            "PrepareFailed: prepare ended with exit code 1: ValueError: no raw data",
        ),
        (
            "empty-0",
            "PrepareFailed: prepare ended with exit code 1: there is no function `prepare(raw, public, private)` in it",
        ),
        (
            "boardless-0",
            "DataIncomplete: the private data lack leaderboard.csv: they have answers.csv, board.csv",
        ),
    ] {
        let line = format!("{episode}: Task failure, {reason}");
        assert!(run.stdout.contains(&line), "{line}\nis not in\n{}", run.stdout);
        let status = &bench.episode(episode)["status"];
        assert_eq!(status["phase"], "Failed");
        assert_eq!(status["failure"]["class"], "Task");
    }
    let log = bench.path("runs/.dojo/prepare-default_broken.log");
    assert!(run.stdout.contains(&format!("(log: {})", log.display())));
    assert!(fs::read_to_string(log).unwrap().contains("Traceback"));
    let left: Vec<_> = fs::read_dir(bench.path("cache/data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_preparation_that_is_interrupted_ends_with_its_children_and_leaves_nothing() {
    for (signal, exit) in [
        (Signal::INT, Some(130)),
        (Signal::TERM, Some(130)),
        (Signal::KILL, None),
    ] {
        let bench = Bench::new();
        let slow = "import subprocess, sys\n\ndef prepare(raw, public, private):\n    \
                    subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)', 'DIR'])\n";
        let slow = slow.replace("DIR", &bench.path("in").display().to_string());
        bench.task_with("slow", &slow, "", &[vec![code(BASELINE)]]);
        let run = bench.start(&["slow"], &[]);
        wait_until("the child of prepare", || {
            bench
                .processes()
                .iter()
                .any(|(_, command)| command.contains("time.sleep(600)"))
        });
        run.signal(signal);
        let run = run.wait();
        assert_eq!(run.code, exit);
        bench.wait_for_silence();
        if exit.is_some() {
            assert!(
                run.stderr.contains("Run the same command again to continue"),
                "{}",
                run.stderr
            );
            assert_eq!(bench.episode("slow-0")["status"]["phase"], "Pending");
            let left = fs::read_dir(bench.path("cache/data")).unwrap();
            assert!(left.flatten().all(|entry| entry.file_type().unwrap().is_file()));
        }
    }
}

#[test]
fn two_runs_do_not_share_a_directory() {
    let bench = Bench::new();
    bench.task_with(
        "slow",
        "import time\n\ndef prepare(raw, public, private):\n    time.sleep(600)\n",
        "",
        &[vec![code(BASELINE)]],
    );
    let first = bench.start(&["slow"], &[]);
    wait_until("the first run", || {
        bench.path("runs/slow-0/episode.yaml").exists()
    });
    let second = bench.run(&["slow"], &[]).expect(1);
    let expected = format!("process {} runs episodes in", first.pid());
    assert!(second.stderr.contains(&expected), "{}", second.stderr);
    first.signal(Signal::INT);
    first.wait().expect(130);
}

#[test]
fn a_folder_of_somebody_else_is_not_taken_for_a_run() {
    let bench = Bench::new();
    bench.task("line", &[vec![code(BASELINE)]]);
    bench.write("runs/line-0/thesis.txt", "precious");
    for arguments in [&[][..], &["--fresh"]] {
        let run = bench.run(&["line"], arguments).expect(2);
        assert!(
            run.stderr.contains("it has files that no run has made"),
            "{}",
            run.stderr
        );
    }
    assert_eq!(bench.read("runs/line-0/thesis.txt"), "precious");
}

#[test]
fn a_task_that_this_machine_cannot_run_says_what_would() {
    let bench = Bench::new();
    bench.task("gpu", &[vec![code(BASELINE)]]);
    let text = bench.read("in/gpu/all.yaml").replace(
        "image: example.org/python:3",
        "image: example.org/python:3\n    gpu: {count: 1}",
    );
    bench.write("in/gpu/all.yaml", &text);
    let run = bench.run(&["gpu"], &[]).expect(1);
    assert!(
        run.stdout
            .contains("gpu-0: Infrastructure failure, GpuNotSupported"),
        "{}",
        run.stdout
    );
    assert!(mode(&bench.path("runs/gpu-0/.state")) & 0o066 == 0);
}
