//! Findings for programs: JSON of our own, and SARIF, which code hosts show beside the lines.

use keda_core::manifest::{Finding, Loaded};
use keda_core::problem::Severity;
use keda_core::rule::{self, Rule};
use serde::Serialize;
use serde_json::{Value, json};

use crate::hidden::Hidden;
use crate::links;
use crate::report::message;

/// All findings, and how many there are of each kind.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    errors: usize,
    warnings: usize,
    findings: Vec<Entry>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    rule: &'static str,
    severity: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    file: String,
    /// Of the first character, counted from 1.
    line: usize,
    /// Of the first character, counted from 1, in characters.
    column: usize,
    /// `spec.triggers[0].metadata.listName`; empty for the document as a whole.
    path: String,
    /// Address of the page about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    doc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectName>,
}

#[derive(Debug, Serialize)]
struct ObjectName {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
}

impl Report {
    /// The findings of what was loaded.
    pub(crate) fn of(loaded: &Loaded) -> Self {
        let hidden = Hidden::of(loaded);
        let count = |severity| loaded.findings.iter().filter(|finding| finding.problem.severity == severity).count();
        Report {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            findings: loaded.findings.iter().map(|finding| Entry::of(loaded, finding, &hidden)).collect(),
        }
    }

    /// The same as SARIF 2.1.0.
    pub(crate) fn sarif(&self) -> Value {
        let broken = |rule: &&Rule| self.findings.iter().any(|entry| entry.rule == rule.id);
        let rules = rule::OFFLINE.iter().filter(broken);
        let rules: Vec<Value> =
            rules.map(|rule| json!({ "id": rule.id, "shortDescription": { "text": rule.meaning } })).collect();
        let results: Vec<Value> = self.findings.iter().map(Entry::sarif).collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": { "name": "keda", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        })
    }
}

impl Entry {
    fn of(loaded: &Loaded, finding: &Finding, hidden: &Hidden) -> Self {
        let Finding { problem, location, document } = finding;
        let file = loaded.sources.get(location.source).map(|text| text.name().to_string());
        let object = document.and_then(|index| loaded.documents.get(index)).map(|document| ObjectName {
            kind: document.kind.clone(),
            namespace: document.namespace.clone(),
            name: document.name.clone(),
        });
        Entry {
            rule: problem.rule.id,
            severity: match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: message(finding, hidden).to_string(),
            help: problem.help.clone(),
            file: file.unwrap_or_default(),
            line: location.line,
            column: location.column,
            path: problem.path.to_string(),
            doc: links::of(loaded, finding),
            object,
        }
    }

    fn sarif(&self) -> Value {
        let more = self.help.iter().chain(&self.doc);
        let text = more.fold(self.message.clone(), |text, part| format!("{text}; {part}"));
        json!({
            "ruleId": self.rule,
            "level": self.severity,
            "message": { "text": text },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": self.file },
                    "region": { "startLine": self.line, "startColumn": self.column },
                },
                "logicalLocations": [{ "fullyQualifiedName": self.path }],
            }],
        })
    }
}
