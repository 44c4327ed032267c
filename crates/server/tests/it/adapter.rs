//! gRPC with mutual TLS, and the adapter between the API server and the operator.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keda_server::adapter::{self, AdapterSettings};
use keda_server::certificates::{CertificateFiles, Material, generate};
use keda_server::grpc::{GrpcClientSettings, GrpcSource, serve_grpc};
use keda_server::metrics_api::{MetricError, MetricSource, MetricsApiSettings};
use keda_server::tls::{Identity, Shutdown, TlsVersions, bind};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::{CONFIG_MAP, Cluster};
use crate::world::{Authority, Fixed, client, config_map, free_address, names, new_identity};

async fn operator(at: SocketAddr, identity: &watch::Sender<Option<Arc<Identity>>>) -> (SocketAddr, CancellationToken) {
    let listener = bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let token = CancellationToken::new();
    let shutdown = Shutdown::new(token.clone());
    tokio::spawn(serve_grpc(listener, Arc::new(Fixed), identity.subscribe(), TlsVersions::From13, shutdown));
    (address, token)
}

fn settings(address: SocketAddr, authority: &str) -> GrpcClientSettings {
    GrpcClientSettings {
        address: address.to_string(),
        authority: Some(authority.to_owned()),
        versions: TlsVersions::From12,
    }
}

async fn connected(source: &GrpcSource) -> bool {
    tokio::time::timeout(Duration::from_secs(1), source.ready()).await.is_ok()
}

const AUTHORITY: &str = "keda-operator.keda.svc.cluster.local:9666";

#[tokio::test]
async fn values_and_errors_go_through() {
    let identity = watch::Sender::new(Some(new_identity()));
    let (address, _) = operator(free_address(), &identity).await;
    let source = GrpcSource::connect(&settings(address, AUTHORITY), identity.subscribe()).unwrap();
    source.ready().await;
    let values = source.external_metric("shop", "cart", "s0-x").await.unwrap();
    assert_eq!((values[0].metric_name.as_str(), values[0].value.to_string()), ("s0-x", "1500m".to_owned()));
    let error = source.external_metric("shop", "cart", "broken").await.unwrap_err();
    let text = "rpc error: code = Unknown desc = error when getting metric values metric:broken of shop/cart encountered error";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn both_ends_are_verified() {
    let identity = watch::Sender::new(Some(new_identity()));
    let (address, _) = operator(free_address(), &identity).await;
    let stranger = watch::Sender::new(Some(Arc::new(
        Identity::clone(&new_identity()).trusting_also(identity.borrow().as_ref().unwrap().authorities()),
    )));
    let wrong_client = GrpcSource::connect(&settings(address, AUTHORITY), stranger.subscribe()).unwrap();
    let wrong_name =
        GrpcSource::connect(&settings(address, "elsewhere.example.org:9666"), identity.subscribe()).unwrap();
    assert!(!connected(&wrong_name).await);
    let refused = wrong_client.external_metric("shop", "cart", "s0-x");
    let refused = tokio::time::timeout(Duration::from_secs(2), refused).await;
    assert!(refused.is_err() || matches!(refused, Ok(Err(MetricError::Rpc { .. }))));
    // Without a certificate nothing is answered.
    let nobody = client(address, identity.borrow().as_ref().unwrap().authorities(), None);
    let url = format!("https://{}:{}/api.MetricsService/GetMetrics", crate::world::HOST, address.port());
    assert!(nobody.post(url).send().await.is_err());
}

#[tokio::test]
async fn lost_connections_come_back() {
    let identity = watch::Sender::new(Some(new_identity()));
    let (address, token) = operator(free_address(), &identity).await;
    let source = GrpcSource::connect(&settings(address, AUTHORITY), identity.subscribe()).unwrap();
    source.ready().await;
    token.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!source.is_connected());
    identity.send_replace(Some(new_identity()));
    operator(address, &identity).await;
    tokio::time::timeout(Duration::from_secs(10), source.ready()).await.unwrap();
    assert!(source.external_metric("shop", "cart", "s0-x").await.is_ok());
}

fn write(directory: &Path, material: &Material) {
    for (name, bytes) in material.data() {
        std::fs::write(directory.join(name), &bytes.0).unwrap();
    }
}

#[tokio::test]
async fn the_adapter_stands_between() {
    let cluster = Cluster::start().await;
    let (proxy, clients) = (Authority::new("proxy"), Authority::new("clients"));
    cluster.put(CONFIG_MAP, config_map(&proxy, &clients));
    let material = generate(&names(), keda_scalers::sampler::wall_clock()).unwrap();
    let identity = watch::Sender::new(Some(material.identity.clone()));
    let (address, _) = operator(free_address(), &identity).await;
    let directory = tempfile::tempdir().unwrap();
    let files = CertificateFiles::in_directory(directory.path());
    let [secure, plain] = [(); 2].map(|()| free_address());
    let settings = AdapterSettings {
        secure_address: secure,
        serving_files: files.clone(),
        client_files: files,
        serving_versions: TlsVersions::From12,
        operator: settings(address, AUTHORITY),
        metrics_address: plain,
        api: MetricsApiSettings::default(),
        metrics: keda_server::exposition::Metrics::new(keda_server::exposition::Build::default()).unwrap(),
    };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(adapter::run(settings, cluster.client(), shutdown.clone()));
    // The files are mounted late.
    tokio::time::sleep(Duration::from_millis(300)).await;
    write(directory.path(), &material);
    let reader = client(secure, material.identity.authorities(), Some(&proxy.sign("front-proxy-client", "")));
    let url = format!(
        "https://{}:{}/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/s0-x?labelSelector=scaledobject.keda.sh/name%3Dcart",
        crate::world::HOST,
        secure.port()
    );
    let read = reader.get(url).header("X-Remote-User", "hpa").send().await.unwrap();
    let (code, text) = (read.status(), read.text().await.unwrap());
    assert!(code == 200 && text.contains("\"1500m\""), "{code} {text}");
    let http = client(plain, &[], None);
    let text = http.get(format!("http://{plain}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("keda_internal_metricsservice_grpc_client_handled_total{"), "{text}");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap();
}
