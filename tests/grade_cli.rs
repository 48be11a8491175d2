//! `dojo grade` as a user calls it: a real process, its exit code, what it prints, and files that are no submission.

#![allow(clippy::panic, clippy::unwrap_used)] // a test program: a panic is its failure

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

const TASK: &str = "
apiVersion: mledojo.dev/v1alpha1
kind: Task
metadata: {name: heights}
spec:
  title: Heights
  description: Predict a height.
  domain: Tabular
  data: {path: .}
  environment: {image: none}
  evaluation:
    metric: {builtin: Mae}
    submission: {idColumn: id, maxBytes: 1000}
    leaderboards: [{name: private, file: private.csv}, {name: public, file: public.csv}]
";

/// A folder with a Task, its private data, and whatever a test adds.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        place.write("task.yaml", TASK);
        place.write("answers.csv", "id,y\na,1\nb,2\nc,3\nd,4\n");
        place.write("private.csv", "rank,score\n1,0.1\n2,0.2\n3,0.2\n4,0.3\n5,0.5\n");
        place.write("public.csv", "rank,score\n1,0.1\n2,0.2\n3,0.4\n4,0.9\n");
        place.write("good.csv", "y,id\n4.25,d\n1.25,a\n2.25,b\n3.25,c\n");
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs `dojo grade` in the folder; a process that does not end is a failure.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dojo"));
        command.current_dir(self.path()).arg("grade").args(args);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(command.output()));
        receiver
            .recv_timeout(Duration::from_secs(60))
            .unwrap_or_else(|_| panic!("dojo grade {args:?} hangs"))
            .unwrap()
    }

    fn grade(&self, args: &[&str]) -> Output {
        self.run(&[&["--task", "task.yaml", "--private", "."], args].concat())
    }

    fn json(&self, args: &[&str]) -> (Value, i32) {
        let output = self.grade(&[args, &["-o", "json"]].concat());
        let report =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (report, output.status.code().unwrap())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_valid_submission_is_reported_as_a_table() {
    let output = Place::new().grade(&["--submission", "good.csv"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "\
task        heights
metric      Mae, smaller is better
submission  valid

score             0.25
place on private  4 of 5
place on public   3 of 4
HumanRank         0.450000
medal             None
above median      no
"
    );
}

#[test]
fn a_valid_submission_is_reported_as_json() {
    let (report, code) = Place::new().json(&["--submission", "good.csv"]);
    assert_eq!(code, 0);
    assert_eq!(
        report,
        json!({
            "task": "heights",
            "metric": "Mae",
            "direction": "Minimize",
            "valid": true,
            "reason": null,
            "score": 0.25,
            "places": [
                {"board": "private", "place": 4, "total": 5},
                {"board": "public", "place": 3, "total": 4},
            ],
            "humanRank": 0.45,
            "medal": "None",
            "aboveMedian": false,
            "hidden": null,
        })
    );
}

#[test]
fn a_score_is_placed_without_a_submission_negative_ones_included() {
    let place = Place::new();
    for (args, score, rank) in [
        (&["--score=0.25"][..], 0.25, 0.45),
        (&["--score", "0.15"], 0.15, 0.775),
        (&["--score=-0.5"], -0.5, 1.0),
        (&["--score", "-0.5"], -0.5, 1.0),
        (&["--score", "-1e-3"], -0.001, 1.0),
    ] {
        let (report, code) = place.json(args);
        assert_eq!((report["score"].as_f64(), code), (Some(score), 0), "{args:?}");
        assert!(
            (report["humanRank"].as_f64().unwrap() - rank).abs() < 1e-12,
            "{args:?}"
        );
    }
    let table = text(&place.grade(&["--score=-2.5e300"]).stdout);
    assert!(table.contains("score             -2.5e300\n"), "{table}");
    let output = place.grade(&["--score=0.05"]);
    assert!(
        text(&output.stdout).contains("medal             Gold\n"),
        "{output:?}"
    );
    assert!(!text(&output.stdout).contains("submission"), "{output:?}");
}

#[test]
fn a_hold_out_is_reported_beside_the_visible_rows() {
    let place = Place::new();
    place.write("task.yaml", &format!("{TASK}    holdout: {{percent: 50}}\n"));
    let (report, code) = place.json(&["--submission", "good.csv"]);
    assert_eq!((&report["hidden"]["score"], code), (&json!(0.25), 0));
    let table = text(&place.grade(&["--submission", "good.csv"]).stdout);
    assert!(
        table.contains("                  visible rows  hidden rows\nscore             0.25          0.25\n"),
        "{table}"
    );
}

#[test]
fn an_invalid_submission_has_a_reason_and_exit_code_1() {
    let place = Place::new();
    place.write("bad.csv", "id,y\na,1\nb,\nc,3\nd,4\n");
    let reason = "column `y`: line 3 (id `b`) is blank: every row needs a value";
    let (report, code) = place.json(&["--submission", "bad.csv"]);
    assert_eq!(code, 1);
    assert_eq!(
        (
            &report["valid"],
            &report["reason"],
            &report["score"],
            &report["humanRank"]
        ),
        (&json!(false), &json!(reason), &Value::Null, &Value::Null)
    );
    let output = place.grade(&["--submission", "bad.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        format!("task        heights\nmetric      Mae, smaller is better\nsubmission  invalid\n\n{reason}\n")
    );
}

#[test]
fn only_a_regular_file_of_the_right_size_is_read() {
    let place = Place::new();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("directory")).unwrap();
    let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    symlink(at("good.csv"), at("link")).unwrap();
    symlink(at("answers.csv"), at("link-to-answers")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    fs::write(at("large"), vec![b'x'; 1001]).unwrap();
    let sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(5_000_000_000).unwrap();
    fs::write(at("empty"), "").unwrap();
    for (name, expected) in [
        ("missing", "missing does not exist"),
        (
            "directory",
            "directory is a directory: a submission must be a regular file",
        ),
        (
            "pipe",
            "pipe is a named pipe: a submission must be a regular file",
        ),
        (
            "link",
            "link is a symbolic link: a submission must be a regular file",
        ),
        ("link-to-answers", "link-to-answers is a symbolic link"),
        ("dangling", "dangling is a symbolic link"),
        (
            "socket",
            "socket is a socket: a submission must be a regular file",
        ),
        (
            "/dev/zero",
            "/dev/zero is a device: a submission must be a regular file",
        ),
        ("large", "large has 1001 bytes, at most 1000 are accepted"),
        ("sparse", "sparse has 5000000000 bytes, at most 1000 are accepted"),
        ("empty", "the file is empty"),
    ] {
        let (report, code) = place.json(&["--submission", name]);
        let reason = report["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with(expected), "{name}: {reason}");
        assert_eq!((&report["valid"], code), (&json!(false), 1), "{name}");
    }
}

#[test]
fn a_broken_task_is_not_blamed_on_the_submission() {
    let place = Place::new();
    place.write("answers.csv", "id,y\na,1\nb,2\nc,secret\nd,4\n");
    let output = place.grade(&["--submission", "good.csv", "-o", "json"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert_eq!(
        text(&output.stderr),
        "dojo grade: the task cannot grade: answers `answers.csv`: row 3, column `y`: Mae needs a finite number\n"
    );
    fs::remove_file(place.path().join("public.csv")).unwrap();
    let output = place.grade(&["--score", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("leaderboard public: cannot read ./public.csv"),
        "{output:?}"
    );
}

#[test]
fn the_task_is_found_in_a_directory_and_by_its_name() {
    let place = Place::new();
    let other = TASK
        .replace("name: heights", "name: widths")
        .replace("Mae", "Rmse");
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: code}\n---\n";
    fs::create_dir(place.path().join("both")).unwrap();
    place.write("both/a.yaml", &format!("{config}{TASK}---\n{other}"));
    place.write("both/kustomization.yaml", "resources: [a.yaml]\n");
    place.write("both/notes.txt", ": not YAML :\n");
    for (selector, name) in [
        ("task.yaml", "heights"),
        (".", "heights"),
        ("both#widths", "widths"),
        ("both/a.yaml#heights", "heights"),
    ] {
        let output = place.run(&["--task", selector, "--private", ".", "--score=1", "-o", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["task"], name, "{selector}");
    }
    for (selector, expected) in [
        (
            "both",
            "both has several Tasks: pick one as both#NAME, from heights, widths",
        ),
        ("both#depths", "both has no Task depths; it has heights, widths"),
        ("answers.csv", "answers.csv: document 1: a document is a mapping"),
        ("nowhere.yaml", "nowhere.yaml: "),
        ("both/notes.txt", "both/notes.txt: "),
    ] {
        let output = place.run(&["--task", selector, "--private", ".", "--score=1"]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{selector}: {message}");
        assert!(message.contains(expected), "{selector}: {message}");
    }
}

#[test]
fn a_wrong_call_has_exit_code_2() {
    let place = Place::new();
    for args in [
        &["--task", "task.yaml", "--private", "."][..],
        &["--task", "task.yaml", "--private", ".", "--score", "nan"],
        &["--task", "task.yaml", "--private", ".", "--score", "-inf"],
        &[
            "--task",
            "task.yaml",
            "--private",
            ".",
            "--score",
            "1",
            "--submission",
            "good.csv",
        ],
        &["--task", "task.yaml", "--private", "nowhere", "--score", "1"],
        &["--submission", "good.csv"],
    ] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_tasks_own_data_are_used_where_no_others_are_named() {
    let place = Place::new();
    place.write("own.yaml", &TASK.replace("path: .", "path: data"));
    for side in ["public", "private"] {
        fs::create_dir_all(place.path().join("data").join(side)).unwrap();
    }
    for file in ["answers.csv", "private.csv", "public.csv"] {
        fs::copy(
            place.path().join(file),
            place.path().join("data/private").join(file),
        )
        .unwrap();
    }
    let output = place.run(&["--task", "own.yaml", "--submission", "good.csv", "-o", "json"]);
    assert!(output.status.success(), "{output:?}");
    let own: Value = serde_json::from_slice(&output.stdout).unwrap();
    let output = place.run(&[
        "--task",
        "task.yaml",
        "--private",
        ".",
        "--submission",
        "good.csv",
        "-o",
        "json",
    ]);
    assert_eq!(own, serde_json::from_slice::<Value>(&output.stdout).unwrap());
    // Without data there is nothing to grade against, and the message says what is missing.
    fs::remove_file(place.path().join("data/private/answers.csv")).unwrap();
    let output = place.run(&["--task", "own.yaml", "--submission", "good.csv"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("answers.csv"),
        "{output:?}"
    );
}
