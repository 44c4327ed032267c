//! The certificates that most triggers with TLS take from their TriggerAuthentication.

use keda_core::metadata::Metadata;
use keda_core::secret::Secret;

use super::tls::TlsOptions;

/// Who to trust, and who we are.
#[derive(Debug, Clone, Default, Metadata)]
pub struct Certificates {
    /// PEM of certificates to trust beside the system's.
    #[meta(auth)]
    pub ca: Option<Secret>,
    /// PEM of the client's certificate; needs `key`.
    #[meta(auth)]
    pub cert: Option<Secret>,
    /// PEM of the client's key; needs `cert`.
    #[meta(auth)]
    pub key: Option<Secret>,
    /// Password of the client's key, where it is encrypted; the key must then be in PKCS#8.
    #[meta(auth)]
    pub key_password: Option<Secret>,
}

impl Certificates {
    /// Whether only one of the client's certificate and key is given.
    pub fn is_half(&self) -> bool {
        self.cert.is_some() != self.key.is_some()
    }

    /// Whether the client's certificate and key are given.
    pub fn is_whole(&self) -> bool {
        self.cert.is_some() && self.key.is_some()
    }

    /// The TLS options with all of them.
    pub fn options(&self, insecure: bool) -> TlsOptions {
        TlsOptions {
            insecure,
            ca: self.ca.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
            key_password: self.key_password.clone(),
        }
    }

    /// The TLS options of triggers that use `ca` only beside the client's certificate and key.
    pub fn options_with_pair(&self, insecure: bool) -> TlsOptions {
        if self.is_whole() { self.options(insecure) } else { TlsOptions { insecure, ..TlsOptions::default() } }
    }

    /// Whether all of them can be used, where a connection will use them.
    ///
    /// # Errors
    /// What is wrong, without showing a certificate.
    pub fn check(&self) -> Result<(), String> {
        self.options(false).check().map_err(|error| error.message)
    }
}
