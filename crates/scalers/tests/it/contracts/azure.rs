//! Services of Azure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keda_core::api::PodIdentity;

use super::case::Case;

pub fn cases() -> Vec<Case> {
    let families = [
        queue(),
        blob(),
        service_bus(),
        monitor(),
        app_insights(),
        log_analytics(),
        data_explorer(),
        pipelines(),
        prometheus(),
    ];
    families.into_iter().flatten().collect()
}

/// Tokens come from the test's server.
const AUTHORITY: (&str, &str) = ("AZURE_AUTHORITY_HOST", "{address}/");

/// A token for a client with a secret is asked for.
fn logs_in(case: Case, scope: &str) -> Case {
    case.asks("POST /tenant/oauth2/v2.0/token")
        .body(&format!("grant_type=client_credentials&scope={scope}&client_id=client&client_secret=hunter2-secret"))
        .answers(200, r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t0ken"}"#)
}

fn shared_key(account: &str) -> String {
    format!("SharedKey {account}:{{any}}=")
}

fn queue() -> Vec<Case> {
    let connection = "AccountName=shop;AccountKey=aHVudGVyMg==;QueueEndpoint={address}/shop";
    let case = |title: &str, more: &[(&str, &str)]| {
        let metadata = [("queueName", "mails"), ("activationQueueLength", "6")];
        Case::new("azure-queue", title, &[&metadata, more].concat()).authentication(&[("connection", connection)])
    };
    let all = |case: Case| {
        case.asks("GET /shop/mails?comp=metadata")
            .header("x-ms-version", "2021-12-02")
            .header("authorization", &shared_key("shop"))
    };
    let peeks = |title: &str, count: usize| {
        let message = "<QueueMessage><MessageId>1</MessageId></QueueMessage>".repeat(count);
        case(title, &[("queueLengthStrategy", "visibleonly")])
            .asks("GET /shop/mails/messages?numofmessages=32&peekonly=true")
            .header("authorization", &shared_key("shop"))
            .answers(200, &format!("\u{feff}<QueueMessagesList>{message}</QueueMessagesList>"))
    };
    vec![
        all(case("all", &[])).answers(200, "").answer_header("x-ms-approximate-messages-count", "7").gives(7.0, true),
        peeks("visible", 3).gives(3.0, false),
        all(peeks("more than are shown", 32))
            .answers(200, "")
            .answer_header("x-ms-approximate-messages-count", "40")
            .gives(40.0, true),
        case("by a signature", &[])
            .authentication(&[("connection", "QueueEndpoint={address};SharedAccessSignature=sv=1&sig=hunter2")])
            .asks("GET /mails?comp=metadata&sv=1&sig=hunter2")
            .header("authorization", "")
            .answers(404, "")
            .answer_header("x-ms-error-code", "QueueNotFound")
            .fails("status 404, QueueNotFound"),
        case("no connection string", &[])
            .authentication(&[("connection", "hunter2-connection")])
            .fails("the connection string is not made of"),
        case("an endpoint that is no address", &[])
            .authentication(&[("connection", "AccountName=shop;AccountKey=aGk=;QueueEndpoint=hunter2")])
            .fails("the endpoint of the storage account is not an address"),
    ]
}

fn blob() -> Vec<Case> {
    let connection = "AccountName=shop;AccountKey=aHVudGVyMg==;BlobEndpoint={address}/shop";
    let case = |title: &str, more: &[(&str, &str)]| {
        let metadata = [("blobContainerName", "box")];
        Case::new("azure-blob", title, &[&metadata, more].concat()).authentication(&[("connection", connection)])
    };
    let page = |names: &[&str], next: &str| {
        let blobs: String = names.iter().map(|name| format!("<Blob><Name>{name}</Name></Blob>")).collect();
        format!(
            "<EnumerationResults><Blobs>{blobs}<BlobPrefix><Name>in/</Name></BlobPrefix></Blobs>\
             <NextMarker>{next}</NextMarker></EnumerationResults>"
        )
    };
    let list = "GET /shop/box?restype=container&comp=list";
    vec![
        case("two pages, folders left out", &[])
            .asks(&format!("{list}&delimiter=%2F"))
            .header("authorization", &shared_key("shop"))
            .answers(200, &page(&["a.txt", "b.txt"], "m/1"))
            .asks(&format!("{list}&delimiter=%2F&marker=m%2F1"))
            .answers(200, &page(&["c.txt"], ""))
            .gives(3.0, true),
        case("a folder", &[("blobPrefix", "in")])
            .asks(&format!("{list}&delimiter=%2F&prefix=in%2F"))
            .answers(200, &page(&["in/b.txt"], ""))
            .gives(1.0, true),
        case("all folders", &[("recursive", "true")])
            .asks(&format!("{list}&delimiter="))
            .answers(200, &page(&[], ""))
            .gives(0.0, false),
        case("a pattern", &[("globPattern", "/in/*.txt")])
            .asks(list)
            .answers(200, &page(&["a.txt", "in/b.txt", "in/c.json", "in/deep/d.txt"], ""))
            .gives(2.0, true),
    ]
}

fn service_bus() -> Vec<Case> {
    let host = "shop.servicebus.windows.net";
    let connection =
        "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=reader;SharedAccessKey=hunter2-key";
    let case = |title: &str, metadata: &[(&str, &str)]| {
        Case::new("azure-servicebus", title, metadata).authentication(&[("connection", connection)]).at(host)
    };
    let signature = "SharedAccessSignature sr=https%3a%2f%2fshop.servicebus.windows.net%2f{any}&sig={any}&skn=reader";
    let entry = |title: &str, active: u32| {
        format!(
            "<entry xmlns=\"http://www.w3.org/2005/Atom\"><title type=\"text\">{title}</title><content><QueueDescription>\
             <CountDetails xmlns:d2p1=\"http://schemas.microsoft.com/netservices/2011/06/servicebus\">\
             <d2p1:ActiveMessageCount>{active}</d2p1:ActiveMessageCount></CountDetails></QueueDescription></content></entry>"
        )
    };
    let feed = |entries: &[String]| {
        format!("<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>Queues</title>{}</feed>", entries.concat())
    };
    let queues = [entry("orders-a", 3), entry("orders-b", 4), entry("my-orders-c", 9)];
    let matching = |operation: &str, value: f64| {
        case(operation, &[("queueName", "orders|orders-.*"), ("useRegex", "true"), ("operation", operation)])
            .asks("GET /$Resources/Queues?api-version=2021-05")
            .header("authorization", signature)
            .answers(200, &feed(&queues))
            .asks("GET /$Resources/Queues?api-version=2021-05&%24skip=3")
            .answers(200, &feed(&[]))
            .gives(value, true)
    };
    let topic = [("topicName", "t"), ("subscriptionName", "s")];
    vec![
        case("a queue", &[("queueName", "q")])
            .asks("GET /q?api-version=2021-05")
            .header("authorization", signature)
            .answers(200, &entry("q", 12))
            .gives(12.0, true),
        case("a subscription", &topic)
            .asks("GET /t/Subscriptions/s?api-version=2021-05")
            .answers(200, &entry("s", 0))
            .gives(0.0, false),
        case("no such queue", &[("queueName", "q")])
            .asks("GET /q?api-version=2021-05")
            .answers(200, "<feed><title>Publicly Listed Services</title></feed>")
            .fails("queue q doesn't exist"),
        case("no such subscription", &topic)
            .asks("GET /t/Subscriptions/s?api-version=2021-05")
            .answers(404, "")
            .fails("subscription s doesn't exist in topic t"),
        matching("sum", 7.0),
        matching("max", 4.0),
        matching("avg", 3.0),
    ]
}

fn monitor() -> Vec<Case> {
    let case = |title: &str, more: &[(&str, &str)]| {
        let metadata = [
            ("resourceURI", "Microsoft.ServiceBus/namespaces/n"),
            ("tenantId", "tenant"),
            ("subscriptionId", "sub"),
            ("resourceGroupName", "rg"),
            ("metricName", "Depth"),
            ("metricAggregationType", "Average"),
            ("targetValue", "5.5"),
            ("activeDirectoryClientId", "client"),
            ("cloud", "Private"),
            ("azureResourceManagerEndpoint", "{address}"),
        ];
        let case = Case::new("azure-monitor", title, &[&metadata, more].concat())
            .authentication(&[("activeDirectoryClientPassword", "hunter2-secret")])
            .environment(&[AUTHORITY]);
        logs_in(case, "http%3A%2F%2F127.0.0.1%3A{any}%2F.default")
    };
    let asks = |case: Case, more: &str| {
        case.asks(&format!(
            "GET /subscriptions/sub/resourceGroups/rg/providers/Microsoft.ServiceBus/namespaces/n/providers/\
             Microsoft.Insights/metrics?aggregation=Average&api-version=2024-02-01&metricnames=Depth&\
             timespan={{any}}Z%2F{{any}}Z{more}"
        ))
        .header("authorization", "Bearer t0ken")
    };
    let points =
        |points: &str| format!(r#"{{"value":[{{"name":{{"value":"Depth"}},"timeseries":[{{"data":[{points}]}}]}}]}}"#);
    vec![
        asks(case("the last point", &[]), "")
            .answers(200, &points(r#"{"timeStamp":"x","average":1},{"timeStamp":"y","average":5.5}"#))
            .gives(5.5, true),
        asks(
            case("filtered, in a namespace", &[("metricFilter", "A eq 'b'"), ("metricNamespace", "ns")]),
            "&metricnamespace=ns&%24filter=A+eq+%27b%27",
        )
        .answers(200, &points(r#"{"average":0}"#))
        .gives(0.0, false),
        asks(case("no metric", &[]), "").answers(200, r#"{"value":[]}"#).gives(-1.0, false),
        asks(case("a point without the figure", &[]), "")
            .answers(200, &points(r#"{"timeStamp":"y"}"#))
            .fails("unsupported aggregation type Average"),
        asks(case("no series", &[]), "").answers(200, r#"{"value":[{}]}"#).fails("without timeseries"),
    ]
}

fn app_insights() -> Vec<Case> {
    let case = |title: &str, more: &[(&str, &str)]| {
        let metadata = [
            ("metricId", "requests/rate"),
            ("metricAggregationTimespan", "0:5"),
            ("metricAggregationType", "avg"),
            ("targetValue", "11.5"),
            ("applicationInsightsId", "app1"),
            ("tenantId", "tenant"),
            ("activeDirectoryClientId", "client"),
            ("cloud", "Private"),
            ("appInsightsResourceURL", "{address}"),
            ("activeDirectoryEndpoint", "https://not.used"),
        ];
        let case = Case::new("azure-app-insights", title, &[&metadata, more].concat())
            .authentication(&[("activeDirectoryClientPassword", "hunter2-secret")])
            .environment(&[AUTHORITY]);
        logs_in(case, "http%3A%2F%2F127.0.0.1%3A{any}%2F.default")
    };
    let asks = |case: Case, filter: &str| {
        case.asks(&format!("GET /v1/apps/app1/metrics/requests/rate?aggregation=avg{filter}&timespan=PT00H05M"))
            .header("authorization", "Bearer t0ken")
    };
    let value = |value: &str| format!(r#"{{"value":{{"start":"x","requests/rate":{{"avg":{value}}}}}}}"#);
    vec![
        asks(case("an average", &[]), "").answers(200, &value("2.5")).gives(2.5, true),
        asks(
            case("an escaped filter", &[("metricFilter", "cloud%2FroleName%20eq+%27x%27")]),
            "&filter=cloud%2FroleName+eq+%27x%27",
        )
        .answers(200, &value("1"))
        .gives(1.0, true),
        asks(case("nothing", &[]), "")
            .answers(200, &value("null"))
            .fails("metric requests/rate was nil for aggregation type avg"),
        asks(case("nothing, taken for 0", &[("ignoreNullValues", "true")]), "")
            .answers(200, &value("null"))
            .gives(0.0, false),
    ]
}

fn log_analytics() -> Vec<Case> {
    let case = |title: &str| {
        let metadata = [
            ("workspaceId", "ws1"),
            ("query", "T | count"),
            ("threshold", "1.5"),
            ("cloud", "Private"),
            ("logAnalyticsResourceURL", "{address}"),
        ];
        let case = Case::new("azure-log-analytics", title, &metadata)
            .authentication(&[("tenantId", "tenant"), ("clientId", "client"), ("clientSecret", "hunter2-secret")])
            .environment(&[AUTHORITY]);
        logs_in(case, "http%3A%2F%2F127.0.0.1%3A{any}%2F.default")
            .asks("POST /v1/workspaces/ws1/query")
            .header("authorization", "Bearer t0ken")
            .body(r#"{"query":"T | count"}"#)
    };
    let table = |kind: &str, rows: &str| {
        format!(r#"{{"tables":[{{"name":"PrimaryResult","columns":[{{"name":"c","type":"{kind}"}}],"rows":{rows}}}]}}"#)
    };
    vec![
        case("a number").answers(200, &table("long", "[[4]]")).gives(4.0, true),
        case("a text")
            .answers(200, &table("string", r#"[["4"]]"#))
            .fails("should be real, int or long, but received string"),
        case("no row").answers(200, &table("long", "[]")).fails("there is no results after running your query"),
        case("two rows").answers(200, &table("long", "[[1],[2]]")).fails("too many rows in query result: 2"),
        case("nothing in the row").answers(200, &table("long", "[[null]]")).fails("error parsing the response"),
        case("less than 0").answers(200, &table("real", "[[-1]]")).fails("value should be >=0"),
    ]
}

fn data_explorer() -> Vec<Case> {
    let case = |title: &str| {
        let metadata = [
            ("endpoint", "https://shop.westeurope.kusto.windows.net"),
            ("databaseName", "db"),
            ("query", "T | count"),
            ("threshold", "2.5"),
            ("tenantId", "tenant"),
            ("clientId", "client"),
            ("cloud", "Private"),
            ("activeDirectoryEndpoint", "{address}"),
        ];
        let case = Case::new("azure-data-explorer", title, &metadata)
            .authentication(&[("clientSecret", "hunter2-secret")])
            .at("shop.westeurope.kusto.windows.net")
            .asks("GET /v1/rest/auth/metadata")
            .answers(200, r#"{"AzureAD":{"KustoServiceResourceId":"https://kusto.kusto.windows.net"}}"#);
        logs_in(case, "https%3A%2F%2Fkusto.kusto.windows.net%2F.default")
            .asks("POST /v2/rest/query")
            .header("authorization", "Bearer t0ken")
            .body(r#"{"db":"db","csl":"T | count","properties":{"Options":{"servertimeout":"00:04:00"}}}"#)
    };
    let frames = |kind: &str, rows: &str| {
        format!(
            r#"[{{"FrameType":"DataSetHeader","Version":"v2.0"}},{{"FrameType":"DataTable","TableKind":"QueryProperties","Rows":[[1]]}},{{"FrameType":"DataTable","TableKind":"PrimaryResult","Columns":[{{"ColumnName":"c","ColumnType":"{kind}"}}],"Rows":{rows}}}]"#
        )
    };
    let failure = r#"{"FrameType":"DataSetCompletion","HasErrors":true,"Cancelled":false,
        "OneApiErrors":[{"error":{"code":"LimitsExceeded","message":"too much memory"}}]}"#;
    let elsewhere = [
        ("endpoint", "https://kusto.windows.net.example"),
        ("databaseName", "db"),
        ("query", "T"),
        ("threshold", "1"),
        ("tenantId", "tenant"),
        ("clientId", "client"),
    ];
    vec![
        case("a number").answers(200, &frames("long", "[[3]]")).gives(3.0, true),
        case("a text").answers(200, &frames("string", r#"[["3"]]"#)).fails("data type string is not valid"),
        case("no row").answers(200, &frames("long", "[]")).fails("has no results"),
        case("two rows").answers(200, &frames("long", "[[1],[2]]")).fails("more than a single result row"),
        case("less than 0").answers(200, &frames("real", "[[-1]]")).fails("must be >= 0"),
        case("a failure behind the rows")
            .answers(200, &format!("{},{failure}]", frames("long", "[[3]]").trim_end_matches(']')))
            .fails("the query did not end well: too much memory"),
        Case::new("azure-data-explorer", "another host", &elsewhere)
            .authentication(&[("clientSecret", "hunter2-secret")])
            .fails("could not validate endpoint"),
    ]
}

fn pipelines() -> Vec<Case> {
    let case = |title: &str, more: &[(&str, &str)]| {
        let metadata = [("organizationURL", "{address}/o")];
        Case::new("azure-pipelines", title, &[&metadata, more].concat())
            .authentication(&[("personalAccessToken", "hunter2-token")])
    };
    let login = format!("Basic {}", STANDARD.encode(":hunter2-token"));
    let pool = "GET /o/_apis/distributedtask/pools";
    let jobs = r#"{"value":[{"requestId":1,"demands":["java","Agent.Version -gtVersion 2.1"],"matchedAgents":[{"name":"a1"}]},{"requestId":2,"demands":["java","mvn"],"result":"succeeded"},{"requestId":3,"receiveTime":"2024-01-01T00:00:00Z"},{"requestId":4,"receiveTime":"0001-01-01T00:00:00Z"}]}"#;
    let by_id = |title: &str, more: &[(&str, &str)], query: &str| {
        case(title, &[&[("poolID", "7")], more].concat())
            .asks(&format!("{pool}?poolID=7"))
            .header("authorization", &login)
            .answers(200, r#"{"count":0,"value":[]}"#)
            .asks(&format!("{pool}/7/jobrequests{query}"))
            .header("authorization", &login)
            .answers(200, jobs)
    };
    let newest = "?%24top=250";
    vec![
        case("by name", &[("poolName", "my pool")])
            .asks(&format!("{pool}?poolName=my+pool"))
            .answers(200, r#"{"count":1,"value":[{"id":7}]}"#)
            .asks(&format!("{pool}/7/jobrequests{newest}"))
            .answers(200, jobs)
            .gives(2.0, true),
        case("no such pool", &[("poolName", "x")])
            .asks(&format!("{pool}?poolName=x"))
            .answers(200, r#"{"count":0,"value":[]}"#)
            .fails("agent pool with name `x` not found"),
        by_id("unfinished ones", &[("fetchUnfinishedJobsOnly", "true")], "?completedRequestCount=0").gives(2.0, true),
        by_id("of an agent", &[("parent", "a1")], "").gives(1.0, true),
        by_id("what the agents can do", &[("demands", "java,mvn")], newest).gives(2.0, true),
        by_id("all of it", &[("demands", "java,mvn"), ("requireAllDemands", "true")], newest).gives(0.0, false),
        by_id(
            "all of it, and more",
            &[
                ("demands", "JAVA"),
                ("requireAllDemandsAndIgnoreOthers", "true"),
                ("caseInsensitiveDemandsProcessing", "true"),
            ],
            newest,
        )
        .gives(1.0, true),
    ]
}

/// Azure's Prometheus, with a workload identity.
fn prometheus() -> Vec<Case> {
    let metadata = [("serverAddress", "{address}"), ("query", "up"), ("threshold", "5")];
    let identity = PodIdentity {
        provider: "azure-workload".to_string(),
        identity_id: Some("another".to_string()),
        ..PodIdentity::default()
    };
    let environment = [
        AUTHORITY,
        ("AZURE_CLIENT_ID", "own"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_FEDERATED_TOKEN_FILE", "{token}"),
    ];
    let workload = Case::new("prometheus", "with a workload identity", &metadata)
        .identity(identity)
        .environment(&environment)
        .asks("POST /tenant/oauth2/v2.0/token")
        .body(
            "grant_type=client_credentials&scope=https%3A%2F%2Fprometheus.monitor.azure.com%2F.default&client_id=another&\
             client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&\
             client_assertion=token-in-file",
        )
        .answers(200, r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t0ken"}"#)
        .asks("GET /api/v1/query?query=up&time={any}Z")
        .header("authorization", "Bearer t0ken")
        .answers(200, r#"{"data":{"result":[{"value":[1,"7"]}]}}"#)
        .gives(7.0, true);
    vec![workload]
}
