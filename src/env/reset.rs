//! `reset`: a fresh workspace. Budgets, record and best submission stay as they are.

use serde_json::json;

use super::actions::error;
use super::effect::Loss;
use super::step::Conclusion;
use super::{cause, text};
use crate::wire::agent::ErrorType;

/// After the workspace was emptied, or could not be.
pub(super) fn conclude(done: Result<(), String>) -> Conclusion {
    match done {
        Ok(()) => Conclusion::success(
            "=== Reset ===\n\
             The workspace is empty. Steps and time that were used stay used; history and best score are kept.\n"
                .into(),
            json!({"status": "SUCCESS"}),
        ),
        Err(reason) => Conclusion::failure(error(
            ErrorType::SandboxError,
            format!(
                "the workspace could not be emptied: {}; some of its files may be gone, try again",
                text::clip(&reason, 1024, 0)
            ),
        )),
    }
}

/// After the executor was lost during a reset.
pub(super) fn lost(loss: Loss) -> Conclusion {
    Conclusion::failure(error(
        ErrorType::SandboxError,
        format!(
            "{} while the workspace was being emptied; some of its files may be gone, try again",
            cause::what_happened(loss)
        ),
    ))
}
