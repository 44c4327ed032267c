//! `solace-event-queue`: messages, spool and receive rate of a queue in Solace (`scalers/solace-event-queue.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::client::Sources;
use crate::client::http;
use crate::client::solace::all_failed;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

const MEGABYTE: i64 = 1024 * 1024;

/// What is written as `%XX` in a segment of a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Scale on the messages in a Solace queue.
///
/// Each target that is given is a metric of its own, and the HPA follows the one that wants most replicas:
///
/// - `messageCountTarget`: the messages in the queue.
/// - `messageSpoolUsageTarget`: the megabytes that they take.
/// - `messageReceiveRateTarget`: the messages that the queue receives per second, on average.
///
/// At least one of them must be above 0. The target leaves zero when any of the three figures is above its activation
/// parameter, also one without a target: by default with the first message.
///
/// Log in with `username` and `password` of a user of the SEMP API (version 2) who may read the VPN and the queue (HTTP
/// Basic). Pod identities are not used, and the certificate of an `https://` address must be one that KEDA trusts.
///
/// ```yaml
/// type: solace-event-queue
/// metadata:
///   solaceSempBaseURL: https://solace-a.shop.example:943,https://solace-b.shop.example:943
///   messageVpn: shop
///   queueName: orders
///   messageCountTarget: "100"
///   messageReceiveRateTarget: "50"
///   activationMessageCountTarget: "10"
/// authenticationRef:
///   name: solace-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: solace-login
///     key: username
///   - parameter: password
///     name: solace-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct SolaceEventQueue {
    /// Addresses of the brokers' SEMP API, such as `https://a.example:943,https://b.example:943`; each is tried when
    /// those before it fail, or when the VPN is not up there.
    #[meta(name = "solaceSempBaseURL", trigger)]
    addresses: Vec<String>,
    /// Name of the message VPN.
    #[meta(trigger)]
    message_vpn: String,
    /// Name of the queue.
    #[meta(trigger)]
    queue_name: String,
    /// User of the SEMP API.
    #[meta(auth, trigger, env)]
    username: String,
    /// Password of the SEMP API.
    #[meta(auth, trigger, env)]
    password: Secret,
    /// Messages in the queue that one replica is expected to handle. One of the three targets is needed.
    #[meta(trigger, optional)]
    message_count_target: i64,
    /// Megabytes (of 1024 times 1024 bytes) of spooled messages that one replica is expected to handle.
    #[meta(trigger, optional)]
    message_spool_usage_target: i64,
    /// Messages received per second that one replica is expected to handle.
    #[meta(trigger, optional)]
    message_receive_rate_target: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_message_count_target: i64,
    /// Megabytes of spooled messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_message_spool_usage_target: i64,
    /// Messages received per second above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_message_receive_rate_target: i64,
}

impl SolaceEventQueue {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let targets = [self.message_count_target, self.message_spool_usage_target, self.message_receive_rate_target];
        if !reader.has_errors() && targets.iter().all(|target| *target < 1) {
            reader.error("no target value found in the scaler configuration");
        }
    }

    /// The targets by the ends of their metrics' names. Bytes that do not fit are no target, as in KEDA.
    fn targets(&self) -> [(&'static str, i64); 3] {
        [
            ("msgcount", self.message_count_target),
            ("msgspoolusage", self.message_spool_usage_target.wrapping_mul(MEGABYTE)),
            ("msgrcvrate", self.message_receive_rate_target),
        ]
    }

    fn metric_name(&self, end: &str) -> String {
        normalize(&format!("solace-{}-{end}", self.queue_name))
    }

    /// The reading that the figures make; each that has a target must be there.
    fn reading(&self, figures: [Option<i64>; 3]) -> Result<Reading, SourceError> {
        let megabytes = self.activation_message_spool_usage_target.wrapping_mul(MEGABYTE);
        let activations =
            [self.activation_message_count_target, megabytes, self.activation_message_receive_rate_target];
        let active = figures.iter().zip(activations).any(|(figure, activation)| figure.unwrap_or(0) > activation);
        let wanted = self.targets().into_iter().zip(figures).filter(|((_, target), _)| *target > 0);
        wanted
            .map(|((end, _), figure)| {
                let missing = || SourceError::malformed(format!("the broker says nothing of {end}"));
                let value = float(figure.ok_or_else(missing)?);
                Ok((self.metric_name(end), Sample { value, active }))
            })
            .collect()
    }
}

impl Trigger for SolaceEventQueue {
    fn specs(&self, _: &Context) -> Specs {
        let given = self.targets().into_iter().filter(|(_, target)| *target > 0);
        let spec = |(end, target)| MetricSpec::external(self.metric_name(end), Target::Integer(target));
        Specs::Known(given.map(spec).collect())
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Brokers { client, trigger: self }))
    }
}

struct Brokers {
    client: Arc<Client>,
    trigger: SolaceEventQueue,
}

#[async_trait]
impl Scaler for Brokers {
    /// Asks one broker after the other, from the one that answered last.
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError> {
        let addresses = &self.trigger.addresses;
        let mut first = 0;
        let first = memory.get_or("broker", || 0_usize).unwrap_or(&mut first);
        let mut failures = Vec::new();
        for index in (0..addresses.len()).map(|offset| (*first + offset) % addresses.len()) {
            let Some(address) = addresses.get(index) else { continue };
            match self.figures(address).await {
                Ok(figures) => {
                    *first = index;
                    return self.trigger.reading(figures);
                }
                Err(failure) => failures.push(failure),
            }
        }
        Err(all_failed("unable to collect metrics, error(s)", &failures))
    }
}

impl Brokers {
    /// Messages, bytes, and messages per second of the queue at one broker.
    async fn figures(&self, address: &str) -> Result<[Option<i64>; 3], SourceError> {
        let vpn = utf8_percent_encode(&self.trigger.message_vpn, ESCAPED);
        let queue = utf8_percent_encode(&self.trigger.queue_name, ESCAPED);
        let vpn = format!("{}/SEMP/v2/monitor/msgVpns/{vpn}", address.trim());
        let answer = self.get(&format!("{vpn}?select=state")).await?;
        match answer.pointer("/data/state").and_then(Value::as_str) {
            Some("up") => {}
            Some(state) => {
                let message = format!("Message vpn is not up ({state})");
                return Err(SourceError::new(ErrorKind::Unreachable, message));
            }
            None => return Err(SourceError::malformed("the broker does not say whether the message VPN is up")),
        }
        let answer = self.get(&format!("{vpn}/queues/{queue}?select=msgs,msgSpoolUsage,averageRxMsgRate")).await?;
        let figure = |path: &str| match answer.pointer(path) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_i64().map(Some).ok_or_else(|| SourceError::malformed(format!("{path} is no whole number")))
            }
        };
        Ok([figure("/collections/msgs/count")?, figure("/data/msgSpoolUsage")?, figure("/data/averageRxMsgRate")?])
    }

    async fn get(&self, address: &str) -> Result<Value, SourceError> {
        let mut url = http::address(address, "solaceSempBaseURL")?;
        http::remove_login(&mut url);
        let what = http::presentable(&url);
        let SolaceEventQueue { username, password, .. } = &self.trigger;
        let request = self.client.get(url).basic_auth(username, Some(password.expose()));
        let answer = http::send(request.header(CONTENT_TYPE, "application/json")).await?.json(&what)?;
        let code =
            answer.pointer("/meta/responseCode").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = code.and_then(|code| StatusCode::from_u16(code).ok());
        match status {
            Some(status) if status.is_success() => Ok(answer),
            Some(status) => Err(SourceError::new(http::status_kind(status), format!("{what}: {}", status.as_u16()))),
            None => Err(SourceError::malformed(format!("{what}: the answer has no responseCode"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (SolaceEventQueue, Vec<String>) {
        let required = [
            ("solaceSempBaseURL", "http://a:8080,http://b:8080"),
            ("messageVpn", "v"),
            ("queueName", "a/b"),
            ("usernameFromEnv", "U"),
        ];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_environment([("U", "u")])
            .with_authentication([("password", "p")]);
        let (trigger, problems) = parse::<SolaceEventQueue>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn every_target_is_a_metric_and_megabytes_become_bytes() {
        let targets = [("messageReceiveRateTarget", "5"), ("messageSpoolUsageTarget", "20")];
        let (trigger, problems) = parsed(&targets);
        assert!(problems.is_empty(), "{problems:?}");
        let expected = vec![
            MetricSpec::external("solace-a-b-msgspoolusage", Target::Integer(20_971_520)),
            MetricSpec::external("solace-a-b-msgrcvrate", Target::Integer(5)),
        ];
        assert_eq!(trigger.specs(&Context::default()), Specs::Known(expected));
    }

    #[test]
    fn any_figure_activates_and_one_with_a_target_must_be_there() {
        let targets =
            [("messageCountTarget", "5"), ("messageSpoolUsageTarget", "1"), ("messageReceiveRateTarget", "1")];
        let activations = [
            ("activationMessageCountTarget", "20"),
            ("activationMessageSpoolUsageTarget", "1"),
            ("activationMessageReceiveRateTarget", "3"),
        ];
        let (trigger, _) = parsed(&[targets, activations].concat());
        let active = |figures: [i64; 3]| trigger.reading(figures.map(Some)).unwrap()[0].1.active;
        let figures = [[20, MEGABYTE, 3], [21, 0, 0], [0, MEGABYTE + 1, 0], [0, 0, 4]];
        assert_eq!(figures.map(active), [false, true, true, true]);
        let (count, _) = parsed(&targets[..1]);
        assert_eq!(count.reading([Some(7), None, None]).unwrap().len(), 1);
        assert_eq!(count.reading([None, Some(1), Some(1)]).unwrap_err().kind, ErrorKind::Malformed);
    }

    #[test]
    fn one_target_is_needed() {
        let none = ["no target value found in the scaler configuration"];
        assert_eq!(parsed(&[("messageCountTarget", "0")]).1, none);
        assert_eq!(parsed(&[("activationMessageCountTarget", "5")]).1, none);
        assert!(parsed(&[("messageCountTarget", "1")]).1.is_empty());
    }
}
