//! `couchdb`: the number of documents that a query gives (`scalers/couchdb.md`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;
use serde_json::Value;

use crate::client::Sources;
use crate::client::http;
use crate::client::servers::{Server, join_host_port};
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on the number of documents that a Mango query finds in CouchDB.
///
/// What counts is the number of documents in the answer. One replica is wanted per `queryValue` of them, which must be
/// given and not be 0 unless a formula uses the trigger. The target leaves zero when the number is above
/// `activationQueryValue`.
///
/// CouchDB gives at most 25 documents for a query, and of `query` only `selector` and `fields` are passed on, so a
/// larger `limit` has no effect: the number never exceeds 25. Choose `queryValue` and `activationQueryValue`
/// accordingly small. Ask for few `fields`, such as `_id`, to keep answers short.
///
/// Give `host`, `port`, `username`, `password` and `dbName`, all five of them, for a server without TLS; or
/// `connectionString` as a URL with `dbName` beside it, which is the only way to use `https://`. Use the user `admin`:
/// KEDA logs in as that one, whatever `username` says. Put the password into a Secret, and name it in a
/// TriggerAuthentication.
///
/// ```yaml
/// type: couchdb
/// metadata:
///   host: couchdb.shop.svc
///   port: "5984"
///   username: admin
///   dbName: invoices
///   query: '{"selector": {"state": "draft"}, "fields": ["_id"]}'
///   queryValue: "5"
///   activationQueryValue: "1"
/// authenticationRef:
///   name: couchdb-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: couchdb-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct CouchDb {
    /// Address of the server as a URL, such as `https://couchdb.shop.svc:6984`, in place of `host` and `port`. User and
    /// password may stand in it.
    #[meta(auth, trigger, env, optional)]
    connection_string: Secret,
    /// Host of the server; needed without `connectionString`.
    #[meta(auth, trigger, optional)]
    host: String,
    /// Port of the server, such as `5984`; needed without `connectionString`.
    #[meta(auth, trigger, optional)]
    port: String,
    /// User to log in as; needed without `connectionString`.
    #[meta(auth, trigger, optional)]
    username: String,
    /// Password of the user; needed without `connectionString`.
    #[meta(auth, trigger, env, optional)]
    password: Secret,
    /// The database; without it the reading fails, even where `connectionString` is given.
    #[meta(auth, trigger, optional)]
    db_name: String,
    /// The query as JSON with `selector` and `fields`, such as `{"selector": {"state": "draft"}, "fields": ["_id"]}`;
    /// without it the reading fails. Without `fields` the answer has whole documents; other keys are left out.
    #[meta(trigger, optional)]
    query: String,
    /// Documents that one replica is expected to handle; it must not be 0, and above 25 it is never reached.
    #[meta(trigger, optional)]
    query_value: i64,
    /// Number of documents above which the target leaves zero; with 25 or more it never does.
    #[meta(trigger, default = "0")]
    activation_query_value: i64,
}

impl CouchDb {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.query_value == 0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("no queryValue given");
        }
        if reader.context().as_metric_source {
            self.query_value = 0;
        }
        if self.connection_string.is_empty()
            && let Some(missing) = self.missing()
        {
            reader.error(format!("no {missing} given"));
        }
    }

    /// The first part of the connection that is missing.
    fn missing(&self) -> Option<&'static str> {
        let parts = [
            ("host", self.host.is_empty()),
            ("port", self.port.is_empty()),
            ("username", self.username.is_empty()),
            ("password", self.password.is_empty()),
            ("dbName", self.db_name.is_empty()),
        ];
        parts.into_iter().find_map(|(name, missing)| missing.then_some(name))
    }
}

impl Trigger for CouchDb {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.query_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let server = if self.connection_string.is_empty() {
            Server::parse("host", &format!("http://{}", join_host_port(&self.host, &self.port)))?
        } else {
            Server::parse("connectionString", self.connection_string.expose())?
        };
        Ok(Box::new(Database { client, server, timeout: sources.settings.long_timeout(), trigger: self }))
    }
}

struct Database {
    client: Arc<Client>,
    server: Server,
    /// A query without an index looks at every document.
    timeout: Duration,
    trigger: CouchDb,
}

#[async_trait]
impl Scaler for Database {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let count = self.count().await.map_err(|error| error.within("failed to inspect couchdb"))?;
        let sample = Sample::above(count, float(self.trigger.activation_query_value));
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

impl Database {
    async fn count(&self) -> Result<f64, SourceError> {
        let url = self.server.at_segments(&[&self.trigger.db_name, "_find"])?;
        let request = self.client.post(url).timeout(self.timeout).json(&self.trigger.question()?);
        // A login in the connection string is what counts in KEDA too, where it is sent beside the other.
        let (user, password) = self.server.login().unwrap_or(("admin", &self.trigger.password));
        let answer = http::send(request.basic_auth(user, Some(password.expose()))).await?;
        documents(&answer.json("error executing query")?)
    }
}

impl CouchDb {
    /// KEDA's spelling: HPAs that are there have it.
    fn metric_name(&self) -> String {
        normalize(&format!("coucdb-{}", self.db_name))
    }

    /// What of the query is passed on. The server refuses `null` for what is not there.
    fn question(&self) -> Result<Value, SourceError> {
        let wrong = |why: &str| SourceError::configuration(format!("error unmarshaling query: {why}"));
        let query: Value = serde_json::from_str(&self.query).map_err(|error| wrong(&error.to_string()))?;
        let query = query.as_object().ok_or_else(|| wrong("it is not a JSON object"))?;
        let kept = ["selector", "fields"].into_iter().filter_map(|key| Some((key, query.get(key)?.clone())));
        Ok(kept.filter(|(_, value)| !value.is_null()).collect())
    }
}

/// The number of documents in an answer.
fn documents(answer: &Value) -> Result<f64, SourceError> {
    let documents = answer.get("docs").and_then(Value::as_array);
    let documents = documents.ok_or_else(|| SourceError::malformed("the answer has no list docs"))?;
    Ok(float(i64::try_from(documents.len()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)], context: &Context) -> (CouchDb, Vec<String>) {
        let (trigger, problems) = parse::<CouchDb>(&Inputs::from_metadata(metadata.iter().copied()), context);
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_databases_and_misspelt() {
        let whole = [("connectionString", "http://h"), ("dbName", "animals.x"), ("queryValue", "3")];
        let (trigger, problems) = parsed(&whole, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("coucdb-animals-x", Target::Integer(3));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn the_first_missing_part_is_told() {
        let parts = [("host", "h"), ("port", "1"), ("username", "u"), ("password", "p"), ("dbName", "d")];
        for (name, _) in parts {
            let mut rest: Vec<_> = parts.into_iter().filter(|(key, _)| *key != name).collect();
            rest.push(("queryValue", "1"));
            assert_eq!(parsed(&rest, &Context::default()).1, [format!("no {name} given")]);
        }
        let source = Context { as_metric_source: true, ..Context::default() };
        assert_eq!(parsed(&parts, &Context::default()).1, ["no queryValue given"]);
        assert!(parsed(&parts, &source).1.is_empty());
        let whole: Vec<_> = parts.into_iter().chain([("queryValue", "7")]).collect();
        assert_eq!(parsed(&whole, &source).0.query_value, 0);
    }

    #[test]
    fn a_host_may_be_an_address_of_ipv6() {
        let sources = Sources::new(crate::client::SourceSettings::default());
        for host in ["::1", "[::1]", "couchdb.shop.svc"] {
            let whole = [("host", host), ("port", "1"), ("username", "u"), ("password", "p"), ("dbName", "d")];
            let trigger = parsed(&whole, &Context { as_metric_source: true, ..Context::default() }).0;
            assert!(trigger.connect(&Context::default(), &sources).is_ok(), "{host}");
        }
    }
}
