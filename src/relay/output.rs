//! The log of one run on the disk, and those who follow it while it grows.
//!
//! A follower reads the file at its own pace and is only told how long the file is. So a slow one costs no memory and
//! loses nothing, and one that comes late sees the output from its beginning.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

/// Largest piece that a follower gets at once, in bytes.
const PIECE: u64 = 16 * 1024;

/// The log of the run that goes on; dropping it ends it for its followers.
#[derive(Debug)]
pub(super) struct RunLog {
    file: Arc<File>,
    /// Bytes that may still be written; the executor keeps to its cap by itself, but is not trusted to.
    room: u64,
    /// Whether nothing more is written: the cap is reached or the disk is full.
    closed: bool,
    length: watch::Sender<u64>,
}

impl RunLog {
    /// Begins a log. One that an interrupted attempt at the same step left stays as it is, and the new one is called
    /// `execution_3.2.log`: what was archived of a log must not change afterwards.
    pub(super) fn create(path: &Path, cap: u64) -> io::Result<Self> {
        let again = (2..).map(|number| path.with_extension(format!("{number}.log")));
        let mut names = std::iter::once(path.to_owned()).chain(again);
        let file = loop {
            if let Some(name) = names.next()
                && let Some(file) = open_empty(&name)?
            {
                break file;
            }
        };
        Ok(Self {
            file: Arc::new(file),
            room: cap,
            closed: false,
            length: watch::Sender::new(0),
        })
    }

    /// Adds output in the order of its arrival.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        self.write(&bytes[..fits]);
        self.room -= fits as u64;
        if fits < bytes.len() && !self.closed {
            self.write(b"\n[the log ends here: its size limit is reached]\n");
            self.closed = true;
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        match (&*self.file).write_all(bytes) {
            Ok(()) => self.length.send_modify(|length| *length += bytes.len() as u64),
            Err(error) => {
                tracing::warn!(%error, "the log of the run cannot be written any further");
                self.closed = true;
            }
        }
    }

    /// Followers that there are now.
    #[cfg(test)]
    pub(super) fn followers(&self) -> usize {
        self.length.receiver_count()
    }

    /// A reader from the log's beginning to its end.
    pub(super) fn follow(&self) -> Follower {
        Follower {
            file: Arc::clone(&self.file),
            at: 0,
            length: self.length.subscribe(),
        }
    }
}

/// The file at `path`, made where there is none; unset: something stands in it.
fn open_empty(path: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    Ok((file.metadata()?.len() == 0).then_some(file))
}

/// Reads a log while it grows.
#[derive(Debug)]
pub(super) struct Follower {
    file: Arc<File>,
    at: u64,
    length: watch::Receiver<u64>,
}

impl Follower {
    /// The next piece; none after the end of the run.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let length = *self.length.borrow_and_update();
            if self.at < length {
                let mut piece = vec![0; usize::try_from((length - self.at).min(PIECE)).ok()?];
                self.file.read_exact_at(&mut piece, self.at).ok()?;
                self.at += piece.len() as u64;
                return Some(piece);
            }
            // An error says that the run has ended, and everything was read before.
            self.length.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rest(mut follower: Follower) -> String {
        let mut all = Vec::new();
        while let Some(piece) = follower.next().await {
            all.extend(piece);
        }
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn a_follower_sees_everything_whenever_it_comes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("execution_1.log");
        let mut log = RunLog::create(&path, 1 << 20).unwrap();
        let early = tokio::spawn(rest(log.follow()));
        log.append(&[b'a'; 100_000]);
        tokio::task::yield_now().await;
        let late = tokio::spawn(rest(log.follow()));
        log.append(b"end");
        drop(log);
        let expected = "a".repeat(100_000) + "end";
        assert_eq!(early.await.unwrap(), expected);
        assert_eq!(late.await.unwrap(), expected);
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
    }

    #[test]
    fn the_log_of_a_repeated_step_leaves_the_first_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("execution_3.log");
        drop(RunLog::create(&path, 10).unwrap());
        for text in ["first", "second", "third"] {
            RunLog::create(&path, 10).unwrap().append(text.as_bytes());
        }
        for (name, text) in [
            ("execution_3.log", "first"),
            ("execution_3.2.log", "second"),
            ("execution_3.3.log", "third"),
        ] {
            assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn output_over_the_cap_is_cut_and_the_cut_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("execution_1.log");
        let mut log = RunLog::create(&path, 4).unwrap();
        log.append(b"123");
        log.append(b"456");
        log.append(b"789");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "1234\n[the log ends here: its size limit is reached]\n");
        let follower = log.follow();
        drop(log);
        assert_eq!(rest(follower).await, text);
    }
}
