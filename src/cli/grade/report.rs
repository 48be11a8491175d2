//! What `dojo grade` prints.

use serde::Serialize;

use crate::api::conditions::Medal;
use crate::api::evaluation::{BuiltinMetric, Direction, EvaluationSpec};
use crate::api::standing::{Grade, Place, Standing};

/// One report; its JSON form is this structure, unset fields as null.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    task: String,
    metric: BuiltinMetric,
    direction: Direction,
    valid: bool,
    /// Why the submission is not valid.
    reason: Option<String>,
    /// On all rows; on the visible ones with a hold-out.
    #[serde(flatten)]
    measured: Measured,
    /// On the hidden rows.
    hidden: Option<Measured>,
    /// A score was given, and no submission.
    #[serde(skip)]
    given: bool,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    score: Option<f64>,
    places: Vec<Place>,
    human_rank: Option<f64>,
    medal: Option<Medal>,
    above_median: Option<bool>,
}

impl From<Standing> for Measured {
    fn from(standing: Standing) -> Self {
        Self {
            score: Some(standing.score),
            places: standing.places,
            human_rank: standing.human_rank,
            medal: standing.medal,
            above_median: standing.above_median,
        }
    }
}

impl Report {
    /// A valid submission.
    pub(super) fn of_submission(task: &str, spec: &EvaluationSpec, grade: Grade) -> Self {
        Self {
            measured: grade.visible.into(),
            hidden: grade.hidden.map(Measured::from),
            ..Self::empty(task, spec)
        }
    }

    /// A submission that is not valid.
    pub(super) fn of_refusal(task: &str, spec: &EvaluationSpec, reason: String) -> Self {
        Self {
            valid: false,
            reason: Some(reason),
            ..Self::empty(task, spec)
        }
    }

    /// A score without a submission.
    pub(super) fn of_score(task: &str, spec: &EvaluationSpec, standing: Standing) -> Self {
        Self {
            measured: standing.into(),
            given: true,
            ..Self::empty(task, spec)
        }
    }

    fn empty(task: &str, spec: &EvaluationSpec) -> Self {
        let metric = spec.metric.builtin;
        Self {
            task: task.to_owned(),
            metric,
            direction: spec.improves(),
            valid: true,
            reason: None,
            measured: Measured::default(),
            hidden: None,
            given: false,
        }
    }

    /// Whether there is a score.
    pub(super) fn valid(&self) -> bool {
        self.valid
    }

    /// One JSON object and a newline.
    pub(super) fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Lines of a name and a value, two values with a hold-out, lined up.
    pub(super) fn table(&self) -> String {
        let better = match self.direction {
            Direction::Maximize => "greater",
            Direction::Minimize => "smaller",
        };
        let mut lines = vec![
            vec!["task".to_owned(), self.task.clone()],
            vec![
                "metric".to_owned(),
                format!("{:?}, {better} is better", self.metric),
            ],
        ];
        if let Some(reason) = &self.reason {
            lines.push(vec!["submission".to_owned(), "invalid".to_owned()]);
            return format!("{}\n{reason}\n", lined_up(&lines));
        }
        if !self.given {
            lines.push(vec!["submission".to_owned(), "valid".to_owned()]);
        }
        let head = lined_up(&lines);
        let mut lines = Vec::new();
        if self.hidden.is_some() {
            lines.push(vec![
                String::new(),
                "visible rows".to_owned(),
                "hidden rows".to_owned(),
            ]);
        }
        let measured: Vec<_> = std::iter::once(&self.measured).chain(&self.hidden).collect();
        let mut line = |name: String, value: &dyn Fn(&Measured) -> Option<String>| {
            let values: Option<Vec<String>> = measured.iter().map(|measured| value(measured)).collect();
            lines.extend(values.map(|values| [vec![name], values].concat()));
        };
        line("score".to_owned(), &|measured| measured.score.map(plain));
        for (at, place) in self.measured.places.iter().enumerate() {
            line(format!("place on {}", place.board), &|measured| {
                let place = measured.places.get(at)?;
                Some(format!("{} of {}", place.place, place.total))
            });
        }
        line("HumanRank".to_owned(), &|measured| {
            measured.human_rank.map(|rank| format!("{rank:.6}"))
        });
        line("medal".to_owned(), &|measured| {
            measured.medal.map(|medal| format!("{medal:?}"))
        });
        line("above median".to_owned(), &|measured| {
            measured
                .above_median
                .map(|above| if above { "yes" } else { "no" }.to_owned())
        });
        format!("{head}\n{}", lined_up(&lines))
    }
}

/// A number with all its digits, and not with hundreds of zeros.
fn plain(score: f64) -> String {
    match score.abs() {
        size if size != 0.0 && !(1e-5..1e15).contains(&size) => format!("{score:e}"),
        _ => score.to_string(),
    }
}

/// Cells in columns, two spaces apart.
fn lined_up(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (column, cell) in line.iter().enumerate() {
            row.push_str(&format!("{cell:<width$}  ", width = width(column)));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
