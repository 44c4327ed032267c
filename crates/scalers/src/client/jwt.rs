//! JSON Web Tokens that we sign ourselves, by RS256.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keda_core::secret::Secret;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

/// A key that signs tokens.
#[derive(Debug)]
pub struct SigningKey(RsaKeyPair);

impl SigningKey {
    /// The RSA key in a PEM text, PKCS#1 or PKCS#8.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn from_pem(pem: &Secret) -> Result<Self, &'static str> {
        let key =
            PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| "it is not a private key in PEM")?;
        let key = match &key {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err("it is not an RSA key"),
        };
        key.map(SigningKey).map_err(|_| "it is not an RSA key that can be used")
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, claims: &Value) -> Result<Secret, &'static str> {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let text = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| "the key cannot sign")?;
        Ok(Secret::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn whoever_has_the_public_key_can_check_a_token() {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = STANDARD.encode(AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref());
        let pem =
            |label: &str, der: &str| Secret::new(format!("-----BEGIN {label}-----\n{der}\n-----END {label}-----\n"));
        let signing = SigningKey::from_pem(&pem("PRIVATE KEY", &der)).unwrap();
        let token = signing.sign(&json!({ "iss": "12" })).unwrap();
        let (text, signature) = token.expose().rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let part = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let (header, claims) = text.split_once('.').unwrap();
        assert_eq!((part(header), part(claims)), (r#"{"alg":"RS256","typ":"JWT"}"#.into(), r#"{"iss":"12"}"#.into()));
        for wrong in ["hunter2", "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n"] {
            assert!(!SigningKey::from_pem(&Secret::new(wrong)).unwrap_err().contains("hunter2"));
        }
    }
}
