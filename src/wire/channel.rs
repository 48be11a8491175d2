//! Messages between relay and executor. Control messages are JSON, bulk data are raw bytes; both travel in
//! [`super::frame`]s.
//!
//! ```text
//!   exec                                relay
//!    | -- Hello{resume: None} ----------> |   the first connection of an episode
//!    | <------------- Welcome{secret} --- |   kept in the executor's state file, out of reach of executed code
//!    | <------------------- Run{run, …} - |
//!    | -- Output(run, stream, bytes) ---> |   as it comes, up to the log cap
//!    | -- Submission(run, bytes)* ------> |   only when the program succeeded and wrote one
//!    | -- Finished{run, …} -------------> |
//!    | -- Hello{resume: Some(secret)} --> |   after either side was restarted
//! ```

use serde::{Deserialize, Serialize};

use crate::api::NetworkMode;

/// Version of this protocol; both sides are the same binary, so a difference is a deployment error.
pub const CHANNEL_VERSION: u32 = 1;

/// From the relay to the executor.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToExec {
    /// The connection is accepted.
    Welcome {
        /// Secret that a later connection must show.
        secret: String,
    },
    /// The connection is refused; the executor ends.
    Refused {
        /// Why.
        reason: String,
    },
    /// Run a program.
    Run(RunRequest),
    /// Stop the running program.
    Cancel {
        /// The run to stop; ignored when it is not the running one.
        run: u64,
    },
    /// Empty the workspace.
    Reset {
        /// Number of the request, echoed in [`FromExec::ResetDone`].
        run: u64,
    },
}

/// From the executor to the relay.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromExec {
    /// First message of a connection.
    Hello {
        /// [`CHANNEL_VERSION`].
        version: u32,
        /// Secret of an earlier connection.
        resume: Option<String>,
        /// Sandbox layers that executed code will run under, such as `landlock-abi-7`.
        layers: Vec<String>,
    },
    /// The program has started.
    Started {
        /// The run.
        run: u64,
    },
    /// The run has ended; nothing more of it follows.
    Finished(Box<RunFinished>),
    /// The workspace is empty.
    ResetDone {
        /// Number of the request.
        run: u64,
        /// Why it failed, when it did.
        error: Option<String>,
    },
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// `execute_code`: in the workspace, after a syntax check; a submission is looked for.
    Execute,
    /// `validate_code`: in a throw-away copy of the workspace, after a syntax check.
    Validate,
}

/// A program to run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RunRequest {
    /// Number of the run, unique within the episode.
    pub run: u64,
    /// What it is for.
    pub kind: RunKind,
    /// File name for the program, such as `execution_3.py`.
    pub file_name: String,
    /// Python source.
    pub code: String,
    /// Time limit in milliseconds. The syntax check counts, and the copy of the workspace of a `Validate`.
    pub timeout_ms: u64,
    /// Time between SIGTERM and SIGKILL in milliseconds.
    pub grace_ms: u64,
    /// Variables on top of the clean environment.
    pub env: Vec<(String, String)>,
    /// What the program may reach.
    pub network: NetworkMode,
    /// Output that is kept.
    pub output: OutputCaps,
    /// The submission to look for (`Execute` only).
    pub submission: Option<SubmissionRequest>,
}

/// Caps of one output stream, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OutputCaps {
    /// Bytes kept from the beginning for the observation.
    pub head: usize,
    /// Bytes kept from the end for the observation.
    pub tail: usize,
    /// Bytes sent to the relay for the log; what comes after is counted and dropped.
    pub log: u64,
}

impl Default for OutputCaps {
    fn default() -> Self {
        Self {
            head: 8 * 1024,
            tail: 8 * 1024,
            log: 64 * 1024 * 1024,
        }
    }
}

/// A submission to look for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SubmissionRequest {
    /// File name in the workspace.
    pub file: String,
    /// Largest accepted size in bytes.
    pub max_bytes: u64,
    /// Name that it is kept under once it was read, such as `submission_3.csv`.
    pub keep_as: String,
}

/// How a run ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RunFinished {
    /// The run.
    pub run: u64,
    /// How the program ended.
    pub exit: RunExit,
    /// The submission (`Execute` that succeeded only).
    pub submission: SubmissionFound,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// What the program used.
    pub usage: RunUsage,
}

/// How a program ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunExit {
    /// It does not parse and was not run, whatever [`RunKind`] it is: both are checked before they run.
    Syntax {
        /// The parser's message with line and column.
        message: String,
    },
    /// It exited.
    Exited {
        /// Exit code.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// Number of the signal.
        signal: i32,
    },
    /// The time limit ended it.
    TimedOut {
        /// Whether SIGTERM was not enough.
        killed: bool,
    },
    /// [`ToExec::Cancel`] ended it.
    Cancelled,
    /// A limit of memory, processes or disk ended it.
    Resource {
        /// Which limit, with its value.
        message: String,
    },
    /// It could not be run: the sandbox's fault.
    Sandbox {
        /// What happened and what to do.
        message: String,
    },
}

/// Whether there is a submission.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SubmissionFound {
    /// None was looked for.
    NotLooked,
    /// There is none.
    Missing,
    /// It was sent in the [`super::frame::Frame::Submission`] frames before this message.
    Sent {
        /// Size in bytes.
        bytes: u64,
        /// SHA-256, hexadecimal.
        sha256: String,
    },
    /// Something is there that cannot be taken: a directory, a link, a FIFO, too large.
    Refused {
        /// What it is.
        reason: String,
    },
}

/// Captured output of one stream.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Captured {
    /// Beginning and end as text, the cut marked with the number of bytes left out.
    pub text: String,
    /// Bytes written in all.
    pub total_bytes: u64,
    /// Whether `text` leaves something out.
    pub truncated: bool,
}

/// What a program used.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RunUsage {
    /// Wall clock in seconds.
    pub wall_seconds: f64,
    /// CPU time in seconds, user and system, descendants that were waited for included.
    pub cpu_seconds: f64,
    /// Greatest resident memory of one process, in bytes.
    pub peak_memory_bytes: u64,
}
