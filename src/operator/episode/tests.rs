//! Orderings of requests about one Episode.

use std::sync::Mutex;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{reflector, watcher};
use serde_json::{Value, json};

use super::super::mock::{refusal, server, server_with};
use super::*;
use crate::api::Task;
use crate::plan::{Actions, Observed, Plan};

fn episode(version: &str, uid: &str, status: &Value) -> Value {
    json!({
        "apiVersion": "mledojo.dev/v1alpha1", "kind": "Episode",
        "metadata": {"name": "demo", "namespace": "lab", "uid": uid, "resourceVersion": version, "generation": 1},
        "spec": {"taskRef": {"name": "iris"}, "agent": {"container": {"image": "a", "command": ["a"]}}},
        "status": status,
    })
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn task() -> Task {
    parsed(json!({
        "apiVersion": "mledojo.dev/v1alpha1", "kind": "Task", "metadata": {"name": "iris", "namespace": "lab"},
        "spec": {
            "title": "Irises", "description": "Tell them apart.", "domain": "Tabular",
            "data": {"prepare": {"configMapKeyRef": {"name": "iris", "key": "prepare.py"}}},
            "environment": {"image": "python"}, "evaluation": {"metric": {"builtin": "Accuracy"}},
        },
    }))
}

fn owned(kind: &str, uid: &str, owner: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {
        "name": "demo-1", "namespace": "lab", "uid": uid, "ownerReferences": [{
            "apiVersion": "mledojo.dev/v1alpha1", "kind": "Episode", "name": "demo", "uid": owner, "controller": true,
            "blockOwnerDeletion": true,
        }],
    }})
}

fn pod(uid: &str, owner: &str) -> Value {
    let mut pod = owned("Pod", uid, owner);
    pod["spec"] = json!({"containers": []});
    pod
}

fn plan() -> Plan {
    let mut config_map: ConfigMap = parsed(owned("ConfigMap", "", "e-1"));
    config_map.data = Some([("relay-config.json".to_owned(), "new".to_owned())].into());
    Plan {
        config_map,
        pod: parsed(pod("", "e-1")),
    }
}

fn left_over() -> Value {
    let mut map = owned("ConfigMap", "c-1", "e-1");
    map["data"] = json!({"relay-config.json": "old"});
    map
}

#[tokio::test]
async fn a_configuration_left_over_is_replaced_before_its_pod_is_made() {
    let (client, log) = server(vec![
        refusal(409, "AlreadyExists", "it exists"),
        (200, left_over()),
        refusal(404, "NotFound", "no such pod"),
        (
            200,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
        ),
        (201, owned("ConfigMap", "c-2", "e-1")),
        (201, pod("p-1", "e-1")),
    ]);
    let actions = Actions {
        create: Some(plan()),
        ..Actions::default()
    };
    let episode = Arc::new(parsed(episode("5", "e-1", &json!({"attempt": 1}))));
    let applied = apply::apply(&Context::empty(client), &episode, &actions)
        .await
        .unwrap();
    assert_eq!(applied.pod.unwrap().metadata.uid.as_deref(), Some("p-1"));
    let expected = [
        "POST configmaps",
        "GET demo-1",
        "GET demo-1",
        "DELETE demo-1",
        "POST configmaps",
        "POST pods",
    ];
    assert_eq!(log.lines(), expected);
}

#[tokio::test]
async fn the_configuration_of_a_pod_that_is_there_stays_as_it_is() {
    let (client, log) = server(vec![
        refusal(409, "AlreadyExists", "it exists"),
        (200, left_over()),
        (200, pod("p-1", "e-1")),
    ]);
    let actions = Actions {
        create: Some(plan()),
        ..Actions::default()
    };
    let episode = Arc::new(parsed(episode("5", "e-1", &json!({"attempt": 1}))));
    let applied = apply::apply(&Context::empty(client), &episode, &actions)
        .await
        .unwrap();
    assert_eq!(applied.pod.unwrap().metadata.uid.as_deref(), Some("p-1"));
    assert_eq!(log.lines(), ["POST configmaps", "GET demo-1", "GET demo-1"]);
}

async fn reported(answers: Vec<(u16, Value)>) -> (Reported, Vec<Value>) {
    let (client, log) = server(answers);
    let episode: Arc<Episode> = Arc::new(parsed(episode("5", "e-1", &json!({"phase": "Running"}))));
    let observed = Observed::new(Some(&task()), &episode);
    let now = Timestamp::from_second(1_795_000_000).unwrap();
    let reported = report::report(&Context::empty(client), &episode, Some(&observed), now)
        .await
        .unwrap();
    (reported, log.all().into_iter().map(|asked| asked.body).collect())
}

#[tokio::test]
async fn a_status_is_written_with_the_version_that_it_was_decided_on() {
    let conflict = refusal(409, "Conflict", "the object has been modified");
    let newer = episode("7", "e-1", &json!({"phase": "Running"}));
    let (result, bodies) = reported(vec![conflict, (200, newer)]).await;
    assert_eq!(bodies[0]["metadata"]["resourceVersion"], "5");
    assert_eq!(bodies[0]["metadata"]["uid"], "e-1");
    assert!(
        matches!(&result, Reported::Overtaken(newer) if newer.metadata.resource_version.as_deref() == Some("7")),
        "{result:?}"
    );
}

#[tokio::test]
async fn what_was_decided_for_a_deleted_episode_is_not_told_of_its_namesake() {
    let conflict = refusal(409, "Conflict", "the object has been modified");
    let namesake = episode("9", "e-2", &json!({}));
    let (result, _) = reported(vec![conflict, (200, namesake)]).await;
    assert!(matches!(result, Reported::Gone), "{result:?}");
    let (result, _) = reported(vec![refusal(404, "NotFound", "no such Episode")]).await;
    assert!(matches!(result, Reported::Gone), "{result:?}");
}

#[tokio::test]
async fn a_pod_on_record_that_the_store_lacks_is_asked_for() {
    let list = |items: Value| json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items});
    let recorded = json!({"phase": "Running", "pod": {"name": "demo-1", "uid": "p-1"}});
    let episode: Episode = parsed(episode("5", "e-1", &recorded));
    let (client, log) = server(vec![(200, list(json!([pod("p-1", "e-1"), pod("p-0", "e-0")])))]);
    let context = Context::empty(client);
    let seen = observe::observe(&context, &episode, &[]).await.unwrap();
    let now = Timestamp::from_second(0).unwrap();
    let uids: Vec<_> = seen
        .world(&episode, now)
        .pods
        .iter()
        .map(|pod| pod.metadata.uid.clone().unwrap())
        .collect();
    assert_eq!(uids, ["p-1"], "of its own by UID, not by name");
    assert_eq!(log.lines(), ["GET pods"]);

    let made = [parsed(pod("p-1", "e-1"))];
    observe::observe(&context, &episode, &made).await.unwrap();
    assert_eq!(
        log.lines().len(),
        1,
        "one that was just made need not be asked for"
    );
}

#[tokio::test]
async fn an_episode_of_another_manager_is_left_alone() {
    let (client, log) = server(Vec::new());
    let mut episode: Episode = parsed(episode("5", "e-1", &json!({})));
    episode.spec.managed_by = Some("example.org/other".into());
    let context = Arc::new(Context::empty(client));
    let action = reconcile(Arc::new(episode), context).await.unwrap();
    assert_eq!(action, Action::await_change());
    assert!(log.all().is_empty());
}

/// Makes what it is asked to make and keeps the status that it is given, as an API server does.
fn obliging(episode: &Value) -> impl Fn(&super::super::mock::Asked) -> (u16, Value) + Send + Sync + use<> {
    let kept = Mutex::new((episode.clone(), 100));
    move |asked| {
        if !asked.path.ends_with("/status") {
            let mut made = asked.body.clone();
            made["metadata"]["uid"] = "p-1".into();
            return (201, made);
        }
        let (episode, version) = &mut *kept.lock().unwrap();
        let recorded = episode["metadata"]["resourceVersion"].clone();
        assert_eq!(
            asked.body["metadata"]["resourceVersion"], recorded,
            "written on an old one"
        );
        *version += 1;
        episode["metadata"]["resourceVersion"] = version.to_string().into();
        episode["status"] = asked.body["status"].clone();
        (200, episode.clone())
    }
}

#[tokio::test]
async fn the_number_of_an_attempt_is_on_record_before_its_pod_is_made() {
    let fresh = json!({
        "apiVersion": "mledojo.dev/v1alpha1", "kind": "Episode",
        "metadata": {
            "name": "demo", "namespace": "lab", "uid": "e-1", "resourceVersion": "5", "generation": 1,
            "creationTimestamp": "2026-11-25T00:00:00Z",
        },
        "spec": {"taskRef": {"name": "iris"}, "agent": {"container": {"image": "a", "command": ["a"]}}},
    });
    let (client, log) = server_with(obliging(&fresh));
    let mut context = Context::empty(client);
    let (tasks, mut writer) = reflector::store();
    let mut ready = task();
    ready.status = Some(parsed(json!({"digest": "d", "conditions": [{
        "type": "TaskReady", "status": "True", "reason": "Ready", "message": "",
        "lastTransitionTime": "2026-11-25T00:00:00Z",
    }]})));
    writer.apply_watcher_event(&watcher::Event::Apply(ready));
    context.tasks = tasks;
    let context = Arc::new(context);

    let stale: Arc<Episode> = Arc::new(parsed(fresh));
    reconcile(Arc::clone(&stale), Arc::clone(&context)).await.unwrap();
    assert_eq!(log.lines(), ["PATCH status", "POST configmaps", "POST pods"]);
    assert_eq!(log.all()[0].body["status"]["attempt"], 1);

    // The pod's event comes before the Episode's: what was written counts, not what the store has.
    reconcile(stale, context).await.unwrap();
    assert_eq!(log.lines()[3..], ["POST configmaps", "POST pods"]);
}
