//! `nats-jetstream`: the lag of a consumer of a NATS JetStream stream (`scalers/nats-jetstream.md`).

mod monitoring;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};

use crate::client::Sources;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable, float};
use monitoring::{Leader, Monitoring};

/// Scale on the lag of a consumer in NATS JetStream.
///
/// The value is the number of messages of the stream that the consumer has yet to be given, and those that it has not
/// acknowledged yet (`num_pending` and `num_ack_pending`). One replica is wanted per `lagThreshold` messages, and the
/// target leaves zero when there are more than `activationLagThreshold`.
///
/// The server is asked over HTTP at its monitoring port (usually 8222), which must be switched on and reachable for
/// KEDA. There is no login; pod identities are not used. Give the account of the stream by name or by id: a server
/// without accounts has one, `$G`.
///
/// - The consumer must exist, also while the target is at zero, so it must be durable: one that is not found is an
///   error.
/// - In a cluster only the consumer's leader knows its lag, and KEDA looks for it on every node. Give the headless
///   Service of the servers as endpoint, so that `nats-0.nats-headless.shop.svc:8222` and its siblings can be reached.
///
/// ```yaml
/// type: nats-jetstream
/// metadata:
///   natsServerMonitoringEndpoint: nats-headless.shop.svc:8222
///   account: $G
///   stream: ORDERS
///   consumer: billing
///   lagThreshold: "50"
///   activationLagThreshold: "5"
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct NatsJetStream {
    /// Name of the account that the stream is in, such as `$G`; this or `accountID` is needed.
    #[meta(auth, trigger, optional)]
    account: String,
    /// Id of the account, where it is not the name; `account` when not given.
    #[meta(name = "accountID", auth, trigger, optional)]
    account_id: String,
    /// Name of the stream.
    #[meta(trigger)]
    stream: String,
    /// Name of the stream's durable consumer.
    #[meta(trigger)]
    consumer: String,
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "10")]
    lag_threshold: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_lag_threshold: i64,
    /// Whether to ask with HTTPS; the server's certificate must then be one that KEDA trusts.
    #[meta(trigger, optional, default = "false")]
    use_https: bool,
    /// Address of the server's monitoring port, as `host:port` without a scheme.
    #[meta(auth, trigger)]
    nats_server_monitoring_endpoint: String,
}

impl NatsJetStream {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.account_id.is_empty() {
            self.account_id.clone_from(&self.account);
        }
        if self.account_id.is_empty() {
            reader.error("no account name or id given");
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("nats-jetstream-{}", self.stream))
    }
}

impl Trigger for NatsJetStream {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.lag_threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        match Monitoring::new(&self, client) {
            Ok(monitoring) => Ok(Box::new(Consumer { monitoring, trigger: self })),
            Err(error) => Ok(Box::new(Unreadable(error))),
        }
    }
}

struct Consumer {
    monitoring: Monitoring,
    trigger: NatsJetStream,
}

#[async_trait]
impl Scaler for Consumer {
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError> {
        let mut nobody = None;
        let leader = memory.get_or("leader", || None::<Leader>).unwrap_or(&mut nobody);
        let lag = float(self.monitoring.lag(leader).await?);
        let sample = Sample::above(lag, float(self.trigger.activation_lag_threshold));
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const REQUIRED: [(&str, &str); 3] =
        [("natsServerMonitoringEndpoint", "n:8222"), ("stream", "my.stream"), ("consumer", "c")];

    fn parsed(more: &[(&str, &str)]) -> (NatsJetStream, Vec<String>) {
        let inputs = Inputs::from_metadata(REQUIRED.iter().chain(more).copied());
        let (trigger, problems) = parse::<NatsJetStream>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_streams() {
        let (trigger, problems) = parsed(&[("account", "$G")]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(trigger.account_id, "$G");
        let spec = MetricSpec::external("nats-jetstream-my-stream", Target::Integer(10));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn an_account_is_needed_by_name_or_id() {
        assert!(parsed(&[("accountID", "A1")]).1.is_empty());
        assert_eq!(parsed(&[]).1, ["no account name or id given"]);
    }
}
