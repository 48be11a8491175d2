//! What the tests of relay and agents share: an episode's files, the relay as a process, an executor made of a thread.

#![allow(dead_code)] // each test program uses its part

pub mod executor;
pub mod http;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mledojo::wire::agent::{ApiError, Connection, StateReply, StepReply};
use mledojo::wire::config::RelayConfig;
use mledojo::wire::journal::{Header, JournalLine, StepRecord};
use mledojo::wire::result::EpisodeResult;
use serde_json::{Value, json};

use http::{Answer, Http};

/// Time within which anything must have happened.
pub const DEADLINE: Duration = Duration::from_secs(20);
pub const DOJO: &str = env!("CARGO_BIN_EXE_dojo");

/// Asks until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The files of one episode. Answers are 0 for the ids 1 to 4, the metric is RMSE, the board has 5 entries.
pub struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    pub fn new(steps: u32, wall_clock: Duration) -> Self {
        let files = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for dir in ["private", "public", "run"] {
            fs::create_dir(files.path(dir)).unwrap();
        }
        fs::write(files.path("private/answers.csv"), "id,y\n1,0\n2,0\n3,0\n4,0\n").unwrap();
        fs::write(
            files.path("private/leaderboard.csv"),
            "rank,score\n1,0.1\n2,0.2\n3,0.3\n4,0.4\n5,0.5\n",
        )
        .unwrap();
        fs::write(files.path("public/sample_submission.csv"), "id,y\n1,0\n2,0\n").unwrap();
        files.configure(steps, wall_clock, 7);
        files
    }

    pub fn configure(&self, steps: u32, wall_clock: Duration, seed: u64) {
        let config: RelayConfig = serde_json::from_value(json!({
            "episode": "ep",
            "task": {"name": "task", "title": "Task", "description": "x".repeat(500), "domain": "Tabular"},
            "seed": seed,
            "limits": {
                "steps": steps,
                "wallClockMs": u64::try_from(wall_clock.as_millis()).unwrap(),
                "actionTimeoutMs": 60_000,
                "validationTimeoutMs": 60_000,
            },
            "evaluation": {
                "metric": {"builtin": "Rmse"},
                "submission": {"file": "submission.csv", "idColumn": "id", "maxBytes": 1_000_000},
                "leaderboards": [{"name": "private", "file": "leaderboard.csv"}],
            },
            "network": "None",
            "publicDir": "/data/public",
            "workspaceDir": "/workspace",
        }))
        .unwrap();
        fs::write(self.path("config.json"), serde_json::to_vec(&config).unwrap()).unwrap();
    }

    /// Tells the relay where executed code finds its directories; otherwise nobody looks at them.
    pub fn set_dirs(&self, public: &Path, workspace: &Path) {
        let file = self.path("config.json");
        let mut config: RelayConfig = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        config.public_dir = public.display().to_string();
        config.workspace_dir = workspace.display().to_string();
        fs::write(file, serde_json::to_vec(&config).unwrap()).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("s")
    }

    pub fn connection(&self) -> PathBuf {
        self.path("connection.json")
    }

    /// Arguments of `dojo relay` for these files.
    pub fn arguments(&self) -> Vec<PathBuf> {
        let mut arguments: Vec<PathBuf> = vec!["relay".into(), "--listen".into(), "127.0.0.1:0".into()];
        for (option, path) in [
            ("--config", "config.json"),
            ("--private", "private"),
            ("--public", "public"),
            ("--state", "run"),
            ("--socket", "s"),
            ("--connection", "connection.json"),
        ] {
            arguments.extend([option.into(), self.path(path)]);
        }
        arguments
    }

    pub fn journal(&self) -> (Header, Vec<StepRecord>) {
        journal(&self.path("run/trajectory.jsonl"))
    }

    pub fn result(&self) -> EpisodeResult {
        let bytes = fs::read(self.path("run/result.json")).unwrap();
        assert!(bytes.len() <= 1024);
        serde_json::from_slice(&bytes).unwrap()
    }
}

/// Header and steps of a trajectory; every line must be whole.
pub fn journal(path: &Path) -> (Header, Vec<StepRecord>) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "the journal ends with a cut line");
    let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let Some(JournalLine::Header(header)) = lines.next() else {
        panic!("no header");
    };
    let steps = lines
        .map(|line| match line {
            JournalLine::Step(step) => *step,
            JournalLine::Header(_) => panic!("a second header"),
        })
        .collect();
    (header, steps)
}

/// A process that is killed when the test is done with it.
pub struct Process {
    pub child: Child,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self {
            child: command.spawn().unwrap(),
        }
    }

    pub fn wait(&mut self) -> ExitStatus {
        until("the process ends", || self.child.try_wait().unwrap())
    }

    /// SIGKILL, as from a kernel out of memory.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// All of a piped standard error, after the end.
    pub fn stderr(&mut self) -> String {
        std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `dojo relay` for these files, not started yet.
pub fn relay_command(files: &Files) -> Command {
    let mut command = Command::new(DOJO);
    command.args(files.arguments()).env("DOJO_LOG", "error");
    command
}

/// Starts a relay and waits until it can be reached.
pub fn start_relay(files: &Files) -> Process {
    let _ = fs::remove_file(files.connection());
    let relay = Process::start(&mut relay_command(files));
    until("the relay writes its connection file", || {
        fs::metadata(files.connection()).ok()
    });
    relay
}

/// Runs a relay that is expected to end by itself; its exit code and its log.
pub fn failing_relay(files: &Files) -> (i32, String) {
    let mut relay = Process::start(relay_command(files).stderr(Stdio::piped()));
    let status = relay.wait();
    (status.code().unwrap(), relay.stderr())
}

/// Connects to the relay that a connection file names; with the `Authorization` header that it wants.
pub fn connect(file: &Path) -> Option<(Http, String)> {
    let Connection { url, token } = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let http = Http::connect(url.strip_prefix("http://").unwrap()).ok()?;
    Some((http, format!("Bearer {token}")))
}

/// A client of the agent API that reads the connection file anew for each connection.
pub struct Agent {
    connection: PathBuf,
    http: Option<Http>,
    token: String,
}

impl Agent {
    pub fn new(files: &Files) -> Self {
        Self {
            connection: files.connection(),
            http: None,
            token: String::new(),
        }
    }

    /// One attempt; none where the connection broke.
    pub fn attempt(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        if self.http.is_none() {
            let (http, token) = connect(&self.connection)?;
            self.http = Some(http);
            self.token = token;
        }
        let mut all = vec![("Authorization", self.token.as_str())];
        all.extend(headers);
        let answer = self.http.as_mut()?.request(method, path, &all, body);
        if answer.is_err() {
            self.http = None;
        }
        answer.ok()
    }

    pub fn post(&mut self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        let headers: Vec<_> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
        self.attempt("POST", path, &headers, body.to_string().as_bytes())
            .unwrap()
    }

    /// A step that must be answered with 200; waits for the executor and over restarts of the relay.
    pub fn step(&mut self, key: &str, body: &Value) -> StepReply {
        serde_json::from_slice(&self.step_bytes(key, body)).unwrap()
    }

    pub fn step_bytes(&mut self, key: &str, body: &Value) -> Vec<u8> {
        let body = body.to_string();
        let answer = until("a step is answered", || {
            self.attempt("POST", "/v1/step", &[("Idempotency-Key", key)], body.as_bytes())
                .filter(|answer| answer.status != 503)
        });
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    pub fn state(&mut self) -> StateReply {
        let answer = self.attempt("GET", "/v1/state", &[], b"").unwrap();
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Waits until a step runs.
    pub fn wait_busy(&mut self) {
        until("a step runs", || self.state().busy.then_some(()));
    }
}

/// A program for the executor made of a thread.
pub fn execute(code: &str) -> Value {
    json!({"action": "execute_code", "params": {"code": code}})
}

pub fn info() -> Value {
    json!({"action": "request_info", "params": {"info_type": "overview"}})
}

/// Status and code of an answer that is no reply.
pub fn problem(answer: &Answer) -> (u16, String) {
    let error: ApiError = serde_json::from_slice(&answer.body).unwrap_or_else(|_| {
        panic!(
            "no error: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        )
    });
    assert!(!error.message.is_empty());
    (answer.status, error.code)
}
