//! Who is at the other end of a connection.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;

use crate::fingerprint::{Fingerprint, Key};

/// The other end of a connection; an extension (`Arc<Peer>`) of every request.
#[derive(Debug)]
pub struct Peer {
    /// Where it connects from.
    pub address: SocketAddr,
    /// The certificates it showed, leaf first; empty if none. It proved to hold the leaf's key; whether somebody trusts the
    /// chain depends on the server's [`ClientCertificates`](super::ClientCertificates).
    pub certificates: Vec<CertificateDer<'static>>,
    /// Names the chain, for caches of what was found out about it.
    pub(crate) fingerprint: Key,
}

impl Peer {
    /// A peer that showed these certificates.
    pub fn new(address: SocketAddr, certificates: Vec<CertificateDer<'static>>) -> Self {
        let fingerprint = certificates.iter().fold(Fingerprint::new("chain"), |all, one| all.field(one)).finish();
        Peer { address, certificates, fingerprint }
    }
}
