//! `solace-direct-messaging`: what Solace sends to clients, and what waits for them
//! (`scalers/solace-direct-messaging.md`).

mod replies;

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;

use crate::client::Sources;
use crate::client::http;
use crate::client::solace::all_failed;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use replies::{Rate, Reply};

/// Scale on what a Solace broker sends to the clients whose names match.
///
/// Each target that is given is a metric of its own, and the HPA follows the one that wants most replicas. Its value is
/// the rate at which the broker sends to the clients of the VPN, in bytes or in messages, now or averaged over a
/// minute, all clients added up. What waits in the clients' direct queues (`D-1`) is added `queuedMessagesFactor`
/// times, so that a backlog counts more than traffic that flows. At least one target must be above 0.
///
/// Log in with `username` and `password` of a user of the SEMP API who may show clients (HTTP Basic); they come from a
/// TriggerAuthentication or from variables, not from the metadata. Pod identities are not used.
///
/// - The trigger is always active, also where no client matches: it keeps the target above zero, and the activation
///   parameters have no effect.
/// - The pattern needs no `*`: the broker looks for it anywhere in the names.
///
/// ```yaml
/// type: solace-direct-messaging
/// metadata:
///   solaceSempBaseURL: https://solace-a.shop.example:943,https://solace-b.shop.example:943
///   messageVpn: shop
///   clientNamePattern: price-feed
///   aggregatedClientTxMsgRateTarget: "600"
///   queuedMessagesFactor: "5"
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
pub struct SolaceDirectMessaging {
    /// Addresses of the brokers' SEMP API, such as `https://a.example:943,https://b.example:943`; each is tried when
    /// those before it fail.
    #[meta(name = "solaceSempBaseURL", trigger)]
    addresses: Vec<String>,
    /// User of the SEMP API.
    #[meta(auth, env)]
    username: String,
    /// Password of the SEMP API.
    #[meta(auth, env)]
    password: Secret,
    /// Name of the message VPN; clients of others do not count.
    #[meta(trigger)]
    message_vpn: String,
    /// What the names of the clients have in them, such as `price-feed`; no `*`.
    #[meta(trigger)]
    client_name_pattern: String,
    /// Whether to take any certificate of the server.
    #[meta(name = "unsafeSSL", trigger, default = "false")]
    unsafe_ssl: bool,
    /// How much a message that waits counts, from 1 to 100 times one that is sent.
    #[meta(trigger, default = "3")]
    queued_messages_factor: i64,
    /// Bytes per second that one replica is expected to handle.
    #[meta(trigger, default = "0")]
    aggregated_client_tx_byte_rate_target: i64,
    /// Bytes per second, averaged over a minute, that one replica is expected to handle.
    #[meta(trigger, default = "0")]
    aggregated_client_average_tx_byte_rate_target: i64,
    /// Messages per second that one replica is expected to handle.
    #[meta(trigger, default = "0")]
    aggregated_client_tx_msg_rate_target: i64,
    /// Messages per second, averaged over a minute, that one replica is expected to handle.
    #[meta(trigger, default = "0")]
    aggregated_client_average_tx_msg_rate_target: i64,
    /// Without effect, as in KEDA: the target is always active.
    #[meta(trigger, default = "0")]
    #[expect(dead_code, reason = "without effect, as in KEDA")]
    activation_aggregated_client_tx_byte_rate_target: i64,
    /// Without effect, as in KEDA: the target is always active.
    #[meta(trigger, default = "0")]
    #[expect(dead_code, reason = "without effect, as in KEDA")]
    activation_aggregated_client_average_tx_byte_rate_target: i64,
    /// Without effect, as in KEDA: the target is always active.
    #[meta(trigger, default = "0")]
    #[expect(dead_code, reason = "without effect, as in KEDA")]
    activation_aggregated_client_tx_msg_rate_target: i64,
    /// Without effect, as in KEDA: the target is always active.
    #[meta(trigger, default = "0")]
    #[expect(dead_code, reason = "without effect, as in KEDA")]
    activation_aggregated_client_average_tx_msg_rate_target: i64,
}

impl SolaceDirectMessaging {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.has_errors() {
            return;
        }
        for (position, address) in self.addresses.iter().enumerate() {
            let problem = if address.is_empty() {
                "empty host url value"
            } else if has_web_address(address) {
                continue;
            } else {
                "invalid host url value"
            };
            let message = format!("{problem} found in the scaler configuration. Url[{position}]");
            return reader.error_at("solaceSempBaseURL", message);
        }
        if self.client_name_pattern.contains('*') {
            let pattern = &self.client_name_pattern;
            let message = format!("client-name-pattern should not contain '*'. ClientNamePattern: '{pattern}'");
            return reader.error_at("clientNamePattern", message);
        }
        let factor = self.queued_messages_factor;
        if !(1..=100).contains(&factor) {
            let message = format!("queued messages factor should be >0 and <=100. QueuedMessagesFactor: '{factor}'");
            return reader.error_at("queuedMessagesFactor", message);
        }
        if self.targets().iter().all(|(_, target, _)| *target < 1) {
            reader.error("no target value found in the scaler configuration");
        }
    }

    /// The targets by the ends of their metrics' names, and the rates that they are of.
    fn targets(&self) -> [(&'static str, i64, Rate); 4] {
        [
            ("aggregatedClientTxByteRateTarget", self.aggregated_client_tx_byte_rate_target, Rate::Bytes),
            (
                "aggregatedClientAverageTxByteRateTarget",
                self.aggregated_client_average_tx_byte_rate_target,
                Rate::AverageBytes,
            ),
            ("aggregatedClientTxMsgRateTarget", self.aggregated_client_tx_msg_rate_target, Rate::Messages),
            (
                "aggregatedClientAverageTxMsgRateTarget",
                self.aggregated_client_average_tx_msg_rate_target,
                Rate::AverageMessages,
            ),
        ]
    }

    /// The names of the metrics that are wanted, with their targets and rates.
    fn wanted(&self) -> impl Iterator<Item = (String, i64, Rate)> {
        let given = self.targets().into_iter().filter(|(_, target, _)| *target > 0);
        given.map(|(end, target, rate)| {
            (normalize(&format!("solace-dm-{}-{end}", self.client_name_pattern)), target, rate)
        })
    }

    /// The question for what is shown of the clients.
    fn question(&self, shown: &str) -> String {
        let pattern = self.client_name_pattern.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("<rpc><show><client><name>*{pattern}*</name>{shown}</client></show></rpc>")
    }
}

/// Whether `http://` or `https://` and the start of a host's name stand anywhere in a text.
fn has_web_address(text: &str) -> bool {
    let of_host = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_host = |rest: &str| rest.chars().take(2).filter(of_host).count() == 2;
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.match_indices(scheme).any(|(start, _)| starts_host(&text[start + scheme.len()..])))
}

impl Trigger for SolaceDirectMessaging {
    fn specs(&self, _: &Context) -> Specs {
        let spec = |(name, target, _)| MetricSpec::external(name, Target::Integer(target));
        Specs::Known(self.wanted().map(spec).collect())
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        Ok(Box::new(Brokers { client: sources.http.client(&sources.tls, &tls)?, trigger: self }))
    }
}

struct Brokers {
    client: Arc<Client>,
    trigger: SolaceDirectMessaging,
}

#[async_trait]
impl Scaler for Brokers {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let vpn = &self.trigger.message_vpn;
        let rates = self.ask("<stats/>", "reading client stats failed", |reply| {
            self.trigger.wanted().map(|(_, _, rate)| reply.rate(vpn, rate)).collect::<Result<Vec<_>, _>>()
        });
        let rates = rates.await?;
        let queues = "<stats></stats><queues></queues>";
        let waiting = self.ask(queues, "reading client stat queues failed", |reply| reply.waiting(vpn)).await?;
        let wanted = self.trigger.wanted().zip(rates);
        let reading = wanted.map(|((name, _, rate), sent)| {
            let queued = waiting.of(rate).saturating_mul(self.trigger.queued_messages_factor);
            // Whatever is sent, the target is kept above zero.
            (name, Sample { value: float(sent.saturating_add(queued)), active: true })
        });
        Ok(reading.collect())
    }
}

impl Brokers {
    /// Asks one broker after the other, until one answers, and takes something out of its reply.
    async fn ask<T>(
        &self,
        shown: &str,
        failed: &str,
        take: impl FnOnce(&Reply<'_>) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let question = self.trigger.question(shown);
        let mut failures = Vec::new();
        for address in &self.trigger.addresses {
            match self.post(address, &question).await {
                Ok(body) => {
                    let reply = Reply::parse(&body).and_then(|document| take(&Reply::check(&document)?));
                    return reply.map_err(|error| error.within(failed));
                }
                Err(failure) => failures.push(failure),
            }
        }
        Err(all_failed(&format!("{failed}: no URL returned any data"), &failures))
    }

    async fn post(&self, address: &str, question: &str) -> Result<String, SourceError> {
        let mut url = http::address(&format!("{address}/SEMP"), "solaceSempBaseURL")?;
        http::remove_login(&mut url);
        let what = http::presentable(&url);
        let SolaceDirectMessaging { username, password, .. } = &self.trigger;
        let request = self.client.post(url).basic_auth(username, Some(password.expose()));
        let request = request.header(CONTENT_TYPE, "application/xml").body(question.to_string());
        http::send(request).await?.success(&what)
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(address: &str, pattern: &str, more: &[(&str, &str)]) -> (SolaceDirectMessaging, Vec<String>) {
        let required = [("solaceSempBaseURL", address), ("messageVpn", "v"), ("clientNamePattern", pattern)];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_authentication([("username", "u"), ("password", "p")]);
        let (trigger, problems) = parse::<SolaceDirectMessaging>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn every_target_is_a_metric() {
        let targets = [("aggregatedClientAverageTxMsgRateTarget", "7"), ("aggregatedClientTxByteRateTarget", "600")];
        let (trigger, problems) = parsed("http://solace:80,https://t0:8080", "a.b", &targets);
        assert!(problems.is_empty(), "{problems:?}");
        let expected = vec![
            MetricSpec::external("solace-dm-a-b-aggregatedClientTxByteRateTarget", Target::Integer(600)),
            MetricSpec::external("solace-dm-a-b-aggregatedClientAverageTxMsgRateTarget", Target::Integer(7)),
        ];
        assert_eq!(trigger.specs(&Context::default()), Specs::Known(expected));
    }

    #[test]
    fn the_pattern_cannot_change_the_question() {
        let (trigger, _) = parsed("http://solace", "a<&>b", &[]);
        let question = "<rpc><show><client><name>*a&lt;&amp;&gt;b*</name><stats/></client></show></rpc>";
        assert_eq!(trigger.question("<stats/>"), question);
    }

    #[test]
    fn addresses_pattern_factor_and_targets_are_checked() {
        let target = ("aggregatedClientTxMsgRateTarget", "1");
        let refused = |address: &str, pattern: &str, more: &[(&str, &str)]| parsed(address, pattern, more).1.join("; ");
        assert_eq!(refused("see http://host", "p", &[target]), "");
        for address in ["ftp://host", "http://h:80"] {
            assert!(refused(address, "p", &[target]).contains("invalid host url value"), "{address}");
        }
        assert!(refused("http://host,", "p", &[target]).contains("empty host url value"));
        assert!(refused("http://host", "p*", &[target]).contains("should not contain '*'"));
        assert!(refused("http://host", "p", &[target, ("queuedMessagesFactor", "101")]).contains("<=100"));
        let activation = [("activationAggregatedClientTxMsgRateTarget", "1")];
        assert!(refused("http://host", "p", &activation).contains("no target value"));
    }
}
