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
