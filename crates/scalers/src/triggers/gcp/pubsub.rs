//! `gcp-pubsub`: a metric of a subscription or a topic (`scalers/gcp-pubsub.md`).

use std::time::Duration;

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::client::gcp::GcpOptions;
use crate::trigger::{Specs, Trigger};

/// Scale on a metric of a subscription or a topic in Pub/Sub.
///
/// What counts is the metric that `mode` names; by default the number of messages of a subscription that nobody has
/// acknowledged yet. It comes from Cloud Monitoring, which is a few minutes behind. The replicas are that number
/// divided by `value`. The target leaves zero when it is above `activationValue`.
///
/// Give either `subscriptionName` or `topicName`. `mode` is the end of the name of one of their metrics in camel case,
/// so `OldestUnackedMessageAge` stands for `subscription/oldest_unacked_message_age`; the default exists for
/// subscriptions only. Metrics that are distributions, such as `AckLatencies`, need an `aggregation`. A metric without
/// values in `timeHorizon` is an error unless `valueIfNull` is given.
///
/// `subscriptionSize` was removed; `mode` and `value` say the same. KEDA has deprecated this trigger in favour of
/// `prometheus`, pointed at the Prometheus interface of Cloud Monitoring; it goes on working.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `gcp`, which is KEDA's own service
/// account, or the parameter `GoogleApplicationCredentials`, the key of a service account as JSON. Without one,
/// `credentialsFromEnv` names a variable of the target's container that holds such a key. The service account needs the
/// role `roles/monitoring.viewer` in the project.
///
/// ```yaml
/// type: gcp-pubsub
/// metadata:
///   subscriptionName: projects/ticket-shop/subscriptions/refunds
///   value: "100"
///   activationValue: "10"
///   valueIfNull: "0"
/// authenticationRef:
///   name: ticket-shop-monitoring
/// ---
/// secretTargetRef:
///   - parameter: GoogleApplicationCredentials
///     name: ticket-shop-monitoring
///     key: key.json
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct PubSub {
    /// Removed: `mode` and `value` took its place.
    #[meta(
        trigger,
        optional,
        deprecated = "The 'subscriptionSize' setting is DEPRECATED and is removed in v2.20 - Use 'mode' and 'value' instead"
    )]
    subscription_size: i64,
    /// The metric: `SubscriptionSize` (messages that nobody has acknowledged yet), or the end of a metric's name in
    /// camel case, such as `OldestUnackedMessageAge`.
    #[meta(trigger, default = "SubscriptionSize")]
    mode: String,
    /// The part of the metric that one replica is expected to handle.
    #[meta(
        trigger,
        default = "10",
        announce = "This scaler is deprecated. More info -> 'https://keda.sh/blog/2025-09-15-gcp-deprecations'"
    )]
    value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_value: f64,
    /// What is made of several values: `mean`, `median`, `variance`, `stddev`, `sum`, `count`, or `percentile` with a
    /// number up to 100, such as `percentile95`. Needed for metrics that are distributions.
    #[meta(trigger, optional)]
    aggregation: String,
    /// Length of the time that is looked at, such as `10m`; where it is not given 2 minutes, and 5 with an aggregation.
    #[meta(trigger, optional)]
    time_horizon: Duration,
    /// Value that is taken where there is none, such as `0`; without it, that is an error.
    #[meta(trigger)]
    value_if_null: Option<f64>,
    /// The subscription, as its name or `projects/…/subscriptions/…`; the name alone stands for one in the project of
    /// the login. Excludes `topicName`.
    #[meta(trigger, env, optional)]
    subscription_name: String,
    /// The topic, as its name or `projects/…/topics/…`; the name alone stands for one in the project of the login.
    /// Excludes `subscriptionName`.
    #[meta(trigger, env, optional)]
    topic_name: String,
    #[meta(group)]
    options: GcpOptions,
}

impl PubSub {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.subscription_name.is_empty() == self.topic_name.is_empty() {
            reader.error("exactly one of subscription or topic name must be given");
        }
    }

    fn metric_name(&self) -> String {
        let name = if self.subscription_name.is_empty() { &self.topic_name } else { &self.subscription_name };
        normalize(&format!("gcp-ps-{name}"))
    }
}

impl Trigger for PubSub {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.value)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)]) -> (PubSub, Vec<String>) {
        let inputs = Inputs::from_metadata(metadata.iter().copied())
            .with_authentication([("GoogleApplicationCredentials", "{}")])
            .with_environment([("S", "my.subscription")]);
        let (trigger, problems) = parse(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_as_it_was_given() {
        for (metadata, name) in [
            (("subscriptionNameFromEnv", "S"), "gcp-ps-my-subscription"),
            (("topicName", "projects/p/topics/t"), "gcp-ps-projects-p-topics-t"),
        ] {
            let (trigger, problems) = parsed(&[metadata]);
            assert!(problems.is_empty(), "{problems:?}");
            let spec = MetricSpec::external(name, Target::Float(10.0));
            assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        }
    }

    #[test]
    fn one_of_subscription_and_topic_is_named_and_the_size_is_gone() {
        let neither_nor_both = "exactly one of subscription or topic name must be given";
        assert_eq!(parsed(&[]).1, [neither_nor_both]);
        assert_eq!(parsed(&[("subscriptionName", "s"), ("topicName", "t")]).1, [neither_nor_both]);
        let size = parsed(&[("subscriptionName", "s"), ("subscriptionSize", "7")]).1;
        assert!(size.len() == 1 && size[0].contains("Use 'mode' and 'value' instead"), "{size:?}");
    }
}
