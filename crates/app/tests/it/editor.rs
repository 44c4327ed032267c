//! What editors make of manifests with `keda schema manifests`: a validator and a language server, off the shelf.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where a completion is asked for.
const HERE: &str = "<here>";

/// What was said about one text.
#[derive(Debug, Deserialize)]
struct Said {
    /// By the validator.
    errors: Vec<String>,
    /// By the language server.
    diagnostics: Vec<Diagnostic>,
    completions: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Diagnostic {
    line: usize,
    word: String,
    message: String,
}

/// Has all texts looked at; nothing where the programs cannot be installed.
fn look_at(texts: &[String]) -> Option<Vec<Said>> {
    let folder = crate::servers::install("tests/editor")?;
    let schema = crate::program::keda().args(["schema", "manifests"]).output().expect("keda runs");
    assert!(schema.status.success());
    let temporary = TempDir::new().expect("a folder");
    let file = temporary.path().join("keda.schema.json");
    std::fs::write(&file, schema.stdout).expect("a file");

    let documents: Vec<Value> = texts.iter().map(|text| document(text)).collect();
    let mut child = Command::new("node")
        .arg("tests/editor/check.js")
        .args([&folder, &file])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let mut input = child.stdin.take().expect("an input");
    input.write_all(json!(documents).to_string().as_bytes()).expect("it is read");
    drop(input);
    let output = child.wait_with_output().expect("an output");
    assert!(output.status.success());
    let said: Vec<Said> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said.len(), texts.len());
    Some(said)
}

fn document(text: &str) -> Value {
    match text.split_once(HERE) {
        None => json!({ "text": text }),
        Some((before, after)) => {
            let line = before.matches('\n').count();
            let character = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
            json!({ "text": format!("{before}{after}"), "complete": { "line": line, "character": character } })
        }
    }
}

/// A ScaledObject with one trigger, whose first line is line 7.
fn scaled_object(trigger: &str) -> String {
    let head = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: orders}\nspec:\n  \
                scaleTargetRef: {name: orders}\n  triggers:\n";
    head.to_string() + trigger
}

const GOOD_TRIGGERS: &str = r#"apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: orders
  labels: {team: shop}
  annotations: {autoscaling.keda.sh/paused: "true"}
spec:
  scaleTargetRef: {name: orders, envSourceContainerName: worker}
  minReplicaCount: 0
  maxReplicaCount: 20
  fallback: {failureThreshold: 3, replicas: 2}
  advanced:
    scalingModifiers: {formula: "list + lag", target: "5"}
    horizontalPodAutoscalerConfig:
      behavior: {scaleDown: {stabilizationWindowSeconds: 60, tolerance: 100m}}
  triggers:
    - type: redis
      name: list
      metadata: {addressFromEnv: REDIS_ADDRESS, listName: orders, listLength: "10"}
    - type: kafka
      name: lag
      metadata:
        bootstrapServersFromEnv: KAFKA_SERVERS
        consumerGroupFromEnv: KAFKA_GROUP
        topic: orders
        offsetResetPolicy: latest
      authenticationRef: {name: kafka-login}
    - type: rabbitmq
      metadata: {hostFromEnv: RABBITMQ_URL, queueName: orders, mode: QueueLength, value: "20"}
    - type: prometheus
      metadata:
        serverAddress: http://prometheus.monitoring.svc:9090
        query: sum(rate(requests_total[2m]))
        threshold: "100.5"
        authModes: "basic,tls"
      authenticationRef: {name: prometheus-login, kind: ClusterTriggerAuthentication}
    - type: aws-sqs-queue
      metadata: {awsRegion: eu-west-1, queueURL: orders, awsAccessKeyIDFromEnv: ID, awsSecretAccessKeyFromEnv: KEY}
    - type: sumologic
      metadata:
        host: https://api.sumologic.example
        queryType: metrics
        query.A: metric=orders
        resultQueryRowID: A
        timerange: 15m
        threshold: "10"
    - type: external
      metadata: {scalerAddress: "scaler.shop.svc:9090", whatever: the server, wants: "to know"}
    - type: cpu
      metricType: Utilization
      metadata: {value: "60"}
    - type: cron
      metadata: {timezone: Europe/Berlin, start: 0 8 * * *, end: 0 18 * * *, desiredReplicas: "3"}
"#;

const GOOD_DOCUMENTS: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: orders}
spec: {whatever: {Kubernetes: says}}
---
apiVersion: v1
kind: Secret
metadata: {name: kafka-login}
stringData: {password: hunter2}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: kafka-login}
spec:
  secretTargetRef: [{parameter: password, name: kafka-login, key: password}]
  podIdentity: {provider: azure-workload, identityId: "1234"}
  hashiCorpVault:
    address: https://vault.example
    authentication: token
    secrets: [{parameter: username, path: secret/kafka, key: user}]
---
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: reports, creationTimestamp: null}
spec:
  jobTargetRef:
    backoffLimit: 2
    template:
      metadata: {creationTimestamp: null, labels: {app: reports}}
      spec:
        restartPolicy: Never
        containers:
          - name: report
            image: registry.example/report:1
            ports: [{containerPort: 8080}]
            resources: {limits: {cpu: 1, memory: 64Mi}}
            readinessProbe: {httpGet: {path: /ready, port: http}}
  scalingStrategy: {strategy: accurate}
  triggers:
    - type: postgresql
      metadata: {query: SELECT count(*) FROM reports, targetQueryValue: "1", connectionFromEnv: DATABASE}
status: {}
---
apiVersion: eventing.keda.sh/v1alpha1
kind: CloudEventSource
metadata: {name: events}
spec:
  destination: {http: {uri: http://events.shop.svc}}
  eventSubscription: {includedEventTypes: [keda.scaledobject.ready.v1]}
"#;

#[test]
#[ignore = "installs a language server; make test runs it"]
fn good_manifests_are_left_alone() {
    let Some(said) = look_at(&[GOOD_TRIGGERS.to_string(), GOOD_DOCUMENTS.to_string()]) else { return };
    for said in said {
        assert!(said.errors.is_empty() && said.diagnostics.is_empty(), "{said:#?}");
    }
}

/// A mistake in a text: the line and the word that are marked, and a part of what is said.
type Slip = (String, usize, &'static str, &'static str);

fn slips_of_metadata() -> Vec<Slip> {
    let redis = |key: &str| {
        let metadata = format!("  - type: redis\n    metadata:\n      listName: orders\n      {key}\n");
        scaled_object(&metadata)
    };
    let of = |name: &str, metadata: &str| scaled_object(&format!("  - type: {name}\n    metadata: {metadata}\n"));
    let kafka = |key: &str| of("kafka", &format!("{{bootstrapServers: b, consumerGroup: g, {key}}}"));
    vec![
        (redis("listLengh: '5'"), 10, "listLengh", "listLengh is not allowed"),
        (redis("listLength: 5"), 10, "5", "\"string\""),
        (redis("listLength: five"), 10, "five", "an integer such as"),
        (of("redis", "{listLength: '5'}"), 8, "metadata", "\"listName\""),
        (of("redsi", "{listName: orders}"), 7, "redsi", "\"redis\""),
        (of("cron", "{timezone: UTC, start: 0 8 * * *, end: 0 9 * * *}"), 8, "metadata", "\"desiredReplicas\""),
        (of("kafka", "{bootstrapServersFromEnv: SERVERS}"), 8, "metadata", "\"consumerGroup\""),
        (kafka("password: x"), 8, "password", "password is not allowed"),
        (kafka("tls: 'on'"), 8, "'on'", "\"enable\""),
        (of("cpu", "{type: Utilization, value: '60'}"), 8, "Utilization", "Use 'metricType' instead"),
    ]
}

fn slips_elsewhere() -> Vec<Slip> {
    let cpu = scaled_object("  - type: cpu\n    metadata: {value: '60'}\n");
    let keda = |rest: &str| format!("apiVersion: keda.sh/v1alpha1\n{rest}\n");
    vec![
        (cpu + "  maxReplicas: 5\n", 9, "maxReplicas", "maxReplicas is not allowed"),
        (keda("kind: ScaledObjct\nmetadata: {name: a}"), 2, "ScaledObjct", "\"ScaledObject\""),
        ("apiVersion: keda.sh/v1\nkind: ScaledObject\n".to_string(), 1, "keda.sh/v1", "keda.sh/v1alpha1"),
        (
            keda("kind: TriggerAuthentication\nmetadata: {name: a}\nspec: {podIdentity: {provider: azure}}"),
            4,
            "azure",
            "\"azure-workload\"",
        ),
    ]
}

#[test]
#[ignore = "installs a language server; make test runs it"]
fn slips_are_shown_where_they_are() {
    let slips = [slips_of_metadata(), slips_elsewhere()].concat();
    let texts: Vec<String> = slips.iter().map(|(text, ..)| text.clone()).collect();
    let Some(said) = look_at(&texts) else { return };
    for ((text, line, word, message), said) in slips.iter().zip(said) {
        assert!(!said.errors.is_empty(), "the validator takes\n{text}");
        let [one] = said.diagnostics.as_slice() else { panic!("one slip in\n{text}\n{:#?}", said.diagnostics) };
        assert_eq!((one.line, one.word.as_str()), (*line, *word), "{}\n{text}", one.message);
        assert!(one.message.contains(message), "{}\n{text}", one.message);
    }
}

#[test]
#[ignore = "installs a language server; make test runs it"]
fn what_can_be_written_is_completed() {
    // A text with the place, what is offered there, and what is not.
    let wanted: [(String, &[&str], &[&str]); 6] = [
        (
            scaled_object("  - type: redis\n    metadata:\n      listName: orders\n      <here>\n"),
            &["listLength", "address", "addressFromEnv", "usernameFromEnv"],
            &["stream", "bootstrapServers"],
        ),
        (
            scaled_object("  - type: kafka\n    metadata:\n      <here>\n"),
            &["bootstrapServers", "consumerGroupFromEnv", "topic"],
            &["username", "password", "listName"],
        ),
        (scaled_object("  - type: <here>\n"), &["redis", "apache-kafka", "cpu"], &[]),
        (scaled_object("  - type: kafka\n    metadata:\n      tls: <here>\n"), &["enable", "disable"], &[]),
        ("apiVersion: keda.sh/v1alpha1\nkind: <here>\n".to_string(), &["ScaledObject", "TriggerAuthentication"], &[]),
        (
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a}\nspec:\n  <here>\n".to_string(),
            &["scaleTargetRef", "pollingInterval", "triggers"],
            &["jobTargetRef"],
        ),
    ];
    let texts: Vec<String> = wanted.iter().map(|(text, ..)| text.clone()).collect();
    let Some(said) = look_at(&texts) else { return };
    for ((text, offered, withheld), said) in wanted.iter().zip(said) {
        let offers = |label: &&&str| said.completions.iter().any(|one| one.trim_matches('"') == **label);
        let missing: Vec<_> = offered.iter().filter(|label| !offers(label)).collect();
        let wrong: Vec<_> = withheld.iter().filter(offers).collect();
        assert!(missing.is_empty() && wrong.is_empty(), "{missing:?} {wrong:?}\n{text}\n{:?}", said.completions);
    }
}
