//! Texts in one allocation, and the index that finds the row of an id.

use std::hash::{DefaultHasher, Hasher};

/// Many texts, one allocation.
#[derive(Clone, Default)]
pub(super) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a text.
    pub(super) fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    /// The text of `row`; empty beyond the last one.
    #[inline]
    pub(super) fn get(&self, row: usize) -> &str {
        let start = match row.checked_sub(1) {
            None => Some(0),
            Some(before) => self.ends.get(before).copied(),
        };
        match (start, self.ends.get(row)) {
            (Some(start), Some(end)) => self.all.get(start..*end).unwrap_or_default(),
            _ => "",
        }
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All texts in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.get(row))
    }
}

/// No row.
const NONE: u32 = u32::MAX;

/// The ids of the answers, each once. Ids are texts: `1` and `1.0` are two of them.
#[derive(Clone)]
pub(super) struct Ids {
    texts: Texts,
    index: Index,
}

/// How a row is found. Both tables are built from the answers alone, so a submission cannot make them slow.
#[derive(Clone)]
enum Index {
    /// Whole numbers that lie close together: row by id minus the smallest id.
    Dense { least: i64, rows: Vec<u32> },
    /// Open addressing: upper half of the hash, and row. The length is a power of two.
    Hashed { slots: Vec<(u32, u32)> },
}

impl Ids {
    /// Builds the index; fails with the row of the first id that is there a second time.
    pub(super) fn new(texts: Texts) -> Result<Self, usize> {
        let index = match dense(&texts) {
            Some(found) => found?,
            None => hashed(&texts)?,
        };
        Ok(Self { texts, index })
    }

    /// The id of `row`.
    #[inline]
    pub(super) fn get(&self, row: usize) -> &str {
        self.texts.get(row)
    }

    /// The row of an id. `guess` is looked at first: submissions often keep the order of the test set.
    #[inline]
    pub(super) fn find(&self, id: &str, guess: usize) -> Option<usize> {
        if guess < self.texts.len() && self.texts.get(guess) == id {
            return Some(guess);
        }
        match &self.index {
            Index::Dense { least, rows } => {
                let offset = usize::try_from(whole(id)?.checked_sub(*least)?).ok()?;
                rows.get(offset)
                    .filter(|row| **row != NONE)
                    .map(|row| *row as usize)
            }
            Index::Hashed { slots } => match probe(slots, &self.texts, id) {
                Slot::Taken(row) => Some(row),
                Slot::Free(..) => None,
            },
        }
    }

    /// The id that a program had before it turned ids into fractions: `1` for `1.0`.
    pub(super) fn meant(&self, id: &str) -> Option<&str> {
        let value = super::value::number(id).ok()?;
        let whole = value.trunc() == value && value.abs() < 1e15;
        let row = self.find(&format!("{value}"), usize::MAX)?;
        whole.then(|| self.get(row))
    }
}

/// A whole number in the only notation that it has: so equal numbers are equal texts.
fn whole(id: &str) -> Option<i64> {
    let digits = id.strip_prefix('-').unwrap_or(id);
    let plain = match digits.as_bytes() {
        [b'0'] => digits.len() == id.len(),
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if plain { id.parse().ok() } else { None }
}

/// The direct table, where it is not much larger than the ids are many.
fn dense(texts: &Texts) -> Option<Result<Index, usize>> {
    let (mut least, mut greatest) = (i64::MAX, i64::MIN);
    for id in texts.iter() {
        let id = whole(id)?;
        least = least.min(id);
        greatest = greatest.max(id);
    }
    let span = usize::try_from(greatest.checked_sub(least)?).ok()?;
    if span >= texts.len().saturating_mul(8) {
        return None;
    }
    let mut rows = vec![NONE; span + 1];
    for (row, id) in texts.iter().enumerate() {
        let offset = usize::try_from(whole(id)? - least).ok()?;
        let slot = rows.get_mut(offset)?;
        if *slot != NONE {
            return Some(Err(row));
        }
        *slot = u32::try_from(row).ok()?;
    }
    Some(Ok(Index::Dense { least, rows }))
}

fn hashed(texts: &Texts) -> Result<Index, usize> {
    let mut slots = vec![(0, NONE); (texts.len() * 2).next_power_of_two()];
    for (row, id) in texts.iter().enumerate() {
        match probe(&slots, texts, id) {
            Slot::Taken(_) => return Err(row),
            Slot::Free(at, tag) => {
                if let (Some(slot), Ok(row)) = (slots.get_mut(at), u32::try_from(row)) {
                    *slot = (tag, row);
                }
            }
        }
    }
    Ok(Index::Hashed { slots })
}

enum Slot {
    /// The id is there, with its row.
    Taken(usize),
    /// The id is not there: place and tag that it would have.
    Free(usize, u32),
}

fn probe(slots: &[(u32, u32)], texts: &Texts, id: &str) -> Slot {
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    let hash = hasher.finish();
    let tag = (hash >> 32) as u32;
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    loop {
        match slots.get(at) {
            Some((_, NONE)) | None => return Slot::Free(at, tag),
            Some((other, row)) if *other == tag && texts.get(*row as usize) == id => {
                return Slot::Taken(*row as usize);
            }
            Some(_) => at = (at + 1) & mask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(texts: &[&str]) -> Result<Ids, usize> {
        let mut all = Texts::default();
        texts.iter().for_each(|text| all.push(text));
        Ids::new(all)
    }

    #[test]
    fn every_kind_of_id_is_found_in_its_row_and_no_other_is() {
        for texts in [
            &["5", "3", "-1", "0", "12"][..],
            &["a", "b", "", "ä", "a b"],
            &["1", "01", "1.0", "+1", "-0"],
            &["9223372036854775807", "0", "999999999999999999", "-5", "1"],
        ] {
            let ids = ids(texts).unwrap();
            for (row, text) in texts.iter().enumerate() {
                for guess in [row, 0, 3, 99] {
                    assert_eq!(ids.find(text, guess), Some(row), "{text}");
                }
                assert_eq!(ids.get(row), *text);
            }
            for other in ["7", "-2", "05", "3.0", "00", "x", "9223372036854775808", " 3"] {
                assert_eq!(ids.find(other, 2), None, "{other}");
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
        let ids = ids(&["1", "20", "x"]).unwrap();
        assert_eq!(ids.meant("20.0"), Some("20"));
        assert_eq!(ids.meant("001"), Some("1"));
        assert_eq!(ids.meant("1.5"), None);
        assert_eq!(ids.meant("y"), None);
    }
}
