//! Where objects live in the API: group, version and plural name, and the paths made of them.

use std::borrow::Cow;

use kube::core::ApiResource;

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

impl Resource {
    /// A Deployment or StatefulSet of this group and version; other kinds only discovery knows.
    pub fn well_known(group: &str, version: &str, kind: &str) -> Option<Resource> {
        let plural = match kind {
            "Deployment" => "deployments",
            "StatefulSet" => "statefulsets",
            _ => return None,
        };
        Some(Resource {
            group: group.to_string().into(),
            version: version.to_string().into(),
            kind: kind.to_string().into(),
            plural: plural.into(),
        })
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
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        match namespace {
            Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{version}/{}", self.plural),
        }
    }

    /// Path of one object.
    pub fn object(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{name}", self.path(namespace))
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
        assert_eq!(
            SCALED_OBJECTS.object(Some("shop"), "web"),
            "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/web"
        );
        assert_eq!(SECRETS.path(None), "/api/v1/secrets");
        assert_eq!(PODS.kind_string(), "/v1.Pod");
        let deployment = Resource::well_known("apps", "v1", "Deployment").unwrap();
        assert_eq!(deployment.kind_string(), "apps/v1.Deployment");
    }
}
