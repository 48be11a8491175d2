//! An executor with its directories, and the relay's side of its socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mledojo::api::NetworkMode;
use mledojo::wire::channel::{
    FromExec, OutputCaps, RunExit, RunFinished, RunKind, RunRequest, SubmissionFound, SubmissionRequest,
    ToExec,
};
use mledojo::wire::frame::{Decoder, Frame};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);
thread_local! {
    /// The user that executed code gets where these tests run as root: each test has one of its own, as each episode has.
    /// Executors that share a user would clear each other's shared memory.
    static CODE_USER: u32 = {
        static NEXT: AtomicU32 = AtomicU32::new(21_000);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// The user that executed code of this test gets where it runs as root.
fn own_user() -> u32 {
    CODE_USER.with(|user| *user)
}

/// Stderr of the executor, in its directory.
const LOG: &str = "exec.log";

/// How the executor is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// As `dojo run` starts it.
    Usual,
    /// By an ordinary user.
    Ordinary,
    /// By an ordinary user on a system without user namespaces: Landlock and seccomp alone.
    Bare,
    /// As root on a system without namespaces: another user, Landlock and seccomp.
    RootBare,
}

impl Start {
    /// The user that executed code has.
    pub fn code_user(self) -> u32 {
        if geteuid().is_root() {
            own_user()
        } else {
            geteuid().as_raw()
        }
    }
}

/// The program under test, at a path that any user can reach.
pub fn dojo() -> &'static Path {
    static PATH: OnceLock<(PathBuf, Option<tempfile::TempDir>)> = OnceLock::new();
    &PATH
        .get_or_init(|| {
            let built = PathBuf::from(env!("CARGO_BIN_EXE_dojo"));
            let open =
                |dir: &Path| fs::metadata(dir).is_ok_and(|found| found.permissions().mode() & 0o005 == 0o005);
            if built.ancestors().skip(1).all(open) {
                return (built, None);
            }
            let dir = open_tempdir();
            let copy = dir.path().join("dojo");
            fs::copy(built, &copy).unwrap();
            (copy, Some(dir))
        })
        .0
}

/// A temporary directory that any user can look into.
pub fn open_tempdir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// An interpreter that the user can reach: the one on PATH itself, a system one where that is hidden.
pub fn python(start: Start) -> PathBuf {
    let system = Path::new("/usr/bin/python3");
    if start != Start::Usual && geteuid().is_root() && system.exists() {
        return system.to_owned();
    }
    let output = Command::new("python3")
        .args(["-I", "-c", "import sys; print(sys.executable)"])
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// A running executor.
pub struct Executor {
    pub dir: tempfile::TempDir,
    pub start: Start,
    listener: UnixListener,
    process: Child,
    args: Vec<String>,
    lacking: &'static [(i64, i32)],
}

impl Executor {
    /// Starts one as usual; it is not connected yet.
    pub fn start() -> Self {
        Self::started(Start::Usual, &[])
    }

    pub fn started(start: Start, more: &[&str]) -> Self {
        Self::started_on(start, more, &[])
    }

    /// Starts one whose directories are in `dir`.
    pub fn started_in(dir: tempfile::TempDir, start: Start, more: &[&str]) -> Self {
        Self::started_there(dir, start, more, &[])
    }

    /// Starts one on a system that lacks some system calls: each with the error that it answers.
    pub fn started_on(start: Start, more: &[&str], lacking: &'static [(i64, i32)]) -> Self {
        Self::started_there(open_tempdir(), start, more, lacking)
    }

    fn started_there(
        dir: tempfile::TempDir,
        start: Start,
        more: &[&str],
        lacking: &'static [(i64, i32)],
    ) -> Self {
        for name in ["public", "private", "workspace", "state", "scratch", "socket"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("public/train.csv"), "id,target\n1,0\n").unwrap();
        fs::write(dir.path().join("private/answers.csv"), "id,target\n2,1\n").unwrap();
        let socket = dir.path().join("socket/exec.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut args = vec!["exec".to_owned()];
        for name in ["workspace", "public", "state", "scratch"] {
            args.extend([format!("--{name}"), dir.path().join(name).display().to_string()]);
        }
        args.extend(["--socket".into(), socket.display().to_string()]);
        if !more.contains(&"--python") {
            args.extend(["--python".into(), python(start).display().to_string()]);
        }
        if geteuid().is_root() && matches!(start, Start::Usual | Start::RootBare) {
            args.extend(["--user".into(), format!("{0}:{0}", own_user())]);
        }
        if matches!(start, Start::Bare | Start::RootBare) {
            args.extend(["--private-root".into(), "never".into()]);
        }
        args.extend(more.iter().map(|argument| (*argument).to_owned()));
        if geteuid().is_root() && matches!(start, Start::Ordinary | Start::Bare) {
            for name in ["workspace", "state", "scratch"] {
                std::os::unix::fs::chown(dir.path().join(name), Some(own_user()), Some(own_user())).unwrap();
            }
        }
        let process = spawn(start, &args, lacking, &dir.path().join(LOG));
        Self {
            dir,
            start,
            listener,
            process,
            args,
            lacking,
        }
    }

    /// Starts the executor anew, as a supervisor would after its end.
    pub fn restart(&mut self) {
        self.process = spawn(self.start, &self.args, self.lacking, &self.path(LOG));
    }

    /// What the executor has written to stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path(LOG)).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Waits for a connection and welcomes it.
    pub fn connect(&mut self) -> Connection {
        self.connect_with("the-secret").0
    }

    /// Waits for a connection and welcomes it with a secret; gives also the secret and the layers of its Hello.
    pub fn connect_with(&mut self, secret: &str) -> (Connection, Option<String>, Vec<String>) {
        let (mut connection, resume, layers) = self.accept();
        connection.send(&ToExec::Welcome {
            secret: secret.to_owned(),
        });
        (connection, resume, layers)
    }

    /// Waits for a connection and its Hello, without an answer.
    pub fn accept(&mut self) -> (Connection, Option<String>, Vec<String>) {
        let stream = until("the executor connects", || {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("the executor ended with {status}");
            }
            self.listener.accept().ok()
        });
        let mut connection = Connection::new(stream.0);
        match connection.next() {
            Event::Message(FromExec::Hello { resume, layers, .. }) => (connection, resume, layers),
            other => panic!("a connection begins with {other:?}"),
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap()
    }

    /// Ends the executor's standard input.
    pub fn end_input(&mut self) {
        self.process.stdin.take();
    }

    /// Waits for the executor's end and gives its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        until("the executor ends", || self.process.try_wait().unwrap()).code()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            println!("the executor's log:\n{}", self.log());
        }
    }
}

fn spawn(start: Start, args: &[String], lacking: &'static [(i64, i32)], log: &Path) -> Child {
    let mut command = Command::new(dojo());
    let log = fs::File::options().append(true).create(true).open(log).unwrap();
    command.args(args).stdin(Stdio::piped()).stderr(log);
    if let Some(at) = args.iter().position(|argument| argument == "--python")
        && !args[at + 1].contains('/')
    {
        // By name. The first one of this machine may be a shim.
        command.env("PATH", python(start).parent().unwrap());
    }
    if geteuid().is_root() && matches!(start, Start::Ordinary | Start::Bare) {
        command.uid(own_user()).gid(own_user());
    }
    // A filter holds for the thread that puts it on and for all that descends from it.
    std::thread::spawn(move || {
        for (call, errno) in lacking {
            let refuse = SeccompAction::Errno(errno.unsigned_abs());
            let arch = std::env::consts::ARCH.try_into().unwrap();
            let rules = [(*call, Vec::new())].into();
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap();
            apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
        }
        command.spawn().unwrap()
    })
    .join()
    .unwrap()
}

/// What the executor sends.
#[derive(Debug)]
pub enum Event {
    Message(FromExec),
    Bulk(Frame),
    /// The connection has ended.
    Closed,
}

/// The relay's end of a connection.
pub struct Connection {
    stream: UnixStream,
    decoder: Decoder,
}

impl Connection {
    fn new(stream: UnixStream) -> Self {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            decoder: Decoder::default(),
        }
    }

    pub fn send(&mut self, message: &ToExec) {
        let mut bytes = Vec::new();
        Frame::Control(serde_json::to_vec(message).unwrap()).encode(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Sends bytes that are no frame.
    pub fn gibberish(&mut self) {
        self.stream.write_all(b"this is no frame of the channel").unwrap();
    }

    pub fn next(&mut self) -> Event {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match self.decoder.next_frame().unwrap() {
                Some(Frame::Control(bytes)) => {
                    return Event::Message(serde_json::from_slice(&bytes).unwrap());
                }
                Some(bulk) => return Event::Bulk(bulk),
                None => {}
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Event::Closed,
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Event::Closed,
                Err(error) => panic!("nothing comes from the executor: {error}"),
            }
        }
    }

    /// Runs a program to its end.
    pub fn run(&mut self, request: &RunRequest) -> Outcome {
        self.send(&ToExec::Run(request.clone()));
        self.outcome()
    }

    /// Collects what comes until a run has ended.
    pub fn outcome(&mut self) -> Outcome {
        let (mut output, mut submission, mut started) = (Vec::new(), Vec::new(), false);
        loop {
            match self.next() {
                Event::Message(FromExec::Started { .. }) => started = true,
                Event::Message(FromExec::Finished(finished)) => {
                    let finished = *finished;
                    return Outcome {
                        finished,
                        output,
                        submission,
                        started,
                    };
                }
                Event::Bulk(Frame::Stdout(_, bytes) | Frame::Stderr(_, bytes)) => output.extend(bytes),
                Event::Bulk(Frame::Submission(_, bytes)) => submission.extend(bytes),
                other => panic!("in a run comes {other:?}"),
            }
        }
    }

    /// Empties the workspace; the error, if there is one.
    pub fn reset(&mut self, run: u64) -> Option<String> {
        self.send(&ToExec::Reset { run });
        match self.next() {
            Event::Message(FromExec::ResetDone { run: echoed, error }) => {
                assert_eq!(echoed, run);
                error
            }
            other => panic!("a reset is answered by {other:?}"),
        }
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Outcome {
    pub finished: RunFinished,
    /// Stdout and stderr as they came.
    pub output: Vec<u8>,
    /// Bytes of the submission.
    pub submission: Vec<u8>,
    /// Whether the start was told.
    pub started: bool,
}

impl Outcome {
    pub fn stdout(&self) -> &str {
        &self.finished.stdout.text
    }

    pub fn stderr(&self) -> &str {
        &self.finished.stderr.text
    }

    /// Checks that the program ran to its end well.
    pub fn well(self) -> Self {
        assert_eq!(
            self.finished.exit,
            RunExit::Exited { code: 0 },
            "{:#?}",
            self.finished
        );
        self
    }

    pub fn refusal(&self) -> &str {
        match &self.finished.submission {
            SubmissionFound::Refused { reason } => reason,
            other => panic!("the submission is {other:?}"),
        }
    }
}

/// An `execute_code` with this program.
pub fn execute(run: u64, code: &str) -> RunRequest {
    RunRequest {
        run,
        kind: RunKind::Execute,
        file_name: format!("execution_{run}.py"),
        code: code.to_owned(),
        timeout_ms: 20_000,
        grace_ms: 500,
        env: Vec::new(),
        network: NetworkMode::None,
        output: OutputCaps::default(),
        submission: Some(SubmissionRequest {
            file: "submission.csv".into(),
            max_bytes: 1_000_000,
            keep_as: format!("submission_{run}.csv"),
        }),
    }
}

/// A `validate_code` with this program.
pub fn validate(run: u64, code: &str) -> RunRequest {
    RunRequest {
        kind: RunKind::Validate,
        file_name: format!("validation_{run}.py"),
        submission: None,
        ..execute(run, code)
    }
}

/// Runs one program in a new executor.
pub fn run_once(code: &str) -> Outcome {
    Executor::start().connect().run(&execute(1, code))
}

/// Waits for something to become true.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processes of the machine whose command line contains `marker`.
pub fn processes(marker: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&command).contains(marker).then_some(pid)
        })
        .collect()
}

/// A number that no other test has, for `sleep` to be found by.
pub fn marker() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{}.{:06}",
        70_000 + std::process::id() % 10_000,
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
