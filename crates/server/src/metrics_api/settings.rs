//! What can be set, as plain values; the defaults are those of generic API servers.

use std::path::PathBuf;
use std::time::Duration;

/// The settings of the metrics API.
#[derive(Debug, Clone)]
pub struct MetricsApiSettings {
    /// What `/version` says.
    pub version: String,
    /// Who is believed to be whom.
    pub authentication: AuthenticationSettings,
    /// Who may do what.
    pub authorization: AuthorizationSettings,
    /// The longest a request may take.
    pub request_timeout: Duration,
}

/// How users are recognised. What no file says comes from ConfigMap `kube-system/extension-apiserver-authentication`.
#[derive(Debug, Clone)]
pub struct AuthenticationSettings {
    /// `--client-ca-file`: CAs of users' own certificates.
    pub client_ca_file: Option<PathBuf>,
    /// `--requestheader-*`: the front proxy, that is, the kube-apiserver.
    pub request_header: RequestHeaderSettings,
    /// `--authentication-skip-lookup`: never read the ConfigMap.
    pub skip_lookup: bool,
    /// `--authentication-token-webhook-cache-ttl`.
    pub token_ttl: Duration,
    /// How often files are looked at for changes.
    pub file_interval: Duration,
}

/// The front proxy as flags describe it; only with `client_ca_file` do the others count.
#[derive(Debug, Clone, Default)]
pub struct RequestHeaderSettings {
    /// `--requestheader-client-ca-file`: CAs of the proxy's certificate.
    pub client_ca_file: Option<PathBuf>,
    /// `--requestheader-allowed-names`: common names of the proxy; empty means any.
    pub allowed_names: Vec<String>,
    /// `--requestheader-username-headers`; empty means `X-Remote-User`.
    pub username_headers: Vec<String>,
    /// `--requestheader-uid-headers`.
    pub uid_headers: Vec<String>,
    /// `--requestheader-group-headers`; empty means `X-Remote-Group`.
    pub group_headers: Vec<String>,
    /// `--requestheader-extra-headers-prefix`; empty means `X-Remote-Extra-`.
    pub extra_header_prefixes: Vec<String>,
}

/// How answers of the API server about permissions are used.
#[derive(Debug, Clone)]
pub struct AuthorizationSettings {
    /// `--authorization-webhook-cache-authorized-ttl`.
    pub allowed_ttl: Duration,
    /// `--authorization-webhook-cache-unauthorized-ttl`.
    pub denied_ttl: Duration,
    /// `--authorization-always-allow-paths`: paths for everybody, known or not, but never metrics. A `*` at the
    /// end stands for anything; the `/` at the beginning may be left out.
    pub always_allow_paths: Vec<String>,
}

impl Default for MetricsApiSettings {
    fn default() -> Self {
        MetricsApiSettings {
            version: concat!("v", env!("CARGO_PKG_VERSION")).to_owned(),
            authentication: AuthenticationSettings::default(),
            authorization: AuthorizationSettings::default(),
            request_timeout: Duration::from_secs(60),
        }
    }
}

impl Default for AuthenticationSettings {
    fn default() -> Self {
        AuthenticationSettings {
            client_ca_file: None,
            request_header: RequestHeaderSettings::default(),
            skip_lookup: false,
            token_ttl: Duration::from_secs(10),
            file_interval: Duration::from_secs(5),
        }
    }
}

impl Default for AuthorizationSettings {
    fn default() -> Self {
        AuthorizationSettings {
            allowed_ttl: Duration::from_secs(10),
            denied_ttl: Duration::from_secs(10),
            always_allow_paths: ["/healthz", "/readyz", "/livez"].map(str::to_owned).to_vec(),
        }
    }
}
