//! Names of fixed size for what caches are asked by, so that no token or identity is kept as text; and numbers for what
//! would take too much room to be kept.

use std::hash::{DefaultHasher, Hash, Hasher};

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 digest.
pub(crate) type Key = [u8; 32];

/// Digests fields one after the other; the length of each goes in too, so that no two lists of fields read alike.
pub(crate) struct Fingerprint(Context);

impl Fingerprint {
    /// `kind` keeps the keys of different questions apart.
    pub(crate) fn new(kind: &str) -> Self {
        Fingerprint(Context::new(&SHA256)).field(kind.as_bytes())
    }

    pub(crate) fn field(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn finish(self) -> Key {
        let mut key = Key::default();
        key.copy_from_slice(self.0.finish().as_ref());
        key
    }
}

/// A number that stands for a value, for as long as this process lives. Nobody who could gain by it chooses the values.
pub(crate) fn number(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
