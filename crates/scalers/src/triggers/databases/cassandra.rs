//! `cassandra`: the whole number that a query gives (`scalers/cassandra.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// The levels of consistency that a query can have, in any case of letters.
const CONSISTENCIES: [&str; 9] =
    ["ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "LOCAL_ONE"];

/// Scale on the whole number that a query gives.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Cassandra {
    /// The user.
    #[meta(trigger)]
    username: String,
    /// The password.
    #[meta(auth)]
    password: Secret,
    /// Whether to use TLS: `enable` or `disable`.
    #[meta(auth, default = "disable", one_of("enable", "disable"))]
    tls: String,
    /// PEM of the client's certificate.
    #[meta(auth)]
    cert: Option<Secret>,
    /// PEM of the client's key.
    #[meta(auth)]
    key: Option<Secret>,
    /// PEM of additional certificates to trust.
    #[meta(auth)]
    ca: Option<Secret>,
    /// Address of one server, as `host` or `host:port`.
    #[meta(name = "clusterIPAddress", trigger)]
    cluster_address: String,
    /// Port of the server, where its address has none.
    #[meta(trigger, optional)]
    port: i64,
    /// How many replicas have to answer, such as `one` or `local_quorum`.
    #[meta(trigger, default = "one")]
    consistency: String,
    /// Version of the protocol.
    #[meta(trigger, default = "4")]
    protocol_version: i64,
    /// Keyspace that the metric is named after; the query has to name it too.
    #[meta(trigger)]
    keyspace: String,
    /// The query: one whole number in the one column of its first row; no row counts as 0.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle.
    #[meta(trigger)]
    target_query_value: i64,
    /// Value above which the target leaves zero.
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
        if !CONSISTENCIES.contains(&self.consistency.to_uppercase().as_str()) {
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
        let name = normalize(&format!("cassandra-{}", self.keyspace));
        Specs::one(MetricSpec::external(name, Target::Integer(self.target_query_value)))
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
