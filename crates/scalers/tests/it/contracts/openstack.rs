//! OpenStack.

use super::case::Case;

pub fn cases() -> Vec<Case> {
    [metric(), swift()].into_iter().flatten().collect()
}

const USER: &str = r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u","password":"hunter2"}}},
    "scope":{"project":{"id":"{project}"}}}}"#;
const APPLICATION: &str = r#"{"auth":{"identity":{"methods":["application_credential"],
    "application_credential":{"id":"a","secret":"hunter3"}}}}"#;

fn log_in(case: Case, body: &str, answer: &str) -> Case {
    case.asks("POST /v3/auth/tokens").body(body).answers(201, answer).answer_header("X-Subject-Token", "hunter4")
}

fn metric() -> Vec<Case> {
    let with = |title: &str, login: &[(&str, &str)]| {
        Case::new(
            "openstack-metric",
            title,
            &[
                ("metricsURL", "{address}/v1/metric"),
                ("metricID", "003b"),
                ("aggregationMethod", "mean"),
                ("granularity", "300"),
                ("threshold", "1250"),
                ("activationThreshold", "12"),
                ("timeout", "1"),
            ],
        )
        .authentication(&[&[("authURL", "{address}")], login].concat())
    };
    let user = [("userID", "u"), ("password", "hunter2")];
    let user_body = USER.replace("{project}", "");
    let by_user = |title: &str| log_in(with(title, &user), &user_body, "{}");
    let asks = |case: Case, answer: &str| {
        case.asks("GET /v1/metric/003b/measures?aggregation=mean&granularity=300&start={any}%3A00")
            .header("x-auth-token", "hunter4")
            .answers(200, answer)
    };
    let measures = r#"[["2024-01-01T00:00:00+00:00",300.0,7],["2024-01-01T00:05:00+00:00",300.0,12.5]]"#;
    let application = [("appCredentialID", "a"), ("appCredentialSecret", "hunter3")];
    let renewed = asks(by_user("a token that has expired"), "").answers(401, "");
    vec![
        asks(by_user("the last measure"), measures).gives(12.5, true),
        asks(log_in(with("an application", &application), APPLICATION, "{}"), measures).gives(12.5, true),
        asks(log_in(renewed, &user_body, "{}"), measures).gives(12.5, true),
        asks(by_user("no measure"), "[]").gives(0.0, false),
        asks(by_user("half a measure"), r#"[["t",300]]"#).fails("unexpected json response"),
        asks(by_user("a measure that is no number"), r#"[["t",300,"x"]]"#).fails("failed to convert interface type"),
        asks(by_user("no metric"), "").answers(404, "hunter4").fails("gnocchi answered: status 404"),
        with("a wrong login", &user).asks("POST /v3/auth/tokens").answers(401, "{}").fails("cannot log in at Keystone"),
        with("no token", &user)
            .asks("POST /v3/auth/tokens")
            .answers(201, "{}")
            .fails("there is no token in the answer"),
    ]
}

fn swift() -> Vec<Case> {
    const CATALOG: &str = r#"{"token":{"catalog":[
        {"type":"identity","endpoints":[{"interface":"public","region":"south-1","url":"https://other.example"}]},
        {"type":"object-store","endpoints":[
            {"interface":"internal","region":"north-1","url":"https://other.example"},
            {"interface":"public","region":"north-1","url":"https://cloud.example/north/AUTH_p"},
            {"interface":"public","region":"south-1","url":"https://cloud.example/south/AUTH_p/"}]}]}}"#;
    let with = |title: &str, more: &[(&str, &str)], login: &[(&str, &str)]| {
        let metadata = [("containerName", "up loads"), ("objectCount", "5"), ("activationObjectCount", "6")];
        Case::new("openstack-swift", title, &[&metadata, more].concat())
            .authentication(&[&[("authURL", "{address}/v3/")], login].concat())
            .at("cloud.example")
    };
    let user = [("userID", "u"), ("password", "hunter2"), ("projectID", "p")];
    let user_body = USER.replace("{project}", "p");
    let application = [("appCredentialID", "a"), ("appCredentialSecret", "hunter3")];
    let south = [application[0], application[1], ("regionName", "south-1")];
    let nowhere = [application[0], application[1], ("regionName", "west-1")];
    let asks = |case: Case, place: &str, count: &str| {
        let case = case.asks(&format!("HEAD /{place}/up%20loads")).header("x-auth-token", "hunter4").answers(204, "");
        case.answer_header("X-Container-Object-Count", count)
    };
    let own = [("swiftURL", "{address}/own/AUTH_p")];
    vec![
        asks(log_in(with("a user", &[], &user), &user_body, CATALOG), "north/AUTH_p", "7").gives(7.0, true),
        asks(log_in(with("an application", &[], &application), APPLICATION, CATALOG), "north/AUTH_p", "6")
            .gives(6.0, false),
        asks(log_in(with("a region", &[], &south), APPLICATION, CATALOG), "south/AUTH_p", "7").gives(7.0, true),
        asks(log_in(with("an address of its own", &own, &user), &user_body, "{}"), "own/AUTH_p", "7").gives(7.0, true),
        log_in(with("no address", &[], &nowhere), APPLICATION, CATALOG).fails("error getting openstack swift client"),
        asks(log_in(with("no container", &[], &user), &user_body, CATALOG), "north/AUTH_p", "0")
            .answers(404, "")
            .fails("swift answered: status 404"),
    ]
}
