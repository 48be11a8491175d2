//! Reading real folders.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::documents;

struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What was read, file names relative to the folder.
    fn read(&self, name: &str) -> Vec<(String, Value)> {
        let read = documents(&[self.path(name)]).unwrap();
        read.into_iter()
            .map(|document| (self.relative(&document.file), document.value))
            .collect()
    }

    fn problems(&self, name: &str) -> Vec<String> {
        let problems = documents(&[self.path(name)]).unwrap_err();
        problems
            .iter()
            .map(|problem| self.relative(&problem.to_string()))
            .collect()
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn kind(kind: &str) -> Value {
    json!({"kind": kind})
}

#[test]
fn a_directory_gives_its_yaml_files_in_name_order_and_nothing_below() {
    let folder = Folder::new(&[
        ("d/b.yml", "kind: B"),
        ("d/a.yaml", "kind: A1\n---\nkind: A2"),
        ("d/notes.txt", "not: [yaml"),
        ("d/below/c.yaml", "kind: C"),
    ]);
    assert_eq!(
        folder.read("d"),
        [
            ("d/a.yaml".to_owned(), kind("A1")),
            ("d/a.yaml".to_owned(), kind("A2")),
            ("d/b.yml".to_owned(), kind("B")),
        ]
    );
}

#[test]
fn a_kustomization_is_followed_into_files_and_directories() {
    let folder = Folder::new(&[
        (
            "kustomization.yaml",
            "resources: [one, two/task.yaml]\nnamespace: lab\n",
        ),
        (
            "one/kustomization.yml",
            "resources: [episode.yaml, ../shared]\n\
             configMapGenerator: [{name: code, files: [prepare.py, steps=src/actions.yaml], literals: [k=v]}]\n\
             generatorOptions: {disableNameSuffixHash: true}\nnamespace: inner\n",
        ),
        ("one/episode.yaml", "kind: Episode"),
        ("one/not-named.yaml", "kind: Nothing"),
        ("one/prepare.py", "x = 1\n"),
        ("one/src/actions.yaml", "[]\n"),
        ("shared/Kustomization", "resources: [map.yaml]"),
        (
            "shared/map.yaml",
            "kind: ConfigMap\nmetadata: {name: m, namespace: other}",
        ),
        ("two/task.yaml", "kind: Task\nmetadata: {name: t}"),
    ]);
    let lab = json!({"namespace": "lab"});
    let expected = [
        ("one/episode.yaml", json!({"kind": "Episode", "metadata": lab})),
        (
            "one/../shared/map.yaml",
            json!({"kind": "ConfigMap", "metadata": {"name": "m", "namespace": "lab"}}),
        ),
        (
            "one/kustomization.yml",
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code", "namespace": "lab"},
                "data": {"prepare.py": "x = 1\n", "steps": "[]\n", "k": "v"},
            }),
        ),
        (
            "two/task.yaml",
            json!({"kind": "Task", "metadata": {"name": "t", "namespace": "lab"}}),
        ),
    ];
    let expected: Vec<(String, Value)> = expected
        .into_iter()
        .map(|(file, value)| (file.to_owned(), value))
        .collect();
    assert_eq!(folder.read(""), expected);
    assert_eq!(folder.read("kustomization.yaml"), expected);
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let folder = Folder::new(&[
        (
            "kustomization.yaml",
            "resources: [missing.yaml, bad.yaml, plain, https://example.org/x.yaml]\n\
             configMapGenerator: [{name: code, files: [gone.py, latin.txt]}]\n\
             generatorOptions: {disableNameSuffixHash: true}\n",
        ),
        ("bad.yaml", "kind: [A\n"),
        ("plain/a.yaml", "kind: A"),
    ]);
    folder.write("latin.txt", b"caf\xe9");
    let problems = folder.problems("");
    let expected = [
        "kustomization.yaml: resources[0]: \"missing.yaml\" does not exist",
        "bad.yaml: line ",
        "kustomization.yaml: resources[2]: \"plain\" is a directory without kustomization.yaml",
        "kustomization.yaml: resources[3]: \"https://example.org/x.yaml\" is not on this machine",
        "kustomization.yaml: configMapGenerator[0].files[0]: \"gone.py\" does not exist",
        "kustomization.yaml: configMapGenerator[0].files[1]: \"latin.txt\" is not UTF-8 text",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\nis not\n{expected}");
    }
}

#[test]
fn files_outside_of_the_directory_are_refused_also_behind_a_link() {
    let folder = Folder::new(&[
        (
            "in/kustomization.yaml",
            "resources: [../task.yaml]\n\
             configMapGenerator: [{name: code, files: [../secret.txt, link.txt, good.txt]}]\n\
             generatorOptions: {disableNameSuffixHash: true}\n",
        ),
        ("task.yaml", "kind: Task"),
        ("secret.txt", "s"),
        ("in/real.txt", "fine"),
    ]);
    std::os::unix::fs::symlink("../secret.txt", folder.path("in/link.txt")).unwrap();
    std::os::unix::fs::symlink("real.txt", folder.path("in/good.txt")).unwrap();
    let problems = folder.problems("in");
    assert_eq!(problems.len(), 3, "{problems:#?}");
    for (problem, name) in problems.iter().zip(["../task.yaml", "../secret.txt", "link.txt"]) {
        assert!(
            problem.contains(&format!("{name:?} is outside of the kustomization's directory")),
            "{problem}"
        );
    }
}

#[test]
fn a_circle_of_kustomizations_ends() {
    let folder = Folder::new(&[
        ("a/kustomization.yaml", "resources: [../b]"),
        ("b/kustomization.yaml", "resources: [../a]"),
    ]);
    let problems = folder.problems("a");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("takes itself in"), "{}", problems[0]);
}

#[test]
fn what_is_no_file_is_named() {
    let folder = Folder::new(&[
        ("empty/readme.txt", ""),
        ("odd/kustomization.yaml", "resources: {}\nnameSuffix: x"),
    ]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path("fifo.yaml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert_eq!(folder.problems("nowhere.yaml"), ["nowhere.yaml: does not exist"]);
    assert_eq!(folder.problems("fifo.yaml"), ["fifo.yaml: is not a regular file"]);
    assert_eq!(
        folder.problems("empty"),
        ["empty: has neither a kustomization.yaml nor any *.yaml or *.yml file"]
    );
    let odd = folder.problems("odd");
    assert_eq!(odd.len(), 2);
    assert!(odd[0].starts_with("odd/kustomization.yaml: resources: must be a list"));
    assert!(odd[1].starts_with("odd/kustomization.yaml: nameSuffix: is not supported here"));
}

#[test]
fn a_config_map_over_the_limit_of_the_api_server_is_refused() {
    let folder = Folder::new(&[(
        "kustomization.yaml",
        "configMapGenerator: [{name: code, files: [big.txt]}]\ngeneratorOptions: {disableNameSuffixHash: true}",
    )]);
    folder.write("big.txt", vec![b'x'; 1024 * 1024 + 1]);
    let problems = folder.problems("");
    assert!(
        problems[0].contains("1048577 bytes are more than a ConfigMap may hold"),
        "{problems:?}"
    );
}

#[test]
fn a_data_path_is_relative_to_its_file() {
    let folder = Folder::new(&[
        ("t/task.yaml", "kind: Task\nspec: {data: {path: ../data}}"),
        ("t/other.yaml", "kind: Episode\nspec: {data: {path: ../data}}"),
        ("t/abs.yaml", "kind: Task\nspec: {data: {path: /srv/data}}"),
        ("t/wrong.yaml", "kind: Task\nspec: {data: {path: 7}}"),
    ]);
    let path = |name: &str| folder.read(name)[0].1["spec"]["data"]["path"].clone();
    let resolved = path("t/task.yaml");
    assert!(Path::new(resolved.as_str().unwrap()).is_absolute());
    assert_eq!(resolved, folder.path("t/../data").display().to_string());
    assert_eq!(path("t/other.yaml"), "../data");
    assert_eq!(path("t/abs.yaml"), "/srv/data");
    assert_eq!(path("t/wrong.yaml"), 7);
}
