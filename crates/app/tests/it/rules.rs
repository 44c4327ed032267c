//! Every rule of `keda validate` has manifests that break it and manifests that keep it, in `tests/rules/RULE`.
//!
//! In `breaks*.yaml` one mistake is made, and the line on which it must be reported ends in `# here`; where no comment
//! can stand, `breaks*.line` beside it holds the number of the line. `keeps*.yaml` is the same without the mistake, and
//! nothing is reported of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use keda_core::rule::OFFLINE;
use serde_json::Value;

const ROOT: &str = "tests/rules";

/// Rules that cannot be broken without breaking the other one too, by file.
const COMPANIONS: &[(&str, &str)] = &[
    // A ScaledJob has no such field.
    ("metric-type/breaks-job.yaml", "unknown-field"),
    // The hundred that are shown.
    ("too-many-problems/breaks.yaml", "wrong-type"),
];

/// The password in all the manifests.
const PASSWORD: &str = "swordfish";

/// One file of manifests.
#[derive(Debug, Clone)]
struct Fixture {
    rule: String,
    /// `RULE/breaks-slug.yaml`
    name: String,
    path: PathBuf,
}

/// What is found in a file.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    rule: String,
    line: u64,
    message: String,
}

/// The files of all rules whose names start as told, in order.
fn fixtures(start: &str) -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for rule in names(Path::new(ROOT)) {
        for file in names(&Path::new(ROOT).join(&rule)) {
            if file.starts_with(start) && file.ends_with(".yaml") {
                let name = format!("{rule}/{file}");
                fixtures.push(Fixture { rule: rule.clone(), path: Path::new(ROOT).join(&name), name });
            }
        }
    }
    fixtures
}

/// What a folder holds, in order.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

fn validate(format: &str, paths: &[&Path]) -> Output {
    let mut command = crate::program::keda();
    command.args(["validate", "-o", format]);
    for path in paths {
        command.arg("-f").arg(path);
    }
    command.output().expect("keda runs")
}

impl Fixture {
    /// What is found in the file, and the exit code.
    fn validate(&self) -> (Vec<Found>, Option<i32>) {
        let output = validate("json", &[&self.path]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{self:?}: {error}"));
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_string();
        let findings = report["findings"].as_array().expect("a list").iter().map(|finding| Found {
            rule: text(finding, "rule"),
            line: finding["line"].as_u64().expect("a line"),
            message: text(finding, "message"),
        });
        (findings.collect(), output.status.code())
    }

    /// The line on which the mistake must be reported.
    fn line(&self) -> u64 {
        if let Ok(line) = std::fs::read_to_string(self.path.with_extension("line")) {
            return line.trim().parse().expect("a number");
        }
        let text = std::fs::read_to_string(&self.path).expect("a text");
        let marked: Vec<u64> =
            (1..).zip(text.lines()).filter(|(_, line)| line.ends_with(" # here")).map(|(n, _)| n).collect();
        assert_eq!(marked.len(), 1, "{}: one line ends in `# here`", self.name);
        marked[0]
    }

    /// What is wrong with the findings of a file with a mistake.
    fn complaint(&self) -> Option<String> {
        let line = self.line();
        let (findings, _) = self.validate();
        let is_companion = |found: &&Found| COMPANIONS.contains(&(self.name.as_str(), found.rule.as_str()));
        let rest: Vec<&Found> = findings.iter().filter(|found| !is_companion(found)).collect();
        let is_expected = matches!(rest.as_slice(), [only] if only.rule == self.rule && only.line == line);
        (!is_expected).then(|| format!("{}: line {line} alone breaks the rule, found {rest:#?}", self.name))
    }
}

#[test]
fn every_rule_has_manifests_and_no_other_has() {
    let rules: BTreeSet<String> = OFFLINE.iter().map(|rule| rule.id.to_string()).collect();
    for start in ["breaks", "keeps"] {
        let covered: BTreeSet<String> = fixtures(start).into_iter().map(|fixture| fixture.rule).collect();
        let lacking: Vec<&String> = rules.difference(&covered).collect();
        assert!(lacking.is_empty(), "no {start}*.yaml for {lacking:?}");
    }
    let folders = names(Path::new(ROOT));
    let unknown: Vec<&String> = folders.difference(&rules).collect();
    assert!(unknown.is_empty(), "no rules: {unknown:?}");
}

#[test]
fn a_mistake_is_found_once_and_in_its_line() {
    let complaints: Vec<String> = fixtures("breaks").iter().filter_map(Fixture::complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn nothing_is_said_of_what_is_right() {
    let wrong = fixtures("keeps").into_iter().filter_map(|fixture| {
        let found = fixture.validate();
        (found != (Vec::new(), Some(0))).then(|| format!("{}: {found:#?}", fixture.name))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_password_is_shown() {
    let all = [fixtures("breaks"), fixtures("keeps")].concat();
    let paths: Vec<&Path> = all.iter().map(|fixture| fixture.path.as_path()).collect();
    for format in ["text", "json", "sarif"] {
        let output = validate(format, &paths);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let shown: Vec<&str> = said.lines().filter(|line| line.contains(PASSWORD)).collect();
        assert!(shown.is_empty(), "{format}: {shown:#?}");
    }
}

#[test]
fn the_list_in_the_documentation_is_current() {
    let page = Path::new("../../docs/offline.md");
    let page = std::fs::read_to_string(page).expect("a page");
    let written: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = OFFLINE.iter().map(|rule| format!("| `{}` | {} |", rule.id, rule.meaning)).collect();
    assert_eq!(written, expected);
}
