//! The journal on the disk: append one line, read lines again by number, cut what a crash left half-written.
//!
//! A step counts once its line is written; `fsync` follows off the path ([`Journal::sync_handle`]). So a killed relay
//! loses nothing, and a power cut at most the last moments.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::RelayError;
use crate::wire::hex;
use crate::wire::journal::{Header, JournalLine, StepRecord};

/// Version of the format that this program writes and continues.
pub(super) const FORMAT: u32 = 1;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: Arc<File>,
    path: PathBuf,
    /// Length of all whole lines; the file is longer only after a write that failed half-way.
    length: u64,
    /// Whether bytes of a failed write may stand after `length`.
    torn: bool,
    /// Offset and length of each step's line.
    lines: Vec<(u64, usize)>,
    digest: Sha256,
}

impl Journal {
    /// Opens the journal at `path`, or begins it with `header`. Each step that it holds is passed to `take`, in order.
    pub(super) fn open(
        path: &Path,
        header: Header,
        mut take: impl FnMut(&StepRecord),
    ) -> Result<Self, RelayError> {
        let failed = |what: &str, error: io::Error| {
            RelayError::Failed(format!("cannot {what} the journal {}: {error}", path.display()))
        };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| failed("open", error))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            RelayError::Failed(format!(
                "another relay works on {}; stop it first, or give this episode another --state",
                path.display()
            ))
        })?;
        let mut journal = Self {
            file: Arc::new(file),
            path: path.to_owned(),
            length: 0,
            torn: false,
            lines: Vec::new(),
            digest: Sha256::new(),
        };
        let whole = journal.read_all(&header, &mut take)?;
        let size = journal
            .file
            .metadata()
            .map_err(|error| failed("read", error))?
            .len();
        if size > journal.length {
            tracing::warn!(
                bytes = size - journal.length,
                "the journal's last line was cut short by a crash; it is dropped"
            );
            journal
                .file
                .set_len(journal.length)
                .map_err(|error| failed("shorten", error))?;
        }
        if whole == 0 {
            journal
                .write_line(&JournalLine::Header(header))
                .map_err(|error| failed("begin", error))?;
        }
        Ok(journal)
    }

    /// Reads all whole lines; gives their number.
    fn read_all(
        &mut self,
        expected: &Header,
        take: &mut impl FnMut(&StepRecord),
    ) -> Result<usize, RelayError> {
        let mut reader = BufReader::new(Arc::clone(&self.file));
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(|error| {
                RelayError::Failed(format!(
                    "cannot read the journal {}: {error}",
                    self.path.display()
                ))
            })?;
            if line.last() != Some(&b'\n') {
                return Ok(number);
            }
            number += 1;
            let damaged = |why: String| {
                RelayError::Failed(format!(
                    "line {number} of the journal {} {why}; it was changed by something else than this program",
                    self.path.display()
                ))
            };
            match serde_json::from_slice(&line) {
                Ok(JournalLine::Header(header)) if number == 1 => self.check(&header, expected)?,
                Ok(JournalLine::Step(record))
                    if record.step as usize == self.lines.len() + 1 && number > 1 =>
                {
                    take(&record);
                    self.lines.push((self.length, read));
                }
                Ok(JournalLine::Header(_)) => return Err(damaged("is a second header".into())),
                Ok(JournalLine::Step(record)) => {
                    return Err(damaged(format!(
                        "is step {} where step {} belongs",
                        record.step,
                        self.lines.len() + 1
                    )));
                }
                Err(error) => return Err(damaged(format!("is not understood ({error})"))),
            }
            self.digest.update(&line);
            self.length += read as u64;
        }
    }

    /// Refuses a journal that another configuration or another format has begun.
    fn check(&self, found: &Header, expected: &Header) -> Result<(), RelayError> {
        let path = self.path.display();
        if found.format != expected.format {
            return Err(RelayError::Config(format!(
                "the journal {path} has format {} and this program continues format {}: finish the episode with the \
                 version that began it ({}), or start it anew in another --state",
                found.format, expected.format, found.version
            )));
        }
        if found.config_digest != expected.config_digest {
            return Err(RelayError::Config(format!(
                "the journal {path} was begun under another configuration (episode `{}`, task `{}`, digest {}; now \
                 episode `{}`, task `{}`, digest {}): an episode cannot change on its way, so give the changed one \
                 another --state",
                found.episode,
                found.task,
                short(&found.config_digest),
                expected.episode,
                expected.task,
                short(&expected.config_digest)
            )));
        }
        Ok(())
    }

    /// Appends a step. On an error nothing of it stays.
    pub(super) fn append(&mut self, record: &StepRecord) -> io::Result<()> {
        let before = self.length;
        // The clone is of one step and is not measurable beside the write.
        self.write_line(&JournalLine::Step(Box::new(record.clone())))?;
        self.lines.push((
            before,
            usize::try_from(self.length - before).unwrap_or(usize::MAX),
        ));
        Ok(())
    }

    fn write_line(&mut self, line: &JournalLine) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        if let Err(error) = (&*self.file).write_all(&bytes) {
            self.torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.digest.update(&bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Reads a step again.
    pub(super) fn read(&self, step: u32) -> io::Result<StepRecord> {
        let &(offset, length) = step
            .checked_sub(1)
            .and_then(|index| self.lines.get(index as usize))
            .ok_or_else(|| io::Error::other(format!("the journal has no step {step}")))?;
        let mut line = vec![0; length];
        self.file.read_exact_at(&mut line, offset)?;
        match serde_json::from_slice(&line)? {
            JournalLine::Step(record) => Ok(*record),
            JournalLine::Header(_) => Err(io::Error::other("a header stands where a step was written")),
        }
    }

    /// Reads the steps `first` to `last`, both included, as far as they exist.
    pub(super) fn read_range(&self, first: u32, last: u32) -> io::Result<Vec<StepRecord>> {
        let last = last.min(u32::try_from(self.lines.len()).unwrap_or(u32::MAX));
        (first.max(1)..=last).map(|step| self.read(step)).collect()
    }

    /// Size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.length
    }

    /// SHA-256 over all of it, hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hex(&self.digest.clone().finalize())
    }

    /// For `fsync` on another thread.
    pub(super) fn sync_handle(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

/// Enough of a digest to tell two apart.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
