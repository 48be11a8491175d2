//! A file in pieces: object stores cannot append, so each piece that arrives is an object of its own, named by its offset.
//!
//! ```text
//!   {attempt}/{path}                              the sealed file: a piece at offset 0
//!   {attempt}/.pieces/{path}/{offset, 20 digits}  what arrived
//! ```
//!
//! Pieces of one file come from one append-only file, so where two overlap they say the same. What counts is what they
//! cover from the beginning without a gap.

use std::collections::BTreeMap;
use std::ops::Range;

use super::path::FilePath;

/// Folder of pieces within an attempt; no file's path begins with a dot.
pub(super) const PIECES: &str = ".pieces";

/// Where a piece is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    /// Its object, below the attempt's folder.
    pub(super) object: String,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// Its length.
    pub(super) length: u64,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    /// Whether this is the sealed file.
    pub(super) fn sealed(&self) -> bool {
        !self.object.starts_with(PIECES)
    }
}

/// Object of the piece of `path` at `offset`, below the attempt's folder.
pub(super) fn object(path: &FilePath, offset: u64) -> String {
    format!("{PIECES}/{path}/{offset:020}")
}

/// Whether a name is one that pieces have. No part of a file's path may be such a one: on a file system it would be a folder
/// where a piece of another file has to be.
pub(super) fn is_offset(name: &str) -> bool {
    name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// The file that an object below an attempt's folder belongs to, and the piece of it that it is; unset: it is not ours.
pub(super) fn parse(object: &str, length: u64) -> Option<(FilePath, Piece)> {
    let (path, offset) = match object
        .strip_prefix(PIECES)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        None => (object, 0),
        Some(piece) => {
            let (path, digits) = piece.rsplit_once('/')?;
            (path, digits.parse().ok().filter(|_| is_offset(digits))?)
        }
    };
    let piece = Piece {
        object: object.to_owned(),
        offset,
        length,
    };
    Some((FilePath::parse(path)?, piece))
}

/// All pieces of each file, by offset and the longer first.
pub(super) fn by_file(objects: impl IntoIterator<Item = (String, u64)>) -> BTreeMap<FilePath, Vec<Piece>> {
    let mut files: BTreeMap<FilePath, Vec<Piece>> = BTreeMap::new();
    for (object, length) in objects {
        if let Some((path, piece)) = parse(&object, length) {
            files.entry(path).or_default().push(piece);
        }
    }
    for pieces in files.values_mut() {
        pieces.sort_by_key(|piece| (piece.offset, std::cmp::Reverse(piece.length)));
    }
    files
}

/// Bytes from the beginning that sorted `pieces` cover without a gap.
pub(super) fn size(pieces: &[Piece]) -> u64 {
    plan(pieces, 0).last().map_or(0, |(piece, _)| piece.end())
}

/// What to read of which of the sorted `pieces`, in order, to have the file from `offset` on. Nothing is read twice.
pub(super) fn plan(pieces: &[Piece], offset: u64) -> Vec<(&Piece, Range<u64>)> {
    let mut reads: Vec<(&Piece, Range<u64>)> = Vec::new();
    let mut covered = 0;
    for piece in pieces {
        if piece.offset > covered {
            break;
        }
        if piece.end() > covered {
            let from = covered.max(offset);
            if from < piece.end() {
                reads.push((piece, from - piece.offset..piece.length));
            }
            covered = piece.end();
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(parts: &[(u64, u64)]) -> Vec<Piece> {
        let path = FilePath::parse("f").unwrap();
        by_file(
            parts
                .iter()
                .map(|(offset, length)| (object(&path, *offset), *length)),
        )
        .remove(&path)
        .unwrap()
    }

    fn reads(parts: &[(u64, u64)], offset: u64) -> Vec<(u64, Range<u64>)> {
        let pieces = pieces(parts);
        plan(&pieces, offset)
            .into_iter()
            .map(|(piece, range)| (piece.offset, range))
            .collect()
    }

    #[test]
    fn a_file_ends_where_its_first_gap_is() {
        assert_eq!(size(&[]), 0);
        assert_eq!(size(&pieces(&[(0, 10), (10, 5)])), 15);
        assert_eq!(size(&pieces(&[(0, 10), (11, 5)])), 10);
        assert_eq!(size(&pieces(&[(1, 10)])), 0);
    }

    #[test]
    fn overlapping_pieces_are_read_once() {
        assert_eq!(
            reads(&[(0, 10), (5, 3), (8, 10), (9, 2)], 0),
            [(0, 0..10), (8, 2..10)]
        );
    }

    #[test]
    fn reading_begins_at_an_offset() {
        assert_eq!(reads(&[(0, 10), (10, 5)], 12), [(10, 2..5)]);
        assert_eq!(reads(&[(0, 10), (10, 5)], 10), [(10, 0..5)]);
        assert!(reads(&[(0, 10), (10, 5)], 15).is_empty());
        assert!(reads(&[(0, 10)], 99).is_empty());
    }

    #[test]
    fn a_sealed_file_is_a_piece_at_its_beginning() {
        let files = by_file([
            ("logs/a.log".into(), 7),
            (".pieces/logs/a.log/00000000000000000007".into(), 3),
        ]);
        let pieces = &files[&FilePath::parse("logs/a.log").unwrap()];
        assert_eq!(size(pieces), 10);
        assert!(pieces[0].sealed() && !pieces[1].sealed());
    }

    #[test]
    fn foreign_objects_are_passed_over() {
        for object in [
            ".pieces/a",
            ".pieces/a/12",
            ".pieces/a/+0000000000000000001",
            ".x/a",
            ".pieces",
        ] {
            assert_eq!(parse(object, 1), None, "{object}");
        }
    }
}
