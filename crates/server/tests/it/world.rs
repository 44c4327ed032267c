//! Certificates, a source and clients for the tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_server::certificates::{Names, generate};
use keda_server::exposition::{Build, Metrics};
use keda_server::metrics_api::{ExternalMetricValue, MetricError, MetricSource, MetricsApi, MetricsApiSettings};
use keda_server::tls::{Identity, Shutdown, TlsVersions, bind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::{CONFIG_MAP, Cluster};
use crate::ports::free_port;

/// Where nobody listens yet.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

pub(crate) const HOST: &str = "keda-metrics-apiserver.keda.svc";

pub(crate) fn names() -> Names {
    Names {
        namespace: "keda".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        operator: "keda-operator".to_owned(),
        metrics: "keda-metrics-apiserver".to_owned(),
        webhooks: Some("keda-admission-webhooks".to_owned()),
    }
}

pub(crate) fn new_identity() -> Arc<Identity> {
    generate(&names(), keda_scalers::sampler::wall_clock()).unwrap().identity
}

/// A CA for clients.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A client's certificate and key as PEM.
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    pub(crate) fn sign(&self, common_name: &str, organization: &str) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.distinguished_name.push(DnType::OrganizationName, organization);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Leaf { certificate, key: key.serialize_pem() }
    }
}

/// Gives 1.5 for every metric, but for those whose name says otherwise.
pub(crate) struct Fixed;

#[async_trait]
impl MetricSource for Fixed {
    async fn external_metric(
        &self,
        namespace: &str,
        object: &str,
        metric: &str,
    ) -> Result<Vec<ExternalMetricValue>, MetricError> {
        if metric == "broken" {
            return Err(MetricError::Values(format!("metric:{metric} of {namespace}/{object} encountered error")));
        }
        if metric == "slow" {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let timestamp = "2024-05-01T10:00:00.123Z".parse().unwrap();
        Ok(vec![ExternalMetricValue { metric_name: metric.to_owned(), timestamp, value: "1500m".parse().unwrap() }])
    }
}

/// The metrics API, running.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) address: SocketAddr,
    pub(crate) identity: watch::Sender<Option<Arc<Identity>>>,
    pub(crate) proxy: Authority,
    pub(crate) clients: Authority,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: tokio::task::JoinHandle<()>,
}

pub(crate) fn config_map(proxy: &Authority, clients: &Authority) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "kube-system"}, "data": {
        "client-ca-file": clients.pem(),
        "requestheader-client-ca-file": proxy.pem(),
        "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
    }})
}

impl World {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start().await;
        let (proxy, clients) = (Authority::new("front-proxy-ca"), Authority::new("kubernetes"));
        cluster.put(CONFIG_MAP, config_map(&proxy, &clients));
        Self::with(cluster, Arc::new(Fixed), proxy, clients).await
    }

    pub(crate) async fn with(
        cluster: Cluster,
        source: Arc<dyn MetricSource>,
        proxy: Authority,
        clients: Authority,
    ) -> Self {
        Self::serve(MetricsApiSettings::default(), cluster, source, proxy, clients).await
    }

    /// With these paths for everybody; that of the probe must be among them.
    pub(crate) async fn open(paths: &[&str]) -> Self {
        let cluster = Cluster::start().await;
        let (proxy, clients) = (Authority::new("front-proxy-ca"), Authority::new("kubernetes"));
        cluster.put(CONFIG_MAP, config_map(&proxy, &clients));
        let mut settings = MetricsApiSettings::default();
        settings.authorization.always_allow_paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Self::serve(settings, cluster, Arc::new(Fixed), proxy, clients).await
    }

    async fn serve(
        settings: MetricsApiSettings,
        cluster: Cluster,
        source: Arc<dyn MetricSource>,
        proxy: Authority,
        clients: Authority,
    ) -> Self {
        let settings = MetricsApiSettings { request_timeout: Duration::from_secs(2), ..settings };
        let api = MetricsApi::new(settings, cluster.client(), source, Metrics::new(Build::default()).unwrap());
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = watch::Sender::new(Some(new_identity()));
        let shutdown = CancellationToken::new();
        let serving = api.serve(listener, identity.subscribe(), TlsVersions::From12, Shutdown::new(shutdown.clone()));
        let world = World { cluster, address, identity, proxy, clients, shutdown, server: tokio::spawn(serving) };
        let probe = world.client(None);
        for _ in 0..100 {
            if probe.get(world.url("/readyz")).send().await.unwrap().status() == 200 {
                return world;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never ready");
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.address.port())
    }

    pub(crate) fn read_url(&self, metric: &str) -> String {
        self.url(&format!(
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/{metric}?labelSelector=scaledobject.keda.sh%2Fname%3Dcart"
        ))
    }

    /// A client that trusts the server of now.
    pub(crate) fn client(&self, leaf: Option<&Leaf>) -> reqwest::Client {
        let identity = self.identity.borrow().clone().unwrap();
        client(self.address, identity.authorities(), leaf)
    }

    /// The front proxy, as the kube-apiserver is one.
    pub(crate) fn front_proxy(&self) -> reqwest::Client {
        self.client(Some(&self.proxy.sign("front-proxy-client", "")))
    }
}

pub(crate) fn client(address: SocketAddr, trusted: &[CertificateDer<'static>], leaf: Option<&Leaf>) -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    trusted.iter().for_each(|ca| roots.add(ca.clone()).unwrap());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let mut config = match leaf {
        None => config.with_no_client_auth(),
        Some(leaf) => {
            let chain = CertificateDer::pem_slice_iter(leaf.certificate.as_bytes()).map(Result::unwrap).collect();
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let builder = reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy();
    builder.resolve(HOST, address).build().unwrap()
}
