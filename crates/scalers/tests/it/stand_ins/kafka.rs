//! The brokers of a Kafka cluster, in this process: they speak the protocol and keep what a test puts into them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes, decode_request_header_from_buffer};
use prost::bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use crate::servers::Certificates;

const HOST: &str = "localhost";

/// What the brokers know.
#[derive(Clone, Default)]
pub struct Known {
    /// The ends of the partitions of each topic. The brokers lead them in turn.
    pub topics: BTreeMap<String, Vec<i64>>,
    /// What the group has committed.
    pub committed: BTreeMap<(String, i32), i64>,
    pub members: usize,
    /// User and password, where they want them.
    pub login: Option<(&'static str, &'static str)>,
    /// Token and extensions, in the place of user and password.
    pub token: Option<&'static str>,
    /// The error that the coordinator answers with.
    pub group_error: i16,
    /// Connections that were made.
    pub connections: usize,
}

impl Known {
    fn log_in(&self, session: &mut Session, said: &[u8]) -> SaslAuthenticateResponse {
        let expected = match (self.token, self.login) {
            (Some(token), _) => format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}"),
            (None, login) => login.map(|(user, password)| format!("\0{user}\0{password}")).unwrap(),
        };
        session.is_logged_in = said == expected.as_bytes();
        let answer = SaslAuthenticateResponse::default();
        match (session.is_logged_in, self.token) {
            (true, _) => answer,
            (false, None) => answer.with_error_code(58),
            (false, Some(_)) => answer.with_auth_bytes(Bytes::from_static(br#"{"status": "invalid_token"}"#)),
        }
    }
}

/// The brokers, which run as long as the test.
pub struct Kafka {
    ports: Vec<u16>,
    known: Arc<Mutex<Known>>,
    hang_up: broadcast::Sender<()>,
}

impl Kafka {
    /// Starts two brokers, which talk over TLS where there are certificates.
    pub async fn start(known: Known, certificates: Option<&Certificates>) -> Self {
        let listeners =
            [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect::<Vec<_>>();
        let kafka = Kafka { ports, known: Arc::new(Mutex::new(known)), hang_up: broadcast::channel(1).0 };
        for listener in listeners {
            let acceptor = certificates.map(|certificates| certificates.acceptor(&[]));
            let (ports, known, hang_up) = (kafka.ports.clone(), Arc::clone(&kafka.known), kafka.hang_up.clone());
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    known.lock().unwrap().connections += 1;
                    let broker = Broker { ports: ports.clone(), known: Arc::clone(&known) };
                    match &acceptor {
                        None => broker.talk(stream, hang_up.subscribe()),
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                broker.talk(stream, hang_up.subscribe());
                            }
                        }
                    }
                }
            });
        }
        kafka
    }

    /// The address of the first broker.
    pub fn address(&self) -> String {
        format!("{HOST}:{}", self.ports[0])
    }

    /// Changes or looks at what they know.
    pub fn with<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().unwrap())
    }

    /// Breaks all connections off.
    pub fn hang_up(&self) {
        let _ = self.hang_up.send(());
    }
}

struct Broker {
    ports: Vec<u16>,
    known: Arc<Mutex<Known>>,
}

/// What a connection goes through until the client is known.
struct Session {
    is_logged_in: bool,
}

impl Broker {
    fn talk(self, mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, mut end: broadcast::Receiver<()>) {
        let mut session = Session { is_logged_in: self.is_open() };
        tokio::spawn(async move {
            loop {
                let length = tokio::select! {
                    length = stream.read_u32() => length,
                    _ = end.recv() => return,
                };
                let Ok(length) = length else { return };
                let mut request = vec![0; length as usize];
                stream.read_exact(&mut request).await.unwrap();
                let Some(answer) = self.answer(&mut session, Bytes::from(request)) else { return };
                stream.write_u32(u32::try_from(answer.len()).unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
    }

    fn is_open(&self) -> bool {
        let known = self.known.lock().unwrap();
        known.login.is_none() && known.token.is_none()
    }

    /// The answer to a request; none to one that must not come yet.
    fn answer(&self, session: &mut Session, mut request: Bytes) -> Option<BytesMut> {
        let header = decode_request_header_from_buffer(&mut request).unwrap();
        let version = header.request_api_version;
        let key = ApiKey::try_from(header.request_api_key).unwrap();
        let opens = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate].contains(&key);
        if !session.is_logged_in && !opens {
            return None;
        }
        let known = self.known.lock().unwrap();
        let answer = match key {
            ApiKey::ApiVersions => written(&versions(), version),
            ApiKey::SaslHandshake => {
                let mechanism = if known.token.is_some() { "OAUTHBEARER" } else { "PLAIN" };
                let mechanism = StrBytes::from_static_str(mechanism);
                let asked = SaslHandshakeRequest::decode(&mut request, version).unwrap();
                let error = if asked.mechanism == mechanism { 0 } else { 33 };
                let answer = SaslHandshakeResponse::default().with_error_code(error);
                written(&answer.with_mechanisms(vec![mechanism]), version)
            }
            ApiKey::SaslAuthenticate => {
                let asked = SaslAuthenticateRequest::decode(&mut request, version).unwrap();
                written(&known.log_in(session, &asked.auth_bytes), version)
            }
            ApiKey::Metadata => {
                let asked = MetadataRequest::decode(&mut request, version).unwrap();
                assert!(!asked.allow_auto_topic_creation, "looking must not make topics");
                written(&self.metadata(&known, asked), version)
            }
            ApiKey::FindCoordinator => {
                let last = self.ports.len() - 1;
                let answer = FindCoordinatorResponse::default()
                    .with_host(StrBytes::from_static_str(HOST))
                    .with_node_id(BrokerId(i32::try_from(last).unwrap()))
                    .with_port(i32::from(self.ports[last]));
                written(&answer, version)
            }
            ApiKey::OffsetFetch => {
                written(&offsets(&known, OffsetFetchRequest::decode(&mut request, version).unwrap()), version)
            }
            ApiKey::ListOffsets => {
                written(&ends(&known, ListOffsetsRequest::decode(&mut request, version).unwrap()), version)
            }
            ApiKey::DescribeGroups => {
                let group = DescribedGroup::default()
                    .with_group_state(StrBytes::from_static_str("Empty"))
                    .with_members(vec![DescribedGroupMember::default(); known.members]);
                written(&DescribeGroupsResponse::default().with_groups(vec![group]), version)
            }
            other => panic!("nobody asks {other:?}"),
        };
        let (mut bytes, header_version) = answer;
        let mut whole = BytesMut::new();
        ResponseHeader::default()
            .with_correlation_id(header.correlation_id)
            .encode(&mut whole, header_version)
            .unwrap();
        whole.extend_from_slice(&bytes.split());
        Some(whole)
    }

    fn metadata(&self, known: &Known, asked: MetadataRequest) -> MetadataResponse {
        let brokers = (0..).zip(&self.ports).map(|(id, port)| {
            let host = StrBytes::from_static_str(HOST);
            MetadataResponseBroker::default().with_node_id(BrokerId(id)).with_host(host).with_port(i32::from(*port))
        });
        let names: Vec<TopicName> = match asked.topics {
            Some(topics) => topics.into_iter().map(|topic| topic.name.unwrap()).collect(),
            None => known.topics.keys().map(|name| TopicName(StrBytes::from_string(name.clone()))).collect(),
        };
        let topics = names.into_iter().map(|name| match known.topics.get(name.as_str()) {
            None => MetadataResponseTopic::default().with_name(Some(name)).with_error_code(3),
            Some(ends) => {
                let partition = |index: i32| {
                    let leader = index % i32::try_from(self.ports.len()).unwrap();
                    MetadataResponsePartition::default().with_partition_index(index).with_leader_id(BrokerId(leader))
                };
                let partitions = (0..).zip(ends).map(|(index, _)| partition(index)).collect();
                MetadataResponseTopic::default().with_name(Some(name)).with_partitions(partitions)
            }
        });
        let topics = topics.collect();
        MetadataResponse::default().with_brokers(brokers.collect()).with_topics(topics)
    }
}

fn written<M: Encodable + HeaderVersion>(message: &M, version: i16) -> (BytesMut, i16) {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap();
    (bytes, M::header_version(version))
}

/// The versions of Kafka 4.
fn versions() -> ApiVersionsResponse {
    let keys = [(2, 1, 10), (3, 0, 13), (9, 1, 9), (10, 0, 6), (15, 0, 6), (17, 0, 1), (18, 0, 4), (36, 0, 2)];
    let keys = keys.map(|(key, oldest, newest)| {
        ApiVersion::default().with_api_key(key).with_min_version(oldest).with_max_version(newest)
    });
    ApiVersionsResponse::default().with_api_keys(keys.into())
}

fn offsets(known: &Known, asked: OffsetFetchRequest) -> OffsetFetchResponse {
    let asked: Vec<(String, i32)> = match asked.topics {
        None => known.committed.keys().cloned().collect(),
        Some(topics) => topics
            .into_iter()
            .flat_map(|topic| topic.partition_indexes.into_iter().map(move |index| (topic.name.to_string(), index)))
            .collect(),
    };
    let topics = asked.into_iter().map(|(name, index)| {
        let offset = known.committed.get(&(name.clone(), index)).copied().unwrap_or(-1);
        let partition =
            OffsetFetchResponsePartition::default().with_partition_index(index).with_committed_offset(offset);
        let name = TopicName(StrBytes::from_string(name));
        OffsetFetchResponseTopic::default().with_name(name).with_partitions(vec![partition])
    });
    OffsetFetchResponse::default().with_error_code(known.group_error).with_topics(topics.collect())
}

fn ends(known: &Known, asked: ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = asked.topics.into_iter().map(|topic| {
        let ends = &known.topics[topic.name.as_str()];
        let partitions = topic.partitions.iter().map(|partition| {
            assert_eq!(partition.timestamp, -1, "the end is asked for");
            let index = partition.partition_index;
            let end = ends[usize::try_from(index).unwrap()];
            ListOffsetsPartitionResponse::default().with_partition_index(index).with_offset(end)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}
