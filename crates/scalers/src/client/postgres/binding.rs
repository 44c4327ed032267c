//! What binds a login to the TLS connection that it goes over: the hash of the server's certificate (RFC 5929,
//! `tls-server-end-point`).

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use x509_parser::oid_registry::{
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::parse_x509_certificate;

/// The name of ECDSA with SHA-1, in DER, which the registry does not have.
const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];

/// The hash of a certificate in DER; `None` where none is defined for the algorithm that it is signed with.
pub(super) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(digest(algorithm(certificate)?, certificate).as_ref().to_vec())
}

/// The hash that a certificate is signed with, or SHA-256 in the place of a weaker one.
fn algorithm(certificate: &[u8]) -> Option<&'static Algorithm> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let name = &certificate.signature_algorithm.algorithm;
    let is = |names: &[_]| names.contains(name);
    if name.as_bytes() == ECDSA_SHA1
        || is(&[OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_SIG_ECDSA_WITH_SHA256])
    {
        Some(&SHA256)
    } else if is(&[OID_PKCS1_SHA384WITHRSA, OID_SIG_ECDSA_WITH_SHA384]) {
        Some(&SHA384)
    } else if is(&[OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA512]) {
        Some(&SHA512)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
        PKCS_RSA_SHA512, SignatureAlgorithm,
    };

    use super::*;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        CertificateParams::new(["shop.example".to_string()]).unwrap().self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let bits = |certificate: &[u8]| server_end_point(certificate).map(|hash| 8 * hash.len());
        for (algorithm, expected) in [
            (&PKCS_RSA_SHA256, Some(256)),
            (&PKCS_RSA_SHA512, Some(512)),
            (&PKCS_ECDSA_P256_SHA256, Some(256)),
            (&PKCS_ECDSA_P384_SHA384, Some(384)),
            (&PKCS_ED25519, None),
        ] {
            assert_eq!(bits(&certificate(algorithm)), expected, "{algorithm:?}");
        }
        let whole = certificate(&PKCS_ECDSA_P256_SHA256);
        assert!((0..whole.len()).all(|length| server_end_point(&whole[..length]).is_none()));
    }

    #[test]
    fn a_weak_hash_is_not_taken() {
        let mut certificate = certificate(&PKCS_RSA_SHA256);
        let (sha256, sha1) = (OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA1WITHRSA);
        for place in 0..certificate.len() - sha256.as_bytes().len() {
            let text = &mut certificate[place..][..sha256.as_bytes().len()];
            if *text == *sha256.as_bytes() {
                text.copy_from_slice(sha1.as_bytes());
            }
        }
        assert_eq!(server_end_point(&certificate).map(|hash| hash.len()), Some(32));
    }
}
