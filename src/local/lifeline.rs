//! How children end with the runner, also when it was killed by SIGKILL.
//!
//! The runner holds the write end of a pipe that is the standard input of each child, and never writes to it. When the
//! runner is gone the kernel closes the pipe, and the child reads its end. A parent-death signal would do for processes
//! of the same user only: it is cleared when a process changes its user.

use std::io::{self, Read};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use std::os::unix::process::{CommandExt, ExitStatusExt};

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

/// Time that a role has for its own end after SIGTERM.
const ROLE_GRACE: Duration = Duration::from_secs(8);
/// Time that a foreign program has for its own end after SIGTERM.
const PROGRAM_GRACE: Duration = Duration::from_secs(2);

/// Ends this process by SIGTERM to itself when its standard input ends, and by force where that does not help.
/// Standard input is not for anything else in such a process.
pub fn hold() -> io::Result<()> {
    thread::Builder::new()
        .name("lifeline".into())
        .spawn(|| {
            until_end_of_input();
            // Failing to signal oneself leaves the way by force.
            let _ = kill_process(getpid(), Signal::TERM);
            let (_never, waiting) = mpsc::channel::<()>();
            let _ = waiting.recv_timeout(ROLE_GRACE);
            std::process::exit(128 + Signal::TERM.as_raw());
        })
        .map(drop)
}

/// Runs a foreign program in a process group of its own and gives its exit code (128 + N after signal N). When standard
/// input ends the group is ended: SIGTERM, a grace, SIGKILL.
pub fn tether(program: &str, args: &[String]) -> io::Result<ExitCode> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let signal_group = move |signal| {
        if let Some(group) = group {
            // No such group: all of them have ended.
            let _ = kill_process_group(group, signal);
        }
    };
    let (tell, told) = mpsc::channel();
    let ended = tell.clone();
    thread::Builder::new().spawn(move || {
        let status = child.wait();
        let _ = ended.send(Some(status));
    })?;
    thread::Builder::new().spawn(move || {
        until_end_of_input();
        let _ = tell.send(None);
    })?;
    let mut news = told.recv().ok().flatten();
    if news.is_none() {
        signal_group(Signal::TERM);
        news = told.recv_timeout(PROGRAM_GRACE).ok().flatten();
    }
    // What the program left behind in its group ends with it.
    signal_group(Signal::KILL);
    let status = match news {
        Some(status) => status?,
        None => return Ok(ExitCode::from(128 + 9)),
    };
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
    ))
}

fn until_end_of_input() {
    let mut input = io::stdin().lock();
    let mut buffer = [0; 64];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
