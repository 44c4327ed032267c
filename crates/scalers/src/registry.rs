//! The one table of trigger types.
//!
//! A line names the module, its file, its struct and the types that it serves. A type that is not here does not exist.

use std::fmt;

use keda_core::manifest::Document;
use keda_core::metadata::{Context, Inputs, Parameter, parse_with_fingerprint};
use keda_core::problem::{Path, Problem, Step, did_you_mean, did_you_mean_part};
use keda_core::sample::SourceError;

use crate::client::Sources;
use crate::trigger::{Scaler, Specs, Trigger};

macro_rules! catalogue {
    ($($module:ident = $file:literal => $trigger:ident serves [$($name:literal),+ $(,)?];)*) => {
        $(#[path = $file] pub mod $module;)*

        /// Every trigger type, by name.
        pub static CATALOGUE: &[TriggerType] = &[
            $($(TriggerType::of::<$module::$trigger>($name),)+)*
        ];
    };
}

catalogue! {
    activemq = "triggers/messaging/activemq.rs" => ActiveMq serves ["activemq"];
    apache_kafka = "triggers/messaging/apache_kafka.rs" => ApacheKafka serves ["apache-kafka"];
    arangodb = "triggers/databases/arangodb.rs" => ArangoDb serves ["arangodb"];
    artemis_queue = "triggers/messaging/artemis_queue.rs" => ArtemisQueue serves ["artemis-queue"];
    aws_cloudwatch = "triggers/aws/cloudwatch.rs" => CloudWatch serves ["aws-cloudwatch"];
    aws_dynamodb = "triggers/aws/dynamodb.rs" => DynamoDb serves ["aws-dynamodb"];
    aws_dynamodb_streams = "triggers/aws/dynamodb_streams.rs" => DynamoDbStreams serves ["aws-dynamodb-streams"];
    aws_kinesis_stream = "triggers/aws/kinesis_stream.rs" => KinesisStream serves ["aws-kinesis-stream"];
    aws_sqs_queue = "triggers/aws/sqs_queue.rs" => SqsQueue serves ["aws-sqs-queue"];
    azure_app_insights = "triggers/azure/app_insights.rs" => AzureAppInsights serves ["azure-app-insights"];
    azure_blob = "triggers/azure/blob/mod.rs" => AzureBlob serves ["azure-blob"];
    azure_data_explorer = "triggers/azure/data_explorer.rs" => AzureDataExplorer serves ["azure-data-explorer"];
    azure_eventhub = "triggers/azure/eventhub.rs" => AzureEventHub serves ["azure-eventhub"];
    azure_log_analytics = "triggers/azure/log_analytics.rs" => AzureLogAnalytics serves ["azure-log-analytics"];
    azure_monitor = "triggers/azure/monitor.rs" => AzureMonitor serves ["azure-monitor"];
    azure_pipelines = "triggers/azure/pipelines.rs" => AzurePipelines serves ["azure-pipelines"];
    azure_queue = "triggers/azure/queue.rs" => AzureQueue serves ["azure-queue"];
    azure_servicebus = "triggers/azure/servicebus/mod.rs" => AzureServiceBus serves ["azure-servicebus"];
    beanstalkd = "triggers/messaging/beanstalkd.rs" => Tube serves ["beanstalkd"];
    cassandra = "triggers/databases/cassandra.rs" => Cassandra serves ["cassandra"];
    clickhouse = "triggers/databases/clickhouse.rs" => ClickHouse serves ["clickhouse"];
    couchdb = "triggers/databases/couchdb.rs" => CouchDb serves ["couchdb"];
    cron = "triggers/time/cron.rs" => Cron serves ["cron"];
    datadog = "triggers/observability/datadog/mod.rs" => Datadog serves ["datadog"];
    dynatrace = "triggers/observability/dynatrace.rs" => Dynatrace serves ["dynatrace"];
    elastic_forecast = "triggers/databases/elastic_forecast.rs" => ElasticForecast serves ["elastic-forecast"];
    elasticsearch = "triggers/databases/elasticsearch.rs" => Elasticsearch serves ["elasticsearch"];
    etcd = "triggers/databases/etcd/mod.rs" => Etcd serves ["etcd"];
    external = "triggers/external/mod.rs" => External serves ["external", "external-push"];
    forgejo_runner = "triggers/ci/forgejo_runner.rs" => ForgejoRunner serves ["forgejo-runner"];
    gcp_cloudtasks = "triggers/gcp/cloudtasks.rs" => CloudTasks serves ["gcp-cloudtasks"];
    gcp_pubsub = "triggers/gcp/pubsub.rs" => PubSub serves ["gcp-pubsub"];
    gcp_spanner = "triggers/gcp/spanner.rs" => Spanner serves ["gcp-spanner"];
    gcp_stackdriver = "triggers/gcp/stackdriver.rs" => Stackdriver serves ["gcp-stackdriver"];
    gcp_storage = "triggers/gcp/storage.rs" => Storage serves ["gcp-storage"];
    github_runner = "triggers/ci/github_runner/mod.rs" => GithubRunner serves ["github-runner"];
    graphite = "triggers/observability/graphite.rs" => Graphite serves ["graphite"];
    huawei_cloudeye = "triggers/observability/huawei_cloudeye/mod.rs" => HuaweiCloudEye serves ["huawei-cloudeye"];
    ibmmq = "triggers/messaging/ibmmq.rs" => IbmMq serves ["ibmmq"];
    influxdb = "triggers/databases/influxdb.rs" => InfluxDb serves ["influxdb"];
    kafka = "triggers/messaging/kafka/mod.rs" => Kafka serves ["kafka"];
    kubernetes_resource = "triggers/kubernetes/resource/mod.rs" => KubernetesResource serves ["kubernetes-resource"];
    kubernetes_workload = "triggers/kubernetes/workload.rs" => KubernetesWorkload serves ["kubernetes-workload"];
    liiklus = "triggers/messaging/liiklus/mod.rs" => Liiklus serves ["liiklus"];
    loki = "triggers/observability/loki.rs" => Loki serves ["loki"];
    metrics_api = "triggers/http/metrics_api.rs" => MetricsApi serves ["metrics-api"];
    mongodb = "triggers/databases/mongodb.rs" => MongoDb serves ["mongodb"];
    mssql = "triggers/databases/mssql.rs" => SqlServer serves ["mssql"];
    mysql = "triggers/databases/mysql.rs" => MySql serves ["mysql"];
    nats_jetstream = "triggers/messaging/nats_jetstream/mod.rs" => NatsJetStream serves ["nats-jetstream"];
    new_relic = "triggers/observability/new_relic.rs" => NewRelic serves ["new-relic"];
    nsq = "triggers/messaging/nsq.rs" => Nsq serves ["nsq"];
    opensearch = "triggers/databases/opensearch.rs" => OpenSearch serves ["opensearch"];
    openstack_metric = "triggers/openstack/metric.rs" => OpenStackMetric serves ["openstack-metric"];
    openstack_swift = "triggers/openstack/swift.rs" => OpenStackSwift serves ["openstack-swift"];
    postgresql = "triggers/databases/postgresql.rs" => PostgreSql serves ["postgresql"];
    predictkube = "triggers/observability/predictkube/mod.rs" => PredictKube serves ["predictkube"];
    prometheus = "triggers/observability/prometheus/mod.rs" => Prometheus serves ["prometheus"];
    pulsar = "triggers/messaging/pulsar/mod.rs" => Pulsar serves ["pulsar"];
    rabbitmq = "triggers/messaging/rabbitmq/mod.rs" => RabbitMq serves ["rabbitmq"];
    redis = "triggers/databases/redis.rs" => RedisList serves ["redis", "redis-cluster", "redis-sentinel"];
    redis_streams = "triggers/databases/redis_streams.rs" => RedisStream
        serves ["redis-streams", "redis-cluster-streams", "redis-sentinel-streams"];
    resource_metrics = "triggers/kubernetes/resource_metrics.rs" => ResourceMetrics serves ["cpu", "memory"];
    selenium_grid = "triggers/web/selenium_grid/mod.rs" => SeleniumGrid serves ["selenium-grid"];
    solace_direct_messaging = "triggers/messaging/solace_direct_messaging/mod.rs" => SolaceDirectMessaging
        serves ["solace-direct-messaging"];
    solace_event_queue = "triggers/messaging/solace_event_queue.rs" => SolaceEventQueue serves ["solace-event-queue"];
    solarwinds = "triggers/observability/solarwinds.rs" => SolarWinds serves ["solarwinds"];
    solr = "triggers/databases/solr.rs" => Solr serves ["solr"];
    splunk = "triggers/observability/splunk.rs" => Splunk serves ["splunk"];
    splunk_observability = "triggers/observability/splunk_observability/mod.rs" => SplunkObservability
        serves ["splunk-observability"];
    sumologic = "triggers/observability/sumologic/mod.rs" => SumoLogic serves ["sumologic"];
    temporal = "triggers/messaging/temporal/mod.rs" => Temporal serves ["temporal"];
}

/// A row of the catalogue.
#[derive(Clone, Copy)]
pub struct TriggerType {
    /// `type` in a manifest.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: fn() -> Vec<&'static Parameter>,
    /// Parameters that it reads besides; see [`Metadata::unlisted`](keda_core::metadata::Metadata::unlisted).
    pub unlisted: fn() -> Vec<&'static Parameter>,
    /// What it scales on, in one sentence.
    pub summary: fn() -> &'static str,
    /// What else there is to say, in Markdown; see [`crate::documentation`].
    pub details: fn() -> &'static str,
    parse: fn(&Inputs, &Context) -> ParsedTrigger,
}

impl TriggerType {
    const fn of<T: Trigger>(name: &'static str) -> Self {
        TriggerType {
            name,
            parameters: T::parameters,
            unlisted: T::unlisted,
            summary: T::summary,
            details: T::details,
            parse: parse::<T>,
        }
    }

    /// Parses the metadata of a trigger of this type.
    pub fn parse(&self, inputs: &Inputs, context: &Context) -> ParsedTrigger {
        (self.parse)(inputs, context)
    }
}

impl fmt::Debug for TriggerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The row of a type; exact and case-sensitive, as in KEDA.
pub fn find(name: &str) -> Option<&'static TriggerType> {
    CATALOGUE.iter().find(|row| row.name == name)
}

/// The row of the trigger that a path leads to, or into.
pub fn find_at(document: &Document, path: &Path) -> Option<&'static TriggerType> {
    let [Step::Key(spec), Step::Key(triggers), Step::Index(index), ..] = path.0.as_slice() else { return None };
    let triggers =
        (spec == "spec" && triggers == "triggers").then(|| document.node.get(spec)?.get(triggers)).flatten()?;
    find(triggers.items().get(*index)?.text_at(&["type"])?)
}

/// The type that a misspelt name most likely means.
pub fn similar(name: &str) -> Option<&'static str> {
    let names = || CATALOGUE.iter().map(|row| row.name);
    let has_all_parts_of =
        |one: &&str| one.split('-').all(|part| name.split('-').any(|own| own.eq_ignore_ascii_case(part)));
    let close = did_you_mean(name, names());
    let parts = || names().filter(has_all_parts_of).max_by_key(|one| one.len());
    close.or_else(parts).or_else(|| did_you_mean_part(name, names()))
}

/// A trigger that was parsed, its type forgotten.
pub struct ParsedTrigger {
    /// Errors and warnings, with paths inside the trigger.
    pub problems: Vec<Problem>,
    /// Its metrics; `None` when there are errors.
    pub specs: Option<Specs>,
    /// The same for triggers that ask the same of the same source.
    pub fingerprint: u128,
    connect: Box<dyn Connect>,
}

impl ParsedTrigger {
    /// Makes the reader of the source; see [`Trigger::connect`].
    ///
    /// # Errors
    /// As for [`Trigger::connect`].
    pub fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        self.connect.connect(context, sources)
    }
}

impl fmt::Debug for ParsedTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParsedTrigger").field("problems", &self.problems).field("specs", &self.specs).finish()
    }
}

trait Connect: Send + Sync {
    fn connect(self: Box<Self>, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError>;
}

impl<T: Trigger> Connect for T {
    fn connect(self: Box<Self>, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        Trigger::connect(*self, context, sources)
    }
}

fn parse<T: Trigger>(inputs: &Inputs, context: &Context) -> ParsedTrigger {
    let parsed = parse_with_fingerprint::<T>(inputs, context);
    let specs = (!keda_core::problem::has_errors(&parsed.problems)).then(|| parsed.value.specs(context));
    ParsedTrigger { problems: parsed.problems, specs, fingerprint: parsed.fingerprint, connect: Box::new(parsed.value) }
}
