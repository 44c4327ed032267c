//! `liiklus`: the lag of a consumer group behind a Liiklus gateway (`scalers/liiklus.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::trigger::{Specs, Trigger};

/// Scale on the lag of a consumer group behind a Liiklus gateway.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Liiklus {
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "10")]
    lag_threshold: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_lag_threshold: i64,
    /// Address of the gateway, as `host:port`.
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
    /// Version of the consumer group.
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
    use keda_core::problem::{Severity, has_errors};

    use super::*;

    #[test]
    fn the_type_is_announced_to_go_and_works() {
        let inputs = Inputs::from_metadata([("address", "l:6565"), ("topic", "a.b"), ("group", "g")]);
        let (trigger, problems) = parse::<Liiklus>(&inputs, &Context::default());
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].severity, Severity::Warning);
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
