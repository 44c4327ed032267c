//! Objects as watches read them: the metadata, and no more of the rest than is named.

use std::borrow::Cow;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use keda_core::api::{ObjectMeta, OwnerReference};
use kube::core::{ApiResource, DynamicResourceScope};
use serde::Deserialize;

/// An object with the parts of `spec` and `status` that the types name.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Trimmed<Spec, Status> {
    #[serde(default)]
    pub(crate) metadata: meta::ObjectMeta,
    #[serde(default)]
    pub(crate) spec: Spec,
    #[serde(default)]
    pub(crate) status: Status,
}

impl<Spec, Status> kube::Resource for Trimmed<Spec, Status> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn meta(&self) -> &meta::ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut meta::ObjectMeta {
        &mut self.metadata
    }
}

/// The metadata that decisions need; managed fields are not among it.
pub(crate) fn metadata(metadata: meta::ObjectMeta) -> ObjectMeta {
    let owners = metadata.owner_references.unwrap_or_default();
    ObjectMeta {
        name: metadata.name.unwrap_or_default(),
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        generation: metadata.generation,
        creation_timestamp: metadata.creation_timestamp.map(|time| time.0),
        deletion_timestamp: metadata.deletion_timestamp.map(|time| time.0),
        labels: metadata.labels.into_iter().flatten().collect(),
        annotations: metadata.annotations.into_iter().flatten().collect(),
        finalizers: metadata.finalizers.unwrap_or_default(),
        owner_references: owners
            .into_iter()
            .map(|owner| OwnerReference {
                api_version: owner.api_version,
                kind: owner.kind,
                name: owner.name,
                uid: owner.uid,
                controller: owner.controller,
                block_owner_deletion: owner.block_owner_deletion,
            })
            .collect(),
    }
}
