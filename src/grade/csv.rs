//! A CSV reader that borrows from its input: RFC 4180 with commas, a header and UTF-8. A byte order mark, CRLF and
//! blank lines at the end are tolerated; everything else that is not plainly a table is an error that names its line.

use std::borrow::Cow;

use super::decimal;

/// Most columns of a table: a file of nothing but commas must not fill the memory.
const MAX_COLUMNS: usize = 100_000;

/// One cell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Field<'a> {
    /// The text, without the quotes around it.
    raw: &'a str,
    /// Whether quotes inside are still doubled.
    doubled: bool,
}

impl<'a> Field<'a> {
    /// The text of the cell.
    pub(super) fn text(self) -> Cow<'a, str> {
        if self.doubled {
            Cow::Owned(self.raw.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// A CSV file whose header is read.
#[derive(Debug)]
pub(super) struct Table<'a> {
    /// Names of the columns as they stand in the file.
    pub(super) header: Vec<Cow<'a, str>>,
    body: Rows<'a>,
}

impl<'a> Table<'a> {
    /// Reads encoding and header.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let text = decode(bytes)?;
        if text.trim().is_empty() {
            return Err("the file is empty: a header line with the column names is needed".into());
        }
        let mut body = Rows {
            text,
            at: 0,
            row_at: 0,
            left: 0,
            width: 0,
        };
        let mut header = Vec::new();
        loop {
            let (field, last) = body.any_field()?;
            header.push(field.text());
            if last {
                break;
            }
            if header.len() == MAX_COLUMNS {
                return Err(format!("the header has more than {MAX_COLUMNS} columns"));
            }
        }
        body.width = header.len();
        Ok(Self { header, body })
    }

    /// The rows below the header.
    pub(super) fn rows(&self) -> Rows<'a> {
        self.body.clone()
    }
}

fn decode(bytes: &[u8]) -> Result<&str, String> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err("the file is UTF-16: it must be UTF-8".into());
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = line_at(bytes, at);
        format!(
            "byte {} (in line {line}) is not UTF-8: the file must be UTF-8 text",
            at + 1
        )
    })
}

/// Line, from 1, that byte `at` is in.
fn line_at(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// Reads cell after cell, row after row.
#[derive(Clone, Debug)]
pub(super) struct Rows<'a> {
    text: &'a str,
    /// Where the next cell begins.
    at: usize,
    /// Where the row at hand begins.
    row_at: usize,
    /// Cells of this row that are not read yet.
    left: usize,
    width: usize,
}

impl<'a> Rows<'a> {
    /// Goes to the next row; false at the end. All cells of the row before must have been read.
    #[inline]
    pub(super) fn next(&mut self) -> Result<bool, String> {
        self.row_at = self.at;
        self.left = self.width;
        match self.rest() {
            [] | [b'\n', ..] | [b'\r', ..] => self.blank_line(),
            _ => Ok(true),
        }
    }

    /// Blank lines end a file, and are an error before its end.
    #[cold]
    fn blank_line(&mut self) -> Result<bool, String> {
        let rest = self.rest();
        if rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Ok(false);
        }
        if matches!(rest, [b'\n', ..] | [b'\r', b'\n', ..]) {
            return Err(format!("line {} is blank: every line must be a row", self.line()));
        }
        Ok(true)
    }

    /// Reads the next cell of the row, whatever it holds. A row of another width is an error.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Field<'a>, String> {
        let (field, last) = self.any_field()?;
        self.left = self.left.saturating_sub(1);
        if last == (self.left == 0) {
            Ok(field)
        } else {
            Err(self.ragged(last))
        }
    }

    /// Reads the next cell if it is a plain decimal number, as most cells are: digits, a sign and a point at most. Any
    /// other cell is left to [`Rows::field`].
    #[inline]
    pub(super) fn plain_number(&mut self) -> Option<f64> {
        let (value, length) = decimal::number(self.rest())?;
        self.pass(length)?;
        Some(value)
    }

    /// Reads the next cell if it is a whole number in the only notation that it has, so that equal numbers are equal
    /// texts. Any other cell is left to [`Rows::field`].
    #[inline]
    pub(super) fn plain_whole(&mut self) -> Option<i64> {
        let (value, length) = decimal::whole(self.rest())?;
        self.pass(length)?;
        Some(value)
    }

    /// Where the row at hand begins, for [`Rows::line_of`].
    pub(super) fn row_at(&self) -> usize {
        self.row_at
    }

    /// Line of the file, from 1, of a row that begins at `row_at`. It counts from the start: for messages only.
    pub(super) fn line_of(&self, row_at: usize) -> usize {
        line_at(self.text.as_bytes(), row_at)
    }

    /// Line of the file, from 1, that the row at hand begins in.
    pub(super) fn line(&self) -> usize {
        self.line_of(self.row_at)
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Goes behind a cell of `length` bytes, if it ends there, and the row where it should.
    #[inline]
    fn pass(&mut self, length: usize) -> Option<()> {
        let ending = match (self.rest().get(length..)?, self.left) {
            ([b'\n', ..], 1) | ([b',', ..], 2..) => 1,
            ([b'\r', b'\n', ..], 1) => 2,
            _ => return None,
        };
        self.at += length + ending;
        self.left -= 1;
        Some(())
    }

    /// Reads one field, and whether it is the last one of its row.
    #[inline]
    fn any_field(&mut self) -> Result<(Field<'a>, bool), String> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with('"') {
            return self.quoted(rest);
        }
        let length = rest
            .bytes()
            .position(|byte| byte == b',' || byte == b'\n')
            .unwrap_or(rest.len());
        let last = rest.as_bytes().get(length) != Some(&b',');
        self.at += length + 1;
        let mut raw = rest.get(..length).unwrap_or_default();
        if last {
            raw = raw.strip_suffix('\r').unwrap_or(raw);
        }
        Ok((Field { raw, doubled: false }, last))
    }

    #[cold]
    fn quoted(&mut self, rest: &'a str) -> Result<(Field<'a>, bool), String> {
        let opened = self.at;
        let bytes = rest.as_bytes();
        let mut doubled = false;
        let mut at = 1;
        let close = loop {
            match bytes.iter().skip(at).position(|byte| *byte == b'"') {
                None => {
                    let line = line_at(self.text.as_bytes(), opened);
                    return Err(format!("a quote that is opened in line {line} is never closed"));
                }
                Some(found) if bytes.get(at + found + 1) == Some(&b'"') => {
                    doubled = true;
                    at += found + 2;
                }
                Some(found) => break at + found,
            }
        };
        let (last, length) = match bytes.get(close + 1..) {
            Some([b',', ..]) => (false, close + 2),
            Some([b'\n', ..]) => (true, close + 2),
            Some([b'\r', b'\n', ..]) => (true, close + 3),
            None | Some([] | [b'\r']) => (true, bytes.len() + 1),
            Some(_) => {
                let line = line_at(self.text.as_bytes(), opened + close);
                return Err(format!(
                    "line {line} has text behind a closing quote: a quote inside a quoted field is written twice"
                ));
            }
        };
        self.at = opened + length;
        let raw = rest.get(1..close).unwrap_or_default();
        Ok((Field { raw, doubled }, last))
    }

    /// The row has another width: how many fields it has, for the message.
    #[cold]
    fn ragged(&mut self, mut last: bool) -> String {
        let mut count = self.width - self.left;
        while !last {
            match self.any_field() {
                Ok((_, end)) => last = end,
                Err(fault) => return fault,
            }
            count += 1;
        }
        format!(
            "line {} has {count} field{} where the header has {}",
            self.line(),
            if count == 1 { "" } else { "s" },
            self.width
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Vec<String>>, String> {
        let table = Table::open(bytes)?;
        let mut all: Vec<Vec<String>> = vec![table.header.iter().map(|name| name.to_string()).collect()];
        let mut rows = table.rows();
        while rows.next()? {
            let cells: Result<Vec<_>, _> = all[0].iter().map(|_| rows.field()).collect();
            all.push(cells?.iter().map(|cell| cell.text().into_owned()).collect());
        }
        Ok(all)
    }

    fn table(rows: &[&[&str]]) -> Result<Vec<Vec<String>>, String> {
        Ok(rows
            .iter()
            .map(|row| row.iter().map(ToString::to_string).collect())
            .collect())
    }

    #[test]
    fn a_plain_file_with_or_without_a_last_newline_is_read() {
        let expected = table(&[&["id", "p"], &["1", "0.5"], &["2", ""]]);
        assert_eq!(read(b"id,p\n1,0.5\n2,"), expected);
        assert_eq!(read(b"id,p\n1,0.5\n2,\n"), expected);
        assert_eq!(read(b"id,p\n1,0.5\n2,\n\n\r\n"), expected);
    }

    #[test]
    fn a_byte_order_mark_and_crlf_are_tolerated() {
        let expected = table(&[&["id", "p"], &["1", "0.5"], &["2", "a"]]);
        assert_eq!(read(b"\xEF\xBB\xBFid,p\r\n1,0.5\r\n2,a\r\n"), expected);
        assert_eq!(read(b"id,p\r\n1,0.5\r\n2,a\r"), expected);
        assert_eq!(read(b"\"id\",\"p\"\r\n\"1\",0.5\r\n2,\"a\"\r"), expected);
    }

    #[test]
    fn quoted_fields_hold_commas_newlines_and_doubled_quotes() {
        assert_eq!(
            read(b"\"id\",p\n\"a,b\",\"c\nd\"\n\"say \"\"x\"\"\",\"\"\"\"\n\"\",\"\"\r\n\"e\",\"f\""),
            table(&[
                &["id", "p"],
                &["a,b", "c\nd"],
                &["say \"x\"", "\""],
                &["", ""],
                &["e", "f"]
            ])
        );
        assert_eq!(read(b"a\nx\"y\"\n"), table(&[&["a"], &["x\"y\""]]));
    }

    #[test]
    fn each_fault_names_its_line() {
        for (bytes, fault) in [
            (&b""[..], "the file is empty"),
            (b"\xEF\xBB\xBF", "the file is empty"),
            (b" \n\n", "the file is empty"),
            (b"\xFF\xFEi\0d\0", "UTF-16"),
            (b"id,p\n1,\xC3\x28\n", "byte 8 (in line 2) is not UTF-8"),
            (b"id,p\n1,2\n3\n", "line 3 has 1 field where the header has 2"),
            (
                b"id,p\n\"1\n1\",2\n3,4,5\n",
                "line 4 has 3 fields where the header has 2",
            ),
            (b"id,p\n1,2\n\n3,4\n", "line 3 is blank"),
            (
                b"id,p\n1,\"2\n3,4\n",
                "a quote that is opened in line 2 is never closed",
            ),
            (b"id,p\n1,\"2\"3\n", "line 2 has text behind a closing quote"),
            (&[b','; 100_000], "the header has more than 100000 columns"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.starts_with(fault) || error.contains(fault), "{error}");
        }
    }
}
