//! What binds a login to the TLS connection that it goes over: the hash of the server's certificate (RFC 5929,
//! `tls-server-end-point`).

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

/// What the names of algorithms with RSA begin with, in DER.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// The same of those with elliptic curves.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];

/// The hash of a certificate in DER; `None` where none is defined for the algorithm that it is signed with.
pub(super) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(digest(algorithm(certificate)?, certificate).as_ref().to_vec())
}

/// The hash that a certificate is signed with, or SHA-256 in the place of a weaker one.
fn algorithm(certificate: &[u8]) -> Option<&'static Algorithm> {
    // What is signed, the algorithm with its name and parameters, and the signature.
    let (parts, _) = element(certificate)?;
    let (_, behind) = element(parts)?;
    let (signed_with, _) = element(behind)?;
    let (name, _) = element(signed_with)?;
    match (name.strip_prefix(RSA), name.strip_prefix(ECDSA)) {
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => Some(&SHA256),
        (Some([12]), _) | (_, Some([3, 3])) => Some(&SHA384),
        (Some([13]), _) | (_, Some([3, 4])) => Some(&SHA512),
        _ => None,
    }
}

/// What the first element of `der` holds, and what is behind it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_, length, rest @ ..] = der else { return None };
    if *length < 0x80 {
        return rest.split_at_checked(usize::from(*length));
    }
    let (bytes, rest) = rest.split_at_checked(usize::from(*length & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
    let length = bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that is signed with this algorithm, with something else in the place of the rest.
    fn certificate(name: &[u8]) -> Vec<u8> {
        let put = |tag: u8, held: &[u8]| {
            let [high, low] = u16::try_from(held.len()).unwrap().to_be_bytes();
            [&[tag, 0x82, high, low][..], held].concat()
        };
        let signed = put(0x30, &[7; 300]);
        let algorithm = put(0x30, &[put(6, name), vec![5, 0]].concat());
        put(0x30, &[signed, algorithm, put(3, &[9; 200])].concat())
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let bits = |name: &[&[u8]]| server_end_point(&certificate(&name.concat())).map(|hash| 8 * hash.len());
        assert_eq!(bits(&[RSA, &[5]]), Some(256), "SHA-256 in the place of SHA-1");
        assert_eq!(bits(&[RSA, &[11]]), Some(256));
        assert_eq!(bits(&[RSA, &[13]]), Some(512));
        assert_eq!(bits(&[ECDSA, &[3, 2]]), Some(256));
        assert_eq!(bits(&[ECDSA, &[3, 3]]), Some(384));
        assert_eq!(bits(&[&[0x2b, 0x65, 0x70]]), None, "Ed25519 has none");
        let whole = certificate(&[ECDSA, &[3, 2]].concat());
        assert!((0..whole.len()).all(|length| server_end_point(&whole[..length]).is_none()));
    }
}
