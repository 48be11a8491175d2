//! What `execute_code` says of a submission, as far as the Task's feedback allows.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::reward::{self, Best, Shown};
use super::step::{Conclusion, line};
use super::{info, run, text};
use crate::api::evaluation::Feedback;
use crate::api::standing::{Grade, Place};
use crate::wire::agent::StepError;
use crate::wire::channel::{RunFinished, SubmissionFound};
use crate::wire::config::RelayConfig;

/// A program that succeeded, whose submission was graded.
pub(super) fn graded(
    config: &RelayConfig,
    step: u32,
    best: Option<&Best>,
    ran: &RunFinished,
    grade: Grade,
) -> Conclusion {
    let spec = &config.evaluation;
    let shown = Shown::of(spec, Some(&grade.visible));
    let places: &[Place] = if spec.feedback == Feedback::Full {
        &grade.visible.places
    } else {
        &[]
    };
    let details: Map<String, Value> = places
        .iter()
        .map(|place| {
            (
                place.board.clone(),
                json!({"position": place.place, "total": place.total}),
            )
        })
        .collect();
    let (bytes, sha256) = match &ran.submission {
        SubmissionFound::Sent { bytes, sha256 } => (Some(*bytes), Some(sha256)),
        SubmissionFound::NotLooked | SubmissionFound::Missing | SubmissionFound::Refused { .. } => {
            (None, None)
        }
    };
    let kept_as = run::kept_as(&spec.submission.file, step);
    let mut feedback = run::section("Execution", ran, None);
    let _ = writeln!(
        feedback,
        "=== Submission ===\n{} is valid ({}); the workspace keeps it as {kept_as}",
        spec.submission.file,
        text::size(bytes.unwrap_or(0))
    );
    match shown.raw {
        None => feedback.push_str("This task does not show scores.\n"),
        Some(raw) => {
            let rows = if spec.holdout.is_some() {
                ", on the visible rows"
            } else {
                ""
            };
            let _ = writeln!(
                feedback,
                "Raw score: {} ({:?}, {}{rows})",
                text::score(raw),
                spec.metric.builtin,
                info::direction_words(spec.improves())
            );
            for place in places {
                let Place { board, place, total } = place;
                let _ = writeln!(feedback, "Leaderboard {board}: position {place} / {total}");
            }
            if let Some(position) = shown.position {
                let _ = writeln!(feedback, "Average position score: {position:.4}");
            }
            let _ = writeln!(feedback, "{}", best_line(config, step, best, &grade));
            let _ = writeln!(
                feedback,
                "Reward: {}",
                text::score(reward::of_step(spec, best, &grade))
            );
        }
    }
    Conclusion {
        result: json!({
            "status": "SUCCESS",
            "execution": run::execution(ran, None),
            "submission": {
                "status": "SUCCESS",
                "raw_score": shown.raw,
                "position_score": shown.position,
                "details": details,
                "bytes": bytes,
                "sha256": sha256,
                "kept_as": kept_as,
            },
        }),
        feedback,
        grade: Some(grade),
        ..Conclusion::default()
    }
}

/// A program that succeeded, whose submission is missing, invalid, or could not be graded.
pub(super) fn refused(ran: &RunFinished, error: StepError) -> Conclusion {
    let mut feedback = run::section("Execution", ran, None);
    let _ = writeln!(feedback, "=== Submission ===\n{}", line(&error));
    Conclusion {
        feedback,
        result: json!({
            "status": "FAILED",
            "execution": run::execution(ran, None),
            "submission": {"status": "FAILED", "error_type": error.error_type, "error": error.error},
        }),
        error: Some(error),
        ..Conclusion::default()
    }
}

fn best_line(config: &RelayConfig, step: u32, before: Option<&Best>, grade: &Grade) -> String {
    let spec = &config.evaluation;
    let improved = reward::better(spec, before, step, Some(grade));
    let is_new = improved.is_some();
    let Some(best) = improved.as_ref().or(before) else {
        return String::new();
    };
    let shown = Shown::of(spec, Some(&best.grade.visible));
    let mut text = format!(
        "Best so far: raw score {}",
        text::score(shown.raw.unwrap_or_default())
    );
    if let Some(position) = shown.position {
        let _ = write!(text, ", position score {position:.4}");
    }
    if is_new {
        text.push_str(" (this one)");
    } else {
        let _ = write!(text, " (step {})", best.step);
    }
    text
}
