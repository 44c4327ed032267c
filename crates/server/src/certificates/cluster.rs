//! The objects of the cluster that carry certificates: one Secret, and two that say whom the API server trusts.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::CertificateError;
use super::material::Material;

/// The object through which the API server finds the metrics API.
pub(super) const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";
const LABELS: [(&str, &str); 4] = [
    ("app", "keda-operator"),
    ("app.kubernetes.io/name", "keda-operator"),
    ("app.kubernetes.io/component", "keda-operator"),
    ("app.kubernetes.io/part-of", "keda"),
];

/// Writes material into the Secret, over the version that was seen, or creates it.
pub(super) async fn write_secret(
    api: &Api<Secret>,
    name: &str,
    seen: Option<&Secret>,
    material: &Material,
) -> Result<(), CertificateError> {
    let failed = |source| CertificateError::Cluster { what: "cannot write the Secret", source: Box::new(source) };
    let Some(seen) = seen else {
        let labels = LABELS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let metadata =
            ObjectMeta { name: Some(name.to_owned()), labels: Some(BTreeMap::from(labels)), ..ObjectMeta::default() };
        let secret = Secret { metadata, data: Some(material.data.clone()), ..Secret::default() };
        return api.create(&PostParams::default(), &secret).await.map(drop).map_err(failed);
    };
    // The version seen goes along: who changed the Secret meanwhile is not overwritten. Roles may allow `update` only.
    let mut secret = seen.clone();
    secret.metadata.managed_fields = None;
    secret.data.get_or_insert_default().extend(material.data.clone());
    api.replace(name, &PostParams::default(), &secret).await.map(drop).map_err(failed)
}

/// An object that tells the API server which CAs to trust.
#[derive(Debug, Clone)]
pub(super) enum Trusting {
    ApiService(APIService),
    Webhooks(ValidatingWebhookConfiguration),
}

impl Trusting {
    /// The bundles in it; a webhook configuration has one for each webhook.
    pub(super) fn bundles(&self) -> Vec<&[u8]> {
        match self {
            Trusting::ApiService(object) => {
                let spec = object.spec.as_ref();
                // One that verifies nothing must have no bundle.
                let verifies =
                    spec.is_some_and(|spec| spec.service.is_some() && spec.insecure_skip_tls_verify != Some(true));
                if verifies { vec![bytes(spec.and_then(|spec| spec.ca_bundle.as_ref()))] } else { Vec::new() }
            }
            Trusting::Webhooks(object) => {
                let webhooks = object.webhooks.iter().flatten();
                webhooks.map(|webhook| bytes(webhook.client_config.ca_bundle.as_ref())).collect()
            }
        }
    }

    /// Gives it other bundles, one for each that it has.
    pub(super) async fn patch(&self, client: &Client, bundles: Vec<Vec<u8>>) -> Result<(), CertificateError> {
        let failed = |what| move |source| CertificateError::Cluster { what, source: Box::new(source) };
        let params = PatchParams::default();
        match self {
            Trusting::ApiService(_) => {
                let bundle = ByteString(bundles.into_iter().next().unwrap_or_default());
                let patch = json!({"spec": {"caBundle": bundle}});
                let api = Api::<APIService>::all(client.clone());
                let patched = api.patch(API_SERVICE, &params, &Patch::Merge(patch)).await;
                patched.map(drop).map_err(failed("cannot patch the APIService"))
            }
            Trusting::Webhooks(object) => {
                // Merged by name, so that nothing else of a webhook is touched.
                let one = |name: &str, bundle: Vec<u8>| json!({"name": name, "clientConfig": {"caBundle": ByteString(bundle)}});
                let webhooks = object.webhooks.iter().flatten().zip(bundles);
                let webhooks = webhooks.map(|(webhook, bundle)| one(&webhook.name, bundle)).collect::<Vec<_>>();
                let name = object.metadata.name.as_deref().unwrap_or_default();
                let api = Api::<ValidatingWebhookConfiguration>::all(client.clone());
                let patched = api.patch(name, &params, &Patch::Strategic(json!({"webhooks": webhooks}))).await;
                patched.map(drop).map_err(failed("cannot patch the ValidatingWebhookConfiguration"))
            }
        }
    }
}

fn bytes(bundle: Option<&ByteString>) -> &[u8] {
    bundle.map_or(&[], |bundle| bundle.0.as_slice())
}
