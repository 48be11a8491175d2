//! What the relay of a pod tells the operator while the episode runs: its result so far, and its files as they grow.
//!
//! ```text
//!   PUT {attempt}/result                   body: EpisodeResult as JSON, at most MAX_REPORT_BYTES
//!       200 {"againIn": S}  taken. With `againIn` it is not shown yet, because the status was written less than a minute
//!                           ago: the relay sends its then latest result again after S seconds
//!       409 older than what is on record
//!   PUT {attempt}/result?last=true         the relay ends: as above, and the trajectory is made one object
//!   PUT {attempt}/files/{path}?offset=N    body: at most MAX_CHUNK_BYTES, the file's bytes from N on
//!       200 {"size": M} taken · 409 {"size": M} the file continues at M · 404 nothing is archived here
//!       413 too much · 400 no path that is taken
//!   GET {attempt}/files                    where to go on after a restart: Listing
//!
//!   every one of them
//!       401 who are you · 403 not your episode · 410 the attempt is over · 503 not now, ask again
//!
//!   GET /v1/namespaces/{ns}/episodes/{name}/files?attempt=N            for users: Listing
//!   GET /v1/namespaces/{ns}/episodes/{name}/files/{path}?attempt=N&offset=N
//!       401 · 403 no right to get the Episode, whether there is one or not · 404 no such Episode, attempt or file
//! ```
//!
//! `{attempt}` is [`attempt_path`]; a user who names none gets the latest. A relay shows its pod's token, for [`AUDIENCE`]; a
//! user shows what the cluster knows him by, a token or a client certificate, and needs the right to get the Episode. An
//! answer other than 200 and 409 has an [`ApiError`](super::agent::ApiError) as its body.
//!
//! A relay that is told 403 or 410 stops for good. After any other failure it waits and sends again: only the latest result,
//! and of each file what the server lacks.

use serde::{Deserialize, Serialize};

/// Audience of the token by which a relay is known.
pub const AUDIENCE: &str = "mledojo.dev/report";
/// Largest piece of a file in one request: 1 MiB.
pub const MAX_CHUNK_BYTES: usize = 1024 * 1024;
/// Largest report in bytes.
pub const MAX_REPORT_BYTES: usize = 4096;
/// Name of the trajectory among the files of an attempt.
pub const TRAJECTORY: &str = "trajectory.jsonl";
/// Folder of program output among the files of an attempt.
pub const LOGS: &str = "logs";

/// Path of an Episode on the report server.
pub fn episode_path(namespace: &str, episode: &str) -> String {
    format!("/v1/namespaces/{namespace}/episodes/{episode}")
}

/// Path of one attempt on the report server.
pub fn attempt_path(namespace: &str, episode: &str, attempt: u32) -> String {
    format!("{}/attempts/{attempt}", episode_path(namespace, episode))
}

/// Folder of one attempt in the archive, without slashes at its ends. The UID keeps a new Episode of an old name apart.
pub fn archive_path(namespace: &str, episode: &str, uid: &str, attempt: u32) -> String {
    format!("{namespace}/{episode}/{uid}/{attempt}")
}

/// Answer to a result that was taken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// Seconds after which the then latest result is to be sent again. Unset: it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_in: Option<u64>,
}

/// How long a file is on the server's side.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Size {
    /// Bytes from its beginning that are there without a gap.
    pub size: u64,
}

/// What is archived of an attempt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Listing {
    /// The attempt.
    pub attempt: u32,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// One archived file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileEntry {
    /// Path within the attempt, such as `logs/execution_3.log`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
}

/// Key by which logs are put in the order of their steps: the numbers in the name, then the name.
pub fn log_order(path: &str) -> (Vec<u64>, &str) {
    let numbers = path
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    (numbers, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_ordered_by_step_and_then_by_repetition() {
        let mut logs = [
            "logs/execution_10.log",
            "logs/validation_9.log",
            "logs/execution_2.2.log",
            "logs/execution_2.log",
        ];
        logs.sort_by_key(|path| log_order(path));
        assert_eq!(
            logs,
            [
                "logs/execution_2.log",
                "logs/execution_2.2.log",
                "logs/validation_9.log",
                "logs/execution_10.log"
            ]
        );
    }
}
