//! One request to the report server.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::ReportTarget;
use crate::relay::RelayError;
use crate::telemetry::chain;
use crate::wire::agent::ApiError;

/// Time for one request, its answer included.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Time for which an idle connection is kept; the server closes it after 10 s.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// What a request came to.
#[derive(Debug)]
pub(super) enum Said<T> {
    /// 200.
    Yes(T),
    /// 409: the server is further, or elsewhere.
    Conflict(Option<T>),
    /// 403 or 410: this relay has nothing to report any more.
    Over(String),
    /// This request will never be taken.
    Never(String),
    /// There is no answer, or one that asks for patience.
    Later(String),
}

/// The report server, as far as it is about one attempt.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// URL of the attempt.
    url: String,
    token: PathBuf,
}

impl Client {
    /// A client that trusts the given authorities alone and uses no proxy.
    pub(super) fn new(target: &ReportTarget, path: &str) -> Result<Self, RelayError> {
        let file = target.authorities.display();
        let pem = fs::read(&target.authorities).map_err(|error| {
            RelayError::Config(format!("cannot read the report server's CA {file}: {error}"))
        })?;
        let authorities = reqwest::Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|all| !all.is_empty())
            .ok_or_else(|| {
                RelayError::Config(format!(
                    "the report server's CA {file} holds no certificate in PEM form"
                ))
            })?;
        // An error says that the process has chosen its crypto library already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .tls_certs_only(authorities)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_TIME)
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(2)
            .build()
            .map_err(|error| {
                RelayError::Config(format!("cannot use the report server's CA {file}: {error}"))
            })?;
        Ok(Self {
            http,
            url: format!("{}{path}", target.url.trim_end_matches('/')),
            token: target.token.clone(),
        })
    }

    pub(super) async fn put<T: DeserializeOwned>(&self, what: &str, body: Vec<u8>) -> Said<T> {
        self.ask(Method::PUT, what, Some(body)).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, what: &str) -> Said<T> {
        self.ask(Method::GET, what, None).await
    }

    /// `what` is path and query below the attempt.
    async fn ask<T: DeserializeOwned>(&self, method: Method, what: &str, body: Option<Vec<u8>>) -> Said<T> {
        let token = match fs::read_to_string(&self.token) {
            Ok(token) => token,
            Err(error) => {
                return Said::Later(format!("cannot read the token {}: {error}", self.token.display()));
            }
        };
        let mut request = self
            .http
            .request(method, format!("{}/{what}", self.url))
            .bearer_auth(token.trim());
        if let Some(body) = body {
            request = request.body(body);
        }
        let answered = async {
            let answer = request.send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
        };
        match answered.await {
            Ok((status, body)) => meaning(status, &body),
            Err(error) => Said::Later(chain(&error)),
        }
    }
}

/// What an answer means. A conflict may say no more than that it is one.
fn meaning<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Said<T> {
    let explained = || match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => format!("{status}: {}", error.message),
        Err(_) => status.to_string(),
    };
    match status.as_u16() {
        200 => match serde_json::from_slice(body) {
            Ok(answer) => Said::Yes(answer),
            Err(error) => Said::Later(format!("cannot understand the answer: {error}")),
        },
        409 => Said::Conflict(serde_json::from_slice(body).ok()),
        403 | 410 => Said::Over(explained()),
        // 401 is among the others: the kubelet may be about to exchange the token.
        400 | 404 | 405 | 411..=417 | 422 => Said::Never(explained()),
        _ => Said::Later(explained()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::report::Taken;

    #[test]
    fn each_answer_has_one_meaning() {
        let meaning = |status: u16, body: &str| {
            let said: Said<Taken> = meaning(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            match said {
                Said::Yes(taken) => format!("yes {taken:?}"),
                Said::Conflict(_) => "conflict".into(),
                Said::Over(why) => format!("over {why}"),
                Said::Never(_) => "never".into(),
                Said::Later(_) => "later".into(),
            }
        };
        assert_eq!(
            meaning(200, r#"{"againIn": 7}"#),
            "yes Taken { again_in: Some(7) }"
        );
        assert_eq!(meaning(200, "{}"), "yes Taken { again_in: None }");
        assert_eq!(meaning(200, "<html>"), "later");
        assert_eq!(meaning(409, ""), "conflict");
        assert_eq!(
            meaning(410, r#"{"code": "over", "message": "it is over"}"#),
            "over 410 Gone: it is over"
        );
        assert_eq!(meaning(403, ""), "over 403 Forbidden");
        for status in [400, 404, 413, 422] {
            assert_eq!(meaning(status, ""), "never");
        }
        for status in [401, 429, 500, 502, 503, 504, 302] {
            assert_eq!(meaning(status, ""), "later");
        }
    }
}
