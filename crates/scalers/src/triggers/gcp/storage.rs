//! `gcp-storage`: the objects in a bucket that are not empty (`scalers/gcp-storage.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::client::gcp::GcpOptions;
use crate::trigger::{Specs, Trigger};

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
#[expect(dead_code, reason = "read once the source is written")]
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
