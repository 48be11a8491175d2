use serde_json::Value;

use super::*;

const TASK: &str = r"
apiVersion: mledojo.dev/v1alpha1
kind: Task
metadata: {name: iris}
spec:
  title: Irises
  description: Tell three irises apart.
  domain: Tabular
  data: {prepare: {configMapKeyRef: {name: iris-code, key: prepare.py}}}
  environment: {image: localhost/python:1, resources: {cpu: 2}}
  evaluation:
    metric: {builtin: Accuracy}
    leaderboards: [{name: private, file: leaderboard.csv}]
  limits: {steps: 4}
";
const EPISODE: &str = r"
apiVersion: mledojo.dev/v1alpha1
kind: Episode
metadata: {name: demo}
spec:
  taskRef: {name: iris}
  agent: {replay: {configMapKeyRef: {name: iris-code, key: actions.yaml}}}
";
const CODE: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: iris-code}
data: {prepare.py: 'def prepare(raw, public, private): pass', actions.yaml: '[{action: reset}]'}
";

fn document(text: &str) -> Document {
    Document {
        file: "x.yaml".into(),
        index: 0,
        value: serde_saphyr::from_str(text).unwrap(),
    }
}

/// `text` with `from` replaced by `to`; `from` must be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the fixture");
    text.replace(from, to)
}

fn problems(texts: &[&str]) -> Vec<String> {
    let documents: Vec<Document> = texts.iter().map(|text| document(text)).collect();
    match validate(&documents) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|problem| problem.to_string().replace("x.yaml: ", ""))
            .collect(),
    }
}

/// Problems of the example Task with one change, among complete documents.
fn task_problems(from: &str, to: &str) -> Vec<String> {
    problems(&[&with(TASK, from, to), EPISODE, CODE])
}

fn episode_problems(from: &str, to: &str) -> Vec<String> {
    problems(&[TASK, &with(EPISODE, from, to), CODE])
}

#[test]
fn valid_documents_come_out_typed_with_the_defaults_of_the_schema() {
    let checked = validate(&[document(TASK), document(EPISODE), document(CODE)]).unwrap();
    let task = &checked.tasks[0].resource;
    assert_eq!(task.spec.environment.resources.cpu.0, "2");
    assert_eq!(task.spec.environment.resources.memory.0, "2Gi");
    assert_eq!(task.spec.evaluation.answers, "answers.csv");
    let episode = &checked.episodes[0].resource;
    assert_eq!(episode.spec.seed, 0);
    assert_eq!(checked.task_of(episode).unwrap().resource, *task);
    let key = &episode.spec.agent.replay.as_ref().unwrap().config_map_key_ref;
    assert_eq!(
        checked.file("default", key),
        Some(b"[{action: reset}]".as_slice())
    );
}

#[test]
fn every_problem_of_every_document_is_reported_at_once_and_in_order() {
    let task = TASK
        .replace("Tabular", "Tabluar")
        .replace("steps: 4", "steps: 0, actionTimeout: 5")
        .replace("Accuracy", "AUC");
    let episode = EPISODE.replace("{name: iris}", "{name: rose}") + "  sed: 4\n";
    assert_eq!(
        problems(&[&task, &episode, CODE]),
        [
            "Task/iris: spec.domain: \"Tabluar\" is not one of `Tabular`, `Vision`, `Language`, `TimeSeries`, \
             `Audio` and `Other`; did you mean `Tabular`?",
            "Task/iris: spec.evaluation.metric.builtin: \"AUC\" is not one of `Accuracy`, `RocAuc`, `LogLoss`, \
             `Rmse`, `Mae`, `Pearson` and `Spearman`",
            "Task/iris: spec.limits.steps: 0 is less than the minimum 1",
            "Task/iris: spec.limits.actionTimeout: expected text, found 5: write \"5\" with quotes",
            "Episode/demo: spec.sed: unknown field; did you mean `seed`?",
            "Episode/demo: spec.taskRef.name: there is no Task `rose` in namespace `default` among the files; \
             there is `iris`",
        ]
    );
}

#[test]
fn each_way_of_being_wrong_is_said_with_the_field_and_what_would_be_right() {
    let cases: &[(Vec<String>, &[&str])] = &[
        (
            task_problems("  title: Irises\n", ""),
            &["Task/iris: spec.title: this field is required: Title for people"],
        ),
        (
            task_problems("title: Irises", "title: 7"),
            &["Task/iris: spec.title: expected text, found 7: write \"7\" with quotes"],
        ),
        (
            task_problems("title: Irises", "title: ''"),
            &["Task/iris: spec.title: must not be empty"],
        ),
        (
            task_problems("title: Irises", "titel: Irises"),
            &["Task/iris: spec.titel: unknown field; did you mean `title`?"],
        ),
        (
            task_problems("  title: Irises", "  steps: 4\n  title: Irises"),
            &["Task/iris: spec.steps: unknown field here; it belongs into `spec.limits`"],
        ),
        (
            task_problems("cpu: 2", "cpu: 0.5"),
            &[
                "Task/iris: spec.environment.resources.cpu: expected a quantity, found 0.5: write \"0.5\" with quotes",
            ],
        ),
        (
            task_problems("cpu: 2", "memory: 2GB"),
            &[
                "Task/iris: spec.environment.resources.memory: \"2GB\" is not accepted: write a quantity such as \
               500m, 4 or 2Gi",
            ],
        ),
        (
            task_problems("cpu: 2", "memory: 512"),
            &[
                "Task/iris: spec.environment.resources.memory: memory must be at least 64Mi: a number without a unit \
               is bytes, 2Gi is two gibibytes",
            ],
        ),
        (
            task_problems("steps: 4", "wallClock: 2 days"),
            &[
                "Task/iris: spec.limits.wallClock: \"2 days\" is not accepted: write a duration such as 30s, 90m or \
               1h30m",
            ],
        ),
        (
            task_problems("steps: 4", "wallClock: 0s"),
            &["Task/iris: spec.limits.wallClock: wallClock must be longer than 0s"],
        ),
        (
            task_problems("    leaderboards: [{name: private, file: leaderboard.csv}]\n", ""),
            &[
                "Task/iris: spec.evaluation.reward: a Task without leaderboards must say reward: Score",
                "Task/iris: spec.evaluation.stepReward: a Task without leaderboards must say stepReward: Score or \
                 stepReward: Improvement",
            ],
        ),
        (
            task_problems(
                "[{name: private, file: leaderboard.csv}]",
                "[{name: a, file: x.csv}, {name: a, file: ../y.csv}]",
            ),
            &[
                "Task/iris: spec.evaluation.leaderboards[1].file: \"../y.csv\" is not accepted: write a path below \
                 the directory: not absolute, without `..`, spaces or hidden names",
                "Task/iris: spec.evaluation.leaderboards[1].name: \"a\" is there already, at \
                 spec.evaluation.leaderboards[0]",
            ],
        ),
        (
            task_problems(
                "{prepare: {configMapKeyRef: {name: iris-code, key: prepare.py}}}",
                "{}",
            ),
            &["Task/iris: spec.data: set prepare, or path, or both public and private"],
        ),
        (
            task_problems(
                "image: localhost/python:1",
                "image: localhost/python:1, labels: {mledojo.dev/task: x}",
            ),
            &["Task/iris: spec.environment.labels: labels of mledojo.dev/ are set by the operator"],
        ),
        (
            task_problems(
                "image: localhost/python:1",
                "image: localhost/python:1, requirements: [-r /etc/passwd]",
            ),
            &[
                "Task/iris: spec.environment.requirements[0]: \"-r /etc/passwd\" does not match \
               ^[A-Za-z0-9][^\\r\\n]*$",
            ],
        ),
        (
            task_problems("{name: iris}", "{name: Iris}")[..1].to_vec(),
            &[
                "Task/Iris: metadata.name: \"Iris\" is not accepted: write lower-case letters, digits, `-` and `.`, \
               beginning and ending with a letter or digit",
            ],
        ),
        (
            task_problems("metadata: {name: iris}\n", "")[..1].to_vec(),
            &["document 1: metadata: this field is required: Name, and labels if you like"],
        ),
        (
            episode_problems(
                "{replay: {configMapKeyRef: {name: iris-code, key: actions.yaml}}}",
                "{}",
            ),
            &["Episode/demo: spec.agent: set exactly one of replay and container"],
        ),
        (
            episode_problems(
                "{replay: {configMapKeyRef: {name: iris-code, key: actions.yaml}}}",
                "{container: {image: a, command: [], env: [{name: DOJO_URL, value: x}]}}",
            ),
            &[
                "Episode/demo: spec.agent.container.command: 0 items are fewer than the minimum 1",
                "Episode/demo: spec.agent.container.env[0].name: names of DOJO_ are set by the episode",
            ],
        ),
        (
            episode_problems("key: actions.yaml", "key: action.yaml"),
            &[
                "Episode/demo: spec.agent.replay.configMapKeyRef.key: ConfigMap `iris-code` has no key `action.yaml`; \
               did you mean `actions.yaml`?",
            ],
        ),
        (
            episode_problems("taskRef: {name: iris}", "taskRef: {name: irsi}"),
            &[
                "Episode/demo: spec.taskRef.name: there is no Task `irsi` in namespace `default` among the files; did \
               you mean `iris`?",
            ],
        ),
        (
            episode_problems("{name: demo}", "{name: demo, namespace: other}"),
            &[
                "Episode/demo: spec.agent.replay.configMapKeyRef.name: there is no ConfigMap `iris-code` in \
                 namespace `other` among the files; a configMapGenerator makes one: give the directory with its \
                 kustomization.yaml",
                "Episode/demo: spec.taskRef.name: there is no Task `iris` in namespace `other` among the files; give \
                 the file with the Task as well",
            ],
        ),
        (
            episode_problems("spec:\n", "spec:\n  seed: 4294967296\n"),
            &["Episode/demo: spec.seed: 4294967296 is more than the maximum 4294967295"],
        ),
        (
            episode_problems("spec:\n", "spec:\n  seed: 1.5\n"),
            &["Episode/demo: spec.seed: expected a whole number, found 1.5"],
        ),
        (
            episode_problems("{name: demo}", &format!("{{name: {}}}", "a".repeat(64))),
            &[&format!(
                "Episode/{}: the name of an Episode has at most 63 characters: it becomes a label",
                "a".repeat(64)
            )],
        ),
        (
            episode_problems("v1alpha1", "v1"),
            &[
                "Episode/demo: apiVersion: \"mledojo.dev/v1\" is not served for kind Episode: write \
               mledojo.dev/v1alpha1",
            ],
        ),
        (
            episode_problems("kind: Episode", "kind: Epsiode"),
            &["Episode/demo: kind: \"Epsiode\" is no kind of mledojo.dev/v1alpha1; did you mean `Episode`?"],
        ),
        (
            episode_problems("kind: Episode", "kind: Rollout"),
            &[
                "document 1: kind: \"Rollout\" is no kind of mledojo.dev/v1alpha1: there is `Task`, `Episode` and \
               `ConfigMap`",
            ],
        ),
        (
            problems(&["[1, 2]"]),
            &["document 1: a document is a mapping with apiVersion, kind, metadata and spec; this is a list"],
        ),
        (
            problems(&[TASK, TASK, EPISODE, CODE]),
            &["Task/iris: metadata.name: Task `iris` is there already, in x.yaml (document 1)"],
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_misspelt_field_does_not_bring_further_problems_with_it() {
    assert_eq!(
        episode_problems("taskRef: {name: iris}", "task_ref: {name: iris}"),
        ["Episode/demo: spec.task_ref: unknown field; did you mean `taskRef`?"]
    );
    assert_eq!(
        task_problems("data: {prepare:", "data: {prepar:"),
        ["Task/iris: spec.data.prepar: unknown field; did you mean `prepare`?"]
    );
}

#[test]
fn objects_of_other_groups_pass_and_are_named() {
    let pvc = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {}}";
    let other_task = "{apiVersion: tekton.dev/v1, kind: Task, metadata: {name: build}}";
    let checked = validate(&[document(pvc), document(other_task)]).unwrap();
    assert_eq!(checked.ignored, ["PersistentVolumeClaim/data", "Task/build"]);
}

#[test]
fn a_list_stands_for_its_items_and_a_status_is_dropped() {
    let mut episode: Value = document(EPISODE).value;
    episode["status"] = json!({"phase": "Nonsense"});
    let items = json!([document(TASK).value, episode, document(CODE).value]);
    let list = Document {
        file: "list.yaml".into(),
        index: 0,
        value: json!({"apiVersion": "v1", "kind": "List", "items": items}),
    };
    let checked = validate(&[list]).unwrap();
    assert_eq!(checked.episodes[0].resource.status, None);
}

#[test]
fn nothing_written_is_the_same_as_not_written() {
    let checked = validate(&[
        document(&with(
            TASK,
            "limits: {steps: 4}",
            "limits: {steps: null, wallClock: }",
        )),
        document(&with(EPISODE, "spec:\n", "spec:\n  seed:\n  suspend:\n")),
        document(CODE),
    ])
    .unwrap();
    assert_eq!(checked.episodes[0].resource.spec.seed, 0);
    assert_eq!(checked.tasks[0].resource.spec.limits.steps, None);
}

#[test]
fn the_rules_of_an_update_are_evaluated_by_the_same_engine() {
    let checked = validate(&[document(TASK), document(EPISODE), document(CODE)]).unwrap();
    let old = &checked.episodes[0].resource;
    let mut new = old.clone();
    new.spec.suspend = Some(true);
    assert!(new.validate_cel_update(old).is_ok(), "suspend may change");
    new.spec.seed = 8;
    new.spec.limits = Some(crate::api::Limits::default());
    let errors = new.validate_cel_update(old).unwrap_err();
    let mut paths: Vec<&str> = errors.iter().map(|error| error.field_path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["spec.limits", "spec.seed"]);
}

#[test]
fn actions_that_cannot_be_replayed_are_named_with_the_episode_that_replays_them() {
    let at = "Episode/demo: spec.agent.replay: file `actions.yaml` of ConfigMap `iris-code`: ";
    let cases: [(&str, &[&str]); 4] = [
        ("'[]'", &["holds no action"]),
        (
            "'[{action: rest}, {params: {}}]'",
            &["action 1: `rest` is none of", "action 2: `action` is missing"],
        ),
        ("'- ['", &["is not YAML"]),
        (
            "'{\"type\":\"step\"}'",
            &["is a trajectory without a single step"],
        ),
    ];
    for (actions, expected) in cases {
        let found = problems(&[TASK, EPISODE, &with(CODE, "'[{action: reset}]'", actions)]);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(&format!("{at}{expected}")), "{found}");
        }
    }
    for (base64, expected) in [
        ("/w==", Some("is not text in UTF-8")),
        ("W10=", Some("holds no action")),
        ("W3thY3Rpb246IHJlc2V0fV0=", None),
    ] {
        let binary = format!("}}\nbinaryData: {{actions.yaml: {base64}}}");
        let found = problems(&[
            TASK,
            EPISODE,
            &with(CODE, ", actions.yaml: '[{action: reset}]'}", &binary),
        ]);
        assert_eq!(
            found,
            expected.map(|expected| format!("{at}{expected}")).as_slice()
        );
    }
}
