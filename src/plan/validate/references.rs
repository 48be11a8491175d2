//! What documents say of each other: names that are taken twice, references that lead nowhere.

use k8s_openapi::ByteString;
use serde_json::Value;

use super::identify::Kind;
use super::wording::{closest, listed};
use super::{Entry, schema};
use crate::wire::replay;

/// Where a kind refers to a file in a ConfigMap, as JSON pointer.
const FILES: &[(Kind, &str)] = &[
    (Kind::Task, "/spec/data/prepare/configMapKeyRef"),
    (Kind::Episode, REPLAY),
];
/// The file of actions that an Episode replays.
const REPLAY: &str = "/spec/agent/replay/configMapKeyRef";

/// Where a kind refers to another object by name, as JSON pointer.
const NAMES: &[(Kind, &str, Kind)] = &[
    (Kind::Episode, "/spec/taskRef", Kind::Task),
    (Kind::Task, "/spec/data/public/configMap", Kind::ConfigMap),
    (Kind::Task, "/spec/data/private/configMap", Kind::ConfigMap),
];

/// Adds the findings that need more than one document.
pub(super) fn check(entries: &mut [Entry]) {
    let findings: Vec<Vec<schema::Finding>> = (0..entries.len())
        .map(|index| {
            let mut found = Vec::new();
            found.extend(duplicate(entries, index));
            found.extend(dangling(entries, &entries[index]));
            found
        })
        .collect();
    for (entry, found) in entries.iter_mut().zip(findings) {
        entry.findings.extend(found);
    }
}

fn duplicate(entries: &[Entry], index: usize) -> Option<schema::Finding> {
    let entry = &entries[index];
    let (kind, name) = (entry.kind?, entry.name()?);
    let first = entries[..index].iter().find(|other| {
        other.kind == Some(kind) && other.name() == Some(name) && other.namespace() == entry.namespace()
    })?;
    let message = format!(
        "{} `{name}` is there already, in {} (document {})",
        kind.name(),
        first.file,
        first.index + 1
    );
    Some(("metadata.name".into(), message))
}

fn dangling(entries: &[Entry], entry: &Entry) -> Vec<schema::Finding> {
    let mut found = Vec::new();
    let references = |pointer: &str| entry.value.pointer(pointer);
    for (_, pointer) in FILES.iter().filter(|(kind, _)| Some(*kind) == entry.kind) {
        if let Some(reference) = references(pointer) {
            match find(entries, entry, Kind::ConfigMap, reference) {
                Err(missing) => found.extend(missing.map(|message| (path_of(pointer, "name"), message))),
                Ok(map) => match missing_key(map, reference) {
                    Some(message) => found.push((path_of(pointer, "key"), message)),
                    None if *pointer == REPLAY => {
                        found.extend(
                            unplayable(map, reference)
                                .into_iter()
                                .map(|message| ("spec.agent.replay".into(), message)),
                        );
                    }
                    None => {}
                },
            }
        }
    }
    for (_, pointer, target) in NAMES.iter().filter(|(kind, ..)| Some(*kind) == entry.kind) {
        if let Some(reference) = references(pointer)
            && let Err(Some(message)) = find(entries, entry, *target, reference)
        {
            found.push((path_of(pointer, "name"), message));
        }
    }
    found
}

fn path_of(pointer: &str, field: &str) -> String {
    schema::field(&pointer.trim_start_matches('/').replace('/', "."), field)
}

/// The object that is referred to, in the namespace of the referring one. `Err(None)`: the reference itself is malformed,
/// which the schema has reported.
fn find<'a>(
    entries: &'a [Entry],
    from: &Entry,
    kind: Kind,
    reference: &Value,
) -> Result<&'a Entry, Option<String>> {
    let name = reference["name"]
        .as_str()
        .filter(|name| !name.is_empty())
        .ok_or(None)?;
    let at_hand = || {
        entries
            .iter()
            .filter(|entry| entry.kind == Some(kind) && entry.namespace() == from.namespace())
    };
    if let Some(found) = at_hand().find(|entry| entry.name() == Some(name)) {
        return Ok(found);
    }
    let names = || at_hand().filter_map(Entry::name);
    let rest = match (closest(name, names()), kind) {
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, Kind::ConfigMap) if names().next().is_none() => {
            "a configMapGenerator makes one: give the directory with its kustomization.yaml".into()
        }
        (None, _) if names().next().is_none() => format!("give the file with the {} as well", kind.name()),
        (None, _) => format!("there is {}", listed(names())),
    };
    Err(Some(format!(
        "there is no {} `{name}` in namespace `{}` among the files; {rest}",
        kind.name(),
        from.namespace()
    )))
}

/// What is wrong with a file of actions.
fn unplayable(map: &Entry, reference: &Value) -> Vec<String> {
    let key = reference["key"].as_str().unwrap_or_default();
    let problems = match map.value["data"][key].as_str() {
        Some(text) => replay::parse(text).err().unwrap_or_default(),
        None => {
            let bytes: Option<ByteString> = serde_json::from_value(map.value["binaryData"][key].clone()).ok();
            match bytes.map(|bytes| String::from_utf8(bytes.0)) {
                Some(Ok(text)) => replay::parse(&text).err().unwrap_or_default(),
                Some(Err(_)) => vec!["is not text in UTF-8".into()],
                None => vec!["is not base64".into()],
            }
        }
    };
    let file = |problem| {
        format!(
            "file `{key}` of ConfigMap `{}`: {problem}",
            map.name().unwrap_or_default()
        )
    };
    problems.into_iter().map(file).collect()
}

fn missing_key(map: &Entry, reference: &Value) -> Option<String> {
    let key = reference["key"].as_str().filter(|key| !key.is_empty())?;
    let keys: Vec<&str> = ["data", "binaryData"]
        .iter()
        .filter_map(|field| map.value[*field].as_object())
        .flat_map(|files| files.keys().map(String::as_str))
        .collect();
    if keys.contains(&key) {
        return None;
    }
    let rest = match closest(key, keys.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("it has {}", listed(keys.iter().copied())),
    };
    Some(format!(
        "ConfigMap `{}` has no key `{key}`; {rest}",
        map.name().unwrap_or_default()
    ))
}
