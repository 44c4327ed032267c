//! `gcp-spanner`: the number that a query gives (`scalers/gcp-spanner.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::client::gcp::{GcpOptions, GcpTokens};
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// What tokens must allow.
const SCOPE: &str = "https://www.googleapis.com/auth/spanner.data";

/// Scale on the number that a query in Spanner gives.
///
/// What counts is the first column of the first row. The replicas are that number divided by `targetValue`. The target
/// leaves zero when it is above `activationValue`.
///
/// The column must be an `INT64`; use `CAST` for anything else. No row counts as 0. The query runs at each reading, in
/// a transaction that only reads, so it should have an index that fits. `targetValue` must be above 0 even where a
/// formula (`scalingModifiers`) uses the trigger.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `gcp`, which is KEDA's own service
/// account, or the parameter `GoogleApplicationCredentials`, the key of a service account as JSON. Without one,
/// `credentialsFromEnv` names a variable of the target's container that holds such a key. The service account needs the
/// role `roles/spanner.databaseReader` on the database.
///
/// ```yaml
/// type: gcp-spanner
/// metadata:
///   projectId: ticket-shop
///   instanceId: main
///   databaseId: bookings
///   query: SELECT COUNT(*) FROM Bookings@{FORCE_INDEX=BookingsByState} WHERE State = 'NEW'
///   targetValue: "25"
///   activationValue: "5"
/// authenticationRef:
///   name: bookings-reader
/// ---
/// secretTargetRef:
///   - parameter: GoogleApplicationCredentials
///     name: bookings-reader
///     key: key.json
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Spanner {
    /// Id of the project that has the instance, such as `ticket-shop`.
    #[meta(trigger)]
    project_id: String,
    /// Id of the instance that has the database.
    #[meta(trigger)]
    instance_id: String,
    /// Id of the database.
    #[meta(trigger)]
    database_id: String,
    /// The query, in SQL: an `INT64` in the first column of its first row.
    #[meta(trigger)]
    query: String,
    /// The part of the number that one replica is expected to handle; above 0.
    #[meta(trigger, default = "5")]
    target_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_value: f64,
    #[meta(group)]
    options: GcpOptions,
}

impl Spanner {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.target_value <= 0.0 {
            let message = format!("targetValue must be greater than 0, got {}", self.target_value);
            reader.error_at("targetValue", message);
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("gcp-spanner-{}-{}-{}", self.instance_id, self.database_id, self.project_id))
    }
}

impl Trigger for Spanner {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.target_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let tokens = GcpTokens::new(self.options.login.clone(), SCOPE, sources)?;
        Ok(Box::new(Database { url: self.url()?, client, tokens, session: OnceCell::new(), trigger: self }))
    }
}

struct Database {
    url: Url,
    client: Arc<Client>,
    tokens: GcpTokens,
    /// The name of the session, which a scaler keeps; after a failure there is a new scaler.
    session: OnceCell<String>,
    trigger: Spanner,
}

#[async_trait]
impl Scaler for Database {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let session = self.session.get_or_try_init(|| self.open()).await?;
        let mut url = self.url.clone();
        url.set_path(&format!("/v1/{session}:executeSql"));
        let answer = self.post(url, &json!({ "sql": self.trigger.query })).await;
        let value =
            answer.and_then(|answer| first_column(&answer)).map_err(|error| error.within("querying Spanner"))?;
        Ok(vec![(self.trigger.metric_name(), Sample::above(float(value), self.trigger.activation_value))])
    }
}

impl Database {
    async fn open(&self) -> Result<String, SourceError> {
        let answer = self.post(self.url.clone(), &json!({})).await?;
        let name = answer.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let missing = || SourceError::malformed("Spanner gave no name for a session");
        name.map(str::to_string).ok_or_else(missing)
    }

    async fn post(&self, url: Url, body: &Value) -> Result<Value, SourceError> {
        self.tokens.send(self.client.post(url).json(body)).await?.json("Spanner")
    }
}

impl Spanner {
    /// The address of the database's sessions.
    fn url(&self) -> Result<Url, SourceError> {
        let Spanner { project_id, instance_id, database_id, .. } = self;
        let path = ["projects", project_id, "instances", instance_id, "databases", database_id, "sessions"];
        http::under(http::address("https://spanner.googleapis.com/v1", "Spanner's")?, "Spanner's", &path)
    }
}

/// The whole number in the first column of the first row; 0 where there is no row.
fn first_column(answer: &Value) -> Result<i64, SourceError> {
    let metadata = answer.get("metadata").and_then(Value::as_object);
    let metadata = metadata.ok_or_else(|| SourceError::malformed("the answer is no result"))?;
    let Some(row) = answer.pointer("/rows/0") else { return Ok(0) };
    let code = metadata.get("rowType").and_then(|row| row.pointer("/fields/0/type/code")).and_then(Value::as_str);
    let text = row.get(0).and_then(Value::as_str).filter(|_| code == Some("INT64"));
    let wrong = || SourceError::malformed("reading first column as INT64: it is of another type");
    text.and_then(|text| text.parse().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(target: &str, context: &Context) -> (Spanner, Vec<String>) {
        let metadata = [
            ("projectId", "p"),
            ("instanceId", "i"),
            ("databaseId", "d.e"),
            ("query", "SELECT 1"),
            ("targetValue", target),
        ];
        let inputs = Inputs::from_metadata(metadata).with_authentication([("GoogleApplicationCredentials", "{}")]);
        let (trigger, problems) = parse(&inputs, context);
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_project_comes_last_in_the_name() {
        let (trigger, problems) = parsed("2.5", &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("gcp-spanner-i-d-e-p", Target::Float(2.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn the_target_is_above_zero_even_in_a_formula() {
        let source = Context { as_metric_source: true, ..Context::default() };
        for context in [Context::default(), source] {
            assert_eq!(parsed("0", &context).1, ["targetValue must be greater than 0, got 0"]);
        }
    }
}
