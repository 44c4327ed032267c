//! The names that stand for a trigger without a name in the label `scaler` of metrics: those of KEDA, whose type names
//! they are. Dashboards and alerts select by them.

/// The name for a trigger type; the type itself where KEDA has none.
pub fn scaler_name(trigger_type: &str) -> &str {
    let found = NAMES.binary_search_by(|(known, _)| (*known).cmp(trigger_type));
    found.ok().and_then(|position| NAMES.get(position)).map_or(trigger_type, |(_, name)| name)
}

/// By trigger type, in order.
const NAMES: &[(&str, &str)] = &[
    ("activemq", "activeMQScaler"),
    ("apache-kafka", "apacheKafkaScaler"),
    ("arangodb", "arangoDBScaler"),
    ("artemis-queue", "artemisScaler"),
    ("aws-cloudwatch", "awsCloudwatchScaler"),
    ("aws-dynamodb", "awsDynamoDBScaler"),
    ("aws-dynamodb-streams", "awsDynamoDBStreamsScaler"),
    ("aws-kinesis-stream", "awsKinesisStreamScaler"),
    ("aws-sqs-queue", "awsSqsQueueScaler"),
    ("azure-app-insights", "azureAppInsightsScaler"),
    ("azure-blob", "azureBlobScaler"),
    ("azure-data-explorer", "azureDataExplorerScaler"),
    ("azure-eventhub", "azureEventHubScaler"),
    ("azure-log-analytics", "azureLogAnalyticsScaler"),
    ("azure-monitor", "azureMonitorScaler"),
    ("azure-pipelines", "azurePipelinesScaler"),
    ("azure-queue", "azureQueueScaler"),
    ("azure-servicebus", "azureServiceBusScaler"),
    ("beanstalkd", "BeanstalkdScaler"),
    ("cassandra", "cassandraScaler"),
    ("clickhouse", "clickhouseScaler"),
    ("couchdb", "couchDBScaler"),
    ("cpu", "cpuMemoryScaler"),
    ("cron", "cronScaler"),
    ("datadog", "datadogScaler"),
    ("dynatrace", "dynatraceScaler"),
    ("elastic-forecast", "elasticForecastScaler"),
    ("elasticsearch", "elasticsearchScaler"),
    ("etcd", "etcdScaler"),
    ("external", "externalScaler"),
    ("external-push", "externalPushScaler"),
    ("forgejo-runner", "forgejoRunnerScaler"),
    ("gcp-cloudtasks", "gcpCloudTasksScaler"),
    ("gcp-pubsub", "pubsubScaler"),
    ("gcp-spanner", "spannerScaler"),
    ("gcp-stackdriver", "stackdriverScaler"),
    ("gcp-storage", "gcsScaler"),
    ("github-runner", "githubRunnerScaler"),
    ("graphite", "graphiteScaler"),
    ("huawei-cloudeye", "huaweiCloudeyeScaler"),
    ("ibmmq", "ibmmqScaler"),
    ("influxdb", "influxDBScaler"),
    ("kafka", "kafkaScaler"),
    ("kubernetes-resource", "kubernetesResourceScaler"),
    ("kubernetes-workload", "kubernetesWorkloadScaler"),
    ("liiklus", "liiklusScaler"),
    ("loki", "lokiScaler"),
    ("memory", "cpuMemoryScaler"),
    ("metrics-api", "metricsAPIScaler"),
    ("mongodb", "mongoDBScaler"),
    ("mssql", "mssqlScaler"),
    ("mysql", "mySQLScaler"),
    ("nats-jetstream", "natsJetStreamScaler"),
    ("new-relic", "newrelicScaler"),
    ("nsq", "nsqScaler"),
    ("opensearch", "opensearchScaler"),
    ("openstack-metric", "openstackMetricScaler"),
    ("openstack-swift", "openstackSwiftScaler"),
    ("postgresql", "postgreSQLScaler"),
    ("predictkube", "PredictKubeScaler"),
    ("prometheus", "prometheusScaler"),
    ("pulsar", "pulsarScaler"),
    ("rabbitmq", "rabbitMQScaler"),
    ("redis", "redisScaler"),
    ("redis-cluster", "redisScaler"),
    ("redis-cluster-streams", "redisStreamsScaler"),
    ("redis-sentinel", "redisScaler"),
    ("redis-sentinel-streams", "redisStreamsScaler"),
    ("redis-streams", "redisStreamsScaler"),
    ("selenium-grid", "seleniumGridScaler"),
    ("solace-direct-messaging", "SolaceDMScaler"),
    ("solace-event-queue", "SolaceScaler"),
    ("solarwinds", "solarWindsScaler"),
    ("solr", "solrScaler"),
    ("splunk", "SplunkScaler"),
    ("splunk-observability", "splunkObservabilityScaler"),
    ("sumologic", "sumologicScaler"),
    ("temporal", "temporalScaler"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_order_and_none_of_ours_is_missing() {
        assert!(NAMES.is_sorted_by(|(one, _), (other, _)| one < other));
        assert_eq!(scaler_name("metrics-api"), "metricsAPIScaler");
        assert_eq!((scaler_name("cpu"), scaler_name("memory")), ("cpuMemoryScaler", "cpuMemoryScaler"));
        for row in crate::registry::CATALOGUE {
            assert!(scaler_name(row.name).ends_with("Scaler"), "{row:?}");
        }
    }
}
