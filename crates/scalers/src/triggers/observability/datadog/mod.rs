//! `datadog`: a query of Datadog, or a metric of its Cluster Agent (`scalers/datadog.md`).

mod agent;
mod query;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;

use crate::client::Sources;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// The target of a trigger that gives none.
const NOT_GIVEN: f64 = -1.0;

/// Scale on a query of Datadog, or on a DatadogMetric that its Cluster Agent serves.
///
/// One replica is wanted per `targetValue` (also called `queryValue`) of the number; a target of -1 counts as not
/// given. `useClusterAgentProxy` says where the number comes from:
///
/// - `false`: KEDA sends `query` to Datadog. What counts is the last point with a value in the last `age` seconds; of
///   several series `queryAggregator` makes one number, without it they are an error. The target leaves zero when the
///   number is above `activationQueryValue`. Needs `apiKey` and `appKey` of a user who may query metrics.
/// - `true`: KEDA asks the Cluster Agent for the DatadogMetric `datadogMetricName` in `datadogMetricNamespace`, which
///   spares requests to Datadog. The target leaves zero when the number is above `activationTargetValue`. Needs
///   `datadogNamespace` and `datadogMetricsService`, the Cluster Agent's service for metrics, and with
///   `authMode: bearer` a `token`.
///
/// `datadogSite`, the keys, `token` and the place of the Cluster Agent are parameters of a TriggerAuthentication; in
/// the metadata they are not read. `query` must have a scope in braces, if only `{*}`. The last point is often
/// incomplete: `lastAvailablePointOffset: "1"` takes the one before. Datadog limits requests, and every reading is one;
/// a longer `pollingInterval` and `useCachedMetrics` help. A time without points is an error unless
/// `metricUnavailableValue` is given.
///
/// ```yaml
/// type: datadog
/// useCachedMetrics: true
/// metadata:
///   query: sum:shop.carts.open{env:production}.rollup(avg, 30)
///   targetValue: "40"
///   activationQueryValue: "4"
///   age: "180"
///   lastAvailablePointOffset: "1"
///   metricUnavailableValue: "0"
/// authenticationRef:
///   name: datadog-keys
/// ---
/// secretTargetRef:
///   - parameter: apiKey
///     name: datadog-keys
///     key: api-key
///   - parameter: appKey
///     name: datadog-keys
///     key: app-key
///   - parameter: datadogSite
///     name: datadog-keys
///     key: site
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Datadog {
    /// Namespace of the Cluster Agent; needed with `useClusterAgentProxy`.
    #[meta(auth, optional)]
    datadog_namespace: String,
    /// Name of the Cluster Agent's service for metrics; needed with `useClusterAgentProxy`.
    #[meta(auth, optional)]
    datadog_metrics_service: String,
    /// Port of the Cluster Agent's service for metrics.
    #[meta(auth, default = "8443")]
    datadog_metrics_service_port: i64,
    /// Whether to take any certificate of the Cluster Agent.
    #[meta(auth, default = "false")]
    unsafe_ssl: bool,
    /// How to log in to the Cluster Agent: `bearer`, which needs `token`; not at all when not given.
    #[meta(auth, optional)]
    auth_mode: String,
    /// Token of the `bearer` mode, of a service account that may read external metrics.
    #[meta(auth, optional)]
    token: Secret,
    /// Name of the DatadogMetric; needed with `useClusterAgentProxy`.
    #[meta(trigger, optional)]
    datadog_metric_name: String,
    /// Namespace of the DatadogMetric; needed with `useClusterAgentProxy`.
    #[meta(trigger, optional)]
    datadog_metric_namespace: String,
    /// Value of a DatadogMetric above which the target leaves zero; for a query there is `activationQueryValue`.
    #[meta(trigger, default = "0")]
    activation_target_value: f64,
    /// API key of Datadog; needed without `useClusterAgentProxy`.
    #[meta(auth, optional)]
    api_key: Secret,
    /// Application key of Datadog, which may query metrics; needed without `useClusterAgentProxy`.
    #[meta(auth, optional)]
    app_key: Secret,
    /// Site of Datadog that has the account, such as `datadoghq.eu` or `us5.datadoghq.com`.
    #[meta(auth, default = "datadoghq.com")]
    datadog_site: String,
    /// The query, with its scope in braces on one line, such as `sum:shop.carts.open{env:production}`; needed without
    /// `useClusterAgentProxy`.
    #[meta(trigger, optional)]
    query: String,
    /// How to make one number of the last points of several series: their average or the largest; without it several
    /// series are an error.
    #[meta(trigger, optional, one_of("average", "max"))]
    query_aggregator: String,
    /// Value of the query above which the target leaves zero; for a DatadogMetric there is `activationTargetValue`.
    #[meta(trigger, default = "0")]
    activation_query_value: f64,
    /// Length of the time window of the query, in seconds; less than 60 is seldom enough for a point.
    #[meta(trigger, default = "90")]
    age: i64,
    /// How long ago the time window ends, in seconds, where points come late.
    #[meta(trigger, default = "0")]
    time_window_offset: i64,
    /// How many points to go back from the last one that has a value, such as `1` where the last is not complete yet.
    #[meta(trigger, default = "0")]
    last_available_point_offset: i64,
    /// Whether to ask the Cluster Agent for a DatadogMetric, in place of Datadog for a query.
    #[meta(trigger, default = "false")]
    use_cluster_agent_proxy: bool,
    /// Of no effect: the metric is named after the query.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "of no effect")]
    hpa_metric_name: String,
    /// Value that is taken where Datadog has none, such as `0`; without it that is an error.
    #[meta(trigger)]
    metric_unavailable_value: Option<f64>,
    /// What one replica is expected to handle, in the unit of the number; it must be given, and -1 counts as not given.
    #[meta(names("targetValue", "queryValue"), trigger, default = "-1")]
    target_value: f64,
    /// Time limit of a request, such as `10s`; a bare number is in milliseconds. That of KEDA when not given or 0.
    #[meta(trigger, optional)]
    timeout: Duration,
    /// `average` or `global`, of no effect: `metricType` beside the metadata takes its place. Excludes that one.
    #[expect(dead_code, reason = "of no effect")]
    #[meta(trigger, optional, announce = "type is deprecated in favor of metricType, and has no effect")]
    r#type: String,
}

impl Datadog {
    fn check(&mut self, reader: &mut Reader<'_>) {
        for message in self.wrong_values(reader) {
            reader.error(message);
        }
        if reader.has_errors() {
            return;
        }
        if self.target_value == NOT_GIVEN && reader.context().as_metric_source {
            self.target_value = 0.0;
        }
        for message in self.missing() {
            reader.error(message);
        }
        if let Some(message) = wrong_type(reader) {
            reader.error_at("type", message);
        }
    }

    fn wrong_values(&self, reader: &Reader<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.age < 0 {
            wrong.push("age should not be smaller than 0 seconds".to_string());
        }
        if self.time_window_offset < 0 {
            wrong.push("timeWindowOffset should not be smaller than 0 seconds".to_string());
        }
        if self.last_available_point_offset < 0 {
            wrong.push("lastAvailablePointOffset should not be smaller than 0".to_string());
        }
        if !self.query.is_empty() && !has_scope(&self.query) {
            wrong.push("error in query: malformed Datadog query: missing query scope".to_string());
        }
        match self.auth_mode.as_str() {
            "" => {}
            "bearer" if self.token.is_empty() => wrong.push("BearerToken is required".to_string()),
            "bearer" => {}
            other => {
                let shown = reader.presentable("authMode", other);
                wrong.push(format!("err incorrect value for authMode is given: {shown}"));
            }
        }
        wrong
    }

    fn missing(&self) -> Vec<&'static str> {
        let mut wanted = if self.use_cluster_agent_proxy {
            vec![
                (self.datadog_metrics_service.is_empty(), "datadog metrics service is required"),
                (self.datadog_metric_name.is_empty(), "datadog metric name is required"),
                (self.datadog_namespace.is_empty(), "datadog namespace is required"),
                (self.datadog_metric_namespace.is_empty(), "datadog metric namespace is required"),
            ]
        } else {
            vec![
                (self.app_key.is_empty(), "missing AppKey"),
                (self.api_key.is_empty(), "missing APIKey"),
                (self.query.is_empty(), "missing Query"),
            ]
        };
        wanted.push((self.target_value == NOT_GIVEN, "no targetValue or queryValue given"));
        wanted.into_iter().filter(|(missing, _)| *missing).map(|(_, message)| message).collect()
    }

    /// The Cluster Agent's name of a metric is its address there, so it stays as it is.
    fn metric_name(&self) -> String {
        if self.use_cluster_agent_proxy {
            return format!("datadogmetric@{}:{}", self.datadog_metric_namespace, self.datadog_metric_name);
        }
        let queried = self.query.split('{').next().unwrap_or_default();
        normalize(&format!("datadog-{queried}"))
    }
}

/// Whether there are braces, the right way round and in one line.
fn has_scope(query: &str) -> bool {
    query.split('\n').any(|line| line.split_once('{').is_some_and(|(_, rest)| rest.contains('}')))
}

/// What is wrong with `type`, which counts as given even where it is empty, and which is not trimmed.
fn wrong_type(reader: &Reader<'_>) -> Option<&'static str> {
    let given = reader.inputs().metadata.get("type")?;
    if !reader.context().metric_type.is_empty() {
        return Some("only one of trigger.metadata.type or trigger.metricType should be defined");
    }
    let known = matches!(given.to_lowercase().as_str(), "average" | "global");
    (!known).then_some("type has to be global or average")
}

impl Trigger for Datadog {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.target_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let insecure = self.use_cluster_agent_proxy && self.unsafe_ssl;
        let client = sources.http.client(&sources.tls, &TlsOptions { insecure, ..TlsOptions::default() })?;
        let timeout = if self.timeout.is_zero() { sources.settings.timeout } else { self.timeout };
        Ok(Box::new(Source { client, timeout, trigger: self }))
    }
}

struct Source {
    client: Arc<Client>,
    timeout: Duration,
    trigger: Datadog,
}

#[async_trait]
impl Scaler for Source {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let Source { client, timeout, trigger } = self;
        let sample = if trigger.use_cluster_agent_proxy {
            let value = trigger.metric_of_agent(client, *timeout).await;
            let value = value.map_err(|error| error.within("error getting metric value"))?;
            Sample::above(value, trigger.activation_target_value)
        } else {
            let value = trigger.query(client, *timeout, crate::sampler::wall_clock()).await;
            let value = value.map_err(|error| error.within("error getting metrics from Datadog"))?;
            Sample::above(value, trigger.activation_query_value)
        };
        Ok(vec![(trigger.metric_name(), sample)])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const KEYS: [(&str, &str); 2] = [("apiKey", "hunter2"), ("appKey", "hunter3")];
    const AGENT: [(&str, &str); 2] = [("datadogNamespace", "dd"), ("datadogMetricsService", "agent")];
    const PROXY: [(&str, &str); 4] = [
        ("useClusterAgentProxy", "true"),
        ("datadogMetricName", "nginx-hits"),
        ("datadogMetricNamespace", "default"),
        ("targetValue", "2"),
    ];

    fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)], context: &Context) -> (Datadog, Vec<String>) {
        let inputs =
            Inputs::from_metadata(metadata.iter().copied()).with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Datadog>(&inputs, context);
        let told = problems.into_iter().filter(|problem| problem.rule.id != "deprecated-parameter");
        (trigger, told.map(|problem| problem.message).collect())
    }

    fn problems(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> Vec<String> {
        parsed(metadata, authentication, &Context::default()).1
    }

    #[test]
    fn a_query_is_named_up_to_its_scope_and_a_metric_of_the_agent_in_full() {
        let query = [("query", "sum:http.hits{svc:a}.rollup(10)"), ("queryValue", "7")];
        let (trigger, problems) = parsed(&query, &KEYS, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("datadog-sum-http-hits", Target::Float(7.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        let (trigger, problems) = parsed(&PROXY, &AGENT, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(trigger.metric_name(), "datadogmetric@default:nginx-hits");
    }

    #[test]
    fn each_mode_wants_its_own() {
        assert_eq!(problems(&[("query", "a{b}"), ("targetValue", "1")], &KEYS[..1]), ["missing AppKey"]);
        assert_eq!(problems(&[("targetValue", "1")], &KEYS), ["missing Query"]);
        assert_eq!(
            problems(&[("query", "a{b}"), ("targetValue", "-1")], &KEYS),
            ["no targetValue or queryValue given"]
        );
        assert_eq!(problems(&PROXY[..3], &AGENT), ["no targetValue or queryValue given"]);
        assert_eq!(problems(&PROXY, &AGENT[1..]), ["datadog namespace is required"]);
        let source = Context { as_metric_source: true, ..Context::default() };
        assert!(parsed(&[("query", "a{b}")], &KEYS, &source).1.is_empty());
    }

    #[test]
    fn a_query_has_a_scope_in_one_line() {
        assert!(problems(&[("query", "avg:cpu"), ("targetValue", "1")], &KEYS)[0].contains("missing query scope"));
        assert!(!has_scope("a{\n}") && !has_scope("}{") && has_scope("a\n{b}"));
    }

    #[test]
    fn the_old_type_is_one_of_two_words_and_not_beside_the_metric_type() {
        let with = |kind| [("query", "a{b}"), ("targetValue", "1"), ("type", kind)];
        assert!(problems(&with("Global"), &KEYS).is_empty());
        assert_eq!(problems(&with(" global"), &KEYS), ["type has to be global or average"]);
        let context = Context { metric_type: "Value".into(), ..Context::default() };
        assert!(parsed(&with("global"), &KEYS, &context).1[0].starts_with("only one of"));
        let wrong = problems(&PROXY, &[AGENT[0], AGENT[1], ("authMode", "hunter2")]);
        assert_eq!(wrong, ["err incorrect value for authMode is given: ***"]);
    }
}
