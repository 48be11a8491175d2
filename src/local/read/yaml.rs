//! One YAML text to documents. Pure.

use serde_json::Value;
use serde_saphyr::{MessageFormatter, UserMessageFormatter};

use crate::plan::{Document, Problem};

/// A problem that concerns a whole file.
pub fn whole_file(file: &str, message: impl Into<String>) -> Problem {
    Problem {
        file: file.to_owned(),
        document: None,
        path: String::new(),
        message: message.into(),
    }
}

/// The documents of one text, a `v1` `List` taken apart into its items; empty documents are left out.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Document>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        whole_file(
            file,
            format!("is not UTF-8 text: byte {} cannot be read", error.valid_up_to()),
        )
    })?;
    let values: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| not_yaml(file, &error))?;
    let documents = values
        .into_iter()
        .filter(|value| !value.is_null())
        .flat_map(items)
        .enumerate()
        .map(|(index, value)| Document {
            file: file.to_owned(),
            index,
            value,
        });
    Ok(documents.collect())
}

/// What `kubectl get -o yaml` prints for several objects is a List; it can be fed back as it is.
fn items(mut value: Value) -> Vec<Value> {
    let is_list = value["apiVersion"] == "v1" && value["kind"] == "List";
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => items,
        Some(other) => {
            value["items"] = other;
            vec![value]
        }
        None => vec![value],
    }
}

fn not_yaml(file: &str, error: &serde_saphyr::Error) -> Problem {
    let error = error.without_snippet();
    let text = UserMessageFormatter
        .format_message(error)
        .replace(char::is_control, " ");
    let message = match error.location() {
        Some(at) => format!(
            "line {}, column {}: not valid YAML: {text}",
            at.line(),
            at.column()
        ),
        None => format!("not valid YAML: {text}"),
    };
    whole_file(file, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(text: &str) -> Vec<Value> {
        parse("a.yaml", text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|document| document.value)
            .collect()
    }

    #[test]
    fn documents_are_split_and_empty_ones_left_out() {
        let text = "# only a comment\n---\nkind: Task\n---\n---\n# nothing\n---\nkind: Episode\n";
        assert_eq!(
            values(text),
            [json!({"kind": "Task"}), json!({"kind": "Episode"})]
        );
        assert_eq!(values(""), Vec::<Value>::new());
        assert_eq!(parse("a.yaml", text.as_bytes()).unwrap()[1].index, 1);
    }

    #[test]
    fn a_list_is_taken_apart() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- kind: Task\n- kind: Episode\n";
        assert_eq!(
            values(text),
            [json!({"kind": "Task"}), json!({"kind": "Episode"})]
        );
        let other = "apiVersion: v2\nkind: List\nitems: [1]\n";
        assert_eq!(
            values(other),
            [json!({"apiVersion": "v2", "kind": "List", "items": [1]})]
        );
    }

    #[test]
    fn an_error_names_line_and_column_once() {
        for (text, place) in [
            ("kind: Task\nspec: [1, 2\nother: 3\n", "line 3, column "),
            (
                "kind: Task\n\tspec: 1\n",
                "line 1, column 7: not valid YAML: while scanning a plain scalar, found a tab",
            ),
            ("kind: Task\n---\nkind: Episode\nkind: Task\n", "line 4, column 1"),
        ] {
            let problem = parse("a.yaml", text.as_bytes()).unwrap_err();
            assert!(problem.message.starts_with(place), "{}", problem.message);
            assert_eq!(
                problem.message.matches("line ").count(),
                1,
                "the place is said once: {}",
                problem.message
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let problem = parse("a.yaml", b"kind: \xff").unwrap_err();
        assert_eq!(
            problem.to_string(),
            "a.yaml: is not UTF-8 text: byte 6 cannot be read"
        );
    }
}
