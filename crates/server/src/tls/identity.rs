//! A key with its certificates and the CAs that vouch for the other side.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::{TlsError, provider};

/// The newest identity; `None` until there is one.
pub type IdentityWatch = watch::Receiver<Option<Arc<Identity>>>;

/// What one side of a TLS connection shows and trusts.
#[derive(Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    authorities: Vec<CertificateDer<'static>>,
    trusted: Vec<CertificateDer<'static>>,
}

impl Identity {
    /// Reads the PEM texts of `tls.crt` (leaf first), `tls.key` and `ca.crt`.
    ///
    /// Fails when one holds no PEM of its kind, or when key and leaf do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8], authorities: &[u8]) -> Result<Self, TlsError> {
        let certificates = certificates_of_pem("tls.crt", chain)?;
        let authorities = certificates_of_pem("ca.crt", authorities)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsError::Pem { what: "tls.key", reason: error.to_string() })?;
        let key = CertifiedKey::from_der(certificates, key, &provider())?;
        Ok(Identity { key: Arc::new(key), trusted: authorities.clone(), authorities })
    }

    /// The same identity, trusting further CAs: those of the identity it replaces, until all have moved.
    #[must_use]
    pub fn trusting_also(mut self, others: &[CertificateDer<'static>]) -> Self {
        for other in others {
            if !self.trusted.contains(other) {
                self.trusted.push(other.clone());
            }
        }
        self
    }

    /// The same identity, trusting its own CAs only.
    #[must_use]
    pub fn trusting_only_its_own(mut self) -> Self {
        self.trusted.clone_from(&self.authorities);
        self
    }

    /// The certificates shown to the other side, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// The CAs that came with the identity.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// Whether both show the same certificates under the same CAs.
    pub fn is_same(&self, other: &Identity) -> bool {
        self.key.cert == other.key.cert && self.authorities == other.authorities
    }

    /// What the other side may be signed by.
    pub(super) fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.trusted {
            roots.add(certificate.clone())?;
        }
        Ok(Arc::new(roots))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.key.cert.len()).finish_non_exhaustive()
    }
}

/// All certificates of a PEM text; at least one. `what` names the text in the error.
pub fn certificates_of_pem(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Pem { what, reason: error.to_string() })?;
    if certificates.is_empty() {
        return Err(TlsError::Pem { what, reason: "no certificate".to_owned() });
    }
    Ok(certificates)
}

/// Reads an identity from its three files.
pub async fn read_identity(chain: &Path, key: &Path, authorities: &Path) -> Result<Identity, TlsError> {
    let (chain, key, authorities) = (read(chain).await?, read(key).await?, read(authorities).await?);
    Identity::from_pem(&chain, &key, &authorities)
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path).await.map_err(|source| TlsError::File { path: path.to_owned(), source })
}
