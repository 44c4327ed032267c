//! What serves TLS: identities that may be swapped at any time, and the accept loop that reads them.
//!
//! An [`Identity`] is a key, its certificates and the CAs that go with it. Whoever keeps it up to date publishes it through
//! a watch channel; each connection is accepted with the newest one, and open connections go on with theirs.

mod identity;
mod listen;
mod peer;
mod serve;
mod verifier;

pub use identity::{Identity, IdentityWatch, certificates_of_pem, read_identity};
pub use listen::bind;
pub use peer::Peer;
pub use serve::{ConfigWatch, Shutdown, serve};
pub use verifier::{ClientCertificates, TlsVersions, client_config, server_config, server_configs};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

/// Why no identity or no TLS configuration can be made of what there is. Never holds a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A PEM text holds nothing that can be used.
    #[error("{what} holds no usable PEM: {reason}")]
    Pem {
        /// `tls.crt`, `tls.key` or `ca.crt`.
        what: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// The TLS library refuses the material.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// No verifier can be made of the CAs.
    #[error("no verifier of certificates can be made of the CAs: {0}")]
    Verifier(String),
}

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The TLS material cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Metrics cannot be exposed.
    #[error("cannot expose metrics: {0}")]
    Metrics(String),
}

/// The one provider of cryptography that all servers and clients here use.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}
