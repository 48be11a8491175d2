//! A Task that is ready in a second and grades exactly, and agents for it.
//!
//! All answers are 0 and the metric is RMSE, so a submission of the constant `c` scores `c`. The board has the entries
//! 0.1 to 0.5: 0.35 is worth 0.4, 0.15 is worth 0.8, 0.05 is worth 1.

use serde_json::{Value, json};

/// The image of tasks and container agents; only its Python and standard library are used.
pub const IMAGE: &str = "ghcr.io/mle-dojo/python-ml:0.1";
/// ConfigMap with everything that a [`task`] needs.
pub const CODE: &str = "code";
/// CPU of sandboxes and container agents. With what the other containers of a pod ask for, a node of 2 CPUs has room
/// for four episodes and an operator.
const CPU: &str = "100m";

const PREPARE: &str = r#"
def prepare(raw, public, private):
    (public / "train.csv").write_text("id,y\n0,0\n")
    (private / "answers.csv").write_text("id,y\n" + "".join(f"{i},0\n" for i in range(1, 5)))
    (private / "leaderboard.csv").write_text(
        "rank,score\n" + "".join(f"{i},0.{i}\n" for i in range(1, 6))
    )
"#;

/// One action of a replay.
#[derive(Clone, Debug)]
pub enum Do {
    /// Submits a constant.
    Submit(f64),
    /// Runs a program that waits, and submits nothing.
    Sleep(u32),
    /// Runs a program.
    Run(&'static str),
}

/// Three submissions, each better than the one before; worth 1 in the end.
pub const IMPROVING: [Do; 3] = [Do::Submit(0.35), Do::Submit(0.15), Do::Submit(0.05)];

/// Program text that submits a constant.
fn submission(constant: f64) -> String {
    format!(
        "with open('submission.csv', 'w') as file:\n    file.write('id,y\\n' + ''.join(f'{{i}},{constant}\\n' \
         for i in range(1, 5)))\n"
    )
}

/// The file of a replay.
pub fn actions(list: &[Do]) -> String {
    let list: Vec<Value> = list
        .iter()
        .map(|action| {
            let (name, code) = match action {
                Do::Submit(constant) => ("execute_code", submission(*constant)),
                Do::Sleep(seconds) => ("validate_code", format!("import time\ntime.sleep({seconds})\n")),
                Do::Run(code) => ("execute_code", (*code).to_owned()),
            };
            json!({"action": name, "params": {"code": code}})
        })
        .collect();
    serde_json::to_string_pretty(&list).unwrap()
}

/// A ConfigMap.
pub fn files(name: &str, files: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<String, Value> = files
        .iter()
        .map(|(key, content)| ((*key).to_owned(), Value::from(*content)))
        .collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// The ConfigMap [`CODE`]: `prepare.py`, and `actions.yaml` of this replay.
pub fn code(list: &[Do]) -> Value {
    files(CODE, &[("prepare.py", PREPARE), ("actions.yaml", &actions(list))])
}

/// The Task.
pub fn task(name: &str) -> Value {
    json!({
        "apiVersion": "mledojo.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"name": name},
        "spec": {
            "title": "Nothing at all",
            "description": "Predict y. It is always 0.",
            "domain": "Tabular",
            "data": {"prepare": {"configMapKeyRef": {"name": CODE, "key": "prepare.py"}}},
            "environment": {
                "image": IMAGE,
                "resources": {"cpu": CPU, "memory": "256Mi", "ephemeralStorage": "64Mi"},
            },
            "evaluation": {
                "metric": {"builtin": "Rmse"},
                // A relay's memory follows from the largest submission.
                "submission": {"idColumn": "id", "maxBytes": 65536},
                "leaderboards": [{"name": "private", "file": "leaderboard.csv"}],
            },
            "limits": {"steps": 20, "wallClock": "20m", "actionTimeout": "10m"},
        },
    })
}

/// An Episode that replays `actions.yaml` of [`CODE`].
pub fn replay(name: &str, task: &str) -> Value {
    replay_of(name, task, CODE)
}

/// An Episode that replays `actions.yaml` of a ConfigMap.
pub fn replay_of(name: &str, task: &str, config_map: &str) -> Value {
    episode(
        name,
        task,
        &json!({"replay": {"configMapKeyRef": {"name": config_map, "key": "actions.yaml"}}}),
    )
}

/// An Episode whose agent is a Python program.
pub fn container(name: &str, task: &str, program: &str) -> Value {
    episode(
        name,
        task,
        &json!({"container": {
            "image": IMAGE,
            "command": ["python3", "-c", program],
            "resources": {"cpu": CPU, "memory": "128Mi", "ephemeralStorage": "64Mi"},
        }}),
    )
}

fn episode(name: &str, task: &str, agent: &Value) -> Value {
    json!({
        "apiVersion": "mledojo.dev/v1alpha1",
        "kind": "Episode",
        "metadata": {"name": name},
        "spec": {"taskRef": {"name": task}, "agent": agent, "seed": 7},
    })
}

/// `object` with a JSON merge patch applied to its spec.
pub fn with(mut object: Value, spec: Value) -> Value {
    merge(&mut object["spec"], spec);
    object
}

/// RFC 7396.
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container, ResourceRequirements};
    use mledojo::api::Quantity;
    use mledojo::plan::{self, Document, Ids, PodOptions};

    use super::*;

    fn milli_cpu(container: &Container) -> u128 {
        let requests = container
            .resources
            .as_ref()
            .and_then(|resources: &ResourceRequirements| resources.requests.as_ref());
        let cpu = requests.and_then(|requests| requests.get("cpu")).unwrap();
        Quantity(cpu.0.clone()).milli().unwrap()
    }

    #[test]
    fn four_episodes_and_an_operator_fit_on_a_node_of_two_cpus() {
        let documents: Vec<Document> = [
            task("tiny"),
            code(&IMPROVING),
            replay("replay", "tiny"),
            container("program", "tiny", "pass"),
        ]
        .into_iter()
        .map(|value| Document {
            file: "fixtures".into(),
            index: 0,
            value,
        })
        .collect();
        let checked = plan::validate(&documents).unwrap();
        let options = PodOptions {
            image: "operator".into(),
            ids: Ids::Fixed,
            report: None,
        };
        for episode in &checked.episodes {
            let task = &checked.tasks[0].resource;
            let pod = plan::cluster(task, &episode.resource, 1, &options).unwrap().pod;
            let spec = pod.spec.unwrap();
            let (sidecars, before): (Vec<_>, Vec<_>) = spec
                .init_containers
                .as_ref()
                .unwrap()
                .iter()
                .partition(|container| container.restart_policy.is_some());
            let together: u128 = sidecars.into_iter().chain(&spec.containers).map(milli_cpu).sum();
            let request = before.into_iter().map(milli_cpu).fold(together, u128::max);
            assert!(4 * request + 300 <= 2_000, "an episode asks for {request}m CPU");
        }
    }
}
