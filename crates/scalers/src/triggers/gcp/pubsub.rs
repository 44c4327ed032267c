//! `gcp-pubsub`: a metric of a subscription or a topic (`scalers/gcp-pubsub.md`).

use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use regex::Regex;

use crate::client::Sources;
use crate::client::gcp::{GcpOptions, Monitoring};
use crate::trigger::{Memory, Scaler, Specs, Trigger};

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
pub struct PubSub {
    /// Removed: `mode` and `value` took its place.
    #[meta(
        trigger,
        optional,
        deprecated = "The 'subscriptionSize' setting is DEPRECATED and is removed in v2.20 - Use 'mode' and 'value' instead"
    )]
    #[expect(dead_code, reason = "an error where it is given")]
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

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let monitoring = Monitoring::new(self.options.login.clone(), sources)?;
        let mode = if self.mode == "SubscriptionSize" { "NumUndeliveredMessages" } else { self.mode.as_str() };
        Ok(Box::new(Metric { monitoring, metric: snake_case(mode), trigger: self }))
    }
}

struct Metric {
    monitoring: Monitoring,
    /// The end of the metric's name.
    metric: String,
    trigger: PubSub,
}

#[async_trait]
impl Scaler for Metric {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let source = trigger.source().map_err(SourceError::configuration)?;
        let project = match source.project {
            Some(project) => project,
            None => self.monitoring.project().await?,
        };
        let query = trigger.query(&source, &self.metric, project).map_err(SourceError::configuration)?;
        let value = self.monitoring.query(project, &query).await?;
        let missing = || SourceError::configuration(format!("could not find stackdriver metric with query {query}"));
        let value = value.or(trigger.value_if_null).ok_or_else(missing)?;
        Ok(vec![(trigger.metric_name(), Sample::above(value, trigger.activation_value))])
    }
}

/// A subscription or a topic.
#[derive(Debug, PartialEq)]
struct Source<'a> {
    kind: &'static str,
    /// `None` for that of the login.
    project: Option<&'a str>,
    id: &'a str,
}

impl PubSub {
    /// What is looked at: a link names the project too.
    fn source(&self) -> Result<Source<'_>, String> {
        let (kind, name) = match self.subscription_name.as_str() {
            "" => ("topic", self.topic_name.as_str()),
            subscription => ("subscription", subscription),
        };
        let parts: Vec<&str> = name.split('/').collect();
        let (project, id) = match parts.as_slice() {
            ["projects", project, "subscriptions" | "topics", id] => (Some(*project), *id),
            _ => (None, name),
        };
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.~+%".contains(character);
        let is_valid = (3..=255).contains(&id.len())
            && id.starts_with(|first: char| first.is_ascii_alphabetic())
            && id.chars().all(is_plain)
            && !id.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("goog"));
        if !is_valid {
            return Err(format!("{name:?} is neither the name of a {kind} nor projects/…/{kind}s/…"));
        }
        if project.is_some_and(|project| project.is_empty() || !project.chars().all(|c| is_plain(c) || c == ':')) {
            return Err(format!("{name:?} names no project"));
        }
        Ok(Source { kind, project, id })
    }

    /// The query, in the language of Cloud Monitoring.
    fn query(&self, source: &Source<'_>, metric: &str, project: &str) -> Result<String, String> {
        let Source { kind, id, .. } = source;
        let usual = if self.aggregation.is_empty() { 2 } else { 5 };
        let horizon = if self.time_horizon.is_zero() { Duration::from_secs(usual * 60) } else { self.time_horizon };
        let mut query = format!(
            "fetch pubsub_{kind} | metric 'pubsub.googleapis.com/{kind}/{metric}' | filter (resource.project_id == '{project}' && \
             resource.{kind}_id == '{id}') | within {}",
            as_go_writes(horizon)
        );
        if !self.aggregation.is_empty() {
            let aggregation = aggregation(&self.aggregation)?;
            query.push_str(&format!(" | align delta(3m0s) | every 3m0s | group_by [], {aggregation}"));
        }
        Ok(query)
    }
}

/// A duration as Go writes it, such as `2m0s`.
fn as_go_writes(duration: Duration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    let nanoseconds = format!("{:09}", duration.subsec_nanos());
    let seconds = format!("{seconds}.{nanoseconds}");
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// The function that makes one value of several.
fn aggregation(name: &str) -> Result<String, String> {
    if let Some(percentile) = name.strip_prefix("percentile") {
        let number = percentile.parse().ok().filter(|number: &u32| *number <= 100);
        let number = number.ok_or_else(|| format!("invalid percentile value: {percentile}"))?;
        return Ok(format!("percentile(value, {number})"));
    }
    match name {
        "mean" | "median" | "variance" | "stddev" | "sum" | "count" => Ok(format!("{name}(value)")),
        _ => Err(format!("unsupported aggregation function: {name}")),
    }
}

/// `NumUndeliveredMessages` as `num_undelivered_messages`.
fn snake_case(text: &str) -> String {
    let replace = |pattern: &str, text: &str| match Regex::new(pattern) {
        Ok(pattern) => pattern.replace_all(text, "${1}_${2}").into_owned(),
        Err(_) => text.to_string(),
    };
    let words = replace("(.)([A-Z][a-z]+)", text);
    replace("([a-z0-9])([A-Z])", &words).to_lowercase()
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

    #[test]
    fn names_and_durations_are_written_as_google_and_go_do() {
        assert_eq!(snake_case("OldestUnackedMessageAge"), "oldest_unacked_message_age");
        for (milliseconds, text) in [(120_000, "2m0s"), (3_600_000, "1h0m0s"), (90_500, "1m30.5s"), (10_000, "10s")] {
            assert_eq!(as_go_writes(Duration::from_millis(milliseconds)), text);
        }
        assert_eq!(aggregation("percentile101"), Err("invalid percentile value: 101".to_string()));
    }
}
