//! Single cells: numbers, truth values, and how a cell is shown in a message.

/// Why a cell is not a finite number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NotNumber {
    /// Nothing, or only spaces.
    Blank,
    /// Written as NaN.
    Nan,
    /// Infinite, or beyond the range of a 64-bit number.
    Infinite,
    /// Anything else.
    Text,
}

/// Reads a finite number in decimal or scientific notation; spaces around it do not count.
#[inline]
pub(super) fn number(text: &str) -> Result<f64, NotNumber> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => unusual_number(text),
    }
}

#[cold]
fn unusual_number(text: &str) -> Result<f64, NotNumber> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NotNumber::Blank);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(value) if value.is_nan() => Err(NotNumber::Nan),
        Ok(_) => Err(NotNumber::Infinite),
        Err(_) => Err(NotNumber::Text),
    }
}

/// Reads `true` or `false` in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Characters of a foreign text that a message shows.
const SHOWN_CHARACTERS: usize = 40;
/// Elements of a list that a message shows.
const SHOWN_ELEMENTS: usize = 5;

/// A foreign text for a message: in backticks, cut, and without characters that a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::from("`");
    for character in text.chars().take(SHOWN_CHARACTERS) {
        match character {
            '"' | '\'' | '\\' => out.push(character),
            '`' => out.push('\''),
            _ => out.extend(character.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

/// The first few texts of a list, and how many there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Few {
    shown: Vec<String>,
    /// Length of the list.
    pub(super) count: usize,
}

impl Few {
    /// Adds to the end of the list.
    pub(super) fn push(&mut self, text: &str) {
        self.count += 1;
        if self.shown.len() < SHOWN_ELEMENTS {
            self.shown.push(shown(text));
        }
    }

    /// The list for a message: `` `a`, `b` and 3 more ``.
    pub(super) fn list(&self) -> String {
        let mut list = self.shown.join(", ");
        if self.count > self.shown.len() {
            list.push_str(&format!(" and {} more", self.count - self.shown.len()));
        }
        list
    }
}

impl<T: AsRef<str>> FromIterator<T> for Few {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut few = Self::default();
        texts.into_iter().for_each(|text| few.push(text.as_ref()));
        few
    }
}

/// `1 row`, `2 rows`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_programs_write_them() {
        for (text, value) in [
            ("1", 1.0),
            ("-0.5", -0.5),
            ("+2", 2.0),
            (" 3 ", 3.0),
            ("1e-300", 1e-300),
            ("1.7976931348623157E308", f64::MAX),
            ("5e-324", 5e-324),
            (".5", 0.5),
            ("4.", 4.0),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_finite_number_says_why() {
        for (text, why) in [
            ("", NotNumber::Blank),
            ("  ", NotNumber::Blank),
            ("nan", NotNumber::Nan),
            ("-NaN", NotNumber::Nan),
            ("inf", NotNumber::Infinite),
            ("-Infinity", NotNumber::Infinite),
            ("1e999", NotNumber::Infinite),
            ("NA", NotNumber::Text),
            ("None", NotNumber::Text),
            ("1_000", NotNumber::Text),
            ("0x10", NotNumber::Text),
            ("1 2", NotNumber::Text),
            ("True", NotNumber::Text),
        ] {
            assert_eq!(number(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_shown_text_is_short_and_obeys_nothing() {
        assert_eq!(shown("a\"b"), "`a\"b`");
        assert_eq!(shown("\u{1b}[31m`\n\u{202e}"), "`\\u{1b}[31m'\\n\\u{202e}`");
        assert_eq!(shown(&"é".repeat(1000)), format!("`{}…`", "é".repeat(40)));
    }

    #[test]
    fn a_long_list_is_cut_with_its_length() {
        let few: Few = (0..7).map(|i| i.to_string()).collect();
        assert_eq!(few.list(), "`0`, `1`, `2`, `3`, `4` and 2 more");
        assert_eq!(["x"].iter().collect::<Few>().list(), "`x`");
    }
}
