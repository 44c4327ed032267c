//! What a Secret with certificates holds, and whether it will do.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::tls::{Identity, provider};

pub(super) const CA_CERTIFICATE: &str = "ca.crt";
pub(super) const CA_KEY: &str = "ca.key";
pub(super) const CERTIFICATE: &str = "tls.crt";
pub(super) const KEY: &str = "tls.key";

/// A certificate is renewed when less than that is left of it, in seconds.
const RENEW_BEFORE: i64 = 90 * 24 * 3600;

/// The services that the certificate is for.
#[derive(Debug, Clone)]
pub struct Names {
    /// The namespace of the services.
    pub namespace: String,
    /// `--k8s-cluster-domain`.
    pub cluster_domain: String,
    /// `--operator-service-name`, also the common name.
    pub operator: String,
    /// `--metrics-server-service-name`.
    pub metrics: String,
    /// `--webhooks-service-name`; only if webhooks are patched.
    pub webhooks: Option<String>,
}

impl Names {
    fn services(&self) -> impl Iterator<Item = &str> {
        [Some(self.operator.as_str()), Some(self.metrics.as_str()), self.webhooks.as_deref()].into_iter().flatten()
    }

    /// All names that a new certificate gets.
    pub fn all(&self) -> Vec<String> {
        let Names { namespace, cluster_domain, .. } = self;
        let forms = |service: &str| {
            let [name, service] = [service, &format!("{service}.{namespace}.svc")].map(str::to_owned);
            [name.clone(), format!("{name}.{namespace}"), service.clone(), format!("{service}.{cluster_domain}")]
        };
        self.services().flat_map(forms).collect()
    }

    /// The names that clients use: the API server `service.namespace.svc`, the metrics adapter the operator's full name.
    pub fn needed(&self) -> Vec<String> {
        let short = self.services().map(|service| format!("{service}.{}.svc", self.namespace));
        let full = format!("{}.{}.svc.{}", self.operator, self.namespace, self.cluster_domain);
        short.chain([full]).collect()
    }
}

/// Certificates and keys as PEM, in the keys of the Secret.
#[derive(Clone)]
pub struct Material {
    pub(super) data: BTreeMap<String, ByteString>,
    /// The same, ready to serve.
    pub identity: Arc<Identity>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Material {
    /// The data of the Secret: `ca.crt`, `tls.crt`, `tls.key`, and `ca.key` where the CA is ours.
    pub fn data(&self) -> &BTreeMap<String, ByteString> {
        &self.data
    }
}

/// What is to be done about a Secret.
#[derive(Debug)]
pub enum Verdict {
    /// It can be used as it is.
    Valid(Material),
    /// New material is needed; the text says why.
    Renew(String),
}

/// Looks at the data of a Secret; `None` if there is no Secret.
pub fn inspect(data: Option<&BTreeMap<String, ByteString>>, names: &Names, now: Timestamp) -> Verdict {
    match check(data, names, now) {
        Ok(material) => Verdict::Valid(material),
        Err(reason) => Verdict::Renew(reason),
    }
}

/// The identity in the data of a Secret as long as it is valid, whether it is to be renewed or not.
pub(super) fn usable(data: &BTreeMap<String, ByteString>, now: Timestamp) -> Option<Arc<Identity>> {
    let pem = |key: &str| data.get(key).map(|ByteString(bytes)| bytes.as_slice());
    let identity = Identity::from_pem(pem(CERTIFICATE)?, pem(KEY)?, pem(CA_CERTIFICATE)?).ok()?;
    let validity = validity(CERTIFICATE, identity.chain().first()?).ok()?;
    validity.contains(&now.as_second()).then(|| Arc::new(identity))
}

/// From when to when a certificate is valid, in seconds since the epoch.
fn validity(what: &str, certificate: &CertificateDer<'_>) -> Result<Range<i64>, String> {
    let (_, certificate) = parse_x509_certificate(certificate).map_err(|error| format!("{what}: {error}"))?;
    let validity = certificate.validity();
    Ok(validity.not_before.timestamp()..validity.not_after.timestamp())
}

fn check(data: Option<&BTreeMap<String, ByteString>>, names: &Names, now: Timestamp) -> Result<Material, String> {
    let data = data.ok_or("there is none")?;
    let pem = |key: &str| match data.get(key) {
        Some(ByteString(bytes)) if !bytes.is_empty() => Ok(bytes.as_slice()),
        _ => Err(format!("{key} is missing")),
    };
    let identity = Identity::from_pem(pem(CERTIFICATE)?, pem(KEY)?, pem(CA_CERTIFICATE)?).map_err(|e| e.to_string())?;
    for authority in identity.authorities() {
        check_dates(CA_CERTIFICATE, authority, now)?;
    }
    let leaf = identity.chain().first().ok_or("tls.crt is missing")?;
    check_dates(CERTIFICATE, leaf, now)?;
    let present = dns_names(leaf)?;
    if let Some(missing) = names.needed().into_iter().find(|name| !present.contains(name)) {
        return Err(format!("tls.crt is not for {missing}"));
    }
    check_signature(&identity, names, now)?;
    Ok(Material { data: data.clone(), identity: Arc::new(identity) })
}

fn check_dates(what: &str, certificate: &CertificateDer<'_>, now: Timestamp) -> Result<(), String> {
    let validity = validity(what, certificate)?;
    if now.as_second() < validity.start {
        return Err(format!("{what} is not valid yet"));
    }
    let left = validity.end - now.as_second();
    if left < RENEW_BEFORE {
        return Err(format!("{what} has {} days left", left.div_euclid(24 * 3600)));
    }
    Ok(())
}

fn dns_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let (_, certificate) = parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let names = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    Ok(names.filter_map(dns).collect())
}

fn check_signature(identity: &Identity, names: &Names, now: Timestamp) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for authority in identity.authorities() {
        roots.add(authority.clone()).map_err(|error| format!("ca.crt: {error}"))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let verifier = verifier.map_err(|error| format!("ca.crt: {error}"))?;
    let (leaf, intermediates) = identity.chain().split_first().ok_or("tls.crt is missing")?;
    let name = names.needed().into_iter().next().unwrap_or_default();
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)));
    match verifier.verify_server_cert(leaf, intermediates, &name, &[], now) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("tls.crt is not believed under ca.crt: {error}")),
    }
}

#[cfg(test)]
#[path = "material_tests.rs"]
mod tests;
