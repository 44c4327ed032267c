//! `aws-cloudwatch`: the newest value of a metric or an expression (`scalers/aws-cloudwatch.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};

use crate::client::aws::AwsOptions;
use crate::trigger::{Specs, Trigger};

/// The one name that this trigger's metric has.
const METRIC: &str = "aws-cloudwatch";

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
#[expect(dead_code, reason = "read once the source is written")]
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
}
