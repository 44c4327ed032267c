//! A cluster: which broker is asked what.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use kafka_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use kafka_protocol::messages::{BrokerId, GroupId, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use keda_core::sample::{ErrorKind, SourceError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Stream};
use super::login::{Login, log_in};
use super::questions::Question;
use super::{Partition, check};
use crate::client::Sources;
use crate::client::oauth2::TokenSource;
use crate::client::pool::{Pool, Slot};
use crate::client::servers::join_host_port;
use crate::client::tls::{Tls, TlsOptions};

/// Time for one answer at least: brokers under load take long, and then the lag matters most.
const ANSWER: Duration = Duration::from_secs(10);

/// Asks for the end of a partition, in the place of a time.
const LATEST: i64 = -1;

/// One connection per broker and login.
pub type KafkaPool = Pool<(String, Access), Connection>;

/// How brokers are reached, and who we are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// TLS, when it is on.
    pub tls: Option<TlsOptions>,
    /// The login.
    pub login: Login,
}

/// A client for the questions of one trigger.
#[derive(Debug)]
pub struct Cluster {
    /// Brokers that are known from the start; they name the others.
    bootstrap: Vec<String>,
    /// Which of these answered last.
    preferred: AtomicUsize,
    access: Access,
    tokens: Option<TokenSource>,
    pool: Arc<KafkaPool>,
    tls: Arc<Tls>,
    /// Half of the time to connect and log in.
    patience: Duration,
    /// The slots that this client holds on to, so that their connections stay open.
    held: Mutex<HashMap<String, Arc<Slot<Connection>>>>,
}

/// The partitions of topics, and who leads them.
#[derive(Debug, Default)]
pub struct Topics {
    /// The leader's address; none where there is no leader at the moment.
    leaders: BTreeMap<Partition, Option<String>>,
}

impl Topics {
    /// All partitions.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.leaders.keys()
    }
}

impl Cluster {
    /// A client that dials when first asked.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for TLS material that cannot be used.
    pub fn new(bootstrap: Vec<String>, access: Access, sources: &Sources) -> Result<Self, SourceError> {
        if let Some(tls) = &access.tls {
            sources.tls.config(tls)?;
        }
        let tokens = match &access.login {
            Login::Token { credentials, .. } => {
                let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
                Some(TokenSource::new(credentials.clone(), client, &sources.tokens))
            }
            _ => None,
        };
        Ok(Cluster {
            bootstrap,
            preferred: AtomicUsize::new(0),
            access,
            tokens,
            pool: Arc::clone(&sources.kafka),
            tls: Arc::clone(&sources.tls),
            patience: sources.settings.timeout,
            held: Mutex::new(HashMap::new()),
        })
    }

    /// The partitions of these topics, or of all. A topic that does not exist is an error, unless it is skipped.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a topic that does not exist, and whatever keeps the brokers from answering.
    pub async fn topics(&self, names: Option<&[String]>, skip_unknown: bool) -> Result<Topics, SourceError> {
        let topic = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let question = MetadataRequest::default()
            .with_topics(names.map(|names| names.iter().map(topic).collect()))
            .with_allow_auto_topic_creation(false);
        topics_in(&self.ask_any(&question).await?, skip_unknown)
    }

    /// The offsets that a group has committed: for these partitions, or for all that it has committed any for.
    ///
    /// # Errors
    /// What the coordinator says of the group, or of any of the partitions.
    pub async fn committed(
        &self,
        group: &str,
        partitions: Option<&[&Partition]>,
    ) -> Result<BTreeMap<Partition, i64>, SourceError> {
        let topics = partitions.map(|partitions| {
            let by_topic = by_topic(partitions.iter().copied()).into_iter();
            let topic = |(name, indexes): (&str, Vec<i32>)| {
                OffsetFetchRequestTopic::default().with_name(topic_name(name)).with_partition_indexes(indexes)
            };
            by_topic.map(topic).collect()
        });
        let question = OffsetFetchRequest::default().with_group_id(group_id(group)).with_topics(topics);
        let coordinator = self.coordinator(group).await?;
        let answer = self.ask(&coordinator, &question).await?;
        check(answer.error_code, || format!("group {group}"))?;
        let mut committed = BTreeMap::new();
        for topic in answer.topics {
            let name = topic.name.as_str();
            for partition in topic.partitions {
                let index = partition.partition_index;
                check(partition.error_code, || {
                    format!("error finding offset block for topic {name} and partition {index}")
                })?;
                committed.insert((name.to_string(), index), partition.committed_offset);
            }
        }
        Ok(committed)
    }

    /// The ends of partitions, from their leaders.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] where a partition has no leader, and what a leader says of any of them.
    pub async fn ends(
        &self,
        topics: &Topics,
        partitions: &[&Partition],
    ) -> Result<BTreeMap<Partition, i64>, SourceError> {
        let mut by_leader: BTreeMap<&str, Vec<&Partition>> = BTreeMap::new();
        for partition in partitions {
            let leader = topics.leaders.get(*partition).and_then(Option::as_deref).ok_or_else(|| {
                let (topic, index) = partition;
                SourceError::new(ErrorKind::Unreachable, format!("partition {index} of topic {topic} has no leader"))
            })?;
            by_leader.entry(leader).or_default().push(partition);
        }
        let ends = by_leader.into_iter().map(|(leader, partitions)| self.ends_at(leader, partitions));
        let ends: BTreeMap<Partition, i64> = try_join_all(ends).await?.into_iter().flatten().collect();
        match partitions.iter().find(|partition| !ends.contains_key(**partition)) {
            // One that is left out would count as one without lag.
            Some((topic, index)) => {
                Err(SourceError::malformed(format!("no broker told the end of partition {index} of topic {topic}")))
            }
            None => Ok(ends),
        }
    }

    async fn ends_at(&self, leader: &str, partitions: Vec<&Partition>) -> Result<Vec<(Partition, i64)>, SourceError> {
        let partition = |index: i32| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(LATEST);
        let topic = |(name, indexes): (&str, Vec<i32>)| {
            let partitions = indexes.into_iter().map(partition).collect();
            ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let question = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(by_topic(partitions).into_iter().map(topic).collect());
        let answer = self.ask(leader, &question).await?;
        let mut ends = Vec::new();
        for topic in answer.topics {
            let name = topic.name.as_str();
            for partition in topic.partitions {
                let index = partition.partition_index;
                check(partition.error_code, || format!("the end of partition {index} of topic {name}"))?;
                ends.push(((name.to_string(), index), partition.offset));
            }
        }
        Ok(ends)
    }

    /// How many members a group has, and its state.
    ///
    /// # Errors
    /// What the coordinator says of the group.
    pub async fn members(&self, group: &str) -> Result<(usize, String), SourceError> {
        let coordinator = self.coordinator(group).await?;
        let question = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        let answer = self.ask(&coordinator, &question).await?;
        let described = answer
            .groups
            .into_iter()
            .next()
            .ok_or_else(|| SourceError::malformed(format!("the coordinator says nothing of the group {group}")))?;
        check(described.error_code, || format!("group {group}"))?;
        Ok((described.members.len(), described.group_state.to_string()))
    }

    /// The broker that knows a group.
    async fn coordinator(&self, group: &str) -> Result<String, SourceError> {
        let question = FindCoordinatorRequest::default().with_key(text(group));
        let answer = self.ask_any(&question).await?;
        check(answer.error_code, || format!("the coordinator of group {group}"))?;
        Ok(join_host_port(&answer.host, answer.port))
    }

    /// Asks one after the other of the brokers that are known from the start until one answers, the one that answered
    /// last before the others.
    async fn ask_any<Q: Question>(&self, question: &Q) -> Result<Q::Answer, SourceError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure: Option<SourceError> = None;
        for turn in 0..self.bootstrap.len() {
            let position = (first + turn) % self.bootstrap.len();
            let Some(address) = self.bootstrap.get(position) else { break };
            match self.ask(address, question).await {
                Ok(answer) => {
                    self.preferred.store(position, Ordering::Relaxed);
                    return Ok(answer);
                }
                // A broker that answered knows more than one that did not.
                Err(error) if error.kind == ErrorKind::Unreachable => failure = failure.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| SourceError::configuration("no brokers given in bootstrapServers")))
    }

    /// Asks one broker; once more where the connection had been closed meanwhile.
    async fn ask<Q: Question>(&self, address: &str, question: &Q) -> Result<Q::Answer, SourceError> {
        match self.try_once(address, question).await {
            Err((_, true)) => self.try_once(address, question).await,
            result => result,
        }
        .map_err(|(error, _)| error.within(address))
    }

    /// The answer, or why there is none and whether an old connection is to blame.
    async fn try_once<Q: Question>(&self, address: &str, question: &Q) -> Result<Q::Answer, (SourceError, bool)> {
        let slot = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let key = || (address.to_string(), self.access.clone());
            Arc::clone(held.entry(address.to_string()).or_insert_with(|| self.pool.slot(key())))
        };
        let connection = slot.get(|| self.dial(address)).await.map_err(|error| (error, false))?;
        let answer = connection.ask(question).await;
        match answer {
            Err(error) if matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Malformed) => {
                slot.discard(&connection).await;
                let is_old = error.kind == ErrorKind::Unreachable && connection.is_closed();
                Err((error, is_old))
            }
            answer => answer.map_err(|error| (error, false)),
        }
    }

    async fn dial(&self, address: &str) -> Result<Connection, SourceError> {
        let dial = async {
            let stream = self.open(address).await?;
            let connection = Connection::start(stream, self.patience.max(ANSWER)).await?;
            log_in(&connection, &self.access.login, self.tokens.as_ref()).await?;
            Ok(connection)
        };
        let late = |_| SourceError::new(ErrorKind::Unreachable, "no answer in time");
        tokio::time::timeout(2 * self.patience, dial).await.map_err(late)?
    }

    async fn open(&self, address: &str) -> Result<Box<dyn Stream>, SourceError> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::InvalidInput => SourceError::configuration(format!("not host:port: {error}")),
            _ => SourceError::new(ErrorKind::Unreachable, error.to_string()),
        };
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        // Small exchanges: do not wait for more to send. A failure costs only time.
        let _ = stream.set_nodelay(true);
        let Some(options) = &self.access.tls else { return Ok(Box::new(stream)) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let name = host
            .to_string()
            .try_into()
            .map_err(|_| SourceError::configuration(format!("{host:?} is no name for a certificate")))?;
        let connector = TlsConnector::from(self.tls.config(options)?);
        Ok(Box::new(connector.connect(name, stream).await.map_err(failed)?))
    }
}

/// What a broker says of topics.
fn topics_in(answer: &MetadataResponse, skip_unknown: bool) -> Result<Topics, SourceError> {
    let address = |id: BrokerId| {
        let broker = answer.brokers.iter().find(|broker| broker.node_id == id)?;
        Some(join_host_port(&broker.host, broker.port))
    };
    let mut topics = Topics::default();
    for topic in &answer.topics {
        let name = topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
        if let Err(error) = check(topic.error_code, || format!("topic {name}")) {
            if skip_unknown && error.kind == ErrorKind::Configuration {
                continue;
            }
            return Err(error);
        }
        for partition in &topic.partitions {
            topics.leaders.insert((name.clone(), partition.partition_index), address(partition.leader_id));
        }
    }
    Ok(topics)
}

fn by_topic<'a>(partitions: impl IntoIterator<Item = &'a Partition>) -> BTreeMap<&'a str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(topic).or_default().push(*index);
    }
    topics
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

fn group_id(group: &str) -> GroupId {
    GroupId(text(group))
}
