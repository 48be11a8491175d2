//! What a grader says of a submission; the words that grading, journal and status share.

use serde::{Deserialize, Serialize};

use super::conditions::Medal;

/// The grade of one valid submission.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Grade {
    /// Measured on the visible rows (all rows without a hold-out). Shown to the agent.
    pub visible: Standing,
    /// Measured on the hidden rows. Never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Standing>,
}

/// A score and where it stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Standing {
    /// Raw score; finite.
    pub score: f64,
    /// Place on each board.
    pub places: Vec<Place>,
    /// Mean over the boards of (N - p + 1) / N. Unset without boards.
    pub human_rank: Option<f64>,
    /// Medal on the deciding board. Unset without boards.
    pub medal: Option<Medal>,
    /// Whether the score is strictly better than the deciding board's median. Unset without boards.
    pub above_median: Option<bool>,
}

/// Place on one board.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Place {
    /// Name of the board.
    pub board: String,
    /// Place from 1; `total + 1` when worse than every entry.
    pub place: u64,
    /// Number of entries.
    pub total: u64,
}
