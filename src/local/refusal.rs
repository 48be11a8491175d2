//! Whether the sandbox of this machine runs anything at all.

use crate::wire::agent::ErrorType;
use crate::wire::journal::JournalLine;

/// Reason of an episode whose sandbox did not run even its first program.
pub const SANDBOX_REFUSED: &str = "SandboxRefused";

/// Why the first program of an episode was not run, if that is the sandbox's doing. Later programs do not count: what
/// ran before them may have spoilt the sandbox, which is the agent's doing.
pub fn of_first_program(trajectory: &str) -> Option<String> {
    let records = trajectory
        .lines()
        .filter_map(|line| match serde_json::from_str(line) {
            Ok(JournalLine::Step(record)) => Some(record),
            _ => None,
        });
    let first = records
        .into_iter()
        .find(|record| matches!(record.action.as_str(), "execute_code" | "validate_code"))?;
    let error = first.reply.observation.error?;
    (error.error_type == ErrorType::SandboxError).then_some(error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(number: u32, action: &str, error: Option<&str>) -> String {
        let error =
            error.map(|kind| json!({"error_type": kind, "error": format!("{kind} of step {number}")}));
        let line = json!({
            "type": "step", "step": number, "at": "2026-01-01T00:00:00Z", "elapsed_ms": 1, "duration_ms": 1,
            "action": action, "params": {}, "body_digest": "",
            "reply": {
                "step": number, "reward": 0.0, "terminated": false, "truncated": false,
                "observation": {
                    "action_status": "FAILED", "current_raw_score": 0.0, "current_position_score": 0.0,
                    "best_raw_score": null, "best_position_score": null, "history_summary": "", "result": null,
                    "feedback": {"base": {"feedback_status": "SUCCESS", "feedback": ""}},
                    "budget": {"steps": 1, "wall_clock_seconds": 1.0, "action_timeout_seconds": 1.0},
                    "error": error,
                },
            },
        });
        line.to_string() + "\n"
    }

    #[test]
    fn only_the_first_program_tells() {
        let look = step(1, "request_info", None);
        let refused = step(2, "execute_code", Some("SandboxError"));
        assert_eq!(
            of_first_program(&format!("{{}}\n{look}{refused}")).as_deref(),
            Some("SandboxError of step 2")
        );
        let ran = step(2, "validate_code", Some("CodeRuntimeError"));
        let spoilt = step(3, "execute_code", Some("SandboxError"));
        assert_eq!(of_first_program(&format!("{look}{ran}{spoilt}")), None);
        assert_eq!(of_first_program(&look), None);
        assert_eq!(of_first_program(&refused[..refused.len() - 9]), None);
        assert_eq!(of_first_program(""), None);
    }
}
