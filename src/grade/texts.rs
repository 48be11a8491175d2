//! Ids that are texts: in one allocation, with an index.

use std::hash::{DefaultHasher, Hasher};

use super::csv::Field;
use super::ids::NONE;

/// Many texts in one allocation.
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
    fn get(&self, row: usize) -> &str {
        let start = match row.checked_sub(1) {
            None => Some(&0),
            Some(before) => self.ends.get(before),
        };
        match (start, self.ends.get(row)) {
            (Some(start), Some(end)) => self.all.get(*start..*end).unwrap_or_default(),
            _ => "",
        }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.get(row))
    }
}

impl FromIterator<String> for Texts {
    fn from_iter<I: IntoIterator<Item = String>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(&text));
        all
    }
}

/// Texts, each once, and the row of each: a table with open addressing.
///
/// It is built from the answers alone, so a submission cannot make it slow: the key of the hash may be known.
#[derive(Clone)]
pub(super) struct TextIndex {
    texts: Texts,
    /// Upper half of the hash, and row. The length is a power of two, and half of the slots are free.
    slots: Vec<(u32, u32)>,
}

impl TextIndex {
    /// Indexes texts; fails with the row of the first one that is there a second time.
    pub(super) fn new(texts: Texts) -> Result<Self, usize> {
        let hashes: Vec<u64> = texts.iter().map(hash).collect();
        let slots = vec![(0, NONE); (texts.len() * 2).next_power_of_two()];
        let mut index = Self { texts, slots };
        for (row, hash) in (0..).zip(hashes) {
            match index.probe(index.texts.get(row as usize), hash) {
                Ok(_) => return Err(row as usize),
                Err(free) => {
                    if let Some(slot) = index.slots.get_mut(free) {
                        *slot = (tag(hash), row);
                    }
                }
            }
        }
        Ok(index)
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The text of `row`; empty beyond the last one.
    pub(super) fn get(&self, row: usize) -> &str {
        self.texts.get(row)
    }

    /// The row of a text; [`NONE`] if it is not there.
    pub(super) fn row(&self, text: &str) -> u32 {
        self.probe(text, hash(text)).unwrap_or(NONE)
    }

    /// The rows of many texts, as [`TextIndex::row`] gives them. Each loop reaches memory at random once per text and
    /// depends on nothing else, so that the processor waits for many texts at a time.
    pub(super) fn rows(&self, texts: &[Field<'_>]) -> Vec<u32> {
        let hashes: Vec<u64> = texts.iter().map(|text| hash(&text.text())).collect();
        let likely: Vec<u32> = hashes.iter().map(|hash| self.tagged(*hash)).collect();
        let checked = texts.iter().zip(&hashes).zip(likely);
        checked
            .map(|((text, hash), row)| {
                let text = text.text();
                if row == NONE || self.get(row as usize) == text {
                    row
                } else {
                    self.probe(&text, *hash).unwrap_or(NONE)
                }
            })
            .collect()
    }

    /// The row of a text, or the free slot where it belongs.
    fn probe(&self, text: &str, hash: u64) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots.get(at) {
                Some((_, NONE)) | None => return Err(at),
                Some((other, row)) if *other == tag(hash) && self.get(*row as usize) == text => {
                    return Ok(*row);
                }
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    /// The first row whose text has the tag of `hash`: very likely the right one. [`NONE`] if there is none.
    fn tagged(&self, hash: u64) -> u32 {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots.get(at) {
                Some((other, row)) if *row != NONE && *other != tag(hash) => at = (at + 1) & mask,
                Some((_, row)) => return *row,
                None => return NONE,
            }
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::super::csv::Table;
    use super::*;

    #[test]
    fn texts_whose_hashes_look_alike_are_told_apart() {
        // As if the tags of both were the same: `b` comes upon `a` first.
        let hash = hash("b");
        let mut texts = Texts::default();
        ["a", "b"].iter().for_each(|text| texts.push(text));
        let mut slots = vec![(0, NONE); 4];
        slots[hash as usize & 3] = (tag(hash), 0);
        slots[(hash as usize + 1) & 3] = (tag(hash), 1);
        let index = TextIndex { texts, slots };
        let table = Table::open(b"id\nb\n").unwrap();
        let mut rows = table.rows();
        rows.next().unwrap();
        assert_eq!(index.rows(&[rows.field().unwrap()]), [1]);
        assert_eq!(index.row("b"), 1);
    }
}
