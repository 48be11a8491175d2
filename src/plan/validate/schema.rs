//! One document against the structural schema of its kind: every problem, and the document as the API server would see
//! it, with defaults filled in.

use regex::Regex;
use serde_json::{Map, Value};

use super::wording::{closest, listed, mismatch, quoted, wrong_type};

/// A problem within a document: path and message.
pub(super) type Finding = (String, String);

/// Checks `value` and fills in defaults. A misspelt field whose meaning is clear is reported once and then taken for what
/// was meant, so that it does not bring further problems with it.
pub(super) fn check(schema: &Value, value: &mut Value) -> Vec<Finding> {
    let mut walk = Walk {
        root: schema,
        findings: Vec::new(),
    };
    walk.node(schema, value, "");
    walk.findings
}

struct Walk<'a> {
    root: &'a Value,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn report(&mut self, path: &str, message: impl Into<String>) {
        self.findings.push((path.to_owned(), message.into()));
    }

    fn node(&mut self, schema: &Value, value: &mut Value, path: &str) {
        if schema["x-kubernetes-int-or-string"] == true {
            match value {
                Value::String(_) => self.text(schema, value, path),
                Value::Number(number) if number.is_i64() => {}
                other => {
                    let hint = match other {
                        Value::Number(_) => format!(": write \"{other}\" with quotes"),
                        _ => String::new(),
                    };
                    let message = format!("expected a quantity, found {}{hint}", quoted(other));
                    self.report(path, message);
                }
            }
            return;
        }
        let wanted = schema["type"].as_str().unwrap_or_default();
        match (wanted, &mut *value) {
            ("object", Value::Object(map)) => self.mapping(schema, map, path),
            ("array", Value::Array(items)) => self.list(schema, items, path),
            ("string", Value::String(_)) => self.text(schema, value, path),
            ("integer", Value::Number(number)) => {
                if let Some(whole) = whole(number) {
                    *number = whole.into();
                    self.range(schema, value, path);
                } else {
                    self.report(path, wrong_type(wanted, value));
                }
            }
            ("number", Value::Number(_)) => self.range(schema, value, path),
            ("boolean", Value::Bool(_)) | ("", _) => {}
            _ => self.report(path, wrong_type(wanted, value)),
        }
    }

    fn mapping(&mut self, schema: &Value, map: &mut Map<String, Value>, path: &str) {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let values = schema
            .get("additionalProperties")
            .filter(|values| values.is_object());
        if values.is_none() && schema["x-kubernetes-preserve-unknown-fields"] != true {
            self.unknown_fields(properties, map, path);
        }
        // As the API server: nothing written is the same as not written.
        map.retain(|_, value| !value.is_null());
        if let Some(most) = schema["maxProperties"].as_u64()
            && map.len() as u64 > most
        {
            self.report(
                path,
                format!("{} entries are more than the maximum {most}", map.len()),
            );
        }
        for (name, property) in properties {
            if let (false, Some(default)) = (map.contains_key(name), property.get("default")) {
                map.insert(name.clone(), default.clone());
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !map.contains_key(name) {
                let meaning = properties.get(name).map_or("", first_sentence);
                let meaning = if meaning.is_empty() {
                    String::new()
                } else {
                    format!(": {meaning}")
                };
                self.report(&field(path, name), format!("this field is required{meaning}"));
            }
        }
        for (name, value) in map.iter_mut() {
            match (properties.get(name), values) {
                (Some(property), _) => self.node(property, value, &field(path, name)),
                (None, Some(values)) => self.node(values, value, &format!("{path}[{name}]")),
                (None, None) => {}
            }
        }
    }

    /// Reports every field that the schema does not have. One that is misspelt gets its right name, one that is not known
    /// is dropped.
    fn unknown_fields(&mut self, properties: &Map<String, Value>, map: &mut Map<String, Value>, path: &str) {
        let unknown: Vec<String> = map
            .keys()
            .filter(|name| !properties.contains_key(*name))
            .cloned()
            .collect();
        for name in unknown {
            let free = properties
                .keys()
                .map(String::as_str)
                .filter(|known| !map.contains_key(*known));
            let message = if let Some(meant) = closest(&name, free) {
                if let Some(value) = map.remove(&name) {
                    map.insert(meant.to_owned(), value);
                }
                format!("unknown field; did you mean `{meant}`?")
            } else {
                map.remove(&name);
                match homes(self.root, &name).as_slice() {
                    [] => format!(
                        "unknown field; known here: {}",
                        listed(properties.keys().map(String::as_str))
                    ),
                    places => format!(
                        "unknown field here; it belongs into {}",
                        listed(places.iter().map(String::as_str))
                    ),
                }
            };
            self.report(&field(path, &name), message);
        }
    }

    fn list(&mut self, schema: &Value, items: &mut [Value], path: &str) {
        let count = items.len() as u64;
        if let Some(most) = schema["maxItems"].as_u64()
            && count > most
        {
            self.report(path, format!("{count} items are more than the maximum {most}"));
        }
        if let Some(least) = schema["minItems"].as_u64()
            && count < least
        {
            self.report(path, format!("{count} items are fewer than the minimum {least}"));
        }
        if let Some(item_schema) = schema.get("items") {
            for (index, item) in items.iter_mut().enumerate() {
                self.node(item_schema, item, &format!("{path}[{index}]"));
            }
        }
        if schema["x-kubernetes-list-type"] == "map" {
            self.unique_keys(schema, items, path);
        }
    }

    fn unique_keys(&mut self, schema: &Value, items: &[Value], path: &str) {
        let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (index, item) in items.iter().enumerate() {
            let same = |other: &Value| keys.iter().all(|key| other[*key] == item[*key]);
            if let Some(first) = items[..index].iter().position(same) {
                let key = keys.first().copied().unwrap_or_default();
                let message = format!("{} is there already, at {path}[{first}]", quoted(&item[key]));
                self.report(&field(&format!("{path}[{index}]"), key), message);
            }
        }
    }

    fn text(&mut self, schema: &Value, value: &Value, path: &str) {
        let text = value.as_str().unwrap_or_default();
        if let Some(allowed) = schema["enum"].as_array() {
            if !allowed.contains(value) {
                let names = || allowed.iter().filter_map(Value::as_str);
                let message = match closest(text, names()) {
                    Some(meant) => format!(
                        "{} is not one of {}; did you mean `{meant}`?",
                        quoted(value),
                        listed(names())
                    ),
                    None => format!("{} is not one of {}", quoted(value), listed(names())),
                };
                self.report(path, message);
            }
            return;
        }
        let length = text.chars().count() as u64;
        let pattern = schema["pattern"].as_str();
        if let Some(most) = schema["maxLength"].as_u64()
            && length > most
        {
            self.report(
                path,
                format!("{length} characters are more than the maximum {most}"),
            );
        } else if length == 0 && schema["minLength"].as_u64().is_some_and(|least| least > 0) {
            self.report(path, "must not be empty");
        } else if let Some(pattern) = pattern
            && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
        {
            self.report(path, mismatch(pattern, value));
        } else if let Some(least) = schema["minLength"].as_u64()
            && length < least
        {
            self.report(
                path,
                format!("{length} characters are fewer than the minimum {least}"),
            );
        }
    }

    fn range(&mut self, schema: &Value, value: &Value, path: &str) {
        let number = value.as_f64().unwrap_or(f64::NAN);
        let (low, high) = match schema["format"].as_str() {
            Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let least = schema["minimum"].as_f64().unwrap_or(low);
        let most = schema["maximum"].as_f64().unwrap_or(high);
        if number < least {
            self.report(path, format!("{value} is less than the minimum {least}"));
        } else if number > most {
            self.report(path, format!("{value} is more than the maximum {most}"));
        }
    }
}

/// The number as a whole one: `15` and `15.0` are, `15.5` is not.
fn whole(number: &serde_json::Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        #[allow(clippy::cast_possible_truncation)] // checked: whole, and within the range of exact floats
        (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
    })
}

/// Path of a field of the object at `path`.
pub(super) fn field(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn first_sentence(property: &Value) -> &str {
    let text = property["description"].as_str().unwrap_or_default();
    let line = text.split('\n').next().unwrap_or_default();
    line.split_once(". ")
        .map_or(line, |(sentence, _)| sentence)
        .trim_end_matches('.')
}

/// Paths of the objects below `spec` that have a field of exactly this name.
fn homes(root: &Value, name: &str) -> Vec<String> {
    fn search(schema: &Value, name: &str, path: &str, found: &mut Vec<String>) {
        let Some(properties) = schema["properties"].as_object() else {
            return;
        };
        if properties.contains_key(name) {
            found.push(path.to_owned());
        }
        for (child, property) in properties {
            search(property, name, &field(path, child), found);
        }
    }
    let mut found = Vec::new();
    search(&root["properties"]["spec"], name, "spec", &mut found);
    found
}
