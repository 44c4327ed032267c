//! The rights that the operator needs for certain objects, and no more.

use std::collections::{BTreeMap, BTreeSet};

use keda_core::api::{ScaledJob, ScaledObject, Trigger};
use keda_core::manifest::group_of;
use keda_core::resolve::{Asked, Lookup, Recorder, TOKEN};
use keda_scalers::plan::{Descriptions, plan, plan_job};
use serde_json::{Value, json};

use super::NAME;
use super::access::{binding, cluster_binding, cluster_role, named, rule};

/// What is watched is also listed first.
const WATCH: &[&str] = &["get", "list", "watch"];
/// What is watched and whose annotations and finalizers are written.
const KEEP: &[&str] = &["get", "list", "watch", "patch"];

/// Rules by namespace; those of the cluster under the empty one.
#[derive(Default)]
struct Rights(BTreeMap<String, BTreeMap<Grant, Names>>);

/// What may be done with a resource.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    group: String,
    resource: String,
    verbs: &'static [&'static str],
}

/// With which objects of it; `None` stands for all.
type Names = Option<BTreeSet<String>>;

/// Roles with their bindings, for an operator that runs in `home`.
pub(crate) fn roles<'a>(
    objects: impl IntoIterator<Item = &'a std::sync::Arc<ScaledObject>>,
    jobs: impl IntoIterator<Item = &'a ScaledJob>,
    lookup: &dyn Lookup,
    home: &str,
) -> Vec<Value> {
    let recorder = Recorder::new(lookup);
    let mut rights = Rights::default();
    for object in objects {
        plan(object, &recorder, &Descriptions::new());
        rights.scaled_object(object);
    }
    for job in jobs {
        plan_job(job, &recorder);
        rights.scaled_job(job);
    }
    for asked in recorder.into_asked() {
        rights.asked(&asked);
    }
    rights.roles(home)
}

impl Rights {
    fn grant(
        &mut self,
        namespace: &str,
        group: &str,
        resource: &str,
        name: Option<&str>,
        verbs: &'static [&'static str],
    ) {
        let grants = self.0.entry(namespace.to_string()).or_default();
        let grant = Grant { group: group.to_string(), resource: resource.to_string(), verbs };
        let names = grants.entry(grant).or_insert_with(|| Some(BTreeSet::new()));
        match (name, names.as_mut()) {
            (Some(name), Some(names)) => _ = names.insert(name.to_string()),
            (Some(_), None) => {} // All are granted already.
            (None, _) => *names = None,
        }
    }

    fn scaled_object(&mut self, object: &ScaledObject) {
        let namespace = object.metadata.namespace();
        self.kind(namespace, "scaledobjects");
        // Whether there are any or not, they are watched.
        self.authentications(namespace, "triggerauthentications");
        self.grant(namespace, "autoscaling", "horizontalpodautoscalers", None, super::access::HPA_VERBS);
        let target = &object.spec.scale_target_ref;
        let (group, resource) = (group_of(target.api_version()), plural(target.kind()));
        self.grant(namespace, group, &format!("{resource}/scale"), Some(&target.name), &["get", "update"]);
        if group == "apps" {
            // Deployments and StatefulSets are watched, which a name cannot restrict.
            self.grant(namespace, group, &resource, None, WATCH);
        }
        object.spec.triggers.iter().for_each(|trigger| self.trigger(namespace, trigger));
    }

    fn scaled_job(&mut self, job: &ScaledJob) {
        let namespace = job.metadata.namespace();
        self.kind(namespace, "scaledjobs");
        self.grant(namespace, "batch", "jobs", None, &["get", "list", "watch", "create", "delete"]);
        self.grant(namespace, "", "pods", None, &["get", "list"]);
        job.spec.triggers.iter().for_each(|trigger| self.trigger(namespace, trigger));
    }

    /// A kind of KEDA's with its status; what belongs to its objects names them as owners that wait.
    fn kind(&mut self, namespace: &str, resource: &str) {
        self.grant(namespace, "keda.sh", resource, None, KEEP);
        self.grant(namespace, "keda.sh", &format!("{resource}/status"), None, &["patch"]);
        self.grant(namespace, "keda.sh", &format!("{resource}/finalizers"), None, &["update"]);
        self.grant(namespace, "events.k8s.io", "events", None, &["create", "patch"]);
    }

    fn authentications(&mut self, namespace: &str, resource: &str) {
        self.grant(namespace, "keda.sh", resource, None, KEEP);
        self.grant(namespace, "keda.sh", &format!("{resource}/status"), None, &["patch"]);
    }

    /// What a trigger asks the cluster for.
    fn trigger(&mut self, namespace: &str, trigger: &Trigger) {
        let written = |key: &str| trigger.metadata.get(key).map(String::as_str);
        match trigger.r#type.as_str() {
            "kubernetes-workload" => self.grant(namespace, "", "pods", None, &["get", "list"]),
            "kubernetes-resource" => {
                let resource = if written("resourceKind") == Some("Secret") { "secrets" } else { "configmaps" };
                self.grant(namespace, "", resource, written("resourceName"), &["get"]);
            }
            _ => {}
        }
    }

    fn asked(&mut self, asked: &Asked) {
        let Asked { api_version, kind, namespace, name } = asked;
        match kind.as_str() {
            "TriggerAuthentication" | "ClusterTriggerAuthentication" => self.authentications(namespace, &plural(kind)),
            TOKEN => self.grant(namespace, "", "serviceaccounts/token", Some(name), &["create"]),
            _ if group_of(api_version) == "apps" => {} // Watched anyway.
            _ => self.grant(namespace, group_of(api_version), &plural(kind), Some(name), &["get"]),
        }
    }

    fn roles(self, home: &str) -> Vec<Value> {
        let account = json!([{ "kind": "ServiceAccount", "name": NAME, "namespace": home }]);
        let mut roles = Vec::new();
        for (namespace, grants) in self.0 {
            let rules: Vec<Value> = grants.iter().map(|(grant, names)| grant.rule(names)).collect();
            let (role, bound) = if namespace.is_empty() {
                (cluster_role(LEAST, &rules), cluster_binding(LEAST, LEAST, &account))
            } else {
                let mut role = cluster_role(LEAST, &rules);
                role["kind"] = json!("Role");
                role["metadata"]["namespace"] = json!(namespace);
                (role, binding(&namespace, LEAST, "Role", LEAST, &account))
            };
            roles.extend([role, bound]);
        }
        roles
    }
}

/// The name of the roles.
const LEAST: &str = "keda-operator-scaling";

impl Grant {
    fn rule(&self, names: &Names) -> Value {
        let rule = rule(&[&self.group], &[&self.resource], self.verbs);
        match names {
            Some(names) => named(rule, &names.iter().map(String::as_str).collect::<Vec<_>>()),
            None => rule,
        }
    }
}

/// The name of a kind in URLs, as nearly all kinds form it. Only the cluster knows the others.
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if lower.ends_with(['s', 'x']) || lower.ends_with("ch") => format!("{lower}es"),
        _ => format!("{lower}s"),
    }
}
