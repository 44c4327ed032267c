//! `openstack-metric`: the last measure of a metric in Gnocchi (`scalers/openstack-metric.md`).

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use reqwest::Url;
use serde_json::Value;

use crate::client::Sources;
use crate::client::http;
use crate::client::keystone::{Identity, Keystone, KeystoneLogin, Who};
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// The time limit of who gives none that can be one.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(300);

/// Scale on the last measure of a metric in OpenStack's Gnocchi.
///
/// What counts is the newest measure that `aggregationMethod` makes of a period of `granularity` seconds. The replicas
/// are that number divided by `threshold`. The target leaves zero when it is above `activationThreshold`.
///
/// Both must be part of the metric's archive policy, or Gnocchi has no such measures. Where it has none in that period,
/// the value is 0. `threshold` has no default and is needed, as Kubernetes refuses a target of 0.
///
/// Log in with a TriggerAuthentication that gives `authURL`, the address of Keystone without `/v3`, and either `userID`
/// with `password`, or `appCredentialID` with `appCredentialSecret`. No pod identity can be used. The login needs the
/// right to read measures of the metric.
///
/// ```yaml
/// type: openstack-metric
/// metadata:
///   metricsURL: https://gnocchi.cloud.example:8041/v1/metric
///   metricID: 003bb589-166d-439d-8c31-cbf098d863de
///   aggregationMethod: mean
///   granularity: "300"
///   threshold: "1250"
///   activationThreshold: "100"
/// authenticationRef:
///   name: metrics-login
/// ---
/// secretTargetRef:
///   - parameter: authURL
///     name: metrics-login
///     key: auth-url
///   - parameter: userID
///     name: metrics-login
///     key: user-id
///   - parameter: password
///     name: metrics-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct OpenStackMetric {
    /// Address of the metrics, up to and including `/v1/metric`, such as
    /// `https://gnocchi.cloud.example:8041/v1/metric`.
    #[meta(name = "metricsURL", trigger)]
    metrics_url: String,
    /// Id of the metric, such as `003bb589-166d-439d-8c31-cbf098d863de`.
    #[meta(name = "metricID", trigger)]
    metric_id: String,
    /// How Gnocchi makes one measure of several, such as `mean`, `max` or `last`; one of the metric's archive policy.
    #[meta(trigger)]
    aggregation_method: String,
    /// Time that one measure stands for, in seconds, such as `300`; one of the metric's archive policy, and at least 1.
    #[meta(trigger)]
    granularity: i64,
    /// The part of the measure that one replica is expected to handle. Without it the target is 0, which Kubernetes
    /// refuses.
    #[meta(trigger, optional)]
    threshold: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, optional)]
    activation_threshold: f64,
    /// Time limit of a request, in seconds.
    #[meta(trigger, default = "30")]
    timeout: i64,
    #[meta(group)]
    login: KeystoneLogin,
}

impl OpenStackMetric {
    fn check(&mut self, reader: &mut Reader<'_>) {
        self.login.keep_blanks(reader);
        if self.login.auth_url.is_empty() {
            reader.error("authURL doesn't exist in the authParams");
        }
        if !self.login.user_id.is_empty() {
            if self.login.password.is_empty() {
                reader.error("password doesn't exist in the authParams");
            }
        } else if self.login.app_credential_secret.is_empty() {
            reader.error("neither userID or appCredentialSecretID exist in the authParams");
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("openstack-metric-{}", self.metric_id))
    }
}

impl Trigger for OpenStackMetric {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let login = self.login.clone();
        let who = if login.user_id.is_empty() {
            Who::Application { id: login.app_credential_id, secret: login.app_credential_secret }
        } else {
            Who::User { id: login.user_id, password: login.password, project: String::new() }
        };
        let seconds = u64::try_from(self.timeout).ok().filter(|seconds| *seconds > 0);
        let timeout = seconds.map_or(SHORTEST_TIMEOUT, Duration::from_secs);
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let keystone = Keystone::new(Identity { auth_url: login.auth_url, who }, client, timeout, sources);
        Ok(Box::new(Gnocchi { keystone, trigger: self }))
    }
}

struct Gnocchi {
    keystone: Keystone,
    trigger: OpenStackMetric,
}

#[async_trait]
impl Scaler for Gnocchi {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let url = trigger.url(crate::sampler::wall_clock())?;
        let answer = self.keystone.send(|client, _| Ok(client.get(url.clone()))).await?;
        let value = last_measure(&answer.json("gnocchi answered")?)?;
        Ok(vec![(trigger.metric_name(), Sample::above(value, trigger.activation_threshold))])
    }
}

impl OpenStackMetric {
    /// The request for the measures of the last period.
    fn url(&self, now: Timestamp) -> Result<Url, SourceError> {
        if self.granularity < 1 {
            return Err(SourceError::configuration("granularity value is less than 1"));
        }
        let minutes = (self.granularity / 60 - 1).max(0);
        let start = now
            .checked_sub(SignedDuration::from_secs(minutes.saturating_mul(60)))
            .map_err(|_| SourceError::configuration("granularity reaches too far back"))?;
        let url = http::address(&self.metrics_url, "metricsURL")?;
        let mut url = http::under(url, "metricsURL", &[&self.metric_id, "measures"])?;
        url.query_pairs_mut()
            .append_pair("aggregation", &self.aggregation_method)
            .append_pair("granularity", &self.granularity.to_string())
            .append_pair("start", &start.strftime("%Y-%m-%dT%H:%M:00").to_string());
        Ok(url)
    }
}

/// The value of the last measure; 0 where there is none.
fn last_measure(answer: &Value) -> Result<f64, SourceError> {
    let unexpected = || SourceError::malformed("unexpected json response");
    let Some(last) = answer.as_array().ok_or_else(unexpected)?.last() else { return Ok(0.0) };
    let Some([_, _, value]) = last.as_array().map(Vec::as_slice) else { return Err(unexpected()) };
    value.as_f64().ok_or_else(|| SourceError::malformed("failed to convert interface type to float64"))
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const METADATA: [(&str, &str); 5] = [
        ("metricsURL", "http://g:8041/v1/metric"),
        ("metricID", "003b.7"),
        ("aggregationMethod", "mean"),
        ("granularity", "300"),
        ("threshold", "1250"),
    ];

    fn parsed(authentication: &[(&str, &str)]) -> (OpenStackMetric, Vec<String>) {
        let inputs = Inputs::from_metadata(METADATA).with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<OpenStackMetric>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_metrics_and_the_password_stays_as_it_is() {
        let (trigger, problems) = parsed(&[("authURL", "http://k:5000"), ("userID", "u"), ("password", " p ")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("openstack-metric-003b-7", Target::Float(1250.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(trigger.login.password.expose(), " p ");
    }

    #[test]
    fn the_window_begins_with_a_minute() {
        let (mut trigger, _) = parsed(&[]);
        let now = "2026-07-01T12:07:31Z".parse().unwrap();
        assert!(trigger.url(now).unwrap().as_str().ends_with("granularity=300&start=2026-07-01T12%3A03%3A00"));
        trigger.granularity = 30;
        assert!(trigger.url(now).unwrap().as_str().ends_with("granularity=30&start=2026-07-01T12%3A07%3A00"));
        trigger.granularity = 0;
        assert!(trigger.url(now).unwrap_err().message.contains("less than 1"));
    }

    #[test]
    fn a_user_needs_a_password_and_a_place_to_log_in() {
        assert_eq!(parsed(&[("authURL", "http://k"), ("userID", "u")]).1, ["password doesn't exist in the authParams"]);
        assert_eq!(parsed(&[("userID", "u"), ("password", "p")]).1, ["authURL doesn't exist in the authParams"]);
        assert_eq!(parsed(&[]).1.len(), 2);
        assert!(parsed(&[("authURL", "http://k"), ("appCredentialSecret", "s")]).1.is_empty());
    }
}
