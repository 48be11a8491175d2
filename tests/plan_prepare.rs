//! The programs by which a pod prepares the data of one episode and a Job those of all, run by a real Python.

#![allow(clippy::unwrap_used)] // a test program: a panic is its failure

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mledojo::plan::pod::{PREPARE_ONCE, PREPARE_PROGRAM};

/// Runs the pod's program with `code` as the Task's file, in the directories of `dir`.
fn prepare(dir: &Path, code: &str) -> Output {
    run(PREPARE_PROGRAM, dir, code, &[])
}

/// Runs the Job's program.
fn prepare_once(dir: &Path, code: &str, purpose: &str) -> Output {
    run(PREPARE_ONCE, dir, code, &[purpose])
}

fn run(program: &str, dir: &Path, code: &str, further: &[&str]) -> Output {
    let file = dir.join("prepare.py");
    fs::write(&file, code).unwrap();
    let directories = ["raw", "public", "private"].map(|name| dir.join(name));
    for directory in &directories {
        fs::create_dir_all(directory).unwrap();
    }
    Command::new("python3")
        .args(["-c", program])
        .arg(file)
        .args(directories)
        .args(further)
        .output()
        .unwrap()
}

const CODE: &str = "\
def prepare(raw, public, private):
    (public / 'images').mkdir()
    (public / 'train.csv').write_text('x\\n')
    (private / 'answers.csv').write_text('y\\n')
";

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn data_are_prepared_once_even_if_the_container_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = prepare(dir.path(), CODE);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert_eq!(
        fs::read_to_string(dir.path().join("private/answers.csv")).unwrap(),
        "y\n"
    );
    let second = prepare(dir.path(), "raise SystemExit('not again')");
    assert!(second.status.success(), "{}", text(&second.stderr));
}

#[test]
fn what_an_interrupted_preparation_left_is_removed_first() {
    let dir = tempfile::tempdir().unwrap();
    let broken = CODE.replace("    (private", "    raise RuntimeError('no disk')\n    (private");
    assert!(!prepare(dir.path(), &broken).status.success());
    assert!(dir.path().join("public/images").exists(), "half of it is there");
    let again = prepare(dir.path(), CODE);
    assert!(again.status.success(), "{}", text(&again.stderr));
}

#[test]
fn a_file_without_the_function_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let output = prepare(dir.path(), "x = 1\n");
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("prepare(raw, public, private)"));
}

#[test]
fn a_job_finishes_its_own_half_and_leaves_the_data_of_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("public/lost+found")).unwrap();
    let broken = CODE.replace("    (private", "    raise RuntimeError('no disk')\n    (private");
    assert!(
        !prepare_once(dir.path(), &broken, "iris-prepare-1")
            .status
            .success()
    );
    assert!(dir.path().join("public/images").exists(), "half of it is there");
    let others = prepare_once(dir.path(), CODE, "wine-prepare-1");
    assert!(!others.status.success(), "another Task may be at it");
    // The program was mended, so that it is another Job.
    let again = prepare_once(dir.path(), CODE, "iris-prepare-2");
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(dir.path().join("public/lost+found").exists());
    let done = prepare_once(dir.path(), "raise SystemExit('not again')", "iris-prepare-2");
    assert!(done.status.success(), "{}", text(&done.stderr));

    let answers = dir.path().join("private/answers.csv");
    fs::write(&answers, "precious").unwrap();
    let other = prepare_once(dir.path(), CODE, "iris-prepare-3");
    assert!(!other.status.success());
    assert!(
        text(&other.stderr).contains("hold other data already"),
        "{}",
        text(&other.stderr)
    );
    assert_eq!(fs::read_to_string(answers).unwrap(), "precious");
}

#[test]
fn a_job_does_not_write_over_what_a_person_has_put_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("public")).unwrap();
    fs::write(dir.path().join("public/train.csv"), "precious").unwrap();
    let output = prepare_once(dir.path(), CODE, "iris-prepare-1");
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("train.csv"),
        "{}",
        text(&output.stderr)
    );
    assert!(!dir.path().join("private/.prepared").exists());
}

#[test]
fn the_digest_of_what_a_job_prepared_is_that_of_the_data_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert!(prepare_once(dir.path(), CODE, "iris-prepare-1").status.success());
    let out = dir.path().join("digest");
    let manifest = |private: &str| {
        let sides = [dir.path().join("public"), dir.path().join(private)];
        let mut command = Command::new(env!("CARGO_BIN_EXE_dojo"));
        command.arg("manifest").args(sides).arg(&out).output().unwrap()
    };
    assert!(manifest("private").status.success());
    let digest = fs::read_to_string(&out).unwrap();
    assert_eq!(digest.len(), 64, "{digest}");
    fs::remove_file(dir.path().join("private/.prepared")).unwrap();
    assert!(manifest("private").status.success());
    assert_eq!(fs::read_to_string(&out).unwrap(), digest);
    assert_eq!(manifest("missing").status.code(), Some(1));
    let message = fs::read_to_string(&out).unwrap();
    assert!(message.contains("missing"), "{message}");
}
