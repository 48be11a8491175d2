//! The right answers of a Task, read once and brought into the shape that its metric needs. Every error here is the
//! Task's, and none shows a value.

use std::collections::HashMap;

use super::csv::{Rows, Table};
use super::ids::{Ids, Reader};
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

/// A target column while it is read.
struct Draft {
    at: usize,
    name: String,
    form: Form,
    /// Numbers, truth values as 1 and 0, or codes of texts.
    values: Vec<f64>,
    /// Texts in the order in which they came: the index is the code.
    texts: Vec<String>,
    /// First row that is not a number.
    not_number: usize,
}

/// What all cells of a column so far are.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Numbers,
    Booleans,
    Texts,
}

/// Whole numbers below this are exact in 64 bits.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Draft {
    fn new(at: usize, name: &str) -> Self {
        Self {
            at,
            name: name.to_owned(),
            form: Form::Numbers,
            values: Vec::new(),
            texts: Vec::new(),
            not_number: 0,
        }
    }

    /// Reads the cell of `row`; false where it is blank. A text ends the hope for numbers: the values are given up, and
    /// [`Draft::read_text`] reads them anew.
    #[inline]
    fn read(&mut self, row: usize, rows: &mut Rows<'_>, label: bool) -> Result<bool, String> {
        if self.form == Form::Numbers
            && let Some(value) = rows.plain_number()
        {
            if label && value.abs() >= EXACT {
                self.give_up_values(row);
            } else {
                self.values.push(value);
            }
            return Ok(true);
        }
        self.read_unusual(row, rows, label)
    }

    fn give_up_values(&mut self, row: usize) {
        self.not_number = if self.form == Form::Numbers { row } else { 0 };
        self.form = Form::Texts;
        self.values = Vec::new();
    }

    fn read_unusual(&mut self, row: usize, rows: &mut Rows<'_>, label: bool) -> Result<bool, String> {
        let field = rows.field()?;
        let text = field.text();
        match (self.form, number(&text), boolean(&text)) {
            (Form::Numbers, Ok(value), _) if !label || value.abs() < EXACT => self.values.push(value),
            (Form::Numbers, _, Some(value)) if row == 0 && label => {
                self.form = Form::Booleans;
                self.values.push(f64::from(value));
            }
            (Form::Booleans, _, Some(value)) => self.values.push(f64::from(value)),
            (Form::Texts, ..) => {}
            _ => self.give_up_values(row),
        }
        Ok(!text.trim().is_empty())
    }

    fn label_kind(&mut self) -> Kind {
        match self.form {
            Form::Numbers => Kind::NumberLabel,
            Form::Booleans => Kind::BooleanLabel,
            Form::Texts => Kind::TextLabel(std::mem::take(&mut self.texts).into_iter().zip(0..).collect()),
        }
    }

    /// Whether each row is of the positive class: of the greater number, true, or the text that sorts last by code
    /// point, which is the order of scikit-learn's label binarizer. Fails with the number of classes.
    fn flags(&self) -> Result<Vec<bool>, &'static str> {
        let Some(one) = self.values.first() else {
            return Err("no class");
        };
        let Some(other) = self.values.iter().find(|value| *value != one) else {
            return Err("one class");
        };
        if self.values.iter().any(|value| value != one && value != other) {
            return Err("more than two classes");
        }
        let other_is_greater = match (self.form, self.texts.as_slice()) {
            (Form::Texts, [first, second, ..]) => second > first,
            _ => other > one,
        };
        let positive = if other_is_greater { other } else { one };
        Ok(self.values.iter().map(|value| value == positive).collect())
    }
}

/// Reads ids and targets, and gives the number of rows. Columns of texts are read a second time, so that the common case
/// does not hold what it may never need.
fn read_rows(
    table: &Table<'_>,
    id_at: Option<usize>,
    drafts: &mut [Draft],
    labels: bool,
) -> Result<(usize, Reader), String> {
    let width = table.header.len();
    let mut ids = Reader::new();
    let mut rows = table.rows();
    let mut count = 0;
    while rows.next()? {
        let mut targets = drafts.iter_mut();
        for at in 0..width {
            let there = if Some(at) == id_at {
                ids.read(&mut rows)?
            } else if let Some(draft) = targets.next() {
                draft.read(count, &mut rows, labels)?
            } else {
                true
            };
            if !there {
                let name = table.header.get(at).map_or("", |name| name);
                return Err(format!(
                    "line {}, column {}: the cell is blank",
                    rows.line(),
                    shown(name)
                ));
            }
        }
        count += 1;
    }
    if count == 0 {
        return Err("there is a header and no row".into());
    }
    if u32::try_from(count).is_err() {
        return Err(format!("{count} rows are more than can be graded ({})", u32::MAX));
    }
    if labels && drafts.iter().any(|draft| draft.form == Form::Texts) {
        read_texts(table, drafts)?;
    }
    Ok((count, ids))
}

fn read_texts(table: &Table<'_>, drafts: &mut [Draft]) -> Result<(), String> {
    let mut columns: Vec<(&mut Draft, HashMap<String, u32>)> = drafts
        .iter_mut()
        .filter(|draft| draft.form == Form::Texts)
        .map(|draft| (draft, HashMap::new()))
        .collect();
    let mut rows = table.rows();
    while rows.next()? {
        let mut targets = columns.iter_mut().peekable();
        for at in 0..table.header.len() {
            let field = rows.field()?;
            if let Some((draft, codes)) = targets.next_if(|(draft, _)| draft.at == at) {
                let text = field.text();
                let code = match codes.get(text.as_ref()) {
                    Some(code) => *code,
                    None => {
                        let code = codes.len() as u32;
                        codes.insert(text.clone().into_owned(), code);
                        draft.texts.push(text.into_owned());
                        code
                    }
                };
                draft.values.push(f64::from(code));
            }
        }
    }
    Ok(())
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
