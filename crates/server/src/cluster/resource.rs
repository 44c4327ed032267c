//! Where objects live in the API: group, version and plural name, and the paths made of them.

use std::borrow::Cow;

use kube::core::ApiResource;

use super::path::ApiPath;

/// A resource of the API.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// Group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Version.
    pub version: Cow<'static, str>,
    /// Kind.
    pub kind: Cow<'static, str>,
    /// Plural name in paths.
    pub plural: Cow<'static, str>,
}

const fn resource(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        group: Cow::Borrowed(group),
        version: Cow::Borrowed(version),
        kind: Cow::Borrowed(kind),
        plural: Cow::Borrowed(plural),
    }
}

#[allow(missing_docs)] // Their names say all.
pub static SCALED_OBJECTS: Resource = resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects");
#[allow(missing_docs)]
pub static TRIGGER_AUTHENTICATIONS: Resource =
    resource("keda.sh", "v1alpha1", "TriggerAuthentication", "triggerauthentications");
#[allow(missing_docs)]
pub static CLUSTER_TRIGGER_AUTHENTICATIONS: Resource =
    resource("keda.sh", "v1alpha1", "ClusterTriggerAuthentication", "clustertriggerauthentications");
#[allow(missing_docs)]
pub static HPAS: Resource = resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
#[allow(missing_docs)]
pub static SECRETS: Resource = resource("", "v1", "Secret", "secrets");
#[allow(missing_docs)]
pub static CONFIG_MAPS: Resource = resource("", "v1", "ConfigMap", "configmaps");
#[allow(missing_docs)]
pub static SERVICE_ACCOUNTS: Resource = resource("", "v1", "ServiceAccount", "serviceaccounts");
#[allow(missing_docs)]
pub static LIMIT_RANGES: Resource = resource("", "v1", "LimitRange", "limitranges");
#[allow(missing_docs)]
pub static PODS: Resource = resource("", "v1", "Pod", "pods");
#[allow(missing_docs)]
pub static EVENTS: Resource = resource("events.k8s.io", "v1", "Event", "events");
#[allow(missing_docs)]
pub static LEASES: Resource = resource("coordination.k8s.io", "v1", "Lease", "leases");
#[allow(missing_docs)]
pub static DEPLOYMENTS: Resource = resource("apps", "v1", "Deployment", "deployments");
#[allow(missing_docs)]
pub static STATEFUL_SETS: Resource = resource("apps", "v1", "StatefulSet", "statefulsets");

static WORKLOADS: [&Resource; 2] = [&DEPLOYMENTS, &STATEFUL_SETS];

impl Resource {
    /// Deployments or StatefulSets, which need not be discovered.
    pub fn workload(api_version: &str, kind: &str) -> Option<&'static Resource> {
        WORKLOADS.into_iter().find(|known| known.kind == kind && known.api_version() == api_version)
    }

    /// Whether it is that of Deployments or StatefulSets, as they are watched.
    pub fn is_workload(&self) -> bool {
        WORKLOADS.contains(&self)
    }

    /// `group/version`, or only the version in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As KEDA writes a kind: `group/version.Kind`, with an empty group in the core group.
    pub fn kind_string(&self) -> String {
        format!("{}/{}.{}", self.group, self.version, self.kind)
    }

    /// Path of the objects of a namespace, or of all of them.
    pub fn path(&self, namespace: Option<&str>) -> ApiPath {
        let version = ApiPath::version(&self.group, &self.version);
        let home = match namespace {
            Some(namespace) => version.below("namespaces").below(namespace),
            None => version,
        };
        home.below(&self.plural)
    }

    /// Path of one object.
    pub fn object(&self, namespace: Option<&str>, name: &str) -> ApiPath {
        self.path(namespace).below(name)
    }

    /// The same for the client library.
    pub(crate) fn to_api_resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.to_string(),
            version: self.version.to_string(),
            api_version: self.api_version(),
            kind: self.kind.to_string(),
            plural: self.plural.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names() {
        let path = |path: ApiPath| path.text().unwrap().to_string();
        assert_eq!(
            path(SCALED_OBJECTS.object(Some("shop"), "web")),
            "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/web"
        );
        assert_eq!(path(SECRETS.path(None)), "/api/v1/secrets");
        assert_eq!(PODS.kind_string(), "/v1.Pod");
    }

    #[test]
    fn only_one_version_of_workloads_is_known() {
        let deployments = Resource::workload("apps/v1", "Deployment").unwrap();
        assert_eq!(deployments.kind_string(), "apps/v1.Deployment");
        assert!(deployments.is_workload());
        for (api_version, kind) in [
            ("apps/v1beta1", "Deployment"),
            ("v1", "Deployment"),
            ("example.org/v1", "StatefulSet"),
            ("apps/v1/namespaces/other/deployments/web?", "Deployment"),
            ("apps/v1", "ReplicaSet"),
        ] {
            assert_eq!(Resource::workload(api_version, kind), None, "{api_version} {kind}");
        }
        assert!(!Resource { version: "v1beta1".into(), ..DEPLOYMENTS.clone() }.is_workload());
    }

    #[test]
    fn a_resource_from_a_status_leads_nowhere_else() {
        let hostile = |field: &str| {
            let text = |name: &str, honest: &str| match name == field {
                true => "v1/namespaces/other/rollouts/victim/scale?x=".to_string().into(),
                false => honest.to_string().into(),
            };
            Resource {
                group: text("group", "argoproj.io"),
                version: text("version", "v1alpha1"),
                kind: text("kind", "Rollout"),
                plural: text("plural", "rollouts"),
            }
        };
        for field in ["group", "version", "plural"] {
            assert!(hostile(field).object(Some("mine"), "web").text().is_err(), "{field}");
        }
        assert!(hostile("").object(Some("mine/../other"), "web").text().is_err());
        assert!(hostile("").object(Some("mine"), "web").text().is_ok());
    }
}
