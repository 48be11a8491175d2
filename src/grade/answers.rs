//! The right answers of a Task, read once and brought into the shape that its metric needs. Every error here is the
//! Task's, and none shows a value.

use super::csv::{Field, Table};
use super::ids::{Ids, Texts};
use super::value::{Few, boolean, counted, number, shown};
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
    /// The targets.
    pub(super) truth: Truth,
    /// Whether predictions are probabilities, from 0 to 1.
    pub(super) probabilities: bool,
}

/// The targets in the shape that a metric needs; vectors by column, then row.
#[derive(Clone)]
pub(super) enum Truth {
    /// Numbers, compared with numbers.
    Numbers(Vec<Vec<f64>>),
    /// Whether the row is of the positive class, compared with numbers.
    Flags(Vec<Vec<bool>>),
    /// Which column holds the row's one 1, compared with one number per column.
    Classes(Vec<u32>),
    /// Labels, compared for equality.
    Labels(Vec<Labels>),
}

/// A column of labels.
///
/// Where every answer is a number, labels are numbers: `1`, `1.0` and `1e0` are the same label. Where every answer is
/// true or false, they are truth values. Otherwise, and where a number is beyond 2^53 and thus not exact in 64 bits,
/// they are texts, equal when each character is.
#[derive(Clone)]
pub(super) enum Labels {
    /// Every label is a number.
    Numbers(Vec<f64>),
    /// Every label is `true` or `false`, in any case.
    Booleans(Vec<bool>),
    /// Any text.
    Texts(Texts),
}

/// Numbers up to here are exact as labels.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Answers {
    /// Reads the answers for the metric of `spec`.
    pub(super) fn read(spec: &EvaluationSpec, bytes: &[u8]) -> Result<Self, String> {
        let metric = spec.metric.builtin;
        let table = Table::open(bytes)?;
        let id_column = spec.submission.id_column.as_deref();
        let (id_at, targets) = columns(&table, id_column)?;
        let names: Vec<String> = targets
            .iter()
            .filter_map(|at| table.header.get(*at).map(ToString::to_string))
            .collect();
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
        let (ids, drafts) = read_columns(&table, id_at, &targets, labels)?;
        let rows = drafts.first().map_or(0, |draft| draft.rows);
        if rows == 0 {
            return Err("there is a header and no row".into());
        }
        if u32::try_from(rows).is_err() {
            return Err(format!("{rows} rows are more than can be graded ({})", u32::MAX));
        }
        let ids = match (id_column, ids) {
            (Some(name), Some(texts)) => Some((name.to_owned(), index(name, texts)?)),
            _ => None,
        };
        let truth = truth(metric, &table, drafts)?;
        Ok(Self {
            rows,
            ids,
            names,
            truth,
            probabilities: metric == BuiltinMetric::LogLoss,
        })
    }

    /// A row for a message: its number from 1, and its id.
    pub(super) fn row(&self, row: usize) -> String {
        match &self.ids {
            Some((name, ids)) => format!("row {} ({name} {})", row + 1, shown(ids.get(row))),
            None => format!("row {}", row + 1),
        }
    }
}

/// Where the id column is, and where the target columns are.
fn columns(table: &Table<'_>, id_column: Option<&str>) -> Result<(Option<usize>, Vec<usize>), String> {
    for (at, name) in table.header.iter().enumerate() {
        if table.header.iter().take(at).any(|other| other == name) {
            return Err(format!("column {} is there twice", shown(name)));
        }
    }
    let id_at = match id_column {
        None => None,
        Some(id) => match table.header.iter().position(|name| name == id) {
            Some(at) => Some(at),
            None => {
                return Err(format!(
                    "there is no column {}, which submission.idColumn names; there are {}",
                    shown(id),
                    table.header.iter().collect::<Few>().list()
                ));
            }
        },
    };
    let targets: Vec<usize> = (0..table.header.len()).filter(|at| Some(*at) != id_at).collect();
    if targets.is_empty() {
        return Err("there is no column beside the ids".into());
    }
    Ok((id_at, targets))
}

fn index(name: &str, texts: Texts) -> Result<Ids, String> {
    if let Some(row) = texts.iter().position(|id| id.trim().is_empty()) {
        return Err(format!(
            "row {}, column {}: the id is blank",
            row + 1,
            shown(name)
        ));
    }
    Ids::new(texts).map_err(|row| format!("row {}, column {}: the id is repeated", row + 1, shown(name)))
}

/// A target column while its kind is not known yet: all kinds that are still possible.
struct Draft {
    at: usize,
    rows: usize,
    numbers: Option<Vec<f64>>,
    /// First row that is not a number.
    not_number: Option<usize>,
    booleans: Option<Vec<bool>>,
    texts: Option<Texts>,
}

impl Draft {
    fn new(at: usize, label: bool) -> Self {
        Self {
            at,
            rows: 0,
            numbers: Some(Vec::new()),
            not_number: None,
            booleans: label.then(Vec::new),
            texts: None,
        }
    }

    fn push(&mut self, text: &str, label: bool) {
        if let Some(numbers) = &mut self.numbers {
            match number(text) {
                Ok(value) if !label || value.abs() <= EXACT => numbers.push(value),
                _ => {
                    self.numbers = None;
                    self.not_number = Some(self.rows);
                }
            }
        }
        if let Some(booleans) = &mut self.booleans {
            match boolean(text) {
                Some(value) => booleans.push(value),
                None => self.booleans = None,
            }
        }
        self.rows += 1;
    }
}

/// Reads ids and targets. Columns that turn out to be neither numbers nor truth values are read a second time, so that
/// the common case keeps no texts.
fn read_columns(
    table: &Table<'_>,
    id_at: Option<usize>,
    targets: &[usize],
    labels: bool,
) -> Result<(Option<Texts>, Vec<Draft>), String> {
    let mut ids = id_at.map(|at| (at, Texts::default()));
    let mut drafts: Vec<Draft> = targets.iter().map(|at| Draft::new(*at, labels)).collect();
    let mut cells = vec![Field::default(); table.header.len()];
    let mut rows = table.rows();
    while rows.next(&mut cells)? {
        if let Some((at, texts)) = &mut ids {
            texts.push(&cell(&cells, *at).text());
        }
        for draft in &mut drafts {
            let text = cell(&cells, draft.at).text();
            if text.trim().is_empty() {
                return Err(format!(
                    "line {}, column {}: the cell is blank",
                    rows.line(),
                    shown(table.header.get(draft.at).map_or("", |name| name))
                ));
            }
            draft.push(&text, labels);
        }
    }
    let mut undecided: Vec<&mut Draft> = drafts
        .iter_mut()
        .filter(|draft| labels && draft.numbers.is_none() && draft.booleans.is_none())
        .collect();
    if !undecided.is_empty() {
        let mut rows = table.rows();
        while rows.next(&mut cells)? {
            for draft in &mut undecided {
                let text = cell(&cells, draft.at).text();
                draft.texts.get_or_insert_default().push(&text);
            }
        }
    }
    Ok((ids.map(|(_, texts)| texts), drafts))
}

fn cell<'a>(cells: &[Field<'a>], at: usize) -> Field<'a> {
    cells.get(at).copied().unwrap_or_default()
}

fn truth(metric: BuiltinMetric, table: &Table<'_>, drafts: Vec<Draft>) -> Result<Truth, String> {
    let name = |at: usize| shown(table.header.get(at).map_or("", |name| name));
    match metric {
        BuiltinMetric::Rmse | BuiltinMetric::Mae | BuiltinMetric::Pearson | BuiltinMetric::Spearman => {
            let columns: Result<Vec<_>, String> = drafts
                .into_iter()
                .map(|draft| {
                    draft.numbers.ok_or_else(|| {
                        let row = draft.not_number.unwrap_or_default() + 1;
                        format!(
                            "row {row}, column {}: {metric:?} needs a finite number",
                            name(draft.at)
                        )
                    })
                })
                .collect();
            Ok(Truth::Numbers(columns?))
        }
        BuiltinMetric::LogLoss if drafts.len() > 1 => classes(drafts).map(Truth::Classes),
        BuiltinMetric::RocAuc | BuiltinMetric::LogLoss => {
            let columns: Result<Vec<_>, String> = drafts
                .into_iter()
                .map(|draft| {
                    let column = name(draft.at);
                    flags(labels(draft)).map_err(|classes| {
                        format!("column {column} has {classes}: {metric:?} compares exactly two classes")
                    })
                })
                .collect();
            Ok(Truth::Flags(columns?))
        }
        BuiltinMetric::Accuracy => Ok(Truth::Labels(drafts.into_iter().map(labels).collect())),
    }
}

fn labels(draft: Draft) -> Labels {
    match (draft.numbers, draft.booleans) {
        (Some(numbers), _) => Labels::Numbers(numbers),
        (None, Some(booleans)) => Labels::Booleans(booleans),
        (None, None) => Labels::Texts(draft.texts.unwrap_or_default()),
    }
}

/// Which rows are of the positive class: the greater number, true, or the text that sorts last by code point, which is
/// the order of scikit-learn's label binarizer. Fails with the number of classes.
fn flags(labels: Labels) -> Result<Vec<bool>, String> {
    match labels {
        Labels::Numbers(values) => two(&values, |a, b| a < b),
        Labels::Booleans(values) => two(&values, |a, b| a < b),
        Labels::Texts(texts) => two(&texts.iter().collect::<Vec<_>>(), |a, b| a < b),
    }
}

fn two<T: PartialEq>(values: &[T], less: impl Fn(&T, &T) -> bool) -> Result<Vec<bool>, String> {
    let Some(one) = values.first() else {
        return Err("no class".into());
    };
    let Some(other) = values.iter().find(|value| *value != one) else {
        return Err("one class".into());
    };
    if values.iter().any(|value| value != one && value != other) {
        return Err("more than two classes".into());
    }
    let positive = if less(one, other) { other } else { one };
    Ok(values.iter().map(|value| value == positive).collect())
}

/// For each row the column that holds its one 1.
fn classes(drafts: Vec<Draft>) -> Result<Vec<u32>, String> {
    const FORM: &str =
        "LogLoss over several columns needs a 1 in the column of the row's class and 0 in the others";
    let mut classes = vec![u32::MAX; drafts.first().map_or(0, |draft| draft.rows)];
    for (class, draft) in (0..).zip(drafts) {
        let column: Vec<f64> = match labels(draft) {
            Labels::Numbers(values) => values,
            Labels::Booleans(values) => values.into_iter().map(f64::from).collect(),
            Labels::Texts(_) => return Err(FORM.into()),
        };
        for (row, (value, found)) in column.iter().zip(&mut classes).enumerate() {
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
