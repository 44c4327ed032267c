//! `beanstalkd`: the jobs in a tube (`scalers/beanstalkd.md`).

use std::time::Duration;

use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::{normalize, query_escape};

use crate::trigger::{Specs, Trigger};

/// Scale on the jobs in a tube of beanstalkd.
///
/// The value is the number of jobs that are ready or reserved, so those that wait and those that a worker holds, with
/// `includeDelayed` also the delayed ones. Buried jobs never count. One replica is wanted per `value` jobs, and the
/// target leaves zero when there are more than `activationValue`.
///
/// The server has no login and no TLS: only its address is needed, and KEDA must be able to reach it.
///
/// - The port must be given, although beanstalkd has a usual one (11300).
/// - The default `timeout` of 30 is in milliseconds: give a longer one with a unit, such as `5s`, where the network is
///   slow.
/// - A tube that does not exist counts 0: the server forgets tubes that nobody uses. A wrong name is not noticed.
///
/// ```yaml
/// type: beanstalkd
/// metadata:
///   server: beanstalkd.shop.svc:11300
///   tube: resize-images
///   value: "20"
///   activationValue: "2"
///   timeout: 5s
/// ```
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Tube {
    /// Address of the server, as `host:port`; the port must be there.
    #[meta(trigger)]
    server: String,
    /// Name of the tube, such as `default`.
    #[meta(trigger)]
    tube: String,
    /// Jobs that one replica is expected to handle.
    #[meta(trigger)]
    value: f64,
    /// Jobs above which the target leaves zero; 0 when not given.
    #[meta(trigger, optional)]
    activation_value: f64,
    /// Whether to count delayed jobs too, which nobody can reserve before their time.
    #[meta(trigger, optional)]
    include_delayed: bool,
    /// Most time to connect, such as `5s`; a number without a unit is in milliseconds.
    #[meta(trigger, default = "30")]
    timeout: Duration,
}

impl Tube {
    fn metric_name(&self) -> String {
        normalize(&format!("beanstalkd-{}", query_escape(&self.tube)))
    }
}

impl Trigger for Tube {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.value)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    #[test]
    fn the_name_is_the_tubes_escaped_first() {
        let inputs = Inputs::from_metadata([("server", "b:11300"), ("tube", "a/b c.d"), ("value", "1.5")]);
        let (tube, problems) = parse::<Tube>(&inputs, &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("beanstalkd-a-2Fb+c-d", Target::Float(1.5));
        assert_eq!(tube.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_value_and_a_timeout_that_is_not_negative_are_wanted() {
        let required = [("server", "b:11300"), ("tube", "t"), ("value", "5"), ("timeout", "-1")];
        let problems = |metadata: &[(&str, &str)]| {
            parse::<Tube>(&Inputs::from_metadata(metadata.iter().copied()), &Context::default()).1.len()
        };
        assert_eq!([problems(&required[..3]), problems(&required[..2]), problems(&required)], [0, 1, 1]);
    }
}
