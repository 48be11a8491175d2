//! Ids: how they are kept, and how the rows of many of them are found at once.
//!
//! Ids are texts: `1` and `1.0` are two of them. Whole numbers in their only notation are kept as numbers all the same;
//! as long as they lie close together, a row is found without a hash.

use std::borrow::Cow;

use super::csv::{Field, Rows};
use super::decimal;
use super::texts::{TextIndex, Texts};

/// No row.
pub(super) const NONE: u32 = u32::MAX;
/// No id: a text that is not among ids that are all whole numbers. No whole number of 18 digits is this one.
const NO_ID: i64 = i64::MIN;

/// The ids of the answers while they are read.
pub(super) enum Reader {
    /// All so far are whole numbers, each one more than that of the row before.
    Range { least: i64, count: usize },
    /// All so far are whole numbers.
    Whole(Vec<i64>),
    /// Any texts.
    Texts(Texts),
}

impl Reader {
    /// Nothing read.
    pub(super) fn new() -> Self {
        Self::Range { least: 0, count: 0 }
    }

    /// Reads the id of the row at hand; false where it is blank.
    #[inline]
    pub(super) fn read(&mut self, rows: &mut Rows<'_>) -> Result<bool, String> {
        if !matches!(self, Self::Texts(_))
            && let Some(id) = rows.plain_whole()
        {
            self.push(id);
            return Ok(true);
        }
        let field = rows.field()?;
        let text = field.text();
        match (&mut *self, whole(&text)) {
            (Self::Texts(texts), _) => texts.push(&text),
            (_, Some(id)) => self.push(id),
            (_, None) => {
                let mut texts: Texts = self.numbers().iter().map(i64::to_string).collect();
                texts.push(&text);
                *self = Self::Texts(texts);
            }
        }
        Ok(!text.trim().is_empty())
    }

    #[inline]
    fn push(&mut self, id: i64) {
        match self {
            Self::Range { least, count } if *count == 0 => (*least, *count) = (id, 1),
            Self::Range { least, count } if id == *least + *count as i64 => *count += 1,
            Self::Range { .. } => {
                let mut ids = self.numbers();
                ids.push(id);
                *self = Self::Whole(ids);
            }
            Self::Whole(ids) => ids.push(id),
            Self::Texts(texts) => texts.push(&id.to_string()),
        }
    }

    fn numbers(&mut self) -> Vec<i64> {
        match self {
            Self::Range { least, count } => (*least..).take(*count).collect(),
            Self::Whole(ids) => std::mem::take(ids),
            Self::Texts(_) => Vec::new(),
        }
    }
}

/// The ids of the answers, each once.
#[derive(Clone)]
pub(super) enum Ids {
    /// Whole numbers, each one more than that of the row before.
    Range { least: i64, count: usize },
    /// Whole numbers that lie close together: for each number from the least on, its row.
    Dense {
        ids: Vec<i64>,
        least: i64,
        rows: Vec<u32>,
    },
    /// Any texts.
    Texts(TextIndex),
}

impl Ids {
    /// Indexes ids; fails with the row of the first one that is there a second time.
    pub(super) fn new(ids: Reader) -> Result<Self, usize> {
        match ids {
            Reader::Texts(texts) => TextIndex::new(texts).map(Self::Texts),
            Reader::Range { least, count } => Ok(Self::Range { least, count }),
            Reader::Whole(ids) => {
                let least = ids.iter().copied().min().unwrap_or_default();
                let greatest = ids.iter().copied().max().unwrap_or_default();
                // 18 digits: no difference leaves the range.
                let span = usize::try_from(greatest - least).unwrap_or(usize::MAX);
                if ids.iter().zip(least..).all(|(id, expected)| *id == expected) {
                    Ok(Self::Range {
                        least,
                        count: ids.len(),
                    })
                } else if span < ids.len().saturating_mul(8) {
                    dense(ids, least, span)
                } else {
                    let texts = ids.iter().map(i64::to_string).collect();
                    TextIndex::new(texts).map(Self::Texts)
                }
            }
        }
    }

    /// The id of `row`; empty beyond the last one.
    pub(super) fn text(&self, row: usize) -> Cow<'_, str> {
        match self {
            Self::Range { least, count } if row < *count => (least + row as i64).to_string().into(),
            Self::Range { .. } => Cow::default(),
            Self::Dense { ids, .. } => ids.get(row).map(i64::to_string).unwrap_or_default().into(),
            Self::Texts(texts) => texts.get(row).into(),
        }
    }

    /// The id that a program had before it turned ids into fractions: `1` for `1.0`.
    pub(super) fn meant(&self, id: &str) -> Option<String> {
        let value = super::value::number(id).ok()?;
        if value.trunc() != value || value.abs() >= 1e15 {
            return None;
        }
        let text = (value as i64).to_string();
        let known = match self {
            Self::Range { least, count } => range_row(*least, *count, value as i64) != NONE,
            Self::Dense { least, rows, .. } => dense_row(*least, rows, value as i64) != NONE,
            Self::Texts(texts) => texts.row(&text) != NONE,
        };
        known.then_some(text)
    }
}

/// Ids of a submission, whose rows are looked for.
pub(super) struct Keys<'i, 'a> {
    ids: &'i Ids,
    /// So many come first that stand in the order of the answers; most often all of them.
    in_order: usize,
    rest: Rest<'a>,
    odd: Field<'a>,
}

/// The keys from the first one on that is out of order.
enum Rest<'a> {
    Whole(Vec<i64>),
    Texts(Vec<Field<'a>>),
}

impl<'i, 'a> Keys<'i, 'a> {
    /// No keys.
    pub(super) fn new(ids: &'i Ids) -> Self {
        let rest = match ids {
            Ids::Range { .. } | Ids::Dense { .. } => Rest::Whole(Vec::new()),
            Ids::Texts(_) => Rest::Texts(Vec::new()),
        };
        Self {
            ids,
            in_order: 0,
            rest,
            odd: Field::default(),
        }
    }

    /// Reads the id of the row at hand; false where it cannot be one of the answers: [`Keys::odd`] has it then.
    #[inline]
    pub(super) fn read(&mut self, rows: &mut Rows<'a>) -> Result<bool, String> {
        match &mut self.rest {
            Rest::Whole(rest) => {
                let key = match rows.plain_whole() {
                    Some(key) => key,
                    None => {
                        self.odd = rows.field()?;
                        whole(&self.odd.text()).unwrap_or(NO_ID)
                    }
                };
                let expected = match self.ids {
                    Ids::Range { least, count } if self.in_order < *count => {
                        Some(*least + self.in_order as i64)
                    }
                    Ids::Dense { ids, .. } => ids.get(self.in_order).copied(),
                    _ => None,
                };
                if rest.is_empty() && expected == Some(key) {
                    self.in_order += 1;
                } else {
                    rest.push(key);
                }
                Ok(key != NO_ID)
            }
            Rest::Texts(rest) => {
                let field = rows.field()?;
                match self.ids {
                    Ids::Texts(texts)
                        if rest.is_empty()
                            && self.in_order < texts.len()
                            && texts.get(self.in_order) == field.text() =>
                    {
                        self.in_order += 1;
                    }
                    _ => rest.push(field),
                }
                Ok(true)
            }
        }
    }

    /// The id read last, where [`Keys::read`] said that it cannot be one.
    pub(super) fn odd(&self) -> Cow<'a, str> {
        self.odd.text()
    }

    /// The id in place `at`; None where it cannot be one of the answers.
    pub(super) fn text(&self, at: usize) -> Option<Cow<'_, str>> {
        let Some(at) = at.checked_sub(self.in_order) else {
            return Some(self.ids.text(at));
        };
        match &self.rest {
            Rest::Whole(keys) => {
                let key = keys.get(at).filter(|key| **key != NO_ID)?;
                Some(key.to_string().into())
            }
            Rest::Texts(keys) => Some(keys.get(at)?.text()),
        }
    }

    /// How many keys come first that are the first ids of the answers, in their order.
    pub(super) fn in_order(&self) -> usize {
        self.in_order
    }

    /// The row of each key behind those in order; [`NONE`] where the answers have no such id. All at once and not while
    /// they are read: a shuffled submission reaches memory at random, and in a loop that does nothing else the processor
    /// waits for many keys at a time.
    pub(super) fn rest(&self) -> Vec<u32> {
        match (self.ids, &self.rest) {
            (Ids::Range { least, count }, Rest::Whole(keys)) => {
                keys.iter().map(|key| range_row(*least, *count, *key)).collect()
            }
            (Ids::Dense { least, rows, .. }, Rest::Whole(keys)) => {
                keys.iter().map(|key| dense_row(*least, rows, *key)).collect()
            }
            (Ids::Texts(texts), Rest::Texts(keys)) => texts.rows(keys),
            // Keys are made for the ids that they are looked for in.
            (_, Rest::Whole(keys)) => vec![NONE; keys.len()],
            (_, Rest::Texts(keys)) => vec![NONE; keys.len()],
        }
    }
}

fn range_row(least: i64, count: usize, id: i64) -> u32 {
    match usize::try_from(id.wrapping_sub(least)) {
        Ok(row) if row < count => row as u32,
        _ => NONE,
    }
}

fn dense_row(least: i64, rows: &[u32], id: i64) -> u32 {
    match usize::try_from(id.wrapping_sub(least)) {
        Ok(offset) => rows.get(offset).copied().unwrap_or(NONE),
        Err(_) => NONE,
    }
}

/// A whole number that is all of a text.
fn whole(text: &str) -> Option<i64> {
    decimal::whole(text.as_bytes())
        .filter(|(_, length)| *length == text.len())
        .map(|(id, _)| id)
}

fn dense(ids: Vec<i64>, least: i64, span: usize) -> Result<Ids, usize> {
    let mut rows = vec![NONE; span + 1];
    for (row, id) in (0..).zip(&ids) {
        if let Some(slot) = rows.get_mut((id - least) as usize) {
            if *slot != NONE {
                return Err(row as usize);
            }
            *slot = row;
        }
    }
    Ok(Ids::Dense { ids, least, rows })
}

#[cfg(test)]
mod tests {
    use super::super::csv::Table;
    use super::*;

    fn ids(texts: &[&str]) -> Result<Ids, usize> {
        let csv = format!("id\n{}\n", texts.join("\n"));
        let table = Table::open(csv.as_bytes()).unwrap();
        let mut rows = table.rows();
        let mut reader = Reader::new();
        while rows.next().unwrap() {
            reader.read(&mut rows).unwrap();
        }
        Ids::new(reader)
    }

    fn find(ids: &Ids, texts: &[&str]) -> Vec<Option<usize>> {
        let csv = format!("id\n{}\n", texts.join("\n"));
        let table = Table::open(csv.as_bytes()).unwrap();
        let mut rows = table.rows();
        let mut keys = Keys::new(ids);
        while rows.next().unwrap() {
            keys.read(&mut rows).unwrap();
        }
        let found: Vec<u32> = (0..keys.in_order() as u32).chain(keys.rest()).collect();
        found
            .iter()
            .map(|row| (*row != NONE).then_some(*row as usize))
            .collect()
    }

    #[test]
    fn every_kind_of_id_is_found_in_its_row_and_no_other_is() {
        for texts in [
            &["3", "4", "5"][..],
            &["5", "3", "-1", "0", "12"],
            &["a", "b", "ä", "a b", "1"],
            &["1", "01", "1.0", "+1", "-0"],
            &["9223372036854775807", "0", "999999999999999999", "-5", "1"],
            &["100000000000000000", "3", "-100000000000000000"],
        ] {
            let ids = ids(texts).unwrap();
            let rows: Vec<_> = (0..texts.len()).map(Some).collect();
            assert_eq!(find(&ids, texts), rows, "{texts:?}");
            let backwards: Vec<&str> = texts.iter().rev().copied().collect();
            let expected: Vec<_> = rows.into_iter().rev().collect();
            assert_eq!(find(&ids, &backwards), expected, "{texts:?}");
            for (row, text) in texts.iter().enumerate() {
                assert_eq!(ids.text(row), *text);
            }
            assert_eq!(ids.text(99), "");
            for other in [
                "7",
                "-2",
                "05",
                "3.0",
                "00",
                "x",
                "9223372036854775808",
                " 3",
                "-9223372036854775808",
            ] {
                assert_eq!(find(&ids, &[other]), [None], "{other}");
            }
        }
    }

    #[test]
    fn a_repeated_id_is_named_by_its_row() {
        assert_eq!(ids(&["1", "2", "1"]).err(), Some(2));
        assert_eq!(ids(&["a", "b", "b"]).err(), Some(2));
    }

    #[test]
    fn ids_that_became_fractions_are_recognised() {
        for texts in [&["1", "20", "x"][..], &["1", "20"], &["19", "20", "21"]] {
            let ids = ids(texts).unwrap();
            assert_eq!(ids.meant("20.0").as_deref(), Some("20"));
            assert_eq!(ids.meant("0020").as_deref(), Some("20"));
            for other in ["1.5", "y", "30.0", "inf", "1e300"] {
                assert_eq!(ids.meant(other), None);
            }
        }
    }
}
