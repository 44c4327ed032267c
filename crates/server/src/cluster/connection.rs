//! The connection to the API server: HTTP/2, as Kubernetes' own clients have it, so that all requests and watches share
//! one. The library's own client speaks HTTP/1.1, and opens a connection for each request at the same time.

use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use keda_scalers::client::proxies::Proxies;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt};
use rustls::pki_types::ServerName;
use tower::util::{BoxService, ServiceExt};
use tower::{Service, ServiceBuilder};

/// Time without a sign of life after which the server is asked for one: less than in Kubernetes' own clients, as one of
/// several API servers may die without a word, and a lease is lost meanwhile.
const PING_AFTER: Duration = Duration::from_secs(10);
/// Time after which a connection without an answer is given up.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

type Answer = http::Response<hyper::body::Incoming>;
type Transport = BoxService<http::Request<Body>, Answer, tower::BoxError>;

/// What a client of the cluster is built from.
///
/// # Errors
/// Certificates, keys or a proxy that cannot be used.
pub(crate) fn builder(config: Config, environment: &Proxies) -> kube::Result<ClientBuilder<Transport>> {
    let proxy = proxy(&config, environment)?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(config.connect_timeout);
    let Some(proxy) = proxy else { return over(http, config) };
    let tunnel = Tunnel::new(proxy.uri().clone(), http);
    match proxy.basic_auth() {
        Some(login) => over(tunnel.with_auth(login.clone()), config),
        None => over(tunnel, config),
    }
}

/// The proxy on the way to the cluster. The library takes that of the environment where the kubeconfig names none, but
/// does not look at what is exempt from it. As with Kubernetes' own clients nothing is exempt from a kubeconfig's.
fn proxy(config: &Config, environment: &Proxies) -> kube::Result<Option<Intercept>> {
    let Some(url) = &config.proxy_url else { return Ok(None) };
    let from_environment = environment.https.as_ref().and_then(|known| known.expose().parse().ok());
    let is_environments = from_environment.as_ref() == Some(url);
    let matcher = |exempt: &str| Matcher::builder().all(url.to_string()).no(exempt.to_string()).build();
    let exempt = if is_environments { environment.all_exempt() } else { String::new() };
    let proxy = matcher(&exempt).intercept(&config.cluster_url);
    let is_exempt = proxy.is_none() && matcher("").intercept(&config.cluster_url).is_some();
    let is_usable = proxy.as_ref().is_some_and(|proxy| proxy.uri().scheme_str() == Some("http"));
    if !is_exempt && !is_usable {
        let name = if is_environments { "HTTPS_PROXY" } else { "the kubeconfig's proxy-url" };
        let message = format!("{name} must be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; there are no others");
        return Err(kube::Error::Service(message.into()));
    }
    Ok(proxy)
}

/// A builder of clients whose connections a connector makes.
fn over<C>(connector: C, config: Config) -> kube::Result<ClientBuilder<Transport>>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<tower::BoxError>,
{
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
        .build(https.enable_all_versions().wrap_connector(connector));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service.boxed(), config.default_namespace))
}

#[cfg(test)]
mod tests {
    use keda_core::secret::Secret;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn config(cluster: &str, proxy: Option<&str>) -> Config {
        let mut config = Config::new(cluster.parse().unwrap());
        config.proxy_url = proxy.map(|proxy| proxy.parse().unwrap());
        config
    }

    fn environment(url: &str, exempt: &str) -> Proxies {
        Proxies { https: Some(Secret::new(url)), exempt: exempt.to_string(), ..Proxies::default() }
    }

    #[test]
    fn a_proxy_of_the_environment_is_for_those_that_are_not_exempt() {
        let uses = |cluster: &str, proxy: Option<&str>, environment: &Proxies| {
            let proxy = proxy_of(cluster, proxy, environment).unwrap();
            proxy.map(|proxy| proxy.uri().authority().unwrap().to_string())
        };
        let (ours, others) = (Some("http://proxy:3128"), Some("http://other:3128"));
        let from_environment = environment("http://proxy:3128", "10.0.0.0/8, .example.org");
        let far = Some("proxy:3128".to_string());
        assert_eq!(uses("https://example.com:6443", ours, &from_environment), far);
        assert_eq!(uses("https://example.com:6443", Some("proxy:3128"), &environment("proxy:3128", "")), far);
        for near in ["10.1.2.3", "api.example.org", "127.0.0.1", "[::1]", "localhost"] {
            let cluster = format!("https://{near}:6443");
            assert_eq!(uses(&cluster, ours, &from_environment), None, "{near}");
            let explicit = uses(&cluster, others, &from_environment);
            assert_eq!(explicit, Some("other:3128".to_string()), "{near}: nothing is exempt from a kubeconfig's");
        }
        assert_eq!(uses("https://example.com", ours, &environment("http://proxy:3128", "*")), None);
        assert_eq!(uses("https://example.com", None, &from_environment), None);
        let unusable = environment("socks5://proxy:1080", "");
        assert_eq!(uses("https://127.0.0.1:6443", Some("socks5://proxy:1080"), &unusable), None, "it is not needed");
    }

    fn proxy_of(cluster: &str, url: Option<&str>, environment: &Proxies) -> kube::Result<Option<Intercept>> {
        proxy(&config(cluster, url), environment)
    }

    #[test]
    fn other_proxies_are_refused_without_their_passwords() {
        for url in ["https://me:secret@proxy:3128", "socks5://me:secret@proxy:1080", "ftp://me:secret@proxy"] {
            let refusal =
                |environment: &Proxies| proxy_of("https://c", Some(url), environment).unwrap_err().to_string();
            let told = refusal(&Proxies::default());
            assert!(told.contains("the kubeconfig's proxy-url must be http://"), "{told}");
            let told = refusal(&environment(url, ""));
            assert!(told.contains("HTTPS_PROXY must be http://") && !told.contains("secret"), "{told}");
        }
    }

    #[tokio::test]
    async fn a_tunnel_leads_to_the_cluster() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://me:pass%40word@{}", listener.local_addr().unwrap());
        let config = config("https://cluster.example:6443", Some(&url));
        let client = builder(config, &Proxies::default()).unwrap().build();
        let request = http::Request::get("/version").body(Body::empty()).unwrap();
        let asking = tokio::spawn(async move { client.send(request).await.map(|_| ()) });
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut told = Vec::new();
        while !told.ends_with(b"\r\n\r\n") {
            told.push(connection.read_u8().await.unwrap());
        }
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with("CONNECT cluster.example:6443 HTTP/1.1\r\n"), "{told}");
        // `me:pass@word`
        assert!(told.to_lowercase().contains("proxy-authorization: basic bwu6cgfzc0b3b3jk\r\n"), "{told}");
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), 22, "a handshake of TLS begins");
        drop(connection);
        assert!(asking.await.unwrap().is_err());
    }
}
