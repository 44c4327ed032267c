//! Counts the requests to the API server, watches included.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use keda_scalers::client::proxies::Proxies;
use kube::client::Body;
use tower::{Layer, Service};

use super::Metrics;
use super::family::Counter;
use crate::cluster::connection;

/// A client of a cluster whose requests are counted; `proxies` are the environment's, of which `config` does not know whom
/// they are not for.
///
/// # Errors
/// Certificates, keys or a proxy that cannot be used.
pub fn client(config: kube::Config, proxies: &Proxies, metrics: &Metrics) -> kube::Result<kube::Client> {
    let host = config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
    let counting = Counting { metrics: metrics.clone(), host };
    Ok(connection::builder(config, proxies)?.with_layer(&counting).build())
}

#[derive(Clone)]
struct Counting {
    metrics: Metrics,
    host: String,
}

#[derive(Clone)]
struct Counted<S> {
    inner: S,
    counting: Counting,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, counting: self.clone() }
    }
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (counting, method) = (self.counting.clone(), request.method().clone());
        let answer = self.inner.call(request);
        let counted = move |answer: &Result<Response<B>, S::Error>| {
            // No number stands for no answer, as Kubernetes' own clients have it.
            let status = answer.as_ref().map(Response::status).ok();
            let code = status.as_ref().map_or("<error>", http::StatusCode::as_str);
            let labels = [code, method.as_str(), &counting.host];
            counting.metrics.families().api_requests.with(labels, Counter::inc);
        };
        answer.inspect(counted).boxed()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tower::{ServiceExt, service_fn};

    use super::super::Build;
    use super::*;

    #[tokio::test]
    async fn answers_and_failures_are_counted() {
        let metrics = Metrics::new(Build::default()).unwrap();
        let counting = Counting { metrics: metrics.clone(), host: "cluster:6443".into() };
        let server = counting.layer(service_fn(|request: Request<Body>| async move {
            match request.uri().path() {
                "/gone" => Ok(Response::builder().status(StatusCode::NOT_FOUND).body(()).unwrap()),
                _ => Err("connection refused"),
            }
        }));
        let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();
        assert!(server.clone().oneshot(request("/gone")).await.is_ok());
        assert!(server.oneshot(request("/lost")).await.is_err());
        let text = metrics.render();
        for code in ["404", "<error>"] {
            let line = format!("{{code=\"{code}\",host=\"cluster:6443\",method=\"GET\"}} 1\n");
            assert!(text.contains(&line), "{text}");
        }
    }
}
