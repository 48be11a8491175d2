//! How values read in feedback: numbers, times, sizes, names, and text that was too long.

use std::borrow::Cow;

/// Longest name of an agent's making that is repeated to it, in bytes.
const MAX_NAME: usize = 64;

/// A score with six significant digits.
pub(super) fn score(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.abs().to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-5..15).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let decimals = usize::try_from(5 - magnitude).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A length of time as people say it: `0.42 s`, `3 min 20 s`, `11 h 58 min`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 59.995 {
        let text = format!("{seconds:.2}");
        return format!("{} s", text.trim_end_matches('0').trim_end_matches('.'));
    }
    let whole = seconds.round() as u64;
    let (large, large_unit, small, small_unit) = if whole < 3600 {
        (whole / 60, "min", whole % 60, "s")
    } else {
        (whole / 3600, "h", whole % 3600 / 60, "min")
    };
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// A number of bytes: `512 B`, `12.3 kB`, `1.5 GB`, in powers of 1000.
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    if value < 1000.0 {
        return format!("{bytes} B");
    }
    let mut unit = "";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        value /= 1000.0;
        unit = next;
        if value < 999.95 {
            break;
        }
    }
    format!("{value:.1} {unit}")
}

/// Names with commas and `and`.
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A name of an agent's making, on one line and not too long.
pub(super) fn name(text: &str) -> String {
    clip(&one_line(text), MAX_NAME, 0).into_owned()
}

/// `text` on one line: control characters become spaces.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.replace(char::is_control, " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// `text`, or its first `head` and last `tail` bytes with the number of bytes between them.
pub(super) fn clip(text: &str, head: usize, tail: usize) -> Cow<'_, str> {
    if text.len() <= head + tail {
        return Cow::Borrowed(text);
    }
    let head = (0..=head)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let tail = (text.len() - tail..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    Cow::Owned(format!(
        "{}… [{} bytes left out]{}",
        &text[..head],
        tail - head,
        &text[tail..]
    ))
}

/// Appends `text` and a line end, unless it has one.
pub(super) fn push_block(out: &mut String, text: &str) {
    out.push_str(text);
    if !text.ends_with('\n') {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_reads_with_six_significant_digits() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (0.912_345_678, "0.912346"),
            (0.999_999_9, "1"),
            (-3.25, "-3.25"),
            (1_234.567_89, "1234.57"),
            (98_765_432.1, "98765432"),
            (0.000_012_345_678, "0.0000123457"),
            (1.5e-9, "1.50000e-9"),
            (-2e20, "-2.00000e20"),
            (100_000.0, "100000"),
        ];
        for (value, text) in cases {
            assert_eq!(score(value), text);
        }
    }

    #[test]
    fn a_duration_reads_as_people_say_it() {
        let cases = [
            (0.0, "0 s"),
            (0.421, "0.42 s"),
            (5.0, "5 s"),
            (10.0, "10 s"),
            (59.99, "59.99 s"),
            (59.999, "1 min"),
            (200.0, "3 min 20 s"),
            (3_600.0, "1 h"),
            (43_080.0, "11 h 58 min"),
            (3_599.9, "1 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_size_reads_with_one_decimal() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_345, "12.3 kB"),
            (999_960, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_cut_falls_between_characters_and_says_how_much_is_missing() {
        assert_eq!(clip("abc", 3, 0), "abc");
        assert_eq!(clip("abcdef", 2, 1), "ab… [3 bytes left out]f");
        assert_eq!(clip("ééé", 3, 1), "é… [4 bytes left out]");
    }

    #[test]
    fn a_name_stays_on_one_line() {
        assert_eq!(name("a\nb\u{1b}[0m"), "a b [0m");
    }

    #[test]
    fn names_are_listed_with_and() {
        assert_eq!(list(&[]), "");
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
