//! `nats-jetstream`: the lag of a consumer of a NATS JetStream stream (`scalers/nats-jetstream.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::trigger::{Specs, Trigger};

/// Scale on the lag of a consumer in NATS JetStream.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct NatsJetStream {
    /// Name of the account.
    #[meta(auth, trigger, optional)]
    account: String,
    /// Id of the account; its name by default.
    #[meta(name = "accountID", auth, trigger, optional)]
    account_id: String,
    /// The stream.
    #[meta(trigger)]
    stream: String,
    /// The consumer.
    #[meta(trigger)]
    consumer: String,
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "10")]
    lag_threshold: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_lag_threshold: i64,
    /// Whether to ask with HTTPS.
    #[meta(trigger, optional, default = "false")]
    use_https: bool,
    /// Address of the server's monitoring port, as `host:port`.
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
