//! `arangodb`: the number that a query gives (`scalers/arangodb.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::client::Sources;
use crate::client::authentication::Authentication;
use crate::client::http::{Answer, status_kind};
use crate::client::servers::{Server, Servers};
use crate::client::tls::TlsOptions;
use crate::format::field::field;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// The one name that this trigger's metric has.
const METRIC: &str = "arangodb";

/// How ArangoDB says that there is no such database.
const DATABASE_NOT_FOUND: u64 = 1228;

/// Scale on the number that an AQL query gives in ArangoDB.
///
/// The query must give exactly one document of the form `{"value": number}`, so end it with something like
/// `RETURN {value: …}`; more documents than one, or none, are an error. One replica is wanted per `queryValue` of that
/// number. The target leaves zero when the number is above `activationQueryValue`.
///
/// Before the query runs, the database `dbName` and the collection `collection` must exist; otherwise the reading
/// fails. The query itself may use other collections too. `queryValue` has to be given: its default of 0 is refused,
/// except under a formula (`scalingModifiers`).
///
/// Log in with `authModes: basic` and the parameters `username` and `password` of a TriggerAuthentication, or with
/// `authModes: bearer` and `bearerToken`. The other modes are accepted and have no effect. The user needs read access
/// to the database and its collections.
///
/// ```yaml
/// type: arangodb
/// metadata:
///   endpoints: http://arangodb.shop.svc:8529
///   dbName: shop
///   collection: parcels
///   query: |
///     FOR parcel IN parcels
///       FILTER parcel.state == "unlabelled"
///       COLLECT WITH COUNT INTO unlabelled
///       RETURN {value: unlabelled}
///   queryValue: "25"
///   activationQueryValue: "5"
///   authModes: basic
/// authenticationRef:
///   name: arangodb-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: arangodb-login
///     key: username
///   - parameter: password
///     name: arangodb-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct ArangoDb {
    /// Addresses of the servers as URLs, such as `http://arangodb.shop.svc:8529`, with commas and no blanks between
    /// them. The next is tried where one cannot be reached.
    #[meta(auth, trigger)]
    endpoints: Vec<String>,
    /// How to log in; only the modes `basic` and `bearer` have an effect.
    #[meta(group)]
    authentication: Authentication,
    /// The database that the query runs in.
    #[meta(trigger, auth)]
    db_name: String,
    /// A collection of the database that has to exist.
    #[meta(trigger)]
    collection: String,
    /// The query in AQL. It must give one document `{"value": number}`.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query; it must not be 0.
    #[meta(trigger, default = "0")]
    query_value: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_query_value: f64,
    /// Whether to take any certificate of an `https://` server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// Of no effect: connections are shared.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "connections are shared")]
    connection_limit: i64,
}

impl ArangoDb {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.query_value == 0.0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("no QueryValue given");
        }
    }
}

impl Trigger for ArangoDb {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC, Target::Float(self.query_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        let client = sources.http.client(&sources.tls, &tls)?;
        let servers = Servers::parse("endpoints", &self.endpoints)?;
        let patience = servers.patience(&sources.settings);
        Ok(Box::new(Database { client, servers, patience, trigger: self }))
    }
}

struct Database {
    client: Arc<Client>,
    servers: Servers,
    /// Time for a request to one server.
    patience: Duration,
    trigger: ArangoDb,
}

#[async_trait]
impl Scaler for Database {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.read().await.map_err(|error| error.within("failed to inspect arangoDB"))?;
        Ok(vec![(METRIC.to_string(), Sample::above(value, self.trigger.activation_query_value))])
    }
}

impl Database {
    async fn read(&self) -> Result<f64, SourceError> {
        let trigger = &self.trigger;
        self.check_collection().await?;
        let body = json!({"query": trigger.query, "count": true, "options": {}}).to_string();
        let answer = self.ask(Method::POST, "_api/cursor", Some(&body)).await?;
        if answer.status.as_u16() != 201 && answer.status.is_success() {
            return Err(SourceError::malformed("the answer to the query is not that of a database"));
        }
        let answer = answer.json("error executing query")?;
        if let Some(cursor) = answer.get("id").and_then(Value::as_str) {
            // The server drops it by itself some time later.
            let _ = self.ask(Method::DELETE, &format!("_api/cursor/{}", escaped(cursor)), None).await;
        }
        single_value(&answer)
    }

    async fn check_collection(&self) -> Result<(), SourceError> {
        let ArangoDb { db_name, collection, .. } = &self.trigger;
        let answer = self.ask(Method::GET, &format!("_api/collection/{}", escaped(collection)), None).await?;
        if answer.status.as_u16() != 404 {
            let answer = answer.json("error looking for the collection")?;
            let is_one = answer.get("id").is_some();
            let message = "the answer about the collection is not that of a database";
            return if is_one { Ok(()) } else { Err(SourceError::malformed(message)) };
        }
        let error: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        Err(SourceError::configuration(match error.get("errorNum").and_then(Value::as_u64) {
            Some(DATABASE_NOT_FOUND) => format!("{db_name} database not found"),
            _ => format!("{collection} collection not found in {db_name} database"),
        }))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&str>) -> Result<Answer, SourceError> {
        let path = format!("/_db/{}/{path}", escaped(&self.trigger.db_name));
        let answer = self.servers.ask(|server| self.request(server, method.clone(), &path, body)).await?;
        match status_kind(answer.status) {
            ErrorKind::Denied => {
                let message =
                    format!("the login was refused, or lacks the right to read: status {}", answer.status.as_u16());
                Err(SourceError::new(ErrorKind::Denied, message))
            }
            _ => Ok(answer),
        }
    }

    fn request(
        &self,
        server: &Server,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<RequestBuilder, SourceError> {
        let request = self.client.request(method, server.at(path)).timeout(self.patience);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let authentication = &self.trigger.authentication;
        match server.login() {
            None if authentication.has("basic") || authentication.has("bearer") => {
                authentication.with_authorization(request)
            }
            None => Ok(request),
            Some((user, password)) => Ok(request.basic_auth(user, Some(password.expose()))),
        }
    }
}

fn escaped(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}

/// The value of the one document that a query gave.
fn single_value(answer: &Value) -> Result<f64, SourceError> {
    let result = answer.get("result").and_then(Value::as_array);
    let result = result.ok_or_else(|| SourceError::malformed("the answer to the query has no result"))?;
    let ([document], Some(1)) = (result.as_slice(), answer.get("count").and_then(Value::as_u64)) else {
        return Err(SourceError::configuration("more than one values received, please check the query"));
    };
    let value = match document.is_object().then(|| field(document, "value")) {
        Some(None | Some(Value::Null)) => Some(0.0),
        Some(Some(value)) => value.as_f64(),
        None => None,
    };
    value.ok_or_else(|| {
        SourceError::configuration("query result is not in the specified format, please check the query")
    })
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (ArangoDb, Vec<String>) {
        let metadata = [("endpoints", "http://h:8529"), ("dbName", "d"), ("collection", "c"), ("query", "q")];
        let inputs = Inputs::from_metadata(metadata.into_iter().chain(more.iter().copied()));
        let (trigger, problems) = parse::<ArangoDb>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_always_the_same() {
        let (trigger, problems) = parsed(&[("queryValue", "0.5")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("arangodb", Target::Float(0.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn one_document_with_a_number_is_wanted() {
        let value = |count: u32, result: &str| {
            single_value(&serde_json::from_str(&format!(r#"{{"count":{count},"result":{result}}}"#)).unwrap())
        };
        assert_eq!(value(1, r#"[{"value":4.5}]"#), Ok(4.5));
        assert_eq!(value(1, r#"[{"Value":4.5}]"#), Ok(4.5));
        assert_eq!(value(1, "[{}]"), Ok(0.0));
        for (count, result) in [(0, "[]"), (2, r#"[{"value":1},{"value":2}]"#), (2000, r#"[{"value":1}]"#)] {
            assert!(value(count, result).unwrap_err().message.starts_with("more than one values received"));
        }
        for result in ["[4]", r#"[{"value":"4"}]"#, "[null]"] {
            assert!(value(1, result).unwrap_err().message.starts_with("query result is not in the specified format"));
        }
        assert!(single_value(&json!({"count": 1})).is_err());
    }

    #[test]
    fn a_target_and_one_way_to_log_in_are_wanted() {
        assert_eq!(parsed(&[]).1, ["no QueryValue given"]);
        let modes = [("queryValue", "1"), ("authModes", "basic,bearer")];
        assert!(parsed(&modes).1[0].contains("must contain only one of [bearer basic oauth]"));
        assert!(parsed(&[("queryValue", "1"), ("authModes", "basic")]).1[0].contains("username=<empty>"));
    }
}
