//! What the kubeconfig says of the user, in a form that another server understands.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{HeaderValue, Request, Response, header};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use rustls::client::ResolvesClientCert;
use tower_service::Service;

/// A user of the cluster.
pub(super) struct Credentials {
    /// The API server, as this user.
    pub(super) client: Client,
    /// Namespace of the context.
    pub(super) namespace: String,
    /// Client certificate, if the kubeconfig has one.
    pub(super) certificate: Arc<dyn ResolvesClientCert>,
    /// Tells the `Authorization` header, if the kubeconfig leads to one.
    teller: Option<Client>,
}

impl Credentials {
    /// Those of the kubeconfig, or of the pod that this runs in.
    pub(super) async fn load(context: Option<&str>) -> Result<Self, String> {
        let config = match context {
            None => Config::infer().await.map_err(|error| error.to_string()),
            Some(context) => {
                let options = KubeConfigOptions {
                    context: Some(context.to_owned()),
                    ..KubeConfigOptions::default()
                };
                Config::from_kubeconfig(&options)
                    .await
                    .map_err(|error| error.to_string())
            }
        };
        Self::of(
            config.map_err(|error| format!("cannot read the kubeconfig: {error}; set KUBECONFIG to one"))?,
        )
    }

    fn of(config: Config) -> Result<Self, String> {
        // An error says that the process has chosen its crypto library already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unusable = |error: kube::Error| format!("cannot use the kubeconfig: {error}");
        let certificate = config
            .rustls_client_config()
            .map_err(unusable)?
            .client_auth_cert_resolver;
        // The layer knows tokens, token files and plug-ins, and gives its header to a request alone. So it gets a service
        // behind it that only says what header came.
        let teller = config
            .auth_layer()
            .map_err(unusable)?
            .map(|layer| ClientBuilder::new(Echo, "").with_layer(&layer).build());
        let namespace = config.default_namespace.clone();
        Ok(Self {
            client: Client::try_from(config).map_err(unusable)?,
            namespace,
            certificate,
            teller,
        })
    }

    /// The `Authorization` header as it is now; plug-ins renew theirs.
    pub(super) async fn authorization(&self) -> Result<Option<String>, String> {
        let Some(teller) = &self.teller else {
            return Ok(None);
        };
        let told = async {
            let request = Request::get("/")
                .body(Body::empty())
                .map_err(kube::Error::HttpError)?;
            teller.send(request).await?.into_body().collect_bytes().await
        };
        let value = told
            .await
            .map_err(|error| format!("cannot get a token by the kubeconfig: {error}"))?;
        Ok(String::from_utf8(value.to_vec())
            .ok()
            .filter(|value| !value.is_empty()))
    }
}

/// Answers a request with the `Authorization` header that it has.
#[derive(Clone)]
struct Echo;

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let header = request.headers().get(header::AUTHORIZATION);
        let value = header.map(HeaderValue::as_bytes).unwrap_or_default();
        ready(Ok(Response::new(Body::from(value.to_vec()))))
    }
}

#[cfg(test)]
mod tests {
    use kube::config::Kubeconfig;
    use serde_json::{Value, json};

    use super::*;

    async fn header(user: Value) -> Option<String> {
        let file = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": true}}],
            "users": [{"name": "u", "user": user}],
        });
        let file = Kubeconfig::from_yaml(&file.to_string()).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap();
        let credentials = Credentials::of(config).unwrap();
        assert_eq!(credentials.namespace, "team-a");
        credentials.authorization().await.unwrap()
    }

    #[tokio::test]
    async fn the_header_is_the_one_that_the_kubeconfig_leads_to() {
        assert_eq!(
            header(json!({"token": "abc"})).await.as_deref(),
            Some("Bearer abc")
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "from-a-file").unwrap();
        let token = header(json!({"tokenFile": file})).await;
        assert_eq!(token.as_deref(), Some("Bearer from-a-file"));
        let credential = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": "by-a-plug-in"},
        });
        let plugin = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "echo",
            "args": [credential.to_string()],
            "interactiveMode": "Never",
        }});
        assert_eq!(header(plugin).await.as_deref(), Some("Bearer by-a-plug-in"));
        assert_eq!(header(json!({})).await, None);
    }
}
