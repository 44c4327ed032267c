//! The API server as tests and measurements ask it: by paths that stand in their source. The operator makes its paths of
//! segments, as names in them come from others.

use keda_server::cluster::{ApiError, ApiPath, Cluster as Inner};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The API server.
#[derive(Clone)]
pub(crate) struct Cluster(Inner);

impl Cluster {
    pub(crate) fn new(client: kube::Client) -> Self {
        Cluster(Inner::new(client))
    }

    pub(crate) fn client(&self) -> kube::Client {
        self.0.client()
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.0.get(&segments(path)).await
    }

    pub(crate) async fn create<T: DeserializeOwned>(&self, path: &str, object: &impl Serialize) -> Result<T, ApiError> {
        self.0.create(&segments(path), object).await
    }

    pub(crate) async fn merge<T: DeserializeOwned>(&self, path: &str, patch: &Value) -> Result<T, ApiError> {
        self.0.merge(&segments(path), patch).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.0.delete(&segments(path)).await
    }
}

/// A path such as `/apis/apps/v1/namespaces/shop/deployments?limit=1`.
fn segments(path: &str) -> ApiPath {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut segments = path.trim_start_matches('/').split('/');
    let mut next = || segments.next().unwrap_or_default();
    let group = if next() == "api" { "" } else { next() };
    let version = ApiPath::version(group, next());
    let path = segments.fold(version, ApiPath::below);
    let Ok(url) = Url::parse(&format!("http://api/?{query}")) else { return path };
    let options: Vec<_> = url.query_pairs().collect();
    let options: Vec<(&str, &str)> = options.iter().map(|(key, value)| (&**key, &**value)).collect();
    if options.is_empty() { path } else { path.query(&options) }
}
