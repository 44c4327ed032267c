//! `aws-cloudwatch`: the newest value of a metric or an expression (`scalers/aws-cloudwatch.md`).

use async_trait::async_trait;
use jiff::Timestamp;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{Reading, Sample, SourceError};
use roxmltree::Document;

use crate::client::Sources;
use crate::client::aws::{AwsOptions, Service};
use crate::format::xml;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// The one name that this trigger's metric has.
const METRIC: &str = "aws-cloudwatch";

/// Between the first instant of the year 1 and that of 1970.
const SECONDS_BEFORE_1970: i64 = 62_135_596_800;

/// Units that CloudWatch knows.
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// Scale on the newest value of a metric in CloudWatch, or of an expression over metrics.
///
/// CloudWatch makes one value per `metricStatPeriod` with the statistic `metricStat`, and the newest one of the last
/// `metricCollectionTime` seconds counts. The replicas are that value divided by `targetMetricValue`. The target leaves
/// zero when the value is above `activationTargetMetricValue`.
///
/// Give either `expression`, or all of `namespace`, `metricName`, `dimensionName` and `dimensionValue`. With an
/// expression the four are not looked at, and `metricUnit` is not either.
///
/// `targetMetricValue` and `minMetricValue` have no default. With `minMetricValue: "0"` a gap in the metric looks like
/// an idle system; `ignoreNullValues: "false"` makes it an error, for which the object's `fallback` can stand in.
/// Values arrive late: a `metricCollectionTime` of two or three periods finds one more surely than the default of one.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `aws` (KEDA's own role, another one with
/// `roleArn`, that of the target's service account with `identityOwner: workload`), or the parameters `awsAccessKeyID`
/// and `awsSecretAccessKey`, with `awsSessionToken` for temporary keys. `identityOwner: operator` in the metadata uses
/// KEDA's own login without one. The role or user needs the right `cloudwatch:GetMetricData`.
///
/// ```yaml
/// type: aws-cloudwatch
/// metadata:
///   awsRegion: eu-central-1
///   namespace: AWS/ApplicationELB
///   metricName: RequestCount
///   dimensionName: LoadBalancer;TargetGroup
///   dimensionValue: app/shop/50dc6c495c0c9188;targetgroup/shop/73e2d6bc24d8a067
///   metricStat: Sum
///   metricStatPeriod: "60"
///   metricCollectionTime: "180"
///   targetMetricValue: "600"
///   activationTargetMetricValue: "10"
///   minMetricValue: "0"
/// authenticationRef:
///   name: shop-metrics
/// ---
/// podIdentity:
///   provider: aws
///   roleArn: arn:aws:iam::111122223333:role/shop-metrics
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct CloudWatch {
    /// Namespace of the metric, such as `AWS/SQS`; needed without `expression`.
    #[meta(trigger, optional)]
    namespace: String,
    /// Name of the metric, such as `ApproximateNumberOfMessagesVisible`; needed without `expression`.
    #[meta(trigger, optional)]
    metric_name: String,
    /// Names of the metric's dimensions, such as `LoadBalancer;TargetGroup`; needed without `expression`. Give all that
    /// the metric has, as CloudWatch finds no values otherwise.
    #[meta(trigger, optional, separator = ";")]
    dimension_name: Vec<String>,
    /// Values of the metric's dimensions, each for the name at the same place in `dimensionName`.
    #[meta(trigger, optional, separator = ";")]
    dimension_value: Vec<String>,
    /// An expression of CloudWatch, in place of a metric and its dimensions: metric math, or SQL of Metrics Insights
    /// such as `SELECT MAX(ApproximateNumberOfMessagesVisible) FROM SCHEMA("AWS/SQS", QueueName)`.
    #[meta(trigger, optional)]
    expression: String,
    /// The part of the value that one replica is expected to handle.
    #[meta(trigger)]
    target_metric_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, optional)]
    activation_target_metric_value: f64,
    /// Value that is taken where CloudWatch has none, such as `0`.
    #[meta(trigger)]
    min_metric_value: f64,
    /// Whether a metric without values counts as `minMetricValue`; otherwise it is an error.
    #[meta(trigger, default = "true")]
    ignore_null_values: bool,
    /// Length of the time that is looked at, in seconds: a multiple of `metricStatPeriod`.
    #[meta(trigger, default = "300")]
    metric_collection_time: i64,
    /// The statistic of a period, such as `Average`, `Sum` or `p95`.
    #[meta(trigger, default = "Average")]
    metric_stat: String,
    /// Unit of the metric, such as `Count`, as CloudWatch writes it; values with another unit do not count. Without it
    /// any unit does.
    #[meta(trigger, optional)]
    metric_unit: String,
    /// Length of a period, in seconds: 1, 5, 10, 30 or a multiple of 60.
    #[meta(trigger, default = "300")]
    metric_stat_period: i64,
    /// How long ago the time that is looked at ends, in seconds; it leaves out the newest values, which may be
    /// incomplete.
    #[meta(trigger, default = "0")]
    metric_end_time_offset: i64,
    /// Id of the account that has the metric, where it is not the one of the login (cross-account observability).
    #[meta(trigger, optional)]
    aws_account_id: String,
    #[meta(group)]
    options: AwsOptions,
}

impl CloudWatch {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if let Err(message) = self.check_metric().and_then(|()| self.check_times()) {
            reader.error(message);
        }
    }

    fn check_metric(&self) -> Result<(), String> {
        if !self.expression.is_empty() {
            return Ok(());
        }
        let missing = [
            (self.namespace.is_empty(), "namespace not given"),
            (self.metric_name.is_empty(), "metric name not given"),
            (self.dimension_name.is_empty(), "dimension name not given"),
            (self.dimension_value.is_empty(), "dimension value not given"),
        ];
        if let Some((_, message)) = missing.into_iter().find(|(missing, _)| *missing) {
            return Err(message.to_string());
        }
        if self.dimension_name.len() != self.dimension_value.len() {
            return Err("dimensionName and dimensionValue are not matching in size".to_string());
        }
        if !self.metric_unit.is_empty() && !UNITS.contains(&self.metric_unit.as_str()) {
            return Err(format!("metricUnit '{}' is not one of [{}]", self.metric_unit, UNITS.join(" ")));
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), String> {
        let (period, collection) = (self.metric_stat_period, self.metric_collection_time);
        let wrong = match period {
            ..1 => Some("metricStatPeriod can not be smaller than 1"),
            1 | 5 | 10 | 30 => None,
            2..60 => Some("metricStatPeriod < 60 has to be one of [1, 5, 10, 30]"),
            _ if period % 60 != 0 => Some("metricStatPeriod >= 60 has to be a multiple of 60"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(format!("{wrong}, however, {period} is provided"));
        }
        if collection < 0 || collection % period != 0 {
            return Err(format!(
                "metricCollectionTime must be greater than 0 and a multiple of metricStatPeriod({period}), {collection} is given"
            ));
        }
        Ok(())
    }
}

impl Trigger for CloudWatch {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC, Target::Float(self.target_metric_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let service = self.options.service("monitoring", "monitoring", sources)?;
        Ok(Box::new(Metric { service, trigger: self }))
    }
}

struct Metric {
    service: Service,
    trigger: CloudWatch,
}

#[async_trait]
impl Scaler for Metric {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let fields = self.trigger.request(crate::sampler::wall_clock());
        let answer = self.service.form(&fields).await?;
        let value = self.trigger.value(&xml::document(&answer, "the answer of CloudWatch")?)?;
        Ok(vec![(METRIC.to_string(), Sample::above(value, self.trigger.activation_target_metric_value))])
    }
}

impl CloudWatch {
    /// The time that is looked at. Its end is a whole number of periods since the year 1, as Go counts them.
    fn times(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let end = now.as_second().saturating_sub(self.metric_end_time_offset);
        let past = end.saturating_add(SECONDS_BEFORE_1970).rem_euclid(self.metric_stat_period.max(1));
        let end = end.saturating_sub(past);
        let at = |second: i64| Timestamp::from_second(second).unwrap_or(now);
        (at(end.saturating_sub(self.metric_collection_time)), at(end))
    }

    /// The fields of a request for the values of one metric or expression.
    fn request(&self, now: Timestamp) -> Vec<(String, String)> {
        let (start, end) = self.times(now);
        let query = |key: &str, value: &str| (format!("MetricDataQueries.member.1.{key}"), value.to_string());
        let mut fields: Vec<(String, String)> = [
            ("Action", "GetMetricData"),
            ("Version", "2010-08-01"),
            ("StartTime", &start.to_string()),
            ("EndTime", &end.to_string()),
            ("ScanBy", "TimestampDescending"),
        ]
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .to_vec();
        let period = self.metric_stat_period.to_string();
        if self.expression.is_empty() {
            fields.extend([
                query("Id", "c1"),
                query("MetricStat.Metric.Namespace", &self.namespace),
                query("MetricStat.Metric.MetricName", &self.metric_name),
            ]);
            for (position, (name, value)) in self.dimension_name.iter().zip(&self.dimension_value).enumerate() {
                let dimension = format!("MetricStat.Metric.Dimensions.member.{}", position + 1);
                fields.extend([query(&format!("{dimension}.Name"), name), query(&format!("{dimension}.Value"), value)]);
            }
            fields.extend([query("MetricStat.Period", &period), query("MetricStat.Stat", &self.metric_stat)]);
            if !self.metric_unit.is_empty() {
                fields.push(query("MetricStat.Unit", &self.metric_unit));
            }
            fields.push(query("ReturnData", "true"));
        } else {
            fields.extend([query("Id", "q1"), query("Expression", &self.expression), query("Period", &period)]);
        }
        if !self.aws_account_id.is_empty() {
            fields.push(query("AccountId", &self.aws_account_id));
        }
        fields
    }

    /// The newest value of the first result, as KEDA takes it.
    fn value(&self, document: &Document<'_>) -> Result<f64, SourceError> {
        let results = xml::below(document.root(), "MetricDataResults");
        let results = results.ok_or_else(|| SourceError::malformed("the answer of CloudWatch has no results"))?;
        let Some(result) = xml::child(results, "member") else { return Ok(self.min_metric_value) };
        match xml::child(result, "Values").and_then(|values| xml::child(values, "member")) {
            Some(newest) => {
                let text = newest.text().unwrap_or_default();
                text.parse().map_err(|_| SourceError::malformed(format!("CloudWatch gave {text:?} for a value")))
            }
            None if self.ignore_null_values => Ok(self.min_metric_value),
            None => {
                Err(SourceError::malformed("empty metric data received, ignoreNullValues is false, returning error"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const METRIC_PARAMETERS: [(&str, &str); 4] =
        [("namespace", "AWS/SQS"), ("metricName", "m"), ("dimensionName", "A; B"), ("dimensionValue", "1;2")];

    fn parsed(more: &[(&str, &str)]) -> (CloudWatch, Vec<String>) {
        let required = [
            ("targetMetricValue", "2.5"),
            ("minMetricValue", "0"),
            ("awsRegion", "eu-west-1"),
            ("identityOwner", "operator"),
        ];
        let (trigger, problems) =
            parse(&Inputs::from_metadata(required.iter().chain(more).copied()), &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn a_metric_needs_its_dimensions_and_an_expression_nothing() {
        let (trigger, problems) = parsed(&METRIC_PARAMETERS);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            trigger.specs(&Context::default()),
            Specs::one(MetricSpec::external("aws-cloudwatch", Target::Float(2.5)))
        );
        assert!(parsed(&[("expression", "e"), ("metricUnit", "x"), ("dimensionName", "A")]).1.is_empty());
        for (count, problem) in
            ["namespace not given", "metric name not given", "dimension name not given", "dimension value not given"]
                .into_iter()
                .enumerate()
        {
            assert_eq!(parsed(&METRIC_PARAMETERS[..count]).1, [problem]);
        }
        let unequal = [&METRIC_PARAMETERS[..3], &[("dimensionValue", "1")]].concat();
        assert_eq!(parsed(&unequal).1, ["dimensionName and dimensionValue are not matching in size"]);
        let unit = [&METRIC_PARAMETERS[..], &[("metricUnit", "count")]].concat();
        assert!(parsed(&unit).1[0].starts_with("metricUnit 'count' is not one of [Seconds Microseconds"));
    }

    #[test]
    fn times_fit_together() {
        let problems = |period: &str, collection: &str| {
            parsed(&[("expression", "e"), ("metricStatPeriod", period), ("metricCollectionTime", collection)]).1
        };
        for (period, collection) in [("1", "7"), ("30", "60"), ("60", "0"), ("120", "240")] {
            assert!(problems(period, collection).is_empty(), "{period} {collection}");
        }
        for (period, collection, problem) in [
            ("0", "300", "smaller than 1, however, 0"),
            ("20", "300", "one of [1, 5, 10, 30], however, 20"),
            ("90", "300", "multiple of 60, however, 90"),
            ("300", "100", "multiple of metricStatPeriod(300), 100 is given"),
            ("60", "-60", "greater than 0"),
        ] {
            assert!(problems(period, collection)[0].contains(problem), "{period} {collection}");
        }
    }

    fn at(more: &[(&str, &str)], now: &str) -> Vec<(String, String)> {
        parsed(more).0.request(now.parse().unwrap())
    }

    #[test]
    fn the_end_is_a_whole_period_after_the_offset() {
        let times = [("metricStatPeriod", "60"), ("metricCollectionTime", "60"), ("metricEndTimeOffset", "30")];
        let fields = at(&[&METRIC_PARAMETERS[..], &times[..]].concat(), "2021-11-07T15:04:05.999Z");
        let of = |key: &str| fields.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        assert_eq!(of("StartTime"), Some("2021-11-07T15:02:00Z"));
        assert_eq!(of("EndTime"), Some("2021-11-07T15:03:00Z"));
        assert_eq!(of("MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.2.Name"), Some("B"));
    }

    #[test]
    fn no_offset_is_too_large() {
        for offset in [i64::MIN, i64::MAX].map(|offset| offset.to_string()) {
            let fields = at(&[("expression", "e"), ("metricEndTimeOffset", &offset)], "2021-11-07T15:04:05Z");
            assert!(!fields.is_empty(), "{offset}");
        }
    }

    #[test]
    fn without_values_the_least_counts_or_it_is_an_error() {
        let value = |more: &[(&str, &str)], results: &str| {
            let xml = format!("<A xmlns=\"x\"><MetricDataResults>{results}</MetricDataResults></A>");
            parsed(more).0.value(&Document::parse(&xml).unwrap())
        };
        let strict = [("expression", "e"), ("ignoreNullValues", "false")];
        let (empty, full) =
            ("<member><Values/></member>", "<member><Values><member>7.25</member><member>3</member></Values></member>");
        assert_eq!(value(&strict[..1], full), Ok(7.25));
        assert_eq!(value(&strict[..1], &format!("{empty}{full}")), Ok(0.0), "only the first result counts");
        assert_eq!(value(&strict[..1], empty), Ok(0.0));
        assert!(value(&strict, empty).is_err());
        assert_eq!(value(&strict, ""), Ok(0.0));
    }
}
