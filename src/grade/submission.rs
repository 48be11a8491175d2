//! A submission, checked and brought into the rows and columns of the answers. Every message is for the agent: what is
//! wrong, where, and what would be right; it quotes the submission and the ids of the test set, never an answer.

use std::collections::{HashMap, HashSet};

use super::answers::{Answers, Kind, Truth, UNKNOWN_LABEL};
use super::csv::{Field, Rows, Table};
use super::ids::Keys;
use super::value::{Few, NotNumber, boolean, counted, number, shown};

/// Reads a submission into numbers by target column, then row of the answers; fails with everything that is wrong.
pub(super) fn read(answers: &Answers, bytes: &[u8]) -> Result<Vec<Vec<f64>>, String> {
    let table = Table::open(bytes)?;
    let roles = roles(answers, &table)?;
    let mut columns = vec![Vec::with_capacity(answers.rows); answers.names.len()];
    let mut keys = answers.ids.as_ref().map(|(_, ids)| Keys::new(ids));
    let mut faults = Faults::new(answers);
    let mut rows = table.rows();
    let mut count = 0;
    while rows.next()? {
        for role in &roles {
            match (role, &mut keys) {
                (Role::Target(column), _) => {
                    let (Some(values), Some(kind)) = (columns.get_mut(*column), answers.kinds.get(*column))
                    else {
                        continue;
                    };
                    values.push(match cell(kind, &mut rows)? {
                        Ok(value) => value,
                        Err(fault) => {
                            faults.cell(*column, count, fault, &rows);
                            f64::NAN
                        }
                    });
                }
                (Role::Id, Some(keys)) => {
                    if let Some(field) = keys.read(&mut rows)? {
                        faults.unknown(&field.text());
                    }
                }
                (Role::Id, None) => {}
            }
        }
        count += 1;
    }
    faults.rows(count);
    let places = keys.as_ref().map(Keys::rest).unwrap_or_default();
    if let Some(keys) = &keys {
        faults.places(keys, &places);
    }
    faults.verdict(keys.as_ref())?;
    if !places.is_empty() {
        let in_order = answers.rows - places.len();
        columns = columns
            .iter()
            .map(|values| placed(values, in_order, &places))
            .collect();
    }
    refuse_empty_sums(answers, &columns)?;
    Ok(columns)
}

/// The values in the rows of the answers: the first ones are there already, the others go to their `places`.
fn placed(values: &[f64], in_order: usize, places: &[u32]) -> Vec<f64> {
    let (first, others) = values.split_at(in_order.min(values.len()));
    let mut placed = first.to_vec();
    placed.resize(values.len(), 0.0);
    for (value, place) in others.iter().zip(places) {
        if let Some(slot) = placed.get_mut(*place as usize) {
            *slot = *value;
        }
    }
    placed
}

/// What a column of the submission is.
#[derive(Clone, Copy)]
enum Role {
    Id,
    /// With its place among the targets.
    Target(usize),
}

/// The role of each column of the submission.
fn roles(answers: &Answers, table: &Table<'_>) -> Result<Vec<Role>, String> {
    let id = answers.ids.as_ref().map(|(name, _)| (name.as_str(), Role::Id));
    let targets = answers.names.iter().enumerate();
    let needed: Vec<(&str, Role)> = id
        .into_iter()
        .chain(targets.map(|(at, name)| (name.as_str(), Role::Target(at))))
        .collect();
    let known: HashMap<&str, Role> = needed.iter().copied().collect();
    let mut found = HashSet::new();
    let (mut roles, mut repeated, mut extra) = (Vec::new(), Few::default(), Few::default());
    for name in &table.header {
        match known.get(name.as_ref()) {
            _ if !found.insert(name.as_ref()) => repeated.push(name),
            Some(role) => roles.push(*role),
            None => extra.push(name),
        }
    }
    let missing: Few = needed
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !found.contains(**name))
        .collect();

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
        return Ok(roles);
    }
    let needed: Few = needed.iter().map(|(name, _)| name).collect();
    wrong.push(format!(
        "the header must have exactly {}, in any order",
        needed.list()
    ));
    if table.header.first().is_some_and(|name| name.is_empty()) {
        wrong.push("the column without a name looks like a row index: write the file without it (pandas: index=False)".into());
    }
    if table.header.len() == 1 && table.header.iter().any(|name| name.contains([';', '\t'])) {
        wrong.push("columns must be separated by commas".into());
    }
    Err(wrong.join("; "))
}

/// Why a cell is no prediction.
enum Why {
    NotNumber(NotNumber),
    NotProbability,
    NotBoolean,
}

/// A cell that is no prediction.
struct Fault<'a> {
    why: Why,
    field: Field<'a>,
}

/// Reads one cell. The outer error is that of the file, which ends the reading.
#[inline]
fn cell<'a>(kind: &Kind, rows: &mut Rows<'a>) -> Result<Result<f64, Fault<'a>>, String> {
    match kind {
        Kind::Number | Kind::NumberLabel => {
            if let Some(value) = rows.plain_number() {
                return Ok(Ok(value));
            }
        }
        Kind::Probability => {
            // One beyond the range is read a second time, as the text that its message shows.
            let before = rows.clone();
            match rows.plain_number() {
                Some(value) if (0.0..=1.0).contains(&value) => return Ok(Ok(value)),
                _ => *rows = before,
            }
        }
        Kind::BooleanLabel | Kind::TextLabel(_) => {}
    }
    let field = rows.field()?;
    Ok(value(kind, &field.text()).map_err(|why| Fault { why, field }))
}

/// The number that stands for a text.
fn value(kind: &Kind, text: &str) -> Result<f64, Why> {
    match kind {
        Kind::Number => number(text).map_err(Why::NotNumber),
        Kind::Probability => match number(text) {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
            Ok(_) => Err(Why::NotProbability),
            Err(why) => Err(Why::NotNumber(why)),
        },
        Kind::NumberLabel => match (number(text), boolean(text)) {
            (Ok(value), _) => Ok(value),
            (Err(_), Some(value)) => Ok(f64::from(value)),
            (Err(why), None) => Err(Why::NotNumber(why)),
        },
        Kind::BooleanLabel => match (boolean(text), number(text)) {
            (Some(value), _) => Ok(f64::from(value)),
            (None, Ok(value)) if value == 0.0 || value == 1.0 => Ok(value),
            (None, Err(NotNumber::Blank)) => Err(Why::NotNumber(NotNumber::Blank)),
            _ => Err(Why::NotBoolean),
        },
        Kind::TextLabel(_) if text.trim().is_empty() => Err(Why::NotNumber(NotNumber::Blank)),
        Kind::TextLabel(codes) => Ok(codes.get(text).map_or(UNKNOWN_LABEL, |code| f64::from(*code))),
    }
}

/// Everything that is wrong with the rows.
struct Faults<'a> {
    answers: &'a Answers,
    unknown: Few,
    /// What the first unknown id was meant to be: as it is written, and as it must be.
    meant: Option<(String, String)>,
    /// By target column: the first fault.
    cells: Vec<Option<CellFault>>,
    other: Vec<String>,
}

/// The first fault of a column.
struct CellFault {
    row: usize,
    line: usize,
    what: String,
    /// Cells of the column that are no predictions.
    count: usize,
}

impl<'a> Faults<'a> {
    fn new(answers: &'a Answers) -> Self {
        Self {
            answers,
            unknown: Few::default(),
            meant: None,
            cells: answers.names.iter().map(|_| None).collect(),
            other: Vec::new(),
        }
    }

    #[cold]
    fn unknown(&mut self, id: &str) {
        if self.unknown.count == 0 {
            let meant = self.answers.ids.as_ref().and_then(|(_, ids)| ids.meant(id));
            self.meant = meant.map(|meant| (shown(id), shown(&meant)));
        }
        self.unknown.push(id);
    }

    #[cold]
    fn cell(&mut self, column: usize, row: usize, fault: Fault<'_>, rows: &Rows<'_>) {
        let Some(found) = self.cells.get_mut(column) else {
            return;
        };
        if let Some(first) = found {
            first.count += 1;
            return;
        }
        let text = shown(&fault.field.text());
        *found = Some(CellFault {
            row,
            line: rows.line(),
            what: match fault.why {
                Why::NotNumber(NotNumber::Blank) => "is blank: every row needs a value".to_owned(),
                Why::NotNumber(NotNumber::Nan) => format!("has {text}: every row needs a finite number"),
                Why::NotNumber(NotNumber::Infinite) => format!("has {text}, which is not finite"),
                Why::NotNumber(NotNumber::Text) => format!("has {text}, which is not a number"),
                Why::NotProbability => format!("has {text}, which is not a probability from 0 to 1"),
                Why::NotBoolean => format!("has {text}, which is neither true nor false"),
            },
            count: 1,
        });
    }

    /// Without ids, the rows of the answers must be there by number.
    fn rows(&mut self, count: usize) {
        if self.answers.ids.is_none() && count != self.answers.rows {
            self.other.push(format!(
                "the file has {} where {} are needed, in the order of the test set",
                counted(count, "row"),
                self.answers.rows
            ));
        }
    }

    /// With ids, each row of the answers must have been found once: in order, or at one of `places`.
    fn places(&mut self, keys: &Keys<'_, '_>, places: &[u32]) {
        let Some((name, ids)) = &self.answers.ids else {
            return;
        };
        let in_order = keys.in_order();
        let mut seen = vec![u64::MAX; in_order / 64];
        seen.push((1 << (in_order % 64)) - 1);
        seen.resize(self.answers.rows / 64 + 1, 0);
        let mut repeated = Few::default();
        let mut found = in_order;
        for (at, place) in (in_order..).zip(places) {
            match seen.get_mut(*place as usize / 64) {
                Some(bits) if *bits >> (place % 64) & 1 == 0 => {
                    *bits |= 1 << (place % 64);
                    found += 1;
                }
                Some(_) => repeated.push(&keys.text(at).unwrap_or_default()),
                // One that was given back is counted already.
                None => keys.text(at).iter().for_each(|id| self.unknown(id)),
            }
        }
        let missing: Few = if found == self.answers.rows {
            Few::default()
        } else {
            let unseen = |row: &usize| seen.get(row / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 0);
            (0..self.answers.rows)
                .filter(unseen)
                .map(|row| ids.text(row))
                .collect()
        };
        for (list, what) in [
            (&self.unknown, "not in the test set"),
            (&repeated, "repeated"),
            (&missing, "missing"),
        ] {
            if list.count > 0 {
                self.other.push(format!(
                    "column {}: {} {what}: {}",
                    shown(name),
                    counted(list.count, "id"),
                    list.list()
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
    fn verdict(self, keys: Option<&Keys<'_, '_>>) -> Result<(), String> {
        let columns = self.cells.iter().flatten().count();
        let mut wrong = Vec::new();
        let named = self.answers.names.iter().zip(&self.cells);
        let cells = named.filter_map(|(name, fault)| Some((name, fault.as_ref()?)));
        for (name, fault) in cells.take(SHOWN_COLUMNS) {
            let id = keys.and_then(|keys| keys.text(fault.row));
            let place = match (&self.answers.ids, id) {
                (Some((column, _)), Some(id)) => format!("{column} {}", shown(&id)),
                _ => format!("row {}", fault.row + 1),
            };
            wrong.push(format!(
                "column {}: line {} ({place}) {}",
                shown(name),
                fault.line,
                fault.what
            ));
            if fault.count > 1 {
                wrong.push(format!("{} more like it", counted(fault.count - 1, "cell")));
            }
        }
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
fn refuse_empty_sums(answers: &Answers, columns: &[Vec<f64>]) -> Result<(), String> {
    let Truth::Classes(_) = &answers.truth else {
        return Ok(());
    };
    let empty = |row: &usize| columns.iter().all(|column| column.get(*row) == Some(&0.0));
    match (0..answers.rows).find(empty) {
        Some(row) => Err(format!(
            "{}: all probabilities are 0: one class at least must be possible",
            answers.row(row)
        )),
        None => Ok(()),
    }
}
