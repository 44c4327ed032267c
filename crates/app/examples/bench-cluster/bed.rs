//! A control plane with what the operator needs on it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use keda_server::cluster::ApiErrorKind;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Settings;
use crate::api::Cluster;
use crate::audit::Audit;
use crate::contender::Contender;

/// The namespace of the operator.
pub(crate) const HOME: &str = "keda";

/// A control plane that ends when this is dropped.
pub(crate) struct Bed {
    child: Child,
    folder: TempDir,
    /// As an administrator.
    pub(crate) cluster: Cluster,
    /// What the operator asks of it.
    pub(crate) audit: Audit,
    /// Port of the external metrics API, as the APIService knows it.
    pub(crate) metrics_port: u16,
}

impl Bed {
    /// Brings up a control plane with the definitions and rights installed.
    pub(crate) async fn start(settings: &Settings, contender: &Contender) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("keda-bench-").tempdir().context("no temporary folder")?;
        let (audit, arguments) = Audit::prepare(folder.path(), &contender.user())?;
        let admin = folder.path().join("admin.json");
        let mut child = Command::new(settings.testbed.join("testbed"))
            .args(["up", "--until-stdin-closes", "--kubeconfig"])
            .arg(&admin)
            .arg("--dir")
            .arg(folder.path().join("data"))
            // As in a real cluster; the test bed's own default is shorter.
            .arg("--controller-manager-arg=--horizontal-pod-autoscaler-sync-period=15s")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("testbed.log"))?)
            .spawn()
            .context("cannot start the test bed")?;
        let mut line = String::new();
        let output = child.stdout.take().context("the test bed has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        if line.is_empty() {
            let log = std::fs::read_to_string(folder.path().join("testbed.log")).unwrap_or_default();
            bail!("the test bed did not come up: {log}");
        }
        let cluster = Cluster::new(client(&admin).await?);
        let bed = Bed { child, folder, cluster, audit, metrics_port: free_port()? };
        bed.install(&settings.keda).await?;
        Ok(bed)
    }

    /// Installs what `keda manifests` prints, but for the Deployment; the APIService leads to this machine.
    async fn install(&self, keda: &Path) -> anyhow::Result<()> {
        let output = Command::new(keda).args(["manifests", "-o", "json"]).output().context("cannot run keda")?;
        let list: Value = serde_json::from_slice(&output.stdout).context("keda manifests printed no JSON")?;
        for object in list["items"].as_array().context("keda manifests printed no list")? {
            let mut object = object.clone();
            match object["kind"].as_str().unwrap_or_default() {
                "Deployment" => continue,
                "Service" => object["spec"] = json!({ "type": "ExternalName", "externalName": "localhost" }),
                "APIService" => object["spec"]["service"]["port"] = json!(self.metrics_port),
                _ => {}
            }
            self.apply(&object).await?;
        }
        let served = async || self.cluster.get::<Value>("/apis/keda.sh/v1alpha1/scaledobjects").await.is_ok();
        until(Duration::from_secs(60), served).await.context("the definitions are not served")
    }

    /// Creates an object; that it exists is fine.
    pub(crate) async fn apply(&self, object: &Value) -> anyhow::Result<()> {
        let path = collection_of(object);
        match self.cluster.create::<Value>(&path, object).await {
            Err(error) if error.kind == ApiErrorKind::AlreadyExists => Ok(()),
            result => {
                result.map(|_| ()).with_context(|| format!("cannot create {} in {path}", object["metadata"]["name"]))
            }
        }
    }

    /// A kubeconfig of a ServiceAccount in the operator's namespace.
    pub(crate) async fn kubeconfig_of(&self, account: &str) -> anyhow::Result<PathBuf> {
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "expirationSeconds": 36_000 } });
        let path = format!("/api/v1/namespaces/{HOME}/serviceaccounts/{account}/token");
        let answer: Value = self.cluster.create(&path, &request).await.context("no token")?;
        let mut kubeconfig = Kubeconfig::read_from(self.folder.path().join("admin.json"))?;
        for info in &mut kubeconfig.auth_infos {
            info.auth_info = serde_json::from_value(json!({ "token": answer["status"]["token"] })).ok();
        }
        let path = self.folder.path().join(format!("{account}.json"));
        std::fs::write(&path, serde_json::to_string(&kubeconfig)?)?;
        Ok(path)
    }

    /// A folder for files of the measurement.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

async fn client(path: &Path) -> anyhow::Result<kube::Client> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Where objects of this kind are created.
fn collection_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let version = text(&object["apiVersion"]);
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let kind = text(&object["kind"]).to_lowercase();
    let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{version}/{plural}"),
    }
}

/// Looks again and again until something holds.
///
/// # Errors
/// That it did not in time.
pub(crate) async fn until(patience: Duration, holds: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + patience;
    while !holds().await {
        if tokio::time::Instant::now() > deadline {
            bail!("it took longer than {} s", patience.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
