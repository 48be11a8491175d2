//! Files and directories to documents, as `kubectl apply -f` and `-k` would read them.

mod kustomization;
mod yaml;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::layout::dir_of;
use crate::plan::{Document, Problem};
use kustomization::{Generator, Kustomization};
use yaml::whole_file;

const KUSTOMIZATION_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Largest content of a ConfigMap that the API server takes, in bytes.
const MAX_CONFIG_MAP: usize = 1024 * 1024;

/// Reads every document of these files and directories, in their order; every problem at once.
///
/// A directory with a kustomization is read as that says (the subset that [`kustomization`] tells); another directory gives its
/// `*.yaml` and `*.yml` in the order of their names, its subdirectories left alone. `spec.data.path` of a Task is made
/// absolute, relative to its file.
pub fn documents(paths: &[PathBuf]) -> Result<Vec<Document>, Vec<Problem>> {
    let mut reader = Reader::default();
    for path in paths {
        reader.path(path);
    }
    if reader.problems.is_empty() {
        Ok(reader.documents)
    } else {
        Err(reader.problems)
    }
}

#[derive(Default)]
struct Reader {
    documents: Vec<Document>,
    problems: Vec<Problem>,
    /// Kustomizations that are being read, outermost first, by their real directory.
    open: Vec<PathBuf>,
}

impl Reader {
    fn problem(&mut self, file: &Path, message: impl Into<String>) {
        self.problems.push(whole_file(&shown(file), message));
    }

    /// What the user named on the command line.
    fn path(&mut self, path: &Path) {
        let is_kustomization = path
            .file_name()
            .is_some_and(|name| KUSTOMIZATION_NAMES.iter().any(|known| name == *known));
        if path.is_dir() {
            match kustomization_of(path) {
                Some(file) => self.kustomization(path, &file),
                None => self.directory(path),
            }
        } else if is_kustomization {
            self.kustomization(dir_of(path), path);
        } else {
            self.file(path);
        }
    }

    fn directory(&mut self, dir: &Path) {
        let entries = match fs::read_dir(dir).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()) {
            Ok(entries) => entries,
            Err(error) => return self.problem(dir, format!("cannot be read: {error}")),
        };
        let mut files: Vec<PathBuf> = entries
            .iter()
            .map(fs::DirEntry::path)
            .filter(|path| is_yaml(path))
            .collect();
        files.sort();
        if files.is_empty() {
            self.problem(
                dir,
                "has neither a kustomization.yaml nor any *.yaml or *.yml file",
            );
        }
        for file in files {
            self.file(&file);
        }
    }

    fn file(&mut self, path: &Path) {
        let parsed = read(path).and_then(|bytes| yaml::parse(&shown(path), &bytes));
        match parsed {
            Ok(mut documents) => {
                for document in &mut documents {
                    resolve_data_path(&mut document.value, path);
                }
                self.documents.append(&mut documents);
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    fn kustomization(&mut self, dir: &Path, file: &Path) {
        let root = match fs::canonicalize(dir) {
            Ok(root) => root,
            Err(error) => return self.problem(dir, format!("cannot be read: {error}")),
        };
        if self.open.contains(&root) {
            return self.problem(
                file,
                "takes itself in, through its own resources: remove the circle",
            );
        }
        let parsed = read(file).and_then(|bytes| yaml::parse(&shown(file), &bytes));
        let content = match parsed {
            Ok(mut documents) if documents.len() == 1 => documents.remove(0).value,
            Ok(documents) => {
                return self.problem(file, format!("must be one document, it has {}", documents.len()));
            }
            Err(problem) => return self.problems.push(problem),
        };
        let asked = match kustomization::parse(&content) {
            Ok(asked) => asked,
            Err(faults) => {
                self.problems
                    .extend(faults.into_iter().map(|(path, message)| Problem {
                        path,
                        ..whole_file(&shown(file), message)
                    }));
                return;
            }
        };
        let first = self.documents.len();
        self.open.push(root.clone());
        self.resources(dir, file, &root, &asked);
        self.open.pop();
        for (index, generator) in asked.generators.iter().enumerate() {
            self.config_map(dir, file, &root, index, generator);
        }
        if let Some(namespace) = &asked.namespace {
            for document in &mut self.documents[first..] {
                set_namespace(&mut document.value, namespace);
            }
        }
    }

    fn resources(&mut self, dir: &Path, file: &Path, root: &Path, asked: &Kustomization) {
        for (index, resource) in asked.resources.iter().enumerate() {
            let at = |message: String| Problem {
                path: format!("resources[{index}]"),
                ..whole_file(&shown(file), message)
            };
            if resource.contains("://") || resource.contains("?ref=") || resource.starts_with("git@") {
                self.problems.push(at(format!(
                    "{resource:?} is not on this machine: remote resources are not supported, fetch it first"
                )));
                continue;
            }
            let path = dir.join(resource);
            if path.is_dir() {
                match kustomization_of(&path) {
                    Some(inner) => self.kustomization(&path, &inner),
                    None => self.problems.push(at(format!(
                        "{resource:?} is a directory without kustomization.yaml; kustomize takes none, name its files"
                    ))),
                }
                continue;
            }
            match inside(root, &path, resource) {
                Ok(()) => self.file(&path),
                Err(message) => self.problems.push(at(message)),
            }
        }
    }

    fn config_map(&mut self, dir: &Path, file: &Path, root: &Path, index: usize, generator: &Generator) {
        let mut data = Map::new();
        for (position, (key, name)) in generator.files.iter().enumerate() {
            let path = dir.join(name);
            let content = inside(root, &path, name).and_then(|()| {
                let bytes = read(&path).map_err(|problem| format!("{name:?} {}", problem.message))?;
                String::from_utf8(bytes).map_err(|_| format!("{name:?} is not UTF-8 text"))
            });
            match content {
                Ok(text) => {
                    data.insert(key.clone(), Value::String(text));
                }
                Err(message) => self.problems.push(Problem {
                    path: format!("configMapGenerator[{index}].files[{position}]"),
                    ..whole_file(&shown(file), message)
                }),
            }
        }
        for (key, value) in &generator.literals {
            data.insert(key.clone(), Value::String(value.clone()));
        }
        let size: usize = data.values().filter_map(Value::as_str).map(str::len).sum();
        if size > MAX_CONFIG_MAP {
            self.problems.push(Problem {
                path: format!("configMapGenerator[{index}]"),
                ..whole_file(
                    &shown(file),
                    format!(
                        "{size} bytes are more than a ConfigMap may hold ({MAX_CONFIG_MAP}): \
                         let prepare fetch or make large data"
                    ),
                )
            });
        }
        let mut value = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator.name},
            "data": data,
        });
        if let Some(namespace) = &generator.namespace {
            set_namespace(&mut value, namespace);
        }
        self.documents.push(Document {
            file: shown(file),
            index,
            value,
        });
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn is_yaml(path: &Path) -> bool {
    path.is_file()
        && path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn kustomization_of(dir: &Path) -> Option<PathBuf> {
    KUSTOMIZATION_NAMES
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file())
}

/// Reads a regular file: a FIFO would never end.
fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let file = shown(path);
    let facts = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => whole_file(&file, "does not exist"),
        _ => whole_file(&file, format!("cannot be read: {error}")),
    })?;
    if !facts.is_file() {
        return Err(whole_file(&file, "is not a regular file"));
    }
    fs::read(path).map_err(|error| whole_file(&file, format!("cannot be read: {error}")))
}

/// kustomize's load restriction: a file must be in the kustomization's directory or below it, links resolved.
fn inside(root: &Path, path: &Path, named: &str) -> Result<(), String> {
    let real = fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{named:?} does not exist"),
        _ => format!("{named:?} cannot be read: {error}"),
    })?;
    if real.starts_with(root) {
        return Ok(());
    }
    Err(format!(
        "{named:?} is outside of the kustomization's directory, where kustomize takes no files from; \
         move it, or take in the directory that has it by a kustomization of its own"
    ))
}

fn set_namespace(value: &mut Value, namespace: &str) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("namespace".into(), Value::String(namespace.to_owned()));
    }
}

fn resolve_data_path(value: &mut Value, file: &Path) {
    if value["kind"] != "Task" {
        return;
    }
    let Some(path) = value.pointer_mut("/spec/data/path") else {
        return;
    };
    let absolute = path
        .as_str()
        .filter(|text| !text.is_empty())
        .and_then(|text| std::path::absolute(dir_of(file).join(text)).ok());
    if let Some(absolute) = absolute {
        *path = Value::String(shown(&absolute));
    }
}

#[cfg(test)]
mod tests;
