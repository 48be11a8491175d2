//! The result of the episode so far.

use super::budget::seconds;
use super::ledger::Ledger;
use super::{reward::Best, text};
use crate::api::conditions::Outcome;
use crate::api::evaluation::EpisodeReward;
use crate::api::standing::Standing;
use crate::api::status::RewardBasis;
use crate::wire::agent::Budget;
use crate::wire::config::RelayConfig;
use crate::wire::result::EpisodeResult;

/// Longest error of a Task or a sandbox, in characters.
const MAX_ERROR: usize = 200;

/// The result when `truncated_by` is spent and the wall clock stands at `elapsed_ms`.
pub(super) fn so_far(
    config: &RelayConfig,
    ledger: &Ledger,
    truncated_by: Option<Budget>,
    elapsed_ms: u64,
) -> EpisodeResult {
    let best = ledger.best.as_ref();
    let counted = best.map(counted);
    let on_hidden = match best {
        Some(best) => best.grade.hidden.is_some(),
        None => config.evaluation.holdout.is_some(),
    };
    let reward = match (counted, config.episode_reward()) {
        (None, _) => 0.0,
        (Some(standing), EpisodeReward::HumanRank) => standing.human_rank.unwrap_or(0.0),
        (Some(standing), EpisodeReward::Score) => standing.score,
    };
    let basis = match (config.episode_reward(), on_hidden) {
        (EpisodeReward::HumanRank, false) => RewardBasis::HumanRank,
        (EpisodeReward::HumanRank, true) => RewardBasis::HumanRankHoldout,
        (EpisodeReward::Score, false) => RewardBasis::Score,
        (EpisodeReward::Score, true) => RewardBasis::ScoreHoldout,
    };
    // A wall clock that runs out between two steps is news too, and after a restart it may be taken back: then the next
    // step has a greater number all the same.
    let between_steps = truncated_by.is_some() && ledger.truncated_by.is_none();
    EpisodeResult {
        sequence: 2 * u64::from(ledger.steps) + u64::from(between_steps),
        outcome: truncated_by.map(|budget| match budget {
            Budget::Steps => Outcome::StepsExhausted,
            Budget::WallClock => Outcome::WallClockExhausted,
        }),
        // With a valid submission there is a result, whatever became of another one.
        task_error: ledger
            .task_error
            .as_ref()
            .filter(|_| best.is_none())
            .map(|error| short(error)),
        sandbox_error: ledger.sandbox_error.as_deref().map(short),
        steps: ledger.steps,
        step_limit: config.limits.steps,
        score: counted.map(|standing| standing.score),
        reward,
        basis,
        valid_submission: best.is_some(),
        places: counted.map_or_else(Vec::new, |standing| {
            standing
                .places
                .iter()
                .map(|place| (place.board.clone(), place.place, place.total))
                .collect()
        }),
        medal: counted.and_then(|standing| standing.medal),
        above_median: counted.and_then(|standing| standing.above_median),
        wall_seconds: seconds(elapsed_ms),
        execution_seconds: ledger.usage.wall_seconds,
        cpu_seconds: ledger.usage.cpu_seconds,
        peak_memory_bytes: ledger.usage.peak_memory_bytes,
        trajectory_sha256: String::new(),
        trajectory_bytes: 0,
        executor: false,
        layers: Vec::new(),
    }
}

fn short(error: &str) -> String {
    text::one_line(error).chars().take(MAX_ERROR).collect()
}

/// The standing that counts for the episode: on the hidden rows where there are some.
fn counted(best: &Best) -> &Standing {
    best.grade.hidden.as_ref().unwrap_or(&best.grade.visible)
}
