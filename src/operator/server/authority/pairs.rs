//! The authorities as the Secret keeps them: the one before, the current one, the next.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::rotation::{AUTHORITY_DAYS, SERVER_DAYS, Step, step};

/// Clocks may differ by this many seconds.
const SKEW: i64 = 60 * 60;
const DAY: i64 = 24 * 60 * 60;

/// Certificate and key, in PEM form.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Pair {
    pub(super) certificate: String,
    key: String,
}

/// The authorities of one operator.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Pairs {
    /// Certificate of the authority before the current one.
    previous: Option<String>,
    pub(super) current: Pair,
    next: Option<Pair>,
}

/// The server's certificate with its key.
pub(super) struct ServerPair {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
    /// When it ends, in UNIX seconds.
    pub(super) end: i64,
}

impl Pairs {
    /// What the data of a Secret say; unset: they do not hold a current authority.
    pub(super) fn from_data(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let text = |key: &str| {
            let bytes = data.get(key)?;
            String::from_utf8(bytes.0.clone())
                .ok()
                .filter(|text| !text.is_empty())
        };
        let pair = |name: &str| {
            Some(Pair {
                certificate: text(&format!("{name}.crt"))?,
                key: text(&format!("{name}.key"))?,
            })
        };
        Some(Self {
            previous: text("previous.crt"),
            current: pair("ca")?,
            next: pair("next"),
        })
    }

    /// Data of a Secret.
    pub(super) fn to_data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut keep =
            |key: &str, text: &str| data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
        keep("ca.crt", &self.current.certificate);
        keep("ca.key", &self.current.key);
        if let Some(next) = &self.next {
            keep("next.crt", &next.certificate);
            keep("next.key", &next.key);
        }
        if let Some(previous) = &self.previous {
            keep("previous.crt", previous);
        }
        data
    }

    /// All certificates that hold at `now`, one after another.
    pub(super) fn certificates(&self, now: i64) -> String {
        let next = self.next.as_ref().map(|next| &next.certificate);
        [Some(&self.current.certificate), next, self.previous.as_ref()]
            .into_iter()
            .flatten()
            .filter(|certificate| end(certificate).is_some_and(|end| end > now))
            .fold(String::new(), |all, certificate| {
                all + certificate.trim_end() + "\n"
            })
    }

    /// A certificate for the server, signed by the current authority.
    pub(super) fn server(&self, names: Vec<String>, now: i64) -> Result<ServerPair, rcgen::Error> {
        let authority =
            Issuer::from_ca_cert_pem(&self.current.certificate, KeyPair::from_pem(&self.current.key)?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        let end = now + SERVER_DAYS * DAY;
        hold(&mut params, "mle-dojo-operator", now, end);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &authority)?;
        Ok(ServerPair {
            certificate: certificate.into(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            end,
        })
    }
}

/// What the authorities must become; unset: they stay as they are.
pub(super) fn advanced(held: Option<&Pairs>, now: i64) -> Result<Option<Pairs>, rcgen::Error> {
    let current_end = held.and_then(|held| end(&held.current.certificate));
    let next_end = held
        .and_then(|held| held.next.as_ref())
        .and_then(|next| end(&next.certificate));
    let before = || held.map(|held| held.current.certificate.clone());
    Ok(match (step(current_end, next_end, now), held) {
        (Step::Keep, Some(_)) => None,
        (Step::MakeNext, Some(held)) => Some(Pairs {
            next: Some(authority(now)?),
            ..held.clone()
        }),
        (Step::Promote, Some(Pairs { next: Some(next), .. })) => Some(Pairs {
            previous: before(),
            current: next.clone(),
            next: None,
        }),
        _ => Some(Pairs {
            previous: before(),
            current: authority(now)?,
            next: None,
        }),
    })
}

/// A new authority.
fn authority(now: i64) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // The time tells two authorities apart that are known at once.
    hold(
        &mut params,
        &format!("mle-dojo-operator CA {now}"),
        now,
        now + AUTHORITY_DAYS * DAY,
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(Pair {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

/// Sets name and time.
fn hold(params: &mut CertificateParams, name: &str, now: i64, end: i64) {
    let at = |seconds: i64| {
        date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = at(now - SKEW);
    params.not_after = at(end);
}

/// When a certificate (PEM) ends, in UNIX seconds; unset: it is none.
fn end(certificate: &str) -> Option<i64> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn lists(pem: &str) -> usize {
        pem.matches("BEGIN CERTIFICATE").count()
    }

    #[test]
    fn a_secret_gives_back_what_was_put_into_it() {
        let pairs = advanced(None, NOW).unwrap().unwrap();
        assert!(Pairs::from_data(&pairs.to_data()).unwrap() == pairs);
        assert!(Pairs::from_data(&BTreeMap::new()).is_none());
        let mut damaged = pairs.to_data();
        damaged.remove("ca.key");
        assert!(Pairs::from_data(&damaged).is_none());
    }

    #[test]
    fn authorities_follow_one_another_and_pods_know_the_next_in_time() {
        let first = advanced(None, NOW).unwrap().unwrap();
        assert!(advanced(Some(&first), NOW + 300 * DAY).unwrap().is_none());
        let both = advanced(Some(&first), NOW + 306 * DAY).unwrap().unwrap();
        assert!(both.current == first.current);
        let given_to_pods = both.certificates(NOW + 306 * DAY);
        assert_eq!(lists(&given_to_pods), 2);
        assert!(advanced(Some(&both), NOW + 320 * DAY).unwrap().is_none());
        let promoted = advanced(Some(&both), NOW + 335 * DAY).unwrap().unwrap();
        assert!(promoted.current != first.current);
        assert!(given_to_pods.contains(promoted.current.certificate.trim_end()));
        let later = promoted.certificates(NOW + 335 * DAY);
        assert!(later.contains(first.current.certificate.trim_end()));
        // The one before has ended by then.
        assert_eq!(lists(&promoted.certificates(NOW + 366 * DAY)), 1);
        assert!(Pairs::from_data(&promoted.to_data()).unwrap() == promoted);
    }

    #[test]
    fn what_is_damaged_is_begun_anew() {
        let damaged = Pairs {
            previous: None,
            current: Pair {
                certificate: "no certificate".into(),
                key: "no key".into(),
            },
            next: None,
        };
        let anew = advanced(Some(&damaged), NOW).unwrap().unwrap();
        assert_eq!(lists(&anew.certificates(NOW)), 1);
        assert_eq!(
            anew.server(vec!["localhost".into()], NOW).unwrap().end,
            NOW + 30 * DAY
        );
    }
}
