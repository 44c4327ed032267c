//! `predictkube`: a forecast of a PromQL query, which PredictKube makes (`scalers/predictkube.md`).

mod messages;
mod observations;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use keda_core::duration;
use keda_core::metadata::{Context, Kind, Metadata, Parameter, Reader, Value};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::with_index;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;

use crate::client::Sources;
use crate::client::authentication::Authentication;
use crate::client::grpc::{Endpoint, Grpc, explain};
use crate::client::request_uri::RequestUri;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use messages::{Forecast, GET_PREDICT_METRIC, Question};

const METRIC_NAME: &str = "predictkube-predictkube_metric";

/// Where forecasts are made.
const SERVICE: &str = "api.predictkube.com:443";

/// The time between two observations where it is 0.
const DEFAULT_STEP: SignedDuration = SignedDuration::from_mins(5);

/// Scale on a forecast of a PromQL query, made by the service PredictKube.
///
/// At every reading the observations of `query` in the last `historyTimeWindow`, one per `queryStep`, are taken from
/// Prometheus and sent to PredictKube, which foresees the value for the time `predictHorizon` from now. So the
/// observations leave the cluster, and KEDA must be able to reach `api.predictkube.com`.
///
/// What counts is the larger of the forecast and the last observation. One replica is wanted per `threshold` of it,
/// which must not be 0 unless a formula uses the trigger. The target leaves zero when the last observation is above
/// `activationThreshold`; a forecast alone does not wake it. The query should give one series, and the window at least
/// a week or two, so that there is a pattern to find.
///
/// `apiKey` of a TriggerAuthentication is the key of PredictKube, a JWT. For a Prometheus that wants a login, name the
/// way in `authModes` and add its parameters there: `basic` (`username`, `password`), `bearer` (`bearerToken`), `tls`
/// (`cert`, `key`), and `ca` for an authority of your own. The other modes have no effect.
///
/// ```yaml
/// type: predictkube
/// metadata:
///   prometheusAddress: http://prometheus.monitoring.svc:9090
///   query: sum(rate(nginx_ingress_controller_requests{exported_service="storefront"}[2m]))
///   predictHorizon: 30m
///   queryStep: 2m
///   historyTimeWindow: 14d
///   threshold: "150"
///   activationThreshold: "5"
/// authenticationRef:
///   name: predictkube-key
/// ---
/// secretTargetRef:
///   - parameter: apiKey
///     name: predictkube-key
///     key: key
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct PredictKube {
    /// Address of the Prometheus server as a URL, such as `http://prometheus.monitoring.svc:9090`.
    #[meta(trigger)]
    prometheus_address: String,
    #[meta(group)]
    authentication: Authentication,
    /// The PromQL query; it should give one series.
    #[meta(trigger)]
    query: String,
    /// How far ahead to look, such as `2h`; several times `queryStep`.
    #[meta(trigger)]
    predict_horizon: LongDuration,
    /// Time between two observations, such as `2m`.
    #[meta(trigger)]
    query_step: LongDuration,
    /// Time from which observations are taken, such as `7d` or `2w`.
    #[meta(trigger)]
    history_time_window: LongDuration,
    /// Key of PredictKube, a JWT.
    #[meta(auth)]
    api_key: Secret,
    /// What one replica is expected to handle, in the unit of the query; it must be given and not be 0.
    #[meta(trigger, optional)]
    threshold: f64,
    /// Last observation above which the target leaves zero; 0 when not given.
    #[meta(trigger, optional)]
    activation_threshold: f64,
}

impl PredictKube {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if !self.prometheus_address.is_empty() && !is_url(&self.prometheus_address) {
            reader.error_at("prometheusAddress", "invalid prometheusAddress");
        }
        if !self.api_key.is_empty() && !is_jwt(self.api_key.expose()) {
            reader.error("invalid apiKey");
        }
        if !reader.has_errors() && self.threshold == 0.0 && !reader.context().as_metric_source {
            reader.error("no threshold given");
        }
    }
}

/// Whether an address has a scheme and something behind it.
fn is_url(address: &str) -> bool {
    let (address, fragment) = address.split_once('#').unwrap_or((address, ""));
    let (Ok(uri), Some((scheme, rest))) = (RequestUri::parse(address), address.split_once(':')) else { return false };
    if address.starts_with('/') {
        return false;
    }
    if scheme.eq_ignore_ascii_case("file") {
        return !matches!(uri.path.as_str(), "" | "/");
    }
    let without_host = !rest.is_empty() && !rest.starts_with(['/', '?']);
    without_host || !uri.host.is_empty() || !fragment.is_empty()
}

/// Whether a text looks like a JWT, whose signature may be empty.
fn is_jwt(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_part = |part: &&str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    matches!(parts.as_slice(), [header, claims, _] if !header.is_empty() && !claims.is_empty())
        && parts.iter().all(is_part)
}

/// A duration that may have days and weeks, and that may be negative.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct LongDuration(SignedDuration);

impl Value for LongDuration {
    const KIND: Kind = Kind::Text;

    fn from_text(text: &str, parameter: &Parameter) -> Result<Self, String> {
        long_duration(text).map(LongDuration).ok_or_else(|| {
            format!("{} parsing error: expected a duration with units, such as 30m, 1d12h or 2w", parameter.name())
        })
    }
}

fn long_duration(text: &str) -> Option<SignedDuration> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let is_numeric = |character: char| character.is_ascii_digit() || character == '.';
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|character: char| !is_numeric(character))?);
        let (unit, remaining) = tail.split_at(tail.find(is_numeric).unwrap_or(tail.len()));
        let (unit, times) = match unit {
            "d" => ("h", 24),
            "w" => ("h", 7 * 24),
            _ => (unit, 1),
        };
        let part = SignedDuration::try_from(duration::parse(&format!("{number}{unit}")).ok()?).ok()?;
        total = total.checked_add(part.checked_mul(times)?)?;
        rest = remaining;
    }
    i64::try_from(total.as_nanos()).ok()?;
    Some(if negative { -total } else { total })
}

impl Trigger for PredictKube {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC_NAME, Target::Float(self.threshold)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &self.authentication.tls_beside_ca(false))?;
        let endpoint = Endpoint { target: SERVICE.to_string(), tls: Some(TlsOptions::default()) };
        Ok(Box::new(Forecaster {
            client,
            timeout: sources.settings.long_timeout(),
            service: Grpc::new(endpoint, sources),
            metric_name: with_index(context.index, METRIC_NAME),
            trigger: self,
        }))
    }
}

struct Forecaster {
    /// For Prometheus.
    client: Arc<Client>,
    timeout: Duration,
    /// PredictKube.
    service: Grpc,
    metric_name: String,
    trigger: PredictKube,
}

#[async_trait]
impl Scaler for Forecaster {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let (trigger, now) = (&self.trigger, crate::sampler::wall_clock());
        let observations = trigger.observations(&self.client, self.timeout, now, &self.metric_name).await?;
        let last = observations.last().map_or(0.0, |item| item.value);
        let question = Question { forecast_horizon: trigger.horizon()?, observations };
        let login = [("x-auth-api-key", trigger.api_key.clone())];
        let forecast = self.service.call_with::<_, Forecast>(GET_PREDICT_METRIC, question, &login).await;
        let forecast = forecast
            .map_err(|status| explain(&status).within("error executing query to predict controller service"))?;
        let sample = decide(float(forecast.result_metric), last, trigger.activation_threshold);
        Ok(vec![(METRIC_NAME.to_string(), sample)])
    }
}

/// The larger of the forecast and the last observation, which alone decides on activity; 0 wakes nobody.
fn decide(forecast: f64, last: f64, activation: f64) -> Sample {
    let value = if forecast < last { last } else { forecast };
    Sample { value, active: value != 0.0 && last > activation }
}

impl PredictKube {
    /// The time between two observations.
    fn step(&self) -> SignedDuration {
        if self.query_step.0.is_zero() { DEFAULT_STEP } else { self.query_step.0 }
    }

    /// How many steps ahead to look.
    fn horizon(&self) -> Result<u64, SourceError> {
        let steps = self.predict_horizon.0.as_nanos().checked_div(self.step().as_nanos());
        let steps = steps.and_then(|steps| u64::try_from(steps).ok());
        steps.ok_or_else(|| SourceError::configuration("predictHorizon must not be negative"))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const METADATA: [(&str, &str); 6] = [
        ("prometheusAddress", "http://p:9090"),
        ("query", "q"),
        ("predictHorizon", "2h"),
        ("queryStep", "2m"),
        ("historyTimeWindow", "7d"),
        ("threshold", "2000"),
    ];

    fn parsed(key: &str, value: &str, api_key: &str) -> (PredictKube, Vec<String>) {
        let metadata = METADATA.into_iter().map(|(name, text)| (name, if name == key { value } else { text }));
        let inputs = Inputs::from_metadata(metadata).with_authentication([("apiKey", api_key)]);
        let (trigger, problems) = parse::<PredictKube>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_always_the_same() {
        let (trigger, problems) = parsed("", "", "a.b.c");
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("predictkube-predictkube_metric", Target::Float(2000.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(trigger.history_time_window.0, SignedDuration::from_hours(7 * 24));
        assert_eq!(trigger.horizon(), Ok(60));
        assert_eq!(parsed("queryStep", "0", "a.b.c").0.horizon(), Ok(24));
    }

    #[test]
    fn a_value_of_0_wakes_nobody() {
        assert_eq!(decide(0.0, 0.0, -1.0), Sample { value: 0.0, active: false });
        assert_eq!(decide(0.0, -5.0, -10.0), Sample { value: 0.0, active: false });
        assert_eq!(decide(5.0, 0.0, -1.0), Sample { value: 5.0, active: true });
    }

    #[test]
    fn addresses_keys_and_thresholds_are_checked() {
        assert_eq!(parsed("prometheusAddress", "foo", "a.b.").1, ["invalid prometheusAddress"]);
        assert_eq!(parsed("", "", "hunter2").1, ["invalid apiKey"]);
        assert_eq!(parsed("threshold", "0", "a.b.c").1, ["no threshold given"]);
        assert!(parsed("queryStep", "two hours", "a.b.c").1[0].contains("queryStep parsing error"));
    }

    #[test]
    fn durations_have_days_and_weeks_and_signs() {
        let hours = SignedDuration::from_hours;
        assert_eq!(long_duration("1d12h"), Some(hours(36)));
        assert_eq!(long_duration("-0.5w"), Some(hours(-84)));
        assert_eq!(long_duration("0"), Some(SignedDuration::ZERO));
        for wrong in ["", "-", "7", "1d0", "d", "--5s", "1e-4", "15251w", "5,6"] {
            assert_eq!(long_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for valid in ["http://h", "h:9090", "file:///x", "http://#x"] {
            assert!(is_url(valid), "{valid}");
        }
        for invalid in ["h", "/x", "/x:y", "http:", "http://", "http:///x", "file:///", "1:2"] {
            assert!(!is_url(invalid), "{invalid}");
        }
    }
}
