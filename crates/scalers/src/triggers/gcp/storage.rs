//! `gcp-storage`: the objects in a bucket that are not empty (`scalers/gcp-storage.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::gcp::{GcpOptions, GcpTokens};
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// What tokens must allow.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_only";

/// Scale on the number of objects in a bucket of Cloud Storage.
///
/// What counts is the number of objects that are not empty, in the whole bucket or under `blobPrefix`. The replicas are
/// that number divided by `targetObjectCount`. The target leaves zero when it is above `activationTargetObjectCount`.
///
/// The trigger does not know which objects are done: the workers must delete or move them. Counting ends at
/// `maxBucketItemsToScan`, so with the defaults of 1000 and 100 there are never more than 10 replicas.
///
/// Objects of size 0 do not count, and neither do the marks that stand for folders. A bucket that does not exist counts
/// as 0 and is no error, so check its name.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `gcp`, which is KEDA's own service
/// account, or the parameter `GoogleApplicationCredentials`, the key of a service account as JSON. Without one,
/// `credentialsFromEnv` names a variable of the target's container that holds such a key. The service account needs the
/// role `roles/storage.objectViewer` on the bucket.
///
/// ```yaml
/// type: gcp-storage
/// metadata:
///   bucketName: ticket-shop-uploads
///   blobPrefix: new/
///   targetObjectCount: "20"
///   activationTargetObjectCount: "2"
///   maxBucketItemsToScan: "2000"
/// authenticationRef:
///   name: uploads-reader
/// ---
/// podIdentity:
///   provider: gcp
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Storage {
    /// Name of the bucket, without `gs://`.
    #[meta(trigger)]
    bucket_name: String,
    /// Objects that one replica is expected to handle; above 0.
    #[meta(trigger, default = "100")]
    target_object_count: i64,
    /// Number of objects above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_object_count: i64,
    /// Number of objects at which counting ends; the value is never higher.
    #[meta(trigger, default = "1000")]
    max_bucket_items_to_scan: i64,
    /// What divides names into folders, such as `/`; with it objects in folders below `blobPrefix` do not count.
    /// Without it all of them do.
    #[meta(trigger, optional)]
    blob_delimiter: String,
    /// What the names of objects that count begin with, such as `new/`.
    #[meta(trigger, optional)]
    blob_prefix: String,
    #[meta(group)]
    options: GcpOptions,
}

impl Storage {
    fn check(&mut self, reader: &mut Reader<'_>) {
        for (name, value, least) in [
            ("targetObjectCount", self.target_object_count, 1),
            ("activationTargetObjectCount", self.activation_target_object_count, 0),
            ("maxBucketItemsToScan", self.max_bucket_items_to_scan, 1),
        ] {
            if value < least {
                reader.error_at(name, format!("{name} must be a positive number"));
            }
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("gcp-storage-{}", self.bucket_name))
    }
}

impl Trigger for Storage {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.target_object_count)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let emulator = sources.settings.gcp.storage_emulator.as_deref();
        let tokens = match emulator {
            Some(_) => None,
            None => Some(GcpTokens::new(self.options.login.clone(), SCOPE, sources)?),
        };
        Ok(Box::new(Bucket { url: self.url(emulator)?, client, tokens, trigger: self }))
    }
}

struct Bucket {
    url: Url,
    client: Arc<Client>,
    /// `None` for an emulator.
    tokens: Option<GcpTokens>,
    trigger: Storage,
}

#[async_trait]
impl Scaler for Bucket {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let (count, activation) = (self.count().await?, self.trigger.activation_target_object_count);
        Ok(vec![(self.trigger.metric_name(), Sample::above(float(count), float(activation)))])
    }
}

impl Bucket {
    /// The objects on all pages that hold anything, up to the limit; 0 for a bucket that does not exist, as in KEDA.
    async fn count(&self) -> Result<i64, SourceError> {
        let (mut count, mut page) = (0, String::new());
        loop {
            let mut url = self.url.clone();
            if !page.is_empty() {
                url.query_pairs_mut().append_pair("pageToken", &page);
            }
            let request = self.client.get(url);
            let answer = match &self.tokens {
                Some(tokens) => tokens.send(request).await?,
                None => http::send(request).await?,
            };
            if answer.status.as_u16() == 404 {
                tracing::debug!(bucket = self.trigger.bucket_name, "the bucket does not exist: taken for an empty one");
                return Ok(0);
            }
            let answer = answer.json("Cloud Storage")?;
            let items = match (answer.as_object(), answer.get("items")) {
                (Some(_), None) => &[],
                (Some(_), Some(Value::Array(items))) => items.as_slice(),
                _ => {
                    return Err(SourceError::malformed("the answer of Cloud Storage is no list"));
                }
            };
            let is_empty = |item: &&Value| item.get("size").and_then(Value::as_str).is_none_or(|size| size == "0");
            count += i64::try_from(items.iter().filter(|item| !is_empty(item)).count()).unwrap_or(i64::MAX);
            let next = answer.get("nextPageToken").and_then(Value::as_str).unwrap_or_default();
            // A page that begins where it ends would never end.
            if count >= self.trigger.max_bucket_items_to_scan || next.is_empty() || next == page {
                return Ok(count.min(self.trigger.max_bucket_items_to_scan));
            }
            page = next.to_string();
        }
    }
}

impl Storage {
    /// The address of the list of objects.
    fn url(&self, emulator: Option<&str>) -> Result<Url, SourceError> {
        let base = match emulator {
            None => "https://storage.googleapis.com".to_string(),
            Some(host) if host.contains("://") => host.to_string(),
            Some(host) => format!("http://{host}"),
        };
        let url = http::address(&base, "STORAGE_EMULATOR_HOST")?;
        let mut url = http::under(url, "STORAGE_EMULATOR_HOST", &["storage", "v1", "b", &self.bucket_name, "o"])?;
        url.query_pairs_mut().append_pair("alt", "json");
        for (key, text) in [("delimiter", &self.blob_delimiter), ("prefix", &self.blob_prefix)] {
            if !text.is_empty() {
                url.query_pairs_mut().append_pair(key, text);
            }
        }
        url.query_pairs_mut().append_pair("fields", "nextPageToken,prefixes,items(size)");
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(parameter: (&str, &str)) -> (Storage, Vec<String>) {
        let inputs = Inputs::from_metadata([("bucketName", "test.bucket"), parameter])
            .with_authentication([("GoogleApplicationCredentials", "{}")]);
        let (trigger, problems) = parse(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_buckets() {
        let (trigger, problems) = parsed(("targetObjectCount", "7"));
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("gcp-storage-test-bucket", Target::Integer(7));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn numbers_are_positive_and_only_the_activation_may_be_zero() {
        for (name, value) in
            [("targetObjectCount", "0"), ("activationTargetObjectCount", "-1"), ("maxBucketItemsToScan", "0")]
        {
            assert_eq!(parsed((name, value)).1, [format!("{name} must be a positive number")]);
        }
        assert!(parsed(("activationTargetObjectCount", "0")).1.is_empty());
    }
}
