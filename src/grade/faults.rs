//! Everything that is wrong with the rows of a submission, in words for the agent.

use super::answers::Answers;
use super::csv::{Field, Rows};
use super::ids::Keys;
use super::value::{Few, NotNumber, counted, shown};

/// Why a cell is no prediction.
#[derive(Clone, Copy)]
pub(super) enum Why {
    /// It is not a finite number.
    Number(NotNumber),
    /// It is a number, and not from 0 to 1.
    Probability,
    /// It is neither true nor false.
    Boolean,
}

/// A cell that is no prediction.
#[derive(Clone, Copy)]
pub(super) struct Fault<'a> {
    /// What is wrong.
    pub(super) why: Why,
    /// The cell.
    pub(super) field: Field<'a>,
}

/// Columns whose first fault a message shows.
const SHOWN_COLUMNS: usize = 3;

/// Everything that is wrong with the rows.
pub(super) struct Faults<'a> {
    answers: &'a Answers,
    unknown: Few,
    /// What the first unknown id was meant to be: as it is written, and as it must be.
    meant: Option<(String, String)>,
    /// Cells that are no predictions, by target column.
    cells: Vec<usize>,
    /// The first such cell of some columns.
    first: Vec<First>,
    other: Vec<String>,
}

/// The first faulty cell of a column.
struct First {
    column: usize,
    /// Row of the submission, from 0.
    row: usize,
    /// Where that row begins in the file.
    row_at: usize,
    what: String,
}

impl<'a> Faults<'a> {
    /// Nothing wrong yet.
    pub(super) fn new(answers: &'a Answers) -> Self {
        Self {
            answers,
            unknown: Few::default(),
            meant: None,
            cells: vec![0; answers.names.len()],
            first: Vec::new(),
            other: Vec::new(),
        }
    }

    /// An id that the answers do not have.
    #[cold]
    pub(super) fn unknown(&mut self, id: &str) {
        if self.unknown.count == 0 {
            let meant = self.answers.ids.as_ref().and_then(|(_, ids)| ids.meant(id));
            self.meant = meant.map(|meant| (shown(id), shown(&meant)));
        }
        self.unknown.push(id);
    }

    /// A cell of the row at hand, the `row`th from 0.
    #[cold]
    pub(super) fn cell(&mut self, column: usize, row: usize, fault: Fault<'_>, rows: &Rows<'_>) {
        let Some(count) = self.cells.get_mut(column) else {
            return;
        };
        *count += 1;
        if *count > 1 || self.first.len() == SHOWN_COLUMNS {
            return;
        }
        let text = shown(&fault.field.text());
        self.first.push(First {
            column,
            row,
            row_at: rows.row_at(),
            what: match fault.why {
                Why::Number(NotNumber::Blank) => "is blank: every row needs a value".to_owned(),
                Why::Number(NotNumber::Nan) => format!("has {text}: every row needs a finite number"),
                Why::Number(NotNumber::Infinite) => format!("has {text}, which is not finite"),
                Why::Number(NotNumber::Text) => format!("has {text}, which is not a number"),
                Why::Probability => format!("has {text}, which is not a probability from 0 to 1"),
                Why::Boolean => format!("has {text}, which is neither true nor false"),
            },
        });
    }

    /// With ids, each row of the answers must have been found once: in order, or at one of `places`.
    pub(super) fn places(&mut self, keys: &Keys<'_, '_>, places: &[u32]) {
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
                // One that cannot be an id of the answers is counted already.
                None => keys.text(at).iter().for_each(|id| self.unknown(id)),
            }
        }
        let mut missing = Few::default();
        if found < self.answers.rows {
            let seen = |row: usize| seen.get(row / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 1);
            let unseen = (0..self.answers.rows).filter(|row| !seen(*row));
            unseen.for_each(|row| missing.push(&ids.text(row)));
        }
        for (list, what) in [
            (&self.unknown, "not in the test set"),
            (&repeated, "repeated"),
            (&missing, "missing"),
        ] {
            if list.count > 0 {
                let ids = counted(list.count, "id");
                self.other
                    .push(format!("column {}: {ids} {what}: {}", shown(name), list.list()));
            }
        }
        if let Some((written, meant)) = &self.meant {
            self.other.push(format!(
                "ids are compared as text: {written} must be written {meant}"
            ));
        }
    }

    /// The answers have a number of rows, and so must the submission.
    pub(super) fn count(&mut self, count: usize) {
        if count != self.answers.rows {
            self.other.push(format!(
                "the file has {} where {} are needed, {}",
                counted(count, "row"),
                self.answers.rows,
                match self.answers.ids {
                    Some(_) => "one for each id of the test set",
                    None => "in the order of the test set",
                }
            ));
        }
    }

    /// All faults in one message.
    pub(super) fn verdict(self, keys: Option<&Keys<'_, '_>>, rows: &Rows<'_>) -> Result<(), String> {
        let mut wrong = Vec::new();
        for first in &self.first {
            let id = keys.and_then(|keys| keys.text(first.row));
            let place = match (&self.answers.ids, id) {
                (Some((column, _)), Some(id)) => format!("{column} {}", shown(&id)),
                _ => format!("row {}", first.row + 1),
            };
            let name = self.answers.names.get(first.column).map_or("", |name| name);
            let line = rows.line_of(first.row_at);
            wrong.push(format!(
                "column {}: line {line} ({place}) {}",
                shown(name),
                first.what
            ));
            let count = self.cells.get(first.column).copied().unwrap_or_default();
            if count > 1 {
                wrong.push(format!("{} more like it", counted(count - 1, "cell")));
            }
        }
        let columns = self.cells.iter().filter(|count| **count > 0).count();
        if columns > self.first.len() {
            let more = counted(columns - self.first.len(), "column");
            wrong.push(format!("{more} more like these"));
        }
        wrong.extend(self.other);
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("; "))
        }
    }
}
