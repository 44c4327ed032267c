//! Whose certificates are believed, and what they say.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use rustls::RootCertStore;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::parse_x509_certificate;

use super::authentication::User;
use super::cache::Cache;
use super::settings::RequestHeaderSettings;
use crate::tls::{Peer, TlsError, certificates_of_pem, provider};

/// How long a chain stays believed before its dates are looked at again.
const VERDICT_LIFETIME: Duration = Duration::from_secs(10);

/// The CAs of users and of the front proxy, as texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TrustTexts {
    pub(super) client_ca: Option<String>,
    pub(super) front_proxy: Option<FrontProxyTexts>,
}

/// The front proxy as the API server describes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FrontProxyTexts {
    pub(super) ca: String,
    pub(super) allowed_names: Vec<String>,
    pub(super) username_headers: Vec<String>,
    pub(super) uid_headers: Vec<String>,
    pub(super) group_headers: Vec<String>,
    pub(super) extra_header_prefixes: Vec<String>,
}

impl TrustTexts {
    /// Reads the data of ConfigMap `extension-apiserver-authentication`; lists are JSON in there.
    pub(super) fn of_config_map(data: &BTreeMap<String, String>) -> Result<Self, serde_json::Error> {
        let list = |key: &str| data.get(key).map_or_else(|| Ok(Vec::new()), |text| serde_json::from_str(text));
        let front_proxy = match data.get("requestheader-client-ca-file") {
            Some(ca) => Some(FrontProxyTexts {
                ca: ca.clone(),
                allowed_names: list("requestheader-allowed-names")?,
                username_headers: list("requestheader-username-headers")?,
                uid_headers: list("requestheader-uid-headers")?,
                group_headers: list("requestheader-group-headers")?,
                extra_header_prefixes: list("requestheader-extra-headers-prefix")?,
            }),
            None => None,
        };
        Ok(TrustTexts { client_ca: data.get("client-ca-file").cloned(), front_proxy })
    }
}

impl FrontProxyTexts {
    /// The front proxy that flags describe; header names that are not set get their usual names.
    pub(super) fn of_flags(ca: String, flags: &RequestHeaderSettings) -> Self {
        let or = |names: &[String], usual: &str| match names {
            [] => vec![usual.to_owned()],
            names => names.to_vec(),
        };
        FrontProxyTexts {
            ca,
            allowed_names: flags.allowed_names.clone(),
            username_headers: or(&flags.username_headers, "x-remote-user"),
            uid_headers: flags.uid_headers.clone(),
            group_headers: or(&flags.group_headers, "x-remote-group"),
            extra_header_prefixes: or(&flags.extra_header_prefixes, "x-remote-extra-"),
        }
    }
}

/// [`TrustTexts`] made ready for use. What was found out about a chain is kept with the CAs that it was found out with.
pub(super) struct Trust {
    clients: Option<Arc<dyn ClientCertVerifier>>,
    proxy: Option<Arc<dyn ClientCertVerifier>>,
    allowed_names: Vec<String>,
    pub(super) headers: Headers,
    verdicts: Cache<Verdict>,
}

/// The headers in which the front proxy names the user.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) username: Vec<HeaderName>,
    pub(super) uid: Vec<HeaderName>,
    pub(super) group: Vec<HeaderName>,
    /// In lower case.
    pub(super) extra_prefixes: Vec<String>,
}

/// What the certificates of a peer say.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict {
    /// The peer may name users in headers.
    pub(super) is_front_proxy: bool,
    /// The user whom the certificate itself names.
    pub(super) user: Option<Arc<User>>,
}

impl Trust {
    /// Fails when a CA holds no certificate.
    pub(super) fn new(texts: TrustTexts) -> Result<Self, TlsError> {
        let clients = texts.client_ca.filter(|ca| !ca.trim().is_empty());
        let proxy = texts.front_proxy.unwrap_or_default();
        let names = |names: &[String]| names.iter().filter_map(|name| name.trim().parse().ok()).collect();
        let lower = |prefix: &String| prefix.trim().to_ascii_lowercase();
        Ok(Trust {
            clients: clients.map(|ca| verifier("client-ca-file", &ca)).transpose()?,
            proxy: match proxy.ca.trim() {
                "" => None,
                ca => Some(verifier("requestheader-client-ca-file", ca)?),
            },
            allowed_names: proxy.allowed_names,
            headers: Headers {
                username: names(&proxy.username_headers),
                uid: names(&proxy.uid_headers),
                group: names(&proxy.group_headers),
                extra_prefixes: proxy.extra_header_prefixes.iter().map(lower).collect(),
            },
            verdicts: Cache::new(),
        })
    }

    /// What the certificates of a peer are worth now.
    pub(super) async fn verdict(&self, peer: &Peer) -> Verdict {
        if peer.certificates.is_empty() {
            return Verdict::default();
        }
        let ask = || async { Ok::<_, std::convert::Infallible>((self.judge(peer), VERDICT_LIFETIME)) };
        match self.verdicts.get_or_ask(peer.fingerprint, ask).await {
            Ok(verdict) => verdict,
            Err(never) => match never {},
        }
    }

    fn judge(&self, peer: &Peer) -> Verdict {
        let Some(subject) = peer.certificates.first().and_then(|leaf| Subject::of(leaf)) else {
            return Verdict::default();
        };
        let name = &subject.common_name;
        let is_allowed = self.allowed_names.is_empty() || self.allowed_names.contains(name);
        let is_front_proxy = is_allowed && signed(self.proxy.as_ref(), peer);
        let is_user = !name.is_empty() && signed(self.clients.as_ref(), peer);
        let user = is_user.then(|| Arc::new(User::authenticated(name.clone(), subject.organizations)));
        Verdict { is_front_proxy, user }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("headers", &self.headers).finish_non_exhaustive()
    }
}

fn verifier(what: &'static str, ca: &str) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of_pem(what, ca.as_bytes())? {
        roots.add(certificate)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    verifier.map_err(|error| TlsError::Verifier(error.to_string()))
}

fn signed(verifier: Option<&Arc<dyn ClientCertVerifier>>, peer: &Peer) -> bool {
    let (Some(verifier), Some((leaf, intermediates))) = (verifier, peer.certificates.split_first()) else {
        return false;
    };
    match verifier.verify_client_cert(leaf, intermediates, UnixTime::now()) {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(address = %peer.address, %error, "certificate not believed");
            false
        }
    }
}

/// Whom a certificate is about.
struct Subject {
    common_name: String,
    organizations: Vec<String>,
}

impl Subject {
    fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        let subject = certificate.subject();
        let text =
            |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
        Some(Subject {
            common_name: subject.iter_common_name().last().and_then(text).unwrap_or_default(),
            organizations: subject.iter_organization().filter_map(text).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_map_is_read() {
        let data = [
            ("requestheader-client-ca-file", "PEM"),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ];
        let data: BTreeMap<String, String> =
            data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let texts = TrustTexts::of_config_map(&data).unwrap();
        let proxy = texts.front_proxy.unwrap();
        assert_eq!((proxy.allowed_names, texts.client_ca), (vec!["front-proxy-client".to_owned()], None));
        assert!(Trust::new(TrustTexts { client_ca: Some("no PEM".to_owned()), front_proxy: None }).is_err());
    }
}
