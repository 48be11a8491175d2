//! How problems are put into words.

use serde_json::Value;

use crate::api::common::{
    DURATION_PATTERN, IMAGE_PATTERN, KEY_PATTERN, NAME_PATTERN, QUANTITY_PATTERN, RELATIVE_FILE_PATTERN,
};

/// Longest piece of a user's text that a message quotes, in characters.
const QUOTED: usize = 60;
/// Most alternatives that a message lists.
const LISTED: usize = 24;

/// What to write where a pattern does not match.
const PATTERN_HINTS: &[(&str, &str)] = &[
    (DURATION_PATTERN, "write a duration such as 30s, 90m or 1h30m"),
    (QUANTITY_PATTERN, "write a quantity such as 500m, 4 or 2Gi"),
    (
        NAME_PATTERN,
        "write lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit",
    ),
    (KEY_PATTERN, "write letters, digits, `-`, `_` and `.`"),
    (
        RELATIVE_FILE_PATTERN,
        "write a path below the directory: not absolute, without `..`, spaces or hidden names",
    ),
    (IMAGE_PATTERN, "write an image reference without spaces"),
];

/// A value as the user wrote it, shortened.
pub(super) fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let mut short: String = text.chars().take(QUOTED).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            format!("{short:?}")
        }
        Value::Object(_) => "a mapping".into(),
        Value::Array(_) => "a list".into(),
        Value::Null => "nothing".into(),
        other => other.to_string(),
    }
}

/// What a wrong type is, what is wanted, and the way from one to the other.
pub(super) fn wrong_type(wanted: &str, found: &Value) -> String {
    let name = match wanted {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    };
    let found_name = match found {
        Value::String(_) => format!("the text {}", quoted(found)),
        other => quoted(other),
    };
    let hint = match (wanted, found) {
        ("string", Value::Number(_)) => format!(": write \"{found}\" with quotes"),
        // What was written may have been `y`, `on` or `No`.
        ("string", Value::Bool(_)) => ": put the text in quotes".into(),
        ("integer" | "number", Value::String(text)) if text.parse::<f64>().is_ok() => {
            format!(": write {text} without quotes")
        }
        ("boolean", Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
            format!(": write {text} without quotes")
        }
        ("array", Value::String(_) | Value::Object(_)) => ": begin each item with `- `".into(),
        _ => String::new(),
    };
    format!("expected {name}, found {found_name}{hint}")
}

/// Why a text does not match a pattern.
pub(super) fn mismatch(pattern: &str, found: &Value) -> String {
    match PATTERN_HINTS.iter().find(|(known, _)| *known == pattern) {
        Some((_, hint)) => format!("{} is not accepted: {hint}", quoted(found)),
        None => format!("{} does not match {pattern}", quoted(found)),
    }
}

/// `a, b and c`; `none` when empty; cut when long.
pub(super) fn listed<'a>(known: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    match all.as_slice() {
        [] => "none".into(),
        [one] => one.clone(),
        many if many.len() > LISTED => {
            format!("{} and {} more", many[..LISTED].join(", "), many.len() - LISTED)
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The known name that a typing error could have made into `written`: up to one error in four characters, or another
/// spelling in capitals, `-` and `_`.
pub(super) fn closest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| -> Vec<char> {
        name.chars()
            .filter(|c| !matches!(c, '-' | '_' | ' '))
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    let target = plain(written);
    known
        .map(|name| (distance(&target, &plain(name)), name))
        .filter(|(errors, name)| *errors * 4 <= name.len().max(4))
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, name)| name)
}

/// Number of insertions, deletions, replacements and swaps of neighbours that make `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, cb) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(ca != cb);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn typing_errors_find_the_name_that_was_meant() {
        let known = || ["steps", "wallClock", "actionTimeout", "taskRef"].into_iter();
        for (written, meant) in [
            ("step", Some("steps")),
            ("setps", Some("steps")),
            ("wall_clock", Some("wallClock")),
            ("wallclock", Some("wallClock")),
            ("actoinTimeuot", Some("actionTimeout")),
            ("taskref", Some("taskRef")),
            ("memory", None),
            ("", None),
        ] {
            assert_eq!(closest(written, known()), meant, "{written}");
        }
    }

    #[test]
    fn a_wrong_type_says_how_to_write_it() {
        assert_eq!(
            wrong_type("integer", &json!("15")),
            r#"expected a whole number, found the text "15": write 15 without quotes"#
        );
        assert_eq!(
            wrong_type("string", &json!(7)),
            r#"expected text, found 7: write "7" with quotes"#
        );
        assert_eq!(
            wrong_type("object", &json!([1])),
            "expected a mapping, found a list"
        );
        assert_eq!(
            wrong_type("boolean", &Value::Null),
            "expected true or false, found nothing"
        );
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let message = mismatch("^a$", &json!("é".repeat(500)));
        assert!(message.chars().count() < 120, "{message}");
    }
}
