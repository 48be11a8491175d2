//! As much of an API server as the report server talks to: one Episode, Secrets, ConfigMaps, reviews.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use mledojo::wire::report::AUDIENCE;
use serde_json::{Value, json};

/// What there is, and what happened.
pub struct World {
    /// Objects by kind, namespace and name.
    pub objects: BTreeMap<(String, String, String), Value>,
    /// The Episode `team-a/ep`.
    pub episode: Option<Value>,
    /// Status objects as they were applied.
    pub applied: Vec<Value>,
    pub token_reviews: u32,
    /// Changes of the Episode by others, each just before a status is written.
    pub interferences: u32,
}

#[derive(Clone)]
pub struct FakeApi(Arc<Mutex<World>>);

impl FakeApi {
    pub fn new() -> Self {
        let episode = json!({
            "apiVersion": "mledojo.dev/v1alpha1",
            "kind": "Episode",
            "metadata": {"name": "ep", "namespace": "team-a", "uid": "episode-uid", "resourceVersion": "1"},
            "spec": {"taskRef": {"name": "task"}, "agent": {"external": {}}},
            "status": {
                "phase": "Running",
                "attempt": 1,
                "pod": {"name": "ep-1", "uid": "pod-uid"},
            },
        });
        Self(Arc::new(Mutex::new(World {
            objects: BTreeMap::new(),
            episode: Some(episode),
            applied: Vec::new(),
            token_reviews: 0,
            interferences: 0,
        })))
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub fn status(&self) -> Value {
        self.world().episode.as_ref().unwrap()["status"].clone()
    }

    /// Changes the Episode's status as its controller would.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut world = self.world();
        let episode = world.episode.as_mut().unwrap();
        change(&mut episode["status"]);
        bump(episode);
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token_review))
            .route(
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                post(access_review),
            )
            .route("/api/v1/namespaces/{namespace}/{kind}", post(create))
            .route(
                "/api/v1/namespaces/{namespace}/{kind}/{name}",
                get(read).put(replace).patch(apply),
            )
            .route(
                "/apis/mledojo.dev/v1alpha1/namespaces/{namespace}/episodes/{name}",
                get(read_episode),
            )
            .route(
                "/apis/mledojo.dev/v1alpha1/namespaces/{namespace}/episodes/{name}/status",
                patch(apply_status),
            )
            .with_state(self.clone())
    }
}

fn bump(object: &mut Value) {
    let version: u64 = object["metadata"]["resourceVersion"]
        .as_str()
        .map_or(0, |version| version.parse().unwrap());
    object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
}

fn answer(status: StatusCode, value: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        value.to_string(),
    )
        .into_response()
}

fn failure(code: u16, reason: &str) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "reason": reason, "message": reason, "code": code,
    });
    answer(StatusCode::from_u16(code).unwrap(), &status)
}

fn parsed(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// Tokens are `pod/NAMESPACE/NAME/UID` or `user/NAME`.
async fn token_review(State(api): State<FakeApi>, body: Bytes) -> Response {
    api.world().token_reviews += 1;
    let mut review = parsed(&body);
    let token = review["spec"]["token"].as_str().unwrap().to_owned();
    let wanted: Vec<_> = review["spec"]["audiences"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let parts: Vec<_> = token.split('/').collect();
    review["status"] = match parts[..] {
        ["pod", namespace, name, uid] if wanted == [json!(AUDIENCE)] => json!({
            "authenticated": true,
            "audiences": wanted,
            "user": {
                "username": format!("system:serviceaccount:{namespace}:default"),
                "extra": {
                    "authentication.kubernetes.io/pod-name": [name],
                    "authentication.kubernetes.io/pod-uid": [uid],
                },
            },
        }),
        ["user", name] if wanted.is_empty() => json!({
            "authenticated": true,
            "user": {"username": name, "groups": ["system:authenticated"]},
        }),
        _ => json!({"authenticated": false, "error": "no such token"}),
    };
    answer(StatusCode::CREATED, &review)
}

/// Jane may get what is in `team-a`, whether it is there or not.
async fn access_review(body: Bytes) -> Response {
    let mut review = parsed(&body);
    let spec = &review["spec"];
    let wanted = &spec["resourceAttributes"];
    assert_eq!(
        (&wanted["group"], &wanted["resource"], &wanted["verb"]),
        (&json!("mledojo.dev"), &json!("episodes"), &json!("get"))
    );
    let allowed = spec["user"] == "jane" && wanted["namespace"] == "team-a";
    review["status"] = json!({"allowed": allowed});
    answer(StatusCode::CREATED, &review)
}

type Named = (String, String, String);

async fn read(State(api): State<FakeApi>, Path((namespace, kind, name)): Path<Named>) -> Response {
    match api.world().objects.get(&(kind, namespace, name)) {
        Some(object) => answer(StatusCode::OK, object),
        None => failure(404, "NotFound"),
    }
}

async fn create(
    State(api): State<FakeApi>,
    Path((namespace, kind)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let mut object = parsed(&body);
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let mut world = api.world();
    let key = (kind, namespace, name);
    if world.objects.contains_key(&key) {
        return failure(409, "AlreadyExists");
    }
    bump(&mut object);
    world.objects.insert(key, object.clone());
    answer(StatusCode::CREATED, &object)
}

async fn replace(
    State(api): State<FakeApi>,
    Path((namespace, kind, name)): Path<Named>,
    body: Bytes,
) -> Response {
    let mut object = parsed(&body);
    let mut world = api.world();
    let there = world.objects.get_mut(&(kind, namespace, name)).unwrap();
    if there["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
        return failure(409, "Conflict");
    }
    bump(&mut object);
    *there = object.clone();
    answer(StatusCode::OK, &object)
}

async fn apply(
    State(api): State<FakeApi>,
    Path((namespace, kind, name)): Path<Named>,
    body: Bytes,
) -> Response {
    let object = parsed(&body);
    api.world()
        .objects
        .insert((kind, namespace, name), object.clone());
    answer(StatusCode::OK, &object)
}

async fn read_episode(
    State(api): State<FakeApi>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    match &api.world().episode {
        Some(episode) if (namespace.as_str(), name.as_str()) == ("team-a", "ep") => {
            answer(StatusCode::OK, episode)
        }
        _ => failure(404, "NotFound"),
    }
}

async fn apply_status(State(api): State<FakeApi>, body: Bytes) -> Response {
    let applied = parsed(&body);
    let mut world = api.world();
    let interfered = world.interferences > 0;
    world.interferences = world.interferences.saturating_sub(1);
    let Some(episode) = &mut world.episode else {
        return failure(404, "NotFound");
    };
    if interfered {
        bump(episode);
    }
    if applied["metadata"]["resourceVersion"] != episode["metadata"]["resourceVersion"] {
        return failure(409, "Conflict");
    }
    for (field, value) in applied["status"].as_object().unwrap() {
        episode["status"][field] = value.clone();
    }
    episode["metadata"]["managedFields"] = json!([{
        "manager": "episode-report", "operation": "Apply", "subresource": "status",
        "time": jiff::Timestamp::now().to_string(),
    }]);
    bump(episode);
    let episode = episode.clone();
    world.applied.push(applied["status"].clone());
    answer(StatusCode::OK, &episode)
}
