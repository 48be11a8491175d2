//! The UNIX socket that the executor connects to.
//!
//! Whoever can reach the socket may connect, executed code too; so a connection proves itself by its Hello, in little
//! time and few bytes, and strangers cannot keep the executor out by holding connections open.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::executor::{Admitted, Outgoing, encode};
use super::steps::Episode;
use super::strangers::Strangers;
use crate::env::Loss;
use crate::wire::channel::{FromExec, ToExec};
use crate::wire::frame::{Decoder, Frame};

/// Time for a Hello.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// Longest payload of a Hello in bytes.
const HELLO_BYTES: usize = 8 * 1024;
/// Connections without a Hello at one time; the oldest gives way to the newest.
const GREETED: usize = 32;
/// Sandbox layers that are recorded, and the longest name of one in bytes.
const LAYERS: (usize, usize) = (16, 64);
/// Pause after an accept that failed, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time between the end of a connection and the loss of what ran on it: whoever ends relay and executor together ends
/// them within it, and a step that is only interrupted is not recorded as failed.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// Time in which the executor must have read a frame: it has nothing else to do when one comes.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Bytes read at once.
const READ: usize = 32 * 1024;

/// Binds the socket for everyone (mode 0666); the directory around it decides who reaches it. A socket that an earlier
/// relay left is removed first.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("something that is no socket has that name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Accepts connections for ever.
pub(super) async fn serve(listener: UnixListener, episode: Arc<Episode>) {
    let strangers = Arc::new(Strangers::default());
    let mut greeted: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        if let Some(pause) = strangers.pause() {
            tokio::time::sleep(pause).await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                greeted.retain(|greeting| !greeting.is_finished());
                if greeted.len() >= GREETED
                    && let Some(oldest) = greeted.pop_front()
                {
                    oldest.abort();
                    strangers.shown_out("it said nothing and made room for others");
                }
                let (episode, strangers) = (Arc::clone(&episode), Arc::clone(&strangers));
                let greeting = tokio::spawn(async move {
                    if let Err(why) = greet(stream, episode).await {
                        strangers.shown_out(&why);
                    }
                });
                greeted.push_back(greeting.abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an executor's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Hears the Hello and takes the connection, or says why not.
async fn greet(mut stream: UnixStream, episode: Arc<Episode>) -> Result<(), String> {
    let hello = tokio::time::timeout(HELLO_TIME, hello(&mut stream))
        .await
        .map_err(|_| "it said no Hello in time")?
        .map_err(|error| format!("it said no Hello: {error}"))?;
    let FromExec::Hello {
        version,
        resume,
        layers,
    } = hello
    else {
        return Err("it began with something else than a Hello".into());
    };
    let (incoming, mut outgoing) = stream.into_split();
    match episode.executor.admit(version, resume.as_deref()) {
        Ok(admitted) => {
            tracing::info!(connection = admitted.id, ?layers, "executor connected");
            tokio::spawn(converse(incoming, outgoing, admitted, Arc::clone(&episode)));
            episode.executor_connected(readable(layers));
            Ok(())
        }
        Err(reason) => {
            let why = format!("it is refused: {reason}");
            if let Ok(frame) = encode(&ToExec::Refused { reason }) {
                // A stranger that does not read its refusal misses nothing.
                let _ = tokio::time::timeout(HELLO_TIME, outgoing.write_all(&frame)).await;
            }
            Err(why)
        }
    }
}

/// Reads one control frame of bounded length.
async fn hello(stream: &mut UnixStream) -> io::Result<FromExec> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).await?;
    let [kind, length @ ..] = header;
    let length = u32::from_be_bytes(length) as usize;
    if kind != 1 || length > HELLO_BYTES {
        return Err(io::Error::other(format!(
            "its first frame is of kind {kind} and {length} bytes"
        )));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok(serde_json::from_slice(&payload)?)
}

/// Names of layers as they may go into a result.
fn readable(layers: Vec<String>) -> Vec<String> {
    let (count, length) = LAYERS;
    layers
        .into_iter()
        .filter(|layer| layer.len() <= length && layer.bytes().all(|byte| byte.is_ascii_graphic()))
        .take(count)
        .collect()
}

/// Carries frames both ways until either side ends.
async fn converse(
    incoming: OwnedReadHalf,
    mut outgoing: OwnedWriteHalf,
    admitted: Admitted,
    episode: Arc<Episode>,
) {
    let Admitted {
        id,
        secret,
        outgoing: mut frames,
        close,
    } = admitted;
    // Kept to the end of this function: an executor that sees its connection close comes again.
    let (loss, reason) = tokio::select! {
        ended = listen(incoming, id, &episode) => ended,
        ended = speak(&mut outgoing, secret, &mut frames) => ended,
        () = close.notified() => (Loss::Closed, "it was closed by the relay".to_owned()),
    };
    tracing::warn!(connection = id, %reason, "the connection to the executor has ended");
    episode.executor.ends(id, loss);
    tokio::time::sleep(LAST_WORDS).await;
    episode.executor.gone(id, loss);
}

/// Welcomes the executor and writes frames until that fails; says how it ended.
async fn speak(
    outgoing: &mut OwnedWriteHalf,
    secret: String,
    frames: &mut mpsc::Receiver<Outgoing>,
) -> (Loss, String) {
    let welcome = match encode(&ToExec::Welcome { secret }) {
        Ok(bytes) => bytes,
        Err(error) => return (Loss::Closed, format!("the Welcome cannot be encoded: {error}")),
    };
    let mut frame = Outgoing {
        bytes: welcome,
        sent: Arc::default(),
    };
    loop {
        match tokio::time::timeout(WRITE_TIME, outgoing.write_all(&frame.bytes)).await {
            Ok(Ok(())) => frame.sent.store(true, Ordering::Relaxed),
            Ok(Err(error)) => return (Loss::Closed, format!("it cannot be written: {error}")),
            Err(_) => return (Loss::Silent, "the executor does not read".into()),
        }
        frame = match frames.recv().await {
            Some(frame) => frame,
            // The relay gave the connection up, and says so by `close` too.
            None => return (Loss::Closed, "it was closed by the relay".into()),
        };
    }
}

/// Takes frames; says how and why there are no more.
async fn listen(mut incoming: OwnedReadHalf, id: u64, episode: &Episode) -> (Loss, String) {
    let broke = |breach: String| {
        (
            Loss::Confused,
            format!("the executor broke the protocol: {breach}"),
        )
    };
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; READ];
    loop {
        match incoming.read(&mut buffer).await {
            Ok(0) => return (Loss::Closed, "the executor closed it".into()),
            Ok(count) => decoder.push(&buffer[..count]),
            Err(error) => return (Loss::Closed, format!("it cannot be read: {error}")),
        }
        loop {
            match next(&mut decoder) {
                Ok(Some(frame)) => {
                    if let Err(breach) = episode.executor.take(id, frame) {
                        return broke(breach);
                    }
                }
                Ok(None) => break,
                Err(breach) => return broke(breach),
            }
        }
    }
}

fn next(decoder: &mut Decoder) -> Result<Option<Frame>, String> {
    decoder.next_frame().map_err(|error| error.to_string())
}
