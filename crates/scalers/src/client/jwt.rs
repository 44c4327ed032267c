//! JSON Web Tokens that we sign ourselves, by RS256.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use keda_core::secret::Secret;
use serde::Serialize;

/// A key that signs tokens.
pub struct SigningKey(EncodingKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// The RSA key in a PEM text, PKCS#1 or PKCS#8.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn from_pem(pem: &Secret) -> Result<Self, &'static str> {
        let key = EncodingKey::from_rsa_pem(pem.expose().as_bytes());
        key.map(SigningKey).map_err(|_| "it is not an RSA key in PEM")
    }

    /// A token with these claims, which names the key by its id where it has one.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, claims: &impl Serialize, key_id: Option<&str>) -> Result<Secret, &'static str> {
        let header = Header { kid: key_id.map(str::to_string), ..Header::new(Algorithm::RS256) };
        encode(&header, claims, &self.0).map(Secret::new).map_err(|_| "the key cannot sign")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn whoever_has_the_public_key_can_check_a_token() {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = STANDARD.encode(AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref());
        let pem =
            |label: &str, der: &str| Secret::new(format!("-----BEGIN {label}-----\n{der}\n-----END {label}-----\n"));
        let signing = SigningKey::from_pem(&pem("PRIVATE KEY", &der)).unwrap();
        let token = signing.sign(&json!({ "iss": "12" }), None).unwrap();
        let (text, signature) = token.expose().rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let part = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let (header, claims) = text.split_once('.').unwrap();
        assert_eq!((part(header), part(claims)), (json!({ "alg": "RS256", "typ": "JWT" }), json!({ "iss": "12" })));
        for wrong in ["hunter2", "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n"] {
            assert!(!SigningKey::from_pem(&Secret::new(wrong)).unwrap_err().contains("hunter2"));
        }
    }
}
