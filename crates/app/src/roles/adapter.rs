//! The metrics adapter's role: KEDA's second program, which asks the operator over gRPC.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, bail};
use keda_server::adapter::AdapterSettings;
use keda_server::certificates::CertificateFiles;
use keda_server::exposition::Metrics;
use keda_server::grpc::GrpcClientSettings;
use keda_server::metrics_api::{
    AuthenticationSettings, AuthorizationSettings, MetricsApiSettings, RequestHeaderSettings,
};

use super::flags::{AccessFlags, AdapterFlags, CommonFlags};
use super::{logging, operator};
use crate::FINE;
use crate::settings::ClusterEnvironment;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(flags: &AdapterFlags) -> anyhow::Result<u8> {
    logging::start(&logs(&flags.common));
    operator::warn(&flags.common, flags.unused.surprises());
    let environment = ClusterEnvironment::read()?;
    environment.watch_namespaces.as_ref().context("WATCH_NAMESPACE is not set")?;
    let metrics = operator::metrics()?;
    let settings = settings(flags, &environment, &metrics)?;
    operator::runtime()?.block_on(async {
        let client = operator::client(&flags.common, &metrics).await?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), operator = %settings.operator.address, "starting the adapter");
        keda_server::adapter::run(settings, client, operator::until_signal()?).await?;
        Ok(FINE)
    })
}

/// The flags about logs, with what this program alone makes of deprecated ones: they come first.
fn logs(flags: &CommonFlags) -> CommonFlags {
    let mut flags = flags.clone();
    if flags.v.is_some_and(|number| number > 0) {
        flags.zap_log_level = Some("debug".to_string());
    }
    if flags.logtostderr {
        flags.zap_encoder = Some("console".to_string());
    }
    flags
}

fn settings(
    flags: &AdapterFlags,
    environment: &ClusterEnvironment,
    metrics: &Metrics,
) -> anyhow::Result<AdapterSettings> {
    let default_address = || format!("keda-operator.{}.svc.cluster.local:9666", environment.pod_namespace);
    Ok(AdapterSettings {
        secure_address: SocketAddr::new(flags.bind_address, flags.secure_port),
        serving_files: serving_files(flags)?,
        client_files: CertificateFiles::in_directory(&flags.cert_dir),
        serving_versions: flags.tls_min_version.unwrap_or_default(),
        operator: GrpcClientSettings {
            address: flags.metrics_service_address.clone().unwrap_or_else(default_address),
            authority: Some(flags.metrics_service_grpc_authority.clone()).filter(|authority| !authority.is_empty()),
            versions: environment.service_tls_versions,
        },
        metrics_address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, flags.port)),
        api: access(&flags.access)?,
        metrics: metrics.clone(),
    })
}

fn serving_files(flags: &AdapterFlags) -> anyhow::Result<CertificateFiles> {
    let mut files = CertificateFiles::in_directory(&flags.cert_dir);
    match (file(flags.tls_cert_file.as_ref()), file(flags.tls_private_key_file.as_ref())) {
        (Some(certificate), Some(key)) => (files.certificate, files.key) = (certificate, key),
        (None, None) => {}
        _ => bail!("--tls-cert-file and --tls-private-key-file belong together: give both, or none for --cert-dir"),
    }
    Ok(files)
}

fn access(flags: &AccessFlags) -> anyhow::Result<MetricsApiSettings> {
    let request_header = RequestHeaderSettings {
        client_ca_file: file(flags.requestheader_client_ca_file.as_ref()),
        allowed_names: list("requestheader-allowed-names", &flags.requestheader_allowed_names)?,
        username_headers: list("requestheader-username-headers", &flags.requestheader_username_headers)?,
        uid_headers: list("requestheader-uid-headers", &flags.requestheader_uid_headers)?,
        group_headers: list("requestheader-group-headers", &flags.requestheader_group_headers)?,
        extra_header_prefixes: list("requestheader-extra-headers-prefix", &flags.requestheader_extra_headers_prefix)?,
    };
    if request_header.client_ca_file.is_none() && !request_header.allowed_names.is_empty() {
        tracing::warn!("--requestheader-allowed-names: it counts only with --requestheader-client-ca-file");
    }
    Ok(MetricsApiSettings {
        authentication: AuthenticationSettings {
            client_ca_file: file(flags.client_ca_file.as_ref()),
            request_header,
            skip_lookup: flags.authentication_skip_lookup,
            token_ttl: flags.authentication_token_webhook_cache_ttl,
            ..AuthenticationSettings::default()
        },
        authorization: AuthorizationSettings {
            allowed_ttl: flags.authorization_webhook_cache_authorized_ttl,
            denied_ttl: flags.authorization_webhook_cache_unauthorized_ttl,
            always_allow_paths: list("authorization-always-allow-paths", &flags.authorization_always_allow_paths)?,
        },
        ..MetricsApiSettings::default()
    })
}

/// A file that a flag names; the empty name is none.
fn file(path: Option<&PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty()).cloned()
}

/// The words of a list. A flag that is set to nothing has none; an empty word among others is a mistake, and must not become
/// a list that lets everybody in.
fn list(flag: &str, words: &[String]) -> anyhow::Result<Vec<String>> {
    match words {
        [word] if word.is_empty() => Ok(Vec::new()),
        words if words.iter().any(|word| word.trim().is_empty()) => {
            bail!("--{flag}: there is an empty word in the list; leave out the comma beside it")
        }
        words => Ok(words.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use keda_server::tls::TlsVersions;

    use super::*;

    fn flags(flags: &[&str]) -> AdapterFlags {
        AdapterFlags::parse_from(["keda-adapter"].iter().chain(flags))
    }

    fn api(arguments: &[&str]) -> anyhow::Result<MetricsApiSettings> {
        access(&flags(arguments).access)
    }

    #[test]
    fn flags_say_who_is_believed() {
        let api = api(&[
            "--client-ca-file=/clients.crt",
            "--requestheader-client-ca-file=/proxy.crt",
            "--requestheader-allowed-names=front-proxy-client,other",
            "--requestheader-allowed-names=third",
            "--requestheader-username-headers=X-User",
            "--requestheader-uid-headers=X-Remote-Uid",
            "--requestheader-group-headers=X-Group,X-Groups",
            "--requestheader-extra-headers-prefix=X-Extra-",
            "--authentication-skip-lookup",
            "--authentication-token-webhook-cache-ttl=1m",
        ]);
        let AuthenticationSettings { client_ca_file, request_header, skip_lookup, token_ttl, .. } =
            api.unwrap().authentication;
        assert_eq!(client_ca_file, Some("/clients.crt".into()));
        assert_eq!(request_header.client_ca_file, Some("/proxy.crt".into()));
        assert_eq!(request_header.allowed_names, ["front-proxy-client", "other", "third"]);
        assert_eq!(request_header.username_headers, ["X-User"]);
        assert_eq!(request_header.uid_headers, ["X-Remote-Uid"]);
        assert_eq!(request_header.group_headers, ["X-Group", "X-Groups"]);
        assert_eq!(request_header.extra_header_prefixes, ["X-Extra-"]);
        assert!(skip_lookup);
        assert_eq!(token_ttl, Duration::from_mins(1));
    }

    #[test]
    fn flags_say_what_is_allowed() {
        let set = api(&[
            "--authorization-webhook-cache-authorized-ttl=5m",
            "--authorization-webhook-cache-unauthorized-ttl=0s",
            "--authorization-always-allow-paths=/metrics,/health*",
        ]);
        let set = set.unwrap().authorization;
        assert_eq!((set.allowed_ttl, set.denied_ttl), (Duration::from_mins(5), Duration::ZERO));
        assert_eq!(set.always_allow_paths, ["/metrics", "/health*"]);
        let nothing = api(&["--authorization-always-allow-paths="]).unwrap().authorization;
        assert_eq!(nothing.always_allow_paths, [""; 0]);
    }

    #[test]
    fn without_flags_it_is_as_the_library_has_it() {
        let (ours, usual) = (api(&[]).unwrap(), MetricsApiSettings::default());
        assert_eq!(format!("{:?}", ours.authorization), format!("{:?}", usual.authorization));
        let AuthenticationSettings { client_ca_file, request_header, skip_lookup, token_ttl, .. } = ours.authentication;
        assert_eq!((client_ca_file, request_header.client_ca_file), (None, None));
        assert_eq!((skip_lookup, token_ttl), (false, Duration::from_secs(10)));
        assert_eq!((request_header.allowed_names, request_header.uid_headers), (vec![], vec![]));
        assert_eq!(request_header.username_headers, ["x-remote-user"]);
    }

    #[test]
    fn a_comma_too_many_lets_nobody_in() {
        for wrong in ["--requestheader-allowed-names=,", "--requestheader-group-headers=x-remote-group, "] {
            let error = api(&[wrong]).unwrap_err().to_string();
            assert!(error.starts_with(wrong.split('=').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn flags_say_what_is_served() {
        let environment = ClusterEnvironment::of(&|_| None).unwrap();
        let settings = |arguments: &[&str]| settings(&flags(arguments), &environment, &operator::metrics().unwrap());
        let usual = settings(&["--cert-dir=/certs", "--tls-cert-file="]).unwrap();
        assert_eq!((usual.serving_versions, usual.serving_files.key), (TlsVersions::From12, "/certs/tls.key".into()));
        let both = ["--tls-cert-file=/a", "--tls-private-key-file=/b", "--tls-min-version=VersionTLS13"];
        let set = settings(&both).unwrap();
        assert_eq!((set.serving_versions, set.serving_files.key), (TlsVersions::From13, "/b".into()));
        assert!(settings(&both[..1]).unwrap_err().to_string().contains("--tls-private-key-file"));
    }

    #[test]
    fn deprecated_flags_about_logs_come_first() {
        let encoder = |arguments: &[&str]| logs(&flags(arguments).common).zap_encoder;
        assert_eq!(encoder(&["--logtostderr=true", "--zap-encoder=json"]).as_deref(), Some("console"));
        assert_eq!(encoder(&["--logtostderr=false"]), None);
        let level = |arguments: &[&str]| logs(&flags(arguments).common).zap_log_level;
        assert_eq!(level(&["--v=4", "--zap-log-level=info"]).as_deref(), Some("debug"));
        assert_eq!(level(&["--v=0", "--zap-log-level=error"]).as_deref(), Some("error"));
    }
}
