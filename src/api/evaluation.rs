//! How a submission becomes a score, a place and a reward.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::RELATIVE_FILE_PATTERN;

/// How a Task grades a submission.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.leaderboards) && size(self.leaderboards) > 0) || self.reward == 'Score'").message("a Task without leaderboards must say reward: Score").field_path(".reward"),
    validation = Rule::new("(has(self.leaderboards) && size(self.leaderboards) > 0) || self.stepReward != 'HumanRank'").message("a Task without leaderboards must say stepReward: Score or stepReward: Improvement").field_path(".stepReward"),
)]
pub struct EvaluationSpec {
    /// The metric that turns a submission into a raw score.
    pub metric: MetricSpec,
    /// Whether a greater (`Maximize`) or a smaller (`Minimize`) raw score is better. Unset: the natural direction of the
    /// built-in metric.
    #[schemars(with = "Direction")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// What a submission looks like. Unset: `submission.csv`, rows compared in order.
    #[serde(default)]
    pub submission: SubmissionSpec,
    /// File with the right answers, relative to the private data. CSV with the columns that a submission has. Default
    /// `answers.csv`.
    #[schemars(length(min = 1, max = 253), regex(pattern = RELATIVE_FILE_PATTERN))]
    #[serde(default = "default_answers")]
    pub answers: String,
    /// Human leaderboards that a score is placed on, each name once. HumanRank is the mean over them.
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaderboards: Vec<LeaderboardSpec>,
    /// What the agent is told about a graded submission. `Full` (default): raw score, places, reward and the best so far;
    /// `Score`: raw score and reward, no places; `Validity`: only whether it is valid, and why not.
    #[serde(default)]
    pub feedback: Feedback,
    /// A part of the rows that is never reported during the episode: the best submission is chosen on the visible
    /// rows, score and reward of the episode are measured on the hidden ones. Unset: all rows are visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<HoldoutSpec>,
    /// What the reward of an episode is. `HumanRank` (default): the share of human entries that the best submission
    /// beats or equals; `Score`: its raw score.
    #[serde(default)]
    pub reward: EpisodeReward,
    /// What the reward of a single step is. `HumanRank` (default): that of the step's submission; `Improvement`: how much
    /// the step raised the best reward so far; `Score`: the raw score of the step's submission.
    #[serde(default)]
    pub step_reward: StepReward,
}

impl EvaluationSpec {
    /// The direction in which raw scores improve: the Task's word, else the metric's nature.
    pub fn improves(&self) -> Direction {
        self.direction
            .unwrap_or_else(|| self.metric.builtin.natural_direction())
    }
}

fn default_answers() -> String {
    "answers.csv".into()
}

/// The metric of a Task.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricSpec {
    /// A metric that is built in, as scikit-learn (SciPy for the correlations) defines it. Greater is better for `Accuracy`,
    /// `RocAuc`, `Pearson` and `Spearman`; smaller for `LogLoss`, `Rmse` and `Mae`.
    pub builtin: BuiltinMetric,
}

/// Metrics that are built in; each follows scikit-learn's (SciPy's for the correlations) function of that name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum BuiltinMetric {
    /// Share of rows whose label is equal, as text or as number. Greater is better.
    Accuracy,
    /// Area under the ROC curve, ties counted half. Greater is better.
    RocAuc,
    /// Mean negative log-likelihood, natural logarithm. Smaller is better.
    LogLoss,
    /// Root of the mean squared error. Smaller is better.
    Rmse,
    /// Mean absolute error. Smaller is better.
    Mae,
    /// Pearson correlation. Greater is better.
    Pearson,
    /// Spearman rank correlation, ties by mean rank. Greater is better.
    Spearman,
}

impl BuiltinMetric {
    /// The direction in which this metric improves.
    pub fn natural_direction(self) -> Direction {
        match self {
            Self::Accuracy | Self::RocAuc | Self::Pearson | Self::Spearman => Direction::Maximize,
            Self::LogLoss | Self::Rmse | Self::Mae => Direction::Minimize,
        }
    }
}

/// Whether a greater or a smaller raw score is better.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Direction {
    /// Greater is better.
    Maximize,
    /// Smaller is better.
    Minimize,
}

impl Direction {
    /// Whether `a` is strictly better than `b`. NaN is never better.
    pub fn better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Maximize => a > b,
            Self::Minimize => a < b,
        }
    }
}

/// What a submission looks like: a CSV file in the workspace.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionSpec {
    /// Name of the file in the workspace, without a directory. Default `submission.csv`.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    #[serde(default = "default_submission_file")]
    pub file: String,
    /// Column by which rows are aligned with the answers. Unset: rows are compared in order.
    #[schemars(length(min = 1, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// Largest accepted size in bytes. Default 104857600 (100 MiB).
    #[schemars(range(min = 1, max = 1_073_741_824))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<i64>,
}

impl SubmissionSpec {
    /// Largest accepted size in bytes, with the default.
    pub fn size_limit(&self) -> u64 {
        self.max_bytes
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(Self::DEFAULT_MAX_BYTES)
    }

    /// Largest accepted size in bytes when the Task does not say: 100 MiB.
    pub const DEFAULT_MAX_BYTES: u64 = 100 * 1024 * 1024;
}

impl Default for SubmissionSpec {
    fn default() -> Self {
        Self {
            file: default_submission_file(),
            id_column: None,
            max_bytes: None,
        }
    }
}

fn default_submission_file() -> String {
    "submission.csv".into()
}

/// A leaderboard of human scores.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderboardSpec {
    /// Name that places are reported under, by custom `private` or `public`. The board named `private`, else the
    /// first one, decides medal and median.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// CSV file, relative to the private data, with a column `score` (the second column when none has that name).
    #[schemars(length(min = 1, max = 253), regex(pattern = RELATIVE_FILE_PATTERN))]
    pub file: String,
}

/// What the agent is told about a graded submission.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Feedback {
    /// Raw score, place on every leaderboard, reward and the best so far.
    #[default]
    Full,
    /// Raw score and reward, no places.
    Score,
    /// Only whether the submission is valid, and why not. The step's reward is 0.
    Validity,
}

/// Rows whose score is kept back until the end.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldoutSpec {
    /// Share of the rows that is hidden, in percent (1 to 99).
    #[schemars(range(min = 1, max = 99))]
    pub percent: i32,
    /// Seed of the choice. It belongs to the Task, so that all its episodes hide the same rows. Default 0.
    #[serde(default)]
    pub seed: i64,
}

/// What the reward of an episode is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum EpisodeReward {
    /// Mean over the boards of (N - p + 1) / N, where p is 1 + the number of entries strictly better.
    #[default]
    HumanRank,
    /// The raw score of the best submission.
    Score,
}

/// What the reward of a single step is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum StepReward {
    /// HumanRank of the step's submission; 0 for every other action and every failure.
    #[default]
    HumanRank,
    /// How much the step's submission improved the best HumanRank so far, which starts at 0; never negative. Rewards add
    /// up to the best HumanRank. Without leaderboards it is the gain in raw score over the best before, in the metric's
    /// direction; the first valid submission has nothing to be compared with and gets 0.
    Improvement,
    /// The raw score of the step's submission as it is, its sign not turned for metrics where smaller is better.
    Score,
}
