//! `new-relic`: the first number that an NRQL query gives (`scalers/new-relic.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;
use serde_json::{Value, json};

use crate::client::Sources;
use crate::client::authentication::with_header;
use crate::client::http;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

const METRIC_NAME: &str = "new-relic";

/// The question, in GraphQL.
const QUESTION: &str = "query($accountId: Int!, $query: Nrql!) \
    { actor { account(id: $accountId) { nrql(query: $query) { results } } } }";

/// How a message begins that is no error.
const WARNING: &str = "This field is deprecated!";

/// Scale on the result of an NRQL query of New Relic.
///
/// What counts is the first number in the first row of the result, so ask for a single figure, without `FACET` and
/// `TIMESERIES`. One replica is wanted per `threshold` of it. The target leaves zero when it is above
/// `activationThreshold`.
///
/// A result without a row or without a number counts as 0 by default. With `noDataError: "true"` it is an error, so
/// that `fallback` can step in. Say how far back the query looks (`SINCE 5 minutes ago`): New Relic takes the last hour
/// otherwise. A word for `region` that does not exist counts as `US`, and the login then fails.
///
/// Log in with `queryKey`, the key of a user (not one for ingest) who may query the account, in a
/// TriggerAuthentication. `account` and `region` may stand there too, or in the metadata.
///
/// ```yaml
/// type: new-relic
/// metadata:
///   account: "1234567"
///   region: EU
///   nrql: SELECT rate(count(*), 1 minute) FROM Transaction WHERE appName = 'storefront' SINCE 3 minutes ago
///   threshold: "300"
///   activationThreshold: "10"
///   noDataError: "true"
/// authenticationRef:
///   name: new-relic-key
/// ---
/// secretTargetRef:
///   - parameter: queryKey
///     name: new-relic-key
///     key: key
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct NewRelic {
    /// Number of the account, such as `1234567`.
    #[meta(auth, trigger)]
    account: i64,
    /// Region of the account: `US`, `EU`, `JP`, `GOV` or `FedRAMP`, `Staging` or `Local`, in any case of letters; any
    /// other counts as `US`.
    #[meta(auth, trigger, default = "US")]
    region: String,
    /// Key of a user who may query the account.
    #[meta(auth, trigger)]
    query_key: Secret,
    /// Whether a result without a number is an error; otherwise it counts as 0.
    #[meta(trigger, default = "false")]
    no_data_error: bool,
    /// The query in NRQL; the first number in the first row of its result counts.
    #[meta(trigger)]
    nrql: String,
    /// What one replica is expected to handle, in the unit of the query.
    #[meta(trigger)]
    threshold: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
}

impl NewRelic {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.context().as_metric_source {
            self.threshold = 0.0;
        }
    }
}

impl Trigger for NewRelic {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC_NAME, Target::Float(self.threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Account { client, timeout: sources.settings.long_timeout(), trigger: self }))
    }
}

struct Account {
    client: Arc<Client>,
    timeout: Duration,
    trigger: NewRelic,
}

#[async_trait]
impl Scaler for Account {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let context = format!("error running NRQL {}", trigger.nrql);
        let value = match self.results().await.map_err(|error| error.within(&context))? {
            Some(row) => trigger.number(&row),
            None => trigger.nothing("query returned no results"),
        }?;
        Ok(vec![(METRIC_NAME.to_string(), Sample::above(value, trigger.activation_threshold))])
    }
}

impl Account {
    /// The first row of the result.
    async fn results(&self) -> Result<Option<Value>, SourceError> {
        let trigger = &self.trigger;
        let question = json!({
            "query": QUESTION,
            "variables": { "accountId": trigger.account, "query": trigger.nrql },
        });
        let request = self.client.post(trigger.address()).timeout(self.timeout).json(&question);
        let request = with_header(request, ("", "Api-Key"), ("queryKey", &trigger.query_key))?;
        let answer = http::send(request).await?.json("unexpected answer of New Relic")?;
        if let Some(error) = refusal(&answer, &trigger.query_key) {
            return Err(error);
        }
        let results = answer.pointer("/data/actor/account/nrql/results").and_then(Value::as_array);
        let results = results.ok_or_else(|| SourceError::malformed("there are no results in the answer"))?;
        Ok(results.first().cloned())
    }
}

impl NewRelic {
    /// Where the region's queries are answered.
    fn address(&self) -> &'static str {
        match self.region.to_lowercase().as_str() {
            "eu" => "https://api.eu.newrelic.com/graphql",
            "jp" => "https://api.jp.newrelic.com/graphql",
            "gov" | "fedramp" => "https://gov-api.newrelic.com/graphql",
            "staging" => "https://staging-api.newrelic.com/graphql",
            "local" => "http://localhost:3000/graphql",
            _ => "https://api.newrelic.com/graphql",
        }
    }

    /// The first number of a row.
    fn number(&self, row: &Value) -> Result<f64, SourceError> {
        let row = row.as_object().ok_or_else(|| SourceError::malformed("a row of the result is not an object"))?;
        match row.values().find_map(Value::as_f64) {
            Some(number) => Ok(number),
            None => self.nothing("query returned no numeric results"),
        }
    }

    /// 0, or an error, as `noDataError` says.
    fn nothing(&self, why: &str) -> Result<f64, SourceError> {
        if self.no_data_error {
            return Err(SourceError::malformed(format!("{why}: {}", self.nrql)));
        }
        Ok(0.0)
    }
}

/// What the answer says of a failure. Such answers have the status 200.
fn refusal(answer: &Value, key: &Secret) -> Option<SourceError> {
    let message = |error: &Value| error.get("message").and_then(Value::as_str).unwrap_or_default().to_string();
    let errors: Vec<&Value> = answer.get("errors")?.as_array()?.iter().collect();
    let errors: Vec<&Value> = errors.into_iter().filter(|error| !message(error).starts_with(WARNING)).collect();
    let class = |name: &str| {
        errors.iter().find_map(|error| error.pointer(&format!("/extensions/{name}")).and_then(Value::as_str))
    };
    let kind = match (class("errorClass"), class("error_code")) {
        (_, Some("BAD_API_KEY")) | (Some("ACCESS_DENIED" | "BAD_API_KEY"), _) => ErrorKind::Denied,
        (Some("TIMEOUT" | "INTERNAL_SERVER_ERROR" | "SERVER_ERROR"), _) => ErrorKind::Unreachable,
        (Some("TOO_MANY_REQUESTS"), _) => ErrorKind::Throttled,
        _ => ErrorKind::Configuration,
    };
    let messages: Vec<String> = errors.iter().map(|error| http::told(&message(error), &[key])).collect();
    (!errors.is_empty()).then(|| SourceError::new(kind, messages.join(", ")))
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const METADATA: [(&str, &str); 2] = [("nrql", "SELECT count(*) FROM X"), ("threshold", "0.5")];

    fn parsed(more: &[(&str, &str)]) -> (NewRelic, Vec<String>) {
        let inputs =
            Inputs::from_metadata(METADATA.iter().chain(more).copied()).with_authentication([("queryKey", "hunter2")]);
        let (trigger, problems) = parse::<NewRelic>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn any_region_will_do() {
        let (trigger, problems) = parsed(&[("account", "0"), ("region", "Atlantis")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("new-relic", Target::Float(0.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn an_account_is_a_number() {
        assert!(parsed(&[("account", "abc")]).1[0].contains("unable to set param \"account\""));
        assert!(parsed(&[]).1[0].contains("missing required parameter \"account\" in [authParams triggerMetadata]"));
    }
}
