//! `nsq`: the messages of a channel of an NSQ topic (`scalers/nsq.md`).

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::{normalize, query_escape};
use keda_core::sample::{Reading, Sample, SourceError};
use reqwest::header::ACCEPT;
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::client::Sources;
use crate::client::http::{self, Answer};
use crate::client::servers::join_host_port;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on the depth of a channel in NSQ.
///
/// The value is the number of messages that wait in the channel, added up over all nodes (`nsqd`) that the lookup
/// servers name for the topic; messages in flight are not in it. One replica is wanted per `depthThreshold` messages,
/// and the target leaves zero when there are more than `activationDepthThreshold`.
///
/// There is no login. KEDA asks the lookup servers, and then every node at the address that it announces
/// (`--broadcast-address` and its HTTP port), so those must be reachable too; one that does not answer makes the whole
/// reading fail.
///
/// - Where a node has the topic but not the channel yet, the depth of the topic counts: the channel will be given it
///   all.
/// - A paused channel counts 0, and so does a topic that no lookup server knows.
///
/// ```yaml
/// type: nsq
/// metadata:
///   nsqLookupdHTTPAddresses: nsqlookupd-0.nsq.shop.svc:4161,nsqlookupd-1.nsq.shop.svc:4161
///   topic: orders
///   channel: billing
///   depthThreshold: "50"
///   activationDepthThreshold: "5"
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Nsq {
    /// HTTP addresses of the lookup servers (`nsqlookupd`), such as `a.example:4161,b.example:4161`, without a scheme.
    #[meta(name = "nsqLookupdHTTPAddresses", trigger, env)]
    lookup_addresses: Vec<String>,
    /// The topic.
    #[meta(trigger, env)]
    topic: String,
    /// The channel.
    #[meta(trigger, env)]
    channel: String,
    /// Messages that one replica is expected to handle; more than 0.
    #[meta(trigger, env, default = "10")]
    depth_threshold: i64,
    /// Messages above which the target leaves zero; not negative.
    #[meta(trigger, env, default = "0")]
    activation_depth_threshold: i64,
    /// Whether to ask with HTTPS, both the lookup servers and the nodes at their announced HTTP ports.
    #[meta(trigger, env, default = "false")]
    use_https: bool,
    /// Whether to take any certificate of lookup servers and nodes.
    #[meta(trigger, env, default = "false")]
    unsafe_ssl: bool,
}

impl Nsq {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.has_errors() {
            return;
        }
        if self.depth_threshold <= 0 {
            reader.error_at("depthThreshold", "depthThreshold must be a positive integer");
        }
        if self.activation_depth_threshold < 0 {
            let message = "activationDepthThreshold must be greater than or equal to 0";
            reader.error_at("activationDepthThreshold", message);
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("nsq-{}-{}", self.topic, self.channel))
    }
}

impl Trigger for Nsq {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.depth_threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        Ok(Box::new(Channel { client: sources.http.client(&sources.tls, &tls)?, trigger: self }))
    }
}

struct Channel {
    client: Arc<Client>,
    trigger: Nsq,
}

/// What a lookup server knows about a topic.
#[derive(Debug, Deserialize)]
struct Lookup {
    producers: Vec<Producer>,
}

/// A node that has the topic.
#[derive(Debug, Deserialize)]
struct Producer {
    broadcast_address: String,
    http_port: u16,
}

/// What a lookup server says where it cannot answer.
#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
}

#[derive(Debug, Deserialize)]
struct Statistics {
    /// `None` where the node does not have the topic: it says `null` then, and older ones an empty list.
    #[serde(deserialize_with = "Option::deserialize")]
    topics: Option<Vec<TopicDepth>>,
}

#[derive(Debug, Deserialize)]
struct TopicDepth {
    topic_name: String,
    depth: i64,
    #[serde(default)]
    channels: Vec<ChannelDepth>,
}

#[derive(Debug, Deserialize)]
struct ChannelDepth {
    channel_name: String,
    depth: i64,
    #[serde(default)]
    paused: bool,
}

#[async_trait]
impl Scaler for Channel {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let nodes = self.nodes().await.map_err(|error| error.within("error getting nsqd hosts"))?;
        let depths = try_join_all(nodes.iter().map(|node| self.depth(node))).await;
        let depths = depths.map_err(|error| error.within("error getting topic/channel depth"))?;
        let depth = float(depths.into_iter().fold(0, i64::saturating_add));
        let sample = Sample::above(depth, float(self.trigger.activation_depth_threshold));
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

impl Channel {
    /// The nodes that have the topic, as any lookup server knows them.
    async fn nodes(&self) -> Result<BTreeSet<String>, SourceError> {
        let found = try_join_all(self.trigger.lookup_addresses.iter().map(|address| self.lookup(address))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn lookup(&self, address: &str) -> Result<Vec<String>, SourceError> {
        let path = format!("lookup?topic={}", query_escape(&self.trigger.topic));
        let answer = self.get(address, &path).await?;
        if answer.status.as_u16() == 404 && is_unknown_topic(&answer.body) {
            return Ok(Vec::new());
        }
        let what = format!("error getting lookup from host '{address}'");
        let lookup: Lookup = http::decode(&answer.success(&what)?, &what)?;
        Ok(lookup.producers.iter().map(Producer::address).collect())
    }

    /// The messages that wait on one node. The channel is not asked for by name: a node without it would say nothing
    /// of the topic.
    async fn depth(&self, node: &str) -> Result<i64, SourceError> {
        let topic = query_escape(&self.trigger.topic);
        let path = format!("stats?format=json&include_clients=false&include_mem=false&topic={topic}");
        let what = format!("error getting stats from host '{node}'");
        let body = self.get(node, &path).await?.success(&what)?;
        let statistics: Statistics = http::decode(&body, &what)?;
        Ok(statistics.depth(&self.trigger.topic, &self.trigger.channel))
    }

    async fn get(&self, host: &str, path: &str) -> Result<Answer, SourceError> {
        let scheme = if self.trigger.use_https { "https" } else { "http" };
        let url: Url = format!("{scheme}://{host}/{path}")
            .parse()
            .map_err(|error| SourceError::configuration(format!("{host:?} is not host:port: {error}")))?;
        http::send(self.client.get(url).header(ACCEPT, "application/json; charset=utf-8")).await
    }
}

fn is_unknown_topic(body: &str) -> bool {
    serde_json::from_str::<Refusal>(body).is_ok_and(|refusal| refusal.message == "TOPIC_NOT_FOUND")
}

impl Producer {
    fn address(&self) -> String {
        join_host_port(&self.broadcast_address, self.http_port)
    }
}

impl Statistics {
    fn depth(&self, topic: &str, channel: &str) -> i64 {
        let topics = self.topics.iter().flatten().filter(|found| found.topic_name == topic);
        topics.map(|topic| topic.depth_of(channel)).fold(0, i64::saturating_add)
    }
}

impl TopicDepth {
    /// What waits in a channel; in the topic itself where that has no such channel yet.
    fn depth_of(&self, channel: &str) -> i64 {
        match self.channels.iter().find(|found| found.channel_name == channel) {
            Some(channel) if channel.paused => 0,
            Some(channel) => channel.depth,
            None => self.depth,
        }
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (Nsq, Vec<String>) {
        let required = [("nsqLookupdHTTPAddresses", "l:4161"), ("topicFromEnv", "T"), ("channel", "c")];
        let inputs =
            Inputs::from_metadata(required.iter().chain(more).copied()).with_environment([("T", "a/b.c"), ("D", "0")]);
        let (trigger, problems) = parse::<Nsq>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_topic_and_channel() {
        let (trigger, problems) = parsed(&[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("nsq-a-b-c-c", Target::Integer(10));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_paused_channel_counts_nothing_and_one_that_is_to_come_the_topic() {
        let text = r#"{"topics": [
            {"topic_name": "t", "depth": 100, "channels": [
                {"channel_name": "c", "depth": 50, "paused": false},
                {"channel_name": "p", "depth": 60, "paused": true}]},
            {"topic_name": "other", "depth": 7, "channels": []}]}"#;
        let statistics: Statistics = serde_json::from_str(text).unwrap();
        let depths = [("t", "c"), ("t", "p"), ("t", "x"), ("other", "c"), ("none", "c")];
        assert_eq!(depths.map(|(topic, channel)| statistics.depth(topic, channel)), [50, 0, 100, 7, 0]);
    }

    #[test]
    fn a_node_without_the_topic_says_null_and_never_nothing() {
        let depth = |text: &str| serde_json::from_str::<Statistics>(text).ok().map(|found| found.depth("t", "c"));
        assert_eq!([r#"{"topics": null}"#, r#"{"topics": []}"#, "{}"].map(depth), [Some(0), Some(0), None]);
    }

    #[test]
    fn thresholds_have_lower_bounds() {
        let positive = ["depthThreshold must be a positive integer"];
        assert_eq!(parsed(&[("depthThreshold", "-1")]).1, positive);
        assert_eq!(parsed(&[("depthThresholdFromEnv", "D")]).1, positive);
        assert!(parsed(&[("activationDepthThreshold", "-1")]).1[0].contains("greater than or equal to 0"));
    }
}
