//! Configurations of TLS made of an [`Identity`].

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::sync::watch;

use super::{ConfigWatch, Identity, IdentityWatch, TlsError, provider};

/// What a server wants to know of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Not asked for.
    None,
    /// Asked for; a client may show any or none. The handshake proves that the client holds the key, and no more: who is
    /// trusted is found out with each request, so that other CAs count for open connections too.
    Requested,
    /// Must be signed by a CA that the identity trusts.
    Required,
}

/// The oldest version of TLS spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    From12,
    /// Only 1.3.
    From13,
}

impl TlsVersions {
    fn supported(self) -> &'static [&'static SupportedProtocolVersion] {
        static ONLY_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
        match self {
            TlsVersions::From12 => rustls::ALL_VERSIONS,
            TlsVersions::From13 => ONLY_13,
        }
    }
}

/// A server that shows the identity and speaks HTTP/2 and HTTP/1.1.
pub fn server_config(
    identity: &Identity,
    clients: ClientCertificates,
    versions: TlsVersions,
) -> Result<ServerConfig, TlsError> {
    let verifier: Arc<dyn ClientCertVerifier> = match clients {
        ClientCertificates::None => WebPkiClientVerifier::no_client_auth(),
        ClientCertificates::Requested => Arc::new(PossessionVerifier),
        ClientCertificates::Required => WebPkiClientVerifier::builder_with_provider(identity.roots()?, provider())
            .build()
            .map_err(|error| TlsError::Verifier(error.to_string()))?,
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions.supported())?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key.clone())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A client that shows the identity, trusts its CAs and speaks HTTP/2.
pub fn client_config(identity: &Identity, versions: TlsVersions) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions.supported())?
        .with_root_certificates(identity.roots()?)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key.clone())));
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Follows an identity: the newest configuration, for [`serve`](super::serve).
///
/// The task behind it ends with the identity's publisher, or when nobody reads the configurations any more. Material that
/// makes no configuration is logged, and the configuration before it stays.
pub fn server_configs(mut identity: IdentityWatch, clients: ClientCertificates, versions: TlsVersions) -> ConfigWatch {
    let (configs, receiver) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let newest = identity.borrow_and_update().clone();
            if let Some(newest) = newest {
                match server_config(&newest, clients, versions) {
                    Ok(config) => drop(configs.send_replace(Some(Arc::new(config)))),
                    Err(error) => tracing::error!(%error, "certificate cannot be served"),
                }
            }
            tokio::select! {
                changed = identity.changed() => if changed.is_err() { return },
                () = configs.closed() => return,
            }
        }
    });
    receiver
}

/// Believes that a client has the key of the certificate it shows, whoever signed that.
#[derive(Debug)]
struct PossessionVerifier;

impl ClientCertVerifier for PossessionVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
