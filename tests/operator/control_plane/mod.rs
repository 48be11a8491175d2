//! What the API server refuses, beside what the local runner says of the same.

mod bounds;
mod rules;

use axum::http::{Request, header};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::Status;
use mledojo::api::API_VERSION;
use mledojo::plan::{self, Document, Problem};
use serde_json::{Value, json};

use crate::stage::{Space, fixtures};

/// Longest message in a printed table, in characters.
const COLUMN: usize = 100;

/// Kind and schema of every kind as this source has them.
fn own_schemas() -> Vec<(String, Value)> {
    mledojo::api::definitions().into_iter().map(schema_of).collect()
}

fn schema_of(definition: CustomResourceDefinition) -> (String, Value) {
    let version = definition.spec.versions.into_iter().next().unwrap();
    let schema = version.schema.unwrap().open_api_v3_schema.unwrap();
    (definition.spec.names.kind, serde_json::to_value(schema).unwrap())
}

/// Kind and schema of every kind as the API server has them.
async fn schemas(space: &Space) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for definition in mledojo::api::definitions() {
        let name = definition.metadata.name.unwrap();
        let served: CustomResourceDefinition = space
            .cluster_object(&name)
            .await
            .unwrap_or_else(|| panic!("the cluster has no CustomResourceDefinition {name}"));
        found.push(schema_of(served));
    }
    found
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

/// What the API server says of an object that is to be made, without making it.
async fn dry_create(space: &Space, object: &Value) -> Result<(), Box<Status>> {
    let plural = match object["kind"].as_str().unwrap() {
        "Task" => "tasks",
        _ => "episodes",
    };
    let uri = format!(
        "/apis/{API_VERSION}/namespaces/{}/{plural}?dryRun=All&fieldValidation=Strict",
        space.name
    );
    let request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .body(serde_json::to_vec(object).unwrap())
        .unwrap();
    match space.client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => panic!("the API server cannot be asked: {error}"),
    }
}

/// What the local runner says of a Task or an Episode among complete documents.
fn local(object: &Value) -> Result<(), Vec<Problem>> {
    let mut values = vec![object.clone(), config_map()];
    if object["kind"] == "Episode" {
        values.push(fixtures::task("tiny"));
    }
    let documents: Vec<Document> = values
        .into_iter()
        .map(|value| Document {
            file: "test.yaml".into(),
            index: 0,
            value,
        })
        .collect();
    plan::validate(&documents).map(|_| ())
}

fn config_map() -> Value {
    fixtures::code(&fixtures::IMPROVING)
}

/// Every field of a Task, but `data` of one kind alone.
fn full_task(data: &Value) -> Value {
    let mut task = fixtures::task("full");
    fixtures::merge(
        &mut task,
        json!({"spec": {
            "data": null,
            "environment": {
                "requirements": ["pandas"],
                "gpu": {"count": 1, "product": "NVIDIA-H100-80GB-HBM3", "memory": "40Gi", "resource": "nvidia.com/gpu"},
                "network": "Loopback",
                "sandbox": "BestEffort",
                "runtimeClassName": "nvidia",
                "nodeSelector": {"zone": "north"},
                "tolerations": [
                    {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5},
                ],
                "imagePullSecrets": [{"name": "pull"}],
                "labels": {"team": "vision"},
                "annotations": {"note": "from the task"},
            },
            "evaluation": {
                "direction": "Minimize",
                "submission": {"file": "submission.csv"},
                "answers": "answers.csv",
                "feedback": "Full",
                "holdout": {"percent": 50, "seed": 1},
                "reward": "HumanRank",
                "stepReward": "HumanRank",
            },
            "limits": {"validationTimeout": "1m"},
        }}),
    );
    task["spec"]["data"] = data.clone();
    task
}

/// Where the data of a [`full_task`] may come from; between them every field.
fn sources() -> Vec<Value> {
    vec![
        json!({"prepare": {"configMapKeyRef": {"name": fixtures::CODE, "key": "prepare.py"}}}),
        json!({
            "public": {"persistentVolumeClaim": {"claimName": "data", "subPath": "v1/public"}},
            "private": {"persistentVolumeClaim": {"claimName": "data", "subPath": "v1/private"}},
        }),
        json!({
            "public": {"image": {"reference": "localhost/public:1"}},
            "private": {"image": {"reference": "localhost/private:1"}},
        }),
        json!({"public": {"configMap": {"name": fixtures::CODE}}, "private": {"configMap": {"name": fixtures::CODE}}}),
        json!({"path": "data"}),
    ]
}

/// Every field of an Episode, with a replay. No operator touches it.
fn full_replay() -> Value {
    fixtures::with(
        fixtures::replay("full", "tiny"),
        json!({
            "limits": {"steps": 5, "wallClock": "1h", "actionTimeout": "1m", "validationTimeout": "1m"},
            "scheduling": {"priorityClassName": "low", "queueName": "evals", "schedulerName": "other"},
            "suspend": true,
            "managedBy": "tests.mledojo.dev/nobody",
            "retry": {"limit": 1},
            "ttlAfterFinished": "24h",
        }),
    )
}

/// Every field of an Episode with a container.
fn full_container() -> Value {
    fixtures::with(
        fixtures::container("full", "tiny", "pass"),
        json!({"agent": {"container": {"args": ["--fast"], "env": [{"name": "STYLE", "value": "careful"}]}}}),
    )
}

/// Text for a table: one line of bounded length.
fn cell(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= COLUMN {
        return line;
    }
    line.chars().take(COLUMN - 1).chain(['…']).collect()
}
