//! Follows references in a cluster: objects are read by name when something asks for them, and forgotten afterwards.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use base64::Engine as _;
use keda_core::api::{PodSpec, ScaleTarget, TriggerAuthenticationSpec};
use keda_core::resolve::Lookup;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use keda_scalers::plan::{ReferenceSource, Step};
use serde::Deserialize;
use serde_json::Value;

use super::client::{ApiError, ApiErrorKind, Cluster};
use super::discovery::Discovery;
use super::resource::{CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS};
use super::tokens::Tokens;

/// Rounds of asking and fetching: target, its references, what those lead to.
const ROUNDS: usize = 6;

type Data = BTreeMap<String, String>;

/// The TriggerAuthentications of the cluster, which a watch keeps.
#[derive(Debug, Default)]
pub(crate) struct Authentications {
    /// By namespace and name; the namespace of a ClusterTriggerAuthentication is empty.
    specs: RwLock<HashMap<(String, String), TriggerAuthenticationSpec>>,
}

impl Authentications {
    pub(crate) fn apply(&self, namespace: &str, name: &str, spec: TriggerAuthenticationSpec) {
        if let Ok(mut specs) = self.specs.write() {
            specs.insert((namespace.to_string(), name.to_string()), spec);
        }
    }

    pub(crate) fn delete(&self, namespace: &str, name: &str) {
        if let Ok(mut specs) = self.specs.write() {
            specs.remove(&(namespace.to_string(), name.to_string()));
        }
    }

    fn get(&self, namespace: &str, name: &str) -> Option<TriggerAuthenticationSpec> {
        self.specs.read().ok()?.get(&(namespace.to_string(), name.to_string())).cloned()
    }
}

/// Where references are followed, and which Secrets may be read.
pub(crate) struct ClusterReferences {
    pub(crate) cluster: Cluster,
    pub(crate) discovery: Arc<Discovery>,
    pub(crate) authentications: Arc<Authentications>,
    /// Where the Secrets of a ClusterTriggerAuthentication live.
    pub(crate) cluster_namespace: String,
    /// Whether Secrets are read from that namespace only.
    pub(crate) restrict_secrets: bool,
    /// The folder of files with parameters, if they may be read.
    pub(crate) files: Option<PathBuf>,
    pub(crate) tokens: Tokens,
}

/// An object that something refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Reference {
    Secret(String, String),
    ConfigMap(String, String),
    ServiceAccount(String, String),
    /// A token of a ServiceAccount.
    Token(String, String),
    Target {
        namespace: String,
        api_version: String,
        kind: String,
        name: String,
    },
}

/// What a reference leads to.
#[derive(Clone)]
enum Found {
    /// Nothing, and why.
    Nothing(String),
    /// Data, or annotations of a ServiceAccount.
    Data(Data),
    Token(Secret),
    /// The pod template's spec of a target, if it has one.
    PodSpec(Option<Box<PodSpec>>),
}

/// The objects found so far, and those that were asked for in vain. It answers for one resolution only.
pub(crate) struct Snapshot {
    found: HashMap<Reference, Found>,
    wanted: Mutex<Vec<Reference>>,
    authentications: Arc<Authentications>,
    cluster_namespace: String,
    restrict_secrets: bool,
    files: Option<PathBuf>,
}

impl ClusterReferences {
    /// Nothing found yet.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            found: HashMap::new(),
            wanted: Mutex::new(Vec::new()),
            authentications: Arc::clone(&self.authentications),
            cluster_namespace: self.cluster_namespace.clone(),
            restrict_secrets: self.restrict_secrets,
            files: self.files.clone(),
        }
    }

    /// Runs `step` with lookups until it finds everything that it asks for, beginning with what was found before; the
    /// last run counts.
    pub(crate) async fn run_from(&self, mut snapshot: Snapshot, step: &mut Step<'_>) -> Result<Snapshot, ApiError> {
        for _ in 0..ROUNDS {
            step(&snapshot);
            let wanted = snapshot.take_wanted();
            if wanted.is_empty() {
                break;
            }
            for reference in wanted {
                let found = self.fetch(&reference).await?;
                snapshot.found.insert(reference, found);
            }
        }
        Ok(snapshot)
    }

    async fn fetch(&self, reference: &Reference) -> Result<Found, ApiError> {
        let result = match reference {
            Reference::Secret(namespace, name) => secret(&self.cluster, namespace, name).await.map(Found::Data),
            Reference::ConfigMap(namespace, name) => config_map(&self.cluster, namespace, name).await.map(Found::Data),
            Reference::ServiceAccount(namespace, name) => {
                let account = self.cluster.get::<Annotated>(&SERVICE_ACCOUNTS.object(Some(namespace), name)).await;
                account.map(|account| Found::Data(account.metadata.annotations))
            }
            Reference::Token(namespace, name) => match self.tokens.get(&self.cluster, namespace, name).await {
                // As with KEDA the trigger goes on without it.
                Err(error) if !error.is_transient() => Ok(Found::Nothing(error.message)),
                token => token.map(Found::Token),
            },
            Reference::Target { namespace, api_version, kind, name } => {
                match self.discovery.resource(&self.cluster, api_version, kind).await {
                    Ok(resource) => {
                        let target = self.cluster.get::<Value>(&resource.object(Some(namespace), name)).await;
                        target.map(|target| Found::PodSpec(pod_spec(&target).map(Box::new)))
                    }
                    Err(error) => Err(error),
                }
            }
        };
        match result {
            Err(error) if error.is_not_found() => Ok(Found::Nothing(error.message)),
            other => other,
        }
    }
}

impl Snapshot {
    /// A target that was read already.
    pub(crate) fn with_target(mut self, namespace: &str, target: &ScaleTarget, pod_spec: Option<PodSpec>) -> Self {
        self.found.insert(target_reference(namespace, target), Found::PodSpec(pod_spec.map(Box::new)));
        self
    }

    fn take_wanted(&self) -> Vec<Reference> {
        self.wanted.lock().map(|mut wanted| std::mem::take(&mut *wanted)).unwrap_or_default()
    }

    fn want(&self, reference: Reference) {
        if let Ok(mut wanted) = self.wanted.lock()
            && !wanted.contains(&reference)
        {
            wanted.push(reference);
        }
    }

    fn data(&self, reference: Reference) -> Option<Data> {
        match self.found.get(&reference) {
            Some(Found::Data(data)) => Some(data.clone()),
            Some(_) => None,
            None => {
                self.want(reference);
                None
            }
        }
    }
}

impl Lookup for Snapshot {
    fn pod_spec(&self, namespace: &str, target: &ScaleTarget) -> Result<Option<PodSpec>, String> {
        let reference = target_reference(namespace, target);
        match self.found.get(&reference) {
            Some(Found::PodSpec(pod_spec)) => Ok(pod_spec.as_deref().cloned()),
            Some(Found::Nothing(why)) => Err(why.clone()),
            Some(Found::Data(_) | Found::Token(_)) => Ok(None),
            None => {
                self.want(reference);
                Ok(None)
            }
        }
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<Data> {
        // Restricted, a TriggerAuthentication's Secret is looked for in KEDA's own namespace, wherever it is itself.
        let home = if self.restrict_secrets { &self.cluster_namespace } else { namespace };
        self.data(Reference::Secret(home.to_string(), name.to_string()))
    }

    fn config_map(&self, namespace: &str, name: &str) -> Option<Data> {
        self.data(Reference::ConfigMap(namespace.to_string(), name.to_string()))
    }

    fn trigger_authentication(&self, namespace: &str, name: &str) -> Option<TriggerAuthenticationSpec> {
        self.authentications.get(namespace, name)
    }

    fn cluster_trigger_authentication(&self, name: &str) -> Option<TriggerAuthenticationSpec> {
        self.authentications.get("", name)
    }

    fn service_account(&self, namespace: &str, name: &str) -> Option<Data> {
        self.data(Reference::ServiceAccount(namespace.to_string(), name.to_string()))
    }

    fn token(&self, namespace: &str, service_account: &str) -> Option<Result<String, String>> {
        let reference = Reference::Token(namespace.to_string(), service_account.to_string());
        Some(match self.found.get(&reference) {
            Some(Found::Token(token)) => Ok(token.expose().to_string()),
            Some(Found::Nothing(why)) => Err(why.clone()),
            _ => {
                self.want(reference);
                Err("it was not asked for yet".to_string())
            }
        })
    }

    fn file(&self, path: &str) -> Result<Data, String> {
        let Some(folder) = &self.files else { return Err("filepath-auth-root-path not configured".to_string()) };
        if Path::new(path).is_absolute() || path.contains("..") {
            return Err("filePath must be relative and not contain '..'".to_string());
        }
        let path = folder.join(path);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let wrong = |_| format!("{} is no JSON object of texts", path.display());
        serde_json::from_str(&text).map_err(wrong)
    }

    fn cluster_namespace(&self) -> &str {
        &self.cluster_namespace
    }

    fn may_read_secrets_of(&self, namespace: &str) -> bool {
        !self.restrict_secrets || namespace == self.cluster_namespace
    }
}

fn target_reference(namespace: &str, target: &ScaleTarget) -> Reference {
    Reference::Target {
        namespace: namespace.to_string(),
        api_version: target.api_version().to_string(),
        kind: target.kind().to_string(),
        name: target.name.clone(),
    }
}

#[async_trait]
impl ReferenceSource for ClusterReferences {
    async fn resolve(&self, step: &mut Step<'_>) -> Result<(), SourceError> {
        self.run_from(self.snapshot(), step).await.map(|_| ()).map_err(|error| unreachable(&error))
    }
}

/// A failure of the API server while a source is built is a failure of the source.
fn unreachable(error: &ApiError) -> SourceError {
    SourceError::new(ErrorKind::Unreachable, format!("what the trigger refers to cannot be read: {error}"))
}

/// The decoded data of a Secret. KEDA lists and watches Secrets, so that roles made for it need not allow to read one.
pub(super) async fn secret(cluster: &Cluster, namespace: &str, name: &str) -> Result<Data, ApiError> {
    match cluster.get::<SecretData>(&SECRETS.object(Some(namespace), name)).await {
        Err(error) if error.kind == ApiErrorKind::Forbidden => listed_secret(cluster, namespace, name, error).await,
        read => Ok(read?.decoded()),
    }
}

/// The decoded data of a Secret that may not be read, which `refusal` says.
async fn listed_secret(cluster: &Cluster, namespace: &str, name: &str, refusal: ApiError) -> Result<Data, ApiError> {
    let selector = format!("metadata.name={name}");
    let path = SECRETS.path(Some(namespace)).query(&[("fieldSelector", selector.as_str())]);
    let list = match cluster.get::<SecretList>(&path).await {
        Err(error) if error.kind == ApiErrorKind::Forbidden => return Err(refusal),
        list => list?,
    };
    let found = list.items.into_iter().find(|listed| listed.metadata.name == name);
    found
        .map(|listed| listed.secret.decoded())
        .ok_or_else(|| ApiError { kind: ApiErrorKind::NotFound, message: format!("secrets {name:?} not found") })
}

/// The data of a ConfigMap.
pub(super) async fn config_map(cluster: &Cluster, namespace: &str, name: &str) -> Result<Data, ApiError> {
    Ok(cluster.get::<ConfigMapData>(&CONFIG_MAPS.object(Some(namespace), name)).await?.data)
}

#[derive(Deserialize)]
struct SecretList {
    #[serde(default)]
    items: Vec<ListedSecret>,
}

#[derive(Deserialize)]
struct ListedSecret {
    metadata: ListedMetadata,
    #[serde(flatten)]
    secret: SecretData,
}

#[derive(Deserialize)]
struct ListedMetadata {
    name: String,
}

#[derive(Deserialize)]
struct SecretData {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl SecretData {
    /// Values that are no text are taken byte by byte as far as they are; a trigger's parameters are texts.
    fn decoded(self) -> Data {
        let decode = |text: String| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        self.data.into_iter().map(|(key, value)| (key, decode(value))).collect()
    }
}

#[derive(Deserialize)]
struct ConfigMapData {
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize)]
struct Annotated {
    metadata: AnnotatedMetadata,
}

#[derive(Deserialize)]
struct AnnotatedMetadata {
    #[serde(default)]
    annotations: Data,
}

/// The pod template's spec of an object of any kind, if it has one.
pub(crate) fn pod_spec(object: &Value) -> Option<PodSpec> {
    let template = object.pointer("/spec/template/spec")?;
    serde_json::from_value(without_nulls(template)).ok()
}

/// A field that is null is as good as none. Templates of custom kinds, which the API server often does not check, have
/// some.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::testing;

    #[tokio::test]
    async fn a_secret_that_may_be_listed_alone_is_found() {
        let secret = |name: &str, text: &str| json!({ "metadata": { "name": name }, "data": { "password": text } });
        let (cluster, _requests) = testing::cluster(move |request| match request.rsplit_once("?fieldSelector=") {
            Some(("GET /api/v1/namespaces/shop/secrets", "metadata.name%3Dlogin")) => {
                Some(json!({ "items": [secret("other", "b3RoZXI="), secret("login", "aHVudGVy")] }))
            }
            Some((_, "metadata.name%3Dgone")) => Some(json!({ "items": [] })),
            _ => Some(json!({ "kind": "Status", "code": 403, "reason": "Forbidden", "message": "not you" })),
        });
        let read = async |name: &str| super::secret(&cluster, "shop", name).await;
        assert_eq!(read("login").await.unwrap()["password"], "hunter");
        assert!(read("gone").await.unwrap_err().is_not_found());
        let refused = read("locked").await.unwrap_err();
        assert_eq!((refused.kind, refused.message.as_str()), (ApiErrorKind::Forbidden, "not you"));
    }

    #[tokio::test]
    async fn files_are_read_below_their_folder_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("login.json"), r#"{"password": "hunter2"}"#).unwrap();
        std::fs::write(folder.path().join("wrong.json"), r#"{"password": 2}"#).unwrap();
        let (cluster, _requests) = testing::cluster(|_| None);
        let references = |files: Option<&Path>| ClusterReferences {
            cluster: cluster.clone(),
            discovery: Arc::default(),
            authentications: Arc::default(),
            cluster_namespace: "keda".to_string(),
            restrict_secrets: false,
            files: files.map(Path::to_path_buf),
            tokens: Tokens::new(std::time::Duration::from_secs(3600)),
        };
        let snapshot = references(Some(folder.path())).snapshot();
        assert_eq!(snapshot.file("login.json").unwrap()["password"], "hunter2");
        let fails = |snapshot: &Snapshot, path: &str| snapshot.file(path).unwrap_err();
        assert!(fails(&snapshot, "none.json").contains("No such file"));
        assert!(fails(&snapshot, "wrong.json").ends_with("is no JSON object of texts"));
        for outside in ["/etc/hostname", "../login.json", "a/../../login.json"] {
            assert_eq!(fails(&snapshot, outside), "filePath must be relative and not contain '..'");
        }
        assert_eq!(fails(&references(None).snapshot(), "login.json"), "filepath-auth-root-path not configured");
    }

    #[test]
    fn a_template_with_fields_that_are_null_is_one() {
        let variable = json!({ "name": "QUEUE", "value": "jobs", "valueFrom": null });
        let containers = json!([{ "name": "web", "env": [variable], "envFrom": null, "resources": null }]);
        let spec = json!({ "containers": containers, "initContainers": null, "serviceAccountName": null });
        let found = pod_spec(&json!({ "spec": { "template": { "spec": spec } } })).unwrap();
        assert_eq!(found.containers[0].env[0].value.as_deref(), Some("jobs"));
        assert_eq!(pod_spec(&json!({ "spec": { "template": null } })), None);
    }
}
