//! The proxies that HTTP goes through, as Go takes them from the environment.

use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::{ClientBuilder, NoProxy, Proxy};

/// What is reached without a proxy in any case: this machine, and where clouds say who it is.
const NEARBY: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,fd00:ec2::/32,metadata.google.internal";

/// The proxies that the environment names.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// `HTTP_PROXY`, for addresses of HTTP.
    pub http: Option<Secret>,
    /// `HTTPS_PROXY`, for addresses of HTTPS.
    pub https: Option<Secret>,
    /// `NO_PROXY`: hosts, domains and networks that are reached without them.
    pub exempt: String,
}

impl Proxies {
    /// What the variables say, whose names may be written small.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| {
            let names = [name.to_string(), name.to_lowercase()];
            names.into_iter().find_map(|name| variable(name.as_str()).filter(|text| !text.is_empty()))
        };
        Proxies {
            http: text("HTTP_PROXY").map(Secret::new),
            https: text("HTTPS_PROXY").map(Secret::new),
            exempt: text("NO_PROXY").unwrap_or_default(),
        }
    }

    /// All that is reached without them.
    pub fn all_exempt(&self) -> String {
        format!("{NEARBY},{}", self.exempt)
    }

    /// Has a client go through them, and through no others.
    ///
    /// # Errors
    /// [`SourceError::configuration`] for an address that is none; it is not shown, as it may hold a password.
    pub(super) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, SourceError> {
        let exempt = NoProxy::from_string(&self.all_exempt());
        let http = self.http.iter().map(|url| ("HTTP_PROXY", Proxy::http(url.expose())));
        let https = self.https.iter().map(|url| ("HTTPS_PROXY", Proxy::https(url.expose())));
        http.chain(https).try_fold(builder.no_proxy(), |builder, (name, proxy)| {
            let wrong = |_| SourceError::configuration(format!("{name} is not the address of a proxy"));
            Ok(builder.proxy(proxy.map_err(wrong)?.no_proxy(exempt.clone())))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::client::http::send;
    use crate::client::tls::TlsOptions;
    use crate::client::{SourceSettings, Sources};

    /// A server that says `body` to whatever it is asked.
    async fn serve(body: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn this_machine_and_what_is_exempt_are_reached_without_a_proxy() {
        let (proxy, server) = (serve("proxy").await, serve("server").await);
        let proxies = Proxies::of(|name| match name {
            "http_proxy" => Some(format!("http://{proxy}")),
            "NO_PROXY" => Some("near.example".to_string()),
            _ => None,
        });
        let hosts = ["near.example", "metadata.google.internal"].map(|host| (host.to_string(), server)).to_vec();
        let sources = Sources::new(SourceSettings { proxies, hosts, ..SourceSettings::default() });
        let client = sources.http.client(&sources.tls, &TlsOptions::default()).unwrap();
        for (url, expected) in [
            (format!("http://{server}/"), "server"),
            ("http://near.example/".to_string(), "server"),
            ("http://metadata.google.internal/".to_string(), "server"),
            ("http://far.example/".to_string(), "proxy"),
        ] {
            assert_eq!(send(client.get(&url)).await.unwrap().body, expected, "{url}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_not_shown() {
        let proxies = Proxies { https: Some(Secret::new("http://hunter2:x")), ..Proxies::default() };
        let sources = Sources::new(SourceSettings { proxies, ..SourceSettings::default() });
        let error = sources.http.client(&sources.tls, &TlsOptions::default()).unwrap_err();
        assert_eq!(error.message, "HTTPS_PROXY is not the address of a proxy");
    }
}
