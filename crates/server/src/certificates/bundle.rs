//! What a `caBundle` should hold. A CA that is on its way out stays beside its successor until all servers have moved.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates of a bundle; of one that is damaged, those before the damage.
pub(super) fn read(bundle: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(bundle).map_while(Result::ok).collect()
}

/// Whether a bundle holds all of the CAs.
pub(super) fn contains(bundle: &[u8], authorities: &[CertificateDer<'static>]) -> bool {
    let present = read(bundle);
    authorities.iter().all(|authority| present.contains(authority))
}

/// Whether a bundle holds the CAs and no others.
pub(super) fn is_exactly(bundle: &[u8], authorities: &[CertificateDer<'static>]) -> bool {
    contains(bundle, authorities) && read(bundle).iter().all(|present| authorities.contains(present))
}

/// The CAs as one bundle, after what it holds now.
pub(super) fn extended(bundle: &[u8], authorities: &[CertificateDer<'static>]) -> Vec<u8> {
    let mut all = read(bundle);
    for authority in authorities {
        if !all.contains(authority) {
            all.push(authority.clone());
        }
    }
    write(&all)
}

/// Certificates as PEM.
pub(super) fn write(certificates: &[CertificateDer<'static>]) -> Vec<u8> {
    certificates.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect::<String>().into_bytes()
}

/// One block of PEM, in lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, others) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = others;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}
