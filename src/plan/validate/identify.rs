//! Which kind a document is of.

use serde_json::Value;

use super::schema::Finding;
use super::wording::{closest, listed, quoted};
use crate::api::{API_VERSION, GROUP};
use crate::plan::document::Document;

/// Kinds that this program reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Task,
    Episode,
    ConfigMap,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Task, Self::Episode, Self::ConfigMap];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Task => "Task",
            Self::Episode => "Episode",
            Self::ConfigMap => "ConfigMap",
        }
    }

    pub(super) fn api_version(self) -> &'static str {
        match self {
            Self::Task | Self::Episode => API_VERSION,
            Self::ConfigMap => "v1",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a document is.
pub(super) enum Identity {
    /// One of ours; findings where apiVersion or kind are misspelt.
    Known(Kind, Vec<Finding>),
    /// An object of another API group, as `Kind/name`.
    Foreign(String),
    /// Nothing that can be looked at further.
    Unknown(Vec<Finding>),
}

/// The documents, each `List` replaced by its items.
pub(super) fn flatten(documents: &[Document]) -> Vec<Document> {
    let items = |document: &Document| -> Option<Vec<Value>> {
        let is_list = document.value["kind"] == "List" && document.value["apiVersion"] == "v1";
        is_list.then(|| document.value["items"].as_array().cloned())?
    };
    documents
        .iter()
        .flat_map(|document| match items(document) {
            None => vec![document.clone()],
            Some(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, value)| Document {
                    file: document.file.clone(),
                    index,
                    value,
                })
                .collect(),
        })
        .collect()
}

/// Finds the kind of a document.
pub(super) fn identify(value: &Value) -> Identity {
    let Some(map) = value.as_object() else {
        return unknown(
            "",
            format!(
                "a document is a mapping with apiVersion, kind, metadata and spec; this is {}",
                quoted(value)
            ),
        );
    };
    let text = |field: &str| map.get(field).and_then(Value::as_str);
    match (text("apiVersion"), text("kind")) {
        (Some(api_version), Some(kind)) => by_words(api_version, kind, value),
        (None, Some(kind)) => match Kind::named(kind) {
            Some(known) => Identity::Known(
                known,
                vec![(
                    "apiVersion".into(),
                    format!("this field is required: write {}", known.api_version()),
                )],
            ),
            None => unknown("apiVersion", "this field is required".into()),
        },
        (_, None) => unknown("kind", format!("this field is required: {}", known_kinds())),
    }
}

fn by_words(api_version: &str, kind: &str, value: &Value) -> Identity {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let ours = group == GROUP || closest(group, [GROUP].into_iter()).is_some();
    if let Some(known) = Kind::named(kind) {
        let wanted = known.api_version();
        if api_version == wanted {
            return Identity::Known(known, Vec::new());
        }
        // A Task of another group is no misspelt Task of ours: other projects have such a kind too.
        if ours || known == Kind::ConfigMap || group.is_empty() {
            let finding = format!("{api_version:?} is not served for kind {kind}: write {wanted}");
            return Identity::Known(known, vec![("apiVersion".into(), finding)]);
        }
    }
    let candidates = Kind::ALL.iter().map(|kind| kind.name());
    let meant = closest(kind, candidates).and_then(Kind::named);
    match meant {
        Some(meant) if ours || (api_version == "v1" && meant == Kind::ConfigMap) => {
            let finding = format!(
                "{kind:?} is no kind of {api_version}; did you mean `{}`?",
                meant.name()
            );
            Identity::Known(meant, vec![("kind".into(), finding)])
        }
        _ if ours => unknown(
            "kind",
            format!("{kind:?} is no kind of {api_version}: {}", known_kinds()),
        ),
        _ => Identity::Foreign(format!(
            "{kind}/{}",
            value["metadata"]["name"].as_str().unwrap_or_default()
        )),
    }
}

fn known_kinds() -> String {
    format!("there is {}", listed(Kind::ALL.iter().map(|kind| kind.name())))
}

fn unknown(path: &str, message: String) -> Identity {
    Identity::Unknown(vec![(path.into(), message)])
}
