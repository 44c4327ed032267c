//! The connection to the API server: HTTP/2, as Kubernetes' own clients have it, so that all requests and watches share
//! one. The library's own client speaks HTTP/1.1, and opens a connection for each request at the same time.

use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt};
use rustls::pki_types::ServerName;
use tower::ServiceBuilder;
use tower::util::{BoxService, ServiceExt};

/// Time without a sign of life after which the server is asked for one, as in Kubernetes' own clients.
const PING_AFTER: Duration = Duration::from_secs(30);
/// Time after which a connection without an answer is given up.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

type Answer = http::Response<hyper::body::Incoming>;
type Transport = BoxService<http::Request<Body>, Answer, tower::BoxError>;

/// What a client of the cluster is built from.
///
/// # Errors
/// Certificates or keys that cannot be used, and a proxy.
pub(crate) fn builder(config: Config) -> kube::Result<ClientBuilder<Transport>> {
    if let Some(proxy) = &config.proxy_url {
        let (proxy_url, protocol_feature) = (Box::new(proxy.clone()), "kube/http-proxy");
        return Err(kube::Error::ProxyProtocolDisabled { proxy_url, protocol_feature });
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(config.connect_timeout);
    let mut https = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = ServerName::try_from(name.clone()).map_err(|error| kube::Error::Service(error.into()))?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(https.enable_all_versions().wrap_connector(http));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service.boxed(), config.default_namespace))
}
