//! The right answers of a Task, read once and brought into the shape that its metric needs. Every error here is the
//! Task's, and none shows a value.

use std::collections::HashMap;

use super::csv::Table;
use super::draft::{Draft, Form, read_rows};
use super::ids::Ids;
use super::value::{Few, counted, shown};
use crate::api::evaluation::{BuiltinMetric, EvaluationSpec};

/// The right answers.
#[derive(Clone)]
pub(super) struct Answers {
    /// Number of rows.
    pub(super) rows: usize,
    /// Name of the id column and its ids. Unset: rows are compared in order.
    pub(super) ids: Option<(String, Ids)>,
    /// Names of the target columns, in order.
    pub(super) names: Vec<String>,
    /// What a prediction may be, by target column.
    pub(super) kinds: Vec<Kind>,
    /// The targets.
    pub(super) truth: Truth,
}

/// The targets in the shape that a metric needs; vectors by column, then row.
#[derive(Clone)]
pub(super) enum Truth {
    /// Numbers, and codes of labels.
    Numbers(Vec<Vec<f64>>),
    /// Whether the row is of the positive class.
    Flags(Vec<Vec<bool>>),
    /// Which column holds the row's one 1.
    Classes(Vec<u32>),
}

/// What a prediction may be, and thus what a column of predictions is made of.
///
/// Labels of accuracy take after the answers. Where each of them is a number, labels are numbers: `1`, `1.0` and `1e0`
/// are the same label. Where each is true or false, labels are truth values. Otherwise, and where one is 2^53 or more
/// and thus may not be exact in 64 bits, they are texts, equal when each character is.
#[derive(Clone)]
pub(super) enum Kind {
    /// A finite number.
    Number,
    /// A number from 0 to 1.
    Probability,
    /// A label that is a number; true and false stand for 1 and 0.
    NumberLabel,
    /// A label that is true (1) or false (0).
    BooleanLabel,
    /// A label that is a text, with the code of each text that the answers have.
    TextLabel(HashMap<String, u32>),
}

/// The code of a text that the answers do not have.
pub(super) const UNKNOWN_LABEL: f64 = -1.0;

impl Answers {
    /// Reads the answers for the metric of `spec`.
    pub(super) fn read(spec: &EvaluationSpec, bytes: &[u8]) -> Result<Self, String> {
        let metric = spec.metric.builtin;
        let table = Table::open(bytes)?;
        let id_column = spec.submission.id_column.as_deref();
        let id_at = id_place(&table, id_column)?;
        let mut drafts: Vec<Draft> = table
            .header
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != id_at)
            .map(|(at, name)| Draft::new(at, name))
            .collect();
        let names: Vec<String> = drafts.iter().map(|draft| draft.name.clone()).collect();
        if names.is_empty() {
            return Err("there is no column beside the ids".into());
        }
        if matches!(metric, BuiltinMetric::Pearson | BuiltinMetric::Spearman) && names.len() > 1 {
            return Err(format!(
                "{metric:?} compares one column, and there are {}: {}",
                names.len(),
                names.iter().collect::<Few>().list()
            ));
        }
        let labels = matches!(
            metric,
            BuiltinMetric::Accuracy | BuiltinMetric::RocAuc | BuiltinMetric::LogLoss
        );
        let (rows, ids) = read_rows(&table, id_at, &mut drafts, labels)?;
        let ids = match id_column {
            None => None,
            Some(name) => {
                let index = Ids::new(ids).map_err(|row| repeated(row, name))?;
                Some((name.to_owned(), index))
            }
        };
        let kinds = match metric {
            BuiltinMetric::Accuracy => drafts.iter_mut().map(Draft::label_kind).collect(),
            BuiltinMetric::LogLoss => vec![Kind::Probability; names.len()],
            _ => vec![Kind::Number; names.len()],
        };
        Ok(Self {
            rows,
            ids,
            names,
            kinds,
            truth: truth(metric, drafts)?,
        })
    }

    /// A row for a message: its number from 1, and its id.
    pub(super) fn row(&self, row: usize) -> String {
        match &self.ids {
            Some((name, ids)) => format!("row {} ({name} {})", row + 1, shown(&ids.text(row))),
            None => format!("row {}", row + 1),
        }
    }
}

/// Where the id column is, if the Task names one.
fn id_place(table: &Table<'_>, id_column: Option<&str>) -> Result<Option<usize>, String> {
    for (at, name) in table.header.iter().enumerate() {
        if table.header.iter().take(at).any(|other| other == name) {
            return Err(format!("column {} is there twice", shown(name)));
        }
    }
    let Some(id) = id_column else {
        return Ok(None);
    };
    let place = table.header.iter().position(|name| name == id);
    place.map(Some).ok_or_else(|| {
        format!(
            "there is no column {}, which submission.idColumn names; there are {}",
            shown(id),
            table.header.iter().collect::<Few>().list()
        )
    })
}

fn repeated(row: usize, name: &str) -> String {
    format!("row {}, column {}: the id is repeated", row + 1, shown(name))
}

fn truth(metric: BuiltinMetric, drafts: Vec<Draft>) -> Result<Truth, String> {
    match metric {
        BuiltinMetric::Accuracy => Ok(Truth::Numbers(values(drafts))),
        BuiltinMetric::Rmse | BuiltinMetric::Mae | BuiltinMetric::Pearson | BuiltinMetric::Spearman => {
            match drafts.iter().find(|draft| draft.form != Form::Numbers) {
                None => Ok(Truth::Numbers(values(drafts))),
                Some(draft) => Err(format!(
                    "row {}, column {}: {metric:?} needs a finite number",
                    draft.not_number + 1,
                    shown(&draft.name)
                )),
            }
        }
        BuiltinMetric::LogLoss if drafts.len() > 1 => classes(&drafts).map(Truth::Classes),
        BuiltinMetric::RocAuc | BuiltinMetric::LogLoss => {
            let columns: Result<_, String> = drafts
                .iter()
                .map(|draft| {
                    draft.flags().map_err(|classes| {
                        let name = shown(&draft.name);
                        format!("column {name} has {classes}: {metric:?} compares exactly two classes")
                    })
                })
                .collect();
            Ok(Truth::Flags(columns?))
        }
    }
}

fn values(drafts: Vec<Draft>) -> Vec<Vec<f64>> {
    drafts.into_iter().map(|draft| draft.values).collect()
}

/// For each row the column that holds its one 1.
fn classes(drafts: &[Draft]) -> Result<Vec<u32>, String> {
    const FORM: &str =
        "LogLoss over several columns needs a 1 in the column of the row's class and 0 in the others";
    if drafts.iter().any(|draft| draft.form == Form::Texts) {
        return Err(FORM.into());
    }
    let mut classes = vec![u32::MAX; drafts.first().map_or(0, |draft| draft.values.len())];
    for (class, draft) in (0..).zip(drafts) {
        for (row, (value, found)) in draft.values.iter().zip(&mut classes).enumerate() {
            if *value == 1.0 && *found == u32::MAX {
                *found = class;
            } else if *value != 0.0 {
                return Err(format!("row {}: {FORM}", row + 1));
            }
        }
    }
    match classes.iter().position(|class| *class == u32::MAX) {
        Some(row) => Err(format!("row {}: {FORM}", row + 1)),
        None => Ok(classes),
    }
}

impl Truth {
    /// Why `metric` is not defined on these rows of the answers, if it is not. `part` names the rows.
    pub(super) fn undefined(
        &self,
        metric: BuiltinMetric,
        rows: Option<&[u32]>,
        part: &str,
    ) -> Option<String> {
        match (metric, self) {
            (BuiltinMetric::RocAuc, Self::Flags(columns)) => {
                let lone = columns.iter().filter(|column| all_equal(column, rows)).count();
                (lone > 0).then(|| {
                    format!(
                        "{} of {} {part} one class only: RocAuc is not defined there",
                        counted(lone, "target column"),
                        columns.len(),
                    )
                })
            }
            (BuiltinMetric::Pearson | BuiltinMetric::Spearman, Self::Numbers(columns)) => columns
                .iter()
                .any(|column| all_equal(column, rows))
                .then(|| format!("the target {part} one value only: {metric:?} is not defined there")),
            _ => None,
        }
    }
}

fn all_equal<T: PartialEq>(column: &[T], rows: Option<&[u32]>) -> bool {
    match rows {
        None => column.windows(2).all(|pair| pair.first() == pair.last()),
        Some(rows) => {
            let mut values = rows.iter().map(|row| column.get(*row as usize));
            let first = values.next();
            values.all(|value| Some(value) == first)
        }
    }
}
