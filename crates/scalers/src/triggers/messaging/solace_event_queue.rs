//! `solace-event-queue`: messages, spool and receive rate of a queue in Solace (`scalers/solace-event-queue.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

const MEGABYTE: i64 = 1024 * 1024;

/// Scale on the messages in a Solace queue.
///
/// Each target that is given is a metric of its own, and the HPA follows the one that wants most replicas:
///
/// - `messageCountTarget`: the messages in the queue.
/// - `messageSpoolUsageTarget`: the megabytes that they take.
/// - `messageReceiveRateTarget`: the messages that the queue receives per second, on average.
///
/// At least one of them must be above 0. The target leaves zero when any of the three figures is above its activation
/// parameter, also one without a target: by default with the first message.
///
/// Log in with `username` and `password` of a user of the SEMP API (version 2) who may read the VPN and the queue (HTTP
/// Basic). Pod identities are not used, and the certificate of an `https://` address must be one that KEDA trusts.
///
/// ```yaml
/// type: solace-event-queue
/// metadata:
///   solaceSempBaseURL: https://solace-a.shop.example:943,https://solace-b.shop.example:943
///   messageVpn: shop
///   queueName: orders
///   messageCountTarget: "100"
///   messageReceiveRateTarget: "50"
///   activationMessageCountTarget: "10"
/// authenticationRef:
///   name: solace-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: solace-login
///     key: username
///   - parameter: password
///     name: solace-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct SolaceEventQueue {
    /// Addresses of the brokers' SEMP API, such as `https://a.example:943,https://b.example:943`; each is tried when
    /// those before it fail, or when the VPN is not up there.
    #[meta(name = "solaceSempBaseURL", trigger)]
    addresses: Vec<String>,
    /// Name of the message VPN.
    #[meta(trigger)]
    message_vpn: String,
    /// Name of the queue.
    #[meta(trigger)]
    queue_name: String,
    /// User of the SEMP API.
    #[meta(auth, trigger, env)]
    username: String,
    /// Password of the SEMP API.
    #[meta(auth, trigger, env)]
    password: Secret,
    /// Messages in the queue that one replica is expected to handle. One of the three targets is needed.
    #[meta(trigger, optional)]
    message_count_target: i64,
    /// Megabytes (of 1024 times 1024 bytes) of spooled messages that one replica is expected to handle.
    #[meta(trigger, optional)]
    message_spool_usage_target: i64,
    /// Messages received per second that one replica is expected to handle.
    #[meta(trigger, optional)]
    message_receive_rate_target: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_message_count_target: i64,
    /// Megabytes of spooled messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_message_spool_usage_target: i64,
    /// Messages received per second above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_message_receive_rate_target: i64,
}

impl SolaceEventQueue {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let targets = [self.message_count_target, self.message_spool_usage_target, self.message_receive_rate_target];
        if !reader.has_errors() && targets.iter().all(|target| *target < 1) {
            reader.error("no target value found in the scaler configuration");
        }
    }

    /// The targets by the ends of their metrics' names. Bytes that do not fit are no target, as in KEDA.
    fn targets(&self) -> [(&'static str, i64); 3] {
        [
            ("msgcount", self.message_count_target),
            ("msgspoolusage", self.message_spool_usage_target.wrapping_mul(MEGABYTE)),
            ("msgrcvrate", self.message_receive_rate_target),
        ]
    }
}

impl Trigger for SolaceEventQueue {
    fn specs(&self, _: &Context) -> Specs {
        let given = self.targets().into_iter().filter(|(_, target)| *target > 0);
        let spec = |(end, target)| {
            MetricSpec::external(normalize(&format!("solace-{}-{end}", self.queue_name)), Target::Integer(target))
        };
        Specs::Known(given.map(spec).collect())
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (SolaceEventQueue, Vec<String>) {
        let required = [
            ("solaceSempBaseURL", "http://a:8080,http://b:8080"),
            ("messageVpn", "v"),
            ("queueName", "a/b"),
            ("usernameFromEnv", "U"),
        ];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_environment([("U", "u")])
            .with_authentication([("password", "p")]);
        let (trigger, problems) = parse::<SolaceEventQueue>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn every_target_is_a_metric_and_megabytes_become_bytes() {
        let targets = [("messageReceiveRateTarget", "5"), ("messageSpoolUsageTarget", "20")];
        let (trigger, problems) = parsed(&targets);
        assert!(problems.is_empty(), "{problems:?}");
        let expected = vec![
            MetricSpec::external("solace-a-b-msgspoolusage", Target::Integer(20_971_520)),
            MetricSpec::external("solace-a-b-msgrcvrate", Target::Integer(5)),
        ];
        assert_eq!(trigger.specs(&Context::default()), Specs::Known(expected));
    }

    #[test]
    fn one_target_is_needed() {
        let none = ["no target value found in the scaler configuration"];
        assert_eq!(parsed(&[("messageCountTarget", "0")]).1, none);
        assert_eq!(parsed(&[("activationMessageCountTarget", "5")]).1, none);
        assert!(parsed(&[("messageCountTarget", "1")]).1.is_empty());
    }
}
