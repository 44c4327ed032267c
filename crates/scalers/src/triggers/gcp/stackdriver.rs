//! `gcp-stackdriver`: the newest value of a time series in Cloud Monitoring (`scalers/gcp-stackdriver.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};

use crate::client::Sources;
use crate::client::gcp::{Alignment, GcpOptions, Monitoring};
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Shortest period that values are aligned to, in seconds.
const SHORTEST_PERIOD: i64 = 60;

/// What is made of the values of one time series in a period.
const ALIGNERS: [&str; 19] = [
    "none",
    "delta",
    "rate",
    "interpolate",
    "next_older",
    "min",
    "max",
    "mean",
    "count",
    "sum",
    "stddev",
    "count_true",
    "count_false",
    "fraction_true",
    "percentile_99",
    "percentile_95",
    "percentile_50",
    "percentile_05",
    "percent_change",
];

/// What is made of several time series.
const REDUCERS: [&str; 14] = [
    "none",
    "mean",
    "min",
    "max",
    "sum",
    "stddev",
    "count",
    "count_true",
    "count_false",
    "fraction_true",
    "percentile_99",
    "percentile_95",
    "percentile_50",
    "percentile_05",
];

/// Scale on the newest value of a time series in Cloud Monitoring (once called Stackdriver).
///
/// What counts is the newest point of the last `filterDuration` minutes, a whole number or a float. The replicas are
/// that value divided by `targetValue`. The target leaves zero when it is above `activationTargetValue`.
///
/// Only the first time series that `filter` selects is looked at. To make one of several, and to turn counters into
/// rates, give `alignmentPeriodSeconds` with `alignmentAligner` (what is made of one series) and `alignmentReducer`
/// (what is made of all). Without the period these two have no effect, even if they are misspelt.
///
/// Values arrive minutes late, so no series may be found within the default of 2 minutes; that is an error unless
/// `valueIfNull` is given. KEDA has deprecated this trigger in favour of `prometheus`, pointed at the Prometheus
/// interface of Cloud Monitoring; it goes on working.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `gcp`, which is KEDA's own service
/// account, or the parameter `GoogleApplicationCredentials`, the key of a service account as JSON. Without one,
/// `credentialsFromEnv` names a variable of the target's container that holds such a key. The service account needs the
/// role `roles/monitoring.viewer` in the project.
///
/// ```yaml
/// type: gcp-stackdriver
/// metadata:
///   projectId: ticket-shop
///   filter: metric.type="loadbalancing.googleapis.com/https/request_count" AND resource.labels.url_map_name="shop"
///   filterDuration: "5"
///   alignmentPeriodSeconds: "60"
///   alignmentAligner: rate
///   alignmentReducer: sum
///   targetValue: "40"
///   activationTargetValue: "0.5"
///   valueIfNull: "0"
/// authenticationRef:
///   name: ticket-shop-monitoring
/// ---
/// podIdentity:
///   provider: gcp
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Stackdriver {
    /// Id of the project that has the time series, such as `ticket-shop`.
    #[meta(trigger)]
    project_id: String,
    /// The filter of Cloud Monitoring that selects the time series, such as `metric.type="…" AND
    /// resource.labels.…="…"`; the project is added to it.
    #[meta(
        trigger,
        announce = "This scaler is deprecated. More info -> 'https://keda.sh/blog/2025-09-15-gcp-deprecations'"
    )]
    filter: String,
    /// The part of the value that one replica is expected to handle.
    #[meta(trigger, default = "5")]
    target_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_value: f64,
    /// Value that is taken where there is no time series, such as `0`; without it, that is an error.
    #[meta(trigger)]
    value_if_null: Option<f64>,
    /// Length of the time that is looked at, in minutes; 2 where it is not given or not above 0.
    #[meta(trigger, optional)]
    filter_duration: i64,
    /// Length of the periods that values are aligned to, in seconds, at least 60; without it values stay as they are.
    #[meta(trigger, optional)]
    alignment_period_seconds: i64,
    /// What is made of the values of one time series in a period, such as `mean`, `rate` or `percentile_95`; needs
    /// `alignmentPeriodSeconds`.
    #[meta(trigger, optional)]
    alignment_aligner: String,
    /// What is made of several time series, such as `sum` or `max`; needs `alignmentPeriodSeconds`.
    #[meta(trigger, optional)]
    alignment_reducer: String,
    #[meta(group)]
    options: GcpOptions,
}

impl Stackdriver {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.alignment_period_seconds == 0 {
            return;
        }
        if self.alignment_period_seconds < SHORTEST_PERIOD {
            reader.error_at("alignmentPeriodSeconds", "alignmentPeriodSeconds must be at least 60");
        }
        for (key, what, word, known) in [
            ("alignmentAligner", "aligner", &self.alignment_aligner, ALIGNERS.as_slice()),
            ("alignmentReducer", "reducer", &self.alignment_reducer, REDUCERS.as_slice()),
        ] {
            if !word.is_empty() && !known.contains(&word.to_lowercase().as_str()) {
                reader.error_at(key, format!("unknown {what}: {word}"));
            }
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("gcp-stackdriver-{}", self.project_id))
    }
}

impl Trigger for Stackdriver {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.target_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let monitoring = Monitoring::new(self.options.login.clone(), sources)?;
        Ok(Box::new(Series { monitoring, trigger: self }))
    }
}

struct Series {
    monitoring: Monitoring,
    trigger: Stackdriver,
}

#[async_trait]
impl Scaler for Series {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let Stackdriver { project_id, filter, filter_duration, value_if_null, .. } = &self.trigger;
        let (alignment, now) = (self.trigger.alignment(), crate::sampler::wall_clock());
        let value = self.monitoring.newest(project_id, filter, *filter_duration, alignment.as_ref(), now).await?;
        let missing = || SourceError::configuration(format!("could not find stackdriver metric with filter {filter}"));
        let value = value.or(*value_if_null).ok_or_else(missing)?;
        Ok(vec![(self.trigger.metric_name(), Sample::above(value, self.trigger.activation_target_value))])
    }
}

impl Stackdriver {
    /// How values are aligned, if they are.
    fn alignment(&self) -> Option<Alignment> {
        let word = |prefix: &str, word: &str| {
            format!("{prefix}_{}", if word.is_empty() { "NONE".to_string() } else { word.to_uppercase() })
        };
        (self.alignment_period_seconds != 0).then(|| Alignment {
            period: self.alignment_period_seconds,
            aligner: word("ALIGN", &self.alignment_aligner),
            reducer: word("REDUCE", &self.alignment_reducer),
        })
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};
    use keda_core::problem::Severity;

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (Stackdriver, Vec<String>) {
        let required = [("projectId", "my.p"), ("filter", "f")];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_authentication([("GoogleApplicationCredentials", "{}")]);
        let (trigger, problems) = parse(&inputs, &Context::default());
        let errors = problems.into_iter().filter(|problem| problem.severity == Severity::Error);
        (trigger, errors.map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_projects() {
        let (trigger, problems) = parsed(&[("targetValue", "2.5"), ("valueIfNull", "null")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("gcp-stackdriver-my-p", Target::Float(2.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn aligner_and_reducer_count_with_a_period_only() {
        let words = |period: &str, aligner: &str, reducer: &str| {
            let alignment =
                [("alignmentPeriodSeconds", period), ("alignmentAligner", aligner), ("alignmentReducer", reducer)];
            parsed(&alignment).1
        };
        assert!(words("0", "avg", "avg").is_empty());
        assert!(words("60", "MEAN", "Percentile_05").is_empty());
        assert_eq!(words("60", "avg", "delta"), ["unknown aligner: avg", "unknown reducer: delta"]);
        assert_eq!(words("-1", "", ""), ["alignmentPeriodSeconds must be at least 60"]);
    }
}
