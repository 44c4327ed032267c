//! Selenium Grid.

use super::case::Case;

pub fn cases() -> Vec<Case> {
    let with = |title: &str, login: &[(&str, &str)], answer: &str| {
        Case::new("selenium-grid", title, &[
            ("url", "{address}/graphql"),
            ("browserName", "chrome"),
            ("platformName", "linux"),
        ])
        .authentication(login)
        .asks("POST /graphql")
        .body(concat!(
            r#"{"query":"{ grid { sessionCount, maxSession, totalSlots }, nodesInfo { nodes { id, status, sessionCount, "#,
            "maxSession, slotCount, stereotypes, sessions { id, capabilities, slot { id, stereotype } } } }, ",
            r#"sessionsInfo { sessionQueueRequests } }"}"#
        ))
        .answers(200, answer)
    };
    let slot = r#"{\"browserName\":\"chrome\",\"platformName\":\"linux\"}"#;
    let node = format!(
        r#"{{"id":"n","status":"UP","sessionCount":1,"maxSession":1,"slotCount":1,
            "stereotypes":"[{{\"slots\":1,\"stereotype\":{slot}}}]",
            "sessions":[{{"id":"s","capabilities":"{{}}","slot":{{"id":"t","stereotype":"{slot}"}}}}]}}"#
    );
    let answer = |nodes: &str, queue: &str| {
        format!(
            r#"{{"data":{{"grid":{{"sessionCount":1,"maxSession":1,"totalSlots":1}},"nodesInfo":{{"nodes":[{nodes}]}},
                "sessionsInfo":{{"sessionQueueRequests":[{queue}]}}}}}}"#
        )
    };
    let busy = answer(&node, &format!("\"{slot}\",\"{{\\\"browserName\\\":\\\"firefox\\\"}}\""));
    vec![
        with("a session that runs and one that waits", &[], &busy).header("authorization", "").gives(2.0, true),
        with("a session that runs", &[], &answer(&node, "")).gives(1.0, true),
        with("nothing", &[], &answer("", "")).gives(0.0, false),
        with("a password", &[("username", "u"), ("password", "hunter2")], &busy)
            .header("authorization", "Basic dTpodW50ZXIy")
            .gives(2.0, true),
        with("a token", &[("authType", "Bearer"), ("accessToken", "hunter2")], &busy)
            .header("authorization", "Bearer hunter2")
            .gives(2.0, true),
        with("a token alone", &[("accessToken", "hunter2")], &busy).header("authorization", "hunter2").gives(2.0, true),
        with("an error", &[], r#"{"errors":[{"message":"no such field"}],"data":null}"#)
            .fails("error requesting selenium grid endpoint: the answer does not tell the grid's state"),
        with("a wrong address", &[], "").answers(404, "").fails("Selenium Grid returned response status code"),
    ]
}
