//! `huawei-cloudeye`: a metric of Huawei's Cloud Eye (`scalers/huawei-cloudeye.md`).

use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on a metric of Huawei's Cloud Eye.
///
/// What counts is the figure `metricFilter` of the first period in the last `metricCollectionTime` seconds, which is
/// the oldest one there; a window without any point is an error. Keep `metricCollectionTime` as short as
/// `metricPeriod`, as it is by default, where the present matters. One replica is wanted per `targetMetricValue` of the
/// number. The target leaves zero when it is above `activationTargetMetricValue`.
///
/// The metric is found by `namespace`, `metricName` and exactly one dimension, `dimensionName` with `dimensionValue`,
/// such as `lbaas_instance_id` and the id of a load balancer.
///
/// Log in with a TriggerAuthentication that has `IdentityEndpoint`, `ProjectID`, `DomainID`, `Region`, `Domain`,
/// `AccessKey` and `SecretKey`, spelt exactly like this, and `Cloud` where the hosts are not those of
/// `myhuaweicloud.com`. That one is missing only shows when the service is asked. The user of the keys must be allowed
/// to read Cloud Eye in the project.
///
/// ```yaml
/// type: huawei-cloudeye
/// metadata:
///   namespace: SYS.ELB
///   metricName: m1_cps
///   dimensionName: lbaas_instance_id
///   dimensionValue: 3b1f8c52-7d04-4e6a-9a51-0c2d7e94b6f8
///   targetMetricValue: "200"
///   activationTargetMetricValue: "5"
/// authenticationRef:
///   name: cloudeye-login
/// ---
/// secretTargetRef:
///   - parameter: IdentityEndpoint
///     name: cloudeye-login
///     key: identity-endpoint
///   - parameter: ProjectID
///     name: cloudeye-login
///     key: project-id
///   - parameter: DomainID
///     name: cloudeye-login
///     key: domain-id
///   - parameter: Domain
///     name: cloudeye-login
///     key: domain
///   - parameter: Region
///     name: cloudeye-login
///     key: region
///   - parameter: AccessKey
///     name: cloudeye-login
///     key: access-key
///   - parameter: SecretKey
///     name: cloudeye-login
///     key: secret-key
/// ```
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct HuaweiCloudEye {
    /// Namespace of the metric: the service and its kind, such as `SYS.ELB`.
    #[meta(trigger)]
    namespace: String,
    /// Name of the metric, such as `m1_cps`.
    #[meta(trigger)]
    metric_name: String,
    /// Name of the dimension that the metric is looked up by, such as `lbaas_instance_id`.
    #[meta(trigger)]
    dimension_name: String,
    /// Value of the dimension, such as the id of a load balancer.
    #[meta(trigger)]
    dimension_value: String,
    /// What one replica is expected to handle, in the unit of the metric.
    #[meta(trigger)]
    target_metric_value: f64,
    /// Value of the metric above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_metric_value: f64,
    /// Removed: `activationTargetMetricValue` took its place.
    #[meta(
        trigger,
        optional,
        deprecated = "The 'minMetricValue' setting is DEPRECATED and is removed in v2.20 - Use 'activationTargetMetricValue' instead"
    )]
    min_metric_value: f64,
    /// How far back the metric is read, in seconds; of several periods in it the oldest counts.
    #[meta(trigger, default = "300")]
    metric_collection_time: i64,
    /// Which figure of a period counts.
    #[meta(trigger, default = "average", one_of("average", "max", "min", "sum"))]
    metric_filter: String,
    /// Length of a period, in seconds, as Cloud Eye offers it for the metric: `1`, `300`, `1200`, `3600`, `14400` or
    /// `86400`.
    #[meta(trigger, default = "300")]
    metric_period: String,
    #[meta(group)]
    login: Login,
}

/// Keys of an account. Nothing is demanded: KEDA accepts an object without them too.
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
struct Login {
    /// Address of the service for identities, up to `/v3/`, such as `https://iam.eu-west-101.myhuaweicloud.eu/v3/`;
    /// always needed.
    #[meta(name = "IdentityEndpoint", auth, optional)]
    identity_endpoint: String,
    /// Id of the project that has the metric; always needed.
    #[meta(name = "ProjectID", auth, optional)]
    project_id: String,
    /// Id of the account; always needed.
    #[meta(name = "DomainID", auth, optional)]
    domain_id: String,
    /// Region of the service, such as `eu-west-101`; always needed.
    #[meta(name = "Region", auth, optional)]
    region: String,
    /// Name of the account; always needed.
    #[meta(name = "Domain", auth, optional)]
    domain: String,
    /// End of the names of the service's hosts.
    #[meta(name = "Cloud", auth, default = "myhuaweicloud.com")]
    cloud: String,
    /// The access key; always needed.
    #[meta(name = "AccessKey", auth, optional)]
    access_key: Secret,
    /// The secret key that belongs to `AccessKey`.
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
