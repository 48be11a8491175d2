//! Columns of the answers while they are read, before it is known what they hold.

use std::collections::HashMap;

use super::answers::Kind;
use super::csv::{Rows, Table};
use super::ids::Reader;
use super::value::{boolean, number, shown};

/// A target column while it is read.
pub(super) struct Draft {
    at: usize,
    /// Name of the column.
    pub(super) name: String,
    /// What the cells are.
    pub(super) form: Form,
    /// Numbers, truth values as 1 and 0, or codes of texts.
    pub(super) values: Vec<f64>,
    /// Texts in the order in which they came: the index is the code.
    texts: Vec<String>,
    /// First row that is not a number.
    pub(super) not_number: usize,
}

/// What all cells of a column so far are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// Finite numbers.
    Numbers,
    /// True or false.
    Booleans,
    /// Anything else.
    Texts,
}

/// Whole numbers below this are exact in 64 bits.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Draft {
    /// Nothing read, of the column in place `at`.
    pub(super) fn new(at: usize, name: &str) -> Self {
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
    /// [`read_rows`] reads them anew.
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

    /// What a prediction may be where this column holds labels.
    pub(super) fn label_kind(&mut self) -> Kind {
        match self.form {
            Form::Numbers => Kind::NumberLabel,
            Form::Booleans => Kind::BooleanLabel,
            Form::Texts => Kind::TextLabel(std::mem::take(&mut self.texts).into_iter().zip(0..).collect()),
        }
    }

    /// Whether each row is of the positive class: of the greater number, true, or the text that sorts last by code
    /// point, which is the order of scikit-learn's label binarizer. Fails with the number of classes.
    pub(super) fn flags(&self) -> Result<Vec<bool>, &'static str> {
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
pub(super) fn read_rows(
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
