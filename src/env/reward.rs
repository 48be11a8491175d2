//! What a graded submission is worth: the best so far, the reward of a step, and what of it the agent is shown.

use super::effect::GradeFailure;
use crate::api::evaluation::{Direction, EvaluationSpec, Feedback, StepReward};
use crate::api::standing::{Grade, Standing};

/// The best valid submission: the best raw score on the visible rows, the first of equal ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Best {
    /// Step that made it.
    pub step: u32,
    /// Its grade.
    pub grade: Grade,
}

/// The grade of step `step` as the best, when it is better than `best`.
pub(super) fn better(
    spec: &EvaluationSpec,
    best: Option<&Best>,
    step: u32,
    grade: Option<&Grade>,
) -> Option<Best> {
    let grade = grade?;
    let improves = best.is_none_or(|best| {
        spec.improves()
            .better(grade.visible.score, best.grade.visible.score)
    });
    improves.then(|| Best {
        step,
        grade: grade.clone(),
    })
}

/// The reward of a step whose submission got `grade`, when `best` was the best before it.
pub(super) fn of_step(spec: &EvaluationSpec, best: Option<&Best>, grade: &Grade) -> f64 {
    let now = &grade.visible;
    if spec.feedback == Feedback::Validity {
        return 0.0;
    }
    match spec.step_reward {
        StepReward::HumanRank => now.human_rank.unwrap_or(0.0),
        StepReward::Score => now.score,
        StepReward::Improvement => gain(spec, best.map(|best| &best.grade.visible), now).max(0.0),
    }
}

/// How much better `now` is than `before`: in HumanRank, which starts from 0, or without boards in the raw score, which
/// has no start but the first submission.
fn gain(spec: &EvaluationSpec, before: Option<&Standing>, now: &Standing) -> f64 {
    if let Some(rank) = now.human_rank {
        return rank - before.and_then(|before| before.human_rank).unwrap_or(0.0);
    }
    match (before, spec.improves()) {
        (None, _) => 0.0,
        (Some(before), Direction::Maximize) => now.score - before.score,
        (Some(before), Direction::Minimize) => before.score - now.score,
    }
}

/// What of a standing the agent may know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shown {
    /// Raw score.
    pub raw: Option<f64>,
    /// HumanRank.
    pub position: Option<f64>,
}

impl Shown {
    pub(super) fn of(spec: &EvaluationSpec, standing: Option<&Standing>) -> Self {
        match (spec.feedback, standing) {
            (Feedback::Validity, _) | (_, None) => Self::default(),
            (Feedback::Score, Some(standing)) => Self {
                raw: Some(standing.score),
                position: None,
            },
            (Feedback::Full, Some(standing)) => Self {
                raw: Some(standing.score),
                position: standing.human_rank,
            },
        }
    }
}

/// A grade whose numbers can be compared and written as JSON. A grader that gives others is at fault, and with it the
/// Task.
pub(super) fn usable(graded: Result<Grade, GradeFailure>) -> Result<Grade, GradeFailure> {
    let grade = graded?;
    let standings = std::iter::once(&grade.visible).chain(&grade.hidden);
    for standing in standings {
        for value in std::iter::once(standing.score).chain(standing.human_rank) {
            if !value.is_finite() {
                return Err(GradeFailure::Task(format!(
                    "the grader gave {value} where a finite number is needed"
                )));
            }
        }
    }
    Ok(grade)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> EvaluationSpec {
        let mut spec = serde_json::json!({"metric": {"builtin": "Rmse"}});
        let more: serde_json::Value = serde_json::from_str(text).unwrap();
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    fn grade(score: f64, human_rank: Option<f64>) -> Grade {
        Grade {
            visible: Standing {
                score,
                places: Vec::new(),
                human_rank,
                medal: None,
                above_median: None,
            },
            hidden: None,
        }
    }

    /// Rewards of submissions one after the other.
    fn rewards(spec: &EvaluationSpec, grades: &[Grade]) -> Vec<f64> {
        let mut best = None;
        let mut rewards = Vec::new();
        for (step, grade) in (1..).zip(grades) {
            rewards.push(of_step(spec, best.as_ref(), grade));
            best = better(spec, best.as_ref(), step, Some(grade)).or(best);
        }
        rewards
    }

    #[test]
    fn human_rank_pays_each_submission_its_own_place() {
        let grades = [
            grade(3.0, Some(0.5)),
            grade(4.0, Some(0.25)),
            grade(1.0, Some(0.75)),
        ];
        assert_eq!(rewards(&spec("{}"), &grades), [0.5, 0.25, 0.75]);
    }

    #[test]
    fn score_pays_the_raw_score_with_its_sign() {
        let grades = [grade(3.0, Some(0.5)), grade(-4.0, None)];
        assert_eq!(rewards(&spec(r#"{"stepReward":"Score"}"#), &grades), [3.0, -4.0]);
    }

    #[test]
    fn improvement_adds_up_to_the_best_human_rank() {
        let grades = [
            grade(3.0, Some(0.25)),
            grade(4.0, Some(0.125)),
            grade(2.0, Some(0.5)),
            grade(2.0, Some(0.5)),
            grade(1.0, Some(0.75)),
        ];
        let rewards = rewards(&spec(r#"{"stepReward":"Improvement"}"#), &grades);
        assert_eq!(rewards, [0.25, 0.0, 0.25, 0.0, 0.25]);
        assert_eq!(rewards.iter().sum::<f64>(), 0.75);
    }

    #[test]
    fn improvement_without_boards_is_the_gain_in_raw_score_over_the_first_submission() {
        let grades = [
            grade(10.0, None),
            grade(12.0, None),
            grade(7.0, None),
            grade(6.5, None),
        ];
        let minimize = spec(r#"{"stepReward":"Improvement"}"#);
        assert_eq!(rewards(&minimize, &grades), [0.0, 0.0, 3.0, 0.5]);
        let maximize = spec(r#"{"stepReward":"Improvement","direction":"Maximize"}"#);
        assert_eq!(rewards(&maximize, &grades), [0.0, 2.0, 0.0, 0.0]);
    }

    #[test]
    fn validity_feedback_pays_nothing() {
        for mode in ["HumanRank", "Improvement", "Score"] {
            let spec = spec(&format!(r#"{{"feedback":"Validity","stepReward":"{mode}"}}"#));
            assert_eq!(of_step(&spec, None, &grade(3.0, Some(0.5))), 0.0);
        }
    }

    #[test]
    fn the_first_of_equal_submissions_stays_the_best() {
        let spec = spec("{}");
        let first = better(&spec, None, 1, Some(&grade(2.0, None))).unwrap();
        assert_eq!(better(&spec, Some(&first), 2, Some(&grade(2.0, None))), None);
        assert_eq!(better(&spec, Some(&first), 2, Some(&grade(2.5, None))), None);
        assert_eq!(better(&spec, Some(&first), 2, None), None);
        let third = better(&spec, Some(&first), 3, Some(&grade(1.5, None))).unwrap();
        assert_eq!(third.step, 3);
    }

    #[test]
    fn a_grade_that_is_no_finite_number_is_the_tasks_fault() {
        for bad in [
            grade(f64::NAN, None),
            grade(f64::INFINITY, None),
            grade(1.0, Some(f64::NAN)),
            Grade {
                hidden: Some(grade(f64::NAN, None).visible),
                ..grade(1.0, None)
            },
        ] {
            assert!(matches!(usable(Ok(bad)), Err(GradeFailure::Task(_))));
        }
        assert!(usable(Ok(grade(1.0, Some(0.5)))).is_ok());
    }
}
