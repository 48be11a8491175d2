//! The result file: what survives of an episode when everything else is gone. Fixed JSON of at most
//! [`MAX_RESULT_BYTES`]; the relay rewrites it after each step and at the end.

use serde::{Deserialize, Serialize};

use crate::api::conditions::{Medal, Outcome};
use crate::api::status::RewardBasis;

/// Largest result file: the kubelet shares 12 KiB of termination messages among all containers of a pod.
pub const MAX_RESULT_BYTES: usize = 1024;

/// Longest error of a Task or a sandbox, in characters.
const MAX_ERROR: usize = 200;
const CUT: &str = "…";

/// The result so far.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EpisodeResult {
    /// Number that only grows; a result with a smaller one is older.
    pub sequence: u64,
    /// How the episode ended; unset while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The Task is at fault and no result will come: grader or data are broken. At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_error: Option<String>,
    /// The sandbox has not run a single program, and why; a reward of 0 is then no measurement. At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_error: Option<String>,
    /// Steps done.
    pub steps: u32,
    /// Steps allowed.
    pub step_limit: u32,
    /// Raw score of the best valid submission, on what `basis` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Reward; 0 without a valid submission.
    pub reward: f64,
    /// What score and reward are measured on.
    pub basis: RewardBasis,
    /// Whether there was a valid submission.
    pub valid_submission: bool,
    /// Place on each board as `[name, place, total]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<(String, u64, u64)>,
    /// Medal on the deciding board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medal: Option<Medal>,
    /// Whether the score is strictly better than the deciding board's median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_median: Option<bool>,
    /// Wall clock of the episode in seconds.
    pub wall_seconds: f64,
    /// Wall clock of executed code in seconds.
    pub execution_seconds: f64,
    /// CPU time of executed code in seconds.
    pub cpu_seconds: f64,
    /// Greatest resident memory of one process of executed code, in bytes.
    pub peak_memory_bytes: u64,
    /// SHA-256 of the trajectory up to this step, hexadecimal.
    pub trajectory_sha256: String,
    /// Size of the trajectory in bytes.
    pub trajectory_bytes: u64,
    /// Whether an executor has ever connected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executor: bool,
    /// Sandbox layers that were on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
}

impl EpisodeResult {
    /// The JSON, in at most [`MAX_RESULT_BYTES`]. What is too long loses what a reader misses least: first layers from
    /// the end, then the end of the errors, then places from the end. A list or text that lost something ends
    /// in `…`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut fitted = self.clone();
        for error in [&mut fitted.task_error, &mut fitted.sandbox_error]
            .into_iter()
            .flatten()
        {
            if error.chars().count() > MAX_ERROR {
                *error = error.chars().take(MAX_ERROR - 1).collect::<String>() + CUT;
            }
        }
        loop {
            // Strings, numbers and lists of them: there is nothing that JSON cannot hold.
            let bytes = serde_json::to_vec(&fitted).unwrap_or_default();
            if bytes.len() <= MAX_RESULT_BYTES || !fitted.shorten() {
                return bytes;
            }
        }
    }

    /// Whether a relay may have written this. Whoever gets at a pod can write any termination message; one that the status
    /// has no room for would be tried for ever, and a HumanRank outside of 0 to 1 is none.
    pub fn is_plausible(&self) -> bool {
        let numbers = [
            self.reward,
            self.score.unwrap_or_default(),
            self.wall_seconds,
            self.execution_seconds,
            self.cpu_seconds,
        ];
        let rank = matches!(self.basis, RewardBasis::HumanRank | RewardBasis::HumanRankHoldout);
        let hexadecimal = self
            .trajectory_sha256
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit());
        let errors = [&self.task_error, &self.sandbox_error];
        numbers.iter().all(|number| number.is_finite())
            && numbers[2..].iter().all(|seconds| *seconds >= 0.0)
            && (!rank || (0.0..=1.0).contains(&self.reward))
            && (hexadecimal && matches!(self.trajectory_sha256.len(), 0 | 64))
            && self.steps <= self.step_limit
            && self.places.len() <= 4
            && self.places.iter().all(|(name, ..)| name.chars().count() <= 253)
            && self.layers.len() <= 32
            && self.layers.iter().all(|layer| layer.chars().count() <= 64)
            && errors
                .iter()
                .copied()
                .flatten()
                .all(|error| error.chars().count() <= MAX_ERROR)
    }

    /// Leaves one thing out; false when nothing is left that could be.
    fn shorten(&mut self) -> bool {
        if self.layers.last().is_some_and(|last| last == CUT) {
            self.layers.pop();
        }
        if self.layers.pop().is_some() {
            if !self.layers.is_empty() {
                self.layers.push(CUT.into());
            }
            return true;
        }
        for error in [&mut self.sandbox_error, &mut self.task_error]
            .into_iter()
            .flatten()
        {
            let kept: String = error.trim_end_matches(CUT).chars().collect();
            let length = kept.chars().count();
            if length > 0 {
                *error = kept.chars().take(length * 3 / 4).collect::<String>() + CUT;
                return true;
            }
        }
        self.places.pop().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number at its longest, nothing else that could be left out.
    fn longest() -> EpisodeResult {
        EpisodeResult {
            sequence: u64::MAX,
            outcome: Some(Outcome::WallClockExhausted),
            task_error: None,
            sandbox_error: None,
            steps: u32::MAX,
            step_limit: u32::MAX,
            score: Some(-f64::MAX / 3.0),
            reward: -f64::MAX / 3.0,
            basis: RewardBasis::HumanRankHoldout,
            valid_submission: false,
            places: Vec::new(),
            medal: Some(Medal::Bronze),
            above_median: Some(false),
            wall_seconds: f64::MIN_POSITIVE / 3.0,
            execution_seconds: f64::MIN_POSITIVE / 3.0,
            cpu_seconds: f64::MIN_POSITIVE / 3.0,
            peak_memory_bytes: u64::MAX,
            trajectory_sha256: "f".repeat(64),
            trajectory_bytes: u64::MAX,
            executor: true,
            layers: Vec::new(),
        }
    }

    fn fitted(result: &EpisodeResult) -> EpisodeResult {
        let bytes = result.to_bytes();
        assert!(
            bytes.len() <= MAX_RESULT_BYTES,
            "{} bytes: {}",
            bytes.len(),
            String::from_utf8_lossy(&bytes)
        );
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_result_that_fits_loses_nothing() {
        let result = EpisodeResult {
            layers: vec!["landlock-abi-7".into(), "seccomp".into()],
            places: vec![("private".into(), 3, 12)],
            ..longest()
        };
        assert_eq!(fitted(&result), result);
    }

    #[test]
    fn four_boards_of_the_longest_names_fit_and_layers_give_way_first() {
        let places: Vec<_> = ["a", "b", "c", "d"]
            .map(|letter| (letter.repeat(63), 4_600, 4_600))
            .into();
        let result = EpisodeResult {
            places: places.clone(),
            layers: (0..32).map(|n| format!("some-layer-{n}")).collect(),
            ..longest()
        };
        let fitted = fitted(&result);
        assert_eq!(fitted.places, places);
        assert!(fitted.layers.len() < 32);
        assert_eq!(
            EpisodeResult {
                layers: result.layers.clone(),
                ..fitted
            },
            result
        );
    }

    #[test]
    fn a_cut_list_of_layers_says_so() {
        let result = EpisodeResult {
            layers: (0..32).map(|n| format!("some-layer-{n}")).collect(),
            ..longest()
        };
        let layers = fitted(&result).layers;
        let (last, kept) = layers.split_last().unwrap();
        assert_eq!(last, "…");
        assert!(kept.len() > 5, "{kept:?}");
        assert_eq!(kept, &result.layers[..kept.len()]);
    }

    #[test]
    fn an_error_that_json_makes_long_is_cut() {
        for letter in ["\u{1}", "\u{1f600}", "x"] {
            let result = EpisodeResult {
                task_error: Some(letter.repeat(200)),
                layers: vec!["seccomp".into()],
                ..longest()
            };
            let error = fitted(&result).task_error.unwrap();
            assert!(error.starts_with(letter), "{error}");
        }
    }

    #[test]
    fn an_error_over_its_limit_is_cut_even_where_it_fits() {
        let result = EpisodeResult {
            task_error: Some("é".repeat(201)),
            ..longest()
        };
        assert_eq!(fitted(&result).task_error.unwrap(), "é".repeat(199) + "…");
    }

    #[test]
    fn what_no_relay_writes_is_not_plausible() {
        let written = EpisodeResult {
            steps: 3,
            reward: 0.5,
            wall_seconds: 1.0,
            ..longest()
        };
        assert!(written.is_plausible());
        let score = EpisodeResult {
            basis: RewardBasis::Score,
            reward: -1e300,
            ..written.clone()
        };
        assert!(score.is_plausible(), "a raw score may be anything");
        type Forge = fn(&mut EpisodeResult);
        let forgeries: [(&str, Forge); 9] = [
            ("rank", |result| result.reward = 1.5),
            ("negative rank", |result| result.reward = -1e300),
            ("infinite score", |result| result.score = Some(f64::INFINITY)),
            ("time", |result| result.cpu_seconds = -1.0),
            ("digest", |result| result.trajectory_sha256 = "z".repeat(64)),
            ("long digest", |result| result.trajectory_sha256 = "a".repeat(200)),
            ("places", |result| {
                result.places = vec![("a".into(), 1, 1); 5];
            }),
            ("layers", |result| result.layers = vec!["a".into(); 33]),
            ("steps", |result| result.step_limit = 2),
        ];
        for (name, forge) in forgeries {
            let mut forged = written.clone();
            forge(&mut forged);
            assert!(!forged.is_plausible(), "{name}");
        }
    }

    #[test]
    fn places_go_last() {
        let result = EpisodeResult {
            places: (0..4)
                .map(|n| (format!("{n}").repeat(63), u64::MAX, u64::MAX))
                .collect(),
            task_error: Some("x".repeat(200)),
            ..longest()
        };
        let fitted = fitted(&result);
        assert!(fitted.executor);
        assert_eq!(fitted.places, result.places);
        assert!(fitted.task_error.unwrap().ends_with("x…"));
    }
}
