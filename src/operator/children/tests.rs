//! Orderings that an API server does not produce on demand.

use axum::http::Method;
use serde_json::{Value, json};

use super::super::mock::{self, Log, refusal};
use super::*;

fn server(answers: Vec<(u16, Value)>) -> (Api<Pod>, Log) {
    let (client, log) = mock::server(answers);
    (Api::namespaced(client, "lab"), log)
}

fn pod(uid: &str, owner: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "demo-1", "namespace": "lab", "uid": uid, "ownerReferences": [{
            "apiVersion": "mledojo.dev/v1alpha1", "kind": "Episode", "name": "demo", "uid": owner, "controller": true,
        }],
    }, "spec": {"containers": []}})
}

fn wanted() -> Pod {
    serde_json::from_value(pod("", "episode-uid")).unwrap()
}

fn reference() -> PodRef {
    PodRef {
        name: "demo-1".into(),
        uid: "pod-uid".into(),
    }
}

#[tokio::test]
async fn a_pod_that_an_earlier_look_has_made_counts_as_made() {
    let (api, asked) = server(vec![
        refusal(409, "AlreadyExists", "pods \"demo-1\" already exists"),
        (200, pod("pod-uid", "episode-uid")),
    ]);
    let made = make(&api, &wanted(), "test").await.unwrap();
    assert!(matches!(made, Made::Found(pod) if pod.metadata.uid.as_deref() == Some("pod-uid")));
    assert_eq!(asked.lines(), ["POST pods", "GET demo-1"]);
}

#[tokio::test]
async fn a_pod_of_an_earlier_episode_of_that_name_is_in_the_way() {
    let (api, _) = server(vec![
        refusal(409, "AlreadyExists", "pods \"demo-1\" already exists"),
        (200, pod("pod-uid", "uid-of-the-earlier-one")),
    ]);
    let error = make(&api, &wanted(), "test").await.unwrap_err();
    assert_eq!(error.category(), "name-taken");
    assert!(
        error
            .to_string()
            .contains("Episode demo (uid-of-the-earlier-one)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_quota_is_told_apart_from_a_namespace_that_goes() {
    let (api, _) = server(vec![refusal(403, "Forbidden", "exceeded quota: gpus")]);
    let error = make(&api, &wanted(), "test").await.unwrap_err();
    assert_eq!(error.category(), "refused");
    assert_eq!(error.to_string(), "Pod demo-1 is refused: exceeded quota: gpus");

    let (code, mut status) = refusal(403, "Forbidden", "it is being terminated");
    status["details"] = json!({"causes": [{"reason": "NamespaceTerminating"}]});
    let (api, _) = server(vec![(code, status)]);
    let error = make(&api, &wanted(), "test").await.unwrap_err();
    assert_eq!(error.category(), "namespace-terminating");
}

#[tokio::test]
async fn a_release_takes_only_the_own_finalizer_of_only_this_pod() {
    let (api, asked) = server(vec![(200, pod("pod-uid", "episode-uid"))]);
    release(&api, &reference()).await.unwrap();
    let asked = &asked.all()[0];
    assert_eq!(
        (&asked.method, asked.path.as_str()),
        (&Method::PATCH, "/api/v1/namespaces/lab/pods/demo-1")
    );
    let expected = json!({"metadata": {
        "uid": "pod-uid", "$deleteFromPrimitiveList/finalizers": ["mledojo.dev/result"],
    }});
    assert_eq!(asked.body, expected);
}

#[tokio::test]
async fn another_pod_of_that_name_is_left_alone() {
    let invalid = || refusal(422, "Invalid", "metadata.uid: field is immutable");
    let (api, _) = server(vec![invalid(), (200, pod("another-uid", "episode-uid"))]);
    release(&api, &reference()).await.unwrap();
    let (api, _) = server(vec![invalid(), (200, pod("pod-uid", "episode-uid"))]);
    release(&api, &reference()).await.unwrap_err();
    let (api, _) = server(vec![refusal(404, "NotFound", "pods \"demo-1\" not found")]);
    release(&api, &reference()).await.unwrap();
}

#[tokio::test]
async fn a_deletion_is_for_one_uid() {
    let (api, asked) = server(vec![refusal(
        409,
        "Conflict",
        "the UID in the precondition differs",
    )]);
    delete(&api, "demo-1", "pod-uid").await.unwrap();
    assert_eq!(asked.all()[0].body["preconditions"], json!({"uid": "pod-uid"}));
}
