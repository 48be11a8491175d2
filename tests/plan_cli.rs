//! `dojo plan` and `dojo install` as a user or a pod starts them.

#![allow(clippy::unwrap_used)] // a test program: a panic is its failure

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn dojo(arguments: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dojo"))
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/plan/fixtures.yaml");

#[test]
fn a_file_gives_the_objects_of_each_task_and_each_episode_in_both_forms() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = dojo(&["plan", FIXTURES], dir.path());
    assert!(yaml.status.success(), "{}", text(&yaml.stderr));
    let from_yaml: Vec<Value> = serde_saphyr::from_multiple(text(&yaml.stdout)).unwrap();
    let json = dojo(&["plan", "-o", "json", FIXTURES], dir.path());
    let from_json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(from_json["kind"], "List");
    assert!(
        from_json["items"].as_array().unwrap() == &from_yaml,
        "the two forms differ"
    );
    let names: Vec<String> = from_yaml
        .iter()
        .map(|object| {
            let name = object["metadata"]["name"].as_str().unwrap();
            let hash = name.rsplit_once("-prepare-").map_or("", |(_, hash)| hash);
            let name = name.replace(hash, if hash.is_empty() { "" } else { "HASH" });
            format!("{} {name}", object["kind"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        names,
        [
            "NetworkPolicy mle-dojo-task-prepared",
            "NetworkPolicy mle-dojo-task-on-claims",
            "Job on-claims-prepare-HASH",
            "NetworkPolicy mle-dojo-task-in-images",
            "NetworkPolicy mle-dojo-task-in-config-maps",
            "ConfigMap replayed-1",
            "Pod replayed-1",
            "ConfigMap contained-1",
            "Pod contained-1",
            "ConfigMap contained-plainly-1",
            "Pod contained-plainly-1",
        ]
    );
}

#[test]
fn a_directory_with_a_kustomization_is_planned_with_its_files() {
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/quickstart");
    let output = dojo(
        &["plan", "-o", "json", "--image", "localhost/dojo:7", "."],
        &quickstart,
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let pods: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["kind"] == "Pod")
        .collect();
    assert_eq!(pods.len(), 4);
    for pod in pods {
        assert_eq!(pod["spec"]["initContainers"][0]["image"], "localhost/dojo:7");
    }
}

#[test]
fn every_problem_is_printed_with_its_file_and_the_exit_code_is_2() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("x.yaml"),
        "apiVersion: mledojo.dev/v1alpha1\nkind: Episode\nmetadata: {name: demo}\nspec:\n  taskRef: {name: iris}\n  \
         agent: {}\n  limits: {steps: 0}\n",
    )
    .unwrap();
    let output = dojo(&["plan", "x.yaml"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert_eq!(
        text(&output.stderr),
        "\
x.yaml: Episode/demo: spec.limits.steps: 0 is less than the minimum 1
x.yaml: Episode/demo: spec.agent: set exactly one of replay and container
x.yaml: Episode/demo: spec.taskRef.name: there is no Task `iris` in namespace `default` among the files; give the file \
with the Task as well
"
    );
}

#[test]
fn a_task_that_only_this_machine_can_read_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let fixtures = fs::read_to_string(FIXTURES).unwrap();
    let prepared = "data: {prepare: {configMapKeyRef: {name: code, key: prepare.py}}}";
    assert!(fixtures.contains(prepared));
    fs::write(
        dir.path().join("x.yaml"),
        fixtures.replacen(prepared, "data: {path: ./data}", 1),
    )
    .unwrap();
    let output = dojo(&["plan", "x.yaml"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(
        message.starts_with("x.yaml: Task/prepared takes its data from the directory"),
        "{message}"
    );
    assert!(output.stdout.is_empty(), "nothing is planned by halves");
}

#[test]
fn files_without_an_episode_are_said_to_be_just_that() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("x.yaml"),
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n",
    )
    .unwrap();
    let output = dojo(&["plan", "x.yaml"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("no Episode"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_installed_program_runs_and_a_second_installation_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = dojo(&["install", "."], dir.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let entries: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(entries, ["dojo"]);
    let program = dir.path().join("dojo");
    assert_eq!(
        fs::metadata(&program).unwrap().permissions().mode() & 0o555,
        0o555,
        "others run it too"
    );
    assert!(
        Command::new(&program)
            .arg("--version")
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn an_installation_into_nowhere_names_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let output = dojo(&["install", "missing"], dir.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("missing"),
        "{}",
        text(&output.stderr)
    );
}
