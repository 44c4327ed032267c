//! SCRAM (RFC 5802): both sides prove that they know the password, and neither says it.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;

/// Rounds of hashing above which a broker only wants to keep us busy.
const MAXIMUM_ROUNDS: u32 = 1 << 20;

/// How the password is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScramHash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl ScramHash {
    pub(super) fn mechanism(self) -> &'static str {
        match self {
            ScramHash::Sha256 => "SCRAM-SHA-256",
            ScramHash::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn digest(self, data: &[u8]) -> digest::Digest {
        let algorithm = match self {
            ScramHash::Sha256 => &digest::SHA256,
            ScramHash::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, data)
    }

    fn sign(self, key: &[u8], data: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            ScramHash::Sha256 => hmac::HMAC_SHA256,
            ScramHash::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data)
    }

    fn salted(self, password: &str, salt: &[u8], rounds: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            ScramHash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256_OUTPUT_LEN),
            ScramHash::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, digest::SHA512_OUTPUT_LEN),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, rounds, salt, password.as_bytes(), &mut salted);
        salted
    }
}

/// One login.
pub(super) struct Scram {
    hash: ScramHash,
    username: String,
    password: Secret,
    nonce: String,
}

impl Scram {
    pub(super) fn new(hash: ScramHash, username: &str, password: &str) -> Result<Self, SourceError> {
        let mut nonce = [0; 24];
        rand::fill(&mut nonce).map_err(|_| SourceError::new(ErrorKind::Unreachable, "there are no random numbers"))?;
        Ok(Scram::with_nonce(hash, username, password, BASE64_STANDARD.encode(nonce)))
    }

    fn with_nonce(hash: ScramHash, username: &str, password: &str, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Scram { hash, username, password: Secret::new(password), nonce }
    }

    /// The first word.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare())
    }

    fn bare(&self) -> String {
        format!("n={},r={}", self.username, self.nonce)
    }

    /// The proof that we know the password, in answer to the server's first word, and the server's own, to compare.
    pub(super) fn prove(&self, challenge: &str) -> Result<(String, String), SourceError> {
        let malformed = || SourceError::malformed("the broker's challenge is not one of SCRAM");
        let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = part("r=").filter(|nonce| nonce.starts_with(&self.nonce)).ok_or_else(malformed)?;
        let salt = part("s=").and_then(|salt| BASE64_STANDARD.decode(salt).ok()).ok_or_else(malformed)?;
        let rounds = part("i=").and_then(|rounds| rounds.parse::<NonZeroU32>().ok());
        let rounds = rounds.filter(|rounds| rounds.get() <= MAXIMUM_ROUNDS).ok_or_else(malformed)?;
        let salted = self.hash.salted(self.password.expose(), &salt, rounds);
        let unproven = format!("c=biws,r={nonce}");
        let dialogue = format!("{},{challenge},{unproven}", self.bare());
        let client_key = self.hash.sign(&salted, b"Client Key");
        let stored_key = self.hash.digest(client_key.as_ref());
        let client_signature = self.hash.sign(stored_key.as_ref(), dialogue.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(client_signature.as_ref()).map(|(key, signature)| key ^ signature).collect();
        let server_key = self.hash.sign(&salted, b"Server Key");
        let server_signature = self.hash.sign(server_key.as_ref(), dialogue.as_bytes());
        let proof = format!("{unproven},p={}", BASE64_STANDARD.encode(proof));
        Ok((proof, format!("v={}", BASE64_STANDARD.encode(server_signature))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialogue_is_that_of_rfc_7677() {
        let scram = Scram::with_nonce(ScramHash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_string());
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (proof, signature) = scram.prove(challenge).unwrap();
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(proof, expected);
        assert_eq!(signature, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_challenge_that_is_none_is_refused() {
        let scram = Scram::with_nonce(ScramHash::Sha512, "a=b,c", "p", "nonce".to_string());
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=nonce");
        for wrong in ["", "r=other,s=AAAA,i=1", "r=nonce1,s=AAAA,i=0", "r=nonce1,s=AAAA,i=99999999", "r=nonce1,s=?,i=1"]
        {
            assert!(scram.prove(wrong).is_err(), "{wrong}");
        }
    }
}
