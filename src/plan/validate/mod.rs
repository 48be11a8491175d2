//! Validation of documents: schema, CEL rules and references, without a cluster.
//!
//! ```text
//!   document --identify--> kind --schema--> defaults filled in --rules--> typed resource
//!                                 \            \                 \
//!                                  +---- problems ---------------+---- references between documents
//! ```

mod identify;
mod references;
mod schema;
mod wording;

use std::sync::LazyLock;

use kube::CustomResourceExt;
use kube::core::cel::{CompiledSchema, ErrorKind, ValidationError, Validator, compile_schema};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::identify::{Identity, Kind};
use super::document::{Checked, DEFAULT_NAMESPACE, Document, Problem, Sourced};
use crate::api::common::NAME_PATTERN;
use crate::api::{Episode, Task};

/// Checks every document against the schema and the CEL rules of its kind and against the other documents. Gives typed
/// resources with the schema's defaults filled in, or every problem at once, in the order of the documents.
///
/// Objects of other API groups pass unlooked-at, since `kubectl apply` may need them ([`Checked::ignored`]). A document of
/// kind `List` stands for its items. A written status is dropped, as on creation in a cluster.
pub fn validate(documents: &[Document]) -> Result<Checked, Vec<Problem>> {
    let mut checked = Checked::default();
    let mut entries = Vec::new();
    for document in &identify::flatten(documents) {
        match identify::identify(&document.value) {
            Identity::Foreign(label) => checked.ignored.push(label),
            Identity::Unknown(findings) => entries.push(Entry::unknown(document, findings)),
            Identity::Known(kind, findings) => entries.push(RULEBOOK.judge(document, kind, findings)),
        }
    }
    references::check(&mut entries);
    for entry in &mut entries {
        entry.read_into(&mut checked);
    }
    let problems: Vec<Problem> = entries.into_iter().flat_map(Entry::into_problems).collect();
    if problems.is_empty() {
        Ok(checked)
    } else {
        Err(problems)
    }
}

/// A document on its way.
struct Entry {
    file: String,
    index: usize,
    kind: Option<Kind>,
    /// With defaults, as far as it is understood.
    value: Value,
    findings: Vec<schema::Finding>,
}

impl Entry {
    fn unknown(document: &Document, findings: Vec<schema::Finding>) -> Self {
        Self {
            file: document.file.clone(),
            index: document.index,
            kind: None,
            value: document.value.clone(),
            findings,
        }
    }

    fn name(&self) -> Option<&str> {
        self.value["metadata"]["name"]
            .as_str()
            .filter(|name| !name.is_empty())
    }

    fn namespace(&self) -> &str {
        self.value["metadata"]["namespace"]
            .as_str()
            .unwrap_or(DEFAULT_NAMESPACE)
    }

    /// Adds the typed resource. A document that passed the schema can be read; should it not, that is a finding too.
    fn read_into(&mut self, checked: &mut Checked) {
        let Some(kind) = self.kind.filter(|_| self.findings.is_empty()) else {
            return;
        };
        let read = match kind {
            Kind::Task => self.read().map(|task| checked.tasks.push(task)),
            Kind::Episode => self.read().map(|episode| checked.episodes.push(episode)),
            Kind::ConfigMap => self.read().map(|map| checked.config_maps.push(map)),
        };
        if let Err(message) = read {
            self.findings.push((String::new(), message));
        }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Sourced<T>, String> {
        let resource = serde_json::from_value(self.value.clone())
            .map_err(|error| format!("failed to read the document: {error}"))?;
        Ok(Sourced {
            file: self.file.clone(),
            resource,
        })
    }

    fn into_problems(self) -> Vec<Problem> {
        let label = match (self.kind, self.name()) {
            (Some(kind), Some(name)) => format!("{}/{name}", kind.name()),
            _ => format!("document {}", self.index + 1),
        };
        self.findings
            .into_iter()
            .map(|(path, message)| Problem {
                file: self.file.clone(),
                document: Some(label.clone()),
                path,
                message,
            })
            .collect()
    }
}

/// Made once: parsing the rules takes longer than everything else here.
static RULEBOOK: LazyLock<Rulebook> = LazyLock::new(Rulebook::new);

/// Schemas and compiled rules of every kind.
struct Rulebook {
    validator: Validator,
    task: Rules,
    episode: Rules,
    config_map: Rules,
}

struct Rules {
    /// The schema that documents are walked along: the CRD's, with `metadata`.
    schema: Value,
    compiled: CompiledSchema,
}

impl Rulebook {
    fn new() -> Self {
        Self {
            validator: Validator::new(),
            task: Rules::of::<Task>(),
            episode: Rules::of::<Episode>(),
            config_map: Rules::new(config_map_schema()),
        }
    }

    fn judge(&self, document: &Document, kind: Kind, mut findings: Vec<schema::Finding>) -> Entry {
        let rules = match kind {
            Kind::Task => &self.task,
            Kind::Episode => &self.episode,
            Kind::ConfigMap => &self.config_map,
        };
        let mut value = document.value.clone();
        if let Some(map) = value.as_object_mut() {
            map.insert("apiVersion".into(), kind.api_version().into());
            map.insert("kind".into(), kind.name().into());
            map.shift_remove("status");
        }
        findings.extend(schema::check(&rules.schema, &mut value));
        let well_formed = findings.is_empty();
        if let Err(errors) = self.validator.validate_compiled(&rules.compiled, &value, None) {
            findings.extend(
                errors
                    .into_iter()
                    .filter_map(|error| rule_finding(error, well_formed)),
            );
        }
        Entry {
            file: document.file.clone(),
            index: document.index,
            kind: Some(kind),
            value,
            findings,
        }
    }
}

/// A rule that could not be evaluated says nothing where the schema has found what is wrong.
fn rule_finding(error: ValidationError, well_formed: bool) -> Option<schema::Finding> {
    match error.kind {
        ErrorKind::ValidationFailure => Some((error.field_path, error.message)),
        _ if well_formed => Some((
            error.field_path,
            format!("rule `{}` could not be evaluated: {}", error.rule, error.message),
        )),
        _ => None,
    }
}

impl Rules {
    fn of<K: CustomResourceExt>() -> Self {
        let definition = K::crd();
        let schema = definition
            .spec
            .versions
            .first()
            .and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref())
            .and_then(|schema| serde_json::to_value(schema).ok())
            .unwrap_or_default();
        Self::new(schema)
    }

    fn new(mut schema: Value) -> Self {
        let compiled = compile_schema(&schema);
        schema["properties"]["apiVersion"] = json!({"type": "string"});
        schema["properties"]["kind"] = json!({"type": "string"});
        schema["properties"]["metadata"] = metadata_schema();
        if let Some(required) = schema["required"].as_array_mut() {
            required.insert(0, "metadata".into());
        }
        Self { schema, compiled }
    }
}

/// What of an object's metadata can be checked without a cluster.
fn metadata_schema() -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let mut schema = json!({
        "type": "object",
        "description": "Name, and labels if you like",
        "properties": {
            "name": {
                "type": "string", "minLength": 1, "maxLength": 253, "pattern": NAME_PATTERN,
                "description": "Name of the object, unique among its kind",
            },
            "namespace": {
                "type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            },
            "labels": texts,
            "annotations": texts,
        },
        "required": ["name"],
    });
    for kept in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ] {
        schema["properties"][kept] = json!({});
    }
    schema
}

fn config_map_schema() -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "properties": {"data": texts, "binaryData": texts, "immutable": {"type": "boolean"}},
        "required": [],
    })
}

/// What the schema of an Episode says against a status.
#[cfg(test)]
pub(in crate::plan) fn status_findings(status: &Value) -> Vec<(String, String)> {
    schema::check(
        &RULEBOOK.episode.schema["properties"]["status"],
        &mut status.clone(),
    )
}

#[cfg(test)]
mod tests;
