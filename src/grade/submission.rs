//! A submission, checked and brought into the rows and columns of the answers. Every message is for the agent: what is
//! wrong, where, and what would be right; it quotes the submission and the ids of the test set, never an answer.

use std::collections::HashMap;

use super::answers::{Answers, Labels, Truth};
use super::csv::{Field, Rows, Table};
use super::metric::Predictions;
use super::value::{Few, NotNumber, boolean, counted, number, shown};

/// Reads a submission; fails with everything that is wrong with it.
pub(super) fn read(answers: &Answers, bytes: &[u8]) -> Result<Predictions, String> {
    let table = Table::open(bytes)?;
    let places = Places::find(answers, &table)?;
    let mut sink = Sink::new(answers);
    let mut faults = Faults::new(answers);
    let mut seen = vec![false; if answers.ids.is_some() { answers.rows } else { 0 }];
    let mut cells = vec![Field::default(); table.header.len()];
    let mut rows = table.rows();
    let (mut count, mut guess) = (0, 0);
    while rows.next(&mut cells)? {
        count += 1;
        let row = match (&answers.ids, places.id) {
            (Some((_, ids)), Some(at)) => {
                let id = cells.get(at).copied().unwrap_or_default().text();
                let Some(row) = ids.find(&id, guess) else {
                    faults.unknown(&id);
                    continue;
                };
                match seen.get_mut(row) {
                    Some(seen) if !*seen => *seen = true,
                    _ => {
                        faults.repeated.push(&id);
                        continue;
                    }
                }
                guess = row + 1;
                row
            }
            _ if count > answers.rows => continue,
            _ => count - 1,
        };
        for (column, at) in places.targets.iter().enumerate() {
            let cell = cells.get(*at).copied().unwrap_or_default();
            if let Err(fault) = sink.put(column, row, &cell.text()) {
                faults.cell(column, row, fault, cell, &rows);
            }
        }
    }
    faults.rows(count, &seen);
    faults.verdict()?;
    refuse_empty_sums(answers, &sink.predictions)?;
    Ok(sink.predictions)
}

/// Where the columns of the answers are in the submission.
struct Places {
    id: Option<usize>,
    targets: Vec<usize>,
}

impl Places {
    fn find(answers: &Answers, table: &Table<'_>) -> Result<Self, String> {
        let mut found: HashMap<&str, usize> = HashMap::new();
        let mut repeated = Few::default();
        for (at, name) in table.header.iter().enumerate() {
            if found.insert(name, at).is_some() {
                repeated.push(name);
            }
        }
        let id = answers.ids.as_ref().map(|(name, _)| name);
        let needed = || id.into_iter().chain(&answers.names);
        let places: HashMap<&str, usize> = needed()
            .filter_map(|name| found.remove_entry(name.as_str()))
            .collect();
        let missing: Few = needed()
            .filter(|name| !places.contains_key(name.as_str()))
            .collect();
        let mut extra: Vec<(&str, usize)> = found.into_iter().collect();
        extra.sort_unstable_by_key(|(_, at)| *at);
        let index = extra.iter().any(|(name, at)| *at == 0 && name.is_empty());
        let extra: Few = extra.into_iter().map(|(name, _)| name).collect();

        let mut wrong = Vec::new();
        if missing.count > 0 {
            wrong.push(format!(
                "{} missing: {}",
                counted(missing.count, "column"),
                missing.list()
            ));
        }
        if extra.count > 0 {
            wrong.push(format!(
                "{} too many: {}",
                counted(extra.count, "column"),
                extra.list()
            ));
        }
        if repeated.count > 0 {
            wrong.push(format!("the header repeats {}", repeated.list()));
        }
        if wrong.is_empty() {
            return Ok(Self {
                id: id.and_then(|name| places.get(name.as_str()).copied()),
                targets: answers
                    .names
                    .iter()
                    .filter_map(|name| places.get(name.as_str()).copied())
                    .collect(),
            });
        }
        let needed: Few = needed().collect();
        wrong.push(format!(
            "the header must have exactly {}, in any order",
            needed.list()
        ));
        if index {
            wrong.push("the column without a name looks like a row index: write the file without it (pandas: index=False)".into());
        }
        if table.header.len() == 1 && table.header.iter().any(|name| name.contains([';', '\t'])) {
            wrong.push("columns must be separated by commas".into());
        }
        Err(wrong.join("; "))
    }
}

/// What is wrong with one cell.
#[derive(Clone, Copy)]
enum Fault {
    NotNumber(NotNumber),
    NotProbability,
    NotBoolean,
}

/// Takes cells in and makes the predictions of them.
struct Sink<'a> {
    truth: &'a Truth,
    probabilities: bool,
    predictions: Predictions,
}

impl<'a> Sink<'a> {
    fn new(answers: &'a Answers) -> Self {
        let numbers = || Predictions::Numbers(vec![vec![0.0; answers.rows]; answers.names.len()]);
        Self {
            truth: &answers.truth,
            probabilities: answers.probabilities,
            predictions: match &answers.truth {
                Truth::Labels(_) => Predictions::Right(vec![true; answers.rows]),
                _ => numbers(),
            },
        }
    }

    #[inline]
    fn put(&mut self, column: usize, row: usize, text: &str) -> Result<(), Fault> {
        match &mut self.predictions {
            Predictions::Numbers(columns) => {
                let value = number(text).map_err(Fault::NotNumber)?;
                if self.probabilities && !(0.0..=1.0).contains(&value) {
                    return Err(Fault::NotProbability);
                }
                if let Some(cell) = columns.get_mut(column).and_then(|values| values.get_mut(row)) {
                    *cell = value;
                }
            }
            Predictions::Right(right) => {
                if let (Truth::Labels(columns), Some(right)) = (self.truth, right.get_mut(row)) {
                    *right &= match columns.get(column) {
                        Some(labels) => same(labels, row, text)?,
                        None => false,
                    };
                }
            }
        }
        Ok(())
    }
}

/// Whether a label is the answer of `row`.
fn same(labels: &Labels, row: usize, text: &str) -> Result<bool, Fault> {
    match labels {
        Labels::Numbers(values) => {
            let value = match (number(text), boolean(text)) {
                (Ok(value), _) => value,
                (Err(_), Some(value)) => f64::from(value),
                (Err(why), None) => return Err(Fault::NotNumber(why)),
            };
            Ok(values.get(row) == Some(&value))
        }
        Labels::Booleans(values) => {
            let value = match (boolean(text), number(text)) {
                (Some(value), _) => value,
                (None, Ok(0.0)) => false,
                (None, Ok(1.0)) => true,
                (None, Err(NotNumber::Blank)) => return Err(Fault::NotNumber(NotNumber::Blank)),
                _ => return Err(Fault::NotBoolean),
            };
            Ok(values.get(row) == Some(&value))
        }
        Labels::Texts(texts) => {
            if text.trim().is_empty() {
                return Err(Fault::NotNumber(NotNumber::Blank));
            }
            Ok(texts.get(row) == text)
        }
    }
}

/// Everything that is wrong with the rows.
struct Faults<'a> {
    answers: &'a Answers,
    unknown: Few,
    /// What the first unknown id was meant to be: as it is written, and as it must be.
    meant: Option<(String, String)>,
    repeated: Few,
    /// By target column: the first fault, and how many there are.
    cells: Vec<Option<(String, usize)>>,
    other: Vec<String>,
}

impl<'a> Faults<'a> {
    fn new(answers: &'a Answers) -> Self {
        Self {
            answers,
            unknown: Few::default(),
            meant: None,
            repeated: Few::default(),
            cells: vec![None; answers.names.len()],
            other: Vec::new(),
        }
    }

    #[cold]
    fn unknown(&mut self, id: &str) {
        if self.unknown.count == 0 {
            let meant = self.answers.ids.as_ref().and_then(|(_, ids)| ids.meant(id));
            self.meant = meant.map(|meant| (shown(id), shown(meant)));
        }
        self.unknown.push(id);
    }

    #[cold]
    fn cell(&mut self, column: usize, row: usize, fault: Fault, cell: Field<'_>, rows: &Rows<'_>) {
        let Some(found) = self.cells.get_mut(column) else {
            return;
        };
        if let Some((_, count)) = found {
            *count += 1;
            return;
        }
        let what = match fault {
            Fault::NotNumber(NotNumber::Blank) => "is blank: every row needs a value".to_owned(),
            Fault::NotNumber(NotNumber::Nan) => {
                format!("has {}: every row needs a finite number", shown(&cell.text()))
            }
            Fault::NotNumber(NotNumber::Infinite) => {
                format!("has {}, which is not finite", shown(&cell.text()))
            }
            Fault::NotNumber(NotNumber::Text) => {
                format!("has {}, which is not a number", shown(&cell.text()))
            }
            Fault::NotProbability => format!(
                "has {}, which is not a probability from 0 to 1",
                shown(&cell.text())
            ),
            Fault::NotBoolean => format!("has {}, which is neither true nor false", shown(&cell.text())),
        };
        let name = self.answers.names.get(column).map_or("", |name| name);
        *found = Some((
            format!(
                "column {}: line {}, {}, {what}",
                shown(name),
                rows.line(),
                self.answers.row(row)
            ),
            1,
        ));
    }

    /// Checks that every row of the answers is there.
    fn rows(&mut self, count: usize, seen: &[bool]) {
        let Some((name, ids)) = &self.answers.ids else {
            if count != self.answers.rows {
                self.other.push(format!(
                    "the file has {} where {} are needed, in the order of the test set",
                    counted(count, "row"),
                    self.answers.rows
                ));
            }
            return;
        };
        let missing: Few = seen
            .iter()
            .enumerate()
            .filter(|(_, seen)| !**seen)
            .map(|(row, _)| ids.get(row))
            .collect();
        for (found, what) in [
            (&self.unknown, "not in the test set"),
            (&self.repeated, "repeated"),
            (&missing, "missing"),
        ] {
            if found.count > 0 {
                self.other.push(format!(
                    "column {}: {} {what}: {}",
                    shown(name),
                    counted(found.count, "id"),
                    found.list()
                ));
            }
        }
        if let Some((written, meant)) = &self.meant {
            self.other.push(format!(
                "ids are compared as text: {written} must be written {meant}"
            ));
        }
        if missing.count > 0 {
            self.other.push(format!(
                "each of the {} of the test set must be there once",
                counted(self.answers.rows, "id")
            ));
        }
    }

    /// All faults in one message.
    fn verdict(self) -> Result<(), String> {
        let columns = self.cells.iter().flatten().count();
        let cells = self
            .cells
            .into_iter()
            .flatten()
            .map(|(first, count)| match count {
                1 => first,
                _ => format!("{first}; {} more like it", counted(count - 1, "cell")),
            });
        let mut wrong: Vec<String> = cells.take(SHOWN_COLUMNS).collect();
        if columns > SHOWN_COLUMNS {
            wrong.push(format!(
                "{} more like these",
                counted(columns - SHOWN_COLUMNS, "column")
            ));
        }
        wrong.extend(self.other);
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("; "))
        }
    }
}

/// Columns whose first fault a message shows.
const SHOWN_COLUMNS: usize = 3;

/// Probabilities of classes are divided by their sum, so that must not be 0.
fn refuse_empty_sums(answers: &Answers, predictions: &Predictions) -> Result<(), String> {
    let (Truth::Classes(_), Predictions::Numbers(columns)) = (&answers.truth, predictions) else {
        return Ok(());
    };
    let empty = |row: &usize| {
        columns
            .iter()
            .all(|column| column.get(*row).is_none_or(|value| *value == 0.0))
    };
    match (0..answers.rows).find(empty) {
        Some(row) => Err(format!(
            "{}: all probabilities are 0: one class at least must be possible",
            answers.row(row)
        )),
        None => Ok(()),
    }
}
