//! `mongodb`: the number of documents that a filter takes (`scalers/mongodb.md`).

use std::net::Ipv6Addr;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::client::Sources;
use crate::client::certificates::Certificates;
use crate::client::mongodb::{MongoDb as Client, Options, filter};
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Scale on the number of documents that a filter takes in a collection of MongoDB.
///
/// What counts is the number of documents of `collection` that `query` takes. One replica is wanted per `queryValue` of
/// them. The target leaves zero when the number is above `activationQueryValue`.
///
/// `query` is a filter in canonical extended JSON: a date is `{"$date": {"$numberLong": "1735689600000"}}`, in
/// milliseconds, and not a text. It is only read when the source is asked, so mistakes show then; the empty filter `{}`
/// is refused. An index on the fields of the filter keeps the count cheap, as it runs at every reading.
///
/// Give the connection whole as `connectionString`, or in parts with `host`, `port`, `username` and `password`, all of
/// them; only with `scheme: mongodb+srv` there is no port. `dbName` is needed either way. In parts, the user must be
/// one of the database `dbName`; a user of `admin` needs a connection string with `?authSource=admin`. The user needs
/// the role `read` on the database.
///
/// TLS comes from the connection string (`tls=true`), or from `tls: enable` in the TriggerAuthentication, with `ca`, or
/// `cert` and `key`, beside it. Connection string and password belong into a Secret that a TriggerAuthentication names.
///
/// ```yaml
/// type: mongodb
/// metadata:
///   dbName: shop
///   collection: thumbnails
///   query: '{"state": "requested", "attempts": {"$lt": 3}}'
///   queryValue: "30"
///   activationQueryValue: "5"
/// authenticationRef:
///   name: mongodb-connection
/// ---
/// secretTargetRef:
///   - parameter: connectionString
///     name: mongodb-connection
///     key: uri
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct MongoDb {
    /// The whole connection, such as `mongodb://user:password@mongodb.shop.svc:27017/?authSource=admin`, in place of
    /// `host` and what belongs to it.
    #[meta(auth, trigger, env, optional)]
    connection_string: Secret,
    /// `mongodb`, or `mongodb+srv` where a DNS record of the host names the servers; of no effect with
    /// `connectionString`.
    #[meta(auth, trigger, default = "mongodb")]
    scheme: String,
    /// Host of the server, such as `mongodb.shop.svc`; needed without `connectionString`.
    #[meta(auth, trigger, optional)]
    host: String,
    /// Port of the server, such as `27017`; needed without `connectionString`, except for `mongodb+srv`.
    #[meta(auth, trigger, optional)]
    port: String,
    /// User to log in as; needed without `connectionString`.
    #[meta(auth, trigger, optional)]
    username: String,
    /// Password of the user; needed without `connectionString`.
    #[meta(auth, trigger, env, optional)]
    password: Secret,
    /// The database of the collection, whatever the connection string names.
    #[meta(auth, trigger)]
    db_name: String,
    /// The collection whose documents are counted.
    #[meta(trigger)]
    collection: String,
    /// The filter as canonical extended JSON, such as `{"state": "requested"}`; it must not be empty.
    #[meta(trigger)]
    query: String,
    /// Documents that one replica is expected to handle.
    #[meta(trigger)]
    query_value: f64,
    /// Number of documents above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_query_value: f64,
    /// Whether to use the certificates: `enable`, which needs `ca`, or `cert` and `key`, or `disable`. A connection
    /// string can ask for TLS by itself.
    #[meta(auth, default = "disable", one_of("enable", "disable"))]
    tls: String,
    #[meta(group)]
    certificates: Certificates,
}

impl MongoDb {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.connection_string.is_empty()
            && let Some(missing) = self.missing()
        {
            reader.error(format!("no {missing} given"));
        }
        if self.tls == "enable"
            && let Err(problem) = self.check_certificates()
        {
            reader.error(problem);
        }
    }

    /// The first part of the connection that is missing.
    fn missing(&self) -> Option<&'static str> {
        let parts = [
            ("host", self.host.is_empty()),
            ("port", self.port.is_empty() && self.scheme != "mongodb+srv"),
            ("username", self.username.is_empty()),
            ("password", self.password.is_empty()),
        ];
        parts.into_iter().find_map(|(name, missing)| missing.then_some(name))
    }

    fn check_certificates(&self) -> Result<(), String> {
        if self.certificates.is_half() {
            return Err("both cert and key must be provided when using client certificates".to_string());
        }
        if self.certificates.cert.is_none() && self.certificates.ca.is_none() {
            return Err("at least one of cert, key, or ca must be provided when TLS is enabled".to_string());
        }
        self.certificates.check()
    }
}

impl Trigger for MongoDb {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.query_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tls = (self.tls == "enable").then(|| self.certificates.options(false));
        let options = Options { uri: self.uri(), tls };
        Ok(Box::new(Count { client: Client::new(options, sources), trigger: self }))
    }
}

impl MongoDb {
    fn metric_name(&self) -> String {
        normalize(&format!("mongodb-{}", self.collection))
    }

    /// The connection string, made of the single parameters where it is not given.
    fn uri(&self) -> Secret {
        if !self.connection_string.is_empty() {
            return self.connection_string.clone();
        }
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (user, password) = (escaped(&self.username), escaped(self.password.expose()));
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(_) => format!("[{}]", self.host),
            Err(_) => self.host.clone(),
        };
        let port = if self.port.is_empty() { String::new() } else { format!(":{}", self.port) };
        Secret::new(format!("{}://{user}:{password}@{host}{port}/{}", self.scheme, escaped(&self.db_name)))
    }
}

struct Count {
    client: Client,
    trigger: MongoDb,
}

#[async_trait]
impl Scaler for Count {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let count = self.count().await.map_err(|error| error.within("failed to inspect mongodb"))?;
        Ok(vec![(self.trigger.metric_name(), Sample::above(count, self.trigger.activation_query_value))])
    }
}

impl Count {
    async fn count(&self) -> Result<f64, SourceError> {
        let MongoDb { db_name, collection, query, .. } = &self.trigger;
        self.client.count(db_name, collection, filter(query)?).await
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (MongoDb, Vec<String>) {
        let metadata = [("dbName", "d"), ("collection", "my.coll"), ("query", "{}"), ("queryValue", "12")];
        let inputs = Inputs::from_metadata(metadata.into_iter().chain(more.iter().copied()))
            .with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<MongoDb>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_collections() {
        let (trigger, problems) = parsed(&[("connectionString", "mongodb://h")], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("mongodb-my-coll", Target::Float(12.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn the_first_missing_part_is_told() {
        let parts = [("host", "h"), ("port", "1"), ("username", "u"), ("password", "p")];
        for (name, _) in parts {
            let rest: Vec<_> = parts.into_iter().filter(|(key, _)| *key != name).collect();
            assert_eq!(parsed(&rest, &[]).1, [format!("no {name} given")]);
        }
        let without_port = [("scheme", "mongodb+srv"), parts[0], parts[2], parts[3]];
        assert!(parsed(&without_port, &[]).1.is_empty());
    }

    #[test]
    fn a_connection_string_is_made_of_parts() {
        let uri = |host: &str, more: &[(&str, &str)]| {
            let parts = [("host", host), ("username", "u"), ("password", "sec@ure")];
            parsed(&parts.into_iter().chain(more.iter().copied()).collect::<Vec<_>>(), &[]).0.uri()
        };
        assert_eq!(uri("localhost", &[("port", "1234")]).expose(), "mongodb://u:sec%40ure@localhost:1234/d");
        assert_eq!(uri("::1", &[("port", "1234")]).expose(), "mongodb://u:sec%40ure@[::1]:1234/d");
        assert_eq!(uri("h", &[("scheme", "mongodb+srv")]).expose(), "mongodb+srv://u:sec%40ure@h/d");
    }

    #[test]
    fn tls_wants_certificates() {
        let problems = |given: &[(&str, &str)]| {
            let given: Vec<_> = [("tls", "enable")].into_iter().chain(given.iter().copied()).collect();
            parsed(&[("connectionString", "mongodb://h")], &given).1
        };
        assert_eq!(problems(&[]), ["at least one of cert, key, or ca must be provided when TLS is enabled"]);
        let half = "both cert and key must be provided when using client certificates";
        assert_eq!(problems(&[("key", "hunter2")]), [half]);
        assert!(problems(&[("ca", "hunter2")])[0].starts_with("error appending CA certs"));
    }
}
