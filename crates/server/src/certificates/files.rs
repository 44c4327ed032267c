//! Certificates that somebody else keeps in files, such as a mounted Secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::tls::{Identity, IdentityWatch, read_identity};

/// Where the files are.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// `tls.crt`, the leaf first.
    pub certificate: PathBuf,
    /// `tls.key`.
    pub key: PathBuf,
    /// `ca.crt`.
    pub authority: PathBuf,
}

impl CertificateFiles {
    /// The usual names in a directory.
    pub fn in_directory(directory: &Path) -> Self {
        let [certificate, key, authority] = ["tls.crt", "tls.key", "ca.crt"].map(|name| directory.join(name));
        CertificateFiles { certificate, key, authority }
    }
}

/// Publishes the identity of the files as soon as they are there, and again whenever they change; looks every `interval`.
///
/// Files that do not fit together are looked at again, as they may be caught in the middle of a change. The task ends when
/// nobody reads the identity any more.
pub fn follow_files(files: CertificateFiles, interval: Duration) -> IdentityWatch {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut last_error = String::new();
        loop {
            match read_identity(&files.certificate, &files.key, &files.authority).await {
                Ok(identity) => {
                    last_error.clear();
                    publish(&sender, identity);
                }
                // Once is enough: they may be mounted a minute late.
                Err(error) if error.to_string() != last_error => {
                    last_error = error.to_string();
                    tracing::warn!(%error, "certificates cannot be used yet; looking again");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = sender.closed() => return,
            }
        }
    });
    receiver
}

fn publish(sender: &watch::Sender<Option<Arc<Identity>>>, identity: Identity) {
    let known = sender.borrow().clone();
    if known.as_ref().is_some_and(|known| known.is_same(&identity)) {
        return;
    }
    // What was trusted before is trusted until the next change: the other side's files may change later than ours.
    let before = known.map(|known| known.authorities().to_vec()).unwrap_or_default();
    sender.send_replace(Some(Arc::new(identity.trusting_also(&before))));
}
