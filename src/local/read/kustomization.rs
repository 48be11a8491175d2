//! What a `kustomization.yaml` says. Pure.
//!
//! The subset that authors of tasks need, with kustomize's meaning, so that `kubectl apply -k DIR` and `dojo run DIR`
//! read the same folder: `resources`, `configMapGenerator` with `files` and `literals`, `generatorOptions` with
//! `disableNameSuffixHash`, `namespace`. Everything else is refused rather than left out in silence.

use serde_json::{Map, Value};

const FIELDS: &str = "apiVersion, kind, resources, configMapGenerator, generatorOptions, namespace";
const GENERATOR_FIELDS: &str = "name, namespace, files, literals";

/// What a kustomization asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Kustomization {
    /// Files and directories, relative to the kustomization.
    pub resources: Vec<String>,
    /// ConfigMaps to make.
    pub generators: Vec<Generator>,
    /// Namespace of everything.
    pub namespace: Option<String>,
}

/// One entry of `configMapGenerator`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Generator {
    /// Name of the ConfigMap.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Keys and the files with their content, relative to the kustomization.
    pub files: Vec<(String, String)>,
    /// Keys and their content.
    pub literals: Vec<(String, String)>,
}

/// A field and what is wrong with it.
pub type Fault = (String, String);

/// Reads a kustomization; every fault at once.
pub fn parse(value: &Value) -> Result<Kustomization, Vec<Fault>> {
    let mut faults = Faults::default();
    let mut parsed = Kustomization::default();
    let Some(fields) = value.as_object() else {
        return Err(vec![(String::new(), "a kustomization is a mapping".to_owned())]);
    };
    let mut hash_disabled = false;
    for (name, value) in fields {
        match name.as_str() {
            "apiVersion" => {
                if !value
                    .as_str()
                    .is_some_and(|text| text.starts_with("kustomize.config.k8s.io/"))
                {
                    faults.add(name, "must be kustomize.config.k8s.io/v1beta1");
                }
            }
            "kind" if value == "Kustomization" => {}
            "kind" => faults.add(name, "must be Kustomization: components are not supported"),
            "resources" => parsed.resources = faults.strings(name, value),
            "namespace" => parsed.namespace = faults.string(name, value),
            "generatorOptions" => hash_disabled = options(&mut faults, value),
            "configMapGenerator" => parsed.generators = generators(&mut faults, value),
            other => faults.add(other, &format!("is not supported here; supported are {FIELDS}")),
        }
    }
    if !hash_disabled && !parsed.generators.is_empty() {
        // References of Tasks and Episodes are fields of our kinds: kustomize does not rewrite them.
        faults.add(
            "generatorOptions.disableNameSuffixHash",
            "must be true: kustomize would append a hash to the name of each ConfigMap, and the references of Tasks \
             and Episodes would not follow",
        );
    }
    faults.or(parsed)
}

fn options(faults: &mut Faults, value: &Value) -> bool {
    let mut disabled = false;
    for (name, value) in faults.mapping("generatorOptions", value) {
        match name.as_str() {
            "disableNameSuffixHash" => disabled = value == Value::Bool(true),
            other => faults.add(
                &format!("generatorOptions.{other}"),
                "is not supported here; supported is disableNameSuffixHash",
            ),
        }
    }
    disabled
}

fn generators(faults: &mut Faults, value: &Value) -> Vec<Generator> {
    let Some(entries) = value.as_array() else {
        faults.add("configMapGenerator", "must be a list");
        return Vec::new();
    };
    let all = entries.iter().enumerate();
    all.map(|(index, entry)| generator(faults, &format!("configMapGenerator[{index}]"), entry))
        .collect()
}

fn generator(faults: &mut Faults, path: &str, value: &Value) -> Generator {
    let mut made = Generator::default();
    for (name, value) in faults.mapping(path, value) {
        let path = format!("{path}.{name}");
        match name.as_str() {
            "name" => made.name = faults.string(&path, &value).unwrap_or_default(),
            "namespace" => made.namespace = faults.string(&path, &value),
            "files" => made.files = pairs(faults, &path, &value, file_entry),
            "literals" => made.literals = pairs(faults, &path, &value, literal_entry),
            _ => faults.add(
                &path,
                &format!("is not supported here; supported are {GENERATOR_FIELDS}"),
            ),
        }
    }
    if made.name.is_empty() {
        faults.add(&format!("{path}.name"), "is required");
    }
    let mut keys: Vec<&String> = made
        .files
        .iter()
        .chain(&made.literals)
        .map(|(key, _)| key)
        .collect();
    keys.sort();
    let twice = keys.windows(2).find(|pair| pair[0] == pair[1]);
    if let Some(pair) = twice {
        faults.add(path, &format!("the key {:?} is there twice", pair[0]));
    }
    made
}

fn pairs(
    faults: &mut Faults,
    path: &str,
    value: &Value,
    split: fn(&str) -> Result<(String, String), String>,
) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (index, entry) in faults.strings(path, value).iter().enumerate() {
        match split(entry).and_then(|(key, value)| valid_key(&key).map(|()| (key, value))) {
            Ok(pair) => pairs.push(pair),
            Err(message) => faults.add(&format!("{path}[{index}]"), &message),
        }
    }
    pairs
}

/// `key=path`, or a path whose last part is the key.
fn file_entry(entry: &str) -> Result<(String, String), String> {
    let (key, path) = match entry.split_once('=') {
        Some((key, path)) => (key, path),
        None => (entry.rsplit('/').next().unwrap_or(entry), entry),
    };
    if key.is_empty() || path.is_empty() {
        return Err(format!("{entry:?} must be a path, or key=path"));
    }
    Ok((key.to_owned(), path.to_owned()))
}

/// `key=value`, quotes around the value taken off as kustomize does.
fn literal_entry(entry: &str) -> Result<(String, String), String> {
    match entry.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok((key.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        }
        _ => Err(format!("{entry:?} must be key=value")),
    }
}

fn valid_key(key: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let reserved = key == "." || key.starts_with("..");
    if key.len() <= 253 && key.chars().all(allowed) && !reserved {
        return Ok(());
    }
    Err(format!(
        "{key:?} cannot be a key of a ConfigMap: letters, digits, '-', '_' and '.' only, at most 253; \
         name another one with key=path"
    ))
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: &str, message: &str) {
        self.0.push((path.to_owned(), message.to_owned()));
    }

    fn string(&mut self, path: &str, value: &Value) -> Option<String> {
        match value.as_str() {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            _ => {
                self.add(path, "must be a text that is not empty");
                None
            }
        }
    }

    fn strings(&mut self, path: &str, value: &Value) -> Vec<String> {
        let Some(entries) = value.as_array() else {
            self.add(path, "must be a list");
            return Vec::new();
        };
        let all = entries.iter().enumerate();
        all.filter_map(|(index, entry)| self.string(&format!("{path}[{index}]"), entry))
            .collect()
    }

    fn mapping(&mut self, path: &str, value: &Value) -> Map<String, Value> {
        match value.as_object() {
            Some(fields) => fields.clone(),
            None => {
                self.add(path, "must be a mapping");
                Map::new()
            }
        }
    }

    fn or<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(value: &Value) -> Vec<String> {
        parse(value)
            .unwrap_err()
            .into_iter()
            .map(|(path, message)| format!("{path}: {message}"))
            .collect()
    }

    #[test]
    fn the_supported_fields_are_read() {
        let parsed = parse(&json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "lab",
            "resources": ["task.yaml", "../base"],
            "generatorOptions": {"disableNameSuffixHash": true},
            "configMapGenerator": [
                {"name": "code", "files": ["src/prepare.py", "steps.yaml=actions.yaml"], "literals": ["a='b=c'"]},
            ],
        }))
        .unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(parsed.namespace.as_deref(), Some("lab"));
        assert_eq!(parsed.resources, ["task.yaml", "../base"]);
        assert_eq!(
            parsed.generators[0].files,
            [
                pair("prepare.py", "src/prepare.py"),
                pair("steps.yaml", "actions.yaml")
            ]
        );
        assert_eq!(parsed.generators[0].literals, [pair("a", "b=c")]);
    }

    #[test]
    fn fields_with_another_meaning_are_refused_by_name() {
        let found = faults(&json!({
            "kind": "Component",
            "apiVersion": "v1",
            "namePrefix": "my-",
            "resources": "task.yaml",
            "generatorOptions": {"labels": {}, "disableNameSuffixHash": true},
            "configMapGenerator": [{"files": ["a b"], "envs": [".env"]}, 7],
        }));
        let expected = [
            "kind: must be Kustomization",
            "apiVersion: must be kustomize.config.k8s.io/v1beta1",
            "namePrefix: is not supported here; supported are apiVersion, kind, resources",
            "resources: must be a list",
            "generatorOptions.labels: is not supported here",
            "configMapGenerator[0].files[0]: \"a b\" cannot be a key",
            "configMapGenerator[0].envs: is not supported here; supported are name,",
            "configMapGenerator[0].name: is required",
            "configMapGenerator[1]: must be a mapping",
            "configMapGenerator[1].name: is required",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!(faults(&json!([])), [": a kustomization is a mapping"]);
    }

    #[test]
    fn a_hash_in_the_name_of_a_config_map_is_refused() {
        for options in [json!({}), json!({"disableNameSuffixHash": false})] {
            let found = faults(&json!({
                "generatorOptions": options,
                "configMapGenerator": [{"name": "code", "literals": ["a=b"]}],
            }));
            assert_eq!(found.len(), 1);
            assert!(found[0].starts_with("generatorOptions.disableNameSuffixHash: must be true"));
        }
    }

    #[test]
    fn a_key_can_be_there_only_once_and_needs_a_value() {
        let found = faults(&json!({
            "generatorOptions": {"disableNameSuffixHash": true},
            "configMapGenerator": [
                {"name": "code", "files": ["a/x.py", "b/x.py"]},
                {"name": "more", "files": ["=x.py", ".."], "literals": ["novalue"]},
            ],
        }));
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].contains("the key \"x.py\" is there twice"));
        assert!(found[1].contains("must be a path, or key=path"));
        assert!(found[2].contains("\"..\" cannot be a key"));
        assert!(found[3].contains("must be key=value"));
    }
}
