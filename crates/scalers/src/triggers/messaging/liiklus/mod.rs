//! `liiklus`: the lag of a consumer group behind a Liiklus gateway (`scalers/liiklus.md`).

pub mod messages;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use prost::Message;

use crate::client::Sources;
use crate::client::grpc::{Endpoint, Grpc, explain};
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable, float};
use messages::{GET_END_OFFSETS, GET_OFFSETS, GetEndOffsetsRequest, GetOffsetsRequest, Offsets};

/// Time for one question to the gateway.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// What keeps the lag from being a number of replicas.
    fn unusable(&self) -> Option<&'static str> {
        if self.lag_threshold <= 0 {
            return Some("lagThreshold must be above 0");
        }
        (self.activation_lag_threshold < 0).then_some("activationLagThreshold must not be below 0")
    }

    /// The records that the group has yet to be given, as far as there is a partition for each replica.
    fn lag(&self, ends: &BTreeMap<u32, u64>, offsets: &BTreeMap<u32, u64>) -> i64 {
        let behind =
            |(partition, end): (&u32, &u64)| end.saturating_sub(offsets.get(partition).copied().unwrap_or_default());
        let total = ends.iter().map(behind).fold(0, u64::saturating_add);
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        let partitions = i64::try_from(ends.len()).unwrap_or(i64::MAX);
        if total.checked_div(self.lag_threshold).is_some_and(|replicas| replicas > partitions) {
            return self.lag_threshold.saturating_mul(partitions);
        }
        total
    }

    fn metric_name(&self) -> String {
        normalize(&format!("liiklus-{}", self.topic))
    }
}

impl Trigger for Liiklus {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.lag_threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        if let Some(message) = self.unusable() {
            return Ok(Box::new(Unreadable(SourceError::configuration(message))));
        }
        let endpoint = Endpoint { target: self.address.clone(), tls: None };
        Ok(Box::new(Gateway { client: Grpc::new(endpoint, sources), trigger: self }))
    }
}

struct Gateway {
    client: Grpc,
    trigger: Liiklus,
}

#[async_trait]
impl Scaler for Gateway {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let Liiklus { topic, group, group_version, .. } = &self.trigger;
        let offsets = GetOffsetsRequest {
            topic: topic.clone(),
            group: group.clone(),
            group_version: u32::try_from(*group_version).unwrap_or_default(),
        };
        let offsets = self.call(GET_OFFSETS, offsets).await?;
        let ends = self.call(GET_END_OFFSETS, GetEndOffsetsRequest { topic: topic.clone() }).await?;
        let lag = self.trigger.lag(&ends.offsets, &offsets.offsets);
        let sample = Sample::above(float(lag), float(self.trigger.activation_lag_threshold));
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

impl Gateway {
    async fn call<Q: Message + 'static>(&self, path: &'static str, request: Q) -> Result<Offsets, SourceError> {
        let method = path.rsplit('/').next().unwrap_or_default();
        let answer = tokio::time::timeout(PATIENCE, self.client.call(path, request)).await;
        let answer = answer.map_err(|_| SourceError::new(ErrorKind::Unreachable, "no answer in time"));
        let answer = answer.and_then(|answer| answer.map_err(|status| explain(&status)));
        answer.map_err(|error| error.within(&format!("error calling {method} of Liiklus")))
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
    fn the_lag_is_that_of_all_partitions_and_no_more_than_they_can_use() {
        let metadata = [("address", "l:1"), ("topic", "t"), ("group", "g")];
        let (trigger, _) = parse::<Liiklus>(&Inputs::from_metadata(metadata), &Context::default());
        let lag = |ends: &[(u32, u64)], offsets: &[(u32, u64)]| {
            trigger.lag(&ends.iter().copied().collect(), &offsets.iter().copied().collect())
        };
        assert_eq!(lag(&[(0, 2)], &[(0, 1)]), 1);
        assert_eq!(lag(&[(0, 5), (1, 7)], &[(1, 4)]), 8);
        assert_eq!([lag(&[(0, 19)], &[]), lag(&[(0, 20)], &[])], [19, 10]);
        assert_eq!(lag(&[(0, 1)], &[(0, 2)]), 0, "an end that went back is no lag");
        assert_eq!(lag(&[], &[(0, 2)]), 0);
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
