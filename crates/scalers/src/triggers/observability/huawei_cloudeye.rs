//! `huawei-cloudeye`: a metric of Huawei's Cloud Eye (`scalers/huawei-cloudeye.md`).

use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on a metric of Huawei's Cloud Eye.
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct HuaweiCloudEye {
    /// Namespace of the metric, such as `SYS.ELB`.
    #[meta(trigger)]
    namespace: String,
    /// Name of the metric.
    #[meta(trigger)]
    metric_name: String,
    /// Name of the dimension that the metric is looked up by.
    #[meta(trigger)]
    dimension_name: String,
    /// Value of the dimension.
    #[meta(trigger)]
    dimension_value: String,
    /// What one replica is expected to handle.
    #[meta(trigger)]
    target_metric_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_metric_value: f64,
    /// No longer exists.
    #[meta(
        trigger,
        optional,
        deprecated = "The 'minMetricValue' setting is DEPRECATED and is removed in v2.20 - Use 'activationTargetMetricValue' instead"
    )]
    min_metric_value: f64,
    /// How far back the metric is read, in seconds.
    #[meta(trigger, default = "300")]
    metric_collection_time: i64,
    /// Which figure of a period counts.
    #[meta(trigger, default = "average", one_of("average", "max", "min", "sum"))]
    metric_filter: String,
    /// Length of a period, in seconds.
    #[meta(trigger, default = "300")]
    metric_period: String,
    #[meta(group)]
    login: Login,
}

/// Keys of an account. Nothing is demanded: KEDA accepts an object without them too.
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
struct Login {
    /// Address of the service for identities, up to `/v3/`.
    #[meta(name = "IdentityEndpoint", auth, optional)]
    identity_endpoint: String,
    /// Id of the project.
    #[meta(name = "ProjectID", auth, optional)]
    project_id: String,
    /// Id of the account.
    #[meta(name = "DomainID", auth, optional)]
    domain_id: String,
    /// Region of the service.
    #[meta(name = "Region", auth, optional)]
    region: String,
    /// Name of the account.
    #[meta(name = "Domain", auth, optional)]
    domain: String,
    /// End of the names of the service's hosts.
    #[meta(name = "Cloud", auth, default = "myhuaweicloud.com")]
    cloud: String,
    /// The access key.
    #[meta(name = "AccessKey", auth, optional)]
    access_key: Secret,
    /// The secret key.
    #[meta(name = "SecretKey", auth, optional)]
    secret_key: Secret,
}

impl Trigger for HuaweiCloudEye {
    fn specs(&self, _: &Context) -> Specs {
        let name = normalize(&format!("huawei-cloudeye-{}", self.metric_name));
        Specs::one(MetricSpec::external(name, Target::Float(self.target_metric_value)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (HuaweiCloudEye, Vec<String>) {
        let required = [
            ("namespace", "SYS.ELB"),
            ("metricName", "mb.l7_qps"),
            ("dimensionName", "lbaas_instance_id"),
            ("dimensionValue", "5e052238"),
            ("targetMetricValue", "100"),
        ];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied());
        let (trigger, problems) = parse::<HuaweiCloudEye>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_metrics_and_no_key_is_demanded() {
        let (trigger, problems) = parsed(&[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("huawei-cloudeye-mb-l7_qps", Target::Float(100.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn what_was_removed_is_refused() {
        assert!(parsed(&[("minMetricValue", "1")]).1[0].contains("Use 'activationTargetMetricValue' instead"));
        assert!(parsed(&[("metricFilter", "median")]).1[0].contains("must be one of [average max min sum]"));
    }
}
