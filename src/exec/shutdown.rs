//! When the executor is to end.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::getpid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use super::tree;

/// Signals that end the executor. They are taken from a descriptor, since a handler does not learn who sent them.
#[derive(Debug)]
pub(super) struct Shutdown {
    signals: SignalFd,
    watch_stdin: bool,
}

impl Shutdown {
    /// Blocks the signals in this thread and those that it will start.
    pub(super) fn block(watch_stdin: bool) -> io::Result<Self> {
        let mask = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { signals, watch_stdin })
    }

    /// Waits until the executor is to end.
    pub(super) async fn wait(self) -> io::Result<()> {
        let (tell, told) = oneshot::channel();
        let signals = self.signals;
        thread::Builder::new().name("signals".into()).spawn(move || {
            // Nobody listens when the executor ends for another reason.
            let _ = tell.send(signal_from_outside(&signals));
        })?;
        let input = async {
            if self.watch_stdin {
                end_of_input().await
            } else {
                std::future::pending().await
            }
        };
        tokio::select! {
            signal = told => signal.map_err(io::Error::other)?,
            ended = input => ended,
        }
    }
}

fn signal_from_outside(signals: &SignalFd) -> io::Result<()> {
    loop {
        match signals.read_signal() {
            Ok(Some(signal)) if from_outside(signal.ssi_pid) => return Ok(()),
            Ok(Some(signal)) => {
                tracing::warn!(from = signal.ssi_pid, "executed code asks the executor to end");
            }
            Ok(None) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Executed code may be of the same user, so it can send signals. To process 1, signals from outside its process
/// numbers have no sender; elsewhere the sender must not descend from here.
fn from_outside(sender: u32) -> bool {
    if getpid().is_init() {
        return sender == 0;
    }
    !tree::descendants()
        .iter()
        .any(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(sender))
}

/// Waits for the end of standard input, a pipe: whoever holds its other end is gone.
async fn end_of_input() -> io::Result<()> {
    let mut input = Receiver::from_owned_fd(rustix::io::dup(rustix::stdio::stdin())?)?;
    let mut buffer = [0; 64];
    while input.read(&mut buffer).await? > 0 {}
    Ok(())
}
