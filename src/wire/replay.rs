//! The file of a replay: a YAML list of actions, or the trajectory of an earlier episode.

use serde_json::{Map, Value};

use super::agent::{StepRequest, action};
use super::journal::JournalLine;

/// The actions of a file, or everything that is wrong with it; nothing of a file with a problem is to be done.
pub fn parse(text: &str) -> Result<Vec<StepRequest>, Vec<String>> {
    if text.trim_start().starts_with("{\"type\":") {
        trajectory(text)
    } else {
        list(text)
    }
}

/// Actions of a trajectory as they were sent, failed ones too. A last line that a crash cut short is left out.
fn trajectory(text: &str) -> Result<Vec<StepRequest>, Vec<String>> {
    let mut actions = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(JournalLine::Header(_)) => {}
            Ok(JournalLine::Step(record)) => actions.push(StepRequest {
                action: record.action,
                params: record.params,
            }),
            Err(_) if !line.ends_with('\n') => {}
            Err(error) => problems.push(format!("line {} is not of a trajectory: {error}", index + 1)),
        }
    }
    if problems.is_empty() && actions.is_empty() {
        problems.push("is a trajectory without a single step".into());
    }
    if problems.is_empty() {
        Ok(actions)
    } else {
        Err(problems)
    }
}

fn list(text: &str) -> Result<Vec<StepRequest>, Vec<String>> {
    let document: Value =
        serde_saphyr::from_str(text).map_err(|error| vec![format!("is not YAML: {error}")])?;
    let Value::Array(items) = document else {
        return Err(vec![
            "must be a list of actions, such as `- {action: request_info, params: {info_type: all}}`".into(),
        ]);
    };
    if items.is_empty() {
        return Err(vec!["holds no action".into()]);
    }
    let mut problems = Vec::new();
    let mut actions = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match entry(item) {
            Ok(request) => actions.push(request),
            Err(found) => {
                problems.extend(
                    found
                        .into_iter()
                        .map(|problem| format!("action {}: {problem}", index + 1)),
                );
            }
        }
    }
    if problems.is_empty() {
        Ok(actions)
    } else {
        Err(problems)
    }
}

/// One entry of the list, or everything that is wrong with it.
fn entry(item: Value) -> Result<StepRequest, Vec<String>> {
    let Value::Object(mut item) = item else {
        return Err(vec!["must be a mapping with `action` and `params`".into()]);
    };
    let mut problems = Vec::new();
    let name = match item.remove("action") {
        Some(Value::String(name)) if action::ALL.contains(&name.as_str()) => name,
        Some(Value::String(name)) => {
            problems.push(format!("`{name}` is none of {}", action::ALL.join(", ")));
            name
        }
        Some(other) => {
            problems.push(format!("`action` must be a text and is {other}"));
            String::new()
        }
        None => {
            problems.push(format!("`action` is missing: one of {}", action::ALL.join(", ")));
            String::new()
        }
    };
    let params = match item.remove("params") {
        Some(Value::Object(params)) => params,
        None | Some(Value::Null) => Map::new(),
        Some(other) => {
            problems.push(format!("`params` must be a mapping of arguments and is {other}"));
            Map::new()
        }
    };
    problems.extend(
        item.keys()
            .map(|key| format!("`{key}` is unknown: an action has `action` and `params`")),
    );
    if problems.is_empty() {
        Ok(StepRequest { action: name, params })
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_actions_is_read_with_its_code() {
        let actions = list(
            "- action: request_info\n- action: execute_code\n  params:\n    code: |\n      print(1)\n      print(2)\n",
        )
        .unwrap();
        assert_eq!(actions[0].params, Map::new());
        assert_eq!(actions[1].params["code"], json!("print(1)\nprint(2)\n"));
    }

    #[test]
    fn every_problem_is_named_with_its_index() {
        let problems = list(
            "- action: request_info\n- {action: exectue_code, params: [1]}\n- params: {}\n- 7\n- {action: reset, parms: {}}\n",
        )
        .unwrap_err();
        let expected = [
            "action 2: `exectue_code` is none of",
            "action 2: `params` must be a mapping",
            "action 3: `action` is missing",
            "action 4: must be a mapping",
            "action 5: `parms` is unknown",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn a_file_that_is_no_list_or_empty_is_refused() {
        for text in ["action: reset\n", "[]", "", "- [\n"] {
            assert!(list(text).is_err(), "{text:?}");
        }
    }

    const HEADER: &str = r#"{"type":"header","format":1,"episode":"e","task":"t","config_digest":"","version":"0","seed":0,"started_at":"2026-01-01T00:00:00Z"}"#;

    #[test]
    fn a_trajectory_without_a_step_is_refused() {
        for text in [format!("{HEADER}\n"), "{\"type\":\"step\"}".into()] {
            assert_eq!(
                parse(&text),
                Err(vec!["is a trajectory without a single step".into()]),
                "{text}"
            );
        }
        let problems = parse(&format!("{HEADER}\n{{\"type\":\"step\"}}\n")).unwrap_err();
        assert!(
            problems[0].starts_with("line 2 is not of a trajectory: missing field"),
            "{problems:?}"
        );
    }
}
