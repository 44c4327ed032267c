//! Certificates of the servers: made and renewed here, or read from files.
//!
//! [`material`] looks at what a Secret holds, [`generate`] makes new material, [`bundle`] says what the API server should
//! trust; these are pure. [`rotation`] watches the Secret and the objects that carry the CA, and does what is due. Nothing of
//! it stops the process: a new identity is published, and the servers take it with their next connection.

mod bundle;
mod cluster;
mod files;
mod generate;
mod material;
mod rotation;

pub use files::{CertificateFiles, follow_files};
pub use generate::generate;
pub use material::{Material, Names, Verdict, inspect};
pub use rotation::{RotationSettings, rotate};

/// Why something about certificates failed. Never holds a key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Keys or certificates cannot be made.
    #[error("cannot generate certificates: {0}")]
    Generate(String),
    /// The API server refuses or cannot be reached.
    #[error("{what}: {source}")]
    Cluster {
        /// What was to be done.
        what: &'static str,
        /// What the client said.
        source: Box<kube::Error>,
    },
}
