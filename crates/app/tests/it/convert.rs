//! `keda convert`: manifests of KEDA 1 become such as KEDA 2 takes.

use serde_json::{Value, json};

use crate::program::keda_with as keda;

const WORKER: &str = "\
apiVersion: keda.k8s.io/v1alpha1
kind: ScaledObject
metadata:
  name: orders
  namespace: shop
  labels:
    deploymentName: order-worker
    team: shop
spec:
  scaleTargetRef:
    deploymentName: order-worker
    containerName: worker
  pollingInterval: 10
  minReplicaCount: 0
  maxReplicaCount: 30
  triggers:
  - type: rabbitmq
    metadata:
      host: RABBITMQ_URL
      queueName: orders
      queueLength: '50'
";

const JOBS: &str = "\
apiVersion: keda.k8s.io/v1alpha1
kind: ScaledObject
metadata: {name: reports}
spec:
  scaleType: job
  pollingInterval: 20
  cooldownPeriod: 60
  maxReplicaCount: 8
  jobTargetRef:
    parallelism: 1
    template:
      spec:
        containers: [{name: main, image: registry.example/reports, env: [{name: STORAGE, value: secret}]}]
        restartPolicy: Never
  triggers:
  - type: azure-queue
    metadata: {queueName: reports, connection: STORAGE}
";

const LOGIN: &str = "\
apiVersion: keda.k8s.io/v1alpha1
kind: TriggerAuthentication
metadata: {name: rabbitmq-login}
spec:
  secretTargetRef:
  - {parameter: apiHost, name: rabbitmq, key: url}
";

const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: rabbitmq}
stringData:
  url: http://user:swordfish@rabbitmq.shop.svc:15672/
  text: |
    # this is no comment
";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The objects that manifests are converted to, and the notes.
fn converted(manifests: &str) -> (Vec<Value>, String) {
    let output = keda(&["convert", "-o", "json", "-f", "-"], manifests);
    let notes = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{notes}");
    let mut list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let Value::Array(objects) = list["items"].take() else { panic!("{list}") };
    (objects, notes)
}

/// The YAML that manifests are converted to; KEDA 2 takes it.
fn valid(manifests: &str) -> String {
    let yaml = text(&keda(&["convert", "-f", "-"], manifests).stdout);
    let output = keda(&["validate", "--allow-missing-target", "-f", "-"], &yaml);
    assert_eq!(output.status.code(), Some(0), "{}\n{yaml}", text(&output.stderr));
    yaml
}

fn joined(manifests: &[&str]) -> String {
    manifests.join("---\n")
}

#[test]
fn an_object_with_a_deployment_keeps_its_kind_and_the_order_of_its_keys() {
    let yaml = valid(WORKER);
    let expected = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: orders
  namespace: shop
  labels:
    team: shop
spec:
  scaleTargetRef:
    name: order-worker
    envSourceContainerName: worker
  pollingInterval: 10
  minReplicaCount: 0
  maxReplicaCount: 30
  triggers:
  - type: rabbitmq
    metadata:
      hostFromEnv: RABBITMQ_URL
      queueName: orders
      mode: QueueLength
      value: \"50\"
";
    assert_eq!(yaml, expected);
    let (_, notes) = converted(WORKER);
    for note in [
        "note: standard input:4: the HPA is a new one, keda-hpa-orders; that of KEDA 1, keda-hpa-order-worker,",
        "note: standard input:7: the label deploymentName is left out",
        "note: standard input:19: host named a variable; hostFromEnv does so now\n",
        "note: standard input:21: queueLength is mode: QueueLength with value now\n",
        "1 object converted, 0 passed on; 6 notes, 0 of them to do\n",
    ] {
        assert!(notes.contains(note), "{note}\n{notes}");
    }
}

#[test]
fn an_object_with_jobs_is_a_scaled_job() {
    valid(JOBS);
    let (objects, notes) = converted(JOBS);
    let job = &objects[0];
    assert_eq!((&job["apiVersion"], &job["kind"]), (&json!("keda.sh/v1alpha1"), &json!("ScaledJob")));
    let keys: Vec<&String> = job["spec"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["pollingInterval", "maxReplicaCount", "jobTargetRef", "triggers"]);
    assert_eq!(
        job["spec"]["triggers"][0]["metadata"],
        json!({ "queueName": "reports", "connectionFromEnv": "STORAGE" })
    );
    assert!(notes.contains(":7: cooldownPeriod is left out: it had no effect on Jobs\n"), "{notes}");
    assert!(notes.contains(":9: to do: check the targets of the triggers and maxReplicaCount"), "{notes}");
    assert!(notes.contains(" 1 of them to do\n"), "{notes}");
}

#[test]
fn what_is_not_keda_1_is_passed_on_in_its_place() {
    let mine = WORKER
        .replace("keda.k8s.io", "keda.sh")
        .replace("deploymentName: order-worker\n    containerName", "name: a\n    x");
    let manifests = joined(&[SECRET, WORKER, LOGIN, &mine]);
    let (objects, notes) = converted(&manifests);
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Secret", "ScaledObject", "TriggerAuthentication", "ScaledObject"]);
    assert_eq!(objects[0]["stringData"]["text"], "# this is no comment\n");
    assert_eq!(objects[2]["spec"]["secretTargetRef"][0]["parameter"], "host");
    assert_eq!(objects[3]["spec"]["scaleTargetRef"], json!({ "name": "a", "x": "worker" }));
    assert!(notes.contains("2 objects converted, 2 passed on;"), "{notes}");
    assert!(!notes.contains("comment") && !notes.contains("swordfish"), "{notes}");
    valid(&joined(&[SECRET, WORKER, LOGIN]));
}

#[test]
fn comments_are_said_to_be_lost() {
    let (_, notes) = converted(&WORKER.replace("spec:\n", "spec: # all of it\n"));
    assert!(notes.contains("note: standard input:9: comments are lost\n"), "{notes}");
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("a.yaml"), WORKER).expect("a file");
    std::fs::write(folder.path().join("b.yaml"), format!("# the login\n{LOGIN}")).expect("a file");
    let output = keda(&["convert", "-f", &folder.path().to_string_lossy()], "");
    let notes = text(&output.stderr);
    assert!(notes.contains("b.yaml:1: comments are lost\n") && !notes.contains("a.yaml:1: comments"), "{notes}");
}

#[test]
fn a_list_from_a_cluster_is_taken_apart() {
    let list = json!({
        "apiVersion": "v1", "kind": "List",
        "items": [{
            "apiVersion": "keda.k8s.io/v1alpha1", "kind": "ScaledObject",
            "metadata": {
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
                "creationTimestamp": "2020-05-01T10:00:00Z", "finalizers": ["finalizer.keda.k8s.io"], "generation": 3,
                "labels": { "deploymentName": "app" }, "name": "app", "resourceVersion": "7", "uid": "1",
            },
            "spec": {
                "scaleTargetRef": { "deploymentName": "app" },
                "triggers": [{ "type": "cron", "metadata": {
                    "timezone": "Europe/Vienna", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "4",
                } }],
            },
            "status": { "externalMetricNames": ["x"] },
        }],
    });
    valid(&list.to_string());
    let (objects, notes) = converted(&list.to_string());
    assert_eq!(objects[0]["metadata"], json!({ "name": "app" }));
    assert_eq!(objects[0].get("status"), None);
    assert!(notes.contains("what KEDA 1 and the cluster have added to the object is left out"), "{notes}");
}

/// A trigger of every type that KEDA 1 had and KEDA 2 has.
const TRIGGERS: &[&str] = &[
    "{type: artemis-queue, metadata: {managementEndpoint: 'artemis.shop.svc:8161', queueName: q, brokerName: b, \
     brokerAddress: a, username: USER, password: PASSWORD}}",
    "{type: aws-cloudwatch, metadata: {namespace: AWS/SQS, metricName: Age, dimensionName: QueueName, \
     dimensionValue: q, targetMetricValue: '5', minMetricValue: '1', awsRegion: eu-west-1}}",
    "{type: aws-kinesis-stream, metadata: {streamName: s, shardCount: '2', awsRegion: eu-west-1, awsAccessKeyID: ID}}",
    "{type: aws-sqs-queue, metadata: {queueURL: 'https://sqs.eu-west-1.amazonaws.com/1/q', queueLength: '5', \
     awsRegion: eu-west-1, identityOwner: operator}}",
    "{type: azure-blob, metadata: {blobContainerName: c, blobCount: '3'}}",
    "{type: azure-eventhub, metadata: {storageConnection: STORAGE, blobContainer: c}}",
    "{type: azure-monitor, metadata: {resourceURI: Microsoft.X/y/z, tenantId: t, subscriptionId: s, resourceGroupName: \
     g, metricName: m, metricAggregationType: average, targetValue: '5', activeDirectoryClientId: ID, \
     activeDirectoryClientPassword: PASSWORD}}",
    "{type: azure-queue, metadata: {queueName: q}}",
    "{type: azure-servicebus, metadata: {queueName: q, queueLength: '5', connection: CONNECTION}}",
    "{type: cron, metadata: {timezone: UTC, start: 0 8 * * *, end: 0 18 * * *, desiredReplicas: '5'}}",
    "{type: external, metadata: {scalerAddress: 'scaler.shop.svc:8080', token: TOKEN, tlsCertFile: ca.crt}}",
    "{type: gcp-pubsub, metadata: {subscriptionName: orders, credentials: KEY}}",
    "{type: gcp-pubsub, metadata: {subscriptionName: orders, subscriptionSize: '9', credentials: KEY}}",
    "{type: kafka, metadata: {brokerList: 'kafka.shop.svc:9092', consumerGroup: g, topic: t, lagThreshold: '5'}}",
    "{type: liiklus, metadata: {address: 'liiklus.shop.svc:6565', topic: t, group: g}}",
    "{type: mysql, metadata: {query: SELECT 1, queryValue: '5', connectionString: URL}}",
    "{type: mysql, metadata: {query: SELECT 1, queryValue: '5', host: db, port: '3306', username: u, dbName: d, \
     password: PASSWORD}}",
    "{type: postgresql, metadata: {query: SELECT 1, targetQueryValue: '5', connection: URL}}",
    "{type: postgresql, metadata: {query: SELECT 1, targetQueryValue: '5', host: db, port: '5432', userName: u, \
     dbName: d, sslmode: disable, password: PASSWORD}}",
    "{type: prometheus, metadata: {serverAddress: 'http://prometheus.shop.svc:9090', metricName: m, query: up, \
     threshold: '5'}}",
    "{type: rabbitmq, metadata: {queueName: q, host: URL}}",
    "{type: rabbitmq, metadata: {queueName: q, apiHost: URL, includeUnacked: 'true'}}",
    "{type: rabbitmq, metadata: {queueName: q, apiHost: 'http://rabbitmq.shop.svc:15672/', includeUnacked: 'true'}}",
    "{type: redis, metadata: {address: ADDRESS, password: PASSWORD, listName: l, enableTLS: 'true'}}",
    "{type: redis, metadata: {host: HOST, port: PORT, listName: l, databaseIndex: '1'}}",
    "{type: redis-streams, metadata: {host: HOST, port: PORT, stream: s, consumerGroup: g, pendingEntriesCount: '5'}}",
    "{type: huawei-cloudeye, metadata: {namespace: SYS.ELB, metricName: m, dimensionName: d, dimensionValue: v, \
     targetMetricValue: '5', minMetricValue: '1'}}",
];

#[test]
fn a_trigger_of_any_type_is_one_of_keda_2() {
    for (number, trigger) in TRIGGERS.iter().enumerate() {
        let object = format!(
            "apiVersion: keda.k8s.io/v1alpha1\nkind: ScaledObject\nmetadata: {{name: app-{number}}}\n\
             spec: {{scaleTargetRef: {{deploymentName: app}}, triggers: [{trigger}]}}\n"
        );
        let yaml = valid(&object);
        let output = keda(&["validate", "--allow-missing-target", "-o", "json", "-f", "-"], &yaml);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let rules: Vec<&str> =
            report["findings"].as_array().unwrap().iter().filter_map(|finding| finding["rule"].as_str()).collect();
        let harmless = ["missing-target", "deprecated-parameter"];
        assert!(rules.iter().all(|rule| harmless.contains(rule)), "{rules:?}\n{yaml}");
    }
}

#[test]
fn what_keda_1_refused_is_refused() {
    let cases = [
        (
            WORKER.replace("deploymentName: order-worker\n    containerName", "containerName"),
            "deploymentName is missing",
        ),
        (WORKER.replace("  triggers:\n", "  trigger:\n"), "the field triggers is missing"),
        (WORKER.replace("pollingInterval: 10", "pollingInterval: soon"), "expected a whole number, found the string"),
        (WORKER.replace("'50'", "50"), "expected a string, found the number 50"),
        (JOBS.replace("scaleType: job", "scaleType: jobs"), "\"jobs\" is not allowed here"),
        (JOBS.replace("jobTargetRef", "jobTarget"), "the field jobTargetRef is missing"),
        (LOGIN.replace("key: url", ""), "the field key is missing"),
        (
            LOGIN.replace("secretTargetRef:", "podIdentity: {provider: ibm}\n  secretTargetRef:"),
            "\"ibm\" is not allowed here",
        ),
        (LOGIN.replace("TriggerAuthentication", "ScaledJob"), "KEDA 1 had no kind \"ScaledJob\""),
        (SECRET.replace("type", "kind: [").replace("metadata", "}"), ""),
    ];
    for (manifests, message) in cases {
        let all = joined(&[SECRET, &manifests]);
        let output = keda(&["convert", "-f", "-"], &all);
        let told = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{manifests}\n{told}");
        assert!(
            told.contains(message) && told.contains("standard input:") && !told.contains("note: standard"),
            "{told}"
        );
    }
}

#[test]
fn who_validates_a_manifest_of_keda_1_is_told_how_to_convert_it() {
    let output = keda(&["validate", "-f", "-"], WORKER);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("`keda convert -f FILE`"), "{}", text(&output.stderr));
}
