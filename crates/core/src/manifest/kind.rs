//! The kinds of objects that are more than opaque data here.

/// A kind that the loader knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `keda.sh` ScaledObject.
    ScaledObject,
    /// `keda.sh` ScaledJob.
    ScaledJob,
    /// `keda.sh` TriggerAuthentication.
    TriggerAuthentication,
    /// `keda.sh` ClusterTriggerAuthentication.
    ClusterTriggerAuthentication,
    /// `eventing.keda.sh` CloudEventSource.
    CloudEventSource,
    /// `eventing.keda.sh` ClusterCloudEventSource.
    ClusterCloudEventSource,
    /// `apps` Deployment.
    Deployment,
    /// `apps` StatefulSet.
    StatefulSet,
    /// `batch` Job.
    Job,
    /// Secret.
    Secret,
    /// ConfigMap.
    ConfigMap,
    /// ServiceAccount.
    ServiceAccount,
    /// LimitRange.
    LimitRange,
    /// Anything else.
    Other,
}

/// The API group of KEDA's objects.
pub(super) const KEDA_GROUP: &str = "keda.sh";
/// The API group of KEDA's event objects.
pub(super) const EVENTING_GROUP: &str = "eventing.keda.sh";
/// The API group of KEDA 1, whose objects need converting.
pub(super) const KEDA_1_GROUP: &str = "keda.k8s.io";

const KINDS: &[(&str, &str, Kind)] = &[
    (KEDA_GROUP, "ScaledObject", Kind::ScaledObject),
    (KEDA_GROUP, "ScaledJob", Kind::ScaledJob),
    (KEDA_GROUP, "TriggerAuthentication", Kind::TriggerAuthentication),
    (KEDA_GROUP, "ClusterTriggerAuthentication", Kind::ClusterTriggerAuthentication),
    (EVENTING_GROUP, "CloudEventSource", Kind::CloudEventSource),
    (EVENTING_GROUP, "ClusterCloudEventSource", Kind::ClusterCloudEventSource),
    ("apps", "Deployment", Kind::Deployment),
    ("apps", "StatefulSet", Kind::StatefulSet),
    ("batch", "Job", Kind::Job),
    ("", "Secret", Kind::Secret),
    ("", "ConfigMap", Kind::ConfigMap),
    ("", "ServiceAccount", Kind::ServiceAccount),
    ("", "LimitRange", Kind::LimitRange),
];

/// Kinds without a namespace that stand beside KEDA's objects in real manifests.
const CLUSTER_SCOPED: &[&str] = &[
    "APIService",
    "ClusterCloudEventSource",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTriggerAuthentication",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

impl Kind {
    /// The kind that a group (empty for the core group) and a kind's name stand for.
    pub fn of(group: &str, name: &str) -> Kind {
        KINDS.iter().find(|(g, n, _)| *g == group && *n == name).map_or(Kind::Other, |(_, _, kind)| *kind)
    }

    /// The name of the kind; empty for [`Kind::Other`].
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, _, kind)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// Whether this is one of KEDA's own kinds.
    pub fn is_keda(self) -> bool {
        KINDS.iter().any(|(group, _, kind)| *kind == self && group.ends_with(KEDA_GROUP))
    }

    /// The names of KEDA's own kinds.
    pub fn keda_kinds() -> impl Iterator<Item = &'static str> + Clone {
        KINDS.iter().filter(|(group, ..)| is_keda_group(group)).map(|(_, name, _)| *name)
    }

    /// The API version that KEDA's own kinds are served under.
    pub fn keda_api_version(name: &str) -> Option<&'static str> {
        match KINDS.iter().find(|(group, n, _)| *n == name && group.ends_with(KEDA_GROUP))? {
            (KEDA_GROUP, ..) => Some("keda.sh/v1alpha1"),
            _ => Some("eventing.keda.sh/v1alpha1"),
        }
    }
}

/// Whether a group is one of KEDA's, or was.
pub(super) fn is_keda_group(group: &str) -> bool {
    group.ends_with(KEDA_GROUP) && !group.ends_with(&format!("http.{KEDA_GROUP}")) || group == KEDA_1_GROUP
}

/// Whether objects of this kind have no namespace.
pub(super) fn is_cluster_scoped(kind: &str) -> bool {
    CLUSTER_SCOPED.contains(&kind)
}

/// The group of an `apiVersion`: empty for the core group.
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
