//! `dojo agent replay`: does the actions of a file, one after the other.

use std::fs;
use std::path::{Path, PathBuf};

use super::AgentError;
use super::client::{Client, Stepped};
use crate::wire::agent::{ActionStatus, StepReply, StepRequest};
use crate::wire::replay;

/// What is replayed, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// File that tells address and token of the relay.
    pub connection: PathBuf,
    /// YAML list of actions, or the `trajectory.jsonl` of an earlier episode.
    pub actions: PathBuf,
}

/// Replays to the end of the file, or until a budget is spent. Started again, it goes on where it was: each action has
/// the same idempotency key as before.
pub fn run(options: &Options) -> Result<(), AgentError> {
    let actions = read(&options.actions)?;
    super::runtime()?.block_on(async {
        let mut client = Client::new(options.connection.clone());
        for (index, action) in actions.iter().enumerate() {
            match client.step(action, &format!("replay-{}", index + 1)).await? {
                Stepped::Done(reply) => {
                    eprintln!("{}", line(&action.action, &reply));
                    if reply.truncated {
                        break;
                    }
                }
                Stepped::Over(why) => {
                    eprintln!("{why}");
                    break;
                }
            }
        }
        Ok(())
    })
}

/// Reads the file and checks all of it, before anything is done.
fn read(path: &Path) -> Result<Vec<StepRequest>, AgentError> {
    let wrong = |problem: String| AgentError::Input(format!("{}: {problem}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    replay::parse(&text).map_err(|problems| wrong(problems.join("\n  ")))
}

/// One step for people: number, action, status, reward, best so far.
fn line(action: &str, reply: &StepReply) -> String {
    let observation = &reply.observation;
    let status = match observation.action_status {
        ActionStatus::Success => "SUCCESS",
        ActionStatus::Failed => "FAILED",
    };
    let best = observation
        .best_position_score
        .or(observation.best_raw_score)
        .map_or_else(|| "-".to_owned(), |best| format!("{best:.4}"));
    format!(
        "step {} {action} {status} reward {:.4} best {best}",
        reply.step, reply.reward
    )
}
