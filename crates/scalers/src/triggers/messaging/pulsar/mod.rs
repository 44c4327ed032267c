//! `pulsar`: the backlog of a subscription (`scalers/pulsar.md`).

mod statistics;

use async_trait::async_trait;
use keda_core::metadata::{Context, Inputs, Metadata, Parameter, Reader, parse_with_fingerprint};
use keda_core::metric::{ExternalMetric, MetricSpec, Target, TargetType};
use keda_core::names::normalize;
use keda_core::problem::{Severity, Step};
use keda_core::sample::{Reading, Sample, SourceError};

use crate::client::Sources;
use crate::client::authentication::Authentication;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use statistics::Statistics;

/// Scale on the backlog of a subscription in Pulsar.
///
/// The value is the `msgBacklog` of the subscription, the messages that it has not acknowledged yet, from the admin
/// REST API. One replica is wanted per `msgBacklogThreshold` messages, whatever `metricType` says, and the target
/// leaves zero when there are more than `activationMsgBacklogThreshold`.
///
/// The role needs the right to read the statistics of the topic. `authModes` says how to log in, if at all:
///
/// - `bearer` wants `bearerToken`, and `basic` wants `username` and `password`.
/// - `oauth` wants `oauthTokenURI` and `clientID`, and mostly `clientSecret` and `scopes`.
/// - `tls` wants `cert` and `key`, alone or with one of the others. `ca` counts only where some mode is on.
/// - `custom` and `apiKey` have no effect here, and neither have pod identities.
///
/// A topic with partitions needs `isPartitionedTopic: "true"`, or it is not found; only persistent topics can be asked
/// for. The subscription must exist: one that is not there is an error, not a backlog of 0.
///
/// ```yaml
/// type: pulsar
/// metadata:
///   adminURL: https://pulsar.shop.svc:8443
///   topic: persistent://shop/orders/created
///   subscription: billing
///   isPartitionedTopic: "true"
///   msgBacklogThreshold: "100"
///   activationMsgBacklogThreshold: "5"
///   authModes: bearer
/// authenticationRef:
///   name: pulsar-login
/// ---
/// secretTargetRef:
///   - parameter: bearerToken
///     name: pulsar-login
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Pulsar {
    /// Address of the admin API, such as `http://pulsar.shop.svc:8080`, without a slash at the end.
    #[meta(name = "adminURL", trigger, env)]
    admin_url: String,
    /// The topic, as `persistent://tenant/namespace/topic` or `tenant/namespace/topic`.
    #[meta(trigger, env)]
    topic: String,
    /// Name of the subscription.
    #[meta(trigger, env)]
    subscription: String,
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "10")]
    msg_backlog_threshold: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_msg_backlog_threshold: i64,
    /// Whether the topic has partitions, all of which then count together.
    #[meta(trigger, default = "false")]
    is_partitioned_topic: bool,
    /// The old way to say `authModes: tls`: `enable`. It counts only with `cert` or `key` in the TriggerAuthentication.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "it counts as one of the modes")]
    tls: String,
    #[meta(group)]
    authentication: PulsarAuthentication,
}

impl Pulsar {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if !reader.has_errors()
            && let Err(error) = self.tls().check()
        {
            reader.error(error.message);
        }
    }

    /// Certificates count only where some mode is on, the client's own in any mode where there is a `ca`.
    fn tls(&self) -> TlsOptions {
        let authentication = &self.authentication.0;
        if authentication.is_on() { authentication.tls_beside_ca(false) } else { TlsOptions::default() }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("pulsar-{}-{}", self.topic, self.subscription))
    }
}

impl Trigger for Pulsar {
    /// The backlog is always divided among the replicas, whatever `metricType` says.
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::External(ExternalMetric {
            name: self.metric_name(),
            target: Target::Integer(self.msg_backlog_threshold),
            target_type: Some(TargetType::AverageValue),
        }))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let metric_name = self.metric_name();
        let activation = float(self.activation_msg_backlog_threshold);
        Ok(Box::new(Subscription { metric_name, activation, statistics: Statistics::new(self, sources)? }))
    }
}

struct Subscription {
    metric_name: String,
    activation: f64,
    statistics: Statistics,
}

#[async_trait]
impl Scaler for Subscription {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let backlog = float(self.statistics.backlog().await?);
        Ok(vec![(self.metric_name.clone(), Sample::above(backlog, self.activation))])
    }
}

/// The shared block, parts of which may also be given in the old way.
#[derive(Debug)]
struct PulsarAuthentication(Authentication);

/// What was once given in the metadata, and counts where the TriggerAuthentication does not have it.
#[derive(Debug, Metadata)]
struct OldParameters {
    /// The old place of where OAuth 2.0 tokens are given; the TriggerAuthentication's counts first.
    #[meta(name = "oauthTokenURI", trigger, optional)]
    token_uri: String,
    /// The old place of the client of the OAuth 2.0 token; the TriggerAuthentication's counts first.
    #[meta(name = "clientID", trigger, optional)]
    client_id: String,
    /// The old place of the scopes of the token; the TriggerAuthentication's count first.
    #[meta(trigger, optional)]
    scope: String,
    /// The old place of `endpointParams`, more form fields of the request for a token, as a query string.
    #[meta(name = "EndpointParams", trigger, optional)]
    endpoint_params: String,
}

impl Metadata for PulsarAuthentication {
    fn parameters() -> Vec<&'static Parameter> {
        [Authentication::parameters(), OldParameters::parameters()].concat()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let old = OldParameters::read(reader);
        let inputs = old.moved_into(reader.inputs());
        let parsed = parse_with_fingerprint::<Authentication>(&inputs, reader.context());
        reader.asks_for("authentication", &format!("{:x}", parsed.fingerprint));
        for problem in parsed.problems.into_iter().filter(|problem| problem.severity == Severity::Error) {
            match problem.path.0.last() {
                Some(Step::Key(key)) if reader.inputs().metadata.contains_key(key.as_str()) => {
                    reader.error_at(key, problem.message);
                }
                _ => reader.error(problem.message),
            }
        }
        PulsarAuthentication(parsed.value)
    }
}

impl OldParameters {
    /// The inputs as they would be if all of them were given in the new way.
    fn moved_into(self, inputs: &Inputs) -> Inputs {
        let mut inputs = inputs.clone();
        let given = |key: &str| inputs.authentication.get(key).is_some_and(|text| !text.is_empty());
        let has_certificate = given("cert") || given("key");
        if inputs.metadata.get("tls").is_some_and(|tls| tls == "enable") && has_certificate {
            let modes = match inputs.metadata.get("authModes") {
                Some(modes) => format!("{modes},tls"),
                None => "tls".to_string(),
            };
            inputs.metadata.insert("authModes".to_string(), modes);
        }
        let moved = [
            ("oauthTokenURI", self.token_uri),
            ("clientID", self.client_id),
            ("scope", self.scope),
            ("endpointParams", self.endpoint_params),
        ];
        for (key, text) in moved {
            let place = inputs.authentication.entry(key.to_string()).or_default();
            if place.is_empty() {
                *place = text;
            }
        }
        inputs
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::parse;

    use super::*;

    fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (Pulsar, String) {
        let required =
            [("adminURL", "http://p:80"), ("topic", "persistent://public/default/t"), ("subscription", "sub.1")];
        let inputs = Inputs::from_metadata(required.iter().chain(metadata).copied())
            .with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Pulsar>(&inputs, &Context::default());
        let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        (trigger, messages.join("; "))
    }

    #[test]
    fn the_name_is_topic_and_subscription_and_the_type_fixed() {
        let (trigger, problems) = parsed(&[], &[("ca", "unused")]);
        assert_eq!(problems, "");
        let spec = MetricSpec::External(ExternalMetric {
            name: "pulsar-persistent---public-default-t-sub-1".to_string(),
            target: Target::Integer(10),
            target_type: Some(TargetType::AverageValue),
        });
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn tls_in_the_old_way_is_one_more_mode() {
        let old = ("tls", "enable");
        assert!(!parsed(&[old], &[]).0.authentication.0.is_on());
        let (trigger, problems) = parsed(&[old], &[("cert", "c")]);
        assert!(problems.contains("cert=<present> and key=<empty>"), "{problems}");
        assert!(trigger.authentication.0.has("tls"));
        let (trigger, _) = parsed(&[old, ("authModes", "bearer")], &[("bearerToken", "t"), ("key", "k")]);
        assert!(trigger.authentication.0.has("bearer") && trigger.authentication.0.has("tls"));
        assert!(parsed(&[old, ("authModes", "")], &[("key", "k")]).1.contains("must be one of"));
    }

    #[test]
    fn a_certificate_is_shown_where_there_is_a_ca_too() {
        let shown = |modes: &str, authentication: &[(&str, &str)]| {
            let (trigger, _) = parsed(&[("authModes", modes)], authentication);
            let tls = trigger.tls();
            (tls.cert.is_some(), tls.key.is_some(), tls.ca.is_some())
        };
        let all = [("bearerToken", "t"), ("cert", "c"), ("key", "k"), ("ca", "a")];
        assert_eq!(shown("bearer", &all), (true, true, true));
        assert_eq!(shown("bearer", &all[..3]), (false, false, false));
        assert_eq!(shown("bearer,tls", &all[..3]), (true, true, false));
        assert_eq!(shown("", &all), (false, false, false));
    }

    #[test]
    fn oauth_in_the_old_way_counts_where_there_is_no_new_one() {
        let old = [("authModes", "oauth"), ("oauthTokenURI", "old"), ("clientID", "old"), ("scope", "old")];
        let (trigger, problems) = parsed(&old, &[("clientID", "new"), ("oauthTokenURI", "")]);
        assert_eq!(problems, "");
        let credentials = trigger.authentication.0.client_credentials().unwrap();
        assert_eq!((credentials.token_uri.as_str(), credentials.client_id.as_str()), ("old", "new"));
        assert_eq!(credentials.scopes, ["old"]);
        assert!(parsed(&old[..2], &[]).1.contains("clientID=<empty>"));
    }
}
