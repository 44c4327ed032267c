//! `azure-blob`: the number of blobs in a container of Azure Storage (`scalers/azure-blob.md`).

mod glob;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use regex::Regex;
use roxmltree::Node;

use crate::client::Sources;
use crate::client::azure::{self, Storage, StorageAccount};
use crate::format::xml;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on the number of blobs in a container of Azure Storage.
///
/// What counts is the number of blobs in the container, or in the folder `blobPrefix` of it. The replicas are that
/// number divided by `blobCount`. The target leaves zero when it is above `activationBlobCount`.
///
/// The trigger does not know which blobs are done: the workers must delete them, or move them elsewhere. Each reading
/// lists all of them, so it takes long with many.
///
/// Blobs in folders below count only with `recursive: "true"` or a `globPattern`. The delimiter is added to
/// `blobPrefix`, so write `incoming` and not `incoming/`. In a pattern `*` stands for slashes too, and the prefix still
/// applies.
///
/// Log in with a TriggerAuthentication: either the parameter `connection`, the connection string of the storage
/// account, or `podIdentity` with the provider `azure-workload`, and then `accountName` in the metadata. The identity
/// needs the role `Storage Blob Data Reader`.
///
/// ```yaml
/// type: azure-blob
/// metadata:
///   blobContainerName: scans
///   blobPrefix: incoming
///   blobCount: "10"
///   activationBlobCount: "2"
/// authenticationRef:
///   name: scans-storage
/// ---
/// secretTargetRef:
///   - parameter: connection
///     name: scans-storage
///     key: connection-string
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct AzureBlob {
    /// Name of the container.
    #[meta(trigger)]
    blob_container_name: String,
    /// Blobs that one replica is expected to handle.
    #[meta(trigger, default = "5")]
    blob_count: i64,
    /// Number of blobs above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_blob_count: i64,
    /// What separates folders in the names of blobs. It is not used with `recursive`.
    #[meta(trigger, default = "/")]
    blob_delimiter: String,
    /// The folder whose blobs count, such as `incoming`, without the delimiter at its end; with `recursive`, what the
    /// names of blobs begin with.
    #[meta(trigger, optional)]
    blob_prefix: String,
    /// Whether blobs in folders count too.
    #[meta(trigger, default = "false")]
    recursive: bool,
    /// Pattern that the whole name of a blob must match to count, folders included, such as `incoming/**.{csv,json}`.
    /// It looks into all folders; `*` and `**` match any text, `?` one character.
    #[meta(trigger, optional)]
    glob_pattern: String,
    /// Connection string of the storage account; needed without a workload identity. It belongs into a Secret and not
    /// into the metadata.
    #[meta(names("connection", "connectionFromEnv"), auth, env, trigger, optional)]
    connection: Secret,
    #[meta(group)]
    account: StorageAccount,
}

impl AzureBlob {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.recursive {
            self.blob_delimiter.clear();
        }
        if !self.blob_prefix.is_empty() {
            self.blob_prefix.push_str(&self.blob_delimiter);
        }
        if let Err(cause) = glob::compile(&self.glob_pattern) {
            reader.error_at("globPattern", format!("invalid glob pattern {:?}: {cause}", self.glob_pattern));
        }
        self.account.locate("blob", reader);
        match reader.context().identity_provider() {
            "none" if self.connection.is_empty() => {
                reader.error("connection string is required when not using pod identity");
            }
            azure::WORKLOAD_IDENTITY if self.account.account_name.is_empty() => {
                reader.error("accountName is required when using Azure Workload Identity");
            }
            "none" | azure::WORKLOAD_IDENTITY => {}
            other => reader.error(format!(
                "pod identity provider {other:?} is not supported for Azure Storage Blobs (supported: none, \
                azure-workload)"
            )),
        }
    }
}

impl Trigger for AzureBlob {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.blob_count)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let storage = Storage::new("blob", &self.connection, &self.account, context, sources)?;
        let pattern = glob::compile(&self.glob_pattern).map_err(SourceError::configuration)?;
        Ok(Box::new(Blobs { metric_name: self.metric_name(), storage, pattern, trigger: self }))
    }
}

impl AzureBlob {
    fn metric_name(&self) -> String {
        normalize(&format!("azure-blob-{}", self.blob_container_name))
    }
}

struct Blobs {
    metric_name: String,
    storage: Storage,
    pattern: Regex,
    trigger: AzureBlob,
}

#[async_trait]
impl Scaler for Blobs {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let count = self.count().await.map_err(|error| error.within("error listing blobs"))?;
        let activation = float(self.trigger.activation_blob_count);
        Ok(vec![(self.metric_name.clone(), Sample::above(float(count), activation))])
    }
}

impl Blobs {
    /// The blobs on all pages of the list that count.
    async fn count(&self) -> Result<i64, SourceError> {
        let (mut count, mut marker) = (0, String::new());
        loop {
            let mut query = vec![("restype", "container"), ("comp", "list")];
            if !self.has_pattern() {
                query.push(("delimiter", &self.trigger.blob_delimiter));
            }
            if !self.trigger.blob_prefix.is_empty() {
                query.push(("prefix", &self.trigger.blob_prefix));
            }
            if !marker.is_empty() {
                query.push(("marker", &marker));
            }
            let answer = self.storage.get(&self.trigger.blob_container_name, &query).await?;
            let (counted, next) = self.read_page(&answer.body)?;
            count += counted;
            // A page that begins where it ends would never end.
            if next.is_empty() || next == marker {
                return Ok(count);
            }
            marker = next;
        }
    }

    /// How many blobs of a page count, and where the next page begins.
    fn read_page(&self, body: &str) -> Result<(i64, String), SourceError> {
        let document = xml::document(body, "the answer of Azure Storage")?;
        let list = document.root_element();
        let missing = || SourceError::malformed("Azure Storage gave no list of blobs");
        let blobs = xml::child(list, "Blobs").ok_or_else(missing)?;
        let counts = |blob: &Node<'_, '_>| {
            let name = xml::child(*blob, "Name").and_then(|name| name.text());
            xml::is_named(blob, "Blob") && (!self.has_pattern() || name.is_some_and(|name| self.pattern.is_match(name)))
        };
        let counted = blobs.children().filter(counts).count();
        let next = xml::child(list, "NextMarker").and_then(|marker| marker.text()).unwrap_or_default();
        Ok((i64::try_from(counted).unwrap_or(i64::MAX), next.to_string()))
    }

    fn has_pattern(&self) -> bool {
        !self.trigger.glob_pattern.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(provider: &str, more: &[(&str, &str)]) -> (AzureBlob, Vec<String>) {
        let inputs = Inputs::from_metadata([("blobContainerName", "my.box")].iter().chain(more).copied())
            .with_environment([("C", "connection")]);
        let pod_identity = Some(PodIdentity { provider: provider.into(), ..PodIdentity::default() });
        let (trigger, problems) = parse::<AzureBlob>(&inputs, &Context { pod_identity, ..Context::default() });
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_containers() {
        let (trigger, problems) = parsed("none", &[("connectionFromEnv", "C")]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(trigger.connection.expose(), "connection");
        let spec = MetricSpec::external("azure-blob-my-box", Target::Integer(5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_prefix_is_a_folder_unless_folders_do_not_matter() {
        let prefix = |more| {
            let metadata = [("connectionFromEnv", "C"), ("blobPrefix", "in"), more];
            parsed("none", &metadata).0.blob_prefix
        };
        assert_eq!(prefix(("blobCount", "1")), "in/");
        assert_eq!(prefix(("blobDelimiter", "-")), "in-");
        assert_eq!(prefix(("recursive", "true")), "in");
    }

    #[test]
    fn a_variable_that_is_not_set_is_found_out_by_the_connection() {
        assert_eq!(parsed("none", &[("connectionFromEnv", "D")]).0.connection.expose(), "D");
        assert_eq!(parsed("none", &[]).1, ["connection string is required when not using pod identity"]);
    }

    #[test]
    fn an_identity_needs_an_account_and_a_pattern_must_be_one() {
        assert_eq!(parsed("azure-workload", &[]).1, ["accountName is required when using Azure Workload Identity"]);
        assert!(parsed("aws-eks", &[]).1[0].contains("\"aws-eks\" is not supported"));
        let problems = parsed("azure-workload", &[("accountName", "a"), ("globPattern", r"[\]")]).1;
        assert!(problems.len() == 1 && problems[0].starts_with("invalid glob pattern"), "{problems:?}");
    }
}
