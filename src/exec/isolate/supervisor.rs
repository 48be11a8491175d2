//! The process outside: it waits for the executor in its namespaces and passes signals on.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Stdio};

use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Runs the whole start and reports how it went; nothing is left of it.
pub(super) fn trial(command: &mut Command) -> Result<ExitCode, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start the first process: {error}"))?;
    if output.status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said
        .lines()
        .last()
        .unwrap_or("the first process ended without a word")
        .to_owned())
}

/// Starts the executor as process 1 and ends with its exit code. Its standard input is a pipe that is held open here:
/// when this process is killed, the executor sees its end.
pub(super) fn run(command: &mut Command, watch_stdin: bool) -> Result<ExitCode, String> {
    let mask = SigSet::from_iter([Number::SIGTERM, Number::SIGINT, Number::SIGHUP]);
    mask.thread_block().map_err(cannot_wait)?;
    let signals =
        SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(cannot_wait)?;
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the first process: {error}"))?;
    let _held_open = child.stdin.take();
    wait(&mut child, &signals, watch_stdin).map_err(cannot_wait)
}

fn wait(child: &mut Child, signals: &SignalFd, watch_stdin: bool) -> io::Result<ExitCode> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidData)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let mut input_is_open = watch_stdin;
    loop {
        let stdin = rustix::stdio::stdin();
        let mut watched = vec![
            PollFd::new(&process, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        if input_is_open {
            watched.push(PollFd::new(&stdin, PollFlags::IN));
        }
        match poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => continue,
            done => done?,
        };
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready.first() == Some(&true) {
            let status = child.wait()?;
            let code = status
                .code()
                .or_else(|| status.signal().map(|signal| 128 + signal));
            return Ok(ExitCode::from(
                code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
            ));
        }
        let mut end = false;
        while let Ok(Some(_)) = signals.read_signal() {
            end = true;
        }
        if ready.get(2) == Some(&true) {
            let mut buffer = [0; 64];
            input_is_open = rustix::io::read(stdin, &mut buffer).is_ok_and(|count| count > 0);
            end |= !input_is_open;
        }
        if end {
            // Gone already: its end is seen next.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

fn cannot_wait<E: Into<io::Error>>(error: E) -> String {
    format!("cannot watch the executor: {}", error.into())
}
