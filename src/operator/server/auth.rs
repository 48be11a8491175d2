//! Who asks, and what he may: a relay by the token of its pod, a user by what the cluster knows him by.
//!
//! The API server decides in both cases. What it said of a token is believed for a minute, so that a step does not cost a
//! review; that a pod reports on its Episode is looked up again with every result.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::ask;
use super::problem::Problem;
use super::recent::Recent;
use super::tls::CertificateUser;
use crate::api::Episode;
use crate::api::conditions::Phase;
use crate::wire::report::AUDIENCE;

/// How long a token is believed that the API server found good.
const TOKEN_TIME: Duration = Duration::from_secs(60);
/// Tokens that are remembered.
const TOKENS: usize = 16_384;
/// Reviews at one time: strangers must not make this server a burden of the API server.
const REVIEWS: usize = 16;
/// Extras of a pod-bound token.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// The pod that a token is bound to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TokenPod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// One attempt at an Episode, as a path names it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct AttemptName {
    pub(super) namespace: String,
    pub(super) episode: String,
    pub(super) attempt: u32,
}

/// What a relay may do with the Episode that it names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// The attempt is its own and goes on.
    Own,
    /// The attempt is its own, and the episode has ended.
    Over,
    /// The pod of this name is not on record yet, or not as one that runs.
    Early,
    /// The attempt is not its own. Said too where there is no such Episode.
    Foreign,
}

/// Asks the API server who somebody is.
#[derive(Debug)]
pub(super) struct Gate {
    reviews: Semaphore,
    tokens: Recent<[u8; 32], TokenPod>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            reviews: Semaphore::new(REVIEWS),
            tokens: Recent::new(TOKEN_TIME, TOKENS),
        }
    }

    /// The pod of a relay.
    pub(super) async fn relay(&self, client: &Client, headers: &HeaderMap) -> Result<TokenPod, Problem> {
        let token = bearer(headers).ok_or_else(|| {
            Problem::unauthorized("send the header `Authorization: Bearer TOKEN` with the pod's token")
        })?;
        let key = Sha256::digest(token).into();
        if let Some(pod) = self.tokens.get(&key, Instant::now()) {
            return Ok(pod);
        }
        let status = self.review(client, token, Some(AUDIENCE)).await?;
        let pod = pod_of(&status).map_err(Problem::unauthorized)?;
        self.tokens.put(key, pod.clone(), Instant::now());
        Ok(pod)
    }

    /// Sees to it that a user may get an Episode. The refusal is the same whether there is one or not.
    pub(super) async fn user(
        &self,
        client: &Client,
        headers: &HeaderMap,
        certificate: Option<&CertificateUser>,
        namespace: &str,
        episode: &str,
    ) -> Result<(), Problem> {
        let user = match (bearer(headers), certificate) {
            (Some(token), _) => {
                let status = self.review(client, token, None).await?;
                let known = status.authenticated == Some(true);
                status
                    .user
                    .filter(|_| known)
                    .ok_or_else(|| Problem::unauthorized("the cluster does not know this token"))?
            }
            (None, Some(certificate)) => UserInfo {
                username: Some(certificate.name.clone()),
                // The API server adds this group to everybody whom it knows.
                groups: Some([certificate.groups.as_slice(), &["system:authenticated".into()]].concat()),
                ..UserInfo::default()
            },
            (None, None) => {
                return Err(Problem::unauthorized(
                    "show who you are: a bearer token of the cluster, or a client certificate that it has signed",
                ));
            }
        };
        let name = user.username.clone().unwrap_or_default();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                resource_attributes: Some(ResourceAttributes {
                    group: Some("mledojo.dev".into()),
                    resource: Some("episodes".into()),
                    verb: Some("get".into()),
                    namespace: Some(namespace.to_owned()),
                    name: Some(episode.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let _place = self.reviews.acquire().await;
        let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
        let answer = ask(
            "review what a user may",
            reviews.create(&PostParams::default(), &review),
        )
        .await?;
        if answer.status.is_some_and(|status| status.allowed) {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "user {name:?} may not get episodes.mledojo.dev {episode:?} in namespace {namespace:?}"
        )))
    }

    async fn review(
        &self,
        client: &Client,
        token: &str,
        audience: Option<&str>,
    ) -> Result<TokenReviewStatus, Problem> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: audience.map(|audience| vec![audience.to_owned()]),
            },
            ..TokenReview::default()
        };
        let _place = self.reviews.acquire().await;
        let reviews: Api<TokenReview> = Api::all(client.clone());
        let answer = ask("review a token", reviews.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.unwrap_or_default())
    }
}

/// The token of an `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

/// The pod that a reviewed token is bound to, or what is wrong with the token.
fn pod_of(status: &TokenReviewStatus) -> Result<TokenPod, &'static str> {
    if status.authenticated != Some(true) {
        return Err("the cluster does not know this token");
    }
    // An API server that does not know audiences leaves them out.
    if !status
        .audiences
        .iter()
        .flatten()
        .any(|audience| audience == AUDIENCE)
    {
        return Err("the token is for another audience than mledojo.dev/report");
    }
    let user = status.user.as_ref().ok_or("the token names nobody")?;
    let namespace = user
        .username
        .as_deref()
        .and_then(|name| name.strip_prefix("system:serviceaccount:"))
        .and_then(|rest| rest.split_once(':'))
        .map(|(namespace, _)| namespace)
        .ok_or("the token is not one of a service account")?;
    let extra = |key: &str| match user.extra.as_ref()?.get(key)?.as_slice() {
        [one] if !one.is_empty() => Some(one.clone()),
        _ => None,
    };
    match (extra(POD_NAME), extra(POD_UID)) {
        (Some(name), Some(uid)) => Ok(TokenPod {
            namespace: namespace.to_owned(),
            name,
            uid,
        }),
        _ => Err("the token is not bound to a pod"),
    }
}

/// How a pod stands to the attempt that it names.
pub(super) fn standing(pod: &TokenPod, name: &AttemptName, episode: Option<&Episode>) -> Standing {
    let Some(status) = episode.and_then(|episode| episode.status.as_ref()) else {
        return Standing::Foreign;
    };
    let attempt = status.attempt.and_then(|attempt| u32::try_from(attempt).ok());
    if attempt != Some(name.attempt) || pod.namespace != name.namespace {
        return Standing::Foreign;
    }
    match &status.pod {
        // The attempt is on record before its pod is made, the pod's UID after it.
        None if pod.name == format!("{}-{}", name.episode, name.attempt) && !status.phase.is_final() => {
            Standing::Early
        }
        Some(own) if own.name == pod.name && own.uid == pod.uid => match status.phase {
            Phase::Starting | Phase::Running => Standing::Own,
            Phase::Pending | Phase::Suspended => Standing::Early,
            Phase::Completed | Phase::Failed | Phase::Cancelled => Standing::Over,
        },
        _ => Standing::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn review(change: impl Fn(&mut Value)) -> Result<TokenPod, &'static str> {
        let mut status = json!({
            "authenticated": true,
            "audiences": ["mledojo.dev/report"],
            "user": {
                "username": "system:serviceaccount:team-a:default",
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["ep-1"],
                    "authentication.kubernetes.io/pod-uid": ["uid-1"],
                },
            },
        });
        change(&mut status);
        pod_of(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_token_must_be_known_bound_to_a_pod_and_meant_for_reports() {
        assert_eq!(
            review(|_| {}).unwrap(),
            TokenPod {
                namespace: "team-a".into(),
                name: "ep-1".into(),
                uid: "uid-1".into(),
            }
        );
        for change in [
            |status: &mut Value| status["authenticated"] = json!(false),
            |status: &mut Value| status["authenticated"] = json!(null),
            |status: &mut Value| status["audiences"] = json!(["https://kubernetes.default.svc"]),
            |status: &mut Value| status["audiences"] = json!(null),
            |status: &mut Value| status["user"] = json!(null),
            |status: &mut Value| status["user"]["username"] = json!("jane"),
            |status: &mut Value| status["user"]["extra"] = json!(null),
            |status: &mut Value| status["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = json!([]),
        ] {
            assert!(review(change).is_err());
        }
    }

    fn stands(pod: (&str, &str, &str), attempt: u32, status: &Value) -> Standing {
        let episode: Episode = serde_json::from_value(json!({
            "apiVersion": "mledojo.dev/v1alpha1",
            "kind": "Episode",
            "metadata": {"name": "ep", "namespace": "team-a"},
            "spec": {"taskRef": {"name": "t"}, "agent": {"external": {}}},
            "status": status,
        }))
        .unwrap();
        let pod = TokenPod {
            namespace: pod.0.into(),
            name: pod.1.into(),
            uid: pod.2.into(),
        };
        let name = AttemptName {
            namespace: "team-a".into(),
            episode: "ep".into(),
            attempt,
        };
        assert_eq!(standing(&pod, &name, None), Standing::Foreign);
        standing(&pod, &name, Some(&episode))
    }

    #[test]
    fn only_the_pod_on_record_reports_and_only_on_its_own_attempt() {
        let running = json!({"phase": "Running", "attempt": 2, "pod": {"name": "ep-2", "uid": "u2"}});
        let own = ("team-a", "ep-2", "u2");
        assert_eq!(stands(own, 2, &running), Standing::Own);
        assert_eq!(stands(own, 1, &running), Standing::Foreign);
        assert_eq!(stands(own, 3, &running), Standing::Foreign);
        assert_eq!(
            stands(("team-a", "ep-2", "other"), 2, &running),
            Standing::Foreign
        );
        assert_eq!(stands(("team-a", "other", "u2"), 2, &running), Standing::Foreign);
        assert_eq!(stands(("team-b", "ep-2", "u2"), 2, &running), Standing::Foreign);
        let mut over = running;
        over["phase"] = json!("Pending");
        assert_eq!(stands(own, 2, &over), Standing::Early);
        over["phase"] = json!("Completed");
        assert_eq!(stands(own, 2, &over), Standing::Over);
        assert_eq!(stands(("team-a", "ep-2", "other"), 2, &over), Standing::Foreign);
    }

    #[test]
    fn a_pod_that_is_not_on_record_yet_is_asked_to_come_again() {
        let starting = json!({"phase": "Starting", "attempt": 2});
        assert_eq!(stands(("team-a", "ep-2", "u2"), 2, &starting), Standing::Early);
        assert_eq!(stands(("team-a", "else", "u2"), 2, &starting), Standing::Foreign);
        assert_eq!(stands(("team-a", "ep-2", "u2"), 1, &starting), Standing::Foreign);
        assert_eq!(
            stands(("team-a", "ep-2", "u2"), 1, &json!({"phase": "Pending"})),
            Standing::Foreign
        );
    }

    #[test]
    fn a_bearer_token_is_found_in_its_header() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer abc"), Some("abc".into()));
        assert_eq!(of("bearer abc "), Some("abc".into()));
        for wrong in ["abc", "Basic abc", "Bearer ", "Bearer"] {
            assert_eq!(of(wrong), None);
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
