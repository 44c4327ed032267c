//! The worked examples of the reference give no false alarm.
//!
//! They are written as `1. {key value, key "value"}, A{parameter value} → s0-name`: the metadata, what the
//! TriggerAuthentication gives, and the name of the metric. Examples of another form, and of mistakes, are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

const REFERENCE: &str = "../../../shared/reference/scalers";

/// With fewer than these the examples are no longer read as they are meant.
const FEWEST: usize = 35;

/// What is said of the examples with reason: secrets stand in them, the environment is not given, nor are all logins.
const TRUE_ALARMS: [&str; 3] = ["plain-text-secret", "unknown-environment", "missing-authentication"];

/// A trigger that works.
#[derive(Debug)]
struct Example {
    /// `redis-1`
    name: String,
    trigger_type: String,
    metadata: BTreeMap<String, String>,
    /// Without them the trigger has a login of which nothing is known.
    authentication: Option<BTreeMap<String, String>>,
}

#[test]
fn worked_examples_give_no_false_alarm() {
    let Ok(files) = std::fs::read_dir(REFERENCE) else {
        println!("left out: there is no {REFERENCE}");
        return;
    };
    let paths: BTreeSet<_> = files.map(|file| file.expect("a file").path()).collect();
    let examples: Vec<Example> = paths.iter().flat_map(|path| examples(path)).collect();
    assert!(examples.len() >= FEWEST, "only {} examples", examples.len());
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("examples.json");
    let objects: Vec<Value> = examples.iter().flat_map(Example::objects).collect();
    std::fs::write(&file, json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()).expect("a file");
    let output = crate::program::keda().args(["validate", "-o", "json", "-f"]).arg(&file).output();
    let report: Value = serde_json::from_slice(&output.expect("keda runs").stdout).expect("JSON");
    let is_true = |finding: &&Value| finding["rule"].as_str().is_some_and(|rule| TRUE_ALARMS.contains(&rule));
    let findings = report["findings"].as_array().expect("a list").iter();
    let alarms: Vec<String> = findings.filter(|finding| !is_true(finding)).map(alarm).collect();
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
}

fn alarm(finding: &Value) -> String {
    format!("{} {} {}: {}", finding["object"]["name"], finding["rule"], finding["path"], finding["message"])
}

impl Example {
    /// The trigger's object, with what it refers to as far as it is given.
    fn objects(&self) -> Vec<Value> {
        let reference = json!({ "name": self.name });
        let labels = json!({ "app": self.name });
        let environment = json!([{ "secretRef": { "name": "environment" } }]);
        let containers = json!([{ "name": "main", "image": "app", "envFrom": environment }]);
        let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": containers } });
        let trigger = json!({ "type": self.trigger_type, "metadata": self.metadata, "authenticationRef": reference });
        let mut objects = vec![
            self.object(
                "apps/v1",
                "Deployment",
                &json!({ "selector": { "matchLabels": labels }, "template": template }),
            ),
            self.object(
                "keda.sh/v1alpha1",
                "ScaledObject",
                &json!({ "scaleTargetRef": reference, "triggers": [trigger] }),
            ),
        ];
        if let Some(parameters) = &self.authentication {
            let values = parameters.keys().map(|key| json!({ "parameter": key, "name": self.name, "key": key }));
            let values: Vec<Value> = values.collect();
            objects.push(self.object(
                "keda.sh/v1alpha1",
                "TriggerAuthentication",
                &json!({ "secretTargetRef": values }),
            ));
            let mut secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": reference });
            secret["stringData"] = json!(parameters);
            objects.push(secret);
        }
        objects
    }

    fn object(&self, api_version: &str, kind: &str, spec: &Value) -> Value {
        json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": self.name }, "spec": spec })
    }
}

/// The examples of one trigger type.
fn examples(path: &Path) -> Vec<Example> {
    let trigger_type = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
    let text = std::fs::read_to_string(path).expect("a text");
    let lines = text.lines().skip_while(|line| !(line.starts_with("## ") && line.ends_with("xamples")));
    lines.filter_map(|line| example(trigger_type, line)).collect()
}

fn example(trigger_type: &str, line: &str) -> Option<Example> {
    let (number, rest) = line.split_once(". {")?;
    let (metadata, rest) = entries(rest)?;
    let (given, rest) = rest.split_once('→')?;
    if !rest.trim_start().starts_with("`s") {
        return None;
    }
    let authentication = match given.split_once('{') {
        Some((_, rest)) => Some(entries(rest)?.0),
        None => None,
    };
    let trigger_type = trigger_type.to_string();
    Some(Example { name: format!("{trigger_type}-{number}"), trigger_type, metadata, authentication })
}

/// What stands in braces, of which the first is gone, and what follows them; nothing if something is left out there.
fn entries(text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let (mut quote, mut end, mut commas) = (None, None, Vec::new());
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(character),
            (None, '{' | '…') => return None,
            (None, ',') => commas.push(at),
            (None, '}') => {
                end = Some(at);
                break;
            }
            (None, _) => {}
        }
    }
    let end = end?;
    let mut entries = BTreeMap::new();
    let mut start = 0;
    for stop in commas.into_iter().chain([end]) {
        let (key, value) = text[start..stop].trim().split_once(' ')?;
        entries.insert(key.to_string(), value.trim().trim_matches(['"', '`']).to_string());
        start = stop + 1;
    }
    Some((entries, &text[end + 1..]))
}
