//! Certificates for the servers: a root, and a pair that it signed, for `localhost` or other names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// PEM files, and the root's text.
pub struct Certificates {
    /// The root, for `ca`.
    pub ca: String,
    pub ca_file: PathBuf,
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl Certificates {
    /// Makes new ones in `folder`.
    pub fn make(folder: &Path) -> Self {
        Certificates::for_names(folder, &["localhost", "127.0.0.1"])
    }

    /// As [`Certificates::make`], for a server with other names.
    pub fn for_names(folder: &Path, names: &[&str]) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test root");
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a root");
        let issuer = Issuer::new(params, key);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let server_key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new(names).expect("parameters").signed_by(&server_key, &issuer);
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        Certificates {
            ca: root.pem(),
            ca_file: write("ca.crt", &root.pem()),
            cert_file: write("server.crt", &server.expect("a certificate").pem()),
            key_file: write("server.key", &server_key.serialize_pem()),
        }
    }

    /// Accepts connections with them, in one of these protocols.
    pub fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        let chain = CertificateDer::pem_file_iter(&self.cert_file).expect("a certificate");
        let chain: Vec<_> = chain.map(|certificate| certificate.expect("a certificate")).collect();
        let key = PrivateKeyDer::from_pem_file(&self.key_file).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("protocol versions").with_no_client_auth().with_single_cert(chain, key);
        let mut config = config.expect("a pair");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
