//! The Deployment, its Services, and the APIService that leads to it.

use serde_json::{Value, json};

use super::{METRICS_SERVICE, NAME, Options, metadata};

/// Deployment, Services and APIService.
pub(super) fn objects(options: &Options) -> Vec<Value> {
    vec![
        service(options, NAME, &[("metricsservice", 9666, "metricsservice"), ("metrics", 8080, "metrics")]),
        service(options, METRICS_SERVICE, &[("https", 443, "https"), ("metrics", 8080, "metrics")]),
        deployment(options),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": { "name": "v1beta1.external.metrics.k8s.io" },
            "spec": {
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": { "name": METRICS_SERVICE, "namespace": options.namespace },
            },
        }),
    ]
}

fn service(options: &Options, name: &str, ports: &[(&str, u16, &str)]) -> Value {
    let ports: Vec<Value> =
        ports.iter().map(|(name, port, target)| json!({ "name": name, "port": port, "targetPort": target })).collect();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(options, name),
        "spec": { "ports": ports, "selector": { "app": NAME } },
    })
}

fn deployment(options: &Options) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(options, NAME),
        "spec": {
            "replicas": options.replicas,
            "selector": { "matchLabels": { "app": NAME } },
            "template": {
                "metadata": { "labels": { "app": NAME } },
                "spec": {
                    "serviceAccountName": NAME,
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "securityContext": { "runAsNonRoot": true, "runAsUser": 1001 },
                    "terminationGracePeriodSeconds": 10,
                    "containers": [container(options)],
                },
            },
        },
    })
}

fn container(options: &Options) -> Value {
    let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let probe =
        |path: &str, period: u8| json!({ "httpGet": { "path": path, "port": "probes" }, "periodSeconds": period });
    let restricted = if options.restrict_secrets { "true" } else { "" };
    json!({
        "name": NAME,
        "image": options.image,
        "command": ["/keda"],
        "args": [
            "operator",
            "--leader-elect",
            "--enable-cert-rotation=true",
            "--zap-log-level=info",
            "--zap-encoder=console",
        ],
        "env": [
            field("POD_NAMESPACE", "metadata.namespace"),
            variable("WATCH_NAMESPACE", &options.watch_namespaces.join(",")),
            variable("KEDA_RESTRICT_SECRET_ACCESS", restricted),
        ],
        "ports": [
            { "name": "https", "containerPort": 6443 },
            { "name": "metrics", "containerPort": 8080 },
            { "name": "probes", "containerPort": 8081 },
            { "name": "metricsservice", "containerPort": 9666 },
        ],
        "livenessProbe": probe("/healthz", 10),
        "readinessProbe": probe("/readyz", 3),
        "resources": {
            "requests": { "cpu": "100m", "memory": "50Mi" },
            "limits": { "cpu": "1", "memory": "1000Mi" },
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    })
}
