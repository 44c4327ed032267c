//! Flags of KEDA's programs that are taken and not obeyed, so that the same Deployments start. Where that could surprise,
//! the program says so.

use std::marker::PhantomData;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use keda_core::metadata::parse_bool;

/// A flag that is not obeyed.
#[derive(Debug)]
pub(crate) struct Flag {
    name: &'static str,
    is_switch: bool,
    /// What becomes of what it asks for. Nothing where nobody misses it: it says how log lines look, sets a limit, or is
    /// about something else that is missing and said to be.
    surprise: Option<&'static str>,
}

/// The flags of a program, or of a part of it, that are not obeyed.
pub(crate) trait Table {
    const FLAGS: &'static [Flag];
}

/// What was asked for in vain with the flags of a table.
#[derive(Debug, Clone)]
pub(crate) struct Unused<T> {
    surprises: Vec<String>,
    table: PhantomData<T>,
}

impl<T> Unused<T> {
    /// A sentence for each flag that was given, and does not do what it is for.
    pub(crate) fn surprises(&self) -> &[String] {
        &self.surprises
    }
}

impl<T: Table> Args for Unused<T> {
    fn augment_args(command: Command) -> Command {
        command.args(T::FLAGS.iter().map(Flag::argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Table> FromArgMatches for Unused<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Unused { surprises: T::FLAGS.iter().filter_map(|flag| flag.told(matches)).collect(), table: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        Self::from_arg_matches(matches).map(|new| *self = new)
    }
}

impl Flag {
    fn argument(&self) -> Arg {
        let argument = Arg::new(self.name).long(self.name).hide(true);
        match self.is_switch {
            true => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
            false => argument,
        }
    }

    fn told(&self, matches: &ArgMatches) -> Option<String> {
        let (surprise, text) = (self.surprise?, matches.get_one::<String>(self.name)?);
        let asks_for_nothing = match self.is_switch {
            true => parse_bool(text) == Some(false),
            false => text.is_empty() || text == "0",
        };
        (!asks_for_nothing).then(|| format!("--{}: {surprise}", self.name))
    }

    const fn but(mut self, surprise: &'static str) -> Self {
        self.surprise = Some(surprise);
        self
    }
}

const fn switch(name: &'static str) -> Flag {
    Flag { name, is_switch: true, surprise: None }
}

const fn value(name: &'static str) -> Flag {
    Flag { name, is_switch: false, surprise: None }
}

/// Of all three programs.
#[derive(Debug, Clone)]
pub(crate) enum Common {}

/// Of the operator.
#[derive(Debug, Clone)]
pub(crate) enum Operator {}

/// Of the metrics adapter, most of them from the API server library that KEDA's is built on.
#[derive(Debug, Clone)]
pub(crate) enum Adapter {}

const NO_PROFILES: &str = "profiles are not served";
const ONE_CLIENT: &str = "there is one client of the cluster, that of --kubeconfig";
const NO_AUDIT: &str = "requests are not audited";

impl Table for Common {
    const FLAGS: &'static [Flag] = &[
        value("profiling-bind-address").but(NO_PROFILES),
        // Requests are not limited, and answers to them are not compressed.
        value("kube-api-qps"),
        value("kube-api-burst"),
        switch("disable-compression"),
        value("zap-stacktrace-level"),
        // Those of klog.
        value("vmodule"),
        value("stderrthreshold"),
        switch("alsologtostderr"),
        value("alsologtostderrthreshold"),
        switch("legacy_stderr_threshold_behavior"),
        value("log_dir"),
        value("log_file"),
        value("log_file_max_size"),
        value("log_backtrace_at"),
        switch("add_dir_header"),
        switch("one_output"),
        switch("skip_headers"),
        switch("skip_log_headers"),
    ];
}

impl Table for Operator {
    const FLAGS: &'static [Flag] = &[
        switch("enable-opentelemetry-metrics").but("metrics are not pushed yet, only served"),
        switch("enable-high-cardinality-metrics-labels").but("not supported yet"),
    ];
}

impl Table for Adapter {
    const FLAGS: &'static [Flag] = &[
        value("msg"),
        value("tls-cipher-suites").but("ciphers cannot be chosen; only safe ones are spoken"),
        value("tls-sni-cert-key").but("there is one certificate, that of --tls-cert-file"),
        switch("disable-http2-serving").but("HTTP/2 is served"),
        value("http2-max-streams-per-connection").but("the limit stays what it is, 1000"),
        switch("permit-port-sharing").but("the port is not shared"),
        // Addresses are shared anyway.
        switch("permit-address-sharing"),
        value("authentication-kubeconfig").but(ONE_CLIENT),
        switch("authentication-tolerate-lookup-failure")
            .but("the cluster is asked until it says whom to believe, and nobody is believed before"),
        value("authorization-kubeconfig").but(ONE_CLIENT),
        value("lister-kubeconfig").but(ONE_CLIENT),
        value("discovery-interval"),
        value("client-qps"),
        value("client-burst"),
        switch("profiling").but(NO_PROFILES),
        switch("contention-profiling").but(NO_PROFILES),
        value("debug-socket-path").but(NO_PROFILES),
        switch("enable-priority-and-fairness").but("requests are answered as they come"),
        // Without one of these nothing would be audited by KEDA's adapter either, so that they alone are told of.
        value("audit-policy-file").but(NO_AUDIT),
        value("audit-log-path").but(NO_AUDIT),
        value("audit-webhook-config-file").but(NO_AUDIT),
        value("audit-log-batch-buffer-size"),
        value("audit-log-batch-max-size"),
        value("audit-log-batch-max-wait"),
        value("audit-log-batch-throttle-burst"),
        switch("audit-log-batch-throttle-enable"),
        value("audit-log-batch-throttle-qps"),
        switch("audit-log-compress"),
        value("audit-log-format"),
        value("audit-log-maxage"),
        value("audit-log-maxbackup"),
        value("audit-log-maxsize"),
        value("audit-log-mode"),
        switch("audit-log-truncate-enabled"),
        value("audit-log-truncate-max-batch-size"),
        value("audit-log-truncate-max-event-size"),
        value("audit-log-version"),
        value("audit-webhook-batch-buffer-size"),
        value("audit-webhook-batch-initial-backoff"),
        value("audit-webhook-batch-max-size"),
        value("audit-webhook-batch-max-wait"),
        value("audit-webhook-batch-throttle-burst"),
        switch("audit-webhook-batch-throttle-enable"),
        value("audit-webhook-batch-throttle-qps"),
        value("audit-webhook-initial-backoff"),
        value("audit-webhook-mode"),
        switch("audit-webhook-truncate-enabled"),
        value("audit-webhook-truncate-max-batch-size"),
        value("audit-webhook-truncate-max-event-size"),
        value("audit-webhook-version"),
    ];
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(args_override_self = true)]
    struct Both {
        #[command(flatten)]
        common: Unused<Common>,
        #[command(flatten)]
        adapter: Unused<Adapter>,
    }

    fn surprises(arguments: &[&str]) -> Vec<String> {
        let both = Both::parse_from(["keda-adapter"].iter().chain(arguments));
        [both.common.surprises(), both.adapter.surprises()].concat()
    }

    #[test]
    fn whoever_asks_in_vain_is_told() {
        let told = surprises(&["--audit-log-path=-", "--audit-log-compress", "--disable-http2-serving"]);
        assert_eq!(told, ["--disable-http2-serving: HTTP/2 is served", "--audit-log-path: requests are not audited"]);
        assert_eq!(
            surprises(&["--profiling-bind-address", ":8083"]),
            ["--profiling-bind-address: profiles are not served"]
        );
    }

    #[test]
    fn whoever_asks_for_nothing_is_not_disturbed() {
        let none = ["--profiling=false", "--audit-policy-file=", "--http2-max-streams-per-connection=0"];
        assert_eq!(surprises(&none), [""; 0]);
        let of_the_chart = ["--disable-compression=true", "--stderrthreshold=ERROR", "--kube-api-qps", "50"];
        assert_eq!(surprises(&of_the_chart), [""; 0]);
        assert_eq!(surprises(&["--profiling", "--profiling=false"]), [""; 0], "the last one counts");
    }
}
