//! Services that observe others.

use super::case::Case;

pub fn cases() -> Vec<Case> {
    [graphite(), loki()].into_iter().flatten().collect()
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
