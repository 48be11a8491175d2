//! Trajectory and logs on their way to the server: of each file, what the server lacks.
//!
//! Files only grow: a line of the journal is never changed, and a step that is done again gets a log of its own. So a file
//! goes on where the server says that it ends, also after a restart.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::News;
use super::client::{Client, Said};
use super::pause::Pause;
use crate::wire::report::{LOGS, Listing, MAX_CHUNK_BYTES, Size, TRAJECTORY, log_order};

/// Pause between two looks at the files where no step ends.
const LOOK: Duration = Duration::from_secs(2);
/// Least pause between two looks.
const GAP: Duration = Duration::from_millis(250);
/// As much as this is sent at once.
const MUCH: u64 = 64 * 1024;
/// Longest wait for more, when there is less than [`MUCH`].
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Sends files.
#[derive(Debug)]
pub(super) struct Files<'a> {
    client: &'a Client,
    news: News,
    state: PathBuf,
    pause: Pause,
    /// Files by their path on the server; unset before the server has told what it has.
    files: Option<BTreeMap<String, Sent>>,
    /// Whether nothing more is taken.
    over: bool,
}

/// How far a file is on the server.
#[derive(Debug, Default)]
struct Sent {
    size: u64,
    pieces: u32,
    last: Option<Instant>,
    given_up: bool,
}

/// Why files are not sent any further for now.
enum Stop {
    /// For good.
    Over,
    /// The server does not answer.
    Failed(String),
}

impl<'a> Files<'a> {
    pub(super) fn new(client: &'a Client, news: News, state: &Path) -> Self {
        Self {
            client,
            news,
            state: state.to_owned(),
            pause: Pause::default(),
            files: None,
            over: false,
        }
    }

    /// Sends what is new until the relay ends.
    pub(super) async fn follow(&mut self) {
        let mut news = self.news.clone();
        while !self.over {
            let round = async {
                let failed = self.round(false).await;
                // After a failure a new result is no reason to come back earlier.
                sleep(failed.unwrap_or(GAP)).await;
                if failed.is_none() {
                    tokio::select! {
                        () = sleep(LOOK) => {}
                        _ = self.news.results.changed() => {}
                    }
                }
            };
            if news.unless_ending(round).await.is_none() {
                return;
            }
        }
    }

    /// Sends all that is left; false where it is worth another try.
    pub(super) async fn flush(&mut self) -> bool {
        self.over || self.round(true).await.is_none()
    }

    /// Sends what is due, or everything; after a failure, how long to wait.
    async fn round(&mut self, everything: bool) -> Option<Duration> {
        match self.send_all(everything).await {
            Ok(()) => {
                if self.pause.over() {
                    tracing::info!("the operator takes files again");
                }
                None
            }
            Err(Stop::Over) => {
                self.over = true;
                None
            }
            Err(Stop::Failed(why)) => {
                if self.pause.is_first() {
                    tracing::warn!(%why, "files do not reach the operator; trying again");
                } else {
                    tracing::debug!(%why, "files do not reach the operator");
                }
                Some(self.pause.next())
            }
        }
    }

    async fn send_all(&mut self, everything: bool) -> Result<(), Stop> {
        if self.files.is_none() {
            self.files = Some(ask(self.client).await?);
        }
        let trajectory = self
            .news
            .results
            .borrow_and_update()
            .as_ref()
            .map_or(0, |result| result.trajectory_bytes);
        // Bytes after the last whole line are not the trajectory's.
        let mut grown = vec![(TRAJECTORY.to_owned(), trajectory)];
        grown.extend(logs(&self.state.join(LOGS)).map_err(|error| Stop::Failed(error.to_string()))?);
        for (path, length) in grown {
            let files = self.files.get_or_insert_default();
            let sent = files.entry(path.clone()).or_default();
            if sent.due(length, everything) {
                send(self.client, &self.state.join(&path), &path, length, sent).await?;
            }
        }
        Ok(())
    }
}

impl Sent {
    /// Whether a file of `length` bytes is to be sent now. The more pieces it has, the longer more is waited for.
    fn due(&self, length: u64, everything: bool) -> bool {
        let new = length.saturating_sub(self.size);
        let patience = Duration::from_secs(self.pieces.into()).min(LONGEST_WAIT);
        let waited = self.last.is_none_or(|last| last.elapsed() >= patience);
        !self.given_up && new > 0 && (everything || new >= MUCH || waited)
    }
}

/// What the server has.
async fn ask(client: &Client) -> Result<BTreeMap<String, Sent>, Stop> {
    match client.get::<Listing>("files").await {
        Said::Yes(listing) => Ok(listing
            .files
            .into_iter()
            .map(|file| {
                let sent = Sent {
                    size: file.size,
                    ..Sent::default()
                };
                (file.path, sent)
            })
            .collect()),
        Said::Conflict(_) => Err(Stop::Failed(
            "cannot understand the server's list of files".into(),
        )),
        Said::Over(why) => {
            tracing::warn!(%why, "the operator takes no files of this relay any more");
            Err(Stop::Over)
        }
        Said::Never(why) => {
            tracing::info!(%why, "nothing is archived");
            Err(Stop::Over)
        }
        Said::Later(why) => Err(Stop::Failed(why)),
    }
}

/// Sends a file piece by piece up to `length`.
async fn send(client: &Client, file: &Path, path: &str, length: u64, sent: &mut Sent) -> Result<(), Stop> {
    while sent.size < length {
        let piece = match read(file, sent.size, length) {
            Ok(piece) => piece,
            Err(error) => {
                tracing::error!(%error, path, "a file cannot be read and is not archived any further");
                sent.given_up = true;
                return Ok(());
            }
        };
        let what = format!("files/{path}?offset={}", sent.size);
        match client.put::<Size>(&what, piece).await {
            Said::Yes(Size { size }) | Said::Conflict(Some(Size { size })) if size > length => {
                tracing::error!(
                    path,
                    size,
                    length,
                    "the archive has more of a file than there is; it is not archived any further"
                );
                sent.given_up = true;
                return Ok(());
            }
            Said::Yes(Size { size }) => {
                sent.size = size;
                sent.pieces = sent.pieces.saturating_add(1);
                sent.last = Some(Instant::now());
            }
            Said::Conflict(Some(Size { size })) if size != sent.size => sent.size = size,
            Said::Conflict(_) => {
                return Err(Stop::Failed(format!(
                    "cannot understand the server's answer about {path}"
                )));
            }
            Said::Over(why) => {
                tracing::warn!(%why, "the operator takes no files of this relay any more");
                return Err(Stop::Over);
            }
            Said::Never(why) => {
                tracing::warn!(%why, path, "a file is not archived any further");
                sent.given_up = true;
                return Ok(());
            }
            Said::Later(why) => return Err(Stop::Failed(why)),
        }
    }
    Ok(())
}

/// Bytes of a file from `offset`, at most to `length` and at most one piece.
fn read(file: &Path, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let most = usize::try_from(length - offset).unwrap_or(usize::MAX);
    let mut piece = vec![0; most.min(MAX_CHUNK_BYTES)];
    File::open(file)?.read_exact_at(&mut piece, offset)?;
    Ok(piece)
}

/// Logs with their lengths, in the order of their steps.
fn logs(dir: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if let (true, Ok(name)) = (kind.is_file(), entry.file_name().into_string()) {
            logs.push((format!("{LOGS}/{name}"), entry.metadata()?.len()));
        }
    }
    logs.sort_by(|(a, _), (b, _)| log_order(a).cmp(&log_order(b)));
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_many_pieces_waits_longer_for_more() {
        let sent = |pieces, ago| Sent {
            size: 10,
            pieces,
            last: Instant::now().checked_sub(Duration::from_secs(ago)),
            given_up: false,
        };
        assert!(Sent::default().due(1, false));
        assert!(!Sent::default().due(0, true));
        assert!(sent(3, 4).due(11, false));
        assert!(!sent(9, 4).due(11, false));
        assert!(sent(9, 4).due(11, true));
        assert!(sent(9, 4).due(10 + MUCH, false));
        assert!(sent(1000, 61).due(11, false));
        assert!(!sent(1000, 61).due(10, true));
        let given_up = Sent {
            given_up: true,
            ..sent(0, 0)
        };
        assert!(!given_up.due(99, true));
    }

    #[test]
    fn logs_come_in_the_order_of_their_steps() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("execution_10.log", "abc"),
            ("execution_9.log", ""),
            ("validation_1.log", "x"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        fs::create_dir(dir.path().join("execution_2.log")).unwrap();
        let expected = [("validation_1", 1), ("execution_9", 0), ("execution_10", 3)]
            .map(|(name, length)| (format!("logs/{name}.log"), length));
        assert_eq!(logs(dir.path()).unwrap(), expected);
    }

    #[test]
    fn a_piece_is_what_there_is_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, vec![b'x'; MAX_CHUNK_BYTES + 5]).unwrap();
        let length = MAX_CHUNK_BYTES as u64 + 3;
        assert_eq!(read(&file, 0, length).unwrap().len(), MAX_CHUNK_BYTES);
        assert_eq!(read(&file, MAX_CHUNK_BYTES as u64, length).unwrap(), b"xxx");
        assert!(read(&file, 0, 3).unwrap().len() == 3);
        assert!(read(&file, length, length + 9).is_err());
    }
}
