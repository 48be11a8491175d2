//! What is reported of an episode: its status, and the file that has it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::cache::{write_soon, write_whole};
use super::layout::EpisodeDir;
use super::machine::privately;
use super::unready::Unready;
use crate::api::status::{FailureStatus, ProvenanceStatus};
use crate::api::{Episode, Task};
use crate::plan::Observed;
use crate::wire::hex;
use crate::wire::result::EpisodeResult;

/// An episode with what was observed of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The Episode with the status that was reported last.
    pub episode: Episode,
    /// What was observed.
    pub observed: Observed,
    file: PathBuf,
    /// Whether the file as it is has reached the disk.
    on_disk: bool,
}

impl Record {
    /// Of an episode in `dir`. `previous` is what was reported by an earlier run that goes on.
    pub fn new(task: &Task, mut episode: Episode, dir: &EpisodeDir, previous: Option<&Episode>) -> Self {
        episode.metadata.creation_timestamp = previous
            .and_then(|previous| previous.metadata.creation_timestamp.clone())
            .or_else(|| Some(Time(Timestamp::now())));
        episode.status = previous.and_then(|previous| previous.status.clone());
        let mut observed = Observed::new(Some(task), &episode);
        observed.trajectory_uri = Some(file_uri(&dir.trajectory()));
        // An attempt that goes on has begun when it began.
        let reported = episode
            .status
            .as_ref()
            .and_then(|status| status.started_at.as_ref());
        observed.started_at = reported.map(|time| time.0);
        Self {
            episode,
            observed,
            file: dir.episode(),
            on_disk: false,
        }
    }

    /// Works out the status and writes the file, if it is another one than before. It waits for the disk only in another
    /// phase and at the `end`: all episodes wait with it, and after each step is too often.
    pub fn publish(&mut self, end: bool) -> io::Result<()> {
        let before = self.episode.status.as_ref();
        let status = crate::plan::status(&self.observed, before, Timestamp::now());
        if before == Some(&status) && self.file.exists() && (self.on_disk || !end) {
            return Ok(());
        }
        let durably = end || before.map(|before| before.phase) != Some(status.phase);
        self.episode.status = Some(status);
        let text = serde_saphyr::to_string(&self.episode).map_err(io::Error::other)?;
        let write = if durably { write_whole } else { write_soon };
        self.on_disk = false;
        privately(|| write(&self.file, text.as_bytes()))?;
        self.on_disk = durably;
        Ok(())
    }

    /// It cannot have a result.
    pub fn fail(&mut self, unready: &Unready) {
        self.observed.failure = Some(FailureStatus {
            class: unready.class,
            reason: unready.reason.to_owned(),
            message: unready.message.clone(),
        });
    }

    /// What the trajectory really is: a relay that was killed may not have come to write its last digest.
    pub fn measure_trajectory(&mut self, dir: &EpisodeDir) {
        if let Some(result) = &mut self.observed.result
            && let Ok(content) = fs::read(dir.trajectory())
        {
            result.trajectory_sha256 = digest(&content);
            result.trajectory_bytes = content.len() as u64;
        }
    }
}

/// Under what conditions an episode runs on this machine.
pub fn provenance(task_digest: String, data_digest: String, hardware: &str) -> ProvenanceStatus {
    ProvenanceStatus {
        version: env!("CARGO_PKG_VERSION").into(),
        task_digest,
        data_digest: Some(data_digest),
        hardware: Some(hardware.to_owned()),
        ..ProvenanceStatus::default()
    }
}

/// The result file, if there is a whole one.
pub fn read_result(dir: &EpisodeDir) -> Option<EpisodeResult> {
    serde_json::from_slice(&fs::read(dir.result()).ok()?).ok()
}

/// `file://` and the path, everything escaped that a URI wants escaped.
fn file_uri(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// The episodes as `kubectl get -o json` prints several objects.
pub fn list(episodes: &[Episode]) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "items": episodes,
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    })
}

/// SHA-256 of a file's content.
pub fn digest(content: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex(&Sha256::digest(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_unusual_characters_becomes_a_uri() {
        assert_eq!(
            file_uri(Path::new("/runs/my run/é#1/trajectory.jsonl")),
            "file:///runs/my%20run/%C3%A9%231/trajectory.jsonl"
        );
    }
}
