//! The flags of KEDA's programs, one table per role. Those that mean nothing here are accepted, so that the same
//! Deployments start; where leaving one out could surprise, the program says so.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

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
    #[arg(long, default_values = ["/custom/ca"])]
    pub(crate) ca_dir: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    #[command(flatten)]
    pub(crate) unused: UnusedOperatorFlags,
}

/// Flags of the operator that mean nothing here yet, or nothing at all.
#[derive(Debug, Clone, Args)]
pub(crate) struct UnusedOperatorFlags {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_opentelemetry_metrics: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_high_cardinality_metrics_labels: Option<String>,
    #[arg(long, hide = true)]
    filepath_auth_root_path: Option<String>,
    #[arg(long, hide = true)]
    http_max_idle_conns: Option<String>,
    #[arg(long, hide = true)]
    http_max_idle_conns_per_host: Option<String>,
    #[arg(long, hide = true)]
    http_idle_conn_timeout: Option<String>,
}

impl UnusedOperatorFlags {
    /// What is asked for and not done.
    pub(crate) fn surprises(&self) -> Vec<&'static str> {
        let asked = |flag: &Option<String>| flag.as_deref().is_some_and(|text| boolean(text) != Ok(false));
        let mut surprises = Vec::new();
        if asked(&self.enable_opentelemetry_metrics) {
            surprises.push("--enable-opentelemetry-metrics: metrics are not pushed yet, only served");
        }
        if asked(&self.enable_high_cardinality_metrics_labels) {
            surprises.push("--enable-high-cardinality-metrics-labels: not supported yet");
        }
        if self.filepath_auth_root_path.as_deref().is_some_and(|path| !path.is_empty()) {
            surprises.push("--filepath-auth-root-path: parameters from files are not supported yet");
        }
        surprises
    }
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
    #[arg(long)]
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Key of the metrics API
    #[arg(long)]
    pub(crate) tls_private_key_file: Option<PathBuf>,
    /// CA of clients with certificates
    #[arg(long)]
    pub(crate) client_ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    #[command(flatten)]
    pub(crate) unused: UnusedAdapterFlags,
}

/// Flags of the API server library that KEDA's adapter is built on.
#[derive(Debug, Clone, Args)]
pub(crate) struct UnusedAdapterFlags {
    #[arg(long, hide = true)]
    msg: Option<String>,
    #[arg(long, hide = true)]
    tls_cipher_suites: Option<String>,
    #[arg(long, hide = true)]
    tls_min_version: Option<String>,
    #[arg(long, hide = true)]
    tls_sni_cert_key: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_http2_serving: Option<String>,
    #[arg(long, hide = true)]
    http2_max_streams_per_connection: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    permit_port_sharing: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    permit_address_sharing: Option<String>,
    #[arg(long, hide = true)]
    requestheader_client_ca_file: Option<PathBuf>,
    #[arg(long, hide = true)]
    requestheader_allowed_names: Option<String>,
    #[arg(long, hide = true)]
    requestheader_username_headers: Option<String>,
    #[arg(long, hide = true)]
    requestheader_uid_headers: Option<String>,
    #[arg(long, hide = true)]
    requestheader_group_headers: Option<String>,
    #[arg(long, hide = true)]
    requestheader_extra_headers_prefix: Option<String>,
    #[arg(long, hide = true)]
    authentication_kubeconfig: Option<String>,
    #[arg(long, hide = true)]
    authentication_token_webhook_cache_ttl: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    authentication_skip_lookup: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    authentication_tolerate_lookup_failure: Option<String>,
    #[arg(long, hide = true)]
    authorization_kubeconfig: Option<String>,
    #[arg(long, hide = true)]
    authorization_webhook_cache_authorized_ttl: Option<String>,
    #[arg(long, hide = true)]
    authorization_webhook_cache_unauthorized_ttl: Option<String>,
    #[arg(long, hide = true)]
    authorization_always_allow_paths: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    profiling: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    contention_profiling: Option<String>,
    #[arg(long, hide = true)]
    debug_socket_path: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_priority_and_fairness: Option<String>,
    #[arg(long, hide = true)]
    audit_log_path: Option<String>,
    #[arg(long, hide = true)]
    audit_policy_file: Option<String>,
    #[arg(long, hide = true)]
    audit_log_maxage: Option<String>,
    #[arg(long, hide = true)]
    audit_log_maxbackup: Option<String>,
    #[arg(long, hide = true)]
    audit_log_maxsize: Option<String>,
    #[arg(long, hide = true)]
    audit_log_format: Option<String>,
    #[arg(long, hide = true)]
    lister_kubeconfig: Option<String>,
    #[arg(long, hide = true)]
    discovery_interval: Option<String>,
    #[arg(long, hide = true)]
    client_qps: Option<String>,
    #[arg(long, hide = true)]
    client_burst: Option<String>,
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
    #[arg(long)]
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
    #[arg(long, hide = true)]
    zap_stacktrace_level: Option<String>,
    /// There is no client-side rate limit
    #[arg(long, hide = true)]
    kube_api_qps: Option<String>,
    #[arg(long, hide = true)]
    kube_api_burst: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_compression: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) profiling_bind_address: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    logtostderr: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alsologtostderr: Option<String>,
    #[arg(long, hide = true)]
    alsologtostderrthreshold: Option<String>,
    #[arg(long, hide = true)]
    stderrthreshold: Option<String>,
    #[arg(long = "legacy_stderr_threshold_behavior", hide = true)]
    legacy_stderr_threshold_behavior: Option<String>,
    #[arg(long = "log_dir", hide = true)]
    log_dir: Option<String>,
    #[arg(long = "log_file", hide = true)]
    log_file: Option<String>,
    #[arg(long = "log_file_max_size", hide = true)]
    log_file_max_size: Option<String>,
    #[arg(long = "log_backtrace_at", hide = true)]
    log_backtrace_at: Option<String>,
    #[arg(long = "add_dir_header", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    add_dir_header: Option<String>,
    #[arg(long = "one_output", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    one_output: Option<String>,
    #[arg(long = "skip_headers", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_headers: Option<String>,
    #[arg(long = "skip_log_headers", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_log_headers: Option<String>,
    #[arg(long, hide = true)]
    vmodule: Option<String>,
}

/// Go's words for a boolean.
fn boolean(text: &str) -> Result<bool, String> {
    keda_core::metadata::parse_bool(text).ok_or_else(|| format!("{text:?} is neither true nor false"))
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
        let webhooks = ["keda-admission-webhooks", "--cert-dir=/certs", "--cert-dir=/other"];
        assert_eq!(WebhooksFlags::parse_from(webhooks).cert_dir, PathBuf::from("/other"));
    }

    #[test]
    fn switches_are_written_as_in_go() {
        let flags = OperatorFlags::parse_from(["keda", "--leader-elect=T", "--enable-webhook-patching=false"]);
        assert!(flags.leader_elect && !flags.enable_webhook_patching && flags.enable_apiservice_patching);
    }
}
