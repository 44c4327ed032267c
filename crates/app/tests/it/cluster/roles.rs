//! KEDA's three programs as its release starts them: by their names, with its arguments and environment, with the
//! rights of its ServiceAccount, and with the certificates of a mounted Secret. What differs is only what several
//! programs on one machine need: ports, the folder of the mount, and how the cluster and the operator are reached.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::bed::{Bed, CERTIFICATES};
use super::program::Program;
use super::reads::Reads;
use super::world::{World, until};
use crate::servers::free_port;

const OPERATOR: [&str; 5] = [
    "--leader-elect",
    "--zap-log-level=info",
    "--zap-encoder=console",
    "--zap-time-encoding=rfc3339",
    "--enable-cert-rotation=true",
];
const ADAPTER: [&str; 6] = [
    "--secure-port=6443",
    "--zap-log-level=error",
    "--client-ca-file=/certs/ca.crt",
    "--tls-cert-file=/certs/tls.crt",
    "--tls-private-key-file=/certs/tls.key",
    "--cert-dir=/certs",
];
const WEBHOOKS: [&str; 3] = ["--zap-log-level=info", "--zap-encoder=console", "--zap-time-encoding=rfc3339"];

const WEBHOOK_CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/keda-admission";

/// Kinds whose objects are reviewed: group, plural, and the last word of the webhook's path.
const REVIEWED: [(&str, &str, &str); 6] = [
    ("keda.sh", "scaledobjects", "scaledobject"),
    ("keda.sh", "scaledjobs", "scaledjob"),
    ("keda.sh", "triggerauthentications", "triggerauthentication"),
    ("keda.sh", "clustertriggerauthentications", "clustertriggerauthentication"),
    ("eventing.keda.sh", "cloudeventsources", "cloudeventsource"),
    ("eventing.keda.sh", "clustercloudeventsources", "clustercloudeventsource"),
];

#[tokio::test(flavor = "multi_thread")]
async fn kedas_programs_take_the_places_of_those_of_its_release() {
    let Some(bed) = Bed::start(&[]).await else { return };
    let roles = Roles::start(&bed).await;
    let world = World::new(&bed, "roles", 0).await;
    roles.webhooks_refuse_what_cannot_work(&world).await;
    world.scale(&json!({})).await;
    let validations =
        format!("keda_webhook_scaled_object_validations_total{{action=\"create\",namespace=\"{}\"}}", world.namespace);
    assert!(number(&roles.metrics(roles.ports.webhooks_metrics).await, &validations) >= 3.0, "it was not asked");
    assert_eq!(world.replicas().await, 0);

    let reads = Reads::start(&bed, &world).await;
    world.source.set(20.0);
    world.wait_for_replicas(4).await;
    world.wait_for_event("Normal", "KEDAScaleTargetActivated", "from 0 to 1, triggered by s0-metric-api-value").await;
    let failures = reads.end().await;
    assert!(failures.is_empty(), "{failures:?}");

    let calls = |side: &str| {
        format!(
            "keda_internal_metricsservice_grpc_{side}_handled_total{{grpc_code=\"OK\",grpc_method=\"GetMetrics\",\
             grpc_service=\"api.MetricsService\",grpc_type=\"unary\"}}"
        )
    };
    let asked = number(&roles.metrics(roles.ports.adapter_metrics).await, &calls("client"));
    let operator = roles.metrics(roles.ports.metrics).await;
    let answered = number(&operator, &calls("server"));
    assert!(
        asked > 0.0 && answered >= asked,
        "the adapter asked {asked} times, the operator answered {answered} times"
    );
    let value = format!("namespace=\"{}\",scaledObject=\"web\"", world.namespace);
    assert!(operator.lines().any(|line| line.starts_with("keda_scaler_metrics_value{") && line.contains(&value)));
}

/// The running programs.
struct Roles {
    _programs: [Program; 3],
    ports: Ports,
}

#[derive(Clone, Copy)]
struct Ports {
    probes: u16,
    metrics: u16,
    grpc: u16,
    adapter_metrics: u16,
    webhooks: u16,
    webhooks_probes: u16,
    webhooks_metrics: u16,
}

impl Ports {
    fn free() -> Self {
        Ports {
            probes: free_port(),
            metrics: free_port(),
            grpc: free_port(),
            adapter_metrics: free_port(),
            webhooks: free_port(),
            webhooks_probes: free_port(),
            webhooks_metrics: free_port(),
        }
    }
}

impl Roles {
    /// Starts them in the order in which a cluster can: those that mount the Secret wait until it is there.
    async fn start(bed: &Bed) -> Self {
        let ports = Ports::free();
        grant_kedas_rights(bed).await;
        install_webhooks(bed, ports.webhooks).await;
        let kubeconfig = bed.operator_kubeconfig().await;
        let start = |name: &str, arguments: &[&str], further: &[String]| {
            let mut command = Command::new(program(bed.folder(), name));
            command.args(arguments).args(further).env("KUBECONFIG", &kubeconfig).env("POD_NAMESPACE", "keda");
            for name in ["WATCH_NAMESPACE", "WATCH_LABEL_SELECTOR", "WATCH_LABEL_SELECTOR_FOR_TRIGGERAUTH"] {
                command.env(name, "");
            }
            // Outside a pod, nothing else names the namespace.
            command.env("KEDA_HTTP_DEFAULT_TIMEOUT", "").env("KEDA_CLUSTER_OBJECT_NAMESPACE", "keda");
            Program::start(&mut command, bed.folder().join(format!("{name}.log")))
        };
        let operator = start(
            "keda",
            &OPERATOR,
            &[
                format!("--health-probe-bind-address=127.0.0.1:{}", ports.probes),
                format!("--metrics-bind-address=127.0.0.1:{}", ports.metrics),
                format!("--metrics-service-bind-address=127.0.0.1:{}", ports.grpc),
            ],
        );
        let mount = bed.folder().join("certs");
        mount_certificates(bed, &mount).await;
        let file = |name: &str| mount.join(name).display().to_string();
        let adapter = start(
            "keda-adapter",
            &ADAPTER,
            &[
                format!("--secure-port={}", bed.metrics_port),
                format!("--client-ca-file={}", file("ca.crt")),
                format!("--tls-cert-file={}", file("tls.crt")),
                format!("--tls-private-key-file={}", file("tls.key")),
                format!("--cert-dir={}", mount.display()),
                format!("--port={}", ports.adapter_metrics),
                // The operator's Service, which only a cluster's DNS knows.
                format!("--metrics-service-address=127.0.0.1:{}", ports.grpc),
                "--metrics-service-grpc-authority=keda-operator.keda.svc.cluster.local:9666".to_string(),
            ],
        );
        let webhooks = start(
            "keda-admission-webhooks",
            &WEBHOOKS,
            &[
                format!("--cert-dir={}", mount.display()),
                format!("--port={}", ports.webhooks),
                format!("--health-probe-bind-address=127.0.0.1:{}", ports.webhooks_probes),
                format!("--metrics-bind-address=127.0.0.1:{}", ports.webhooks_metrics),
            ],
        );
        let roles = Roles { _programs: [operator, adapter, webhooks], ports };
        roles.are_ready(bed).await;
        roles
    }

    /// Waits until the probes of KEDA's Deployments succeed, and the operator has told the webhooks its CA.
    async fn are_ready(&self, bed: &Bed) {
        let careless = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().expect("a client");
        for url in [
            format!("http://127.0.0.1:{}", self.ports.probes),
            format!("https://127.0.0.1:{}", bed.metrics_port),
            format!("http://127.0.0.1:{}", self.ports.webhooks_probes),
        ] {
            for path in ["healthz", "readyz"] {
                let answers = || async {
                    careless.get(format!("{url}/{path}")).send().await.is_ok_and(|answer| answer.status().is_success())
                };
                assert!(until(30, answers).await, "{url}/{path} does not succeed");
            }
        }
        let secret: Value = bed.cluster.get(CERTIFICATES).await.expect("certificates");
        let told = || async {
            let configuration: Value = bed.cluster.get(WEBHOOK_CONFIGURATION).await.unwrap_or_default();
            let webhooks = configuration["webhooks"].as_array().cloned().unwrap_or_default();
            webhooks.len() == REVIEWED.len()
                && webhooks.iter().all(|webhook| webhook["clientConfig"]["caBundle"] == secret["data"]["ca.crt"])
        };
        assert!(until(20, told).await, "the webhooks are not told the CA of the Secret");
    }

    /// What a program tells Prometheus.
    async fn metrics(&self, port: u16) -> String {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.text().await.expect("text")
    }

    /// Creates an object that the schema takes, and the webhooks do not.
    async fn webhooks_refuse_what_cannot_work(&self, world: &World<'_>) {
        let trigger = json!({ "type": "cron", "name": "twice", "metadata": {
            "timezone": "UTC", "start": "0 8 * * *", "end": "0 9 * * *", "desiredReplicas": "2",
        } });
        let broken = world.scaled_object(&json!({ "triggers": [trigger, trigger] }));
        let path = world.path("keda.sh/v1alpha1", "scaledobjects", "");
        let path = path.trim_end_matches('/');
        // The API server passes by webhooks that it cannot reach, and learns of their CA with a delay.
        let dry = format!("{path}?dryRun=All");
        let refused = || async { world.bed.cluster.create::<Value>(&dry, &broken).await.is_err() };
        assert!(until(20, refused).await, "nothing is refused");
        let error = world.bed.cluster.create::<Value>(path, &broken).await.expect_err("it cannot work");
        let expected = "admission webhook \"vscaledobject.kb.io\" denied the request: triggerName \"twice\" is defined \
                        multiple times in the ScaledObject/ScaledJob, but it must be unique";
        assert!(error.message.contains(expected), "{error}");
        let cpu = json!({ "type": "cpu", "metricType": "Utilization", "metadata": { "value": "50" } });
        let measured = world.scaled_object(&json!({ "minReplicaCount": 1, "triggers": [cpu] }));
        let error = world.bed.cluster.create::<Value>(path, &measured).await.expect_err("it cannot work");
        let expected = "the scaledobject has a cpu trigger but the container main doesn't have the cpu request defined";
        assert!(error.message.contains(expected), "{error}");
    }
}

/// The value of a series of an exposition, 0 where it is not there.
fn number(exposition: &str, series: &str) -> f64 {
    let value = exposition.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or_default()
}

/// A program by its name: a link to ours.
fn program(folder: &Path, name: &str) -> PathBuf {
    let programs = folder.join("programs");
    std::fs::create_dir_all(&programs).expect("a folder");
    let path = programs.join(name);
    symlink(crate::program::path(), &path).expect("a link");
    path
}

/// Waits for the Secret of the operator, and lays its files out as the kubelet does: the names are links into a folder
/// that is exchanged as a whole.
async fn mount_certificates(bed: &Bed, folder: &Path) {
    let made = || async {
        bed.cluster.get::<Value>(CERTIFICATES).await.is_ok_and(|secret| secret["data"]["tls.crt"].is_string())
    };
    assert!(until(30, made).await, "the operator makes no certificates");
    let secret: Value = bed.cluster.get(CERTIFICATES).await.expect("certificates");
    let data = secret["data"].as_object().expect("files");
    let keys: Vec<&str> = data.keys().map(String::as_str).collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"], "KEDA's keys");
    let current = folder.join("..2026_01_01_00_00_00.1");
    std::fs::create_dir_all(&current).expect("a folder");
    symlink(current.file_name().expect("a name"), folder.join("..data")).expect("a link");
    for (name, content) in data {
        let content = BASE64_STANDARD.decode(content.as_str().expect("text")).expect("base64");
        std::fs::write(current.join(name), content).expect("a file");
        symlink(Path::new("..data").join(name), folder.join(name)).expect("a link");
    }
}

/// KEDA's ValidatingWebhookConfiguration and its Service, which leads to this machine.
async fn install_webhooks(bed: &Bed, port: u16) {
    bed.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "keda-admission-webhooks", "namespace": "keda" },
        "spec": { "type": "ExternalName", "externalName": "localhost" },
    }))
    .await;
    let webhook = |(group, plural, word): (&str, &str, &str)| {
        let of_cluster = if word == "clustertriggerauthentication" { "s" } else { "" };
        let of_namespace = if word == "triggerauthentication" { "s" } else { "" };
        let path = format!("/validate-{}-v1alpha1-{word}", group.replace('.', "-"));
        json!({
            "name": format!("v{of_cluster}{of_namespace}{word}.kb.io"),
            "admissionReviewVersions": ["v1"],
            "clientConfig": { "service": {
                "name": "keda-admission-webhooks", "namespace": "keda", "path": path, "port": port,
            } },
            "failurePolicy": "Ignore", "matchPolicy": "Equivalent", "sideEffects": "None", "timeoutSeconds": 10,
            "namespaceSelector": {}, "objectSelector": {},
            "rules": [{
                "apiGroups": [group], "apiVersions": ["v1alpha1"], "operations": ["CREATE", "UPDATE"],
                "resources": [plural],
            }],
        })
    };
    bed.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "keda-admission" }, "webhooks": REVIEWED.map(webhook),
    }))
    .await;
}

/// Puts the rights of KEDA's release in the place of ours: one ServiceAccount for all three programs.
async fn grant_kedas_rights(bed: &Bed) {
    let read = ["get", "list", "watch"];
    let change = ["get", "list", "patch", "update", "watch"];
    let all = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({ "apiGroups": groups, "resources": resources, "verbs": verbs });
    let of_cluster = [
        rule(&[""], &["configmaps", "configmaps/status", "external", "pods", "secrets", "services"], &read),
        rule(&[""], &["limitranges", "serviceaccounts"], &["list", "watch"]),
        rule(&["", "events.k8s.io"], &["events"], &["create", "patch"]),
        rule(&["*"], &["*"], &["get"]),
        rule(&["*"], &["*/scale"], &change),
        rule(&["admissionregistration.k8s.io"], &["validatingwebhookconfigurations"], &change),
        rule(&["apiregistration.k8s.io"], &["apiservices"], &change),
        rule(&["apps"], &["deployments", "replicasets", "statefulsets"], &["list", "watch"]),
        rule(&["autoscaling"], &["horizontalpodautoscalers"], &all),
        rule(&["batch"], &["jobs"], &all),
        rule(&["discovery.k8s.io"], &["endpointslices"], &read),
        rule(
            &["eventing.keda.sh"],
            &[
                "cloudeventsources",
                "cloudeventsources/status",
                "clustercloudeventsources",
                "clustercloudeventsources/status",
            ],
            &change,
        ),
        rule(
            &["keda.sh"],
            &[
                "clustertriggerauthentications",
                "clustertriggerauthentications/status",
                "scaledjobs",
                "scaledjobs/finalizers",
                "scaledjobs/status",
                "scaledobjects",
                "scaledobjects/finalizers",
                "scaledobjects/status",
                "triggerauthentications",
                "triggerauthentications/status",
            ],
            &change,
        ),
    ];
    let of_namespace = [rule(&[""], &["secrets"], &all), rule(&["coordination.k8s.io"], &["leases"], &all)];
    let roles = "rbac.authorization.k8s.io/v1";
    bed.apply(&json!({ "apiVersion": roles, "kind": "ClusterRole", "metadata": { "name": "keda-operator" },
        "rules": of_cluster }))
        .await;
    bed.apply(&json!({ "apiVersion": roles, "kind": "Role",
        "metadata": { "name": "keda-operator", "namespace": "keda" }, "rules": of_namespace }))
        .await;
    let ours = format!("/apis/{roles}/clusterrolebindings/keda-operator-minimal");
    bed.cluster.delete(&ours).await.expect("our own rights can be taken away");
}
