//! What makes two requests the same: a digest over action and arguments, whatever the order of their keys.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::wire::agent::StepRequest;
use crate::wire::hex;

/// SHA-256 over the canonical JSON of action and arguments, hexadecimal.
pub(super) fn digest(request: &StepRequest) -> String {
    let mut canonical = Value::from(request.action.as_str()).to_string();
    write_object(&request.params, &mut canonical);
    hex(&Sha256::digest(canonical.as_bytes()))
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_value(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(map) => write_object(map, out),
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

fn write_object(map: &Map<String, Value>, out: &mut String) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    out.push('{');
    for (key, value) in entries {
        let _ = write!(out, "{}:", Value::from(key.as_str()));
        write_value(value, out);
        out.push(',');
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        digest(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one = of(r#"{"action":"a","params":{"x":{"b":[1,{"d":1,"c":2}],"a":null},"y":"z"}}"#);
        let two = of(r#"{"params":{"y":"z","x":{"a":null,"b":[1,{"c":2,"d":1}]}},"action":"a"}"#);
        assert_eq!(one, two);
        assert_eq!(one.len(), 64);
    }

    #[test]
    fn everything_else_matters() {
        let all = [
            r#"{"action":"a"}"#,
            r#"{"action":"b"}"#,
            r#"{"action":"a","params":{"x":1}}"#,
            r#"{"action":"a","params":{"x":"1"}}"#,
            r#"{"action":"a","params":{"x":[1,2]}}"#,
            r#"{"action":"a","params":{"x":[2,1]}}"#,
            r#"{"action":"a","params":{"x":[[1],2]}}"#,
            r#"{"action":"a","params":{"x,\"y\":1":1}}"#,
            r#"{"action":"a","params":{"x":1,"y":1}}"#,
        ];
        let digests: std::collections::BTreeSet<_> = all.iter().map(|text| of(text)).collect();
        assert_eq!(digests.len(), all.len());
    }
}
