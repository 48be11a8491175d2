//! Carries one output stream of a program to the relay.

use std::io;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, watch};

use super::capture::Capture;
use crate::wire::channel::{Captured, OutputCaps};
use crate::wire::frame::Frame;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;
/// Most that is still read when the program and all its processes have ended: what the largest pipe holds. Somebody
/// else may have been handed the other end and write for ever.
const LAST: usize = 1024 * 1024;

/// Which stream it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Carries a stream until its end, or until `ended` and nothing more is there. A relay that reads slowly slows the
/// program down, never its time limit.
pub(super) async fn carry(
    pipe: Receiver,
    (run, stream): (u64, Stream),
    caps: OutputCaps,
    frames: mpsc::Sender<Frame>,
    mut ended: watch::Receiver<bool>,
) -> Captured {
    let mut capture = Capture::new(caps);
    let mut buffer = vec![0; PIECE];
    let mut after_end = 0;
    loop {
        let over = *ended.borrow();
        if !over {
            tokio::select! {
                ready = pipe.readable() => if ready.is_err() { break },
                // The sender lives longer than this.
                _ = ended.changed() => continue,
            }
        }
        match pipe.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let for_log = capture.push(&buffer[..count]);
                send(&buffer[..for_log], (run, stream), &frames).await;
                after_end += if over { count } else { 0 };
                if after_end > LAST {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !over => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    capture.finish()
}

async fn send(bytes: &[u8], (run, stream): (u64, Stream), frames: &mpsc::Sender<Frame>) {
    if bytes.is_empty() {
        return;
    }
    let frame = match stream {
        Stream::Stdout => Frame::Stdout(run, bytes.to_vec()),
        Stream::Stderr => Frame::Stderr(run, bytes.to_vec()),
    };
    // The connection is gone: the run is being ended, its output has no reader.
    let _ = frames.send(frame).await;
}
