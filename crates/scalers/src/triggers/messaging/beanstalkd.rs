//! `beanstalkd`: the jobs in a tube (`scalers/beanstalkd.md`).

use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::{normalize, query_escape};
use keda_core::sample::{Reading, Sample, SourceError};

use crate::client::Sources;
use crate::client::beanstalkd::Beanstalkd;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// The length from which on the server refuses the name of a tube.
const TOO_LONG: usize = 200;

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

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = Beanstalkd::new(&self.server, self.timeout, sources);
        Ok(Box::new(Server { client, trigger: self }))
    }
}

struct Server {
    client: Beanstalkd,
    trigger: Tube,
}

#[async_trait]
impl Scaler for Server {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.jobs().await.map_err(|error| error.within("error interacting with beanstalkd"))?;
        Ok(vec![(self.trigger.metric_name(), Sample::above(value, self.trigger.activation_value))])
    }
}

impl Server {
    async fn jobs(&self) -> Result<f64, SourceError> {
        let tube = &self.trigger.tube;
        if !is_tube_name(tube) {
            return Err(SourceError::configuration(format!("{tube:?} cannot be the name of a tube")));
        }
        match self.client.ask(&format!("stats-tube {tube}")).await? {
            Some(statistics) => self.trigger.count(&statistics),
            None => Ok(0.0),
        }
    }
}

/// Whether the server takes a text for the name of a tube.
fn is_tube_name(tube: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-+/;.$_()".contains(&byte);
    tube.len() < TOO_LONG && !tube.starts_with('-') && tube.bytes().all(may_stand)
}

impl Tube {
    /// The jobs that count, in the statistics of a tube: lines of `name: value`.
    fn count(&self, statistics: &str) -> Result<f64, SourceError> {
        let number = |name: &str| {
            let mut lines = statistics.lines().filter_map(|line| line.split_once(": "));
            let value = lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.trim().parse::<f64>().ok());
            value.ok_or_else(|| SourceError::malformed(format!("the statistics have no {name}")))
        };
        let waiting = number("current-jobs-ready")? + number("current-jobs-reserved")?;
        if self.include_delayed { Ok(waiting + number("current-jobs-delayed")?) } else { Ok(waiting) }
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};
    use keda_core::sample::ErrorKind;

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
    fn ready_and_reserved_jobs_count_and_delayed_ones_if_asked_for() {
        let count = |include_delayed: &str, statistics: &str| {
            let metadata = [("server", "b:1"), ("tube", "t"), ("value", "1"), ("includeDelayed", include_delayed)];
            let (tube, _) = parse::<Tube>(&Inputs::from_metadata(metadata), &Context::default());
            tube.count(statistics).map_err(|error| error.kind)
        };
        let statistics = "---\nname: t\ncurrent-jobs-urgent: 1\ncurrent-jobs-ready: 3\ncurrent-jobs-reserved: 1\n\
            current-jobs-delayed: 2\ncurrent-jobs-buried: 9\n\r\n";
        assert_eq!([count("false", statistics), count("true", statistics)], [Ok(4.0), Ok(6.0)]);
        assert_eq!(count("false", "---\ncurrent-jobs-ready: 3\n"), Err(ErrorKind::Malformed));
        assert_eq!(count("false", "---\ncurrent-jobs-ready: x\n"), Err(ErrorKind::Malformed));
    }

    #[test]
    fn no_name_breaks_out_of_its_command() {
        assert!(is_tube_name("a-B/9.$_()") && is_tube_name(&"a".repeat(199)));
        for wrong in ["a\r\npause-tube a 9", "a b", "-a", "ä", &"a".repeat(200)] {
            assert!(!is_tube_name(wrong), "{wrong}");
        }
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
