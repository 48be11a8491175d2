//! `validate_code` and `execute_code`: from the program to its observation.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::actions::error;
use super::budget::TimeLimit;
use super::effect::{Effect, GradeFailure, Loss};
use super::reward::{self, Best};
use super::step::{Conclusion, Next, Phase, line};
use super::{cause, submission, text};
use crate::api::standing::Grade;
use crate::wire::agent::{ErrorType, StepError};
use crate::wire::channel::{
    Captured, OutputCaps, RunExit, RunFinished, RunKind, RunRequest, SubmissionFound, SubmissionRequest,
};
use crate::wire::config::RelayConfig;

/// Time between SIGTERM and SIGKILL, in milliseconds: enough to write a checkpoint.
pub(super) const GRACE_MS: u64 = 5_000;
/// Most of one stream that an observation repeats, in bytes. The executor cuts earlier; it runs foreign code, so its
/// word is not taken for it.
const MAX_STREAM: usize = 64 * 1024;
/// Longest message of executor or grader that an observation repeats, in bytes.
const MAX_MESSAGE: usize = 2 * 1024;

/// The action's own time limit in milliseconds.
pub(super) fn own_limit_ms(config: &RelayConfig, kind: RunKind) -> u64 {
    match kind {
        RunKind::Execute => config.limits.action_timeout_ms,
        RunKind::Validate => config.limits.validation_timeout_ms,
    }
}

/// Asks for the program of step `step` to be run, under the number `run`.
pub(super) fn start(
    config: &RelayConfig,
    step: u32,
    run: u64,
    kind: RunKind,
    code: String,
    limit: TimeLimit,
) -> Next {
    let (prefix, submission) = match kind {
        RunKind::Validate => ("validation", None),
        RunKind::Execute => ("execution", Some(wanted(config, step))),
    };
    let request = RunRequest {
        run,
        kind,
        file_name: format!("{prefix}_{step}.py"),
        code,
        timeout_ms: limit.ms,
        grace_ms: GRACE_MS,
        env: vec![
            ("DOJO_SEED".into(), config.seed.to_string()),
            // Python takes 32 bits and refuses to start with more.
            (
                "PYTHONHASHSEED".into(),
                (config.seed & u64::from(u32::MAX)).to_string(),
            ),
            ("DOJO_PUBLIC".into(), config.public_dir.clone()),
            ("DOJO_WORKSPACE".into(), config.workspace_dir.clone()),
        ],
        network: config.network,
        output: OutputCaps::default(),
        submission,
    };
    Next::Perform(Effect::Run(request), Phase::Run(kind, limit))
}

fn wanted(config: &RelayConfig, step: u32) -> SubmissionRequest {
    let spec = &config.evaluation.submission;
    SubmissionRequest {
        file: spec.file.clone(),
        max_bytes: spec.size_limit(),
        keep_as: kept_as(&spec.file, step),
    }
}

/// `submission_3.csv` for `submission.csv` of step 3; another name where the Task has chosen that one.
pub(super) fn kept_as(file: &str, step: u32) -> String {
    let extension = file.rsplit_once('.').map(|(_, extension)| extension);
    let name = |stem: &str| match extension {
        Some(extension) if !extension.is_empty() => format!("{stem}_{step}.{extension}"),
        _ => format!("{stem}_{step}"),
    };
    let kept = name("submission");
    if kept == file {
        name("graded_submission")
    } else {
        kept
    }
}

/// After the program has ended.
pub(super) fn after(config: &RelayConfig, kind: RunKind, limit: TimeLimit, ran: RunFinished) -> Next {
    let ran = bounded(ran);
    let failure = cause::of_exit(&ran, limit, own_limit_ms(config, kind));
    let out_of_time = limit.by_wall_clock && matches!(ran.exit, RunExit::TimedOut { .. });
    let mut conclusion = match (kind, failure) {
        (RunKind::Validate, failure) => validated(&ran, failure),
        (RunKind::Execute, Some(failure)) => failed(&ran, failure),
        (RunKind::Execute, None) => match found(config, &ran.submission) {
            Ok(()) => return Next::Perform(Effect::Evaluate, Phase::Evaluate(Box::new(ran))),
            Err(error) => submission::refused(&ran, error),
        },
    };
    conclusion.usage = Some(ran.usage);
    conclusion.out_of_time = out_of_time;
    Next::Conclude(conclusion)
}

/// After the submission was graded, or could not be.
pub(super) fn after_grade(
    config: &RelayConfig,
    step: u32,
    best: Option<&Best>,
    ran: &RunFinished,
    graded: Result<Grade, GradeFailure>,
) -> Conclusion {
    let mut conclusion = match reward::usable(graded) {
        Ok(grade) => submission::graded(config, step, best, ran, grade),
        Err(GradeFailure::Invalid(reason)) => submission::refused(
            ran,
            error(
                ErrorType::InvalidSubmissionError,
                format!(
                    "{} was refused: {}",
                    config.evaluation.submission.file,
                    text::clip(&reason, MAX_MESSAGE, 0)
                ),
            ),
        ),
        Err(GradeFailure::Task(reason)) => {
            let mut conclusion = submission::refused(
                ran,
                error(
                    ErrorType::EvaluationError,
                    "the grader failed; this is the fault of the task, not of the submission".into(),
                ),
            );
            conclusion.task_error = Some(text::clip(&reason, MAX_MESSAGE, 0).into_owned());
            conclusion
        }
    };
    conclusion.usage = Some(ran.usage);
    conclusion
}

/// After the executor was lost while the program ran.
pub(super) fn after_loss(kind: RunKind, loss: Loss) -> Conclusion {
    let failure = cause::of_loss(loss);
    let (title, result) = match kind {
        RunKind::Execute => (
            "Execution",
            json!({"status": "FAILED", "execution": null, "submission": null}),
        ),
        RunKind::Validate => (
            "Validation",
            json!({"status": "FAILED", "syntax": null, "runtime": null}),
        ),
    };
    Conclusion {
        feedback: format!("=== {title} ===\n{}\n", line(&failure)),
        error: Some(failure),
        result,
        ..Conclusion::default()
    }
}

/// Whether a program that succeeded has sent a submission.
fn found(config: &RelayConfig, submission: &SubmissionFound) -> Result<(), StepError> {
    let file = &config.evaluation.submission.file;
    match submission {
        SubmissionFound::Sent { .. } => Ok(()),
        SubmissionFound::Missing => Err(error(
            ErrorType::SubmissionNotFoundError,
            format!(
                "the program succeeded but wrote no {file} into its working directory; only a file that this very program \
                 writes is graded"
            ),
        )),
        SubmissionFound::Refused { reason } => Err(error(
            ErrorType::InvalidSubmissionError,
            format!("{file} was refused: {reason}"),
        )),
        SubmissionFound::NotLooked => Err(error(
            ErrorType::SandboxError,
            format!("the sandbox did not look for {file}; nothing was graded"),
        )),
    }
}

fn failed(ran: &RunFinished, failure: StepError) -> Conclusion {
    let mut feedback = section("Execution", ran, Some(&failure));
    feedback.push_str("Nothing was graded: a program has to exit with code 0 for that.\n");
    Conclusion {
        feedback,
        result: json!({
            "status": "FAILED",
            "execution": execution(ran, Some(&failure)),
            "submission": null,
        }),
        error: Some(failure),
        ..Conclusion::default()
    }
}

fn validated(ran: &RunFinished, failure: Option<StepError>) -> Conclusion {
    let status = if failure.is_some() { "FAILED" } else { "SUCCESS" };
    let (syntax, runtime) = match (&ran.exit, &failure) {
        (RunExit::Syntax { message }, _) => (json!({"status": "FAILED", "error": message}), Value::Null),
        // Not known: the program did not come to run, or was stopped before or after its check.
        (RunExit::Sandbox { .. } | RunExit::Cancelled, failure) => {
            (Value::Null, execution(ran, failure.as_ref()))
        }
        (_, failure) => (json!({"status": "SUCCESS"}), execution(ran, failure.as_ref())),
    };
    let mut feedback = match (&ran.exit, &failure) {
        (RunExit::Syntax { .. }, Some(failure)) => {
            format!(
                "=== Validation ===\nSyntax: {}\nRuntime: not run\n",
                line(failure)
            )
        }
        (RunExit::Sandbox { .. } | RunExit::Cancelled, failure) => {
            section("Validation", ran, failure.as_ref())
        }
        (_, failure) => section("Validation", ran, failure.as_ref()).replacen(
            "=== Validation ===\n",
            "=== Validation ===\nSyntax: valid\nRuntime: ",
            1,
        ),
    };
    feedback.push_str("This was a trial in a copy of the workspace: nothing was graded, nothing was kept.\n");
    Conclusion {
        feedback,
        result: json!({"status": status, "syntax": syntax, "runtime": runtime}),
        error: failure,
        ..Conclusion::default()
    }
}

/// How a program went, for a reader.
pub(super) fn section(title: &str, ran: &RunFinished, failure: Option<&StepError>) -> String {
    let mut out = format!("=== {title} ===\n");
    let usage = &ran.usage;
    let used = format!(
        "{} ({} of CPU, peak memory {})",
        text::duration(usage.wall_seconds),
        text::duration(usage.cpu_seconds),
        text::size(usage.peak_memory_bytes)
    );
    let _ = match failure {
        None => writeln!(out, "SUCCESS in {used}"),
        Some(failure) => writeln!(out, "FAILED after {used}\n{}", line(failure)),
    };
    stream(&mut out, "stdout", &ran.stdout);
    stream(&mut out, "stderr", &ran.stderr);
    out
}

fn stream(out: &mut String, name: &str, captured: &Captured) {
    if captured.text.is_empty() {
        let _ = writeln!(out, "{name}: empty");
        return;
    }
    if captured.truncated {
        let total = text::size(captured.total_bytes);
        let _ = writeln!(out, "{name} (beginning and end of {total}):");
    } else {
        let _ = writeln!(out, "{name}:");
    }
    text::push_block(out, &captured.text);
}

/// How a program went, for a machine.
pub(super) fn execution(ran: &RunFinished, failure: Option<&StepError>) -> Value {
    json!({
        "status": if failure.is_some() { "FAILED" } else { "SUCCESS" },
        "output": ran.stdout.text,
        "error": ran.stderr.text,
        "execution_time": format!("{:.2}s", ran.usage.wall_seconds),
        "exit": ran.exit,
        "cpu_seconds": ran.usage.cpu_seconds,
        "peak_memory_bytes": ran.usage.peak_memory_bytes,
        "output_bytes": ran.stdout.total_bytes,
        "error_bytes": ran.stderr.total_bytes,
    })
}

/// The same with every text cut to what an observation may hold.
fn bounded(mut ran: RunFinished) -> RunFinished {
    for captured in [&mut ran.stdout, &mut ran.stderr] {
        if captured.text.len() > MAX_STREAM {
            captured.text = text::clip(&captured.text, MAX_STREAM / 2, MAX_STREAM / 2).into_owned();
            captured.truncated = true;
        }
    }
    let message = match &mut ran.exit {
        RunExit::Syntax { message } | RunExit::Resource { message } | RunExit::Sandbox { message } => {
            Some(message)
        }
        RunExit::Exited { .. } | RunExit::Signaled { .. } | RunExit::TimedOut { .. } | RunExit::Cancelled => {
            None
        }
    };
    let reason = match &mut ran.submission {
        SubmissionFound::Refused { reason } => Some(reason),
        SubmissionFound::Sent { sha256, .. } => Some(sha256),
        SubmissionFound::NotLooked | SubmissionFound::Missing => None,
    };
    for long in message.into_iter().chain(reason) {
        *long = text::clip(long, MAX_MESSAGE, 0).into_owned();
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_is_kept_under_the_number_of_its_step() {
        assert_eq!(kept_as("submission.csv", 3), "submission_3.csv");
        assert_eq!(kept_as("out.tar.gz", 12), "submission_12.gz");
        assert_eq!(kept_as("predictions", 1), "submission_1");
        assert_eq!(kept_as("predictions.", 1), "submission_1");
        assert_eq!(kept_as("submission_3.csv", 3), "graded_submission_3.csv");
    }

    #[test]
    fn an_executor_cannot_make_an_observation_grow_without_bound() {
        let huge = "é".repeat(1_000_000);
        let captured = Captured {
            text: huge.clone(),
            total_bytes: 2_000_000,
            truncated: false,
        };
        let ran = bounded(RunFinished {
            run: 1,
            exit: RunExit::Resource {
                message: huge.clone(),
            },
            submission: SubmissionFound::Refused { reason: huge },
            stdout: captured.clone(),
            stderr: captured,
            usage: crate::wire::channel::RunUsage::default(),
        });
        assert!(ran.stdout.truncated && ran.stderr.truncated);
        let size = serde_json::to_vec(&ran).unwrap().len();
        assert!(size < 2 * MAX_STREAM + 3 * MAX_MESSAGE, "{size}");
    }
}
