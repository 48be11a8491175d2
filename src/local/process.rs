//! Starting, watching and stopping processes. All of them end with the runner (see [`super::lifeline`]).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::signals::Stop;

/// Time that a foreign program has for its own end, tether included.
const PROGRAM_GRACE: Duration = Duration::from_secs(5);
/// Lines kept of a program's output for an error message.
const LAST_LINES: usize = 12;

/// What to start.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Program.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<OsString>,
    /// Variables besides the runner's own.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: PathBuf,
}

/// How a process ended: its exit code, 128 + N after signal N.
pub fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
}

/// A role of this program that runs.
#[derive(Debug)]
pub struct Role {
    child: Child,
    group: Option<Pid>,
    ended: Option<i32>,
    _lifeline: Option<ChildStdin>,
}

impl Role {
    /// Starts one, with its output into `log`.
    pub fn start(what: &Invocation, log: &File) -> io::Result<Self> {
        let mut child = Command::new(&what.program)
            .arg("--lifeline")
            .args(&what.args)
            .envs(what.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&what.cwd)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            // Ctrl-C on a terminal goes to its whole process group; the order of stopping is the runner's.
            .process_group(0)
            .spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self {
            _lifeline: child.stdin.take(),
            child,
            group,
            ended: None,
        })
    }

    /// Waits for its end and gives its exit code. Can be called again, and be dropped while it waits.
    pub async fn ended(&mut self) -> i32 {
        if let Some(code) = self.ended {
            return code;
        }
        let code = self.child.wait().await.map_or(-1, exit_code);
        self.ended = Some(code);
        // What it left in its group is no longer anybody's.
        self.signal_group(Signal::KILL);
        code
    }

    /// Ends it: SIGTERM, SIGKILL after the grace or when there is a hurry.
    pub async fn stop(&mut self, grace: Duration, stop: &Stop) -> i32 {
        if self.ended.is_none()
            && let Some(pid) = self.group
        {
            // No such process: it ends just now.
            let _ = kill_process(pid, Signal::TERM);
        }
        tokio::select! {
            code = self.ended() => return code,
            () = tokio::time::sleep(grace) => {}
            () = stop.at_once() => {}
        }
        self.signal_group(Signal::KILL);
        self.ended().await
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.group {
            // No such group: all of them have ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

/// What became of a foreign program.
#[derive(Debug)]
pub enum Ran {
    /// It ended with 0.
    Well,
    /// It ended otherwise; the last lines of its output.
    Badly {
        /// Its exit code, 128 + N after signal N.
        code: i32,
        /// The last lines of its output.
        tail: String,
    },
    /// It was stopped, because the run is.
    Stopped,
}

/// Runs a foreign program to its end, with its output into `log` and each line of it to `on_line`. `dojo` is this
/// program's own executable, which holds the tether.
pub async fn run(
    dojo: &Path,
    what: &Invocation,
    log: &mut File,
    stop: &Stop,
    mut on_line: impl FnMut(&str),
) -> io::Result<Ran> {
    let (reader, writer) = io::pipe()?;
    let mut output = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut child = Command::new(dojo)
        .args([OsStr::new("tether"), OsStr::new("--"), what.program.as_os_str()])
        .args(&what.args)
        .envs(what.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&what.cwd)
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    let lifeline = child.stdin.take();

    let mut lines = Lines::default();
    let mut buffer = vec![0; 8192];
    let mut open = true;
    let status = loop {
        tokio::select! {
            read = output.read(&mut buffer), if open => match read {
                Ok(0) | Err(_) => open = false,
                Ok(count) => {
                    log.write_all(&buffer[..count])?;
                    lines.push(&buffer[..count], &mut on_line);
                }
            },
            status = child.wait() => break status?,
            () = stop.wait() => {
                drop(lifeline);
                if timeout(PROGRAM_GRACE, child.wait()).await.is_err() {
                    child.kill().await?;
                }
                return Ok(Ran::Stopped);
            }
        }
    };
    // What is still in the pipe; a daemon that the program left behind may hold it open.
    while let Ok(Ok(count)) = timeout(Duration::from_millis(500), output.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        log.write_all(&buffer[..count])?;
        lines.push(&buffer[..count], &mut on_line);
    }
    lines.flush(&mut on_line);
    Ok(match exit_code(status) {
        0 => Ran::Well,
        code => Ran::Badly {
            code,
            tail: lines.tail(),
        },
    })
}

/// Cuts output into lines; a carriage return ends one too, as progress bars use it.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    last: VecDeque<String>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], on_line: &mut impl FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' {
                self.flush(on_line);
            } else if self.partial.len() < 4096 {
                self.partial.push(byte);
            }
        }
    }

    fn flush(&mut self, on_line: &mut impl FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.partial).replace(char::is_control, " ");
        self.partial.clear();
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        on_line(line);
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    fn tail(&self) -> String {
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_being_cut_anywhere_and_only_the_last_are_kept() {
        let text: String = (0..20).map(|n| format!("line {n}\r\n\n")).collect();
        for piece in [1, 3, 1000] {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for chunk in text.as_bytes().chunks(piece) {
                lines.push(chunk, &mut |line: &str| seen.push(line.to_owned()));
            }
            assert_eq!(seen.len(), 20);
            assert!(lines.tail().starts_with("line 8\n") && lines.tail().ends_with("\nline 19"));
        }
    }

    #[test]
    fn a_line_without_end_is_cut_and_control_characters_go() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; 10_000], &mut |_: &str| {});
        lines.push(b"\n\x1b[31mred", &mut |_: &str| {});
        lines.flush(&mut |_: &str| {});
        assert!(lines.tail().ends_with("\n [31mred"));
        assert_eq!(lines.tail().lines().next().map(str::len), Some(4096));
    }
}
