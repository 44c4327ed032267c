//! Who is let in, what they get, and how they are refused.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keda_server::metrics_api::{ExternalMetricValue, MetricError, MetricSource};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::cluster::{CONFIG_MAP, Cluster};
use crate::world::{Authority, World, config_map, new_identity};

const HPA: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let code = response.status().as_u16();
    let text = response.text().await.unwrap();
    (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn as_hpa(client: &Client, url: String) -> RequestBuilder {
    client.get(url).header("X-Remote-User", HPA).header("X-Remote-Group", "system:serviceaccounts")
}

#[tokio::test]
async fn the_front_proxy_reads_for_its_user() {
    let world = World::start().await;
    let proxy = world.front_proxy();
    let (code, body) = answer(as_hpa(&proxy, world.read_url("s0-redis"))).await;
    assert_eq!(code, 200, "{body}");
    let item =
        json!({"metricName": "s0-redis", "metricLabels": null, "timestamp": "2024-05-01T10:00:00Z", "value": "1500m"});
    let list = json!({
        "kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": {}, "items": [item],
    });
    assert_eq!(body, list);
    for metric in 0..100 {
        assert_eq!(answer(as_hpa(&proxy, world.read_url(&format!("s{metric}-x")))).await.0, 200);
    }
    let reviews = world.cluster.access_reviews();
    assert_eq!(reviews.len(), 1, "one question for all metrics");
    assert_eq!(reviews[0]["user"], HPA);
    assert_eq!(reviews[0]["groups"], json!(["system:serviceaccounts", "system:authenticated"]));
    let everything = json!({"group": "external.metrics.k8s.io", "version": "v1beta1", "resource": "*", "verb": "list"});
    assert_eq!(reviews[0]["resourceAttributes"], everything);
}

#[tokio::test]
async fn how_old_a_value_is_counts_for_each_that_is_served() {
    let world = World::start().await;
    let proxy = world.front_proxy();
    for metric in ["s0-a", "s0-b", "broken"] {
        answer(as_hpa(&proxy, world.read_url(metric))).await;
    }
    let (_, text) = answer(as_hpa(&proxy, world.url("/metrics"))).await;
    let count = "metrics_apiserver_metric_freshness_seconds_count{group=\"external.metrics.k8s.io\"} 2\n";
    assert!(text.as_str().unwrap().contains(count), "{text}");
}

#[tokio::test]
async fn nobody_is_refused_but_for_health() {
    let world = World::start().await;
    let nobody = world.client(None);
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(answer(nobody.get(world.url(path))).await, (200, json!("ok")));
    }
    let unauthorized = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401,
    });
    assert_eq!(answer(as_hpa(&nobody, world.read_url("s0-x"))).await, (401, unauthorized.clone()));
    assert_eq!(answer(nobody.get(world.url("/version"))).await.0, 401);
    for wrong in [world.proxy.sign("somebody", ""), Authority::new("other").sign("front-proxy-client", "")] {
        let wrong = world.client(Some(&wrong));
        assert_eq!(answer(as_hpa(&wrong, world.read_url("s0-x"))).await, (401, unauthorized.clone()));
    }
}

#[tokio::test]
async fn paths_may_be_opened_for_everybody_and_metrics_may_not() {
    let world = World::open(&["/readyz", "metrics", "/apis*"]).await;
    let nobody = world.client(None);
    assert_eq!(answer(nobody.get(world.url("/metrics"))).await.0, 200);
    assert_eq!(answer(nobody.get(world.url("/apis"))).await.0, 200);
    assert_eq!(answer(nobody.get(world.read_url("s0-x"))).await.0, 401);
    assert_eq!(answer(nobody.get(world.url("/healthz"))).await.0, 401, "the list replaces the usual one");
    assert_eq!(answer(nobody.post(world.url("/metrics"))).await.0, 405);
}

#[tokio::test]
async fn users_have_certificates_and_tokens() {
    let world = World::start().await;
    let ann = world.client(Some(&world.clients.sign("ann", "readers")));
    assert_eq!(answer(as_hpa(&ann, world.read_url("s0-x"))).await.0, 200);
    let review = world.cluster.access_reviews().remove(0);
    assert_eq!((&review["user"], &review["groups"]), (&json!("ann"), &json!(["readers", "system:authenticated"])));
    let nobody = world.client(None);
    for _ in 0..3 {
        assert_eq!(answer(nobody.get(world.read_url("s0-x")).bearer_auth("good")).await.0, 200);
        assert_eq!(answer(nobody.get(world.read_url("s0-x")).bearer_auth("bad")).await.0, 401);
    }
    assert_eq!(world.cluster.token_reviews(), 2);
}

#[tokio::test]
async fn those_who_may_not_are_forbidden() {
    let world = World::start().await;
    world.cluster.allow(|spec| spec["resourceAttributes"]["resource"] == "s0-allowed");
    let proxy = world.front_proxy();
    let (code, body) = answer(as_hpa(&proxy, world.read_url("s0-x"))).await;
    assert_eq!((code, &body["reason"]), (403, &json!("Forbidden")));
    let message = format!(
        "s0-x.external.metrics.k8s.io is forbidden: User \"{HPA}\" cannot list resource \"s0-x\" in API group \
         \"external.metrics.k8s.io\" in the namespace \"shop\""
    );
    assert_eq!(body["message"], message);
    assert_eq!(answer(as_hpa(&proxy, world.read_url("s0-allowed"))).await.0, 200);
    let before = world.cluster.access_reviews().len();
    assert_eq!(answer(as_hpa(&proxy, world.read_url("s0-x"))).await.0, 403);
    assert_eq!(world.cluster.access_reviews().len(), before, "a refusal holds for a while");
    let master =
        proxy.get(world.read_url("s0-x")).header("X-Remote-User", "root").header("X-Remote-Group", "system:masters");
    assert_eq!(answer(master).await.0, 200);
    let (code, body) = answer(as_hpa(&proxy, world.url("/version"))).await;
    assert_eq!(
        (code, body["message"].as_str().unwrap()),
        (403, &*format!("forbidden: User \"{HPA}\" cannot get path \"/version\""))
    );
}

#[tokio::test]
async fn an_api_server_that_is_down_allows_nothing() {
    let world = World::start().await;
    world.cluster.set_down(true);
    let (code, body) = answer(as_hpa(&world.front_proxy(), world.read_url("s0-x"))).await;
    assert_eq!((code, &body["reason"]), (500, &json!("InternalError")));
    world.cluster.set_down(false);
    assert_eq!(answer(as_hpa(&world.front_proxy(), world.read_url("s0-x"))).await.0, 200);
}

#[tokio::test]
async fn mistakes_have_their_codes_and_messages() {
    let world = World::start().await;
    let proxy = world.front_proxy();
    let base = "/apis/external.metrics.k8s.io/v1beta1";
    let cases = [
        ("/namespaces/shop/s0-x?labelSelector=a%20in%20b", 400, "unable to parse requirement: "),
        ("/namespaces/shop/s0-x?limit=much", 400, "strconv.ParseInt: parsing \"much\": invalid syntax"),
        ("/namespaces/shop/s0-x?labelSelector=a%20in%20(b)", 500, "invalid selector: [a in (b)]"),
        ("/namespaces/shop/s0-x", 500, "scaledObject name is not specified"),
        ("/s0-x", 404, "the server could not find the requested resource"),
        ("/namespaces/shop/s0-x/one", 404, "the server could not find the requested resource"),
        (
            "/namespaces/shop/broken?labelSelector=scaledobject.keda.sh/name%3Dcart",
            500,
            "rpc error: code = Unknown desc = error when getting metric values metric:broken of shop/cart encountered error",
        ),
    ];
    for (path, code, message) in cases {
        let (seen, body) = answer(as_hpa(&proxy, world.url(&format!("{base}{path}")))).await;
        assert_eq!((seen, &body["kind"], &body["code"]), (code, &json!("Status"), &json!(code)), "{path}: {body}");
        assert!(body["message"].as_str().unwrap().starts_with(message), "{path}: {body}");
        assert_eq!(body.get("reason").is_none(), code == 500, "{body}");
    }
    let posted = proxy.post(world.read_url("s0-x")).header("X-Remote-User", HPA).body("{}");
    assert_eq!(answer(posted).await.0, 405);
    let protobuf = as_hpa(&proxy, world.read_url("s0-x")).header("Accept", "application/vnd.kubernetes.protobuf");
    assert_eq!(answer(protobuf).await.0, 406);
}

#[tokio::test]
async fn discovery_tells_of_one_resource() {
    let world = World::start().await;
    let proxy = world.front_proxy();
    let get = async |path: &str| answer(as_hpa(&proxy, world.url(path))).await;
    let (_, resources) = get("/apis/external.metrics.k8s.io/v1beta1").await;
    let resource = json!([{
        "name": "externalmetrics", "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"],
    }]);
    assert_eq!((&resources["kind"], &resources["resources"]), (&json!("APIResourceList"), &resource));
    assert_eq!(get("/apis/external.metrics.k8s.io").await.1["preferredVersion"]["version"], "v1beta1");
    assert_eq!(get("/apis").await.1["kind"], "APIGroupList");
    for path in ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/external.metrics.k8s.io/v1beta1", "/version"] {
        assert_eq!(get(path).await.0, 200, "{path}");
    }
    assert!(get("/metrics").await.1.as_str().unwrap().contains("keda_build_info{"));
    assert_eq!(get("/nothing").await.0, 404);
    let wants = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let aggregated = as_hpa(&proxy, world.url("/apis")).header("Accept", wants).send().await.unwrap();
    assert!(aggregated.headers()["content-type"].to_str().unwrap().contains("as=APIGroupDiscoveryList"));
}

#[tokio::test]
async fn other_cas_count_at_once_and_for_open_connections() {
    let world = World::start().await;
    let old = world.front_proxy();
    assert_eq!(answer(as_hpa(&old, world.read_url("s0-x"))).await.0, 200);
    let proxy = Authority::new("next-front-proxy-ca");
    world.cluster.put(CONFIG_MAP, config_map(&proxy, &world.clients));
    let new = world.client(Some(&proxy.sign("front-proxy-client", "")));
    for _ in 0..100 {
        if answer(as_hpa(&new, world.read_url("s0-x"))).await.0 == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(answer(as_hpa(&new, world.read_url("s0-x"))).await.0, 200);
    assert_eq!(answer(as_hpa(&old, world.read_url("s0-x"))).await.0, 401);
}

#[tokio::test]
async fn certificates_are_swapped_under_reads() {
    let world = World::start().await;
    let leaf = world.proxy.sign("front-proxy-client", "");
    let open = world.client(Some(&leaf));
    for _ in 0..20 {
        assert_eq!(answer(as_hpa(&open, world.read_url("s0-x"))).await.0, 200);
        world.identity.send_replace(Some(new_identity()));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let fresh = world.client(Some(&leaf));
        let (one, two) =
            tokio::join!(answer(as_hpa(&open, world.read_url("s0-x"))), answer(as_hpa(&fresh, world.read_url("s0-x"))));
        assert_eq!((one.0, two.0), (200, 200));
    }
}

#[tokio::test]
async fn a_shutdown_lets_reads_finish() {
    let world = World::start().await;
    let proxy = world.front_proxy();
    let slow = tokio::spawn(answer(as_hpa(&proxy, world.read_url("slow"))));
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.shutdown.cancel();
    assert_eq!(slow.await.unwrap().0, 200);
    tokio::time::timeout(Duration::from_secs(5), world.server).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(world.address).await.is_err());
}

struct NeverReady;

#[async_trait]
impl MetricSource for NeverReady {
    async fn ready(&self) {
        std::future::pending::<()>().await;
    }

    async fn external_metric(&self, _: &str, _: &str, _: &str) -> Result<Vec<ExternalMetricValue>, MetricError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_source_that_is_never_ready_has_its_message() {
    let cluster = Cluster::start().await;
    let (proxy, clients) = (Authority::new("proxy"), Authority::new("clients"));
    cluster.put(CONFIG_MAP, config_map(&proxy, &clients));
    let world = World::with(cluster, Arc::new(NeverReady), proxy, clients).await;
    let (code, body) = answer(as_hpa(&world.front_proxy(), world.read_url("s0-x"))).await;
    let message = "timeout while waiting to establish gRPC connection to KEDA Metrics Service server";
    assert_eq!((code, body["message"].as_str().unwrap()), (500, message));
}

/// Prints the CPU time of one read, client and server together; run it with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn the_cost_of_a_read() {
    const READS: u32 = 5000;
    let world = World::start().await;
    let proxy = world.front_proxy();
    assert_eq!(answer(as_hpa(&proxy, world.read_url("s0-x"))).await.0, 200);
    let before = cpu_ticks();
    for _ in 0..READS {
        let response = as_hpa(&proxy, world.read_url("s0-x")).send().await.unwrap();
        assert!(!response.bytes().await.unwrap().is_empty());
    }
    println!("{:.3} ms of CPU per read", (cpu_ticks() - before) * 10.0 / f64::from(READS));
}

/// Hundredths of a second that this process has computed.
fn cpu_ticks() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').collect::<Vec<_>>();
    fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
}
