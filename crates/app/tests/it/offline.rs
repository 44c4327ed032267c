//! What works without a cluster and without sources: `render`, `validate`, `new` and `docs`.

use std::process::Output;

use serde_json::{Value, json};

use crate::program::keda_with as keda;

const DEPLOYMENT: &str = "
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: main, image: app, envFrom: [{secretRef: {name: settings}}]}]}
";

/// The Deployment without what it refers to.
fn deployment() -> String {
    DEPLOYMENT.replace(", envFrom: [{secretRef: {name: settings}}]", "")
}

const JOB: &str = "
---
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: mails, namespace: shop}
spec:
  jobTargetRef:
    template:
      spec:
        containers: [{name: main, image: mailer, env: [{name: HOST, value: 'redis:6379'}]}]
  triggers:
  - type: redis
    metadata: {addressFromEnv: HOST, listName: mails}
";

fn object(name: &str, trigger: &str) -> String {
    format!(
        "---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: {name}}}\nspec:\n  scaleTargetRef: \
         {{name: app}}\n  triggers:\n{trigger}"
    )
}

const CRON: &str =
    "  - type: cron\n    metadata: {timezone: UTC, start: 0 8 * * *, end: 0 18 * * *, desiredReplicas: '5'}\n";

fn code(output: &Output) -> i32 {
    output.status.code().expect("no crash")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The names of the rules that a `validate` finds broken, and its exit code.
fn validated(arguments: &[&str], manifests: &str) -> (Vec<String>, i32) {
    let output = keda(&[&["validate", "-o", "json", "-f", "-"], arguments].concat(), manifests);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("a list").iter();
    (findings.map(|finding| finding["rule"].as_str().unwrap_or_default().to_string()).collect(), code(&output))
}

#[test]
fn jobs_and_autoscalers_are_rendered_in_the_order_of_the_input() {
    let manifests = [&object("first", CRON), &deployment(), JOB, &object("last", CRON)].concat();
    let output = keda(&["render", "-o", "json", "-f", "-"], &manifests);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")));
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["metadata"].clone()).collect();
    assert_eq!(
        names.iter().map(|one| one["name"].clone()).collect::<Vec<_>>(),
        [json!("keda-hpa-first"), Value::Null, json!("keda-hpa-last")]
    );
    assert_eq!(names[1]["generateName"], "mails-");
    let job = &list["items"][1];
    assert_eq!(job["spec"]["template"]["metadata"]["labels"]["scaledjob.keda.sh/name"], "mails");
    assert_eq!(job["metadata"]["uid"], Value::Null);
    let again = keda(&["render", "-o", "json", "-f", "-"], &manifests);
    assert_eq!(again.stdout, output.stdout);
    let yaml = stdout(&keda(&["render", "-f", "-"], &manifests));
    assert_eq!(yaml.split("---\n").count(), 3, "{yaml}");
}

#[test]
fn with_an_error_nothing_is_rendered() {
    let manifests = [object("good", CRON), deployment(), object("bad", &CRON.replace("'5'", "'many'"))].concat();
    let output = keda(&["render", "-f", "-"], &manifests);
    assert_eq!((code(&output), stdout(&output)), (2, String::new()));
    assert!(stderr(&output).contains("standard input:"), "{}", stderr(&output));
    let broken = JOB.replace("listName: mails", "listNam: mails");
    assert_eq!(code(&keda(&["render", "-f", "-"], &broken)), 2);
    let measured = JOB.replace("  - type: redis", "  - type: redis\n    metricType: Value");
    assert!(stderr(&keda(&["render", "-f", "-"], &measured)).contains("Cannot set metricType in ScaledJob triggers"));
}

#[test]
fn the_role_is_for_exactly_what_is_looked_up() {
    let login = "  - type: redis
    metadata: {addressFromEnv: REDIS, listName: jobs}
    authenticationRef: {name: login}
";
    let rest = "
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: login}
spec: {secretTargetRef: [{parameter: password, name: redis, key: password}]}
---
apiVersion: v1
kind: Secret
metadata: {name: redis}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Secret
metadata: {name: settings}
stringData: {REDIS: 'redis:6379'}
---
apiVersion: v1
kind: Secret
metadata: {name: unrelated}
";
    let manifests = [&object("jobs", login), DEPLOYMENT, rest].concat();
    let output = keda(&["render", "--rbac", "-o", "json", "-f", "-"], &manifests);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let role = &list["items"][0];
    assert_eq!((&role["kind"], &role["metadata"]["namespace"]), (&json!("Role"), &json!("default")));
    let rules = role["rules"].as_array().unwrap();
    let of = |resource: &str| rules.iter().find(|rule| rule["resources"] == json!([resource]));
    assert_eq!(of("secrets").unwrap()["resourceNames"], json!(["redis", "settings"]));
    assert_eq!(of("deployments/scale").unwrap()["resourceNames"], json!(["app"]));
    assert!(of("configmaps").is_none() && of("jobs").is_none());
    assert!(of("triggerauthentications").is_some());
    assert!(!stdout(&output).contains("hunter2"));
    let jobs: Value =
        serde_json::from_slice(&keda(&["render", "--rbac", "-o", "json", "-f", "-"], JOB).stdout).unwrap();
    assert_eq!(jobs["items"][0]["metadata"]["namespace"], "shop");
    assert!(jobs["items"][0]["rules"].as_array().unwrap().iter().any(|rule| rule["resources"] == json!(["jobs"])));
}

#[test]
fn what_may_be_elsewhere_is_not_missing() {
    let trigger = "  - type: mongodb
    metadata: {connectionStringFromEnv: URL, dbName: shop, collection: orders, query: '{}', queryValue: '5'}
";
    let manifests = object("orders", trigger);
    assert_eq!(validated(&[], &manifests).1, 1);
    assert_eq!(validated(&["--allow-missing-target"], &manifests), (vec!["missing-target".to_string()], 0));
    assert_eq!(code(&keda(&["render", "--allow-missing-target", "-f", "-"], &manifests)), 0);
    // The Secret with the container's environment is not among the manifests.
    let manifests = [&manifests, DEPLOYMENT].concat();
    assert_eq!(validated(&[], &manifests), (vec!["unknown-environment".to_string()], 0));
    assert_eq!(code(&keda(&["render", "-f", "-"], &manifests)), 2);
}

#[test]
fn a_login_that_is_kept_elsewhere_is_not_missing() {
    let trigger = "  - type: rabbitmq
    metadata: {queueName: orders, mode: QueueLength, value: '5'}
    authenticationRef: {name: login}
";
    let vault = "
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: login}
spec:
  hashiCorpVault:
    address: https://vault.example
    authentication: kubernetes
    role: keda
    secrets: [{parameter: host, path: shop/rabbitmq, key: host}]
";
    let deployment = deployment();
    let whole = |trigger: &str| [&object("orders", trigger), deployment.as_str(), vault].concat();
    assert_eq!(validated(&[], &whole(trigger)), (Vec::new(), 0));
    assert_eq!(code(&keda(&["render", "-f", "-"], &whole(trigger))), 0);
    // What is wrong with any login is found.
    assert_eq!(validated(&[], &whole(&trigger.replace("'5'", "'many'"))).1, 1);
    let secret = vault.split("  hashiCorpVault").next().unwrap().to_string();
    let secret = secret + "  secretTargetRef: [{parameter: host, name: rabbitmq, key: host}]\n";
    let manifests = [&object("orders", trigger), deployment.as_str(), &secret].concat();
    assert_eq!(validated(&[], &manifests), (Vec::new(), 0));
    assert_eq!(code(&keda(&["render", "-f", "-"], &manifests)), 2);
    // Where there are Secrets, one that is missing is told.
    let other =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: rabbit-mq}\nstringData: {host: 'amqp://rabbitmq'}\n";
    let manifests = [manifests.as_str(), other].concat();
    assert_eq!(validated(&[], &manifests), (vec!["missing-authentication-value".to_string()], 0));
}

#[test]
fn no_password_is_shown_in_the_line_of_a_finding() {
    let trigger = "  - type: redis
    metadata: {address: 'redis:6379', listName: jobs, password: hunter2, listNam: x}
";
    let output = keda(&["validate", "--allow-missing-target", "-f", "-"], &object("jobs", trigger));
    let told = stderr(&output);
    assert!(told.contains("plain-text-secret") && told.contains("password: ***, listNam"), "{told}");
    assert!(!told.contains("hunter2"));
}

/// The names of all trigger types.
fn types() -> Vec<String> {
    let schema: Value = serde_json::from_slice(&keda(&["schema", "triggers"], "").stdout).expect("JSON");
    let rows = schema["scalers"].as_array().expect("a list").iter();
    rows.filter_map(|row| row["type"].as_str().map(str::to_string)).collect()
}

#[test]
fn a_new_manifest_of_any_type_is_right() {
    for name in types() {
        let output = keda(&["new", &name, "--target", "app"], "");
        assert_eq!(code(&output), 0, "{name}");
        // The key of this type must look like a JSON Web Token.
        let secret = if name == "predictkube" { "e30.e30.c2ln" } else { "change-me" };
        let text = stdout(&output).replace("change-me", secret);
        assert!(text.contains(&format!("- type: {name}\n")), "{text}");
        let (rules, code) = validated(&["--allow-missing-target"], &text);
        // A required parameter may itself be one that KEDA calls deprecated.
        let told: Vec<_> =
            rules.iter().filter(|rule| !matches!(rule.as_str(), "missing-target" | "deprecated-parameter")).collect();
        assert!(code == 0 && told.is_empty(), "{name}: {told:?}\n{text}");
    }
}

#[test]
fn the_pages_in_the_repository_are_current() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let output = keda(&["docs", "--output-dir", &folder.path().to_string_lossy()], "");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let committed = std::path::Path::new("../../docs/triggers");
    let names = |folder: &std::path::Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let pages = names(folder.path());
    assert_eq!(pages.len(), 79);
    assert_eq!(pages, names(committed), "run `keda docs --output-dir docs/triggers`");
    for name in pages {
        let read = |folder: &std::path::Path| std::fs::read_to_string(folder.join(&name)).expect("a page");
        assert!(read(folder.path()) == read(committed), "{name:?} is old: run `keda docs --output-dir docs/triggers`");
    }
}
