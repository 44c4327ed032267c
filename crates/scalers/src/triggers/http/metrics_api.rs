//! `metrics-api`: a number from any HTTP endpoint (`scalers/metrics-api.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::quantity::Quantity;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::Sources;
use crate::client::authentication::Authentication;
use crate::client::http;
use crate::format::dotted_path::walk;
use crate::format::gjson;
use crate::format::prometheus_text::Selector;
use crate::format::xml;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};

/// Scale on a number that an HTTP endpoint gives.
///
/// The endpoint is asked with GET at each reading and must answer with 200. The value is the number at `valueLocation`
/// of the answer; one replica is wanted per `targetValue` of it, and the target leaves zero when it is above
/// `activationTargetValue`. In JSON and YAML a text such as `"10Ki"` counts too, as a Kubernetes quantity. By `format`:
///
/// - `json`: a gjson path, such as `queues.0.length`.
/// - `yaml` and `xml`: names with dots between them, such as `stats.queue.length`; in lists of YAML also positions.
/// - `prometheus`: a selector, such as `queue_length{queue="orders"}`. The first sample with these labels is taken,
///   which must be a counter or gauge; `!=` and `=~` count as `=`.
///
/// `authModes` says how to log in, if at all: `apiKey` wants `apiKey`, `basic` wants `username` and `password`,
/// `bearer` wants `bearerToken`, and `tls` wants `cert` and `key`; `ca` counts only with `tls`. `custom` and `oauth`
/// are checked but not sent, as in KEDA, and pod identities are not used. The endpoint must be reachable for KEDA, not
/// only for the target.
///
/// ```yaml
/// type: metrics-api
/// metadata:
///   url: https://orders.shop.svc/stats
///   valueLocation: queue.length
///   targetValue: "50"
///   activationTargetValue: "5"
///   authModes: bearer
/// authenticationRef:
///   name: stats-login
/// ---
/// secretTargetRef:
///   - parameter: bearerToken
///     name: stats-login
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct MetricsApi {
    /// What one replica is expected to handle. Needed, and not 0, unless a formula in `scalingModifiers` uses the
    /// trigger.
    #[meta(trigger, optional)]
    target_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_value: f64,
    /// Address of the endpoint, such as `http://orders.shop.svc:8080/stats`.
    #[meta(trigger)]
    url: String,
    /// Format of the answer.
    #[meta(trigger, default = "json", one_of("prometheus", "json", "xml", "yaml"))]
    format: String,
    /// Where the number is: a gjson path for `json`, names with dots between them for `yaml` and `xml`, a selector for
    /// `prometheus`.
    #[meta(trigger)]
    value_location: String,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// Time limit of a request, such as `5s`; a number without a unit is in milliseconds. When not given it is that of
    /// all requests.
    #[meta(trigger, optional)]
    timeout: Duration,
    /// Whether to ask every endpoint behind the Kubernetes Service in the address, and aggregate; it cannot be used
    /// yet.
    #[meta(trigger, default = "false")]
    aggregate_from_kube_service_endpoints: bool,
    /// How to make one number of those of all endpoints, with `aggregateFromKubeServiceEndpoints`.
    #[meta(trigger, default = "average", one_of("average", "sum", "max", "min"))]
    #[expect(dead_code, reason = "checked as KEDA does; of use only where a Kubernetes Service can be asked")]
    aggregation_type: String,
    #[meta(group)]
    authentication: Authentication,
}

impl MetricsApi {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.target_value == 0.0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("no targetValue given in metadata");
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("metric-api-{}", self.value_location))
    }
}

impl Trigger for MetricsApi {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.target_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        if self.aggregate_from_kube_service_endpoints {
            let message = "aggregateFromKubeServiceEndpoints needs a Kubernetes cluster, which is not at hand here";
            return Err(SourceError::new(ErrorKind::Unsupported, message));
        }
        let mut tls = self.authentication.tls(self.unsafe_ssl);
        if !self.authentication.has("tls") {
            tls.ca = None;
        }
        let client = sources.http.client(&sources.tls, &tls)?;
        let url: Url = match self.url.parse() {
            Ok(url) => url,
            Err(error) => {
                // KEDA finds out when it asks.
                let error = SourceError::new(ErrorKind::Configuration, format!("url is not an address: {error}"));
                return Ok(Box::new(Unreadable(error)));
            }
        };
        let timeout = if self.timeout.is_zero() { sources.settings.timeout } else { self.timeout };
        Ok(Box::new(Endpoint { metric_name: self.metric_name(), client, url, timeout, options: self }))
    }
}

struct Endpoint {
    metric_name: String,
    client: Arc<Client>,
    url: Url,
    timeout: Duration,
    options: MetricsApi,
}

#[async_trait]
impl Scaler for Endpoint {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.read().await.map_err(|error| error.within("error requesting metrics endpoint"))?;
        Ok(vec![(self.metric_name.clone(), Sample::above(value, self.options.activation_target_value))])
    }
}

impl Endpoint {
    async fn read(&self) -> Result<f64, SourceError> {
        let authentication = &self.options.authentication;
        let request = self.client.get(self.url.clone()).timeout(self.timeout);
        let request = authentication.with_api_key(request, self.url.clone())?;
        let logs_in = authentication.has("basic") || authentication.has("bearer");
        let request = if logs_in { authentication.with_authorization(request)? } else { request };
        let answer = http::send(request).await?;
        if answer.status.as_u16() != 200 {
            let message = format!("{}: api returned {}", self.url.path(), answer.status.as_u16());
            return Err(SourceError::new(http::status_kind(answer.status), message));
        }
        value_at(&self.options.format, &answer.body, &self.options.value_location).map_err(SourceError::malformed)
    }
}

/// The number at `location` of a body.
fn value_at(format: &str, body: &str, location: &str) -> Result<f64, String> {
    match format {
        "json" => {
            let json: Value = serde_json::from_str(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
            number(gjson::get(&json, location).as_ref(), location)
        }
        "yaml" => {
            let yaml =
                keda_core::manifest::parse_value(body).map_err(|error| format!("the answer is not YAML: {error}"))?;
            number(Some(walk(&yaml, location)?), location)
        }
        "xml" => {
            let document = xml::document(body, "the answer").map_err(|error| error.message)?;
            let text = walk_elements(&document, location)?;
            let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| not_a_number(location, "text"))
        }
        // What is wrong with a line is told with the line, however long that is.
        "prometheus" => Selector::parse(location)?.find(body).map_err(|why| http::excerpt(&why)),
        other => Err(format!("format {other} not supported")),
    }
}

fn number(value: Option<&Value>, location: &str) -> Result<f64, String> {
    match value {
        Some(Value::Number(number)) => number.as_f64().ok_or_else(|| not_a_number(location, "Number")),
        Some(Value::String(text)) => {
            text.parse::<Quantity>().map(|quantity| quantity.to_f64()).map_err(|_| not_a_number(location, "String"))
        }
        Some(Value::Bool(_)) => Err(not_a_number(location, "a boolean")),
        Some(Value::Array(_) | Value::Object(_)) => Err(not_a_number(location, "JSON")),
        Some(Value::Null) | None => Err(not_a_number(location, "Null")),
    }
}

fn not_a_number(location: &str, found: &str) -> String {
    format!("valueLocation {location:?} must point to a numeric value or a string parseable as a Quantity, got {found}")
}

/// Follows element names with dots between them, from the root element on.
fn walk_elements(document: &roxmltree::Document<'_>, path: &str) -> Result<String, String> {
    let mut names = path.split('.').peekable();
    let mut here = document.root_element();
    if names.peek() == Some(&here.tag_name().name()) {
        names.next();
    }
    for name in names {
        here = here
            .children()
            .find(|child| child.tag_name().name() == name)
            .ok_or_else(|| format!("element '{name}' not found in path '{path}'"))?;
    }
    Ok(here.text().unwrap_or_default().to_string())
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    #[test]
    fn the_target_is_required_unless_a_formula_uses_the_trigger() {
        let inputs = Inputs::from_metadata([("url", "http://h/x"), ("valueLocation", "metric.test")]);
        let (_, problems) = parse::<MetricsApi>(&inputs, &Context::default());
        assert_eq!(problems[0].message, "no targetValue given in metadata");
        let source = Context { as_metric_source: true, ..Context::default() };
        let (api, problems) = parse::<MetricsApi>(&inputs, &source);
        assert!(problems.is_empty());
        assert_eq!(api.metric_name(), "metric-api-metric-test");
    }

    #[test]
    fn every_format_has_its_way_to_the_number() {
        let json = r#"{"components":[{"tasks":32,"str":"64","k":"1k"}],"count":2.43,"v":"NaN","b":true}"#;
        for (location, value) in [("count", 2.43), ("components.0.tasks", 32.0), ("components.0.k", 1000.0)] {
            assert_eq!(value_at("json", json, location), Ok(value));
        }
        for location in ["v", "b", "nosuch", "components"] {
            assert!(value_at("json", json, location).unwrap_err().contains("must point to a numeric value"));
        }
        assert_eq!(value_at("prometheus", "q{a=\"1\"} 0\nq{a=\"2\",b=\"x\"} 2", "q{a=\"2\"}"), Ok(2.0));
        assert_eq!(value_at("xml", "<stats><queue><n> 5 </n></queue></stats>", "queue.n"), Ok(5.0));
        assert_eq!(value_at("xml", "<stats><queue><n>5</n></queue></stats>", "stats.queue.n"), Ok(5.0));
        assert!(value_at("xml", "<stats>NaN</stats>", "stats").is_err());
        assert!(value_at("json", "<html>", "x").unwrap_err().contains("not JSON"));
        assert!(value_at("prometheus", &"<p>".repeat(1000), "q").unwrap_err().chars().count() <= 200);
    }

    #[test]
    fn yaml_paths_stop_at_the_first_scalar() {
        assert_eq!(value_at("yaml", "a:\n  b: 5\n", "a.b.c"), Ok(5.0));
        assert_eq!(value_at("yaml", "a: [{b: 1k}]", "a.0.b"), Ok(1000.0));
        assert!(value_at("yaml", "a: {b: 5}", "a").is_err());
        assert!(value_at("yaml", "- 1", "0").is_err());
    }
}
