//! The roles of KEDA's three programs, started as their images start them: by the name of the program, or by flags
//! without a command. `keda operator` is all of them in one process.

mod adapter;
mod flags;
mod logging;
mod operator;
mod unused;
mod webhooks;

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;

pub(crate) use flags::{AdapterFlags, OperatorFlags, WebhooksFlags};

use crate::settings;

/// A role and its flags.
#[derive(Debug)]
pub(crate) enum Role {
    /// All of them in one process.
    All(Box<OperatorFlags>),
    /// KEDA's `keda`, with the metrics API where a port is given.
    Operator(Box<OperatorFlags>),
    /// KEDA's `keda-adapter`.
    Adapter(Box<AdapterFlags>),
    /// KEDA's `keda-admission-webhooks`.
    Webhooks(Box<WebhooksFlags>),
}

impl Role {
    /// The role that the program's name or a missing command asks for; nothing when there is a command.
    pub(crate) fn from_arguments(arguments: &[OsString]) -> Option<Role> {
        let program = arguments.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
        match program {
            Some("keda-adapter") => Some(Role::Adapter(Box::new(AdapterFlags::parse_from(arguments)))),
            Some("keda-admission-webhooks") => Some(Role::Webhooks(Box::new(WebhooksFlags::parse_from(arguments)))),
            _ => is_operator(arguments).then(|| Role::Operator(Box::new(OperatorFlags::parse_from(arguments)))),
        }
    }

    /// Runs the role until a signal asks it to end.
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        match self {
            Role::All(flags) => operator::run(&flags, true),
            Role::Operator(flags) => operator::run(&flags, false),
            Role::Adapter(flags) => adapter::run(&flags),
            Role::Webhooks(flags) => webhooks::run(&flags),
        }
    }
}

/// Whether `keda` was started as KEDA's image starts it: with flags and no command, or in a cluster with nothing at all.
fn is_operator(arguments: &[OsString]) -> bool {
    match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some(argument) => {
            let ours = ["--help", "--version"];
            // `-v` is the one flag of KEDA's that may be written with one dash.
            (argument.starts_with("--") || argument.starts_with("-v")) && !ours.contains(&argument)
        }
        None => arguments.len() == 1 && settings::is_in_cluster(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(arguments: &[&str]) -> Option<Role> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        Role::from_arguments(&arguments)
    }

    #[test]
    fn the_programs_name_and_a_missing_command_choose_the_role() {
        assert!(matches!(role(&["/keda", "--leader-elect"]), Some(Role::Operator(_))));
        assert!(matches!(role(&["/keda", "-v=2", "--leader-elect"]), Some(Role::Operator(_))));
        assert!(matches!(role(&["/keda-adapter", "--secure-port=6443"]), Some(Role::Adapter(_))));
        assert!(matches!(role(&["/keda-admission-webhooks"]), Some(Role::Webhooks(_))));
        for command in [&["keda", "up", "-f", "x"][..], &["keda", "--help"], &["keda", "-h"], &["keda", "--version"]] {
            assert!(role(command).is_none(), "{command:?}");
        }
    }

    #[test]
    fn the_arguments_of_the_release_and_of_the_chart_are_accepted() {
        let operator = role(&[
            "/keda",
            "--leader-elect",
            "--disable-compression=true",
            "--zap-log-level=info",
            "--zap-encoder=console",
            "--zap-time-encoding=rfc3339",
            "--enable-webhook-patching=true",
            "--cert-dir=/certs",
            "--enable-cert-rotation=true",
            "--cert-secret-name=kedaorg-certs",
            "--operator-service-name=keda-operator",
            "--metrics-server-service-name=keda-operator-metrics-apiserver",
            "--webhooks-service-name=keda-admission-webhooks",
            "--k8s-cluster-name=kubernetes-default",
            "--k8s-cluster-domain=cluster.local",
            "--enable-prometheus-metrics=false",
            "--http-max-idle-conns=0",
            "--http-max-idle-conns-per-host=1000",
            "--http-idle-conn-timeout=90s",
        ]);
        let Some(Role::Operator(flags)) = operator else { panic!("{operator:?}") };
        assert!(flags.leader_elect && flags.enable_cert_rotation && !flags.enable_prometheus_metrics);
        let adapter = role(&[
            "/keda-adapter",
            "--port=8080",
            "--secure-port=6443",
            "--logtostderr=true",
            "--stderrthreshold=ERROR",
            "--disable-compression=true",
            "--metrics-service-address=keda-operator.keda.svc.cluster.local:9666",
            "--client-ca-file=/certs/ca.crt",
            "--tls-cert-file=/certs/tls.crt",
            "--tls-private-key-file=/certs/tls.key",
            "--cert-dir=/certs",
            "--v=0",
            "--zap-log-level=error",
        ]);
        assert!(matches!(adapter, Some(Role::Adapter(flags)) if flags.secure_port == 6443));
        let webhooks = role(&["/keda-admission-webhooks", "--health-probe-bind-address=:8081", "--cert-dir=/certs"]);
        assert!(matches!(webhooks, Some(Role::Webhooks(flags)) if flags.port == 9443));
    }
}
