//! The flags of KEDA's programs, one table per role. Those that mean nothing here are among the [unused](super::unused).

use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser};
use keda_core::duration;
use keda_server::tls::TlsVersions;

use super::unused::{Adapter, Common, Operator, Unused};

/// The operator.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "keda",
    version,
    args_override_self = true,
    about = "Scale the workloads of a cluster by their ScaledObjects"
)]
#[allow(clippy::struct_excessive_bools)] // They are flags.
pub(crate) struct OperatorFlags {
    /// Serve Prometheus metrics
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) enable_prometheus_metrics: bool,
    /// Where Prometheus metrics are served; 0 for nowhere
    #[arg(long, default_value = ":8080")]
    pub(crate) metrics_bind_address: String,
    /// Where /healthz and /readyz are served; 0 for nowhere
    #[arg(long, default_value = ":8081")]
    pub(crate) health_probe_bind_address: String,
    /// Where KEDA's metrics adapter asks for metrics
    #[arg(long, default_value = ":9666")]
    pub(crate) metrics_service_bind_address: String,
    /// Port of the external metrics API; 0 for none [default: 6443 for `keda operator`, 0 without a command]
    #[arg(long)]
    pub(crate) secure_port: Option<u16>,
    /// Elect one replica that leads
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) leader_elect: bool,
    /// Name of the Lease
    #[arg(long, default_value = "operator.keda.sh")]
    pub(crate) leader_election_id: String,
    /// Make certificates, keep them in a Secret, and renew them
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) enable_cert_rotation: bool,
    /// The Secret of the certificates
    #[arg(long, default_value = "kedaorg-certs")]
    pub(crate) cert_secret_name: String,
    /// Folder of the certificates, where they are not made here
    #[arg(long, default_value = "/certs")]
    pub(crate) cert_dir: PathBuf,
    /// Folder of the files that ClusterTriggerAuthentications may name in filePath
    #[arg(long, value_parser = path)]
    pub(crate) filepath_auth_root_path: Option<PathBuf>,
    /// Service of the operator, a name in the certificate
    #[arg(long, default_value = "keda-operator")]
    pub(crate) operator_service_name: String,
    /// Service of the metrics API, a name in the certificate
    #[arg(long, default_value = "keda-metrics-apiserver")]
    pub(crate) metrics_server_service_name: String,
    /// Service of the admission webhooks, a name in the certificate
    #[arg(long, default_value = "keda-admission-webhooks")]
    pub(crate) webhooks_service_name: String,
    /// Name of the cluster in CloudEvents
    #[arg(long, default_value = "kubernetes-default")]
    pub(crate) k8s_cluster_name: String,
    /// Domain of the cluster, in names of the certificate
    #[arg(long, default_value = "cluster.local")]
    pub(crate) k8s_cluster_domain: String,
    /// The ValidatingWebhookConfiguration that is told the CA
    #[arg(long, default_value = "keda-admission")]
    pub(crate) validating_webhook_name: String,
    /// Tell the webhooks the CA
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) enable_webhook_patching: bool,
    /// Tell the APIService the CA
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) enable_apiservice_patching: bool,
    /// Folders of further CA certificates that sources are trusted by; may be repeated
    #[arg(long, default_values = ["/custom/ca"], value_parser = path)]
    pub(crate) ca_dir: Vec<PathBuf>,
    /// Idle HTTP connections that are kept altogether; only checked, as the limit is that of each host
    #[arg(long, hide = true, default_value = "0", value_parser = number)]
    pub(crate) http_max_idle_conns: usize,
    /// Idle HTTP connections to one host of event sources that are kept
    #[arg(long, default_value = "1000", value_parser = number_above_zero)]
    pub(crate) http_max_idle_conns_per_host: usize,
    /// Time after which an idle HTTP connection to an event source is closed
    #[arg(long, default_value = "90s", value_parser = duration_above_zero)]
    pub(crate) http_idle_conn_timeout: Duration,
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    #[command(flatten)]
    pub(crate) unused: Unused<Operator>,
}

/// The metrics adapter.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "keda-adapter",
    version,
    args_override_self = true,
    about = "Serve the external metrics API with the metrics of an operator"
)]
pub(crate) struct AdapterFlags {
    /// Port of the metrics API
    #[arg(long, default_value_t = 443)]
    pub(crate) secure_port: u16,
    /// Address of the metrics API
    #[arg(long, default_value = "0.0.0.0")]
    pub(crate) bind_address: std::net::IpAddr,
    /// Port of Prometheus metrics
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// The operator, as host:port [default: keda-operator.<namespace>.svc.cluster.local:9666]
    #[arg(long)]
    pub(crate) metrics_service_address: Option<String>,
    /// Authority of requests to the operator
    #[arg(long, default_value = "")]
    pub(crate) metrics_service_grpc_authority: String,
    /// Folder of the client certificate for the operator
    #[arg(long, default_value = "apiserver.local.config/certificates")]
    pub(crate) cert_dir: PathBuf,
    /// Certificate of the metrics API
    #[arg(long, value_parser = path)]
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Key of the metrics API
    #[arg(long, value_parser = path)]
    pub(crate) tls_private_key_file: Option<PathBuf>,
    /// Oldest version of TLS of the metrics API: VersionTLS12 or VersionTLS13 [default: VersionTLS12]
    #[arg(long, value_parser = tls_versions)]
    pub(crate) tls_min_version: Option<TlsVersions>,
    #[command(flatten)]
    pub(crate) access: AccessFlags,
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    #[command(flatten)]
    pub(crate) unused: Unused<Adapter>,
}

/// Who may read from the metrics adapter. What no flag says about certificates, the cluster says.
#[derive(Debug, Clone, Args)]
pub(crate) struct AccessFlags {
    /// CA of clients with certificates
    #[arg(long, value_parser = path)]
    pub(crate) client_ca_file: Option<PathBuf>,
    /// CA of the proxy that names users in headers; the other flags about it count only with this one
    #[arg(long, value_parser = path)]
    pub(crate) requestheader_client_ca_file: Option<PathBuf>,
    /// Common names of the proxy; none for any
    #[arg(long, value_delimiter = ',')]
    pub(crate) requestheader_allowed_names: Vec<String>,
    /// Headers that name the user
    #[arg(long, value_delimiter = ',', default_value = "x-remote-user")]
    pub(crate) requestheader_username_headers: Vec<String>,
    /// Headers with the user's UID
    #[arg(long, value_delimiter = ',')]
    pub(crate) requestheader_uid_headers: Vec<String>,
    /// Headers that name the user's groups
    #[arg(long, value_delimiter = ',', default_value = "x-remote-group")]
    pub(crate) requestheader_group_headers: Vec<String>,
    /// Beginnings of headers that tell more of the user
    #[arg(long, value_delimiter = ',', default_value = "x-remote-extra-")]
    pub(crate) requestheader_extra_headers_prefix: Vec<String>,
    /// Do not ask the cluster whose certificates to believe
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) authentication_skip_lookup: bool,
    /// How long the cluster's answer about a token holds
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    pub(crate) authentication_token_webhook_cache_ttl: Duration,
    /// How long the cluster's permission holds
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    pub(crate) authorization_webhook_cache_authorized_ttl: Duration,
    /// How long the cluster's refusal holds
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    pub(crate) authorization_webhook_cache_unauthorized_ttl: Duration,
    /// Paths that everybody may read; a * at the end stands for anything
    #[arg(long, value_delimiter = ',', default_value = "/healthz,/readyz,/livez")]
    pub(crate) authorization_always_allow_paths: Vec<String>,
}

/// The admission webhooks.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "keda-admission-webhooks",
    version,
    args_override_self = true,
    about = "Refuse manifests that cannot work"
)]
pub(crate) struct WebhooksFlags {
    /// Where Prometheus metrics are served; 0 for nowhere
    #[arg(long, default_value = ":8080")]
    pub(crate) metrics_bind_address: String,
    /// Where /healthz and /readyz are served; 0 for nowhere
    #[arg(long, default_value = ":8081")]
    pub(crate) health_probe_bind_address: String,
    /// Folder of tls.crt and tls.key
    #[arg(long, default_value = "/certs")]
    pub(crate) cert_dir: PathBuf,
    /// Port of the webhooks
    #[arg(long, default_value_t = 9443)]
    pub(crate) port: u16,
    /// Ask the API server for targets that a watch does not know
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) cache_miss_to_direct_client: bool,
    #[command(flatten)]
    pub(crate) common: CommonFlags,
}

/// Flags that all three have.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonFlags {
    /// How to reach the cluster [default: KUBECONFIG, or the service account of the pod]
    #[arg(long, value_parser = path)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// debug, info, error, panic, or a number above 0
    #[arg(long)]
    pub(crate) zap_log_level: Option<String>,
    /// json or console [default: json]
    #[arg(long)]
    pub(crate) zap_encoder: Option<String>,
    /// epoch, millis, nano, iso8601, rfc3339 or rfc3339nano
    #[arg(long, default_value = "rfc3339")]
    pub(crate) zap_time_encoding: String,
    /// Log for people: console, debug level
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) zap_devel: bool,
    /// Deprecated; a number above 0 is a log level
    #[arg(long, short, hide = true)]
    pub(crate) v: Option<i32>,
    /// Deprecated; the adapter logs in lines for people
    #[arg(long, hide = true, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = boolean, action = ArgAction::Set)]
    pub(crate) logtostderr: bool,
    #[command(flatten)]
    pub(crate) unused: Unused<Common>,
}

/// Go's words for a boolean.
fn boolean(text: &str) -> Result<bool, String> {
    keda_core::metadata::parse_bool(text).ok_or_else(|| format!("{text:?} is neither true nor false"))
}

/// A path; an empty one is that of no file and no folder.
fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "it must be a whole number, 0 or above".to_string())
}

fn number_above_zero(text: &str) -> Result<usize, String> {
    number(text).ok().filter(|number| *number > 0).ok_or_else(|| "it must be a whole number above 0".to_string())
}

fn duration_above_zero(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    if duration.is_zero() { Err("it must be longer than 0".to_string()) } else { Ok(duration) }
}

/// Go's words for versions of TLS. Nothing older than 1.2 is spoken, whatever is asked for.
fn tls_versions(text: &str) -> Result<TlsVersions, String> {
    match text {
        "" | "VersionTLS10" | "VersionTLS11" | "VersionTLS12" => Ok(TlsVersions::From12),
        "VersionTLS13" => Ok(TlsVersions::From13),
        _ => Err("it must be VersionTLS12 or VersionTLS13".to_string()),
    }
}

/// An address as Go's programs take it: a port alone is a port of all addresses, `0` or nothing switches off.
pub(crate) fn address(flag: &str, text: &str) -> anyhow::Result<Option<SocketAddr>> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| anyhow::anyhow!("--{flag}: {port:?} is no port"))?;
        return Ok(Some(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))));
    }
    let text = text.replace("localhost:", "127.0.0.1:");
    let address =
        text.parse().map_err(|_| anyhow::anyhow!("--{flag}: expected an address like :8080, found {text:?}"))?;
    Ok(Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_in_go() {
        assert_eq!(address("x", ":8080").unwrap(), Some("[::]:8080".parse().unwrap()));
        assert_eq!(address("x", "127.0.0.1:9").unwrap(), Some("127.0.0.1:9".parse().unwrap()));
        assert_eq!(address("x", "0").unwrap(), None);
        assert!(address("x", "here").is_err());
    }

    #[test]
    fn of_a_flag_given_twice_the_last_one_counts_and_lists_grow() {
        let adapter =
            AdapterFlags::parse_from(["keda-adapter", "--secure-port=6443", "--v=0", "--secure-port=7", "--v=1"]);
        assert_eq!((adapter.secure_port, adapter.common.v), (7, Some(1)));
        let operator = ["keda", "--leader-elect", "--ca-dir=/a", "--ca-dir=/b", "--leader-elect=false"];
        let operator = OperatorFlags::parse_from(operator);
        assert!(!operator.leader_elect);
        assert_eq!(operator.ca_dir, [PathBuf::from("/a"), PathBuf::from("/b")]);
        let webhooks = ["keda-admission-webhooks", "--kubeconfig=", "--cert-dir=/certs", "--cert-dir=/other"];
        assert_eq!(WebhooksFlags::parse_from(webhooks).cert_dir, PathBuf::from("/other"));
        let no_folder = OperatorFlags::parse_from(["keda", "--filepath-auth-root-path="]);
        assert_eq!(no_folder.filepath_auth_root_path, Some(PathBuf::new()));
    }

    #[test]
    fn connections_to_sources_are_checked_at_the_start() {
        for wrong in [
            "--http-max-idle-conns=-1",
            "--http-max-idle-conns-per-host=0",
            "--http-max-idle-conns-per-host=-1",
            "--http-max-idle-conns-per-host=many",
            "--http-idle-conn-timeout=0s",
            "--http-idle-conn-timeout=-1s",
            "--http-idle-conn-timeout=90",
        ] {
            let error = OperatorFlags::try_parse_from(["keda", wrong]).unwrap_err().to_string();
            assert!(error.contains(wrong.split('=').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn flags_of_the_library_behind_kedas_adapter_are_accepted() {
        let flags = [
            "--bind-address=::",
            "--tls-cipher-suites=TLS_AES_128_GCM_SHA256",
            "--tls-sni-cert-key=/a,/b",
            "--permit-port-sharing",
            "--permit-address-sharing=true",
            "--client-ca-file=",
            "--requestheader-client-ca-file=",
            "--requestheader-allowed-names=",
            "--authentication-tolerate-lookup-failure",
            "--authentication-kubeconfig=/k",
            "--audit-log-path=-",
            "--audit-log-compress",
            "--audit-log-mode=batch",
            "--audit-log-version=audit.k8s.io/v1",
            "--audit-log-batch-throttle-enable",
            "--audit-log-batch-max-wait=1s",
            "--audit-log-truncate-enabled",
            "--audit-webhook-config-file=/w",
            "--audit-webhook-initial-backoff=1s",
            "--audit-webhook-batch-throttle-qps=1.5",
            "--audit-webhook-truncate-max-event-size=5",
            "--audit-webhook-version=audit.k8s.io/v1",
            "--debug-socket-path=/s",
            "--client-burst=5",
        ];
        AdapterFlags::try_parse_from(["keda-adapter"].iter().chain(&flags)).unwrap();
        assert!(AdapterFlags::try_parse_from(["keda-adapter", "--audit-log-pathos=-"]).is_err(), "others are refused");
    }

    #[test]
    fn versions_of_tls_are_named_as_in_go() {
        let versions = |text: &str| {
            let flags = AdapterFlags::try_parse_from(["keda-adapter", &format!("--tls-min-version={text}")]);
            flags.ok().map(|flags| flags.tls_min_version.unwrap())
        };
        assert_eq!(versions("VersionTLS13"), Some(TlsVersions::From13));
        assert_eq!(["", "VersionTLS10", "VersionTLS12"].map(versions), [Some(TlsVersions::From12); 3]);
        assert_eq!(["1.3", "TLS13"].map(versions), [None; 2]);
    }

    #[test]
    fn switches_are_written_as_in_go() {
        let flags = OperatorFlags::parse_from(["keda", "--leader-elect=T", "--enable-webhook-patching=false"]);
        assert!(flags.leader_elect && !flags.enable_webhook_patching && flags.enable_apiservice_patching);
    }
}
