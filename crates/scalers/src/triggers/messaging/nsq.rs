//! `nsq`: the messages of a channel of an NSQ topic (`scalers/nsq.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::trigger::{Specs, Trigger};

/// Scale on the depth of a channel in NSQ.
///
/// The value is the number of messages that wait in the channel, added up over all nodes (`nsqd`) that the lookup
/// servers name for the topic; messages in flight are not in it. One replica is wanted per `depthThreshold` messages,
/// and the target leaves zero when there are more than `activationDepthThreshold`.
///
/// There is no login. KEDA asks the lookup servers, and then every node at the address that it announces
/// (`--broadcast-address` and its HTTP port), so those must be reachable too; one that does not answer makes the whole
/// reading fail.
///
/// - Where a node has the topic but not the channel yet, the depth of the topic counts: the channel will be given it
///   all.
/// - A paused channel counts 0, and so does a topic that no lookup server knows.
///
/// ```yaml
/// type: nsq
/// metadata:
///   nsqLookupdHTTPAddresses: nsqlookupd-0.nsq.shop.svc:4161,nsqlookupd-1.nsq.shop.svc:4161
///   topic: orders
///   channel: billing
///   depthThreshold: "50"
///   activationDepthThreshold: "5"
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Nsq {
    /// HTTP addresses of the lookup servers (`nsqlookupd`), such as `a.example:4161,b.example:4161`, without a scheme.
    #[meta(name = "nsqLookupdHTTPAddresses", trigger, env)]
    lookup_addresses: Vec<String>,
    /// The topic.
    #[meta(trigger, env)]
    topic: String,
    /// The channel.
    #[meta(trigger, env)]
    channel: String,
    /// Messages that one replica is expected to handle; more than 0.
    #[meta(trigger, env, default = "10")]
    depth_threshold: i64,
    /// Messages above which the target leaves zero; not negative.
    #[meta(trigger, env, default = "0")]
    activation_depth_threshold: i64,
    /// Whether to ask with HTTPS, both the lookup servers and the nodes at their announced HTTP ports.
    #[meta(trigger, env, default = "false")]
    use_https: bool,
    /// Whether to take any certificate of lookup servers and nodes.
    #[meta(trigger, env, default = "false")]
    unsafe_ssl: bool,
}

impl Nsq {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.has_errors() {
            return;
        }
        if self.depth_threshold <= 0 {
            reader.error_at("depthThreshold", "depthThreshold must be a positive integer");
        }
        if self.activation_depth_threshold < 0 {
            let message = "activationDepthThreshold must be greater than or equal to 0";
            reader.error_at("activationDepthThreshold", message);
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("nsq-{}-{}", self.topic, self.channel))
    }
}

impl Trigger for Nsq {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.depth_threshold)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (Nsq, Vec<String>) {
        let required = [("nsqLookupdHTTPAddresses", "l:4161"), ("topicFromEnv", "T"), ("channel", "c")];
        let inputs =
            Inputs::from_metadata(required.iter().chain(more).copied()).with_environment([("T", "a/b.c"), ("D", "0")]);
        let (trigger, problems) = parse::<Nsq>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_topic_and_channel() {
        let (trigger, problems) = parsed(&[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("nsq-a-b-c-c", Target::Integer(10));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn thresholds_have_lower_bounds() {
        let positive = ["depthThreshold must be a positive integer"];
        assert_eq!(parsed(&[("depthThreshold", "-1")]).1, positive);
        assert_eq!(parsed(&[("depthThresholdFromEnv", "D")]).1, positive);
        assert!(parsed(&[("activationDepthThreshold", "-1")]).1[0].contains("greater than or equal to 0"));
    }
}
