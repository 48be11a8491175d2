//! Pods in the states that tables describe.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::kit::{at, result};
use crate::api::conditions::Outcome;

/// Somebody deletes a pod.
pub(super) fn remove(pod: &mut Pod, now: i64) {
    pod.metadata.deletion_grace_period_seconds = Some(30);
    pod.metadata.deletion_timestamp = Some(Time(at(now + 30)));
}

/// The state of a pod, as a table has it: `base` (`new`, `preparing`, `started`, `running` or `ended`), `phase`, `reason`, `message`,
/// `node`, `deleted` (a time), `conditions`, and `containers` by name, laid over those of the base.
pub(super) fn shape(pod: &mut Pod, yaml: &str) {
    let yaml: Value = serde_saphyr::from_str(&timed(&format!("{{{yaml}}}"))).unwrap();
    let base = yaml["base"].as_str().unwrap_or("new");
    let spec = pod.spec.as_mut().unwrap();
    spec.node_name = match &yaml["node"] {
        Value::Null if base == "new" => None,
        Value::Null => Some("node1".into()),
        name => name.as_str().map(Into::into),
    };
    if let Some(deleted) = yaml["deleted"].as_str() {
        let deleted: Timestamp = deleted.parse().unwrap();
        pod.metadata.deletion_grace_period_seconds = Some(30);
        pod.metadata.deletion_timestamp =
            Some(Time(Timestamp::from_second(deleted.as_second() + 30).unwrap()));
    }
    let names = |containers: &[k8s_openapi::api::core::v1::Container]| -> Vec<String> {
        containers
            .iter()
            .map(|container| container.name.clone())
            .collect()
    };
    let init = names(spec.init_containers.as_ref().unwrap());
    let main = names(&spec.containers);
    let base_states = states(base);
    let state = |name: &String| {
        let mut state = base_states[name.as_str()].clone();
        if let Some(over) = yaml["containers"].get(name) {
            state = over.clone();
        }
        let mut fields = json!({
            "name": name, "image": "i", "imageID": "repo/i@sha256:0123", "ready": false, "restartCount": 0,
        });
        merge(&mut fields, &state);
        for place in ["state", "lastState"] {
            if let Some(message) = fields.pointer_mut(&format!("/{place}/terminated/message")) {
                *message = expand(message.as_str().unwrap()).into();
            }
        }
        fields
    };
    let phase = match base {
        "new" | "preparing" | "started" => "Pending",
        "running" => "Running",
        _ => "Succeeded",
    };
    let mut status = json!({
        "phase": yaml["phase"].as_str().unwrap_or(phase),
        "startTime": spec.node_name.as_ref().map(|_| at(2).to_string()),
        "conditions": yaml["conditions"],
        "initContainerStatuses": spec.node_name.as_ref().map(|_| init.iter().map(state).collect::<Vec<_>>()),
        "containerStatuses": spec.node_name.as_ref().map(|_| main.iter().map(state).collect::<Vec<_>>()),
    });
    for name in ["reason", "message"] {
        if !yaml[name].is_null() {
            status[name] = yaml[name].clone();
        }
    }
    pod.status = Some(serde_json::from_value(status).unwrap());
}

fn states(base: &str) -> BTreeMap<&'static str, Value> {
    let waits = json!({"state": {"waiting": {"reason": "PodInitializing"}}});
    let done = |end: i64| json!({"state": {"terminated": {"exitCode": 0, "startedAt": at(3), "finishedAt": at(end)}}});
    let up = json!({"started": true, "ready": true, "state": {"running": {"startedAt": at(6)}}});
    let acts = json!({"state": {"running": {"startedAt": at(8)}}});
    let last = json!({"state": {"terminated": {"exitCode": 0, "finishedAt": at(90), "message": "RESULT sequence=6"}}});
    let ended = json!({"state": {"terminated": {"exitCode": 0, "startedAt": at(8), "finishedAt": at(80)}}});
    let all = match base {
        "preparing" => [
            done(3),
            json!({"state": {"running": {"startedAt": at(4)}}}),
            waits.clone(),
            waits.clone(),
            waits,
        ],
        "started" => [done(3), done(5), up.clone(), up, waits],
        "running" => [done(3), done(5), up.clone(), up, acts],
        "ended" => [done(3), done(5), last, done(89), ended],
        _ => [waits.clone(), waits.clone(), waits.clone(), waits.clone(), waits],
    };
    ["install", "prepare", "relay", "sandbox", "agent"]
        .into_iter()
        .zip(all)
        .collect()
}

fn merge(base: &mut Value, over: &Value) {
    let (Some(base), Some(over)) = (base.as_object_mut(), over.as_object()) else {
        return;
    };
    for (name, value) in over {
        base.insert(name.clone(), value.clone());
    }
}

/// `RESULT sequence=6 outcome=StepsExhausted …` becomes what a relay leaves.
fn expand(message: &str) -> String {
    let Some(fields) = message.strip_prefix("RESULT") else {
        return message.into();
    };
    let mut result = result(6);
    for field in fields.split_whitespace() {
        let (name, value) = field.split_once('=').unwrap();
        match name {
            "sequence" => result.sequence = value.parse().unwrap(),
            "steps" => result.steps = value.parse().unwrap(),
            "outcome" => {
                let outcome: Outcome = serde_json::from_value(json!(value)).unwrap();
                result.outcome = Some(outcome);
            }
            "task_error" => result.task_error = Some(value.into()),
            "sandbox_error" => result.sandbox_error = Some(value.into()),
            _ => panic!("{name}"),
        }
    }
    String::from_utf8(result.to_bytes()).unwrap()
}

/// `@N` becomes the time of second N.
fn timed(yaml: &str) -> String {
    let mut parts = yaml.split('@');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = part
            .find(|c: char| !c.is_ascii_digit() && c != '-')
            .unwrap_or(part.len());
        // An image digest is no time.
        match part[..digits].parse() {
            Ok(second) => text = format!("{text}'{}'{}", at(second), &part[digits..]),
            Err(_) => text = format!("{text}@{part}"),
        }
    }
    text
}
