//! The CRDs as they are committed, the rules that an API server has for them, and every manifest against them.

#![allow(clippy::unwrap_used, clippy::panic)] // a test program: a panic is its failure

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kube::core::cel::{ScopeContext, analyze_rule, compile_schema};
use mledojo::local::read;
use mledojo::plan;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Name of a kind and its schema.
fn schemas() -> Vec<(String, Value)> {
    mledojo::api::definitions()
        .into_iter()
        .map(|definition| {
            let version = definition.spec.versions.into_iter().next().unwrap();
            let schema = version.schema.unwrap().open_api_v3_schema.unwrap();
            (definition.spec.names.kind, serde_json::to_value(schema).unwrap())
        })
        .collect()
}

/// Calls `look` with path and schema of every node below `schema`, itself included.
fn walk(schema: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
    look(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), look);
    }
    for (keyword, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(child) = schema.get(keyword) {
            walk(child, &format!("{path}{suffix}"), look);
        }
    }
}

fn breaches(find: impl Fn(&str, &Value) -> Vec<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, schema) in schemas() {
        walk(&schema, &kind, &mut |path, node| {
            found.extend(
                find(path, node)
                    .into_iter()
                    .map(|breach| format!("{path}: {breach}")),
            );
        });
    }
    found
}

fn none(found: &[String]) {
    assert!(
        found.is_empty(),
        "{} breaches:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn the_committed_crds_are_those_of_the_types() {
    let fresh = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_dojo"))
        .args(["crds", "--out"])
        .arg(fresh.path())
        .status()
        .unwrap();
    assert!(status.success());
    let read = |dir: &Path| -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    };
    let (fresh, committed) = (read(fresh.path()), read(&root().join("crds")));
    let names =
        |files: &[(String, String)]| -> Vec<String> { files.iter().map(|(name, _)| name.clone()).collect() };
    assert_eq!(names(&committed), names(&fresh), "files of crds/");
    for ((name, committed), (_, fresh)) in committed.iter().zip(&fresh) {
        assert!(
            committed == fresh,
            "crds/{name} is not what src/api says: run `make crds` and commit it"
        );
    }
}

#[test]
fn printed_crds_are_the_written_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_dojo"))
        .arg("crds")
        .output()
        .unwrap();
    assert!(output.status.success());
    let printed: Vec<Value> =
        serde_saphyr::from_multiple(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
    let written: Vec<Value> = ["episodes", "tasks"]
        .iter()
        .map(|plural| root().join(format!("crds/{plural}.mledojo.dev.yaml")))
        .map(|path| serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        .collect();
    assert!(
        printed == written,
        "`dojo crds` prints something else than it writes"
    );
}

#[test]
fn every_field_is_described() {
    none(&breaches(|path, node| {
        let named = !path.ends_with("[]") && !path.ends_with("{}");
        let described = node["description"]
            .as_str()
            .is_some_and(|text| !text.trim().is_empty());
        // The API server adds what it says of these itself.
        let given = path.ends_with(".metadata") || path.ends_with(".apiVersion") || path.ends_with(".kind");
        if named && !described && !given {
            vec!["no description".into()]
        } else {
            Vec::new()
        }
    }));
}

#[test]
fn everything_that_could_grow_has_a_bound() {
    none(&breaches(|_, node| {
        let missing = |keyword: &str| {
            let bounded = node.get(keyword).is_some();
            (!bounded).then(|| format!("no {keyword}"))
        };
        let quantity = node["x-kubernetes-int-or-string"] == true;
        match node["type"].as_str() {
            Some("array") => missing("maxItems"),
            Some("object") if node.get("additionalProperties").is_some() => missing("maxProperties"),
            Some("string") if node.get("enum").is_none() && node["format"] != "date-time" => {
                missing("maxLength")
            }
            None if quantity => missing("maxLength"),
            _ => None,
        }
        .into_iter()
        .collect()
    }));
}

#[test]
fn the_schema_is_structural_as_an_api_server_demands() {
    none(&breaches(|_, node| {
        let mut found = Vec::new();
        for keyword in [
            "$ref",
            "anyOf",
            "oneOf",
            "allOf",
            "not",
            "definitions",
            "uniqueItems",
            "patternProperties",
        ] {
            if node.get(keyword).is_some() {
                found.push(format!("has {keyword}"));
            }
        }
        if node.get("type").is_none() && node["x-kubernetes-int-or-string"] != true {
            found.push("has no type".into());
        }
        if node.get("properties").is_some() && node.get("additionalProperties").is_some() {
            found.push("has properties and additionalProperties".into());
        }
        if node.get("default").is_some() && node["nullable"] == true {
            found.push("has a default and takes null, so null would be kept instead of the default".into());
        }
        for name in node["required"].as_array().into_iter().flatten() {
            let property = &node["properties"][name.as_str().unwrap()];
            if property.is_null() {
                found.push(format!("requires {name}, which it does not have"));
            }
            if property.get("default").is_some() {
                found.push(format!("requires {name} although it has a default"));
            }
        }
        if node["x-kubernetes-list-type"] == "map" {
            for key in node["x-kubernetes-list-map-keys"].as_array().unwrap() {
                let required = node["items"]["required"]
                    .as_array()
                    .is_some_and(|names| names.contains(key));
                if !required {
                    found.push(format!("list key {key} is not required"));
                }
            }
        }
        if let Some(Err(error)) = node["pattern"].as_str().map(regex::Regex::new) {
            found.push(format!("bad pattern: {error}"));
        }
        found
    }));
}

#[test]
fn every_rule_compiles_has_a_message_and_points_at_a_field_that_exists() {
    let mut rules = 0;
    for (kind, schema) in schemas() {
        walk(&schema, &kind, &mut |path, node| {
            let compiled = compile_schema(node);
            for (index, rule) in node["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                rules += 1;
                let text = rule["rule"].as_str().unwrap();
                let place = format!("{path}: {text}");
                assert!(compiled.validations[index].is_ok(), "{place} does not compile");
                assert!(
                    rule["message"]
                        .as_str()
                        .is_some_and(|message| !message.contains('\n')),
                    "{place}: message"
                );
                if let Some(field) = rule["fieldPath"].as_str() {
                    let pointer = field.replace('.', "/properties/");
                    assert!(
                        node.pointer(&pointer).is_some(),
                        "{place}: there is no field {field}"
                    );
                }
                let warnings = analyze_rule(text, &compiled, ScopeContext::CrdValidation);
                assert!(
                    warnings
                        .iter()
                        .all(|warning| !warning.message.contains("exceeds")),
                    "{place}: {warnings:?}"
                );
                for name in node["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter_map(|(name, property)| property.get("default").map(|_| name))
                {
                    assert!(
                        !text.contains(&format!("has(self.{name})")),
                        "{place}: {name} has a default"
                    );
                }
            }
        });
    }
    assert!(rules > 20, "only {rules} rules were looked at");
}

#[test]
fn no_short_name_is_taken_by_a_core_kind() {
    // kubectl prefers the core kind without a word.
    let taken = [
        "cm", "cs", "csr", "deploy", "ds", "ep", "ev", "hpa", "ing", "limits", "netpol", "no", "ns", "pc",
        "pdb", "po", "pv", "pvc", "quota", "rc", "rs", "sa", "sc", "sts", "svc",
    ];
    for definition in mledojo::api::definitions() {
        for name in definition.spec.names.short_names.iter().flatten() {
            assert!(!taken.contains(&name.as_str()), "{name}");
        }
    }
}

/// Directories with a kustomization, and YAML files that lie in none; the operator's own manifest aside.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let kustomized = dir.join("kustomization.yaml").exists();
    if kustomized {
        found.push(dir.to_owned());
    }
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if !kustomized
            && path.extension().is_some_and(|extension| extension == "yaml")
            && !path.ends_with("manifests/install.yaml")
        {
            found.push(path);
        }
    }
}

#[test]
fn every_manifest_is_valid() {
    let mut found = Vec::new();
    sources(&root().join("manifests"), &mut found);
    assert!(!found.is_empty(), "no manifest was found");
    for source in found {
        let checked =
            read::documents(std::slice::from_ref(&source)).and_then(|documents| plan::validate(&documents));
        let checked = checked.unwrap_or_else(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}:\n{}", source.display(), problems.join("\n"))
        });
        assert!(!checked.tasks.is_empty(), "{} holds no Task", source.display());
    }
}
