//! A submission, checked and brought into the rows and columns of the answers. Every message is for the agent: what is
//! wrong, where, and what would be right; it quotes the submission and the ids of the test set, never an answer.

use super::answers::{Answers, Kind, Truth, UNKNOWN_LABEL};
use super::csv::{Rows, Table};
use super::faults::{Fault, Faults, Why};
use super::header::{Role, roles};
use super::ids::Keys;
use super::value::{NotNumber, boolean, number};

/// Rows beyond those of the answers that are looked at, to say what is wrong with them; further ones are only counted, so
/// that a file of endless short rows takes no memory.
const EXCESS_ROWS: usize = 1000;

/// Reads a submission into numbers by target column, then row of the answers; fails with everything that is wrong.
pub(super) fn read(answers: &Answers, bytes: &[u8]) -> Result<Vec<Vec<f64>>, String> {
    let table = Table::open(bytes)?;
    let roles = roles(answers, &table)?;
    let mut columns: Vec<Vec<f64>> = answers
        .names
        .iter()
        .map(|_| Vec::with_capacity(answers.rows))
        .collect();
    let mut keys = answers.ids.as_ref().map(|(_, ids)| Keys::new(ids));
    let mut faults = Faults::new(answers);
    let mut rows = table.rows();
    let mut count = 0;
    while rows.next()? {
        if count >= answers.rows + EXCESS_ROWS {
            for _ in &roles {
                rows.field()?;
            }
            count += 1;
            continue;
        }
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
                    if !keys.read(&mut rows)? {
                        faults.unknown(&keys.odd());
                    }
                }
                (Role::Id, None) => {}
            }
        }
        count += 1;
    }
    let places = keys.as_ref().map(Keys::rest).unwrap_or_default();
    if let Some(keys) = &keys {
        faults.places(keys, &places);
    }
    faults.count(count);
    faults.verdict(keys.as_ref(), &rows)?;
    if let Some(keys) = keys.filter(|_| !places.is_empty()) {
        let align = |values: &Vec<f64>| placed(values, keys.in_order(), &places);
        columns = columns.iter().map(align).collect();
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
        Kind::Number => number(text).map_err(Why::Number),
        Kind::Probability => match number(text) {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
            Ok(_) => Err(Why::Probability),
            Err(why) => Err(Why::Number(why)),
        },
        Kind::NumberLabel => match (number(text), boolean(text)) {
            (Ok(value), _) => Ok(value),
            (Err(_), Some(value)) => Ok(f64::from(value)),
            (Err(why), None) => Err(Why::Number(why)),
        },
        Kind::BooleanLabel => match (boolean(text), number(text)) {
            (Some(value), _) => Ok(f64::from(value)),
            (None, Ok(value)) if value == 0.0 || value == 1.0 => Ok(value),
            (None, Err(NotNumber::Blank)) => Err(Why::Number(NotNumber::Blank)),
            _ => Err(Why::Boolean),
        },
        Kind::TextLabel(_) if text.trim().is_empty() => Err(Why::Number(NotNumber::Blank)),
        Kind::TextLabel(codes) => Ok(codes.get(text).map_or(UNKNOWN_LABEL, |code| f64::from(*code))),
    }
}

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
