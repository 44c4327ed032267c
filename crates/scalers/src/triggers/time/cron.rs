//! `cron`: a fixed number of replicas inside a window of time (`scalers/cron.md`).

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use keda_core::cron::{Schedule, find_time_zone};
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};

use crate::client::Sources;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale to a fixed number of replicas between two schedules.
///
/// From each time that `start` names to the next that `end` names the value is `desiredReplicas`, and one replica is
/// wanted per 1 of it; otherwise it is 0 and the trigger is not active. There is no activation parameter: the target
/// leaves zero when the window opens. Nothing is asked, so there is no login. Other triggers may want more replicas at
/// any time.
///
/// - Both schedules have five fields: minute, hour, day of the month, month, day of the week. Sunday is 0 and not 7;
///   names such as `Mon` are fine, `@daily` is not. When both kinds of days are restricted, a day that matches either
///   counts.
/// - The window closes with a delay: the HPA waits for its stabilisation (5 minutes by default), and the last replica
///   goes only after `cooldownPeriod`. What is left is `minReplicaCount`.
/// - A time zone with daylight saving moves the window with the clocks; a start in the hour that is left out is missed.
/// - `useCachedMetrics` is refused.
///
/// ```yaml
/// type: cron
/// metadata:
///   timezone: Europe/Berlin
///   start: 0 7 * * Mon-Fri
///   end: 30 18 * * Mon-Fri
///   desiredReplicas: "6"
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Cron {
    /// Name of the time zone in the IANA database, such as `Europe/Berlin` or `UTC`. A name that is unknown is noticed
    /// at the first reading only.
    #[meta(trigger)]
    timezone: String,
    /// When the window opens: minute, hour, day of the month, month, day of the week, such as `0 7 * * Mon-Fri`.
    #[meta(trigger)]
    start: String,
    /// When the window closes, in the same form, such as `30 18 * * Mon-Fri`; not the same as `start`.
    #[meta(trigger)]
    end: String,
    /// Replicas inside the window; more than 0.
    #[meta(trigger)]
    desired_replicas: i64,
}

impl Cron {
    fn check(&mut self, reader: &mut Reader<'_>) {
        for (key, schedule) in [("start", &self.start), ("end", &self.end)] {
            if let (false, Err(error)) = (schedule.is_empty(), Schedule::parse(schedule)) {
                reader.error_at(key, format!("error parsing {key} schedule: {error}"));
            }
        }
        if self.start == self.end && !self.start.is_empty() {
            reader.error_at("end", "start and end can not have exactly same time input");
        }
        if self.desired_replicas == 0 && !reader.has_errors() {
            reader.error_at("desiredReplicas", "no desiredReplicas specified");
        }
    }

    fn metric_name(&self) -> String {
        let compact = |schedule: &str| {
            let mut text = schedule.replace(' ', "");
            for (from, to) in [("*", "x"), ("/", "Sl"), ("?", "Qm"), (",", "Cm")] {
                text = text.replace(from, to);
            }
            text
        };
        normalize(&format!("cron-{}-{}-{}", self.timezone, compact(&self.start), compact(&self.end)))
    }
}

impl Trigger for Cron {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(1)))
    }

    fn connect(self, _: &Context, _: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let parse = |text: &str| Schedule::parse(text).map_err(|e| SourceError::new(ErrorKind::Configuration, e));
        Ok(Box::new(Window {
            metric_name: self.metric_name(),
            time_zone: find_time_zone(&self.timezone),
            start: parse(&self.start)?,
            end: parse(&self.end)?,
            desired_replicas: self.desired_replicas,
        }))
    }
}

/// The window, ready to be asked.
struct Window {
    metric_name: String,
    /// KEDA accepts an unknown zone and fails at every poll.
    time_zone: Result<TimeZone, String>,
    start: Schedule,
    end: Schedule,
    desired_replicas: i64,
}

impl Window {
    /// The value at `now`. The window is open when it closes before it opens again; a schedule that never fires counts
    /// as the past.
    fn at(&self, now: Timestamp) -> Result<Sample, SourceError> {
        let zone = self
            .time_zone
            .as_ref()
            .map_err(|error| SourceError::new(ErrorKind::Configuration, format!("unable to load timezone: {error}")))?;
        let outside = match (self.start.next(now, zone), self.end.next(now, zone)) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(start), Some(end)) => start < end,
        };
        let value = if outside { 0.0 } else { float(self.desired_replicas) };
        Ok(Sample { value, active: !outside })
    }
}

#[async_trait]
impl Scaler for Window {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        Ok(vec![(self.metric_name.clone(), self.at(crate::sampler::wall_clock())?)])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn cron(timezone: &str, start: &str, end: &str) -> Cron {
        let entries = [("timezone", timezone), ("start", start), ("end", end), ("desiredReplicas", "10")];
        let (cron, problems) = parse::<Cron>(&Inputs::from_metadata(entries), &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        cron
    }

    fn value_at(cron: &Cron, now: &str) -> f64 {
        let window = Window {
            metric_name: String::new(),
            time_zone: find_time_zone(&cron.timezone),
            start: Schedule::parse(&cron.start).unwrap(),
            end: Schedule::parse(&cron.end).unwrap(),
            desired_replicas: cron.desired_replicas,
        };
        window.at(now.parse().unwrap()).unwrap().value
    }

    #[test]
    fn the_name_tells_zone_and_schedules() {
        let thursday = cron("Etc/UTC", "0 0 * * Thu", "59 23 * * Thu");
        assert_eq!(thursday.metric_name(), "cron-Etc-UTC-00xxThu-5923xxThu");
        assert_eq!(cron("UTC", "0 1-23/2 * * *", "0,30 * * * ?").metric_name(), "cron-UTC-01-23Sl2xxx-0Cm30xxxQm");
    }

    #[test]
    fn the_start_belongs_to_the_window_and_the_end_does_not() {
        let day = cron("Asia/Kolkata", "0 6 * * *", "0 20 * * *");
        assert_eq!(value_at(&day, "2026-03-02T05:59:59+05:30"), 0.0);
        assert_eq!(value_at(&day, "2026-03-02T06:00:00+05:30"), 10.0);
        assert_eq!(value_at(&day, "2026-03-02T20:00:00+05:30"), 0.0);
        let night = cron("UTC", "0 22 * * *", "0 6 * * *");
        assert_eq!(value_at(&night, "2026-03-02T23:30:00Z"), 10.0);
    }

    #[test]
    fn a_start_that_never_comes_leaves_the_window_open() {
        assert_eq!(value_at(&cron("UTC", "0 0 30 2 *", "0 6 * * *"), "2026-03-02T12:00:00Z"), 10.0);
        assert_eq!(value_at(&cron("UTC", "0 6 * * *", "0 0 30 2 *"), "2026-03-02T12:00:00Z"), 0.0);
    }

    #[test]
    fn equal_schedules_and_zero_replicas_are_refused() {
        let refused = |start, end, replicas| {
            let entries = [("timezone", "UTC"), ("start", start), ("end", end), ("desiredReplicas", replicas)];
            !parse::<Cron>(&Inputs::from_metadata(entries), &Context::default()).1.is_empty()
        };
        assert!(refused("30 * * * *", "30 * * * *", "1"));
        assert!(refused("0 * * * *", "30 * * * *", "0"));
        assert!(refused("0 * * * 7", "30 * * * *", "1"));
        assert!(!refused("0 * * * *", "30 * * * *", "-1"));
    }
}
