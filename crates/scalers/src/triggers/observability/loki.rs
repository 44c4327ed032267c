//! `loki`: the value of an instant LogQL query (`scalers/loki.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::query_escape;
use keda_core::sample::{Reading, Sample, SourceError};
use reqwest::header::HeaderValue;
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::Sources;
use crate::client::authentication::Authentication;
use crate::client::http;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

const METRIC_NAME: &str = "loki";

/// The path of the query API.
const ROUTE: [&str; 4] = ["loki", "api", "v1", "query"];

/// Scale on the result of a LogQL query of Loki.
///
/// The query is an instant one that makes a number of the logs, such as with `rate` or `count_over_time`, and its
/// result must be a single element, so put `sum(…)` around it. A query that gives log lines counts as empty. One
/// replica is wanted per `threshold` of the number. The target leaves zero when the number is above
/// `activationThreshold`.
///
/// An empty result counts as 0 by default, which is also what a mistyped label gives. With `ignoreNullValues: "false"`
/// it is an error, so that `fallback` can step in.
///
/// `serverAddress` may be just the server, as the path `/loki/api/v1/query` is added where it is missing; a path before
/// it is kept. Where the server has tenants, give `tenantName`.
///
/// Log in with `authModes: basic` (`username`, `password`), `bearer` (`bearerToken`) or `custom` (`customAuthHeader`,
/// `customAuthValue`) and a TriggerAuthentication that has the parameters in brackets. The modes `tls`, `oauth` and
/// `apiKey` are accepted and have no effect, and neither has `ca`; there is no pod identity.
///
/// ```yaml
/// type: loki
/// metadata:
///   serverAddress: http://loki-gateway.monitoring.svc
///   tenantName: shop
///   query: sum(count_over_time({app="storefront"} |= "quote requested" [2m]))
///   threshold: "60"
///   activationThreshold: "5"
///   authModes: basic
/// authenticationRef:
///   name: loki-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: loki-login
///     key: username
///   - parameter: password
///     name: loki-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Loki {
    /// Address of the server as a URL, such as `http://loki-gateway.monitoring.svc`; it may have a path, to which that
    /// of the query API is added.
    #[meta(trigger)]
    server_address: String,
    /// The LogQL query, which makes a number of the logs; its result must be a single element.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query.
    #[meta(trigger)]
    threshold: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// The tenant, where the server has several; it is sent as the header `X-Scope-OrgID`.
    #[meta(trigger, optional)]
    tenant_name: String,
    /// Whether an empty result counts as 0; otherwise it is an error.
    #[meta(trigger, default = "true")]
    ignore_null_values: bool,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    #[meta(group)]
    authentication: Authentication,
}

impl Loki {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.context().as_metric_source {
            self.threshold = 0.0;
        }
    }
}

impl Trigger for Loki {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC_NAME, Target::Float(self.threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        let client = sources.http.client(&sources.tls, &tls)?;
        Ok(Box::new(Server { client, trigger: self }))
    }
}

struct Server {
    client: Arc<Client>,
    trigger: Loki,
}

#[async_trait]
impl Scaler for Server {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let mut request = self.client.get(trigger.url()?);
        if !trigger.tenant_name.is_empty() {
            let tenant = HeaderValue::from_str(&trigger.tenant_name)
                .map_err(|_| SourceError::configuration("tenantName cannot be the value of a header"))?;
            request = request.header("X-Scope-OrgID", tenant);
        }
        let request = trigger.authentication.with_authorization(request)?;
        let answer = http::send(request).await?.json("loki query api returned error")?;
        let value = trigger.value(&answer)?;
        Ok(vec![(METRIC_NAME.to_string(), Sample::above(value, trigger.activation_threshold))])
    }
}

impl Loki {
    /// The address of the query API: what is missing of its path is added to that of the server.
    fn url(&self) -> Result<Url, SourceError> {
        let mut url = http::address(&self.server_address, "serverAddress")?;
        let path = url.path().trim_end_matches('/').to_string();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let missing =
            if segments.ends_with(&ROUTE) { &[] } else { ROUTE.strip_prefix(segments.as_slice()).unwrap_or(&ROUTE) };
        let path = missing.iter().fold(path.clone(), |path, segment| format!("{path}/{segment}"));
        url.set_path(&path);
        url.set_query(Some(&format!("query={}", query_escape(&self.query))));
        Ok(url)
    }

    /// The single element of an answer.
    fn value(&self, answer: &Value) -> Result<f64, SourceError> {
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        let result = result.ok_or_else(|| SourceError::malformed("the answer of loki has no data.result"))?;
        let element = match result.as_slice() {
            [] => return self.nothing("the result is empty"),
            [element] => element,
            _ => {
                let message = format!("loki query {} returned multiple elements", self.query);
                return Err(SourceError::configuration(message));
            }
        };
        let value = match element.get("value").and_then(Value::as_array).map(Vec::as_slice) {
            None | Some([]) => return self.nothing("the value list is empty"),
            Some([_]) => {
                return Err(SourceError::malformed(format!("loki query {} didn't return enough values", self.query)));
            }
            Some([_, value, ..]) => value,
        };
        match value {
            Value::Null => self.nothing("the value is null"),
            Value::String(text) => {
                let number = text.parse::<f64>();
                let wrong = |_| SourceError::malformed(format!("error converting loki value {}", http::excerpt(text)));
                let number = number.map_err(wrong)?;
                if number.is_finite() { Ok(number) } else { self.nothing("the value is not a finite number") }
            }
            _ => Err(SourceError::malformed("failed to parse loki value as string")),
        }
    }

    /// 0, or an error, as `ignoreNullValues` says.
    fn nothing(&self, why: &str) -> Result<f64, SourceError> {
        if self.ignore_null_values {
            return Ok(0.0);
        }
        Err(SourceError::malformed(format!("loki metrics may be lost, {why}")))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)]) -> (Loki, Vec<String>) {
        let (trigger, problems) = parse::<Loki>(&Inputs::from_metadata(metadata.iter().copied()), &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    const REQUIRED: [(&str, &str); 3] =
        [("serverAddress", "http://l:3100"), ("query", "sum(rate({a=\"b\"}[1m]))"), ("threshold", "0.7")];

    #[test]
    fn the_name_is_always_the_same() {
        let (trigger, problems) = parsed(&REQUIRED);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("loki", Target::Float(0.7));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_metric_of_a_formula_needs_a_threshold_too() {
        let context = Context { as_metric_source: true, ..Context::default() };
        let (_, problems) = parse::<Loki>(&Inputs::from_metadata(REQUIRED.into_iter().take(2)), &context);
        assert!(problems[0].message.contains("missing required parameter \"threshold\""));
        let (trigger, problems) = parse::<Loki>(&Inputs::from_metadata(REQUIRED), &context);
        assert!(problems.is_empty() && trigger.threshold == 0.0);
    }

    #[test]
    fn the_path_is_completed() {
        for (path, completed) in [
            ("", "/loki/api/v1/query"),
            ("/", "/loki/api/v1/query"),
            ("/loki/api/v1/", "/loki/api/v1/query"),
            ("/loki/api/v1/query", "/loki/api/v1/query"),
            ("/logs/loki/api/v1/query/?x=1", "/logs/loki/api/v1/query"),
            ("/logs", "/logs/loki/api/v1/query"),
            ("/logs/loki", "/logs/loki/loki/api/v1/query"),
        ] {
            let server = format!("http://l:3100{path}");
            let (trigger, _) = parsed(&[("serverAddress", &server), REQUIRED[1], REQUIRED[2]]);
            assert_eq!(trigger.url().unwrap().path(), completed, "{path}");
        }
    }

    #[test]
    fn the_modes_want_their_own() {
        let with = |modes| [REQUIRED[0], REQUIRED[1], REQUIRED[2], ("authModes", modes)];
        assert!(parsed(&with("basic")).1[0].contains("username=<empty> is required"));
        assert!(parsed(&with("basic,bearer")).1[0].contains("only one of"));
    }
}
