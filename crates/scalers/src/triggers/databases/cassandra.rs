//! `cassandra`: the whole number that a query gives (`scalers/cassandra.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::cassandra::{Cassandra as Client, Consistency, Options};
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable, float};

/// Scale on the whole number that a CQL query gives in Cassandra.
///
/// What counts is the one column of the first row, such as that of `SELECT COUNT(*)`; no row and null count as 0. Only
/// whole numbers can be read: text, float and decimal columns are an error, and so is a second column. One replica is
/// wanted per `targetQueryValue` of the number. The target leaves zero when the number is above
/// `activationTargetQueryValue`.
///
/// The connection has no keyspace of its own, so the query must name it: `SELECT … FROM shop.orders`. `keyspace` only
/// names the metric. Counting a large table is slow in Cassandra; count within one partition, or keep a counter.
///
/// `username` stands in the metadata, `password` is read from a TriggerAuthentication only; both must be given even
/// where the cluster lets everybody in. For TLS give `tls: enable` with `cert` and `key` there as well; the server's
/// certificate is not checked, and `tls` in the metadata is not read. The user needs the right `SELECT` on the table.
///
/// ```yaml
/// type: cassandra
/// metadata:
///   clusterIPAddress: cassandra.shop.svc:9042
///   consistency: local_quorum
///   keyspace: shop
///   query: SELECT COUNT(*) FROM shop.pending_refunds WHERE warehouse = 'north'
///   targetQueryValue: "50"
///   activationTargetQueryValue: "10"
///   username: autoscaler
/// authenticationRef:
///   name: cassandra-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: cassandra-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Cassandra {
    /// User to log in as.
    #[meta(trigger)]
    username: String,
    /// Password of the user.
    #[meta(auth)]
    password: Secret,
    /// Whether to use TLS: `enable`, which needs `cert` and `key`, or `disable`.
    #[meta(auth, default = "disable", one_of("enable", "disable"))]
    tls: String,
    /// PEM of the client's certificate, for TLS; needs `key`.
    #[meta(auth)]
    cert: Option<Secret>,
    /// PEM of the client's key, for TLS; needs `cert`.
    #[meta(auth)]
    key: Option<Secret>,
    /// Of no effect: the server's certificate is not checked.
    #[meta(auth)]
    ca: Option<Secret>,
    /// Address of one server of the cluster, as `host:port`, or as `host` with `port` beside it. It asks the others
    /// that have the data; a list is not taken.
    #[meta(name = "clusterIPAddress", trigger)]
    cluster_address: String,
    /// Port of the server, such as `9042`; needed where `clusterIPAddress` has none.
    #[meta(trigger, optional)]
    port: i64,
    /// How many copies have to answer: `any`, `one`, `two`, `three`, `quorum`, `all`, `local_quorum`, `each_quorum` or
    /// `local_one`, in any case of letters.
    #[meta(trigger, default = "one")]
    consistency: String,
    /// Version of the native protocol that the servers speak.
    #[meta(trigger, default = "4")]
    protocol_version: i64,
    /// Keyspace that the metric is named after; the query has to name it too.
    #[meta(trigger)]
    keyspace: String,
    /// The query in CQL: one whole number in the one column of its first row. No row counts as 0.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, as a whole number in the unit of the query.
    #[meta(trigger)]
    target_query_value: i64,
    /// Whole number above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_query_value: i64,
}

impl Cassandra {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.port_in_address().is_none() && self.port == 0 && !reader.has_errors() {
            reader.error("no port given");
        }
        if self.tls == "enable" && (self.cert.is_none() || self.key.is_none()) {
            reader.error("both cert and key are required when TLS is enabled");
        }
        if Consistency::parse(&self.consistency).is_none() {
            reader.error_at("consistency", format!("invalid consistency {:?}", self.consistency));
        }
    }

    /// The port that goes before `port`. An IPv6 address has none, as its colons are not told apart.
    fn port_in_address(&self) -> Option<i64> {
        let (_, port) = self.cluster_address.split_once(':')?;
        port.parse().ok()
    }
}

impl Trigger for Cassandra {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.target_query_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        match self.options() {
            Ok((options, consistency)) => {
                Ok(Box::new(Query { client: Client::new(options, consistency, sources), trigger: self }))
            }
            Err(what) => {
                let message = format!("error establishing cassandra session: {what}");
                Ok(Box::new(Unreadable(SourceError::configuration(message))))
            }
        }
    }
}

impl Cassandra {
    fn metric_name(&self) -> String {
        normalize(&format!("cassandra-{}", self.keyspace))
    }

    fn options(&self) -> Result<(Options, Consistency), String> {
        let (host, port) = match self.port_in_address() {
            Some(port) => (self.cluster_address.split(':').next().unwrap_or_default(), port),
            None => (self.cluster_address.as_str(), self.port),
        };
        // As in KEDA, the certificate is not compared with the name of the server, nor its root looked for.
        let tls = (self.tls == "enable").then(|| TlsOptions {
            insecure: true,
            ca: self.ca.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
            key_password: None,
        });
        let options = Options {
            host: host.trim_matches(['[', ']']).to_string(),
            port: u16::try_from(port).map_err(|_| "the port is not a number from 1 to 65535".to_string())?,
            user: self.username.clone(),
            password: self.password.clone(),
            tls,
            version: match self.protocol_version {
                3 => 3,
                4.. => 4,
                _ => return Err("protocolVersion must be 3 or more".to_string()),
            },
        };
        let consistency = Consistency::parse(&self.consistency).ok_or("invalid consistency".to_string())?;
        Ok((options, consistency))
    }
}

struct Query {
    client: Client,
    trigger: Cassandra,
}

#[async_trait]
impl Scaler for Query {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.client.number(&self.trigger.query).await;
        let value = value.map_err(|error| error.within("error inspecting cassandra"))?;
        let sample = Sample::above(float(value), float(self.trigger.activation_target_query_value));
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(address: &str, more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (Cassandra, Vec<String>) {
        let metadata = [
            ("username", "u"),
            ("clusterIPAddress", address),
            ("keyspace", "ks.x"),
            ("query", "SELECT COUNT(*) FROM ks.t;"),
            ("targetQueryValue", "1"),
        ];
        let inputs = Inputs::from_metadata(metadata.into_iter().chain(more.iter().copied()))
            .with_authentication([("password", "p")].into_iter().chain(authentication.iter().copied()));
        let (trigger, problems) = parse::<Cassandra>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_keyspaces() {
        let (trigger, problems) = parsed("1.2.3.4:9042", &[], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("cassandra-ks-x", Target::Integer(1));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn the_port_stands_in_the_address_or_beside_it() {
        for address in ["h", "h:abc", "::1"] {
            assert_eq!(parsed(address, &[], &[]).1, ["no port given"]);
            assert!(parsed(address, &[("port", "9042")], &[]).1.is_empty());
        }
    }

    #[test]
    fn consistency_is_a_known_word() {
        assert!(parsed("h:1", &[("consistency", "Local_Quorum")], &[]).1.is_empty());
        assert_eq!(parsed("h:1", &[("consistency", "serial")], &[]).1, ["invalid consistency \"serial\""]);
    }

    #[test]
    fn tls_wants_a_certificate_and_its_key() {
        let (_, problems) = parsed("h:1", &[], &[("tls", "enable"), ("cert", "hunter2")]);
        assert_eq!(problems, ["both cert and key are required when TLS is enabled"]);
    }
}
