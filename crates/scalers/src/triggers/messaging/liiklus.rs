//! `liiklus`: the lag of a consumer group behind a Liiklus gateway (`scalers/liiklus.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::trigger::{Specs, Trigger};

/// Scale on the lag of a consumer group behind a Liiklus gateway.
///
/// The value is the number of records between the group's offsets and the ends of the topic's partitions, all added up,
/// as the gateway gives them over gRPC. One replica is wanted per `lagThreshold` records, but no more than there are
/// partitions. The target leaves zero when the lag is above `activationLagThreshold`.
///
/// There is no login and no TLS: the gateway must be reachable over plain gRPC. Liiklus is no longer maintained, and
/// KEDA announces to drop this type; where the topic is in Kafka or Pulsar, use `kafka` or `pulsar`.
///
/// - `lagThreshold` must be above 0, and `activationLagThreshold` not below it.
///
/// ```yaml
/// type: liiklus
/// metadata:
///   address: liiklus.shop.svc:6565
///   topic: orders
///   group: billing
///   groupVersion: "1"
///   lagThreshold: "50"
///   activationLagThreshold: "5"
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Liiklus {
    /// Records of lag that one replica is expected to handle; more than 0.
    #[meta(trigger, default = "10")]
    lag_threshold: i64,
    /// Records of lag above which the target leaves zero; not negative.
    #[meta(trigger, default = "0")]
    activation_lag_threshold: i64,
    /// Address of the gateway's gRPC port, as `host:port`.
    #[meta(
        trigger,
        announce = "This scaler is DEPRECATED and will be removed in v2.24 due to the upstream Liiklus project no longer being maintained"
    )]
    address: String,
    /// The topic.
    #[meta(trigger)]
    topic: String,
    /// The consumer group.
    #[meta(trigger)]
    group: String,
    /// Version of the consumer group, as the consumers give it.
    #[meta(trigger, default = "0")]
    group_version: i64,
}

impl Liiklus {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if u32::try_from(self.group_version).is_err() {
            let message = format!("groupVersion must be an integer from 0 to {}", u32::MAX);
            reader.error_at("groupVersion", message);
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("liiklus-{}", self.topic))
    }
}

impl Trigger for Liiklus {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.lag_threshold)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};
    use keda_core::problem::has_errors;

    use super::*;

    #[test]
    fn the_type_that_is_announced_to_go_works() {
        let inputs = Inputs::from_metadata([("address", "l:6565"), ("topic", "a.b"), ("group", "g")]);
        let (trigger, problems) = parse::<Liiklus>(&inputs, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("liiklus-a-b", Target::Integer(10));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn the_groups_version_has_32_bits_and_no_sign() {
        for (version, wrong) in [("4294967295", false), ("4294967296", true), ("-1", true)] {
            let metadata = [("address", "l:1"), ("topic", "t"), ("group", "g"), ("groupVersion", version)];
            let (_, problems) = parse::<Liiklus>(&Inputs::from_metadata(metadata), &Context::default());
            assert_eq!(has_errors(&problems), wrong, "{version}");
        }
    }
}
