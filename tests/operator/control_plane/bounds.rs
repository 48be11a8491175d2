//! Every bound, pattern, list of words, required field and unknown field: refused here and there.

use std::collections::BTreeSet;

use mledojo::plan::Problem;
use regex::Regex;
use serde_json::{Value, json};

use super::{cell, dry_create, full_container, full_replay, full_task, local, own_schemas, schemas, sources};
use crate::stage::{Access, Space, play};

/// Texts, of which some pattern or other takes none.
const ODD: [&str; 9] = ["!!", "!", " ", "-", "..", "/a", "a b", "\u{7}", "Ä"];
/// Above this a violation would be a megabyte of YAML.
const LARGEST: u64 = 70_000;

/// One way to be wrong.
struct Breach {
    /// JSON pointer of the value that is wrong or missing.
    pointer: String,
    what: String,
    /// What stands there; none: nothing does.
    value: Option<Value>,
}

/// Every way in which the value at `pointer` can break its schema, its children's included.
fn breaches(schema: &Value, value: &Value, pointer: &str, found: &mut Vec<Breach>) {
    let mut add = |what: String, value: Value| {
        found.push(Breach {
            pointer: pointer.to_owned(),
            what,
            value: Some(value),
        });
    };
    let bound = |keyword: &str| schema[keyword].as_u64().filter(|bound| *bound <= LARGEST);
    let length = |bound: u64| usize::try_from(bound).unwrap();
    if let Some(words) = schema["enum"].as_array() {
        add(format!("not one of {}", words.len()), json!("Nonsense"));
    } else if value.is_string() {
        if let Some(most) = bound("maxLength") {
            add(format!("maxLength {most}"), json!("a".repeat(length(most) + 1)));
        }
        if let Some(least) = bound("minLength").filter(|least| *least > 0) {
            add(format!("minLength {least}"), json!("a".repeat(length(least) - 1)));
        }
        if let Some(pattern) = schema["pattern"].as_str() {
            let regex = Regex::new(pattern).unwrap();
            let odd = ODD.iter().find(|odd| !regex.is_match(odd)).unwrap();
            add(format!("pattern {pattern}"), json!(odd));
        }
    }
    if value.is_number() {
        if let Some(least) = schema["minimum"].as_f64() {
            add(format!("minimum {least}"), whole(least - 1.0));
        }
        if let Some(most) = schema["maximum"].as_f64() {
            add(format!("maximum {most}"), whole(most + 1.0));
        }
    }
    if let Some(items) = value.as_array() {
        if let Some(most) = bound("maxItems") {
            add(
                format!("maxItems {most}"),
                vec![items[0].clone(); length(most) + 1].into(),
            );
        }
        if bound("minItems").is_some_and(|least| least > 0) {
            add("minItems".into(), json!([]));
        }
        if schema["x-kubernetes-list-type"] == "map" {
            add("the same key twice".into(), vec![items[0].clone(); 2].into());
        }
        breaches(&schema["items"], &items[0], &format!("{pointer}/0"), found);
    } else if let Some(map) = value.as_object() {
        if let Some(most) = bound("maxProperties") {
            let many: serde_json::Map<String, Value> = (0..=most)
                .map(|index| (format!("k{index}"), json!("v")))
                .collect();
            add(format!("maxProperties {most}"), many.into());
        }
        let values = schema.get("additionalProperties");
        for (name, child) in map {
            let child_schema = values.unwrap_or_else(|| &schema["properties"][name]);
            breaches(child_schema, child, &format!("{pointer}/{name}"), found);
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            found.push(Breach {
                pointer: format!("{pointer}/{}", name.as_str().unwrap()),
                what: "required".into(),
                value: None,
            });
        }
        if values.is_none() {
            found.push(Breach {
                pointer: format!("{pointer}/unheardOf"),
                what: "unknown".into(),
                value: Some(json!("x")),
            });
        }
    }
}

fn whole(number: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)] // bounds are whole numbers within the range of exact floats
    let number = number as i64;
    number.into()
}

/// `object` with the breach in it.
fn broken(object: &Value, breach: &Breach) -> Value {
    let mut object = object.clone();
    let (parent, name) = breach.pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match (&breach.value, parent) {
        (Some(value), Value::Array(items)) => items[name.parse::<usize>().unwrap()] = value.clone(),
        (Some(value), parent) => parent[name] = value.clone(),
        (None, parent) => {
            parent.as_object_mut().unwrap().shift_remove(name);
        }
    }
    object
}

/// `/spec/agent/env/0/name` as the local runner writes it: `spec.agent.env[0].name`.
fn written(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            path += &format!("[{part}]");
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path += part;
        }
    }
    path
}

/// Whether a problem is about the value at `pointer`, or about what stands in it.
fn is_about(problem: &Problem, pointer: &str) -> bool {
    let path = written(pointer);
    if problem.path.starts_with(&path) {
        return true;
    }
    // Entries of mappings stand in brackets.
    path.rsplit_once('.')
        .is_some_and(|(parent, key)| problem.path == format!("{parent}[{key}]"))
}

/// Between them every field of every kind.
fn objects() -> Vec<Value> {
    let mut objects: Vec<Value> = sources().iter().map(full_task).collect();
    objects.extend([full_replay(), full_container()]);
    objects
}

/// Kind, breach and broken object; each breach of a kind once, since the objects have much in common.
fn all_breaches(schemas: &[(String, Value)]) -> Vec<(String, Breach, Value)> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for object in objects() {
        let kind = object["kind"].as_str().unwrap();
        let (_, schema) = schemas.iter().find(|(name, _)| name == kind).unwrap();
        let mut found = Vec::new();
        breaches(
            &schema["properties"]["spec"],
            &object["spec"],
            "/spec",
            &mut found,
        );
        for breach in found {
            let place = format!("{kind}{} {}", breach.pointer, breach.what);
            if seen.insert(place.clone()) {
                let wrong = broken(&object, &breach);
                all.push((place, breach, wrong));
            }
        }
    }
    all
}

/// What the local runner says of a breach.
fn said_locally(place: &str, breach: &Breach, wrong: &Value) -> Problem {
    let Err(problems) = local(wrong) else {
        panic!("{place}: the local runner takes it");
    };
    problems
        .iter()
        .find(|problem| is_about(problem, &breach.pointer))
        .unwrap_or_else(|| panic!("{place}: the local runner speaks of something else: {problems:?}"))
        .clone()
}

#[test]
fn every_bound_and_every_unknown_field_is_refused_by_the_local_runner() {
    for object in objects() {
        local(&object).unwrap_or_else(|problems| panic!("{object} is refused: {problems:?}"));
    }
    let all = all_breaches(&own_schemas());
    for (place, breach, wrong) in &all {
        said_locally(place, breach, wrong);
    }
    assert!(all.len() > 100, "only {} ways to be wrong were tried", all.len());
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn every_bound_and_every_unknown_field_is_refused_here_and_there() {
    play("bounds", Access::Shared, async |space: &Space| {
        for object in objects() {
            dry_create(space, &object)
                .await
                .unwrap_or_else(|status| panic!("the API server refuses {object}: {}", status.message));
        }
        let all = all_breaches(&schemas(space).await);
        for (place, breach, wrong) in &all {
            let Err(status) = dry_create(space, wrong).await else {
                panic!("{place}: the API server takes it");
            };
            assert!([400, 422].contains(&status.code), "{place}: {status:?}");
            println!(
                "{place:<80} | {:<COLUMN$} | {}",
                cell(status.message.split_once(": ").map_or("", |(_, rest)| rest)),
                cell(&said_locally(place, breach, wrong).message),
                COLUMN = super::COLUMN
            );
        }
        println!("{} ways to be wrong, refused here and there", all.len());
    });
}
