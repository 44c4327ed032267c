//! What the operator may do, and no more.

use serde_json::{Value, json};

use super::{NAME, Options, metadata};

const MINIMAL: &str = "keda-operator-minimal";
const READER: &str = "keda-external-metrics-reader";
/// What is done with HPAs.
pub(super) const HPA_VERBS: &[&str] = &["get", "list", "watch", "create", "update", "delete"];

/// ServiceAccount, roles and bindings.
pub(super) fn objects(options: &Options) -> Vec<Value> {
    let account = json!([{ "kind": "ServiceAccount", "name": NAME, "namespace": options.namespace }]);
    let mut objects = vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(options, NAME) }),
        cluster_role(NAME, &scaling_rules(options)),
        cluster_role(MINIMAL, &cluster_rules()),
        cluster_binding(MINIMAL, MINIMAL, &account),
        own_namespace_role(options),
        binding(&options.namespace, NAME, "Role", NAME, &account),
        cluster_binding("keda-system-auth-delegator", "system:auth-delegator", &account),
        binding("kube-system", "keda-auth-reader", "Role", "extension-apiserver-authentication-reader", &account),
    ];
    if options.watch_namespaces.is_empty() {
        objects.push(cluster_binding(NAME, NAME, &account));
    }
    for namespace in &options.watch_namespaces {
        objects.push(binding(namespace, "keda-operator-scaling", "ClusterRole", NAME, &account));
    }
    objects.extend(for_users());
    objects
}

/// What it needs where it scales.
fn scaling_rules(options: &Options) -> Vec<Value> {
    let mut rules = vec![
        rule(&["keda.sh"], &["scaledobjects", "triggerauthentications"], &["get", "list", "watch", "patch"]),
        rule(&["keda.sh"], &["scaledobjects/status", "triggerauthentications/status"], &["patch"]),
        // HPAs name their ScaledObject as an owner that waits for them.
        rule(&["keda.sh"], &["scaledobjects/finalizers"], &["update"]),
        rule(&["autoscaling"], &["horizontalpodautoscalers"], HPA_VERBS),
        rule(&["apps"], &["deployments", "statefulsets"], &["get", "list", "watch"]),
        rule(&[""], &["configmaps", "serviceaccounts"], &["get"]),
        rule(&[""], &["pods"], &["get", "list"]),
        rule(&["events.k8s.io"], &["events"], &["create", "patch"]),
    ];
    if !options.restrict_secrets {
        rules.push(rule(&[""], &["secrets"], &["get"]));
    }
    // That any kind may be read would be true of Secrets as well.
    let nothing_else = Vec::new();
    let kinds = options.scale_targets.as_ref().or(options.restrict_secrets.then_some(&nothing_else));
    match kinds {
        None => {
            rules.push(rule(&["*"], &["*/scale"], &["get", "update"]));
            // Any kind may be a target, and its pod template names the environment of its triggers.
            rules.push(rule(&["*"], &["*"], &["get"]));
        }
        Some(kinds) => {
            rules.push(rule(&["apps"], &["deployments/scale", "statefulsets/scale"], &["get", "update"]));
            for kind in kinds {
                let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
                rules.push(rule(&[group], &[plural], &["get"]));
                rules.push(rule(&[group], &[&format!("{plural}/scale")], &["get", "update"]));
            }
        }
    }
    rules
}

/// What it needs of the cluster as a whole.
fn cluster_rules() -> Vec<Value> {
    vec![
        rule(&["keda.sh"], &["clustertriggerauthentications"], &["get", "list", "watch", "patch"]),
        rule(&["keda.sh"], &["clustertriggerauthentications/status"], &["patch"]),
        named(
            rule(&["apiregistration.k8s.io"], &["apiservices"], &["get", "list", "watch", "patch"]),
            &["v1beta1.external.metrics.k8s.io"],
        ),
        named(
            rule(
                &["admissionregistration.k8s.io"],
                &["validatingwebhookconfigurations"],
                &["get", "list", "watch", "patch"],
            ),
            &["keda-admission"],
        ),
        rule(&["events.k8s.io"], &["events"], &["create", "patch"]),
    ]
}

/// Its lease, its certificates, and the Secrets of ClusterTriggerAuthentications.
fn own_namespace_role(options: &Options) -> Value {
    let rules = [
        rule(&["coordination.k8s.io"], &["leases"], &["get", "list", "watch", "create", "update"]),
        rule(&[""], &["secrets"], &["get", "list", "watch", "create", "update", "patch"]),
        rule(&[""], &["configmaps", "serviceaccounts"], &["get"]),
    ];
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(options, NAME), "rules": rules,
    })
}

/// The HPA controller, and people with the cluster's own roles.
fn for_users() -> Vec<Value> {
    let controller =
        json!([{ "kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system" }]);
    let aggregated = |name: &str, to: &[&str], verbs: &[&str]| {
        let mut role = cluster_role(name, &[rule(&["keda.sh", "eventing.keda.sh"], &["*"], verbs)]);
        for target in to {
            role["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{target}")] = json!("true");
        }
        role
    };
    vec![
        cluster_role(READER, &[rule(&["external.metrics.k8s.io"], &["*"], &["*"])]),
        cluster_binding("keda-hpa-controller-external-metrics", READER, &controller),
        aggregated("keda:edit", &["admin", "edit"], &["create", "delete", "deletecollection", "patch", "update"]),
        aggregated("keda:view", &["admin", "edit", "view"], &["get", "list", "watch"]),
    ]
}

/// A rule for the objects of these names.
pub(super) fn named(mut rule: Value, names: &[&str]) -> Value {
    rule["resourceNames"] = json!(names);
    rule
}

pub(super) fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": groups, "resources": resources, "verbs": verbs })
}

pub(super) fn cluster_role(name: &str, rules: &[Value]) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": name }, "rules": rules,
    })
}

pub(super) fn cluster_binding(name: &str, role: &str, subjects: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": subjects,
    })
}

pub(super) fn binding(namespace: &str, name: &str, kind: &str, role: &str, subjects: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": name, "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role },
        "subjects": subjects,
    })
}
