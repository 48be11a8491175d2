//! The way to the report server.

use std::net::SocketAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};

use super::Which;
use super::credentials::Credentials;
use crate::operator::server::CERTIFICATES_KEY;

/// Label of the operator's pods.
const PODS: &str = "app.kubernetes.io/name=mle-dojo-operator";
/// Name of the report server's port, and its number where no port has that name.
const PORT_NAME: &str = "report";
const PORT: u16 = 8443;

/// A client that speaks to the report server, and the server's URL for it.
pub(super) async fn connect(
    which: &Which,
    credentials: &Credentials,
) -> Result<(reqwest::Client, String), String> {
    let name = format!("{}.{}.svc", which.operator_name(), which.operator_namespace());
    let tls = tls(&authorities(which, &credentials.client).await?, credentials)?;
    let addresses = match &which.server {
        Some(url) => resolved(url).await?,
        None => vec![forward(which, credentials.client.clone()).await?],
    };
    let port = addresses.first().map_or(PORT, SocketAddr::port);
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .resolve_to_addrs(&name, &addresses)
        .build()
        .map_err(|error| format!("cannot make a client: {error}"))?;
    Ok((http, format!("https://{name}:{port}")))
}

/// Certificates (PEM) that the report server is known by.
async fn authorities(which: &Which, client: &Client) -> Result<String, String> {
    if let Some(file) = &which.ca {
        return std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()));
    }
    let namespace = which.operator_namespace();
    let name = format!("{}-ca", which.operator_name());
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let hint = "is the operator there? --operator-namespace and --operator-name say where; --ca takes the certificate from \
                a file";
    let map = maps
        .get_opt(&name)
        .await
        .map_err(|error| {
            format!(
                "cannot read the ConfigMap {namespace}/{name} with the server's certificate: {error}; {hint}"
            )
        })?
        .ok_or_else(|| {
            format!("there is no ConfigMap {namespace}/{name} with the server's certificate; {hint}")
        })?;
    map.data
        .and_then(|mut data| data.remove(CERTIFICATES_KEY))
        .ok_or_else(|| format!("the ConfigMap {namespace}/{name} has no key {CERTIFICATES_KEY}; {hint}"))
}

/// TLS that trusts the given authorities alone and shows the user's certificate where the server asks for one.
fn tls(authorities: &str, credentials: &Credentials) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let certificate =
            certificate.map_err(|error| format!("the server's certificate cannot be read: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("the server's certificate cannot be used: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.client_auth_cert_resolver = Arc::clone(&credentials.certificate);
    Ok(config)
}

async fn resolved(url: &str) -> Result<Vec<SocketAddr>, String> {
    let parsed = reqwest::Url::parse(url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let host = parsed
        .host_str()
        .filter(|_| parsed.scheme() == "https")
        .ok_or_else(|| format!("{url:?} is no URL of the form https://HOST:PORT"))?;
    let port = parsed.port().unwrap_or(PORT);
    let addresses = tokio::net::lookup_host((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|error| format!("cannot find {host}: {error}"))?;
    Ok(addresses.collect())
}

/// A port of this machine that leads to a ready pod of the operator.
async fn forward(which: &Which, client: Client) -> Result<SocketAddr, String> {
    let namespace = which.operator_namespace();
    let hint =
        "--operator-namespace says where the operator is, --server gives a URL that needs no port-forward";
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let all = pods
        .list(&ListParams::default().labels(PODS))
        .await
        .map_err(|error| {
            format!("cannot list the operator's pods in namespace {namespace}: {error}; {hint}")
        })?;
    let pod = all.items.into_iter().find(ready).ok_or_else(|| {
        format!("no pod of the operator is ready in namespace {namespace} (label {PODS}); {hint}")
    })?;
    let (name, port) = (pod.name_any(), port(&pod));
    let failed = |error: std::io::Error| format!("cannot listen for a port-forward: {error}");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (pods, name) = (pods.clone(), name.clone());
            tokio::spawn(async move {
                if let Err(error) = carry(&pods, &name, port, stream).await {
                    eprintln!("dojo: the port-forward to pod {name} ended: {error}");
                }
            });
        }
    });
    Ok(address)
}

/// Carries one connection to a pod. Its own end at either side is no error.
async fn carry(pods: &Api<Pod>, name: &str, port: u16, mut stream: TcpStream) -> Result<(), String> {
    let mut forwarder = pods
        .portforward(name, &[port])
        .await
        .map_err(|error| error.to_string())?;
    let mut pod = forwarder
        .take_stream(port)
        .ok_or_else(|| format!("there is no port {port}"))?;
    let refused = forwarder.take_error(port);
    let copied = tokio::io::copy_bidirectional(&mut stream, &mut pod).await;
    drop(pod);
    tracing::debug!(?copied, "a forwarded connection has ended");
    forwarder.abort();
    match refused {
        Some(refused) => refused.await.map_or(Ok(()), Err),
        None => Ok(()),
    }
}

fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn port(pod: &Pod) -> u16 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .flat_map(|container| container.ports.iter().flatten())
        .find(|port| port.name.as_deref() == Some(PORT_NAME))
        .and_then(|port| u16::try_from(port.container_port).ok())
        .unwrap_or(PORT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &str, ports: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "operator", "ports": ports}]},
            "status": {"conditions": [{"type": "Ready", "status": status}]},
        }))
        .unwrap()
    }

    #[test]
    fn only_a_ready_pod_is_forwarded_to_at_its_report_port() {
        let named = pod(
            "True",
            &json!([{"name": "metrics", "containerPort": 1}, {"name": "report", "containerPort": 9443}]),
        );
        assert!(ready(&named));
        assert_eq!(port(&named), 9443);
        let unready = pod("False", &json!([]));
        assert!(!ready(&unready));
        assert_eq!(port(&unready), 8443);
        assert!(!ready(&Pod::default()));
    }

    #[tokio::test]
    async fn a_server_is_named_by_an_https_url() {
        assert_eq!(
            resolved("https://127.0.0.1").await.unwrap(),
            ["127.0.0.1:8443".parse().unwrap()]
        );
        assert_eq!(
            resolved("https://[::1]:99/").await.unwrap(),
            ["[::1]:99".parse().unwrap()]
        );
        for wrong in ["http://127.0.0.1", "127.0.0.1:8443", "https://"] {
            assert!(resolved(wrong).await.is_err(), "{wrong}");
        }
    }
}
