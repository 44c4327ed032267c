//! Services of Google Cloud.

use std::sync::OnceLock;

use keda_core::api::PodIdentity;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::json;

use super::case::Case;

pub fn cases() -> Vec<Case> {
    [pubsub(), cloudtasks(), stackdriver(), storage(), spanner(), prometheus(), logins()]
        .into_iter()
        .flatten()
        .collect()
}

/// The key of a service account, which gets its tokens from the test's server.
fn key() -> String {
    static PRIVATE: OnceLock<String> = OnceLock::new();
    let private = PRIVATE.get_or_init(|| KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key").serialize_pem());
    json!({
        "type": "service_account",
        "project_id": "shop",
        "private_key_id": "1",
        "private_key": private,
        "client_email": "keda@shop.iam.gserviceaccount.com",
        "token_uri": "{address}/token",
    })
    .to_string()
}

const TOKEN: &str = r#"{"access_token":"t0ken","expires_in":3599,"token_type":"Bearer"}"#;

/// A trigger of a service account, which asks for a token first.
fn case(kind: &'static str, title: &str, host: &'static str, metadata: &[(&str, &str)]) -> Case {
    Case::new(kind, title, metadata)
        .authentication(&[("GoogleApplicationCredentials", &key())])
        .at(host)
        .asks("POST /token")
        .body("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={any}.{any}.{any}")
        .answers(200, TOKEN)
}

const MONITORING: &str = "monitoring.googleapis.com";

fn pubsub() -> Vec<Case> {
    let asks = |title: &str, metadata: &[(&str, &str)], project: &str, query: &str| {
        case("gcp-pubsub", title, MONITORING, metadata)
            .asks(&format!("POST /v3/projects/{project}/timeSeries:query"))
            .header("authorization", "Bearer t0ken")
            .body(&json!({ "query": query, "pageSize": 1 }).to_string())
    };
    let size = |project: &str| {
        format!(
            "fetch pubsub_subscription | metric 'pubsub.googleapis.com/subscription/num_undelivered_messages' | filter \
             (resource.project_id == '{project}' && resource.subscription_id == 'orders') | within 2m0s"
        )
    };
    let orders = ("subscriptionName", "orders");
    let (row, none) =
        (r#"{"timeSeriesData":[{"pointData":[{"values":[{"int64Value":"42"}]}]}]}"#, r#"{"timeSeriesData":[]}"#);
    let topic = [
        ("topicName", "projects/p/topics/t1x"),
        ("mode", "MessageSizes"),
        ("aggregation", "percentile95"),
        ("timeHorizon", "10m"),
    ];
    vec![
        asks("messages of the login's project", &[orders], "shop", &size("shop")).answers(200, row).gives(42.0, true),
        asks("of another project", &[("subscriptionName", "projects/p/subscriptions/orders")], "p", &size("p"))
            .answers(200, row)
            .gives(42.0, true),
        asks(
            "an aggregation of a topic's metric",
            &topic,
            "p",
            "fetch pubsub_topic | metric 'pubsub.googleapis.com/topic/message_sizes' | filter (resource.project_id == 'p' \
             && resource.topic_id == 't1x') | within 10m0s | align delta(3m0s) | every 3m0s | group_by [], \
             percentile(value, 95)",
        )
        .answers(200, r#"{"timeSeriesData":[{"pointData":[{"values":[{"doubleValue":2.5}]}]}]}"#)
        .gives(2.5, true),
        asks("no row", &[orders], "shop", &size("shop")).answers(200, none).fails("could not find stackdriver metric"),
        asks("no row, with a value for that", &[orders, ("valueIfNull", "1.5")], "shop", &size("shop"))
            .answers(200, none)
            .gives(1.5, true),
        asks("an empty page first", &[orders, ("valueIfNull", "0")], "shop", &size("shop"))
            .answers(200, r#"{"timeSeriesData":[],"nextPageToken":"n"}"#)
            .asks("POST /v3/projects/shop/timeSeries:query")
            .body(&json!({ "query": size("shop"), "pageSize": 1, "pageToken": "n" }).to_string())
            .answers(200, row)
            .gives(42.0, true),
        asks("a distribution", &[orders], "shop", &size("shop"))
            .answers(200, r#"{"timeSeriesData":[{"pointData":[{"values":[{"distributionValue":{}}]}]}]}"#)
            .fails("a distribution needs an aggregation"),
        Case::new("gcp-pubsub", "a name that is none", &[("subscriptionName", "projects/p/s")])
            .authentication(&[("GoogleApplicationCredentials", &key())])
            .fails("is neither the name of a subscription nor projects/"),
        Case::new("gcp-pubsub", "an unknown aggregation", &[("subscriptionName", "projects/p/subscriptions/abc"), ("aggregation", "max")])
            .authentication(&[("GoogleApplicationCredentials", &key())])
            .fails("unsupported aggregation function: max"),
    ]
}

/// What asks for a time series begins with.
fn series(project: &str, filter: &str, more: &str) -> String {
    format!(
        "GET /v3/projects/{project}/timeSeries?filter={filter}+AND+resource.labels.project_id%3D%22{project}%22&\
         interval.startTime={{any}}Z&interval.endTime={{any}}Z{more}"
    )
}

fn cloudtasks() -> Vec<Case> {
    let filter =
        "metric.type%3D%22cloudtasks.googleapis.com%2Fqueue%2Fdepth%22+AND+resource.labels.queue_id%3D%22a%5C%22b%22";
    let asks = |title| {
        case("gcp-cloudtasks", title, MONITORING, &[("queueName", "a\"b"), ("projectID", "p"), ("value", "7")])
            .asks(&series("p", filter, ""))
            .header("authorization", "Bearer t0ken")
    };
    vec![
        asks("the newest depth")
            .answers(200, r#"{"timeSeries":[{"points":[{"value":{"int64Value":"17"}},{"value":{"int64Value":"3"}}]}]}"#)
            .gives(17.0, true),
        asks("an empty page first")
            .answers(200, r#"{"nextPageToken":"n"}"#)
            .asks(&series("p", filter, "&pageToken=n"))
            .answers(200, r#"{"timeSeries":[{"points":[{"value":{"int64Value":"17"}}]}]}"#)
            .gives(17.0, true),
        asks("a series without points").answers(200, r#"{"timeSeries":[{"points":[]}]}"#).gives(-1.0, false),
        asks("no series").answers(200, "{}").fails("could not find stackdriver metric with filter"),
    ]
}

fn stackdriver() -> Vec<Case> {
    let asks = |title: &str, more: &[(&str, &str)], aggregation: &str| {
        let metadata = [("projectId", "p"), ("filter", "metric.type=\"x\"")];
        case("gcp-stackdriver", title, MONITORING, &[&metadata, more].concat()).asks(&series(
            "p",
            "metric.type%3D%22x%22",
            aggregation,
        ))
    };
    let aligned = [("alignmentPeriodSeconds", "60"), ("alignmentAligner", "mean"), ("alignmentReducer", "Sum")];
    vec![
        asks(
            "aligned values",
            &aligned,
            "&aggregation.alignmentPeriod=60s&aggregation.perSeriesAligner=ALIGN_MEAN&aggregation.crossSeriesReducer=REDUCE_SUM",
        )
        .answers(200, r#"{"timeSeries":[{"points":[{"value":{"doubleValue":2.75}}]}]}"#)
        .gives(2.75, true),
        asks("no series, with a value for that", &[("valueIfNull", "1")], "").answers(200, "{}").gives(1.0, true),
        asks("no number", &[], "")
            .answers(200, r#"{"timeSeries":[{"points":[{"value":{"boolValue":true}}]}]}"#)
            .fails("Cloud Monitoring gave boolValue, not a number"),
    ]
}

fn storage() -> Vec<Case> {
    let asks = |title: &str, more: &[(&str, &str)], query: &str| {
        case("gcp-storage", title, "storage.googleapis.com", &[&[("bucketName", "box")], more].concat())
            .asks(&format!("GET /storage/v1/b/box/o?alt=json{query}&fields=nextPageToken%2Cprefixes%2Citems%28size%29"))
            .header("authorization", "Bearer t0ken")
    };
    let page = r#"{"items":[{"size":"3"},{"size":"0"},{"size":"9"}],"prefixes":["d/"],"nextPageToken":"n"}"#;
    let next = "GET /storage/v1/b/box/o?alt=json&fields=nextPageToken%2Cprefixes%2Citems%28size%29&pageToken=n";
    vec![
        asks("two pages", &[], "")
            .answers(200, page)
            .asks(next)
            .answers(200, r#"{"items":[{"size":"1"}]}"#)
            .gives(3.0, true),
        asks("as many as are looked at", &[("maxBucketItemsToScan", "1")], "").answers(200, page).gives(1.0, true),
        asks("a folder", &[("blobDelimiter", "/"), ("blobPrefix", "new/")], "&delimiter=%2F&prefix=new%2F")
            .answers(200, "{}")
            .gives(0.0, false),
        asks("no such bucket", &[], "").answers(404, "{}").gives(0.0, false),
        asks("not allowed", &[], "").answers(403, "{}").fails("Cloud Storage: status 403"),
    ]
}

fn spanner() -> Vec<Case> {
    let asks = |title| {
        let metadata = [
            ("projectId", "p"),
            ("instanceId", "i"),
            ("databaseId", "d"),
            ("query", "SELECT 7"),
            ("targetValue", "2.5"),
        ];
        case("gcp-spanner", title, "spanner.googleapis.com", &metadata)
            .asks("POST /v1/projects/p/instances/i/databases/d/sessions")
            .header("authorization", "Bearer t0ken")
            .body("{}")
            .answers(200, r#"{"name":"projects/p/instances/i/databases/d/sessions/s1"}"#)
            .asks("POST /v1/projects/p/instances/i/databases/d/sessions/s1:executeSql")
            .body(r#"{"sql":"SELECT 7"}"#)
    };
    let result = |code: &str, rows: &str| {
        format!(r#"{{"metadata":{{"rowType":{{"fields":[{{"name":"n","type":{{"code":"{code}"}}}}]}}}}{rows}}}"#)
    };
    vec![
        asks("a number").answers(200, &result("INT64", r#","rows":[["7"]]"#)).gives(7.0, true),
        asks("no row").answers(200, &result("INT64", "")).gives(0.0, false),
        asks("another type")
            .answers(200, &result("FLOAT64", r#","rows":[[7]]"#))
            .fails("reading first column as INT64"),
        asks("nothing").answers(200, &result("INT64", r#","rows":[[null]]"#)).fails("reading first column as INT64"),
    ]
}

/// Google's Prometheus, as a service account and as the machine.
fn prometheus() -> Vec<Case> {
    let case = |title: &str, more: &[(&str, &str)]| {
        let metadata = [("serverAddress", "{address}/v1/projects/shop"), ("query", "up"), ("threshold", "5")];
        Case::new("prometheus", title, &[&metadata, more].concat())
    };
    let reads = |case: Case| {
        case.asks("GET /v1/projects/shop/api/v1/query?query=up&time={any}Z")
            .header("authorization", "Bearer t0ken")
            .answers(200, r#"{"data":{"result":[{"value":[1,"7"]}]}}"#)
            .gives(7.0, true)
    };
    let key = case("as a service account", &[("customHeaders", "Authorization=own")])
        .authentication(&[("GoogleApplicationCredentials", &key())])
        .asks("POST /token")
        .answers(200, TOKEN);
    let machine = case("as the machine", &[])
        .identity(PodIdentity { provider: "gcp".to_string(), ..PodIdentity::default() })
        .environment(&[("GCE_METADATA_HOST", "{host}")])
        .asks(
            "GET /computeMetadata/v1/instance/service-accounts/default/token?\
             scopes=https://www.googleapis.com/auth/monitoring.read",
        )
        .header("metadata-flavor", "Google")
        .answers(200, TOKEN);
    vec![reads(key), reads(machine)]
}

/// Ways to log in beside a key.
fn logins() -> Vec<Case> {
    let metadata = [("bucketName", "box")];
    let wrong = |title: &str, key: &str| {
        Case::new("gcp-storage", title, &metadata).authentication(&[("GoogleApplicationCredentials", key)])
    };
    let list = "GET /storage/v1/b/box/o?alt=json&fields=nextPageToken%2Cprefixes%2Citems%28size%29";
    vec![
        wrong("no key", "hunter2").fails("the key of the service account is not what Google's console writes"),
        wrong("another kind of key", r#"{"type":"authorized_user"}"#).fails("not what Google's console writes"),
        Case::new("gcp-storage", "an emulator", &metadata)
            .authentication(&[("GoogleApplicationCredentials", &key())])
            .environment(&[("STORAGE_EMULATOR_HOST", "{host}")])
            .asks(list)
            .header("authorization", "")
            .answers(200, r#"{"items":[{"size":"1"}]}"#)
            .gives(1.0, true),
    ]
}
