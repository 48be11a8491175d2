//! The operator's own certificate authority, kept in a Secret: what pods and users know the report server by.
//!
//! | module | holds |
//! |---|---|
//! | `rotation` | when one authority gives way to the next (pure) |
//! | `pairs` | the authorities, and what they sign |
//!
//! Replicas share the Secret. Each makes a server certificate of its own, in memory, and looks at the Secret once an hour.
//! Whoever is first to change it wins; the others read again.

mod pairs;
mod rotation;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rustls::ServerConfig;
use serde_json::json;
use thiserror::Error;

use super::tls;
use pairs::{Pairs, ServerPair, advanced};

/// Key of the certificates in the ConfigMap for users.
pub const CERTIFICATES_KEY: &str = "ca.crt";

/// Time between two looks at the Secret.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// The same after a failure.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often a Secret is read again that others change at the same time.
const TRIES: u32 = 5;
/// Field manager of the ConfigMap.
const MANAGER: &str = "mle-dojo-operator";

/// Why there is no authority.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The API server failed, or does not let the operator.
    #[error("cannot {what}: {source}")]
    Api {
        /// What was to be done.
        what: String,
        /// Why it was not.
        source: Box<kube::Error>,
    },
    /// The API server did not answer.
    #[error("cannot {0}: the API server does not answer")]
    Silent(String),
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}; if the Secret was edited by hand, delete it")]
    Certificate(#[from] rcgen::Error),
    /// A certificate cannot be used.
    #[error("cannot use the certificate: {0}")]
    Tls(#[from] rustls::Error),
    /// Others change the Secret all the time.
    #[error("the Secret {0} was changed by others five times in a row")]
    Contended(String),
}

/// The authority as this replica knows it.
#[derive(Clone)]
pub struct Authority {
    client: Client,
    namespace: String,
    /// Name of Secret and ConfigMap.
    secret: String,
    /// Names of the server.
    names: Vec<String>,
    state: Arc<RwLock<State>>,
}

struct State {
    pairs: Pairs,
    server: ServerPair,
    /// Certificates (PEM) of the authorities that clients may be signed by; unset: unknown.
    clients: Option<String>,
    tls: Arc<ServerConfig>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({}/{})", self.namespace, self.secret)
    }
}

impl Authority {
    /// The authority in the Secret `<name>-ca` of the operator's namespace, made where there is none, for a server that is
    /// reached as the Service `name`, and at `url`.
    pub async fn load_or_create(
        client: Client,
        namespace: &str,
        name: &str,
        url: &str,
    ) -> Result<Self, AuthorityError> {
        // The rest of the process takes the same crypto library; an error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secret = format!("{name}-ca");
        let mut names = vec![
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}.svc.cluster.local"),
            "localhost".to_owned(),
        ];
        let own = reqwest::Url::parse(url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        names.extend(own.filter(|host| !names.contains(host)));
        let pairs = agree(&client, namespace, &secret).await?;
        let clients = tls::client_authorities(&client).await;
        let server = pairs.server(names.clone(), seconds())?;
        let tls = tls::config(&server.certificate, &server.key, clients.as_deref())?;
        let authority = Self {
            client,
            namespace: namespace.to_owned(),
            secret,
            names,
            state: Arc::new(RwLock::new(State {
                pairs,
                server,
                clients,
                tls,
            })),
        };
        authority.publish().await;
        Ok(authority)
    }

    /// Certificates (PEM) that a client must trust: those of the current authority, of the next, and of the one before.
    pub fn certificates_pem(&self) -> String {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.pairs.certificates(seconds())
    }

    /// TLS of the server as it is now.
    pub(super) fn tls(&self) -> Arc<ServerConfig> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state.tls)
    }

    /// Keeps authority and certificates current, for ever.
    pub(super) async fn keep(&self) {
        let mut pause = LOOK;
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.look().await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::warn!(%error, "the report server's authority cannot be looked at");
                    LOOK_AGAIN
                }
            };
        }
    }

    async fn look(&self) -> Result<(), AuthorityError> {
        let pairs = agree(&self.client, &self.namespace, &self.secret).await?;
        let clients = tls::client_authorities(&self.client).await;
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let other = pairs.current != state.pairs.current;
            let renewed = other || rotation::renew(state.server.end, seconds());
            if renewed {
                state.server = pairs.server(self.names.clone(), seconds())?;
                tracing::info!("the report server has a new certificate");
            }
            // What cannot be read for the moment is taken to be what it was.
            let clients = clients.or_else(|| state.clients.clone());
            if renewed || clients != state.clients {
                state.tls = tls::config(&state.server.certificate, &state.server.key, clients.as_deref())?;
                state.clients = clients;
            }
            state.pairs = pairs;
        }
        self.publish().await;
        Ok(())
    }

    /// Writes the certificates where users find them. Episodes do not need it, so a failure is only told.
    async fn publish(&self) {
        let certificates = self.certificates_pem();
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let published = async {
            let what = format!("write the ConfigMap {}/{}", self.namespace, self.secret);
            let there = ask(&what, maps.get_opt(&self.secret)).await?;
            let told = there.and_then(|map| map.data?.remove(CERTIFICATES_KEY));
            if told.as_ref() == Some(&certificates) {
                return Ok(());
            }
            let map = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": self.secret, "labels": labels()},
                "data": {CERTIFICATES_KEY: certificates},
            });
            let params = PatchParams::apply(MANAGER).force();
            ask(&what, maps.patch(&self.secret, &params, &Patch::Apply(map))).await?;
            Ok::<_, AuthorityError>(())
        };
        if let Err(error) = published.await {
            tracing::warn!(%error, "`dojo logs` and `dojo trajectory` do not find the report server's certificate");
        }
    }
}

/// The authorities of the Secret, brought up to date.
async fn agree(client: &Client, namespace: &str, name: &str) -> Result<Pairs, AuthorityError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let described = format!("{namespace}/{name}");
    for _ in 0..TRIES {
        let there = ask(&format!("read the Secret {described}"), secrets.get_opt(name)).await?;
        let held = there
            .as_ref()
            .and_then(|secret| Pairs::from_data(secret.data.as_ref()?));
        let wanted = advanced(held.as_ref(), seconds())?;
        let pairs = match (wanted, held) {
            (None, Some(held)) => return Ok(held),
            (Some(pairs), _) => pairs,
            (None, None) => continue,
        };
        let params = PostParams::default();
        let written = match there {
            None => {
                let mut secret = Secret::default();
                secret.metadata.name = Some(name.to_owned());
                secret.metadata.labels = Some(labels());
                secret.data = Some(pairs.to_data());
                ask(
                    &format!("create the Secret {described}"),
                    secrets.create(&params, &secret),
                )
                .await
            }
            Some(mut secret) => {
                // Its resourceVersion makes this fail where another replica was first.
                secret.data = Some(pairs.to_data());
                let what = format!("change the Secret {described}");
                ask(&what, secrets.replace(name, &params, &secret)).await
            }
        };
        match written {
            Ok(_) => {
                tracing::info!(secret = %described, "the report server's authorities have changed");
                return Ok(pairs);
            }
            Err(AuthorityError::Api { source, .. }) if lost_a_race(&source) => {}
            Err(error) => return Err(error),
        }
    }
    Err(AuthorityError::Contended(described))
}

fn lost_a_race(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn labels() -> BTreeMap<String, String> {
    [("app.kubernetes.io/managed-by".into(), "mle-dojo-operator".into())].into()
}

async fn ask<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, AuthorityError> {
    match tokio::time::timeout(super::CALL_TIME, call).await {
        Ok(answer) => answer.map_err(|source| AuthorityError::Api {
            what: what.to_owned(),
            source: Box::new(source),
        }),
        Err(_) => Err(AuthorityError::Silent(what.to_owned())),
    }
}

fn seconds() -> i64 {
    Timestamp::now().as_second()
}
