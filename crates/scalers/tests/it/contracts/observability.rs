//! Services that observe others.

use super::case::Case;

pub fn cases() -> Vec<Case> {
    [
        graphite(),
        loki(),
        datadog(),
        cluster_agent(),
        new_relic(),
        dynatrace(),
        grail(),
        splunk(),
        sumologic(),
        solarwinds(),
        cloudeye(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn graphite() -> Vec<Case> {
    let case = |title: &str, answer: &str| {
        Case::new(
            "graphite",
            title,
            &[
                ("serverAddress", "{address}"),
                ("query", "sum(a.*)"),
                ("queryTime", "-5Minutes"),
                ("activationThreshold", "4"),
            ],
        )
        .asks("GET /render?from=-5Minutes&target=sum%28a.%2A%29&format=json")
        .header("authorization", "Basic Og==")
        .answers(200, answer)
    };
    let series = r#"{"target":"a","tags":{"name":"a"},"datapoints":[[1,0],[4.5,1],[null,2]]}"#;
    vec![
        case("the last point with a value", &format!("[{series}]")).gives(4.5, true),
        case("no series", "[]").gives(0.0, false),
        case("no points", r#"[{"target":"a","datapoints":[]}]"#).gives(0.0, false),
        case("two series", &format!("[{series},{series}]")).fails("graphite query sum(a.*) returned multiple series"),
        case("no value", r#"[{"datapoints":[[null,1]]}]"#).fails("no valid non-null response in query sum(a.*)"),
        case("a point without a value and a time", r#"[{"datapoints":[[]]}]"#).fails("the answer of graphite"),
        case("an object", r#"{"error":"hunter2"}"#).fails("the answer of graphite"),
        case("a list with a status of failure", "[]").answers(400, "[]").fails("graphite query: status 400"),
        Case::new(
            "graphite",
            "a login",
            &[("serverAddress", "{address}"), ("query", "a.b"), ("queryTime", "-1h"), ("authMode", "basic")],
        )
        .authentication(&[("username", "u"), ("password", "hunter2")])
        .asks("GET /render?from=-1h&target=a.b&format=json")
        .header("authorization", "Basic dTpodW50ZXIy")
        .answers(200, &format!("[{series}]"))
        .gives(4.5, true),
    ]
}

fn loki() -> Vec<Case> {
    const METADATA: [(&str, &str); 4] = [
        ("serverAddress", "{address}"),
        ("query", r#"sum(rate({a="b"}[1m]))"#),
        ("threshold", "0.7"),
        ("activationThreshold", "3"),
    ];
    let with = |title: &str, more: &[(&str, &str)], result: &str| {
        Case::new("loki", title, &[&METADATA, more].concat())
            .asks("GET /loki/api/v1/query?query=sum%28rate%28%7Ba%3D%22b%22%7D%5B1m%5D%29%29")
            .answers(200, &format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#))
    };
    let one = r#"[{"metric":{},"value":[1700000000.0,"3.25"]}]"#;
    let strict = [("ignoreNullValues", "false")];
    let login = |mode: &'static str, parameters: &[(&str, &str)]| {
        with(&format!("the mode {mode}"), &[("authModes", mode)], one).authentication(parameters)
    };
    vec![
        with("a value", &[], one).header("authorization", "").header("x-scope-orgid", "").gives(3.25, true),
        with("a tenant", &[("tenantName", "t1")], one).header("x-scope-orgid", "t1").gives(3.25, true),
        login("basic", &[("username", "u"), ("password", "hunter2")])
            .header("authorization", "Basic dTpodW50ZXIy")
            .gives(3.25, true),
        login("bearer", &[("bearerToken", "hunter2")]).header("authorization", "Bearer hunter2").gives(3.25, true),
        login("custom", &[("customAuthHeader", "X-Key"), ("customAuthValue", "hunter2")])
            .header("x-key", "hunter2")
            .gives(3.25, true),
        with("two logins", &[("serverAddress", "http://x:y@{host}"), ("authModes", "bearer")], one)
            .authentication(&[("bearerToken", "hunter2")])
            .header("authorization", "Bearer hunter2")
            .gives(3.25, true),
        with("no result", &[], "[]").gives(0.0, false),
        with("no result, which is an error", &strict, "[]").fails("loki metrics may be lost, the result is empty"),
        with("log lines", &[], r#"[{"stream":{},"values":[["1","x"]]}]"#).gives(0.0, false),
        with("log lines, which are an error", &strict, r#"[{"values":[]}]"#).fails("the value list is empty"),
        with("null", &[], r#"[{"value":[1,null]}]"#).gives(0.0, false),
        with("infinity", &[], r#"[{"value":[1,"+Inf"]}]"#).gives(0.0, false),
        with("infinity, which is an error", &strict, r#"[{"value":[1,"+Inf"]}]"#).fails("not a finite number"),
        with("two elements", &[], &format!("[{0},{0}]", r#"{"value":[1,"2"]}"#)).fails("returned multiple elements"),
        with("a time alone", &[], r#"[{"value":[1]}]"#).fails("didn't return enough values"),
        with("a number without quotes", &[], r#"[{"value":[1,2]}]"#).fails("failed to parse loki value as string"),
        with("a word", &[], r#"[{"value":[1,"two"]}]"#).fails("error converting loki value two"),
        with("a wrong query", &[], "").answers(400, "parse error").fails("loki query api returned error: status 400"),
    ]
}

fn datadog() -> Vec<Case> {
    const METADATA: [(&str, &str); 3] = [("query", "avg:x.y{*}"), ("targetValue", "7"), ("activationQueryValue", "4")];
    const FILLER: (&str, &str) = ("metricUnavailableValue", "1.5");
    let with = |title: &str, more: &[(&str, &str)], answer: &str| {
        Case::new("datadog", title, &[&METADATA, more].concat())
            .authentication(&[("apiKey", "hunter2"), ("appKey", "hunter3"), ("datadogSite", "datadoghq.eu")])
            .at("api.datadoghq.eu")
            .asks("GET /api/v1/query?from={any}&query=avg%3Ax.y%7B%2A%7D&to={any}")
            .header("dd-api-key", "hunter2")
            .header("dd-application-key", "hunter3")
            .header("accept", "application/json")
            .answers(200, answer)
    };
    let points = r#"{"status":"ok","series":[{"pointlist":[[1000,3],[1060,5],[1080,null]]}]}"#;
    let two = r#"{"series":[{"pointlist":[[1,2]]},{"pointlist":[[1,6]]}]}"#;
    vec![
        with("the last point with a value", &[], points).gives(5.0, true),
        with("the point before", &[("lastAvailablePointOffset", "1")], points).gives(3.0, false),
        with("too far back", &[("lastAvailablePointOffset", "2"), FILLER], points).fails("index is smaller"),
        with("the average of two series", &[("queryAggregator", "average")], two).gives(4.0, false),
        with("the largest of two series", &[("queryAggregator", "max")], two).gives(6.0, true),
        with("two series", &[], two).fails("query returned more than 1 series"),
        with("no series", &[], r#"{"series":[]}"#).fails("no Datadog metrics returned for the given time window"),
        with("a value for no series", &[FILLER], r#"{"series":[]}"#).gives(1.5, false),
        with("a value for no value", &[FILLER], r#"{"series":[{"pointlist":[[1,null]]}]}"#).gives(1.5, false),
        with("no value", &[], r#"{"series":[{"pointlist":[[1,null]]}]}"#).fails("no Datadog metrics returned"),
        with("a value for what cannot be processed", &[FILLER], "").answers(422, "{}").gives(1.5, false),
        with("what cannot be processed", &[], "").answers(422, "{}").fails("error when retrieving Datadog metrics"),
        with("an error", &[], r#"{"status":"error","error":"no such metric"}"#).fails("no such metric"),
        with("a refusal", &[], "").answers(403, "{}").fails("unauthorized to connect to Datadog"),
        with("the limit", &[], "")
            .answers(429, "{}")
            .answer_header("X-Ratelimit-Limit", "300")
            .answer_header("X-Ratelimit-Period", "3600")
            .answer_header("X-Ratelimit-Reset", "12")
            .fails("reached the 300 queries per 3600 seconds rate limit, next limit reset will happen in 12 seconds"),
    ]
}

fn cluster_agent() -> Vec<Case> {
    const METADATA: [(&str, &str); 5] = [
        ("useClusterAgentProxy", "true"),
        ("datadogMetricName", "hits"),
        ("datadogMetricNamespace", "shop"),
        ("targetValue", "2"),
        ("activationTargetValue", "2"),
    ];
    const AGENT: [(&str, &str); 3] =
        [("datadogNamespace", "dd"), ("datadogMetricsService", "agent"), ("datadogMetricsServicePort", "443")];
    const BEARER: [(&str, &str); 2] = [("authMode", "bearer"), ("token", "hunter2")];
    let with = |title: &str, more: &[(&str, &str)], login: &[(&str, &str)], answer: &str| {
        Case::new("datadog", title, &[&METADATA, more].concat())
            .authentication(&[&AGENT, login].concat())
            .at("agent.dd")
            .asks("GET /apis/external.metrics.k8s.io/v1beta1/namespaces/shop/datadogmetric@shop:hits")
            .header("authorization", if login.is_empty() { "" } else { "Bearer hunter2" })
            .answers(200, answer)
    };
    let filler = [("metricUnavailableValue", "1.5")];
    vec![
        with("a quantity", &[], &BEARER, r#"{"items":[{"value":"2500m"}]}"#).gives(2.5, true),
        with("a number", &[], &[], r#"{"items":[{"value":2}]}"#).gives(2.0, false),
        with("no metric", &[], &[], r#"{"items":[]}"#).fails("the metric value must be of type number or a string"),
        with("a value for what is unavailable", &filler, &[], "").answers(422, "{}").gives(1.5, false),
        with("what is unavailable", &[], &[], "").answers(422, "{}").fails("error getting metric value"),
    ]
}

fn new_relic() -> Vec<Case> {
    let with = |title: &str, more: &[(&str, &str)], answer: &str| {
        let metadata = [
            ("account", "1234567"),
            ("nrql", "SELECT count(*) FROM X"),
            ("threshold", "100"),
            ("activationThreshold", "40"),
        ];
        Case::new("new-relic", title, &[&metadata, more].concat())
            .authentication(&[("queryKey", "hunter2")])
            .at("api.newrelic.com")
            .asks("POST /graphql")
            .header("api-key", "hunter2")
            .header("content-type", "application/json")
            .body(
                r#"{"query":"query($accountId: Int!, $query: Nrql!) { actor { account(id: $accountId) { nrql(query: $query) { results } } } }",
                    "variables":{"accountId":1234567,"query":"SELECT count(*) FROM X"}}"#,
            )
            .answers(200, answer)
    };
    let results = |results: &str| format!(r#"{{"data":{{"actor":{{"account":{{"nrql":{{"results":{results}}}}}}}}}}}"#);
    let strict = [("noDataError", "true")];
    let error = |error: &str| format!(r#"{{"errors":[{error}],"data":null}}"#);
    vec![
        with("the first number of the first row", &[], &results(r#"[{"host":"a","count":42,"x":1},{"count":7}]"#))
            .gives(42.0, true),
        with("another region", &[("region", "eu")], &results(r#"[{"count":1}]"#))
            .at("api.eu.newrelic.com")
            .gives(1.0, false),
        with("no row", &[], &results("[]")).gives(0.0, false),
        with("no row, which is an error", &strict, &results("[]"))
            .fails("query returned no results: SELECT count(*) FROM X"),
        with("no number", &[], &results(r#"[{"average":null}]"#)).gives(0.0, false),
        with("no number, which is an error", &strict, &results(r#"[{"host":"a"}]"#)).fails("no numeric results"),
        with("an error", &[], &error(r#"{"message":"bad nrql, hunter2"}"#)).fails("bad nrql, ***"),
        with("a wrong key", &[], &error(r#"{"message":"bad key","extensions":{"error_code":"BAD_API_KEY"}}"#))
            .fails("bad key"),
        with(
            "a warning",
            &[],
            &results(r#"[{"count":42}]"#).replacen(
                '{',
                r#"{"errors":[{"message":"This field is deprecated! Really"}],"#,
                1,
            ),
        )
        .gives(42.0, true),
        with("no account", &[], r#"{"data":{"actor":{"account":null}}}"#).fails("there are no results in the answer"),
    ]
}

fn dynatrace() -> Vec<Case> {
    let with = |title: &str, answer: &str| {
        Case::new(
            "dynatrace",
            title,
            &[
                ("host", "{address}/"),
                ("metricSelector", r#"MyEvent:filter(eq("x","y"))"#),
                ("threshold", "10"),
                ("activationThreshold", "3"),
            ],
        )
        .authentication(&[("token", "hunter2")])
        .asks("GET /api/v2/metrics/query?from=now-2h&metricSelector=MyEvent%3Afilter%28eq%28%22x%22%2C%22y%22%29%29")
        .header("authorization", "Api-Token hunter2")
        .answers(200, answer)
    };
    vec![
        with("the first point", r#"{"result":[{"data":[{"values":[3.5,9]},{"values":[1]}]}]}"#).gives(3.5, true),
        with("a point without a value", r#"{"result":[{"data":[{"values":[null,9]}]}]}"#).gives(0.0, false),
        with("no result", r#"{"result":[]}"#).fails("does not contain any results"),
        with("no series", r#"{"result":[{"data":[]}]}"#).fails("does not contain any metric series"),
        with("no points", r#"{"result":[{"data":[{"values":[]}]}]}"#).fails("does not contain any values"),
        with("a wrong selector", "").answers(400, "{}").fails("api returned an error: status 400"),
    ]
}

fn grail() -> Vec<Case> {
    let start = |title: &str| {
        Case::new(
            "dynatrace",
            title,
            &[
                ("host", "{address}"),
                ("query", "fetch logs | summarize r=count()"),
                ("queryPollingWait", "1"),
                ("queryPollingTries", "2"),
                ("threshold", "0.5"),
            ],
        )
        .authentication(&[("token", "hunter2")])
        .asks("POST /platform/storage/query/v1/query:execute")
        .header("authorization", "Bearer hunter2")
        .header("content-type", "application/json")
        .body(r#"{"query":"fetch logs | summarize r=count()","fetchTimeoutSeconds":10}"#)
        .answers(202, r#"{"state":"RUNNING","requestToken":"a b="}"#)
    };
    let poll = |case: Case, answer: &str| {
        case.asks("GET /platform/storage/query/v1/query:poll?request-token=a+b%3D")
            .header("authorization", "Bearer hunter2")
            .answers(200, answer)
    };
    let running = r#"{"state":"RUNNING"}"#;
    let ended = |title: &str, answer: &str| poll(start(title), answer);
    vec![
        poll(
            poll(start("a result that is waited for"), running),
            r#"{"state":"SUCCEEDED","result":{"records":[{"r":12}]}}"#,
        )
        .gives(12.0, true),
        ended("a long integer", r#"{"state":"SUCCEEDED","result":{"records":[{"r":"12"}]}}"#).gives(12.0, true),
        ended("the field in capitals", r#"{"state":"SUCCEEDED","result":{"records":[{"R":12}]}}"#).gives(12.0, true),
        ended("no field r", r#"{"state":"SUCCEEDED","result":{"records":[{"x":1}]}}"#).gives(0.0, false),
        ended("no record", r#"{"state":"SUCCEEDED","result":{"records":[]}}"#).fails("empty result"),
        ended("a failure", r#"{"state":"FAILED"}"#).fails("query failed"),
        ended("a query that was cancelled", r#"{"state":"CANCELLED"}"#).fails("query was cancelled"),
        ended("a result that is gone", r#"{"state":"RESULT_GONE"}"#).fails("RESULT_GONE"),
        poll(poll(start("no result"), running), running).fails("DQL query did not complete within 2 attempts"),
        start("a result at once")
            .answers(200, r#"{"state":"SUCCEEDED","result":{"records":[{"r":3}]}}"#)
            .gives(3.0, true),
        start("a state that nobody knows").answers(202, r#"{"state":"DREAMING"}"#).fails("unknown state"),
    ]
}

fn splunk() -> Vec<Case> {
    let with = |title: &str, login: &[(&str, &str)], answer: &str| {
        Case::new(
            "splunk",
            title,
            &[
                ("host", "{address}"),
                ("savedSearchName", "returns&more"),
                ("valueField", "count"),
                ("targetValue", "5"),
                ("activationValue", "2"),
            ],
        )
        .authentication(&[&[("username", "admin")], login].concat())
        .asks("POST /servicesNS/admin/search/search/jobs/export?output_mode=json")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("search=savedsearch+returns%26more")
        .answers(200, answer)
    };
    let row = |count: &str| format!(r#"{{"preview":false,"offset":0,"lastrow":true,"result":{{"count":{count}}}}}"#);
    let preview = r#"{"preview":true,"offset":0,"result":{"count":"1"}}"#;
    vec![
        with("a token", &[("apiToken", "hunter2")], &row("\"25\""))
            .header("authorization", "Bearer hunter2")
            .gives(25.0, true),
        with("a password", &[("password", "hunter2")], &row("\"25\""))
            .header("authorization", "Basic YWRtaW46aHVudGVyMg==")
            .gives(25.0, true),
        with("a part of one does not wake", &[], &row("\"2.7\"")).gives(2.7, false),
        with("rows before the final ones", &[], &format!("{preview}\n{}\n{}", row("\"7\""), row("\"8\"")))
            .gives(7.0, true),
        with("no row", &[], r#"{"preview":false,"lastrow":true}"#).fails("field: count not found in search results"),
        with("several values", &[], &row(r#"["1","2"]"#)).fails("value: count is not a float value"),
        with("no number", &[], &row("\"NaN\"")).fails("value: count is not a float value"),
        with("a search that does not exist", &[], "")
            .answers(404, "hunter2")
            .fails("error fetching saved search data from splunk"),
    ]
}

fn sumologic() -> Vec<Case> {
    const LOGIN: [(&str, &str); 2] = [("accessID", "id"), ("accessKey", "hunter2")];
    let basic = "Basic aWQ6aHVudGVyMg==";
    let start = |title: &str| {
        Case::new(
            "sumologic",
            title,
            &[
                ("host", "{address}"),
                ("queryType", "logs"),
                ("query", "error | count as n"),
                ("resultField", "n"),
                ("timerange", "15m"),
                ("timezone", "Europe/Rome"),
                ("logsPollingInterval", "1"),
                ("maxRetries", "1"),
                ("threshold", "1"),
            ],
        )
        .authentication(&LOGIN)
        .asks("POST /api/v1/search/jobs")
        .header("authorization", basic)
        .header("accept", "application/json")
        .body(r#"{"query":"error | count as n","from":"{any}:{any}","to":"{any}:{any}","timeZone":"Europe/Rome"}"#)
        .answers(202, r#"{"id":"J1"}"#)
        .answer_header("Set-Cookie", "node=7; Path=/; HttpOnly")
    };
    let next = |case: Case, request: &str, answer: &str| {
        case.asks(request).header("authorization", basic).header("cookie", "node=7").answers(200, answer)
    };
    let state = |case: Case, state: &str, messages: i64, records: i64| {
        let answer = format!(r#"{{"state":"{state}","messageCount":{messages},"recordCount":{records}}}"#);
        next(case, "GET /api/v1/search/jobs/J1", &answer)
    };
    let done = |title: &str, messages, records| state(start(title), "DONE GATHERING RESULTS", messages, records);
    let records = |case: Case, answer: &str| next(case, "GET /api/v1/search/jobs/J1/records?offset=0&limit=2", answer);
    let two = r#"{"records":[{"map":{"n":"188"}},{"map":{"n":"190"}},{"map":{"other":"x"}}]}"#;
    let gathering = state(start("a search"), "GATHERING RESULTS", 0, 0);
    let searched = records(state(gathering, "DONE GATHERING RESULTS", 3, 2), two);
    let slow = start("a search that takes longer than a reading").readings(2);
    let slow = next(slow, "GET /api/v1/search/jobs/J1", "").answers(503, "");
    let slow = records(state(slow, "DONE GATHERING RESULTS", 3, 2), two);
    let mut cases = vec![
        next(slow, "DELETE /api/v1/search/jobs/J1", "").answer_is_not_read().gives(189.0, true),
        next(searched, "DELETE /api/v1/search/jobs/J1", "").answer_is_not_read().gives(189.0, true),
        done("a search without records", 0, 0).gives(0.0, false),
        done("a search that does not aggregate", 3, 0).fails("only agg queries are supported"),
        records(done("a field that is no number", 3, 2), r#"{"records":[{"map":{"n":"many"}}]}"#)
            .fails("failed to parse resultField: n"),
        state(start("a search that was cancelled"), "CANCELLED", 0, 0).fails("search job failed, state: CANCELLED"),
        start("an id that leads elsewhere").answers(202, r#"{"id":"../x"}"#).fails("the search job has no id"),
    ];
    cases.extend(sumologic_metrics(&LOGIN));
    cases
}

fn sumologic_metrics(login: &[(&str, &str)]) -> Vec<Case> {
    let with = |title: &str, more: &[(&str, &str)], rows: &str, answer: &str| {
        let metadata = [
            ("host", "{address}"),
            ("queryType", "metrics"),
            ("quantization", "15s"),
            ("rollup", "Max"),
            ("timerange", "15m"),
            ("threshold", "1"),
        ];
        let window = r#"{"type":"BeginBoundedTimeRange","from":{"type":"Iso8601TimeRangeBoundary","iso8601Time":"{any}Z"},
            "to":{"type":"Iso8601TimeRangeBoundary","iso8601Time":"{any}Z"}}"#;
        Case::new("sumologic", title, &[&metadata, more].concat())
            .authentication(login)
            .asks("POST /api/v1/metricsQueries")
            .header("authorization", "Basic aWQ6aHVudGVyMg==")
            .body(&format!(r#"{{"queries":{rows},"timeRange":{window}}}"#))
            .answers(200, answer)
    };
    let row =
        |id: &str, query: &str| format!(r#"{{"rowId":"{id}","query":"{query}","quantization":15000,"rollup":"Max"}}"#);
    let series = |values: &str| format!(r#"{{"points":{{"timestamps":[1,2,3],"values":{values}}}}}"#);
    let result = |id: &str, series: &str| format!(r#"{{"rowId":"{id}","timeSeriesList":{{"timeSeries":[{series}]}}}}"#);
    let answer = |results: &[String]| format!(r#"{{"queryResult":[{}]}}"#, results.join(","));
    let (one, points) = ([("query", "metric=a"), ("maxRetries", "1")], series("[10,20,30]"));
    let rows = format!("[{}]", row("A", "metric=a"));
    let simple = |title: &str, body: &str| with(title, &one, &rows, body);
    let several = [("query.A", "metric=a"), ("query.B", "#A / 2"), ("resultQueryRowID", "B"), ("maxRetries", "1")];
    vec![
        simple("a query", &answer(&[result("A", &points)])).gives(20.0, true),
        with(
            "one row of several",
            &several,
            &format!("[{},{}]", row("A", "metric=a"), row("B", "#A / 2")),
            &answer(&[result("A", &points), result("B", &series("[4,6]"))]),
        )
        .gives(5.0, true),
        simple("no series", &answer(&[result("A", "")])).fails("no time series data found"),
        simple("two series", &answer(&[result("A", &format!("{points},{points}"))])).fails("multiple time series"),
        simple("no points", &answer(&[result("A", &series("[]"))])).fails("empty timestamps or values"),
        simple("no result", &answer(&[])).fails("metrics query response is empty"),
        simple("an error", r#"{"errors":{"errors":[{"code":"x","message":"no such metric"}]}}"#)
            .fails("no such metric"),
        with("a request that is tried again", &[one[0], ("maxRetries", "2")], &rows, "")
            .answers(503, "")
            .asks("POST /api/v1/metricsQueries")
            .answers(404, "")
            .fails("POST /api/v1/metricsQueries: status 404"),
    ]
}

fn solarwinds() -> Vec<Case> {
    let with = |title: &str, more: &[(&str, &str)], query: &str, answer: &str| {
        let metadata = [
            ("host", "{address}"),
            ("metricName", "shop.uploads"),
            ("aggregation", "AVG"),
            ("intervalS", "60"),
            ("targetValue", "10"),
            ("activationValue", "40"),
        ];
        Case::new("solarwinds", title, &[&metadata, more].concat())
            .authentication(&[("apiToken", "hunter2")])
            .asks(&format!("GET /v1/metrics/shop.uploads/measurements?aggregateBy=AVG&endTime={{any}}Z{query}&seriesType=SCALAR&startTime={{any}}Z"))
            .header("authorization", "Bearer hunter2")
            .header("accept", "application/json")
            .answers(200, answer)
    };
    let measured =
        r#"{"groupings":[{"attributes":[],"measurements":[{"time":"t","value":null},{"time":"t","value":42.5}]}]}"#;
    vec![
        with("the first value", &[], "", measured).gives(42.5, true),
        with("a filter", &[("filter", "k8s.ns:shop")], "&filter=k8s.ns%3Ashop", measured).gives(42.5, true),
        with("no groupings", &[], "", "{}").fails("no groupings found in response"),
        with("no grouping", &[], "", r#"{"groupings":[]}"#).fails("no measurements found in response"),
        with("no measurements", &[], "", r#"{"groupings":[{"measurements":null}]}"#).fails("no measurements found"),
        with("a metric that does not exist", &[], "", "").answers(404, "{}").fails("error getting SolarWinds metric"),
    ]
}

fn cloudeye() -> Vec<Case> {
    let login = [
        ("ProjectID", "p1"),
        ("Region", "eu-west-101"),
        ("Cloud", "myhuaweicloud.eu"),
        ("AccessKey", "AK"),
        ("SecretKey", "hunter2"),
    ];
    let with =
        |title: &str, answer: &str| {
            Case::new("huawei-cloudeye", title, &[
            ("namespace", "SYS.ELB"),
            ("metricName", "m1_cps"),
            ("dimensionName", "lbaas_instance_id"),
            ("dimensionValue", "5e05"),
            ("targetMetricValue", "100"),
            ("activationTargetMetricValue", "7"),
        ])
        .authentication(&login)
        .at("ces.eu-west-101.myhuaweicloud.eu")
        .asks("POST /V1.0/p1/batch-query-metric-data")
        .header("content-type", "application/json")
        .header("x-project-id", "p1")
        .header("x-sdk-date", "{any}T{any}Z")
        .header(
            "authorization",
            "SDK-HMAC-SHA256 Access=AK, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature={any}",
        )
        .body(concat!(
            r#"{"metrics":[{"namespace":"SYS.ELB","metric_name":"m1_cps","dimensions":[{"name":"lbaas_instance_id","#,
            r#""value":"5e05"}]}],"from":{any}0000,"to":{any}0000,"period":"300","filter":"average"}"#
        ))
        .answers(200, answer)
        };
    vec![
        with(
            "the first period",
            r#"{"metrics":[{"datapoints":[{"average":7.5,"timestamp":1},{"average":9,"timestamp":2}]}]}"#,
        )
        .gives(7.5, true),
        with("no period", r#"{"metrics":[{"datapoints":[]}]}"#).fails("metric Data not received"),
        with("no metric", r#"{"metrics":[]}"#).fails("metric Data not received"),
        with("another figure", r#"{"metrics":[{"datapoints":[{"max":1}]}]}"#).fails("metric Data not float64"),
        with("a wrong namespace", "").answers(400, "{}").fails("Cloud Eye answered: status 400"),
        Case::new(
            "huawei-cloudeye",
            "no login",
            &[
                ("namespace", "SYS.ELB"),
                ("metricName", "m1_cps"),
                ("dimensionName", "lbaas_instance_id"),
                ("dimensionValue", "5e05"),
                ("targetMetricValue", "100"),
            ],
        )
        .fails("ProjectID is missing in the TriggerAuthentication"),
    ]
}
