//! Tokens and keys in files, which others renew from time to time.

use std::path::Path;

use keda_core::sample::SourceError;
use keda_core::secret::Secret;

/// What a file holds, without the blanks around it; `what` it should hold goes into the message.
///
/// # Errors
/// [`SourceError::configuration`] for a file that cannot be read.
pub async fn read(what: &str, file: &Path) -> Result<Secret, SourceError> {
    let cannot = |error| SourceError::configuration(format!("cannot read the {what} in {}: {error}", file.display()));
    let text = tokio::fs::read_to_string(file).await.map_err(cannot)?;
    Ok(Secret::new(text.trim()))
}
