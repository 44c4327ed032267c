//! What programs read: findings as JSON and SARIF, the schema, completion scripts.

use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

const MANIFEST: &str = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: jobs, namespace: shop}
spec:
  scaleTargetRef: {name: app}
  triggers:
  - type: redis
    metadata:
      listNam: jobs
      address: localhost:6379
";

fn keda(arguments: &[&str]) -> Output {
    crate::program::keda().args(arguments).output().expect("keda runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

const DEPLOYMENT: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: shop}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: main, image: app}]}
";

fn validate(format: &str) -> Output {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("app.yaml");
    std::fs::write(&file, [MANIFEST, DEPLOYMENT].concat()).expect("a file");
    keda(&["validate", "-o", format, "-f", &file.to_string_lossy()])
}

#[test]
fn a_finding_has_its_rule_its_place_and_its_object() {
    let output = validate("json");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty());
    let report = json(&output);
    assert_eq!(report["errors"], 1);
    let finding = &report["findings"][0];
    assert_eq!(finding["rule"], "missing-parameter");
    assert_eq!((&finding["line"], &finding["column"]), (&9.into(), &7.into()));
    assert_eq!(finding["path"], "spec.triggers[0].metadata.listNam");
    assert_eq!(finding["object"], serde_json::json!({ "kind": "ScaledObject", "namespace": "shop", "name": "jobs" }));
    assert_eq!(finding["doc"], "https://keda.sh/docs/latest/scalers/redis-lists/");
    assert!(finding["help"].as_str().is_some_and(|help| help.contains("listName")), "{finding}");
}

#[test]
fn sarif_says_the_same() {
    let report = json(&validate("sarif"));
    let run = &report["runs"][0];
    assert_eq!(report["version"], "2.1.0");
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "missing-parameter");
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"missing-parameter".into(), &"error".into()));
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(*region, serde_json::json!({ "startLine": 9, "startColumn": 7 }));
}

#[test]
fn all_trigger_types_are_in_the_schema_and_can_be_explained() {
    let schema = json(&keda(&["schema", "triggers"]));
    let types: Vec<&str> =
        schema["scalers"].as_array().unwrap().iter().filter_map(|row| row["type"].as_str()).collect();
    assert_eq!(types.len(), 78);
    for name in types {
        let output = keda(&["explain", &format!("trigger/{name}")]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.starts_with(&format!("TYPE: {name}\n\nScale ")), "{name}: {text}");
    }
    let output = keda(&["explain", "trigger/redsi"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean \"redis\"?"));
}

#[test]
fn every_shell_is_completed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = keda(&["completion", shell]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("validate"), "{shell}");
    }
}
