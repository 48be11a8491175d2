//! The part of JSONPath that printer columns use: fields and `[?(@.field=='value')]`.

use serde_json::Value;

/// The first value at `path`, such as `.status.phase` or `.status.conditions[?(@.type=='Ready')].status`.
pub(super) fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let rest = path.strip_prefix('.')?;
    let end = segment_end(rest);
    let (segment, rest) = rest.split_at(end);
    let found = match segment.split_once('[') {
        None => value.get(segment)?,
        Some((field, filter)) => {
            let (key, wanted) = condition(filter)?;
            let items = value.get(field)?.as_array()?;
            items
                .iter()
                .find(|item| item.get(key).is_some_and(|found| found == wanted))?
        }
    };
    if rest.is_empty() {
        Some(found)
    } else {
        find(found, rest)
    }
}

/// Where the segment ends: at the next point that is in no bracket.
fn segment_end(path: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in path.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => return at,
            _ => {}
        }
    }
    path.len()
}

/// Field and value of `?(@.field=='value')]`.
fn condition(filter: &str) -> Option<(&str, &str)> {
    let inner = filter.strip_prefix("?(@.")?.strip_suffix(")]")?;
    let (key, wanted) = inner.split_once("==")?;
    let wanted = wanted.trim().trim_matches(['\'', '"']);
    Some((key.trim(), wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_and_filters_are_followed() {
        let value = json!({"a": {"b": [{"type": "X", "v": 1}, {"type": "Y.Z", "v": 2}]}, "n": null});
        assert_eq!(find(&value, ".a.b[?(@.type=='Y.Z')].v"), Some(&json!(2)));
        assert_eq!(find(&value, ".a.b[?(@.type==\"X\")].v"), Some(&json!(1)));
        assert_eq!(find(&value, ".n"), Some(&Value::Null));
        for nowhere in [".a.c", ".a.b[?(@.type=='Q')].v", ".a.b[0]", "a", ".a.b.v", ""] {
            assert_eq!(find(&value, nowhere), None, "{nowhere}");
        }
    }
}
