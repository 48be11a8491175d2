//! TLS of the report server, and who a client certificate speaks for.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Where a cluster tells who signs client certificates.
const CLIENT_CA: (&str, &str, &str) = (
    "kube-system",
    "extension-apiserver-authentication",
    "client-ca-file",
);

/// The user that a client certificate names, as the API server reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct CertificateUser {
    /// Common name.
    pub(super) name: String,
    /// Organizations.
    pub(super) groups: Vec<String>,
}

/// Certificates (PEM) of the authorities that sign the cluster's client certificates; unset: this operator cannot tell, and
/// users show tokens.
pub(super) async fn client_authorities(client: &Client) -> Option<String> {
    let (namespace, name, key) = CLIENT_CA;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    match tokio::time::timeout(super::CALL_TIME, maps.get_opt(name)).await {
        Ok(Ok(map)) => map?.data?.remove(key).filter(|pem| !pem.is_empty()),
        Ok(Err(error)) => {
            tracing::info!(%error, "client certificates are not asked for: the ConfigMap {namespace}/{name} cannot be read");
            None
        }
        Err(_) => None,
    }
}

/// TLS with the server's own certificate. Clients may show a certificate, if it is known who signs them; a relay shows none.
pub(super) fn config(
    certificate: &CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
    clients: Option<&str>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut authorities = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(clients.unwrap_or_default().as_bytes()).flatten() {
        if let Err(error) = authorities.add(authority) {
            tracing::warn!(%error, "an authority of client certificates is passed over");
        }
    }
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if authorities.is_empty() {
        builder.with_no_client_auth()
    } else {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        builder.with_client_cert_verifier(verifier)
    };
    let config = builder.with_single_cert(vec![certificate.clone()], key.clone_key())?;
    Ok(Arc::new(config))
}

/// The user that a verified certificate names. One with several common names is nobody: which of them counts is told
/// differently by different readers, and the API server is one of them.
pub(super) fn user(certificate: &CertificateDer<'_>) -> Option<CertificateUser> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = certificate.subject();
    let mut names = subject.iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else {
        return None;
    };
    let name = name.as_str().ok()?;
    let groups = subject
        .iter_organization()
        .filter_map(|group| group.as_str().ok());
    (!name.is_empty()).then(|| CertificateUser {
        name: name.to_owned(),
        groups: groups.map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_names_user_and_groups() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "jane");
        params
            .distinguished_name
            .push(DnType::OrganizationName, "researchers");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(
            user(certificate.der()),
            Some(CertificateUser {
                name: "jane".into(),
                groups: vec!["researchers".into()],
            })
        );
        params.distinguished_name = rcgen::DistinguishedName::new();
        let nameless = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(user(nameless.der()), None);
    }

    #[test]
    fn a_certificate_with_two_common_names_is_nobody() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "jane");
        // The same attribute by its number: rcgen keeps one value of each type.
        let common_name = DnType::CustomDnType(vec![2, 5, 4, 3]);
        params.distinguished_name.push(common_name, "joe");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
        assert_eq!(parsed.subject().iter_common_name().count(), 2);
        assert_eq!(user(certificate.der()), None);
    }
}
