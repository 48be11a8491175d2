//! The program by which a pod prepares the data of one episode, run by a real Python.

#![allow(clippy::unwrap_used)] // a test program: a panic is its failure

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mledojo::plan::pod::PREPARE_PROGRAM;

/// Runs the program with `code` as the Task's file, in the directories of `dir`.
fn prepare(dir: &Path, code: &str) -> Output {
    let file = dir.join("prepare.py");
    fs::write(&file, code).unwrap();
    let directories = ["raw", "public", "private"].map(|name| dir.join(name));
    for directory in &directories {
        fs::create_dir_all(directory).unwrap();
    }
    Command::new("python3")
        .args(["-c", PREPARE_PROGRAM])
        .arg(file)
        .args(directories)
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
