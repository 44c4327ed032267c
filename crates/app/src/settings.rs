//! The environment, read once. Nothing else in the program looks at it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use keda_core::metadata::parse_bool;
use keda_scalers::client::SourceSettings;
use keda_server::tls::TlsVersions;

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

/// What the environment says of the cluster (KEDA's own variables).
#[derive(Debug, Clone)]
pub(crate) struct ClusterEnvironment {
    /// `WATCH_NAMESPACE`: the namespaces, none for all; unset is an error of those who need it.
    pub(crate) watch_namespaces: Option<Vec<String>>,
    /// `WATCH_LABEL_SELECTOR`.
    pub(crate) watch_labels: String,
    /// `WATCH_LABEL_SELECTOR_FOR_TRIGGERAUTH`.
    pub(crate) watch_authentication_labels: String,
    /// `POD_NAMESPACE`.
    pub(crate) pod_namespace: String,
    /// `KEDA_CLUSTER_OBJECT_NAMESPACE`, or the namespace of the service account.
    cluster_namespace: Option<String>,
    /// `KEDA_RESTRICT_SECRET_ACCESS`.
    pub(crate) restrict_secrets: bool,
    /// `KEDA_OPERATOR_LEADER_ELECTION_…`.
    pub(crate) election: Election,
    /// `KEDA_SCALEDOBJECT_CTRL_MAX_RECONCILES`.
    pub(crate) reconciliations: usize,
    /// `KEDA_SERVICE_MIN_TLS_VERSION`, or `KEDA_HTTP_MIN_TLS_VERSION`: versions that our servers speak.
    pub(crate) service_tls_versions: TlsVersions,
    /// Name of the pod or machine.
    pub(crate) host: String,
    /// Tells this process from others of the same host.
    pub(crate) unique: String,
}

/// How long the election takes.
#[derive(Debug, Clone)]
pub(crate) struct Election {
    pub(crate) lease_duration: Duration,
    pub(crate) renew_deadline: Duration,
    pub(crate) retry_period: Duration,
}

/// Reconciliations at the same time, unless set.
const RECONCILIATIONS: usize = 16;
const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Whether this process runs in a pod of a cluster.
#[allow(clippy::disallowed_methods)]
pub(crate) fn is_in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

impl ClusterEnvironment {
    /// Reads the environment.
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let duration = |name: &str, default: u64| match text(name) {
            Some(text) => keda_core::duration::parse(&text).map_err(|error| anyhow::anyhow!("{name}: {error}")),
            None => Ok(Duration::from_secs(default)),
        };
        let election = Election {
            lease_duration: duration("KEDA_OPERATOR_LEADER_ELECTION_LEASE_DURATION", 15)?,
            renew_deadline: duration("KEDA_OPERATOR_LEADER_ELECTION_RENEW_DEADLINE", 10)?,
            retry_period: duration("KEDA_OPERATOR_LEADER_ELECTION_RETRY_PERIOD", 2)?,
        };
        if election.renew_deadline >= election.lease_duration || election.retry_period >= election.renew_deadline {
            bail!("the lease duration must be longer than the renew deadline, and that longer than the retry period");
        }
        let reconciliations = match text("KEDA_SCALEDOBJECT_CTRL_MAX_RECONCILES") {
            Some(text) => text.parse().context("KEDA_SCALEDOBJECT_CTRL_MAX_RECONCILES is no number")?,
            None => RECONCILIATIONS,
        };
        let host = text("HOSTNAME").or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
        let unique = std::fs::read_to_string("/proc/sys/kernel/random/uuid")
            .unwrap_or_else(|_| format!("{}-{}", std::process::id(), crate::clock::wall().as_nanosecond()));
        let own = std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE).ok().filter(|text| !text.is_empty());
        Ok(ClusterEnvironment {
            watch_namespaces: std::env::var("WATCH_NAMESPACE").ok().map(|text| namespaces(&text)),
            watch_labels: text("WATCH_LABEL_SELECTOR").unwrap_or_default(),
            watch_authentication_labels: text("WATCH_LABEL_SELECTOR_FOR_TRIGGERAUTH").unwrap_or_default(),
            pod_namespace: text("POD_NAMESPACE").unwrap_or_else(|| "keda".to_string()),
            cluster_namespace: text("KEDA_CLUSTER_OBJECT_NAMESPACE").or(own),
            restrict_secrets: text("KEDA_RESTRICT_SECRET_ACCESS").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            election,
            reconciliations,
            service_tls_versions: match std::env::var("KEDA_SERVICE_MIN_TLS_VERSION").ok() {
                Some(version) if version != "TLS12" => TlsVersions::From13,
                None if text("KEDA_HTTP_MIN_TLS_VERSION").as_deref() == Some("TLS13") => TlsVersions::From13,
                _ => TlsVersions::From12,
            },
            host: host.map_or_else(|| "localhost".to_string(), |host| host.trim().to_string()),
            unique: unique.trim().to_string(),
        })
    }

    /// Where what a ClusterTriggerAuthentication refers to lives.
    pub(crate) fn cluster_namespace(&self) -> anyhow::Result<String> {
        self.cluster_namespace.clone().context(
            "KEDA_CLUSTER_OBJECT_NAMESPACE is not set, and this process runs in no pod whose namespace could be taken",
        )
    }
}

/// Names joined by commas; nothing, or two quotation marks, is all of them.
fn namespaces(text: &str) -> Vec<String> {
    if text == "\"\"" {
        return Vec::new();
    }
    text.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect()
}
