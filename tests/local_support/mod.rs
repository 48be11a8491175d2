//! Runs `dojo run` as a user would, in a folder of its own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, dead_code)] // a test program: it waits and fails

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything: a busy machine, not a slow program.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Predicts the mean, with plain Python.
pub const BASELINE: &str = r#"
import csv, os
public = os.environ["DOJO_PUBLIC"]
train = list(csv.DictReader(open(f"{public}/train.csv")))
mean = sum(float(row["y"]) for row in train) / len(train)
with open("submission.csv", "w") as out:
    out.write("id,y\n")
    for row in csv.DictReader(open(f"{public}/test.csv")):
        out.write(f"{row['id']},{mean}\n")
"#;

/// Knows the law behind the data.
pub const BETTER: &str = r#"
import csv, os
public = os.environ["DOJO_PUBLIC"]
with open("submission.csv", "w") as out:
    out.write("id,y\n")
    for row in csv.DictReader(open(f"{public}/test.csv")):
        out.write(f"{row['id']},{2 * float(row['x']) + 1}\n")
"#;

/// Waits until somebody makes the file `go` in the workspace.
pub const GATE: &str = r#"
import os, time
open("at-the-gate", "w").close()
while not os.path.exists("go"):
    time.sleep(0.02)
"#;

const PREPARE: &str = r#"
import os

def prepare(raw, public, private):
    with open("COUNTER", "a") as counter:
        counter.write("x")
    assert list(raw.iterdir()) == []
    rows = [(i, (i * 37 % 101) / 10) for i in range(60)]
    with open(public / "train.csv", "w") as train:
        train.write("id,x,y\n")
        train.writelines(f"{i},{x},{2 * x + 1}\n" for i, x in rows[:40])
    with open(public / "test.csv", "w") as test, open(private / "answers.csv", "w") as answers:
        test.write("id,x\n")
        answers.write("id,y\n")
        for i, x in rows[40:]:
            test.write(f"{i},{x}\n")
            answers.write(f"{i},{2 * x + 1}\n")
    (public / "sample_submission.csv").write_text("id,y\n40,0\n")
    (private / "leaderboard.csv").write_text("rank,score\n" + "".join(f"{n},{n - 1}\n" for n in range(1, 11)))
    os.rmdir(raw)
"#;

/// A folder with tasks and episodes, a cache and a place for runs.
pub struct Bench {
    dir: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for name in ["cache", "in"] {
            fs::create_dir(bench.path(name)).unwrap();
        }
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// How often data were prepared.
    pub fn prepared(&self) -> usize {
        fs::read(self.path("counter")).map_or(0, |bytes| bytes.len())
    }

    /// A task `name` and, for each list of actions, an episode `name-N`; the folder is read as a kustomization.
    pub fn task(&self, name: &str, episodes: &[Vec<Value>]) {
        self.task_with(name, &self.prepare(), "", episodes);
    }

    /// The usual `prepare.py`.
    pub fn prepare(&self) -> String {
        PREPARE.replace("COUNTER", &self.path("counter").display().to_string())
    }

    /// As [`Bench::task`] with a `prepare.py` and further lines of the Task's spec.
    pub fn task_with(&self, name: &str, prepare: &str, spec: &str, episodes: &[Vec<Value>]) {
        let dir = format!("in/{name}");
        let mut files = vec!["prepare.py".to_owned()];
        let mut documents = vec![task(name, spec)];
        self.write(&format!("{dir}/prepare.py"), prepare);
        for (number, actions) in episodes.iter().enumerate() {
            let file = format!("actions-{number}.yaml");
            self.write(
                &format!("{dir}/{file}"),
                &serde_json::to_string_pretty(actions).unwrap(),
            );
            documents.push(format!(
                "apiVersion: mledojo.dev/v1alpha1\nkind: Episode\nmetadata: {{name: {name}-{number}}}\nspec:\n  \
                 taskRef: {{name: {name}}}\n  agent: {{replay: {{configMapKeyRef: {{name: {name}-code, key: {file}}}}}}}\n"
            ));
            files.push(file);
        }
        self.write(&format!("{dir}/all.yaml"), &documents.join("---\n"));
        self.write(
            &format!("{dir}/kustomization.yaml"),
            &format!(
                "resources: [all.yaml]\nconfigMapGenerator: [{{name: {name}-code, files: [{}]}}]\n\
                 generatorOptions: {{disableNameSuffixHash: true}}\n",
                files.join(", ")
            ),
        );
    }

    /// `dojo run` of these folders, into `runs`.
    pub fn command(&self, folders: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dojo"));
        command
            .arg("run")
            .args(folders.iter().map(|folder| self.path("in").join(folder)))
            .args(["--out".as_ref(), self.path("runs").as_os_str()])
            .env("DOJO_CACHE", self.path("cache"))
            .env_remove("DOJO_LOG")
            .current_dir(self.path("in"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, folders: &[&str], arguments: &[&str]) -> Run {
        Run::of(self.command(folders).args(arguments).output().unwrap())
    }

    pub fn start(&self, folders: &[&str], arguments: &[&str]) -> Started {
        Started(self.command(folders).args(arguments).spawn().unwrap())
    }

    /// The steps in the trajectory of an episode: number and action.
    pub fn steps(&self, episode: &str) -> Vec<(u64, String)> {
        self.records(episode)
            .iter()
            .map(|record| {
                (
                    record["step"].as_u64().unwrap(),
                    record["action"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    /// The whole records of the trajectory of an episode.
    pub fn records(&self, episode: &str) -> Vec<Value> {
        let text =
            fs::read_to_string(self.path(&format!("runs/{episode}/trajectory.jsonl"))).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["type"] == "step").collect()
    }

    /// The Episode with its status as it was written.
    pub fn episode(&self, name: &str) -> Value {
        serde_saphyr::from_str(&self.read(&format!("runs/{name}/episode.yaml"))).unwrap()
    }

    /// Waits until the gate program of this episode runs.
    pub fn wait_for_gate(&self, episode: &str) {
        let sign = self.path(&format!("runs/{episode}/workspace/at-the-gate"));
        wait_until("the program at the gate", || sign.exists());
    }

    /// Lets the gate program of this episode go on.
    pub fn open_gate(&self, episode: &str) {
        self.write(&format!("runs/{episode}/workspace/go"), "");
    }

    /// Processes that have to do with this folder: by their command line or their environment.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let sign = self.dir.path().as_os_str().as_encoded_bytes();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let command = read("cmdline");
            let ours = [&command, &read("environ")]
                .iter()
                .any(|bytes| bytes.windows(sign.len()).any(|window| window == sign));
            // A zombie has no command line: it has ended.
            if ours && !command.is_empty() {
                found.push((pid, String::from_utf8_lossy(&command).replace('\0', " ")));
            }
        }
        found
    }

    /// The process of a role; the one that started first.
    pub fn role(&self, role: &str, episode: &str) -> Option<i32> {
        let (word, dir) = (format!(" {role} "), format!("runs/{episode}/"));
        self.processes()
            .into_iter()
            .filter(|(_, command)| {
                command.contains(&word) && command.contains(&dir) && !command.contains(" run ")
            })
            .map(|(pid, _)| pid)
            .min()
    }

    /// Waits until no process of this folder is left.
    pub fn wait_for_silence(&self) {
        let deadline = Instant::now() + DEADLINE;
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "still there: {:#?}", self.processes());
            pause();
        }
    }
}

fn task(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: mledojo.dev/v1alpha1
kind: Task
metadata: {{name: {name}}}
spec:
  title: A straight line
  description: Predict y from x.
  domain: Tabular
  data: {{prepare: {{configMapKeyRef: {{name: {name}-code, key: prepare.py}}}}}}
  evaluation:
    metric: {{builtin: Rmse}}
    submission: {{idColumn: id}}
    leaderboards: [{{name: private, file: leaderboard.csv}}]
  environment:
    image: example.org/python:3
    resources: {{cpu: 500m, memory: 256Mi}}
  limits: {{steps: 6, wallClock: 10m, actionTimeout: 2m}}
{spec}"
    )
}

/// An action.
pub fn action(name: &str, params: &Value) -> Value {
    serde_json::json!({"action": name, "params": params})
}

/// The action `execute_code`.
pub fn code(text: &str) -> Value {
    action("execute_code", &serde_json::json!({"code": text}))
}

/// Polls a condition.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        pause();
    }
}

fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

pub fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A run that has ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails with everything that was said unless the exit code is this one.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// A run that goes on; killed when the test fails.
pub struct Started(Child);

impl Started {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    pub fn signal(&self, what: rustix::process::Signal) {
        signal(self.pid(), what);
    }

    pub fn wait(mut self) -> Run {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let mut errors = self.0.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            errors.read_to_string(&mut stderr).unwrap();
            stderr
        });
        self.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        Run {
            code: self.0.wait().unwrap().code(),
            stdout,
            stderr: reader.join().unwrap(),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Modes of a file or directory.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
