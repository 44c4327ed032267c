//! What triggers share: connections, HTTP, TLS. Never a trigger.
//!
//! [`Sources`] owns every connection. A trigger asks for one by what identifies it (endpoint, credentials, TLS,
//! options); those who ask for the same get the same, and the last one to leave closes it.

pub mod amqp;
pub mod authentication;
pub mod aws;
pub mod azure;
pub mod beanstalkd;
pub mod cassandra;
pub mod certificates;
pub mod clickhouse;
pub mod elastic;
pub mod etcd;
#[cfg(test)]
pub(crate) mod fake_cluster;
pub mod gcp;
pub mod github;
pub mod grpc;
pub mod http;
pub mod jolokia;
pub mod jwt;
pub mod kafka;
pub mod keystone;
pub mod mongodb;
pub mod mssql;
pub mod mysql;
pub mod notices;
pub mod oauth2;
pub mod pool;
pub mod postgres;
pub mod proxies;
pub mod redis;
pub mod request_uri;
pub mod search;
pub mod secret_file;
pub mod servers;
pub mod solace;
pub mod stream;
pub mod tls;
pub mod turns;
pub mod websocket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keda_core::cluster::Cluster;
use keda_core::sample::{ErrorKind, SourceError};

/// What the process was told about its clients (`config.md`), read once by the binary.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// `KEDA_HTTP_DEFAULT_TIMEOUT`: time for a whole HTTP request, and for one exchange with any other source.
    pub timeout: Duration,
    /// `KEDA_HTTP_MIN_TLS_VERSION` is `TLS13`; everything older is refused anyway.
    pub tls13_only: bool,
    /// `KEDA_HTTP_DISABLE_KEEP_ALIVE`.
    pub disable_keep_alive: bool,
    /// `--http-idle-conn-timeout`.
    pub idle_timeout: Duration,
    /// `--http-max-idle-conns-per-host`.
    pub max_idle_per_host: usize,
    /// `--ca-dir`: folders whose PEM files are trusted beside the system's.
    pub ca_dirs: Vec<PathBuf>,
    /// The proxies that HTTP goes through.
    pub proxies: proxies::Proxies,
    /// Where hosts are, without asking for their names, as in a hosts file; the port counts for HTTPS and HTTP at their
    /// usual ones.
    pub hosts: Vec<(String, SocketAddr)>,
    /// Who the process is at AWS.
    pub aws: aws::AwsEnvironment,
    /// Who the process is at Azure.
    pub azure: azure::AzureEnvironment,
    /// Who the process is at Google Cloud.
    pub gcp: gcp::GcpEnvironment,
}

impl SourceSettings {
    /// Time for a request to a service that may take long over it, and whose client in KEDA does not have
    /// `KEDA_HTTP_DEFAULT_TIMEOUT` as its limit: 30 s by default.
    pub fn long_timeout(&self) -> Duration {
        self.timeout.saturating_mul(10)
    }
}

impl Default for SourceSettings {
    fn default() -> Self {
        SourceSettings {
            timeout: Duration::from_secs(3),
            tls13_only: false,
            disable_keep_alive: false,
            idle_timeout: Duration::from_secs(90),
            max_idle_per_host: 1000,
            ca_dirs: vec![PathBuf::from("/custom/ca")],
            proxies: proxies::Proxies::default(),
            hosts: Vec::new(),
            aws: aws::AwsEnvironment::default(),
            azure: azure::AzureEnvironment::default(),
            gcp: gcp::GcpEnvironment::default(),
        }
    }
}

/// The shared connections to all event sources.
#[derive(Debug)]
pub struct Sources {
    /// What the process was told about its clients.
    pub settings: SourceSettings,
    /// TLS configurations.
    pub tls: Arc<tls::Tls>,
    /// HTTP clients.
    pub http: http::Http,
    /// OAuth 2.0 access tokens.
    pub tokens: Arc<oauth2::Tokens>,
    /// Redis, its clusters and sentinels.
    pub redis: Arc<redis::RedisPool>,
    /// AMQP 0-9-1.
    pub amqp: Arc<amqp::AmqpPool>,
    /// PostgreSQL.
    pub postgres: Arc<postgres::PostgresPool>,
    /// Keys for AWS.
    pub aws: aws::CredentialsPool,
    /// Tokens for Azure.
    pub azure: Arc<azure::TokenPool>,
    /// Tokens for Google Cloud.
    pub gcp: gcp::TokenPool,
    /// Tokens of GitHub Apps.
    pub github: Arc<github::Installations>,
    /// Logins at Keystone.
    pub keystone: Arc<keystone::KeystonePool>,
    /// Cassandra.
    pub cassandra: Arc<cassandra::CassandraPool>,
    /// ClickHouse, with its own protocol.
    pub clickhouse: Arc<clickhouse::ClickHousePool>,
    /// MongoDB.
    pub mongodb: Arc<mongodb::MongoPool>,
    /// SQL Server.
    pub mssql: Arc<mssql::MsSqlPool>,
    /// MySQL and MariaDB.
    pub mysql: Arc<mysql::MySqlPool>,
    /// Logins at etcd.
    pub etcd: Arc<etcd::LoginPool>,
    /// beanstalkd.
    pub beanstalkd: Arc<beanstalkd::BeanstalkdPool>,
    /// Kafka.
    pub kafka: Arc<kafka::KafkaPool>,
    /// gRPC channels.
    pub grpc: Arc<grpc::GrpcPool>,
    /// The cluster that keda runs in, if it does.
    pub cluster: Option<Arc<dyn Cluster>>,
}

impl Sources {
    /// No connection yet.
    pub fn new(settings: SourceSettings) -> Self {
        Sources {
            tls: Arc::new(tls::Tls::new(&settings)),
            http: http::Http::new(&settings),
            tokens: Arc::default(),
            redis: Arc::default(),
            amqp: Arc::default(),
            postgres: Arc::default(),
            aws: aws::CredentialsPool::default(),
            azure: Arc::default(),
            gcp: gcp::TokenPool::default(),
            github: Arc::default(),
            keystone: Arc::default(),
            cassandra: Arc::default(),
            clickhouse: Arc::default(),
            mongodb: Arc::default(),
            mssql: Arc::default(),
            mysql: Arc::default(),
            etcd: Arc::default(),
            beanstalkd: Arc::default(),
            kafka: Arc::default(),
            grpc: Arc::default(),
            cluster: None,
            settings,
        }
    }

    /// The same with a cluster, for the triggers that ask it.
    #[must_use]
    pub fn with_cluster(self, cluster: Arc<dyn Cluster>) -> Self {
        Sources { cluster: Some(cluster), ..self }
    }

    /// The cluster, for a trigger of type `trigger_type`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where there is none.
    pub fn cluster_for(&self, trigger_type: &str) -> Result<Arc<dyn Cluster>, SourceError> {
        let missing = || SourceError::new(ErrorKind::Unsupported, format!("{trigger_type} needs a cluster"));
        self.cluster.clone().ok_or_else(missing)
    }
}
