//! `splunk`: a field of the first row of a saved search (`scalers/splunk.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;
use serde_json::Value;

use crate::client::Sources;
use crate::client::authentication::{with_basic, with_bearer};
use crate::client::http;
use crate::client::request_uri::RequestUri;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on a field of the first row of a saved search in Splunk.
///
/// What counts is the field `valueField` of the first row that the saved search `savedSearchName` gives; a search
/// without rows, or without the field, is an error. So let the search end in a figure, as with `| stats count`. One
/// replica is wanted per `targetValue` of the number. The target leaves zero when its whole part is above
/// `activationValue`: 0.9 is not above 0. Both are whole numbers and must be given.
///
/// The search runs anew at every reading, so keep its time range short. It is looked for in the app `search` of the
/// user `username`, who must own it or be allowed to use it; its name should have letters, digits, `-` and `_` only.
///
/// `host` is the address of the management API, usually on port 8089, and not that of the web interface. Log in with a
/// TriggerAuthentication: always `username`, and either `apiToken` or `password`; both together are refused.
///
/// ```yaml
/// type: splunk
/// metadata:
///   host: https://splunk.monitoring.svc:8089
///   savedSearchName: waiting-returns
///   valueField: count
///   targetValue: "20"
///   activationValue: "2"
/// authenticationRef:
///   name: splunk-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: splunk-login
///     key: username
///   - parameter: apiToken
///     name: splunk-login
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Splunk {
    /// Token of the user for the API. Excludes `password`.
    #[meta(auth, optional)]
    api_token: Secret,
    /// Password of the user. Excludes `apiToken`.
    #[meta(auth, optional)]
    password: Secret,
    /// User to whom the saved search belongs; needed with `apiToken` too.
    #[meta(auth)]
    username: String,
    /// Address of the management API as a URL, such as `https://splunk.monitoring.svc:8089`.
    #[meta(trigger)]
    host: String,
    /// Whether to take any certificate of the server.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    /// What one replica is expected to handle, as a whole number in the unit of the field.
    #[meta(trigger)]
    target_value: i64,
    /// Whole number above which the target leaves zero; the part of the value after the point does not count.
    #[meta(trigger)]
    activation_value: i64,
    /// Name of the saved search, such as `waiting-returns`.
    #[meta(trigger)]
    saved_search_name: String,
    /// Field of the first row that holds the number, such as `count`.
    #[meta(trigger)]
    value_field: String,
}

impl Splunk {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if !self.host.is_empty() && RequestUri::parse(&self.host).is_err() {
            reader.error_at("host", "invalid value for host. Must be a valid URL such as https://localhost:8089");
        }
        if !self.api_token.is_empty() && !self.password.is_empty() {
            reader.error(
                "API token and Password were all set. If APIToken is set, username and password must not be used",
            );
        }
    }
}

impl Trigger for Splunk {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.target_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        let client = sources.http.client(&sources.tls, &tls)?;
        Ok(Box::new(Server { client, trigger: self }))
    }
}

struct Server {
    client: Arc<Client>,
    trigger: Splunk,
}

#[async_trait]
impl Scaler for Server {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let rows = self.run().await.map_err(|error| error.within("error fetching saved search data from splunk"))?;
        let value = self.trigger.value(&rows).map_err(|error| error.within("error finding metric value field"))?;
        // Only whole numbers wake the target.
        let active = value.trunc() > float(self.trigger.activation_value);
        Ok(vec![(self.trigger.metric_name(), Sample { value, active })])
    }
}

impl Server {
    /// Runs the saved search; what it gives is one JSON object after the other.
    async fn run(&self) -> Result<String, SourceError> {
        let Splunk { host, username, saved_search_name, api_token, password, .. } = &self.trigger;
        let path = ["servicesNS", username.as_str(), "search", "search", "jobs", "export"];
        let mut url = http::under(http::address(host, "host")?, "host", &path)?;
        url.set_query(Some("output_mode=json"));
        let request = self.client.post(url).form(&[("search", format!("savedsearch {saved_search_name}"))]);
        let request = if api_token.is_empty() {
            with_basic(request, username, password)?
        } else {
            with_bearer(request, ("apiToken", api_token))?
        };
        http::send(request).await?.success("splunk answered")
    }
}

impl Splunk {
    fn metric_name(&self) -> String {
        normalize(&format!("splunk-{}", self.saved_search_name))
    }

    /// The field of the first row. Rows that are shown while the search runs are not final.
    fn value(&self, rows: &str) -> Result<f64, SourceError> {
        let field = &self.value_field;
        for row in serde_json::Deserializer::from_str(rows).into_iter::<Value>() {
            let row = row.map_err(|error| SourceError::malformed(format!("the answer is not JSON: {error}")))?;
            if row.get("preview") == Some(&Value::Bool(true)) {
                continue;
            }
            let Some(value) = row.get("result").and_then(|result| result.get(field)) else {
                return Err(SourceError::malformed(format!("field: {field} not found in search results")));
            };
            let number = value.as_str().and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite());
            return number.ok_or_else(|| SourceError::malformed(format!("value: {field} is not a float value")));
        }
        Err(SourceError::malformed("the search gave no final result"))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(host: &str, authentication: &[(&str, &str)]) -> (Splunk, Vec<String>) {
        let metadata = [
            ("host", host),
            ("savedSearchName", "my/report"),
            ("valueField", "count"),
            ("targetValue", "5"),
            ("activationValue", "2"),
        ];
        let inputs = Inputs::from_metadata(metadata).with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Splunk>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    const HOST: &str = "https://localhost:8089";

    #[test]
    fn the_metric_is_named_after_the_search() {
        let (trigger, problems) = parsed(HOST, &[("username", "admin")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("splunk-my-report", Target::Integer(5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_host_is_an_address_and_a_login_one_of_two() {
        assert!(parsed("fake", &[("username", "u")]).1[0].starts_with("invalid value for host"));
        assert!(parsed(HOST, &[]).1[0].contains("missing required parameter \"username\""));
        let both = [("username", "u"), ("apiToken", "hunter2"), ("password", "hunter3")];
        assert!(parsed(HOST, &both).1[0].starts_with("API token and Password were all set"));
    }
}
