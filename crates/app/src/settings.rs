//! The environment, read once. Nothing else in the program looks at it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use keda_core::metadata::parse_bool;
use keda_scalers::client::SourceSettings;
use keda_scalers::client::aws::AwsEnvironment;
use keda_scalers::client::azure::AzureEnvironment;
use keda_scalers::client::gcp::GcpEnvironment;
use keda_scalers::client::proxies::Proxies;
use keda_scalers::format::label_selector;
use keda_server::tls::TlsVersions;

/// The value of a variable, if it is set.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the environment says.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// For the clients of event sources.
    pub(crate) sources: SourceSettings,
    /// Where state goes when no `--state-dir` is given.
    pub(crate) state_home: PathBuf,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// A variable that cannot be understood, and that KEDA does not start with either.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        Self::of(&variable)
    }

    fn of(variable: Variables<'_>) -> anyhow::Result<Self> {
        let text = |name: &str| variable(name).filter(|text| !text.is_empty());
        let mut sources = SourceSettings::default();
        if let Some(milliseconds) = integer(variable, "KEDA_HTTP_DEFAULT_TIMEOUT", "milliseconds")? {
            let positive = u64::try_from(milliseconds).ok().filter(|milliseconds| *milliseconds > 0);
            sources.timeout = Duration::from_millis(positive.unwrap_or(NO_TIMEOUT));
        }
        sources.tls13_only = text("KEDA_HTTP_MIN_TLS_VERSION").as_deref() == Some("TLS13");
        sources.disable_keep_alive =
            text("KEDA_HTTP_DISABLE_KEEP_ALIVE").is_some_and(|text| parse_bool(&text) == Some(true));
        sources.proxies = Proxies::of(variable);
        sources.aws = AwsEnvironment::of(variable);
        sources.azure = AzureEnvironment::of(variable);
        sources.gcp = GcpEnvironment::of(variable);
        let home = text("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let state_home = text("XDG_STATE_HOME").map_or_else(|| home.join(".local/state"), PathBuf::from);
        Ok(Settings { sources, state_home: state_home.join("keda") })
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
    /// `KEDA_CHECK_UNEXPECTED_SCALERS_PARAMS` is exactly `enabled`.
    pub(crate) tells_unknown_keys: bool,
    /// `KEDA_BOUND_SERVICE_ACCOUNT_TOKEN_EXPIRY`.
    pub(crate) token_lifetime: Duration,
    /// `KEDA_SERVICE_MIN_TLS_VERSION`, or `KEDA_HTTP_MIN_TLS_VERSION`: versions that our servers speak.
    pub(crate) service_tls_versions: TlsVersions,
    /// `RAW_METRICS_GRPC_PROTOCOL` asks for a stream of metrics, which nobody serves yet.
    pub(crate) asks_for_raw_metrics: bool,
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

/// Milliseconds for a request where the environment gives none or fewer, as with KEDA.
const NO_TIMEOUT: u64 = 300;
/// Reconciliations at the same time, unless set.
const RECONCILIATIONS: usize = 16;
/// What a template makes of a variable that is set to nothing.
const QUOTES: &str = "\"\"";
const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Whether this process runs in a pod of a cluster.
#[allow(clippy::disallowed_methods)]
pub(crate) fn is_in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// The proxies that the environment names.
pub(crate) fn proxies() -> Proxies {
    Proxies::of(variable)
}

impl ClusterEnvironment {
    /// Reads the environment.
    ///
    /// # Errors
    /// A variable that cannot be understood, and that KEDA does not start with either.
    pub(crate) fn read() -> anyhow::Result<Self> {
        Self::of(&variable)
    }

    /// The same of any variables.
    pub(crate) fn of(variable: Variables<'_>) -> anyhow::Result<Self> {
        let text = |name: &str| variable(name).filter(|text| !text.is_empty());
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
        let token_lifetime = duration("KEDA_BOUND_SERVICE_ACCOUNT_TOKEN_EXPIRY", 3600)?;
        if !(3600..=6 * 3600).contains(&token_lifetime.as_secs()) {
            bail!("KEDA_BOUND_SERVICE_ACCOUNT_TOKEN_EXPIRY must be between 1h and 6h");
        }
        let reconciliations = integer(variable, "KEDA_SCALEDOBJECT_CTRL_MAX_RECONCILES", "reconciliations")?;
        // One less would do nothing, ever.
        let reconciliations = reconciliations.map(|number| usize::try_from(number).unwrap_or(0).max(1));
        let host = text("HOSTNAME").or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
        let unique = std::fs::read_to_string("/proc/sys/kernel/random/uuid")
            .unwrap_or_else(|_| format!("{}-{}", std::process::id(), crate::clock::wall().as_nanosecond()));
        let own = std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE).ok().filter(|text| !text.is_empty());
        Ok(ClusterEnvironment {
            watch_namespaces: variable("WATCH_NAMESPACE").map(|text| namespaces(&text)),
            watch_labels: selector(variable, "WATCH_LABEL_SELECTOR")?,
            watch_authentication_labels: selector(variable, "WATCH_LABEL_SELECTOR_FOR_TRIGGERAUTH")?,
            pod_namespace: text("POD_NAMESPACE").unwrap_or_else(|| "keda".to_string()),
            cluster_namespace: text("KEDA_CLUSTER_OBJECT_NAMESPACE").or(own),
            restrict_secrets: text("KEDA_RESTRICT_SECRET_ACCESS").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            election,
            reconciliations: reconciliations.unwrap_or(RECONCILIATIONS),
            tells_unknown_keys: text("KEDA_CHECK_UNEXPECTED_SCALERS_PARAMS").as_deref() == Some("enabled"),
            token_lifetime,
            service_tls_versions: service_tls_versions(variable),
            asks_for_raw_metrics: text("RAW_METRICS_GRPC_PROTOCOL").as_deref() == Some("enabled"),
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
    if text == QUOTES {
        return Vec::new();
    }
    text.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect()
}

#[allow(clippy::disallowed_methods)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number of something; one that is set to nothing is not set.
fn integer(variable: Variables<'_>, name: &str, of: &str) -> anyhow::Result<Option<i64>> {
    let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => bail!("{name} is {text:?}: set it to a whole number of {of}, or to nothing for the default"),
    }
}

/// A label selector; nothing, or two quotation marks, takes everything.
fn selector(variable: Variables<'_>, name: &str) -> anyhow::Result<String> {
    let text = variable(name).filter(|text| text != QUOTES).unwrap_or_default();
    match label_selector::check(&text) {
        Ok(()) => Ok(text),
        Err(error) => bail!("{name} is {text:?}, which is no label selector: {error}"),
    }
}

/// Versions that our servers speak. Older ones than 1.2 may be asked for; none of them is spoken.
fn service_tls_versions(variable: Variables<'_>) -> TlsVersions {
    // Set to a word that is none, or to nothing, the first means the newest version, as with KEDA.
    let (name, otherwise) = match variable("KEDA_SERVICE_MIN_TLS_VERSION") {
        Some(_) => ("KEDA_SERVICE_MIN_TLS_VERSION", TlsVersions::From13),
        None => ("KEDA_HTTP_MIN_TLS_VERSION", TlsVersions::From12),
    };
    match variable(name).unwrap_or_default().as_str() {
        "TLS10" | "TLS11" | "TLS12" => TlsVersions::From12,
        "TLS13" => TlsVersions::From13,
        "" => otherwise,
        word => {
            tracing::warn!("{name} is {word:?}, which is no version of TLS: set it to TLS12 or TLS13");
            otherwise
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str, value: &str) -> anyhow::Result<Settings> {
        Settings::of(&|asked| (asked == name).then(|| value.to_string()))
    }

    fn cluster(name: &str, value: &str) -> anyhow::Result<ClusterEnvironment> {
        ClusterEnvironment::of(&|asked| (asked == name).then(|| value.to_string()))
    }

    #[test]
    fn a_timeout_is_taken_as_it_is_unless_it_is_none() {
        let timeout = |text: &str| settings("KEDA_HTTP_DEFAULT_TIMEOUT", text).unwrap().sources.timeout.as_millis();
        assert_eq!(["100", "5000", "0", "-1", ""].map(timeout), [100, 5000, 300, 300, 3000]);
        let error = settings("KEDA_HTTP_DEFAULT_TIMEOUT", "3s").unwrap_err().to_string();
        let expected = "KEDA_HTTP_DEFAULT_TIMEOUT is \"3s\": set it to a whole number of milliseconds, ";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn something_is_always_reconciled() {
        let name = "KEDA_SCALEDOBJECT_CTRL_MAX_RECONCILES";
        let reconciliations = |text: &str| cluster(name, text).unwrap().reconciliations;
        assert_eq!(["7", "0", "-3", ""].map(reconciliations), [7, 1, 1, RECONCILIATIONS]);
        assert!(cluster(name, "many").unwrap_err().to_string().contains(name));
    }

    #[test]
    fn tokens_are_good_for_one_to_six_hours() {
        let name = "KEDA_BOUND_SERVICE_ACCOUNT_TOKEN_EXPIRY";
        let hours = |text: &str| cluster(name, text).unwrap().token_lifetime.as_secs() / 3600;
        assert_eq!(["", "2h", "6h"].map(hours), [1, 2, 6]);
        for wrong in ["59m", "7h", "long"] {
            assert!(cluster(name, wrong).unwrap_err().to_string().contains(name), "{wrong}");
        }
    }

    #[test]
    fn selectors_are_checked_before_anything_is_watched() {
        for name in ["WATCH_LABEL_SELECTOR", "WATCH_LABEL_SELECTOR_FOR_TRIGGERAUTH"] {
            let labels = |text: &str| {
                let environment = cluster(name, text).unwrap();
                environment.watch_labels + &environment.watch_authentication_labels
            };
            assert_eq!(["", "\"\"", "tier in (gold, silver)"].map(labels), ["", "", "tier in (gold, silver)"]);
            let error = cluster(name, "tier in (gold").unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("tier in (gold"), "{error}");
        }
    }

    #[test]
    fn the_oldest_version_of_tls_is_kedas_but_never_older_than_12() {
        use TlsVersions::{From12, From13};
        let service = |text: &str| cluster("KEDA_SERVICE_MIN_TLS_VERSION", text).unwrap().service_tls_versions;
        let words = ["TLS10", "TLS11", "TLS12", "TLS13", "", "1.2"];
        assert_eq!(words.map(service), [From12, From12, From12, From13, From13, From13]);
        let http = |text: &str| cluster("KEDA_HTTP_MIN_TLS_VERSION", text).unwrap().service_tls_versions;
        assert_eq!(words.map(http), [From12, From12, From12, From13, From12, From12]);
    }

    #[test]
    fn raw_metrics_are_asked_for_with_one_word_only() {
        let asks = |text: &str| cluster("RAW_METRICS_GRPC_PROTOCOL", text).unwrap().asks_for_raw_metrics;
        assert_eq!(["enabled", "Enabled", "true", ""].map(asks), [true, false, false, false]);
    }

    #[test]
    fn a_proxy_may_be_written_small_and_is_not_shown() {
        let proxies = Proxies::of(|asked| match asked {
            "HTTPS_PROXY" => Some(String::new()),
            "https_proxy" => Some("http://me:secret@proxy:3128".to_string()),
            "NO_PROXY" => Some("10.0.0.0/8".to_string()),
            _ => None,
        });
        assert_eq!(proxies.https.as_ref().unwrap().expose(), "http://me:secret@proxy:3128");
        assert_eq!(proxies.exempt, "10.0.0.0/8");
        assert!(!format!("{proxies:?}").contains("secret"));
    }
}
