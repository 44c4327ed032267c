//! The lag of a consumer, from the monitoring ports of the servers.

use std::sync::Arc;

use keda_core::names::query_escape;
use keda_core::sample::{ErrorKind, SourceError};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::NatsJetStream;
use crate::client::http;

/// Asks the servers about the consumer of one trigger.
#[derive(Debug)]
pub(super) struct Monitoring {
    client: Arc<Client>,
    /// Of the JetStream account, at the server that the trigger names.
    url: Url,
    names: Names,
}

/// What is looked for.
#[derive(Debug)]
struct Names {
    account: String,
    account_id: String,
    stream: String,
    consumer: String,
}

/// Where the consumer's leader was found last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leader {
    name: String,
    url: Url,
}

#[derive(Debug, Deserialize)]
struct JetStream {
    #[serde(default)]
    account_details: Vec<Account>,
    #[serde(default)]
    meta_cluster: MetaCluster,
}

#[derive(Debug, Default, Deserialize)]
struct MetaCluster {
    #[serde(default)]
    cluster_size: i64,
}

#[derive(Debug, Deserialize)]
struct Account {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    stream_detail: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
    #[serde(default)]
    consumer_detail: Vec<Consumer>,
}

#[derive(Debug, Deserialize)]
struct Consumer {
    name: String,
    num_pending: i64,
    num_ack_pending: i64,
    #[serde(default)]
    cluster: ConsumerCluster,
}

#[derive(Debug, Default, Deserialize)]
struct ConsumerCluster {
    #[serde(default)]
    leader: String,
}

#[derive(Debug, Deserialize)]
struct Server {
    #[serde(default)]
    server_name: String,
    /// Where clients can connect, if the servers tell.
    #[serde(default)]
    connect_urls: Vec<String>,
    #[serde(default)]
    cluster: ServerCluster,
}

#[derive(Debug, Default, Deserialize)]
struct ServerCluster {
    #[serde(default)]
    urls: Vec<String>,
}

impl Monitoring {
    pub(super) fn new(trigger: &NatsJetStream, client: Arc<Client>) -> Result<Self, SourceError> {
        let scheme = if trigger.use_https { "https" } else { "http" };
        let mut url: Url =
            format!("{scheme}://{}/jsz", trigger.nats_server_monitoring_endpoint).parse().map_err(|error| {
                SourceError::configuration(format!("natsServerMonitoringEndpoint is not host:port: {error}"))
            })?;
        let account = query_escape(&trigger.account_id);
        url.set_query(Some(&format!("acc={account}&config=true&consumers=true")));
        let names = Names {
            account: trigger.account.clone(),
            account_id: trigger.account_id.clone(),
            stream: trigger.stream.clone(),
            consumer: trigger.consumer.clone(),
        };
        Ok(Monitoring { client, url, names })
    }

    /// The lag, from the consumer's leader where there is a cluster; `known` is where that was found last.
    pub(super) async fn lag(&self, known: &mut Option<Leader>) -> Result<i64, SourceError> {
        if let Some(leader) = known.take()
            && let Ok(Some(consumer)) = self.consumer_at(leader.url.clone()).await
            && consumer.cluster.leader == leader.name
        {
            *known = Some(leader);
            return Ok(consumer.lag());
        }
        let answer: JetStream = self.get(self.url.clone()).await?;
        if answer.meta_cluster.cluster_size > 1 {
            let (consumer, leader) = self.find_leader().await?;
            *known = Some(leader);
            return Ok(consumer.lag());
        }
        let consumer = answer.consumer(&self.names).ok_or_else(|| {
            let Names { consumer, stream, .. } = &self.names;
            SourceError::configuration(format!("consumer {consumer:?} not found in stream {stream:?}"))
        })?;
        Ok(consumer.lag())
    }

    /// Asks one server after the other, past those that do not answer, until one is the leader.
    async fn find_leader(&self) -> Result<(Consumer, Leader), SourceError> {
        let server: Server = self.get(varz(&self.url)).await?;
        let (advertised, urls) = match server.connect_urls.is_empty() {
            false => (true, server.connect_urls),
            true => (false, server.cluster.urls),
        };
        let mut failure: Option<SourceError> = None;
        let mut exists = false;
        for url in urls {
            match self.ask_node(&url, advertised).await {
                Ok((Some(consumer), node)) if consumer.cluster.leader == node.name => return Ok((consumer, node)),
                Ok((consumer, _)) => exists |= consumer.is_some(),
                // Whoever answered knows more about what is wrong than one that did not.
                Err(error) => failure = failure.filter(|known| known.kind != ErrorKind::Unreachable).or(Some(error)),
            }
        }
        let message = format!("leader node not found for consumer {}", self.names.consumer);
        match failure {
            Some(error) => Err(error.within(&message)),
            // There is none while one is elected.
            None if exists => Err(SourceError::new(ErrorKind::Unreachable, message)),
            None => Err(SourceError::configuration(message)),
        }
    }

    /// What the server behind an address for clients, or for other servers, knows about the consumer.
    async fn ask_node(&self, address: &str, advertised: bool) -> Result<(Option<Consumer>, Leader), SourceError> {
        let node = if advertised {
            let url = at_host(&self.url, host_of(address))?;
            let server: Server = self.get(varz(&url)).await?;
            Leader { name: server.server_name, url }
        } else {
            let name = address.split('.').next().unwrap_or_default().to_string();
            let host = format!("{name}.{}", self.url.host_str().unwrap_or_default());
            Leader { url: at_host(&self.url, &host)?, name }
        };
        Ok((self.consumer_at(node.url.clone()).await?, node))
    }

    async fn consumer_at(&self, url: Url) -> Result<Option<Consumer>, SourceError> {
        let answer: JetStream = self.get(url).await?;
        Ok(answer.consumer(&self.names))
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, SourceError> {
        let what = http::presentable(&url);
        let body = http::send(self.client.get(url)).await?.success(&what)?;
        http::decode(&body, &what)
    }
}

impl JetStream {
    fn consumer(self, names: &Names) -> Option<Consumer> {
        let accounts = self.account_details.into_iter();
        accounts
            .filter(|account| account.id == names.account_id || account.name == names.account)
            .flat_map(|account| account.stream_detail)
            .filter(|stream| stream.name == names.stream)
            .flat_map(|stream| stream.consumer_detail)
            .find(|consumer| consumer.name == names.consumer)
    }
}

impl Consumer {
    fn lag(&self) -> i64 {
        self.num_pending.saturating_add(self.num_ack_pending)
    }
}

/// Where the server at `url` tells about itself.
fn varz(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_path("/varz");
    url.set_query(None);
    url
}

/// The same question to another host, at the same port.
fn at_host(url: &Url, host: &str) -> Result<Url, SourceError> {
    let mut url = url.clone();
    url.set_host(Some(host))
        .map_err(|error| SourceError::malformed(format!("a server of the cluster has no usable address: {error}")))?;
    Ok(url)
}

/// The host of `host:port`.
fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_servers_are_asked_at_the_same_port() {
        let url: Url = "http://nats:8222/jsz?acc=A".parse().unwrap();
        assert_eq!(varz(&url).as_str(), "http://nats:8222/varz");
        let asked = |address: &str| at_host(&url, host_of(address)).unwrap().to_string();
        assert_eq!(asked("nats-1.nats.svc:4222"), "http://nats-1.nats.svc:8222/jsz?acc=A");
        assert_eq!(asked("[fd00::1]:4222"), "http://[fd00::1]:8222/jsz?acc=A");
        assert!(at_host(&url, "a b").is_err());
    }

    #[test]
    fn an_account_is_known_by_its_id_or_its_name() {
        let answer = || -> JetStream {
            let text = r#"{"account_details": [
                {"id": "B", "name": "b", "stream_detail": [{"name": "s", "consumer_detail": [
                    {"name": "c", "num_pending": 100, "num_ack_pending": 0}]}]},
                {"id": "A", "name": "a", "stream_detail": [{"name": "s", "consumer_detail": [
                    {"name": "c", "num_pending": 7, "num_ack_pending": 2}]}]}]}"#;
            serde_json::from_str(text).unwrap()
        };
        let lag = |account: &str, account_id: &str, consumer: &str| {
            let names = Names {
                account: account.to_string(),
                account_id: account_id.to_string(),
                stream: "s".to_string(),
                consumer: consumer.to_string(),
            };
            answer().consumer(&names).map(|consumer| consumer.lag())
        };
        assert_eq!([lag("a", "a", "c"), lag("", "A", "c"), lag("a", "a", "other")], [Some(9), Some(9), None]);
    }
}
