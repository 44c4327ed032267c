//! Services that build and test.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::case::Case;

pub fn cases() -> Vec<Case> {
    [forgejo(), github(), github_again(), vec![github_app()]].into_iter().flatten().collect()
}

fn forgejo() -> Vec<Case> {
    let with = |title: &str, more: &[(&str, &str)], path: &str, answer: &str| {
        Case::new("forgejo-runner", title, &[&[("address", "{address}/"), ("labels", "docker,arm64")], more].concat())
            .authentication(&[("token", "hunter2")])
            .asks(&format!("GET /api/v1/{path}/jobs?labels=docker,arm64"))
            .header("authorization", "token hunter2")
            .answers(200, answer)
    };
    let (owner, repo, org, global) = (("owner", "a"), ("repo", "b"), ("org", "c"), ("global", "true"));
    let two = r#"[{"id":1,"status":"waiting"},{"id":2,"status":"waiting"}]"#;
    vec![
        with("a repository", &[owner, repo, org], "repos/a/b/actions/runners", two).gives(2.0, true),
        with("an organisation", &[org, global], "orgs/c/actions/runners", two).gives(2.0, true),
        with("a server", &[global], "admin/runners", "[]").gives(0.0, false),
        with("a user", &[owner], "user/actions/runners", "null").gives(0.0, false),
        with("an object", &[], "user/actions/runners", "{}").fails("not a list of jobs"),
        with("a wrong organisation", &[org], "orgs/c/actions/runners", "")
            .answers(404, "hunter2")
            .fails("the Forgejo REST API returned error. url: http://"),
    ]
}

const RUNS: &str = r#"{"workflow_runs":[{"id":5,"status":"queued","repository":{"name":"r"}},
    {"id":6,"status":"completed","repository":{"name":"r"}}]}"#;
const JOBS: &str = r#"{"jobs":[{"status":"queued","labels":["self-hosted","GPU"]},{"status":"completed","labels":[]},
    {"status":"in_progress","labels":[]},{"status":"queued","labels":["arm"]}]}"#;

fn github_with(title: &str, more: &[(&str, &str)]) -> Case {
    let metadata = [
        ("githubApiURL", "{address}/api/v3"),
        ("owner", "shop"),
        ("labels", "gpu"),
        ("targetWorkflowQueueLength", "2"),
    ];
    Case::new("github-runner", title, &[&metadata, more].concat()).authentication(&[("personalAccessToken", "hunter2")])
}

/// A request with what each has.
fn asks(case: Case, request: &str, answer: &str) -> Case {
    case.asks(&format!("GET /api/v3/{request}"))
        .header("authorization", "Bearer hunter2")
        .header("accept", "application/vnd.github.v3+json")
        .header("x-github-api-version", "2022-11-28")
        .answers(200, answer)
}

fn asks_for_runs(case: Case, repository: &str, queued: &str, in_progress: &str) -> Case {
    let runs = format!("repos/shop/{repository}/actions/runs?status=");
    let case = asks(case, &format!("{runs}queued&per_page=100"), queued);
    asks(case, &format!("{runs}in_progress&per_page=100"), in_progress)
}

fn asks_for_jobs(case: Case) -> Case {
    asks(case, "repos/shop/r/actions/runs/5/jobs?per_page=100", JOBS)
}

const NO_RUNS: &str = r#"{"workflow_runs":[]}"#;

fn github() -> Vec<Case> {
    let org =
        asks(github_with("an organisation", &[("runnerScope", "org")]), "orgs/shop/repos?page=1", r#"[{"name":"r"}]"#);
    let full: Vec<String> = (0..30).map(|_| r#"{"name":"r"}"#.to_string()).collect();
    let user = github_with("a user with many repositories", &[("runnerScope", "repo")]);
    let user = asks(user, "users/shop/repos?page=1", &format!("[{}]", full.join(",")));
    let given = |title: &str| github_with(title, &[("runnerScope", "org"), ("repos", "r")]);
    vec![
        asks_for_jobs(asks_for_runs(org, "r", RUNS, NO_RUNS)).gives(2.0, true),
        asks(user, "users/shop/repos?page=2", "hunter2").answers(500, "").fails("/api/v3/users/shop/repos status: 500"),
        asks_for_jobs(asks_for_runs(given("a run in both answers"), "r", RUNS, RUNS)).gives(2.0, true),
        asks_for_runs(given("no run"), "r", NO_RUNS, NO_RUNS).gives(0.0, false),
        asks(
            asks(given("no repository"), "repos/shop/r/actions/runs?status=queued&per_page=100", "").answers(404, "{}"),
            "repos/shop/r/actions/runs?status=in_progress&per_page=100",
            "",
        )
        .answers(404, "{}")
        .gives(0.0, false),
        asks(given("the limit"), "repos/shop/r/actions/runs?status=queued&per_page=100", "")
            .answers(403, "{}")
            .answer_header("X-RateLimit-Remaining", "0")
            .answer_header("X-RateLimit-Reset", "4102444800")
            .fails("GitHub API rate limit exceeded, reset time 2100-01-01T00:00:00Z"),
        github_with("a scope of two", &[("runnerScope", "org,repo")]).fails("runnerScope org,repo not supported"),
    ]
}

/// Cases with two readings.
fn github_again() -> Vec<Case> {
    let given = |title: &str, etags: &str| {
        github_with(title, &[("runnerScope", "org"), ("repos", "r"), ("enableEtags", etags)]).readings(2)
    };
    let queued = "repos/shop/r/actions/runs?status=queued&per_page=100";
    let tagged = asks(given("what has not changed", "true"), queued, RUNS).answer_header("ETag", "\"q\"");
    let tagged = asks(tagged, "repos/shop/r/actions/runs?status=in_progress&per_page=100", NO_RUNS);
    let tagged = asks_for_jobs(tagged).answer_header("ETag", "\"j\"");
    let tagged = asks(tagged, queued, "").header("if-none-match", "\"q\"").answers(304, "");
    let tagged =
        asks(tagged, "repos/shop/r/actions/runs?status=in_progress&per_page=100", NO_RUNS).header("if-none-match", "");
    let tagged = asks_for_jobs(tagged).header("if-none-match", "\"j\"").answers(304, "");
    let limited = asks_for_jobs(asks_for_runs(given("the last number at the limit", "false"), "r", RUNS, NO_RUNS));
    let limited = asks(limited, queued, "").answers(403, "{}");
    let broken = asks_for_jobs(asks_for_runs(given("a server that is out of order", "false"), "r", RUNS, NO_RUNS));
    let broken = asks(broken, queued, "").answers(503, "");
    vec![
        tagged.gives(2.0, true),
        broken.answer_header("Retry-After", "120").fails("status: 503"),
        limited
            .answer_header("X-RateLimit-Remaining", "0")
            .answer_header("X-RateLimit-Reset", "4102444800")
            .gives(2.0, true),
    ]
}

fn github_app() -> Case {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).expect("a key");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let case = Case::new(
        "github-runner",
        "an App",
        &[
            ("githubApiURL", "{address}"),
            ("owner", "shop"),
            ("runnerScope", "org"),
            ("repos", "r"),
            ("applicationID", "12"),
            ("installationID", "34"),
        ],
    )
    .authentication(&[("appKey", &pem), ("personalAccessToken", "hunter2")])
    .asks("POST /app/installations/34/access_tokens")
    .header("authorization", "Bearer eyJ{any}.{any}.{any}")
    .header("content-length", "0")
    .answers(201, r#"{"token":"hunter3","expires_at":"2100-01-01T00:00:00Z"}"#);
    ["queued", "in_progress"]
        .into_iter()
        .fold(case, |case, status| {
            case.asks(&format!("GET /repos/shop/r/actions/runs?status={status}&per_page=100"))
                .header("authorization", "token hunter3")
                .answers(200, NO_RUNS)
        })
        .gives(0.0, false)
}
