//! What one request to the executor gets back. The executor runs beside foreign code, so nothing that it sends is
//! trusted: each frame is held against what was asked for, and the first one that does not fit ends the connection.

use sha2::{Digest, Sha256};

use super::output::RunLog;
use crate::env::Loss;
use crate::wire::channel::{
    Captured, FromExec, OutputCaps, RunExit, RunFinished, RunRequest, SubmissionFound,
};
use crate::wire::frame::Frame;
use crate::wire::hex;

/// Longest message of an executor about a run, in bytes; what is longer is cut.
const MAX_MESSAGE: usize = 4096;
/// No figure of usage is greater: thirty years in seconds.
const MAX_SECONDS: f64 = 1e9;

/// How a request ended.
#[derive(Debug, PartialEq)]
pub(super) enum Ending {
    /// The program ended, with the bytes of its submission where there is one.
    Ran(Box<RunFinished>, Vec<u8>),
    /// The workspace was emptied, or could not be.
    Reset(Result<(), String>),
    /// The executor was lost with the request.
    Lost(Loss),
    /// The request did not reach an executor, so nothing of it was done.
    Unsent,
}

/// What has come of a request so far.
#[derive(Debug)]
pub(super) struct Receipt {
    run: u64,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    Run {
        log: RunLog,
        caps: OutputCaps,
        /// Largest submission that was asked for; 0 where none was.
        max_bytes: u64,
        submission: Vec<u8>,
        digest: Sha256,
    },
    Reset,
}

impl Receipt {
    /// For a run, whose output goes into `log`.
    pub(super) fn run(request: &RunRequest, log: RunLog) -> Self {
        Self {
            run: request.run,
            asked: Asked::Run {
                log,
                caps: request.output,
                max_bytes: request.submission.as_ref().map_or(0, |asked| asked.max_bytes),
                submission: Vec::new(),
                digest: Sha256::new(),
            },
        }
    }

    /// For a reset.
    pub(super) fn reset(run: u64) -> Self {
        Self {
            run,
            asked: Asked::Reset,
        }
    }

    /// Number of the request.
    pub(super) fn number(&self) -> u64 {
        self.run
    }

    /// The log, where a program runs.
    pub(super) fn log(&self) -> Option<&RunLog> {
        match &self.asked {
            Asked::Run { log, .. } => Some(log),
            Asked::Reset => None,
        }
    }

    /// Takes a frame; gives the ending when it was the last one, or why the frame breaks the protocol.
    pub(super) fn take(&mut self, frame: Frame) -> Result<Option<Ending>, String> {
        let (run, frame) = match frame {
            Frame::Control(bytes) => {
                let message: FromExec = serde_json::from_slice(&bytes)
                    .map_err(|error| format!("a control message is not understood: {error}"))?;
                return self.control(message);
            }
            Frame::Stdout(run, bytes) | Frame::Stderr(run, bytes) => (run, Ok(bytes)),
            Frame::Submission(run, bytes) => (run, Err(bytes)),
        };
        self.check_run(run)?;
        let Asked::Run {
            log,
            max_bytes,
            submission,
            digest,
            ..
        } = &mut self.asked
        else {
            return Err("output came for a reset".into());
        };
        match frame {
            Ok(output) => log.append(&output),
            Err(piece) => {
                if (submission.len() + piece.len()) as u64 > *max_bytes {
                    return Err(format!(
                        "a submission is larger than the {max_bytes} bytes asked for"
                    ));
                }
                digest.update(&piece);
                submission.extend_from_slice(&piece);
            }
        }
        Ok(None)
    }

    fn control(&mut self, message: FromExec) -> Result<Option<Ending>, String> {
        match (message, &mut self.asked) {
            (FromExec::Hello { .. }, _) => Err("a second Hello came".into()),
            (FromExec::Started { run }, _) => self.check_run(run).map(|()| None),
            (FromExec::ResetDone { run, error }, Asked::Reset) => {
                self.check_run(run)?;
                let error = error.map(|mut error| {
                    clip(&mut error);
                    error
                });
                Ok(Some(Ending::Reset(error.map_or(Ok(()), Err))))
            }
            (
                FromExec::Finished(mut finished),
                Asked::Run {
                    caps,
                    submission,
                    digest,
                    ..
                },
            ) => {
                let submission = std::mem::take(submission);
                let digest = std::mem::take(digest);
                let caps = *caps;
                self.check_run(finished.run)?;
                check_finished(&finished, caps)?;
                let submission = match &finished.submission {
                    SubmissionFound::Sent { bytes, sha256 } => {
                        if *bytes != submission.len() as u64 || *sha256 != hex(&digest.finalize()) {
                            return Err("the submission that came is not the one that was announced".into());
                        }
                        submission
                    }
                    _ => Vec::new(),
                };
                clip_messages(&mut finished);
                Ok(Some(Ending::Ran(finished, submission)))
            }
            (FromExec::Finished(_), Asked::Reset) => Err("a run ended where a reset was asked for".into()),
            (FromExec::ResetDone { .. }, Asked::Run { .. }) => {
                Err("a reset ended where a run was asked for".into())
            }
        }
    }

    fn check_run(&self, run: u64) -> Result<(), String> {
        if run == self.run {
            Ok(())
        } else {
            Err(format!(
                "something came for run {run} while run {} goes on",
                self.run
            ))
        }
    }
}

/// Figures that add up and texts of the size that was asked for.
fn check_finished(finished: &RunFinished, caps: OutputCaps) -> Result<(), String> {
    let usage = finished.usage;
    for seconds in [usage.wall_seconds, usage.cpu_seconds] {
        if !(0.0..=MAX_SECONDS).contains(&seconds) {
            return Err(format!("{seconds} seconds of usage cannot be"));
        }
    }
    // A byte that is not UTF-8 becomes three, and the cut is marked.
    let longest = 3 * (caps.head + caps.tail) + MAX_MESSAGE;
    let too_long = |captured: &Captured| captured.text.len() > longest;
    if too_long(&finished.stdout) || too_long(&finished.stderr) {
        return Err(format!("captured output is longer than {longest} bytes"));
    }
    Ok(())
}

fn clip_messages(finished: &mut RunFinished) {
    match &mut finished.exit {
        RunExit::Syntax { message } | RunExit::Resource { message } | RunExit::Sandbox { message } => {
            clip(message);
        }
        RunExit::Exited { .. } | RunExit::Signaled { .. } | RunExit::TimedOut { .. } | RunExit::Cancelled => {
        }
    }
    if let SubmissionFound::Refused { reason } = &mut finished.submission {
        clip(reason);
    }
}

fn clip(message: &mut String) {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE).rev().find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::NetworkMode;
    use crate::wire::channel::{RunKind, RunUsage, SubmissionRequest};

    fn request(max_bytes: u64) -> RunRequest {
        RunRequest {
            run: 7,
            kind: RunKind::Execute,
            file_name: "execution_7.py".into(),
            code: "pass".into(),
            timeout_ms: 1000,
            grace_ms: 100,
            env: Vec::new(),
            network: NetworkMode::None,
            output: OutputCaps::default(),
            submission: Some(SubmissionRequest {
                file: "submission.csv".into(),
                max_bytes,
                keep_as: "submission_7.csv".into(),
            }),
        }
    }

    fn finished(submission: SubmissionFound) -> RunFinished {
        RunFinished {
            run: 7,
            exit: RunExit::Exited { code: 0 },
            submission,
            stdout: Captured::default(),
            stderr: Captured::default(),
            usage: RunUsage::default(),
        }
    }

    fn sent(bytes: &[u8]) -> SubmissionFound {
        SubmissionFound::Sent {
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
        }
    }

    fn control(message: &FromExec) -> Frame {
        Frame::Control(serde_json::to_vec(message).unwrap())
    }

    /// Feeds frames to a fresh receipt; the last answer.
    fn outcome(max_bytes: u64, frames: Vec<Frame>) -> Result<Option<Ending>, String> {
        let dir = tempfile::tempdir().unwrap();
        let log = RunLog::create(&dir.path().join("log"), 1000).unwrap();
        let mut receipt = Receipt::run(&request(max_bytes), log);
        let mut last = Ok(None);
        for frame in frames {
            last = Ok(receipt.take(frame)?);
        }
        last
    }

    #[test]
    fn a_submission_arrives_in_pieces() {
        let end = finished(sent(b"id,y\n1,2\n"));
        assert_eq!(
            outcome(
                9,
                vec![
                    control(&FromExec::Started { run: 7 }),
                    Frame::Stdout(7, b"hello".to_vec()),
                    Frame::Submission(7, b"id,y\n".to_vec()),
                    Frame::Submission(7, b"1,2\n".to_vec()),
                    control(&FromExec::Finished(Box::new(end.clone()))),
                ]
            ),
            Ok(Some(Ending::Ran(Box::new(end), b"id,y\n1,2\n".to_vec())))
        );
    }

    #[test]
    fn frames_that_were_not_asked_for_break_the_protocol() {
        let mut long = finished(SubmissionFound::Missing);
        long.stdout.text = "x".repeat(1 << 20);
        let mut endless = finished(SubmissionFound::Missing);
        endless.usage.cpu_seconds = -1.0;
        let cases = [
            ("larger than the 4 bytes", Frame::Submission(7, b"12345".to_vec())),
            ("run 8", Frame::Stdout(8, b"x".to_vec())),
            ("run 8", control(&FromExec::Started { run: 8 })),
            (
                "not understood",
                Frame::Control(b"{\"type\":\"nonsense\"}".to_vec()),
            ),
            (
                "second Hello",
                control(&FromExec::Hello {
                    version: 1,
                    resume: None,
                    layers: Vec::new(),
                }),
            ),
            (
                "reset ended",
                control(&FromExec::ResetDone { run: 7, error: None }),
            ),
            (
                "announced",
                control(&FromExec::Finished(Box::new(finished(sent(b"1"))))),
            ),
            ("captured output", control(&FromExec::Finished(Box::new(long)))),
            (
                "seconds of usage",
                control(&FromExec::Finished(Box::new(endless))),
            ),
        ];
        for (why, frame) in cases {
            let error = outcome(4, vec![frame]).unwrap_err();
            assert!(error.contains(why), "`{error}` does not name `{why}`");
        }
    }

    #[test]
    fn a_submission_that_was_given_up_is_not_handed_on() {
        let end = finished(SubmissionFound::Refused {
            reason: "it changed while it was read".into(),
        });
        assert_eq!(
            outcome(
                9,
                vec![
                    Frame::Submission(7, b"id".to_vec()),
                    control(&FromExec::Finished(Box::new(end.clone()))),
                ]
            ),
            Ok(Some(Ending::Ran(Box::new(end), Vec::new())))
        );
    }
}
