//! What the relay of a pod tells the operator while the episode runs: its result so far, and its files as they grow.
//!
//! ```text
//!   PUT {attempt}/result                   body: EpisodeResult as JSON, at most 4 KiB
//!       200 taken · 401 who are you · 403 not your episode · 409 older than what is on record · 410 the attempt is over
//!   PUT {attempt}/files/{path}?offset=N    body: at most MAX_CHUNK_BYTES, the file's bytes from N on
//!       200 {"size": M} taken · 409 {"size": M} the file continues at M
//!   GET {attempt}/files/{path}?offset=N    for the relay: HEAD tells the size in `Content-Length`
//!
//!   GET /v1/namespaces/{ns}/episodes/{name}/files?attempt=N            for users: [{"path": …, "size": …}]
//!   GET /v1/namespaces/{ns}/episodes/{name}/files/{path}?attempt=N&offset=N
//! ```
//!
//! `{attempt}` is [`attempt_path`]. A relay shows its pod's token, for [`AUDIENCE`]; a user shows what the cluster knows
//! him by, and needs the right to get the Episode.

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

/// Path of one attempt on the report server.
pub fn attempt_path(namespace: &str, episode: &str, attempt: u32) -> String {
    format!("/v1/namespaces/{namespace}/episodes/{episode}/attempts/{attempt}")
}

/// Folder of one attempt in the archive, without slashes at its ends. The UID keeps a new Episode of an old name apart.
pub fn archive_path(namespace: &str, episode: &str, uid: &str, attempt: u32) -> String {
    format!("{namespace}/{episode}/{uid}/{attempt}")
}

/// How long a file is on the server's side.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Size {
    /// Bytes from its beginning that are there without a gap.
    pub size: u64,
}

/// One archived file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileEntry {
    /// Path within the attempt, such as `logs/3.log`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
}
