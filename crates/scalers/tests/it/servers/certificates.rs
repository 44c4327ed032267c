//! Certificates for the servers: a root, and a pair that it signed, for `localhost` or other names.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

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
}
