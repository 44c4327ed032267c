//! The objects that install the operator in a cluster, as `keda manifests` prints them.

mod access;
pub(crate) mod least;
mod workload;

use serde_json::{Value, json};

/// What can be chosen.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Namespace of the operator.
    pub(crate) namespace: String,
    /// Image of the operator.
    pub(crate) image: String,
    /// Replicas of the operator.
    pub(crate) replicas: u16,
    /// Namespaces that it looks after; all when empty.
    pub(crate) watch_namespaces: Vec<String>,
    /// Kinds that may be scaled beside Deployments and StatefulSets, as `plural.group`; `None` for all, or for none where
    /// Secrets are restricted.
    pub(crate) scale_targets: Option<Vec<String>>,
    /// Whether Secrets are read from the operator's namespace only.
    pub(crate) restrict_secrets: bool,
    /// Whether the CustomResourceDefinitions are among the objects.
    pub(crate) crds: bool,
}

/// The name of the ServiceAccount, the Deployment and the Service of the operator.
pub(crate) const NAME: &str = "keda-operator";
/// The name of the Service of the external metrics API.
pub(crate) const METRICS_SERVICE: &str = "keda-metrics-apiserver";

/// All objects, in an order in which they can be created.
pub(crate) fn objects(options: &Options) -> Vec<Value> {
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": options.namespace },
    })];
    if options.crds {
        objects.extend(keda_core::schema::crd::all());
    }
    objects.extend(access::objects(options));
    objects.extend(workload::objects(options));
    for object in &mut objects {
        label(object);
    }
    objects
}

fn label(object: &mut Value) {
    let labels = &mut object["metadata"]["labels"];
    labels["app.kubernetes.io/part-of"] = json!(NAME);
    labels["app.kubernetes.io/version"] = json!(env!("CARGO_PKG_VERSION"));
}

/// Metadata of an object in the operator's namespace.
fn metadata(options: &Options, name: &str) -> Value {
    json!({ "name": name, "namespace": options.namespace })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            namespace: "keda".into(),
            image: "keda:test".into(),
            replicas: 2,
            watch_namespaces: Vec::new(),
            scale_targets: None,
            restrict_secrets: false,
            crds: true,
        }
    }

    fn names(objects: &[Value]) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        objects
            .iter()
            .map(|object| format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"])))
            .collect()
    }

    #[test]
    fn everything_is_there_and_namespaces_come_first() {
        let objects = objects(&options());
        let names = names(&objects);
        assert_eq!(names[0], "Namespace/keda");
        for name in ["Deployment/keda-operator", "APIService/v1beta1.external.metrics.k8s.io", "ClusterRole/keda:view"]
        {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        assert_eq!(deployment["spec"]["replicas"], 2);
    }

    #[test]
    fn a_namespaced_install_may_read_no_workload_of_other_namespaces() {
        let options = Options { watch_namespaces: vec!["shop".into()], ..options() };
        let objects = objects(&options);
        let bound = |kind: &str, role: &str| {
            objects.iter().any(|object| object["kind"] == kind && object["roleRef"]["name"] == role)
        };
        assert!(bound("RoleBinding", "keda-operator") && !bound("ClusterRoleBinding", "keda-operator"));
        assert!(bound("ClusterRoleBinding", "keda-operator-minimal"));
    }

    #[test]
    fn without_a_list_of_kinds_everything_may_be_read_and_with_one_only_those() {
        let reads_all = |options: &Options| {
            objects(options).iter().any(|object| {
                object["rules"].to_string().contains(r#"{"apiGroups":["*"],"resources":["*"],"verbs":["get"]}"#)
            })
        };
        assert!(reads_all(&options()));
        let narrow = Options { scale_targets: Some(vec!["rollouts.argoproj.io".into()]), ..options() };
        assert!(!reads_all(&narrow));
        let text = Value::from(objects(&narrow)).to_string();
        assert!(text.contains(r#""rollouts/scale""#));
    }

    #[test]
    fn restricted_no_rule_for_all_namespaces_reads_secrets() {
        let readers = |options: &Options| {
            let mut objects = objects(options);
            objects.retain(|object| object["kind"] == "ClusterRole");
            let rules = objects.iter().flat_map(|object| object["rules"].as_array().unwrap().clone());
            let has = |list: &Value, names: [&str; 2]| {
                list.as_array().unwrap().iter().any(|entry| names.iter().any(|name| entry == name))
            };
            let reads = |rule: &Value| {
                has(&rule["apiGroups"], ["", "*"])
                    && has(&rule["resources"], ["secrets", "*"])
                    && has(&rule["verbs"], ["get", "*"])
            };
            rules.filter(reads).count()
        };
        assert_eq!(readers(&options()), 2);
        for scale_targets in [None, Some(vec!["rollouts.argoproj.io".into()])] {
            let restricted = Options { restrict_secrets: true, scale_targets, ..options() };
            assert_eq!(readers(&restricted), 0);
            assert!(Value::from(objects(&restricted)).to_string().contains(r#""deployments/scale""#));
        }
    }
}
