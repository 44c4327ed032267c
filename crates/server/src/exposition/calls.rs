//! What others tell: gRPC calls, questions for metrics, CloudEvents, the election.

use std::sync::Arc;
use std::time::Duration;

use super::Metrics;
use super::families::GrpcFamilies;
use super::family::{Counter, Labels};

/// A gRPC call in progress.
#[derive(Debug)]
pub struct GrpcCall {
    metrics: Metrics,
    side: fn(&Metrics) -> &GrpcFamilies,
    /// Type, service and method.
    labels: Labels<3>,
}

impl GrpcCall {
    fn start(metrics: &Metrics, side: fn(&Metrics) -> &GrpcFamilies, labels: [&str; 3]) -> Self {
        let call = GrpcCall { metrics: metrics.clone(), side, labels: Arc::new(labels.map(str::to_string)) };
        call.families().started.update(&call.labels, Counter::inc);
        call
    }

    fn families(&self) -> &GrpcFamilies {
        (self.side)(&self.metrics)
    }

    /// A message arrived.
    pub fn received(&self) {
        self.families().received.update(&self.labels, Counter::inc);
    }

    /// A message was sent.
    pub fn sent(&self) {
        self.families().sent.update(&self.labels, Counter::inc);
    }

    /// The call has ended after a time, with a code such as `OK` or `Unavailable`.
    pub fn handled(self, code: &str, took: Duration) {
        let [kind, service, method] = self.labels.each_ref().map(String::as_str);
        self.families().handled.with([kind, service, method, code], Counter::inc);
        self.families().seconds.update(&self.labels, |histogram| histogram.observe(took.as_secs_f64()));
    }
}

impl Metrics {
    /// A call has arrived: its type (`unary`, `server_stream`, …), the full name of its service, its method.
    pub fn grpc_server(&self, kind: &str, service: &str, method: &str) -> GrpcCall {
        GrpcCall::start(self, |metrics| &metrics.families().server, [kind, service, method])
    }

    /// A call is made; as [`Metrics::grpc_server`].
    pub fn grpc_client(&self, kind: &str, service: &str, method: &str) -> GrpcCall {
        GrpcCall::start(self, |metrics| &metrics.families().client, [kind, service, method])
    }

    /// The metrics API served a metric that was read so long ago.
    pub fn metric_served(&self, age: Duration) {
        let group = ["external.metrics.k8s.io"];
        self.families().freshness.with(group, |histogram| histogram.observe(age.as_secs_f64()));
    }

    /// A ScaledObject was looked at; `action` is `create` or `update`.
    pub fn validated(&self, namespace: &str, action: &str) {
        self.families().validations.with([namespace, action], Counter::inc);
    }

    /// A ScaledObject or ScaledJob was refused for one of KEDA's reasons; as [`Metrics::validated`].
    pub fn refused(&self, namespace: &str, action: &str, reason: &str) {
        self.families().validation_errors.with([namespace, action, reason], Counter::inc);
    }

    /// A CloudEvent about an object in `namespace` is handed to a sink (`http`, `azureEventGridTopic`) of a source.
    pub fn cloud_event_emitted(&self, namespace: &str, source: &str, sink: &str) {
        self.families().cloud_events.with([namespace, source, sink, "emitted"], Counter::inc);
    }

    /// An attempt to send a CloudEvent failed; as [`Metrics::cloud_event_emitted`].
    pub fn cloud_event_failed(&self, namespace: &str, source: &str, sink: &str) {
        self.families().cloud_events.with([namespace, source, sink, "failed"], Counter::inc);
    }

    /// So many CloudEvents wait.
    pub fn cloud_events_queued(&self, namespace: &str, waiting: usize) {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        self.families().cloud_events_queued.with([namespace], |gauge| gauge.set(f64::from(waiting)));
    }

    /// A trigger of a ScaledJob failed, or (`count` 0) did not so far.
    pub fn job_errors(&self, namespace: &str, job: &str, count: u64) {
        self.families().job_errors.with([namespace, job], |counter| counter.inc_by(count));
    }

    /// Whether this process leads in an election.
    pub(crate) fn leads(&self, election: &str, leads: bool) {
        self.families().leader.with([election], |gauge| gauge.set(f64::from(u8::from(leads))));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Build;
    use super::*;

    #[test]
    fn a_call_is_counted_from_its_beginning_to_its_end() {
        let metrics = Metrics::new(Build::default()).unwrap();
        let call = metrics.grpc_server("unary", "api.MetricsService", "GetMetrics");
        call.received();
        call.sent();
        call.handled("OK", Duration::from_millis(20));
        let (prefix, labels) = (
            "keda_internal_metricsservice_grpc_server",
            "grpc_method=\"GetMetrics\",grpc_service=\"api.MetricsService\",grpc_type=\"unary\"",
        );
        let text = metrics.render();
        for line in [
            format!("{prefix}_started_total{{{labels}}} 1"),
            format!("{prefix}_handled_total{{grpc_code=\"OK\",{labels}}} 1"),
            format!("{prefix}_msg_received_total{{{labels}}} 1"),
            format!("{prefix}_msg_sent_total{{{labels}}} 1"),
            format!("{prefix}_handling_seconds_bucket{{{labels},le=\"0.01\"}} 0"),
            format!("{prefix}_handling_seconds_bucket{{{labels},le=\"0.1\"}} 1"),
            format!("{prefix}_handling_seconds_count{{{labels}}} 1"),
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_queue_and_the_sinks_of_cloud_events_are_told() {
        let metrics = Metrics::new(Build::default()).unwrap();
        metrics.cloud_events_queued("shop", 7);
        metrics.cloud_event_failed("shop", "events", "http");
        metrics.leads("operator.keda.sh", false);
        let text = metrics.render();
        assert!(text.contains("keda_cloudeventsource_events_queued{namespace=\"shop\"} 7\n"), "{text}");
        assert!(text.contains("eventsink=\"http\",namespace=\"shop\",state=\"failed\"} 1\n"), "{text}");
        assert!(text.contains("leader_election_master_status{name=\"operator.keda.sh\"} 0\n"), "{text}");
    }
}
