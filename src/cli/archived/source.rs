//! Files of one Episode, from the report server.

use std::io::Write;
use std::time::Duration;

use kube::Api;
use reqwest::{Response, StatusCode};

use super::credentials::Credentials;
use super::{Failure, Which, server};
use crate::api::Episode;
use crate::telemetry::chain;
use crate::wire::agent::ApiError;
use crate::wire::report::{Listing, episode_path};

/// Time for the beginning of an answer.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Time without a byte after which a transfer has broken off.
const SILENCE: Duration = Duration::from_secs(30);
/// How often in a row a transfer may break off without a byte.
const TRIES: u32 = 3;

/// Where the files of an Episode are.
pub(super) struct Source {
    credentials: Credentials,
    http: reqwest::Client,
    /// URL of the Episode.
    url: String,
    namespace: String,
    episode: String,
}

impl Source {
    /// Finds the way to the server.
    pub(super) async fn open(which: &Which) -> Result<Self, String> {
        let credentials = Credentials::load(which.context.as_deref()).await?;
        let namespace = which
            .namespace
            .clone()
            .unwrap_or_else(|| credentials.namespace.clone());
        let (http, server) = server::connect(which, &credentials).await?;
        let url = format!("{server}{}", episode_path(&namespace, &which.episode));
        Ok(Self {
            credentials,
            http,
            url,
            namespace,
            episode: which.episode.clone(),
        })
    }

    /// Namespace of the Episode.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The Episode itself.
    pub(super) async fn episode(&self) -> Result<Episode, String> {
        let (namespace, name) = (&self.namespace, &self.episode);
        let episodes: Api<Episode> = Api::namespaced(self.credentials.client.clone(), namespace);
        episodes
            .get_opt(name)
            .await
            .map_err(|error| format!("cannot get Episode {name} in namespace {namespace}: {error}"))?
            .ok_or_else(|| format!("there is no Episode {name} in namespace {namespace}"))
    }

    /// What is archived of an attempt, the latest where none is named.
    pub(super) async fn list(&self, attempt: Option<u32>) -> Result<Listing, String> {
        let query = attempt.map_or_else(String::new, |attempt| format!("?attempt={attempt}"));
        let answer = self.get(&format!("files{query}")).await?;
        answer
            .json()
            .await
            .map_err(|error| format!("cannot understand the server's list of files: {error}"))
    }

    /// Writes a file from `offset` on to `output`; gives the offset of its end. A transfer that breaks off is continued.
    pub(super) async fn copy(
        &self,
        path: &str,
        attempt: u32,
        mut offset: u64,
        output: &mut impl Write,
    ) -> Result<u64, Failure> {
        let mut tries = 0;
        loop {
            let mut answer = self
                .get(&format!("files/{path}?attempt={attempt}&offset={offset}"))
                .await?;
            let broken = loop {
                match tokio::time::timeout(SILENCE, answer.chunk()).await {
                    Ok(Ok(Some(bytes))) => {
                        output.write_all(&bytes).map_err(Failure::Output)?;
                        offset += bytes.len() as u64;
                        tries = 0;
                    }
                    Ok(Ok(None)) => {
                        output.flush().map_err(Failure::Output)?;
                        return Ok(offset);
                    }
                    Ok(Err(error)) => break error.to_string(),
                    Err(_) => break format!("no byte came for {} s", SILENCE.as_secs()),
                }
            };
            tries += 1;
            if tries == TRIES {
                return Err(Failure::Told(format!(
                    "{path} broke off at byte {offset}: {broken}"
                )));
            }
        }
    }

    async fn get(&self, what: &str) -> Result<Response, String> {
        let mut request = self.http.get(format!("{}/{what}", self.url));
        if let Some(authorization) = self.credentials.authorization().await? {
            request = request.header(reqwest::header::AUTHORIZATION, authorization);
        }
        let answer = match tokio::time::timeout(ANSWER_TIME, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(format!("cannot reach the report server: {}", chain(&error))),
            Err(_) => {
                return Err(format!(
                    "the report server does not answer within {} s",
                    ANSWER_TIME.as_secs()
                ));
            }
        };
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => {
                let body = answer.bytes().await.unwrap_or_default();
                Err(refusal(status, &body))
            }
        }
    }
}

/// What the server says instead of an answer.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let told = match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => error.message,
        Err(_) => format!("the report server answers {status}"),
    };
    match status {
        StatusCode::UNAUTHORIZED => format!(
            "{told}; the kubeconfig must lead to a token, or to a client certificate of an authority that the cluster \
             publishes in kube-system/extension-apiserver-authentication"
        ),
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"code": "no_archive", "message": "this operator keeps no archive"}"#;
        assert_eq!(
            refusal(StatusCode::NOT_FOUND, body),
            "this operator keeps no archive"
        );
        assert_eq!(
            refusal(StatusCode::BAD_GATEWAY, b"<html>"),
            "the report server answers 502 Bad Gateway"
        );
        assert!(refusal(StatusCode::UNAUTHORIZED, b"").contains("kubeconfig"));
    }
}
