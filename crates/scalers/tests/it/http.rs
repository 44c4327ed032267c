//! `metrics-api`, OAuth 2.0 for `rabbitmq`, and Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use keda_core::sample::ErrorKind;
use keda_scalers::client::{SourceSettings, Sources};
use tokio::net::TcpListener;

use crate::contracts::case::Case;
use crate::contracts::server::Server;
use crate::servers::poll_until;
use crate::servers::prometheus::Prometheus;
use crate::{Source, sources};

/// Serves `router` until the test ends, and says where.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// 5 for whoever has the header, or the query, that the path names; 401 for others.
fn guarded(header: &'static str, value: &'static str) -> axum::routing::MethodRouter {
    get(move |headers: HeaderMap, RawQuery(query): RawQuery| async move {
        let shown = if header == "query" {
            query.as_deref() == Some(value)
        } else {
            headers.get(header).is_some_and(|found| found.as_bytes() == value.as_bytes())
        };
        if shown { (StatusCode::OK, r#"{"v":5}"#) } else { (StatusCode::UNAUTHORIZED, "no") }
    })
}

#[tokio::test]
async fn metrics_api_reads_json_xml_and_prometheus_text() {
    let router = Router::new()
        .route("/json", get(|| async { r#"{"queue":{"length":"1k"},"tasks":[4,5]}"# }))
        .route("/xml", get(|| async { "<stats><queue><length>7</length></queue></stats>" }))
        .route("/prometheus", get(|| async { "# TYPE q gauge\nq{name=\"a\"} 1\nq{name=\"b\"} 2.5\n" }))
        .route("/broken", get(|| async { "<html>" }))
        .route("/busy", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/slow", get(std::future::pending::<String>));
    let (base, sources) = (serve(router).await, sources());
    let api = |path: &str, format: &str, location: &str| {
        let url = format!("{base}/{path}");
        let metadata = [
            ("url", url.as_str()),
            ("format", format),
            ("valueLocation", location),
            ("targetValue", "1"),
            ("timeout", "300"),
        ];
        Source::new(&sources, "metrics-api", &metadata, &[])
    };
    for (format, location, value) in [
        ("json", "queue.length", 1000.0),
        ("json", "tasks.#", 2.0),
        ("xml", "queue.length", 7.0),
        ("prometheus", "q{name=\"b\"}", 2.5),
    ] {
        assert_eq!(api(format, format, location).value().await, value, "{format}");
    }
    for (path, kind) in
        [("broken", ErrorKind::Malformed), ("busy", ErrorKind::Unreachable), ("slow", ErrorKind::Unreachable)]
    {
        let error = api(path, "json", "v").error().await;
        assert_eq!(error.kind, kind, "{path}: {error}");
        assert!(error.message.starts_with("error requesting metrics endpoint: "), "{error}");
    }
}

#[tokio::test]
async fn metrics_api_reads_yaml() {
    let base = serve(Router::new().route("/", get(|| async { "queue:\n  length: 3\n" }))).await;
    let metadata =
        [("url", base.as_str()), ("format", "yaml"), ("valueLocation", "queue.length"), ("targetValue", "1")];
    assert_eq!(Source::new(&sources(), "metrics-api", &metadata, &[]).value().await, 3.0);
}

#[tokio::test]
async fn metrics_api_shows_who_it_is() {
    let router = Router::new()
        .route("/header", guarded("x-key", "secret"))
        .route("/default", guarded("x-api-key", "secret"))
        .route("/query", guarded("query", "api_key=secret"))
        .route("/basic", guarded("authorization", "Basic dTpw"))
        .route("/bearer", guarded("authorization", "Bearer secret"));
    let (base, sources) = (serve(router).await, sources());
    let api = |path: &str, modes: &str, authentication: &[(&str, &str)]| {
        let url = format!("{base}/{path}");
        let metadata = [("url", url.as_str()), ("valueLocation", "v"), ("targetValue", "1"), ("authMode", modes)];
        Source::new(&sources, "metrics-api", &metadata, authentication)
    };
    let key = ("apiKey", "secret");
    assert_eq!(api("header", "apiKey", &[key, ("keyParamName", "X-Key")]).value().await, 5.0);
    assert_eq!(api("default", "apiKey", &[key]).value().await, 5.0);
    assert_eq!(api("query", "apiKey", &[key, ("method", "query")]).value().await, 5.0);
    assert_eq!(api("basic", "basic", &[("username", "u"), ("password", "p")]).value().await, 5.0);
    let with_custom =
        [("username", "u"), ("password", "p"), ("customAuthHeader", "Authorization"), ("customAuthValue", "x")];
    assert_eq!(api("basic", "basic,custom", &with_custom).value().await, 5.0, "the custom header is not sent");
    assert_eq!(api("bearer", "bearer", &[("token", "secret")]).value().await, 5.0);
    let error = api("bearer", "bearer", &[("token", "hunter2")]).error().await;
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(!error.message.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn no_key_follows_a_redirect_to_another_host() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let elsewhere = serve(Router::new().fallback(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { r#"{"v":6}"# }
    }))
    .await;
    let to = |place: String| get(move || async move { (StatusCode::FOUND, [("location", place)]) });
    let router = Router::new()
        .route("/away", to(elsewhere.replace("127.0.0.1", "localhost")))
        .route("/port", to(elsewhere))
        .route("/here", to("/key?again".to_string()))
        .route("/round", to("/round".to_string()))
        .route("/key", guarded("x-api-key", "secret"));
    let (base, sources) = (serve(router).await, sources());
    let api = |path: &str| {
        let url = format!("{base}/{path}?token=hunter2");
        let metadata = [("url", url.as_str()), ("valueLocation", "v"), ("targetValue", "1"), ("authMode", "apiKey")];
        Source::new(&sources, "metrics-api", &metadata, &[("apiKey", "secret")])
    };
    assert_eq!(api("here").value().await, 5.0);
    for (path, why) in [("away", "another host: http://localhost:"), ("port", "another host"), ("round", "10 times")] {
        let error = api(path).error().await;
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        assert!(error.message.contains(&format!("redirected {}", if path == "round" { "more than" } else { "to" })));
        assert!(error.message.contains(why) && !error.message.contains("hunter2"), "{error}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 0, "nobody else was asked");
}

#[tokio::test]
async fn redirects_share_a_time_limit() {
    let to = get(|| async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        (StatusCode::FOUND, [("location", "/")])
    });
    let (base, sources) = (serve(Router::new().route("/", to)).await, sources());
    let metadata = [("url", base.as_str()), ("valueLocation", "v"), ("targetValue", "1"), ("timeout", "500")];
    let error = Source::new(&sources, "metrics-api", &metadata, &[]).error().await;
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn a_login_goes_along_to_the_same_host_by_tls() {
    const HOST: &str = "shop.example";
    let asks = Case::new("metrics-api", "", &[]).asks("GET /?again").header("authorization", "Basic dTpodW50ZXIy");
    let server = Server::start(Some(HOST), asks.answers(200, r#"{"v":5}"#).exchanges).await;
    let to = get(|| async { (StatusCode::MOVED_PERMANENTLY, [("location", format!("https://{HOST}/?again"))]) });
    let base = serve(Router::new().route("/", to)).await;
    let sources = Sources::new(SourceSettings {
        hosts: vec![(HOST.to_string(), server.address)],
        ca_dirs: server.certificates_folder(),
        ..SourceSettings::default()
    });
    let url = base.replace("127.0.0.1", HOST);
    let metadata = [("url", url.as_str()), ("valueLocation", "v"), ("targetValue", "1"), ("authMode", "basic")];
    let login = [("username", "u"), ("password", "hunter2")];
    assert_eq!(Source::new(&sources, "metrics-api", &metadata, &login).value().await, 5.0);
    assert_eq!(server.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_broker_of_pulsar_sends_to_another_which_is_shown_no_login() {
    let elsewhere = Router::new().fallback(|headers: HeaderMap| async move {
        match headers.contains_key("authorization") || headers.contains_key("x-pulsar-auth-method-name") {
            true => (StatusCode::BAD_REQUEST, "a login"),
            false => (StatusCode::OK, r#"{"subscriptions":{"billing":{"msgBacklog":7}}}"#),
        }
    });
    let owner = serve(elsewhere).await;
    let to = get(move || async move { (StatusCode::TEMPORARY_REDIRECT, [("location", format!("{owner}/stats"))]) });
    let base = serve(Router::new().fallback(to)).await;
    let topic = "persistent://shop/orders/new";
    let metadata =
        [("adminURL", base.as_str()), ("topic", topic), ("subscription", "billing"), ("authModes", "bearer")];
    let source = Source::new(&sources(), "pulsar", &metadata, &[("bearerToken", "hunter2")]);
    assert_eq!(source.value().await, 7.0);
}

#[tokio::test]
async fn one_oauth2_token_serves_all_who_have_the_credentials() {
    let given = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&given);
    let token = post(move |headers: HeaderMap, form: String| async move {
        if headers.contains_key("authorization") {
            return (StatusCode::UNAUTHORIZED, "only in the form");
        }
        assert_eq!(
            form,
            "grant_type=client_credentials&scope=read+write&audience=rabbit&client_id=me&client_secret=s%2Fs"
        );
        counter.fetch_add(1, Ordering::SeqCst);
        (StatusCode::OK, r#"{"access_token":"the-token","token_type":"Bearer","expires_in":3600}"#)
    });
    let queue = get(|headers: HeaderMap| async move {
        match headers.get("authorization").map(axum::http::HeaderValue::as_bytes) {
            Some(b"Bearer the-token") => (StatusCode::OK, r#"{"messages":4}"#),
            _ => (StatusCode::UNAUTHORIZED, "no"),
        }
    });
    let router = Router::new().route("/token", token).route("/api/queues/{vhost}/{queue}", queue);
    let (base, sources) = (serve(router).await, sources());
    let token_uri = format!("{base}/token");
    let trigger = |name: &str| {
        let authentication = [
            ("oauthTokenURI", token_uri.as_str()),
            ("clientID", "me"),
            ("clientSecret", "s/s"),
            ("scopes", "read,write"),
            ("endpointParams", "audience=rabbit"),
        ];
        Source::new(&sources, "rabbitmq", &[("host", &base), ("queueName", name)], &authentication)
    };
    let triggers = ["a", "b", "c"].map(trigger);
    for sample in futures::future::join_all(triggers.iter().map(Source::sample)).await {
        assert_eq!(sample.unwrap().value, 4.0);
    }
    assert_eq!(given.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs prometheus; make test runs it"]
async fn metrics_api_reads_prometheus_itself() {
    let Some(server) = Prometheus::start(&[]) else { return };
    let url = format!("http://127.0.0.1:{}/metrics", server.port);
    let location = "prometheus_build_info";
    let metadata = [("url", url.as_str()), ("format", "prometheus"), ("valueLocation", location), ("targetValue", "1")];
    let api = Source::new(&sources(), "metrics-api", &metadata, &[]);
    assert!(poll_until(10, || async { api.sample().await.is_ok_and(|sample| sample.value == 1.0) }).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs prometheus; make test runs it"]
async fn prometheus_answers_a_query_with_one_element() {
    let Some(server) = Prometheus::start(&[]) else { return };
    let address = format!("http://127.0.0.1:{}", server.port);
    let sources = sources();
    let query = |query: &str, more: &[(&str, &str)]| {
        let required = [("serverAddress", address.as_str()), ("query", query), ("threshold", "10")];
        Source::new(&sources, "prometheus", &[&required, more].concat(), &[])
    };
    assert!(query("vector(7.5)", &[("activationThreshold", "7")]).sample().await.unwrap().active);
    assert_eq!(query("nosuch_metric", &[]).value().await, 0.0);
    assert_eq!(query("vector(1)/0", &[]).value().await, 0.0);
    for (wrong, words, kind) in [
        ("scalar(vector(1))", "wrap it in vector()", ErrorKind::Malformed),
        ("vector(1) or label_replace(vector(2), \"a\", \"b\", \"\", \"\")", "multiple elements", ErrorKind::Malformed),
        ("sum(", "status: 400", ErrorKind::Configuration),
    ] {
        let error = query(wrong, &[]).error().await;
        assert!(error.message.contains(words) && error.kind == kind, "{wrong}: {error:?}");
    }
    let strict = query("nosuch_metric", &[("ignoreNullValues", "false")]).error().await;
    assert!(strict.message.contains("the result is empty"), "{strict:?}");
    drop(server);
    assert_eq!(query("vector(1)", &[]).error().await.kind, ErrorKind::Unreachable);
}
