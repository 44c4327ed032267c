//! Databases.

use std::time::Duration;

use super::case::Case;
use super::server::Server;

/// `autoscaler` and `hunter22`.
const BASIC: &str = "Basic YXV0b3NjYWxlcjpodW50ZXIyMg==";
/// `admin` and `hunter22`.
const ADMIN: &str = "Basic YWRtaW46aHVudGVyMjI=";
const PASSWORD: (&str, &str) = ("password", "hunter22");

pub fn cases() -> Vec<Case> {
    [
        elasticsearch(),
        elasticsearch_places(),
        opensearch(),
        elastic_forecast(),
        elastic_forecast_failures(),
        solr(),
        couchdb(),
        arangodb(),
        influxdb(),
        clickhouse(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `first` and `more` of a trigger's metadata.
fn with<'a>(first: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [first, more].concat()
}

fn elasticsearch() -> Vec<Case> {
    let server = [("addresses", "{address}"), ("username", "autoscaler"), ("index", "a;b"), ("targetValue", "5")];
    let query = r#"{"size":0,"query":{"match_all":{}}}"#;
    let case = |title: &str, more: &[(&str, &str)]| {
        Case::new("elasticsearch", title, &with(&server, more)).authentication(&[PASSWORD])
    };
    let hits = [("query", query), ("valueLocation", "hits.total.value")];
    let template = [("searchTemplateName", "tpl"), ("valueLocation", "aggregations.a.value")];
    vec![
        case("hits of a query", &with(&hits, &[("activationTargetValue", "5")]))
            .asks("POST /a,b/_search")
            .header("authorization", BASIC)
            .header("content-type", "application/json")
            .body(query)
            .answers(200, r#"{"hits":{"total":{"value":5}}}"#)
            .gives(5.0, false),
        case("a template and a number in quotes", &with(&template, &[("parameters", "d:1;time:10:30")]))
            .asks("POST /a,b/_search/template")
            .body(r#"{"id":"tpl","params":{"d":"1","time":"10:30"}}"#)
            .answers(200, r#"{"aggregations":{"a":{"value":"2.5"}}}"#)
            .gives(2.5, true),
        case("null that counts as 0", &with(&template, &[("ignoreNullValues", "true")]))
            .asks("POST /a,b/_search/template")
            .body(r#"{"id":"tpl"}"#)
            .answers(200, r#"{"aggregations":{"a":{"value":null}}}"#)
            .gives(0.0, false),
        case("null", &template)
            .asks("POST /a,b/_search/template")
            .answers(200, r#"{"aggregations":{"a":{"value":null}}}"#)
            .fails("error inspecting elasticsearch: valueLocation must point to value of type number but got: 'Null'"),
        case("an index that does not exist, where null counts as 0", &with(&hits, &[("ignoreNullValues", "true")]))
            .asks("POST /a,b/_search")
            .answers(404, r#"{"error":{"type":"index_not_found_exception"},"status":404}"#)
            .fails("elasticsearch returned HTTP 404"),
        case("a login that is refused", &hits)
            .asks("POST /a,b/_search")
            .answers(401, "{}")
            .fails("elasticsearch authentication failed (HTTP 401)"),
        case("a parameter without a value", &with(&template, &[("parameters", "novalue")]))
            .fails(r#"invalid parameter format "novalue", expected key:value"#),
    ]
}

/// Where servers may be, and who logs in.
fn elasticsearch_places() -> Vec<Case> {
    let search = [
        ("username", "autoscaler"),
        ("index", "a;b"),
        ("targetValue", "5"),
        ("query", "{}"),
        ("valueLocation", "hits.total.value"),
    ];
    let cloud = [
        ("cloudID", "shop:ZXUuZXhhbXBsZS5jb20kMGExYiQyYzNk"),
        ("index", "i"),
        ("query", "{}"),
        ("valueLocation", "hits.total.value"),
        ("targetValue", "5"),
    ];
    vec![
        Case::new("elasticsearch", "a login in the address", &search)
            .authentication(&[("addresses", "http://autoscaler:hunter22@{host}/es/"), ("password", "another")])
            .asks("POST /es/a,b/_search")
            .header("authorization", BASIC)
            .answers(200, r#"{"hits":{"total":{"value":1}}}"#)
            .gives(1.0, true),
        Case::new("elasticsearch", "the second of two servers", &search)
            .authentication(&[("addresses", "http://127.0.0.1:1,{address}"), PASSWORD])
            .asks("POST /a,b/_search")
            .answers(200, r#"{"hits":{"total":{"value":1}}}"#)
            .gives(1.0, true),
        Case::new("elasticsearch", "a deployment in Elastic's cloud", &cloud)
            .authentication(&[("apiKey", "c2VjcmV0")])
            .at("0a1b.eu.example.com")
            .asks("POST /i/_search")
            .header("authorization", "APIKey c2VjcmV0")
            .body("{}")
            .answers(200, r#"{"hits":{"total":{"value":12}}}"#)
            .gives(12.0, true),
    ]
}

fn opensearch() -> Vec<Case> {
    let query = r#"{"size":0,"query":{"match_all":{}}}"#;
    let server = [
        ("addresses", "{address}"),
        ("username", "autoscaler"),
        ("index", "my-index"),
        ("valueLocation", "hits.total.value"),
        ("targetValue", "10"),
    ];
    let case = |title: &str, more: &[(&str, &str)]| {
        Case::new("opensearch", title, &with(&server, more)).authentication(&[PASSWORD])
    };
    let shards = |failed: u32, hits: &str| {
        format!(
            r#"{{"took":1,"timed_out":false,"_shards":{{"total":2,"successful":1,"skipped":0,"failed":{failed}}},
            "hits":{{"total":{{"value":{hits},"relation":"eq"}},"max_score":null,"hits":[]}}}}"#
        )
    };
    vec![
        case("hits of a query", &[("query", query)])
            .asks("POST /my-index/_search")
            .header("authorization", BASIC)
            .header("content-type", "application/json")
            .body(query)
            .answers(200, &shards(0, "17"))
            .gives(17.0, true),
        case("a template", &[("searchTemplateName", "tpl"), ("parameters", "name:nginx;size:5")])
            .asks("POST /my-index/_search/template")
            .body(r#"{"id":"tpl","params":{"name":"nginx","size":"5"}}"#)
            .answers(200, &shards(0, r#""12.5""#))
            .gives(12.5, true),
        case("null that counts as 0", &[("query", query), ("ignoreNullValues", "true")])
            .asks("POST /my-index/_search")
            .answers(200, &shards(0, "null"))
            .gives(0.0, false),
        case("null", &[("query", query)])
            .asks("POST /my-index/_search")
            .answers(200, &shards(0, "null"))
            .fails("error inspecting opensearch: valueLocation must point to value of type number but got: 'Null'"),
        case("some shards failed", &[("query", query)])
            .asks("POST /my-index/_search")
            .answers(200, &shards(1, "17"))
            .fails("the search failed on 1 shards"),
        case("a query that is not JSON", &[("query", "{")]).fails("invalid query JSON"),
        case("a login that is refused", &[("query", query)])
            .asks("POST /my-index/_search")
            .answers(401, "Unauthorized")
            .fails("opensearch authentication failed (HTTP 401): check username and password"),
        case("a right that is missing", &[("query", query)])
            .asks("POST /my-index/_search")
            .answers(403, "{}")
            .fails("opensearch authorization failed (HTTP 403): user has insufficient permissions"),
    ]
}

/// The question for a forecast, which comes first.
fn forecast(title: &str, more: &[(&str, &str)]) -> Case {
    let metadata = [
        ("addresses", "{address}"),
        ("username", "autoscaler"),
        ("jobID", "rps"),
        ("lookAhead", "10m"),
        ("targetValue", "10"),
    ];
    Case::new("elastic-forecast", title, &with(&metadata, more))
        .authentication(&[PASSWORD])
        .asks("POST /_ml/anomaly_detectors/rps/_forecast")
        .header("authorization", BASIC)
        .header("content-type", "application/json")
        .body(r#"{"duration":"1200s","expires_in":"1200s"}"#)
}

fn elastic_forecast() -> Vec<Case> {
    let made = r#"{"acknowledged":true,"forecast_id":"f1"}"#;
    let search = r#"{"size":1,"query":{"bool":{"filter":[{"term":{"job_id":"rps"}},{"term":{"forecast_id":"f1"}},{"term":{"result_type":"model_forecast"}},{"range":{"timestamp":{"lte":{any}}}}]}},"sort":[{"timestamp":{"order":"desc"}}],"_source":["forecast_prediction","timestamp"]}"#;
    let part = r#"{any}{"term":{"result_type":"model_forecast"}},{"term":{"partition_field_value":"north"}},{"term":{"by_field_value":"web"}},{"range"{any}"#;
    let hit = r#"{"hits":{"total":{"value":1},"hits":[{"_source":{"forecast_prediction":42.5,"timestamp":1}}]}}"#;
    vec![
        forecast("a forecast is made and searched", &[("activationTargetValue", "42")])
            .answers(200, made)
            .asks("POST /.ml-anomalies-*/_search")
            .header("authorization", BASIC)
            .body(search)
            .answers(200, hit)
            .gives(42.5, true),
        forecast(
            "one part of the job in one index",
            &[("index", "shared"), ("partitionFieldValue", "north"), ("byFieldValue", "web")],
        )
        .answers(200, made)
        .asks("POST /.ml-anomalies-shared/_search")
        .body(part)
        .answers(200, hit)
        .gives(42.5, true),
        forecast("a forecast is used again", &[])
            .answers(200, made)
            .asks("POST /.ml-anomalies-*/_search")
            .answers(200, r#"{"hits":{"hits":[]}}"#)
            .asks("POST /.ml-anomalies-*/_search")
            .body(search)
            .answers(200, hit)
            .readings(2)
            .gives(42.5, true),
        forecast("a forecast that is not ready", &[])
            .answers(200, made)
            .asks("POST /.ml-anomalies-*/_search")
            .answers(200, r#"{"hits":{"total":{"value":0},"hits":[]}}"#)
            .gives(0.0, false),
    ]
}

fn elastic_forecast_failures() -> Vec<Case> {
    let made = r#"{"acknowledged":true,"forecast_id":"f1"}"#;
    vec![
        forecast("a job that is closed", &[])
            .answers(409, r#"{"error":{"type":"status_exception"}}"#)
            .fails("error creating a forecast: elasticsearch returned HTTP 409"),
        forecast("a forecast without a name", &[])
            .answers(200, r#"{"acknowledged":true}"#)
            .fails("forecast API response contained no forecast_id"),
        forecast("a right that is missing", &[])
            .answers(200, made)
            .asks("POST /.ml-anomalies-*/_search")
            .answers(403, "{}")
            .fails("elasticsearch authorization failed (HTTP 403): user has insufficient permissions"),
    ]
}

fn solr() -> Vec<Case> {
    let metadata = [("host", "{address}"), ("collection", "my_core"), ("targetQueryValue", "1")];
    let case = |title: &str, more: &[(&str, &str)]| {
        Case::new("solr", title, &with(&metadata, more)).authentication(&[("username", "autoscaler"), PASSWORD])
    };
    let all = "GET /solr/my_core/select?q=*%3A*&wt=json";
    vec![
        case("all documents", &[])
            .asks(all)
            .header("authorization", BASIC)
            .answers(200, r#"{"response":{"numFound":500,"start":0,"docs":[]}}"#)
            .gives(500.0, true),
        case("a query", &[("query", "state:new AND shop:\"a b\""), ("activationTargetQueryValue", "3")])
            .asks("GET /solr/my_core/select?q=state%3Anew+AND+shop%3A%22a+b%22&wt=json")
            .answers(200, r#"{"response":{"numFound":3}}"#)
            .gives(3.0, false),
        case("no number", &[]).asks(all).answers(200, "{}").gives(0.0, false),
        case("null", &[]).asks(all).answers(200, "null").fails("failed to inspect solr, because of"),
        case("a collection that does not exist", &[])
            .asks(all)
            .answers(404, "<html>")
            .fails("failed to inspect solr, because of: the solr API returned error. url: http://"),
    ]
}

fn couchdb() -> Vec<Case> {
    let query = r#"{"selector":{"feet":{"$gt":0}},"fields":["_id"],"limit":100}"#;
    let asked = r#"{"selector":{"feet":{"$gt":0}},"fields":["_id"]}"#;
    let metadata = [("dbName", "animals"), ("query", query), ("queryValue", "1"), ("activationQueryValue", "2")];
    let found = r#"{"docs":[{"_id":"cow"},{"_id":"duck"}],"bookmark":"nil"}"#;
    let case = |title: &str, authentication: &[(&str, &str)]| {
        Case::new("couchdb", title, &metadata).authentication(authentication)
    };
    let connection = |connection: &'static str| [("connectionString", connection), PASSWORD];
    vec![
        case("documents", &connection("{address}"))
            .asks("POST /animals/_find")
            .header("authorization", ADMIN)
            .body(asked)
            .answers(200, found)
            .gives(2.0, false),
        case("a login in the connection string", &connection("http://autoscaler:hunter22@{host}/"))
            .asks("POST /animals/_find")
            .header("authorization", BASIC)
            .answers(200, r#"{"docs":[{"_id":"cow"},{"_id":"duck"},{"_id":"hen"}]}"#)
            .gives(3.0, true),
        case("no document", &connection("{address}"))
            .asks("POST /animals/_find")
            .answers(200, r#"{"docs":[],"bookmark":"nil"}"#)
            .gives(0.0, false),
        case("a database that does not exist", &connection("{address}"))
            .asks("POST /animals/_find")
            .answers(404, r#"{"error":"not_found","reason":"Database does not exist."}"#)
            .fails("failed to inspect couchdb: error executing query: status 404"),
        Case::new("couchdb", "no fields", &[("dbName", "d"), ("query", r#"{"selector":{}}"#), ("queryValue", "1")])
            .authentication(&connection("{address}"))
            .asks("POST /d/_find")
            .body(r#"{"selector":{}}"#)
            .answers(200, found)
            .gives(2.0, true),
        Case::new("couchdb", "a query that is not JSON", &[("dbName", "d"), ("query", "{"), ("queryValue", "1")])
            .authentication(&connection("{address}"))
            .fails("failed to inspect couchdb: error unmarshaling query"),
    ]
}

fn arangodb() -> Vec<Case> {
    let metadata =
        [("endpoints", "{address}"), ("dbName", "d"), ("collection", "c"), ("query", "RETURN 1"), ("queryValue", "3")];
    let login = [("authModes", "basic"), ("username", "autoscaler"), PASSWORD];
    let case = |title: &str, authentication: &[(&str, &str)]| {
        Case::new("arangodb", title, &metadata).authentication(authentication).asks("GET /_db/d/_api/collection/c")
    };
    let collection = r#"{"error":false,"code":200,"id":"2","name":"c","status":3,"type":2}"#;
    let value = r#"{"error":false,"code":201,"result":[{"value":4.5}],"count":1,"hasMore":false}"#;
    vec![
        case("a number", &login)
            .header("authorization", BASIC)
            .answers(200, collection)
            .asks("POST /_db/d/_api/cursor")
            .header("authorization", BASIC)
            .body(r#"{"query":"RETURN 1","count":true,"options":{}}"#)
            .answers(201, value)
            .gives(4.5, true),
        case("a token", &[("authModes", "bearer"), ("bearerToken", "hunter22")])
            .header("authorization", "Bearer hunter22")
            .answers(200, collection)
            .asks("POST /_db/d/_api/cursor")
            .header("authorization", "Bearer hunter22")
            .answers(201, value)
            .gives(4.5, true),
        case("no login", &[])
            .header("authorization", "")
            .answers(200, collection)
            .asks("POST /_db/d/_api/cursor")
            .header("authorization", "")
            .answers(201, r#"{"result":[{}],"count":1}"#)
            .gives(0.0, false),
        case("a database that does not exist", &login)
            .answers(404, r#"{"error":true,"code":404,"errorNum":1228,"errorMessage":"database not found"}"#)
            .fails("failed to inspect arangoDB: d database not found"),
        case("a collection that does not exist", &login)
            .answers(404, r#"{"error":true,"code":404,"errorNum":1203}"#)
            .fails("c collection not found in d database"),
        case("many documents, which the server still holds", &login)
            .answers(200, collection)
            .asks("POST /_db/d/_api/cursor")
            .answers(201, r#"{"result":[{"value":1},{"value":2}],"count":2000,"hasMore":true,"id":"77"}"#)
            .asks("DELETE /_db/d/_api/cursor/77")
            .header("authorization", BASIC)
            .answers(202, "{}")
            .fails("more than one values received, please check the query"),
        case("a query that is wrong", &login)
            .answers(200, collection)
            .asks("POST /_db/d/_api/cursor")
            .answers(400, r#"{"error":true,"code":400,"errorNum":1501}"#)
            .fails("failed to inspect arangoDB: error executing query: status 400"),
    ]
}

fn influxdb() -> Vec<Case> {
    let metadata = [
        ("serverURL", "{address}/"),
        ("organizationName", "my org"),
        ("query", "from(bucket: \"b\")"),
        ("thresholdValue", "10"),
        ("activationThresholdValue", "2"),
    ];
    let case = |title: &str, authentication: &[(&str, &str)]| {
        Case::new("influxdb", title, &metadata).authentication(authentication).asks("POST /api/v2/query?org=my+org")
    };
    let token = [("authToken", "hunter22")];
    let table = |kind: &str, values: &str| {
        format!(
            "#datatype,string,long,{kind}\r\n#group,false,false,false\r\n#default,_result,,\r\n\
             ,result,table,_value\r\n{values}\r\n"
        )
    };
    let body = r#"{"dialect":{"annotations":["datatype","group","default"],"delimiter":",","header":true},"query":"from(bucket: \"b\")","type":"flux"}"#;
    vec![
        case("the first record", &token)
            .header("authorization", "Token hunter22")
            .header("content-type", "application/json")
            .body(body)
            .answers(200, &table("double", ",,0,2.5\r\n,,0,9\r\n"))
            .gives(2.5, true),
        case("a whole number, without a token", &[])
            .header("authorization", "")
            .answers(200, &table("long", ",,0,2\r\n"))
            .gives(2.0, false),
        case("a text", &token)
            .answers(200, &table("string", ",,0,2\r\n"))
            .fails("value of type string could not be converted into a float"),
        case("no record", &token).answers(200, "\r\n").fails("no results found from query"),
        case("a query that is wrong", &token)
            .answers(400, r#"{"code":"invalid","message":"compilation failed"}"#)
            .fails("the query to InfluxDB failed: status 400"),
    ]
}

fn clickhouse() -> Vec<Case> {
    let metadata =
        [("query", "SELECT count() FROM t"), ("targetQueryValue", "2.5"), ("activationTargetQueryValue", "4")];
    let case = |title: &str| {
        Case::new("clickhouse", title, &metadata)
            .authentication(&[("connectionString", "http://autoscaler:hunter22@{host}/shop?max_threads=2")])
            .asks("POST /?database=shop&default_format=TabSeparatedWithNamesAndTypes&wait_end_of_query=1&max_threads=2")
            .header("authorization", BASIC)
            .body("SELECT count() FROM t")
    };
    vec![
        case("a number over HTTP").answers(200, "count()\nUInt64\n5\n6\n").gives(5.0, true),
        case("no row").answers(200, "count()\nUInt64\n").gives(0.0, false),
        case("NULL").answers(200, "n\nNullable(UInt64)\n\\N\n").fails("the value is NULL"),
        case("a truth value").answers(200, "b\nBool\ntrue\n").fails("the value \"true\" is not a number"),
        case("two columns")
            .answers(200, "a\tb\nUInt8\tUInt8\n1\t2\n")
            .fails("error inspecting ClickHouse: could not query ClickHouse database: sql: expected 2 destination"),
        case("a table that does not exist")
            .answers(404, "Code: 60. DB::Exception: Table shop.t doesn't exist.")
            .fails("the HTTP interface refused the query: status 404"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_may_take_longer_than_other_requests() {
    for kind in ["elasticsearch", "opensearch", "elastic-forecast", "couchdb", "arangodb"] {
        let case = cases().into_iter().find(|case| case.kind == kind && case.succeeds()).expect("a case");
        let mut exchanges = case.exchanges.clone();
        for exchange in &mut exchanges {
            exchange.answer.late = Duration::from_millis(400);
        }
        let server = Server::start(case.host(), exchanges).await;
        let reading = case.read(&server, Duration::from_millis(200)).await;
        assert!(reading.is_ok(), "{kind}: {reading:?}");
    }
}
