//! The environment, read once. Nothing else in the program looks at it.

use std::path::PathBuf;
use std::time::Duration;

use keda_core::metadata::parse_bool;
use keda_scalers::client::SourceSettings;

/// What the environment says.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// For the clients of event sources.
    pub(crate) sources: SourceSettings,
    /// Where state goes when no `--state-dir` is given.
    pub(crate) state_home: PathBuf,
}

impl Settings {
    /// Reads the environment. What cannot be used is warned of, and KEDA's default taken.
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let mut sources = SourceSettings::default();
        if let Some(milliseconds) = text("KEDA_HTTP_DEFAULT_TIMEOUT") {
            sources.timeout = match milliseconds.parse::<i64>() {
                Ok(milliseconds) => Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0).max(300)),
                Err(_) => {
                    tracing::warn!("KEDA_HTTP_DEFAULT_TIMEOUT is not a number of milliseconds; using 3000");
                    sources.timeout
                }
            };
        }
        sources.tls13_only = text("KEDA_HTTP_MIN_TLS_VERSION").as_deref() == Some("TLS13");
        sources.disable_keep_alive =
            text("KEDA_HTTP_DISABLE_KEEP_ALIVE").is_some_and(|text| parse_bool(&text) == Some(true));
        let home = text("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let state_home = text("XDG_STATE_HOME").map_or_else(|| home.join(".local/state"), PathBuf::from);
        Settings { sources, state_home: state_home.join("keda") }
    }
}
