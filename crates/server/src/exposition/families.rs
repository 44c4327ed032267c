//! The one table of metric families. Names, types and labels are KEDA's (`observability.md` §1, §2); the texts are ours.
//!
//! Labels that name the object come first, so that its series go together; the output has them in alphabetical order.

use prometheus::process_collector::ProcessCollector;
use prometheus::{Histogram, Registry, Result};

use super::family::{Counter, Family, Gauge, Kind};

type Gauges<const N: usize> = Family<Gauge, N>;
type Counters<const N: usize> = Family<Counter, N>;
type Histograms<const N: usize> = Family<Histogram, N>;

/// Labels of what is known of one metric of one object.
const METRIC: [&str; 6] = ["namespace", "scaledObject", "type", "triggerIndex", "scaler", "metric"];
const CALL: [&str; 3] = ["grpc_type", "grpc_service", "grpc_method"];
const OUTCOME: [&str; 4] = ["grpc_type", "grpc_service", "grpc_method", "grpc_code"];

/// Upper bounds in seconds.
const HTTP_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const GRPC_BUCKETS: [f64; 14] = [0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0];

/// All families. One without a series is not exposed.
pub(super) struct Families {
    pub(super) build: Gauges<5>,
    pub(super) active: Gauges<6>,
    pub(super) value: Gauges<6>,
    pub(super) latency: Gauges<6>,
    pub(super) detail_errors: Counters<6>,
    pub(super) object_errors: Counters<2>,
    pub(super) job_errors: Counters<2>,
    pub(super) empty_responses: Counters<6>,
    pub(super) paused: Gauges<2>,
    pub(super) triggers: Gauges<1>,
    pub(super) resources: Gauges<2>,
    pub(super) loop_latency: Gauges<3>,
    pub(super) cloud_events: Counters<4>,
    pub(super) cloud_events_queued: Gauges<1>,
    pub(super) http_requests: Counters<6>,
    pub(super) http_seconds: Histograms<2>,
    pub(super) server: GrpcFamilies,
    pub(super) client: GrpcFamilies,
    pub(super) freshness: Histograms<1>,
    pub(super) leader: Gauges<1>,
    pub(super) api_requests: Counters<3>,
    pub(super) validations: Counters<2>,
    pub(super) validation_errors: Counters<3>,
}

/// The families of one side of gRPC.
pub(super) struct GrpcFamilies {
    pub(super) started: Counters<3>,
    pub(super) handled: Counters<4>,
    pub(super) received: Counters<3>,
    pub(super) sent: Counters<3>,
    pub(super) seconds: Histograms<3>,
}

impl Families {
    /// Registers all families, and those of the process.
    #[allow(clippy::too_many_lines)] // It is a table.
    pub(super) fn register(table: &mut Table) -> Result<Self> {
        let families = Families {
            build: table.add(
                "keda_build_info",
                "What was built from what; always 1.",
                ["version", "git_commit", "goversion", "goos", "goarch"],
            )?,
            active: table.add("keda_scaler_active", "Whether a metric is above its activation value.", METRIC)?,
            value: table.add("keda_scaler_metrics_value", "The value of a metric as the HPA is told.", METRIC)?,
            latency: table.add(
                "keda_scaler_metrics_latency_seconds",
                "Time that the last reading of a source took.",
                METRIC,
            )?,
            detail_errors: table.add(
                "keda_scaler_detail_errors_total",
                "Failed readings of a metric that nothing stood in for.",
                METRIC,
            )?,
            object_errors: table.add(
                "keda_scaled_object_errors_total",
                "Failures of the triggers of a ScaledObject.",
                ["namespace", "scaledObject"],
            )?,
            job_errors: table.add(
                "keda_scaled_job_errors_total",
                "Failures of the triggers of a ScaledJob.",
                ["namespace", "scaledJob"],
            )?,
            empty_responses: table.add(
                "keda_scaler_empty_upstream_responses_total",
                "Answers of a source without a value.",
                ["namespace", "scaledResource", "triggerName", "metricName", "resourceType", "ignoreNullValues"],
            )?,
            paused: table.add(
                "keda_scaled_object_paused",
                "Whether a ScaledObject is paused, in one direction at least.",
                ["namespace", "scaledObject"],
            )?,
            triggers: table.add("keda_trigger_registered_total", "Triggers of each type.", ["type"])?,
            resources: table.add(
                "keda_resource_registered_total",
                "Custom resources of each type in each namespace.",
                ["type", "namespace"],
            )?,
            loop_latency: table.add(
                "keda_internal_scale_loop_latency_seconds",
                "How much later than scheduled the last reading of a source began.",
                ["namespace", "resource", "type"],
            )?,
            cloud_events: table.add(
                "keda_cloudeventsource_events_emitted_total",
                "CloudEvents by what became of them.",
                ["namespace", "cloudeventsource", "eventsink", "state"],
            )?,
            cloud_events_queued: table.add(
                "keda_cloudeventsource_events_queued",
                "CloudEvents that wait to be sent.",
                ["namespace"],
            )?,
            http_requests: table.add(
                "keda_scaler_http_requests_total",
                "HTTP requests that were sent to read metrics.",
                ["namespace", "scaled_resource", "scaler", "trigger_name", "metric_name", "status_code"],
            )?,
            http_seconds: table.histogram(
                "keda_scaler_http_request_duration_seconds",
                "Time of HTTP requests that were sent to read metrics.",
                ["scaler", "status_code"],
                &HTTP_BUCKETS,
            )?,
            server: GrpcFamilies::of_server(table)?,
            client: GrpcFamilies::of_client(table)?,
            freshness: table.histogram(
                "metrics_apiserver_metric_freshness_seconds",
                "Age of the metrics that were served.",
                ["group"],
                &prometheus::exponential_buckets(1.0, 1.364, 20)?,
            )?,
            leader: table.add("leader_election_master_status", "Whether this process leads.", ["name"])?,
            api_requests: table.add(
                "rest_client_requests_total",
                "Requests to the API server of Kubernetes.",
                ["code", "method", "host"],
            )?,
            validations: table.add(
                "keda_webhook_scaled_object_validations_total",
                "ScaledObjects that were checked at admission.",
                ["namespace", "action"],
            )?,
            validation_errors: table.add(
                "keda_webhook_scaled_object_validation_errors_total",
                "ScaledObjects and ScaledJobs that were refused at admission.",
                ["namespace", "action", "reason"],
            )?,
        };
        table.registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(families)
    }
}

impl GrpcFamilies {
    fn of_server(table: &mut Table) -> Result<Self> {
        Ok(GrpcFamilies {
            started: table.add("keda_internal_metricsservice_grpc_server_started_total", "Calls begun.", CALL)?,
            handled: table.add("keda_internal_metricsservice_grpc_server_handled_total", "Calls ended.", OUTCOME)?,
            received: table.add(
                "keda_internal_metricsservice_grpc_server_msg_received_total",
                "Messages received from clients.",
                CALL,
            )?,
            sent: table.add(
                "keda_internal_metricsservice_grpc_server_msg_sent_total",
                "Messages sent to clients.",
                CALL,
            )?,
            seconds: table.histogram(
                "keda_internal_metricsservice_grpc_server_handling_seconds",
                "Time of calls until their end.",
                CALL,
                &GRPC_BUCKETS,
            )?,
        })
    }

    fn of_client(table: &mut Table) -> Result<Self> {
        Ok(GrpcFamilies {
            started: table.add("keda_internal_metricsservice_grpc_client_started_total", "Calls begun.", CALL)?,
            handled: table.add("keda_internal_metricsservice_grpc_client_handled_total", "Calls ended.", OUTCOME)?,
            received: table.add(
                "keda_internal_metricsservice_grpc_client_msg_received_total",
                "Messages received from the server.",
                CALL,
            )?,
            sent: table.add(
                "keda_internal_metricsservice_grpc_client_msg_sent_total",
                "Messages sent to the server.",
                CALL,
            )?,
            seconds: table.histogram(
                "keda_internal_metricsservice_grpc_client_handling_seconds",
                "Time of calls until their end.",
                CALL,
                &GRPC_BUCKETS,
            )?,
        })
    }
}

/// A table under construction.
#[derive(Default)]
pub(super) struct Table {
    pub(super) registry: Registry,
    /// What was added: name, type and labels.
    #[cfg(test)]
    pub(super) rows: Vec<(&'static str, prometheus::proto::MetricType, Vec<&'static str>)>,
}

impl Table {
    fn add<M: Kind, const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Result<Family<M, N>> {
        self.insert(name, help, labels, &[])
    }

    /// The buckets of a histogram do not fit another kind, so that there is no default for them.
    fn histogram<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &[f64],
    ) -> Result<Histograms<N>> {
        self.insert(name, help, labels, buckets)
    }

    fn insert<M: Kind, const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &[f64],
    ) -> Result<Family<M, N>> {
        let family = Family::new(name, help, labels, buckets)?;
        self.registry.register(Box::new(family.clone()))?;
        #[cfg(test)]
        self.rows.push((name, M::TYPE, labels.to_vec()));
        Ok(family)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::proto::MetricType;

    use super::*;

    /// Written from `observability.md`; labels in alphabetical order.
    const EXPECTED: &str = "
        gauge keda_build_info: git_commit goarch goos goversion version
        gauge keda_scaler_active: metric namespace scaledObject scaler triggerIndex type
        gauge keda_scaler_metrics_value: metric namespace scaledObject scaler triggerIndex type
        gauge keda_scaler_metrics_latency_seconds: metric namespace scaledObject scaler triggerIndex type
        counter keda_scaler_detail_errors_total: metric namespace scaledObject scaler triggerIndex type
        counter keda_scaled_object_errors_total: namespace scaledObject
        counter keda_scaled_job_errors_total: namespace scaledJob
        counter keda_scaler_empty_upstream_responses_total: ignoreNullValues metricName namespace resourceType scaledResource triggerName
        gauge keda_scaled_object_paused: namespace scaledObject
        gauge keda_trigger_registered_total: type
        gauge keda_resource_registered_total: namespace type
        gauge keda_internal_scale_loop_latency_seconds: namespace resource type
        counter keda_cloudeventsource_events_emitted_total: cloudeventsource eventsink namespace state
        gauge keda_cloudeventsource_events_queued: namespace
        counter keda_scaler_http_requests_total: metric_name namespace scaled_resource scaler status_code trigger_name
        histogram keda_scaler_http_request_duration_seconds: scaler status_code
        counter keda_internal_metricsservice_grpc_server_started_total: grpc_method grpc_service grpc_type
        counter keda_internal_metricsservice_grpc_server_handled_total: grpc_code grpc_method grpc_service grpc_type
        counter keda_internal_metricsservice_grpc_server_msg_received_total: grpc_method grpc_service grpc_type
        counter keda_internal_metricsservice_grpc_server_msg_sent_total: grpc_method grpc_service grpc_type
        histogram keda_internal_metricsservice_grpc_server_handling_seconds: grpc_method grpc_service grpc_type
        counter keda_internal_metricsservice_grpc_client_started_total: grpc_method grpc_service grpc_type
        counter keda_internal_metricsservice_grpc_client_handled_total: grpc_code grpc_method grpc_service grpc_type
        counter keda_internal_metricsservice_grpc_client_msg_received_total: grpc_method grpc_service grpc_type
        counter keda_internal_metricsservice_grpc_client_msg_sent_total: grpc_method grpc_service grpc_type
        histogram keda_internal_metricsservice_grpc_client_handling_seconds: grpc_method grpc_service grpc_type
        histogram metrics_apiserver_metric_freshness_seconds: group
        gauge leader_election_master_status: name
        counter rest_client_requests_total: code host method
        counter keda_webhook_scaled_object_validations_total: action namespace
        counter keda_webhook_scaled_object_validation_errors_total: action namespace reason
    ";

    #[test]
    fn names_types_and_labels_are_those_of_keda() {
        let mut table = Table::default();
        Families::register(&mut table).unwrap();
        let rows = table.rows.into_iter().map(|(name, kind, mut labels)| {
            labels.sort_unstable();
            let kind = match kind {
                MetricType::COUNTER => "counter",
                MetricType::GAUGE => "gauge",
                _ => "histogram",
            };
            format!("{kind} {name}: {}", labels.join(" "))
        });
        let expected: Vec<&str> = EXPECTED.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
}
