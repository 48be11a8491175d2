//! Finds the Task that `--task` names.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::api::{GROUP, Task};

/// Reads the Task of `FILE|DIR[#NAME]`.
pub(super) fn find(selector: &str) -> Result<Task, String> {
    let (path, name) = split(selector);
    let mut tasks = Vec::new();
    for file in files(path)? {
        read(&file, &mut tasks)?;
    }
    let names: Vec<String> = tasks.iter().map(|(name, ..)| name.clone()).collect();
    if let Some(name) = name {
        tasks.retain(|(other, ..)| other == name);
    }
    let several = tasks.len() > 1;
    match (tasks.pop(), name) {
        (Some((name, file, task)), _) if !several => {
            serde_json::from_value(task).map_err(|error| format!("{}: Task {name}: {error}", file.display()))
        }
        (Some(_), None) => Err(format!(
            "{} has several Tasks: pick one as {}#NAME, from {}",
            path.display(),
            path.display(),
            names.join(", ")
        )),
        (Some((_, file, _)), Some(name)) => {
            Err(format!("{}: several Tasks are called {name}", file.display()))
        }
        (None, Some(name)) if !names.is_empty() => Err(format!(
            "{} has no Task {name}; it has {}",
            path.display(),
            names.join(", ")
        )),
        (None, _) => Err(format!("{} has no Task", path.display())),
    }
}

/// Path and name. A path that exists may have a `#` of its own.
fn split(selector: &str) -> (&Path, Option<&str>) {
    match selector.rsplit_once('#') {
        Some((path, name)) if !Path::new(selector).exists() => (Path::new(path), Some(name)),
        _ => (Path::new(selector), None),
    }
}

/// The file itself, or the YAML files of a directory in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml" || extension == "yml")
        })
        .collect();
    files.sort();
    Ok(files)
}

/// Adds the Tasks among the documents of one file, as `(name, file, document)`.
fn read(file: &Path, tasks: &mut Vec<(String, PathBuf, Value)>) -> Result<(), String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|error| format!("{} is not YAML: {error}", file.display()))?;
    for document in documents {
        let text = |pointer: &str| {
            document
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let ours = text("/apiVersion").split('/').next() == Some(GROUP);
        if ours && text("/kind") == "Task" {
            let name = text("/metadata/name").to_owned();
            tasks.push((name, file.to_owned(), document));
        }
    }
    Ok(())
}
