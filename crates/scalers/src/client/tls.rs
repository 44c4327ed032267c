//! TLS configurations: one builder, and one configuration for all who need the same.
//!
//! Rules (`scalers/COMMON.md`, "HTTP client defaults"): TLS 1.2 at least; the system's roots and every file of the CA
//! folders are trusted, a `ca` is added to them; a client certificate is used when both `cert` and `key` are given; a
//! key may be an encrypted PKCS#8 one.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::SourceSettings;

/// What a trigger wants of its TLS connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// Takes any certificate of the server.
    pub insecure: bool,
    /// PEM of additional roots.
    pub ca: Option<Secret>,
    /// PEM of the client's certificate.
    pub cert: Option<Secret>,
    /// PEM of the client's key.
    pub key: Option<Secret>,
    /// Password of an encrypted key.
    pub key_password: Option<Secret>,
}

impl TlsOptions {
    /// Whether certificates and key can be used; asks nobody.
    ///
    /// # Errors
    /// [`SourceError::configuration`].
    pub fn check(&self) -> Result<(), SourceError> {
        if let Some(ca) = &self.ca {
            roots_of(ca, RootCertStore::empty())?;
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            certificates(cert)?;
            private_key(key, self.key_password.as_ref())?;
        }
        Ok(())
    }
}

impl TlsOptions {
    /// The client's certificate and its key as one PEM, the key decrypted, for clients with a TLS of their own.
    ///
    /// # Errors
    /// [`SourceError::configuration`] for a key that cannot be read.
    pub fn pair(&self) -> Result<Option<Secret>, SourceError> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else { return Ok(None) };
        let key = private_key(key, self.key_password.as_ref())?;
        let label = match key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        Ok(Some(Secret::new(format!("{}\n{}", cert.expose(), pem(label, key.secret_der())))))
    }
}

/// PEM of something.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines = lines.fold(String::new(), |text, line| text + &line + "\n");
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

/// How a server's certificate is judged, where it is not as usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Verification {
    /// Only `ca` is trusted, when there is one; the system's roots are not.
    pub only_own_roots: bool,
    /// The certificate may be for another name.
    pub any_name: bool,
}

/// What the library says of a server whose certificate is an authority's.
const CA_USED_AS_END_ENTITY: &str = "CaUsedAsEndEntity";

/// Makes TLS configurations. Those that are in use are shared; others are forgotten, with their keys.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    settings: SourceSettings,
    roots: OnceLock<Arc<RootCertStore>>,
    made: Mutex<HashMap<(TlsOptions, Verification), Weak<ClientConfig>>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads nothing yet; the roots are loaded when first needed.
    pub fn new(settings: &SourceSettings) -> Self {
        Tls {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            settings: settings.clone(),
            roots: OnceLock::new(),
            made: Mutex::new(HashMap::new()),
        }
    }

    /// The configuration for `options`, shared by all who ask for the same.
    ///
    /// # Errors
    /// [`SourceError::configuration`] for a certificate or key that cannot be used.
    pub fn config(&self, options: &TlsOptions) -> Result<Arc<ClientConfig>, SourceError> {
        self.config_with(options, Verification::default())
    }

    /// As [`Tls::config`], for protocols with their own rules on certificates.
    ///
    /// # Errors
    /// As for [`Tls::config`].
    pub fn config_with(
        &self,
        options: &TlsOptions,
        verification: Verification,
    ) -> Result<Arc<ClientConfig>, SourceError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (options.clone(), verification);
        made.retain(|_, config| config.strong_count() > 0);
        if let Some(config) = made.get(&key).and_then(Weak::upgrade) {
            return Ok(config);
        }
        let config = Arc::new(self.build(options, verification)?);
        made.insert(key, Arc::downgrade(&config));
        Ok(config)
    }

    /// The certificates of the system and of the CA folders that can be used, for clients with a TLS of their own.
    pub fn trusted_certificates(&self) -> Vec<Vec<u8>> {
        let usable = |certificate: &CertificateDer<'static>| {
            RootCertStore::empty().add_parsable_certificates([certificate.clone()]).0 == 1
        };
        trusted(&self.settings).into_iter().filter(usable).map(|certificate| certificate.to_vec()).collect()
    }

    fn build(&self, options: &TlsOptions, verification: Verification) -> Result<ClientConfig, SourceError> {
        let versions: &[_] = if self.settings.tls13_only {
            &[&rustls::version::TLS13]
        } else {
            &[&rustls::version::TLS12, &rustls::version::TLS13]
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions)
            .map_err(|error| SourceError::configuration(format!("error setting up TLS: {error}")))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier(options, verification)?);
        match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(cert)?, private_key(key, options.key_password.as_ref())?)
                .map_err(|error| SourceError::configuration(format!("error parse X509KeyPair: {error}"))),
            _ => Ok(builder.with_no_client_auth()),
        }
    }

    fn verifier(
        &self,
        options: &TlsOptions,
        verification: Verification,
    ) -> Result<Arc<dyn ServerCertVerifier>, SourceError> {
        if options.insecure {
            return Ok(Arc::new(AnyCertificate(Arc::clone(&self.provider))));
        }
        let roots = self.roots_with(options.ca.as_ref(), verification.only_own_roots)?;
        let signatures = AnyCertificate(Arc::clone(&self.provider));
        Ok(Arc::new(Verifier { roots, any_name: verification.any_name, signatures }))
    }

    fn roots_with(&self, ca: Option<&Secret>, only: bool) -> Result<Arc<RootCertStore>, SourceError> {
        let roots = self.roots.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(trusted(&self.settings));
            Arc::new(roots)
        });
        let Some(ca) = ca else { return Ok(Arc::clone(roots)) };
        let roots = if only { RootCertStore::empty() } else { RootCertStore::clone(roots) };
        roots_of(ca, roots).map(Arc::new)
    }
}

/// `roots` and the certificates of `ca`.
fn roots_of(ca: &Secret, mut roots: RootCertStore) -> Result<RootCertStore, SourceError> {
    let (added, _) = roots.add_parsable_certificates(certificates(ca).unwrap_or_default());
    if added == 0 {
        return Err(SourceError::configuration("error appending CA certs: there is no usable certificate in it"));
    }
    Ok(roots)
}

/// The system's certificates and those of the CA folders; what cannot be read is left out.
fn trusted(settings: &SourceSettings) -> Vec<CertificateDer<'static>> {
    let mut trusted = rustls_native_certs::load_native_certs().certs;
    for folder in &settings.ca_dirs {
        for file in files(folder) {
            match CertificateDer::pem_file_iter(&file) {
                Ok(certificates) => trusted.extend(certificates.filter_map(Result::ok)),
                Err(error) => tracing::warn!(file = %file.display(), %error, "cannot read a CA file"),
            }
        }
    }
    trusted
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_file = |path: &std::path::PathBuf| {
        path.is_file() && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".."))
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_file).collect()
}

fn certificates(pem: &Secret) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose().as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(SourceError::configuration("error parse X509KeyPair: there is no certificate in it")),
        Err(error) => Err(SourceError::configuration(format!("error parse X509KeyPair: {error}"))),
    }
}

fn private_key(pem: &Secret, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, SourceError> {
    let Some(password) = password.filter(|password| !password.is_empty()) else {
        return PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
            .map_err(|error| SourceError::configuration(format!("error parse X509KeyPair: {error}")));
    };
    let decrypt = || -> Result<PrivateKeyDer<'static>, String> {
        let (_, document) = pkcs8::SecretDocument::from_pem(pem.expose()).map_err(|error| error.to_string())?;
        let encrypted =
            pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|error| error.to_string())?;
        let plain = encrypted.decrypt(password.expose()).map_err(|error| error.to_string())?;
        PrivateKeyDer::try_from(plain.as_bytes().to_vec()).map_err(str::to_string)
    };
    decrypt().map_err(|error| SourceError::configuration(format!("error decrypting the client key: {error}")))
}

/// Takes any certificate, for `unsafeSsl`; signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Wants a certificate from a trusted root, or one that is such a root itself, which Go's library takes and this one
/// refuses: `openssl req -x509` makes certificates of authorities, and a `ca` may hold the server's own. Where nothing
/// is trusted it refuses all, but can be made, as clients of HTTP are made with it that never need TLS.
#[derive(Debug)]
struct Verifier {
    roots: Arc<RootCertStore>,
    /// Whether it may be for whatever name.
    any_name: bool,
    /// Checks signatures of the handshake.
    signatures: AnyCertificate,
}

impl Verifier {
    /// Whether a certificate has subject and key of a root; whoever presents it shows by the handshake that the key is
    /// theirs.
    fn is_root(&self, certificate: &CertificateDer<'_>) -> bool {
        let mut one = RootCertStore::empty();
        one.add(certificate.clone().into_owned()).is_ok()
            && one.roots.iter().all(|root| self.roots.roots.contains(root))
    }
}

/// Whether all that is wrong with a certificate may be that it is a root. That is looked at after its dates.
fn may_be_root(error: &CertificateError) -> bool {
    match error {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(OtherError(error)) => error.to_string() == CA_USED_AS_END_ENTITY,
        _ => false,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.signatures.0.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms) {
            Err(rustls::Error::InvalidCertificate(error)) if may_be_root(&error) && self.is_root(certificate) => {}
            verdict => verdict?,
        }
        if !self.any_name {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keda_core::sample::ErrorKind;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_same_wish_gets_the_same_configuration() {
        let tls = Tls::new(&SourceSettings::default());
        let insecure = TlsOptions { insecure: true, ..TlsOptions::default() };
        let first = tls.config(&insecure).unwrap();
        assert!(Arc::ptr_eq(&first, &tls.config(&insecure).unwrap()));
        drop(first);
        tls.config(&TlsOptions::default()).unwrap();
        assert!(!tls.made.lock().unwrap().keys().any(|(options, _)| options.insecure), "unused ones are forgotten");
    }

    #[test]
    fn a_server_may_present_an_authority_that_is_trusted_itself() {
        let certificate = |name: &str| {
            let mut parameters = CertificateParams::new([name.to_string()]).unwrap();
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(DnType::CommonName, name);
            parameters.not_after = date_time_ymd(2030, 1, 1);
            parameters.self_signed(&KeyPair::generate().unwrap()).unwrap()
        };
        let (own, other) = (certificate("shop.example"), certificate("shop.example"));
        let tls = Tls::new(&SourceSettings::default());
        let options = TlsOptions { ca: Some(Secret::new(own.pem())), ..TlsOptions::default() };
        let judge = |shown: &rcgen::Certificate, name: &str, year: u64, any_name: bool| {
            let verification = Verification { only_own_roots: true, any_name };
            let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
            let name = ServerName::try_from(name).unwrap().to_owned();
            tls.verifier(&options, verification).unwrap().verify_server_cert(shown.der(), &[], &name, &[], now)
        };
        assert!(judge(&own, "shop.example", 2026, false).is_ok());
        assert!(judge(&own, "elsewhere.example", 2026, false).is_err());
        assert!(judge(&own, "elsewhere.example", 2026, true).is_ok());
        assert!(judge(&own, "shop.example", 2031, true).is_err(), "it has expired");
        assert!(judge(&other, "shop.example", 2026, true).is_err(), "it has another key");
    }

    #[test]
    fn a_certificate_that_is_trusted_itself_needs_no_other_and_nothing_is_trusted_by_default() {
        let parameters = CertificateParams::new(["shop.example".to_string()]).unwrap();
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "nobody's authority");
        let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
        let make = || parameters.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let (own, other) = (make(), make());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let judge = |trusted: &[&rcgen::Certificate], shown: &rcgen::Certificate| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(trusted.iter().map(|certificate| certificate.der().clone()));
            let (roots, signatures) = (Arc::new(roots), AnyCertificate(Arc::clone(&provider)));
            let verifier = Verifier { roots, any_name: false, signatures };
            let name = ServerName::try_from("shop.example").unwrap();
            verifier.verify_server_cert(shown.der(), &[], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(judge(&[&own], &own));
        assert!(!judge(&[&own], &other));
        assert!(!judge(&[], &own));
    }

    #[test]
    fn a_bad_ca_or_pair_is_a_configuration_error_that_shows_no_key() {
        let tls = Tls::new(&SourceSettings::default());
        let bad_ca = TlsOptions { ca: Some(Secret::new("no pem")), ..TlsOptions::default() };
        assert!(tls.config(&bad_ca).unwrap_err().message.starts_with("error appending CA certs"));
        let secret = Some(Secret::new("top-secret"));
        let bad_pair = TlsOptions { cert: secret.clone(), key: secret, ..TlsOptions::default() };
        let error = tls.config(&bad_pair).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(!error.message.contains("top-secret"));
    }
}
