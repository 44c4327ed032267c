//! A control plane for the tests, and the operator's rights on it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::api::Cluster;
use crate::servers::free_port;

/// The operator's certificates.
pub const CERTIFICATES: &str = "/api/v1/namespaces/keda/secrets/kedaorg-certs";

/// A control plane, with a client of the test's own: a client lives no longer than the runtime that it was made in.
pub struct Bed {
    process: Arc<BedProcess>,
    /// As an administrator.
    pub cluster: Cluster,
    /// Port of the external metrics API, as the APIService knows it.
    pub metrics_port: u16,
}

/// A control plane that ends with the test process, or when this is dropped.
pub struct BedProcess {
    child: Child,
    folder: TempDir,
    control: String,
    metrics_port: u16,
    binaries: PathBuf,
}

impl Bed {
    /// Brings up a control plane with the operator's rights installed; `None` where it cannot be built.
    pub async fn start(arguments: &[&str]) -> Option<Bed> {
        let binaries = binaries()?;
        let folder = TempDir::new().expect("a folder");
        let log = std::fs::File::create(folder.path().join("testbed.log")).expect("a log");
        let mut child = Command::new(binaries.join("testbed"))
            .args(["up", "--until-stdin-closes", "--kubeconfig"])
            .arg(folder.path().join("admin.json"))
            .arg("--dir")
            .arg(folder.path().join("data"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the test bed starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let log = std::fs::read_to_string(folder.path().join("testbed.log")).unwrap_or_default();
            panic!("the test bed did not come up: {log}")
        });
        let control = told["control"].as_str().expect("a control address").to_string();
        let bed =
            Bed::connect(&Arc::new(BedProcess { child, folder, control, metrics_port: free_port(), binaries })).await;
        bed.install(&[]).await;
        Some(bed)
    }

    /// Another client of the same control plane.
    pub async fn connect(process: &Arc<BedProcess>) -> Bed {
        let cluster = Cluster::new(client(&process.folder.path().join("admin.json")).await);
        Bed { process: Arc::clone(process), cluster, metrics_port: process.metrics_port }
    }

    /// What other clients are made of.
    pub fn process(&self) -> Arc<BedProcess> {
        Arc::clone(&self.process)
    }

    /// Installs what `keda manifests` prints, but for the Deployment; the APIService leads to this machine.
    pub async fn install(&self, arguments: &[&str]) {
        let output =
            crate::program::keda().args(["manifests", "-o", "json"]).args(arguments).output().expect("keda manifests");
        let list: Value = serde_json::from_slice(&output.stdout).expect("a list");
        for object in list["items"].as_array().expect("items") {
            let mut object = object.clone();
            match object["kind"].as_str().expect("a kind") {
                "Deployment" => continue,
                "Service" => object["spec"] = json!({ "type": "ExternalName", "externalName": "localhost" }),
                "APIService" => object["spec"]["service"]["port"] = json!(self.metrics_port),
                _ => {}
            }
            self.apply(&object).await;
        }
        let established = || async {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scaledobjects.keda.sh";
            let crd: Value = self.cluster.get(path).await.unwrap_or_default();
            crd["status"]["conditions"].to_string().contains(r#""type":"Established""#)
                && self.cluster.get::<Value>("/apis/keda.sh/v1alpha1/scaledobjects").await.is_ok()
        };
        assert!(super::world::until(30, established).await, "the definitions are not served");
    }

    /// Creates an object, or changes it to what is given.
    pub async fn apply(&self, object: &Value) {
        let path = path_of(object);
        let collection = path.rsplit_once('/').expect("a collection").0;
        match self.cluster.create::<Value>(collection, object).await {
            Ok(_) => {}
            Err(error) if error.kind == keda_server::cluster::ApiErrorKind::AlreadyExists => {
                self.cluster.merge::<Value>(&path, object).await.unwrap_or_else(|error| panic!("{path}: {error}"));
            }
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// A kubeconfig of the operator's ServiceAccount.
    pub async fn operator_kubeconfig(&self) -> PathBuf {
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "expirationSeconds": 36_000 } });
        let path = "/api/v1/namespaces/keda/serviceaccounts/keda-operator/token";
        let answer: Value = self.cluster.create(path, &request).await.expect("a token");
        self.kubeconfig_with(&json!({ "token": answer["status"]["token"] }), "operator.json")
    }

    /// A kubeconfig with other credentials.
    pub fn kubeconfig_with(&self, user: &Value, name: &str) -> PathBuf {
        let mut admin = Kubeconfig::read_from(self.folder().join("admin.json")).expect("a kubeconfig");
        for info in &mut admin.auth_infos {
            info.auth_info = serde_json::from_value(user.clone()).ok();
        }
        let path = self.folder().join(name);
        std::fs::write(&path, serde_json::to_string(&admin).expect("JSON")).expect("a file");
        path
    }

    /// Tells the test bed to stop or start one of its parts.
    pub async fn control(&self, command: &str) {
        let answer = reqwest::Client::new().post(format!("{}/{command}", self.process.control)).send().await;
        let answer = answer.expect("the test bed answers");
        assert!(answer.status().is_success(), "{command}: {}", answer.text().await.unwrap_or_default());
    }

    /// A TCP front of two servers at the port that the APIService knows; it ends when this is dropped.
    pub fn front(&self, backends: [u16; 2]) -> Front {
        let child = Command::new(self.process.binaries.join("testbed"))
            .args(["front", "--listen"])
            .arg(format!("127.0.0.1:{}", self.metrics_port))
            .args(backends.iter().flat_map(|port| ["--backend".to_string(), format!("127.0.0.1:{port}")]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the front starts");
        Front(child)
    }

    /// A folder for files of the tests.
    pub fn folder(&self) -> &Path {
        self.process.folder.path()
    }
}

impl Drop for BedProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A running front, killed when this is dropped.
pub struct Front(Child);

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client for a kubeconfig.
pub async fn client(path: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(path).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    kube::Client::try_from(config.expect("a configuration")).expect("a client")
}

/// The folder of the test bed's binaries, which are built where they are not there.
fn binaries() -> Option<PathBuf> {
    let output = Command::new("../../scripts/testbed.sh").stderr(Stdio::inherit()).output().expect("a shell");
    if !output.status.success() {
        let message = "skipped: the test bed cannot be built";
        assert!(crate::servers::required().is_none(), "{message}");
        println!("{message}");
        return None;
    }
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The path of an object in the API.
pub fn path_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let version = text(&object["apiVersion"]);
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let kind = text(&object["kind"]).to_lowercase();
    let plural = match kind.as_str() {
        "networkpolicy" => "networkpolicies".to_string(),
        kind => format!("{kind}s"),
    };
    let name = text(&object["metadata"]["name"]);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{root}/{version}/{plural}/{name}"),
    }
}
