//! Broken manifests: each gives a finding with its place, and the exit code of its command.

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: main, command: [sleep, '1000']}]}
---
";

const SCALED_OBJECT: &str = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: jobs
spec:
  scaleTargetRef:
    name: app
  triggers:
  - type: redis
    metadata:
      listName: jobs
      address: localhost:6379
";

fn keda(arguments: &[&str], file: &Path) -> Output {
    crate::program::keda().args(arguments).arg("-f").arg(file).output().expect("keda runs")
}

fn write(folder: &TempDir, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join("app.yaml");
    std::fs::write(&path, text).expect("a file");
    path
}

/// What `keda validate` says of the ScaledObject after a replacement in its text, and its exit code.
fn validate(from: &str, to: &str) -> (String, i32) {
    assert!(SCALED_OBJECT.contains(from));
    let folder = TempDir::new().expect("a folder");
    let file = write(&folder, format!("{DEPLOYMENT}{}", SCALED_OBJECT.replace(from, to)));
    let output = keda(&["validate"], &file);
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code().expect("no crash"))
}

#[test]
fn what_is_right_is_let_through() {
    assert_eq!(validate("jobs", "jobs"), (String::new(), 0));
}

#[test]
fn every_mistake_has_its_place_and_its_advice() {
    for (from, to, code, place, words) in [
        ("type: redis", "type: rediss", 1, "18:11", "did you mean \"redis\"?"),
        ("listName: jobs", "listNam: jobs", 1, "20:7", "did you mean \"listName\"?"),
        (
            "listName: jobs",
            "listName: jobs\n      activationListLenght: '3'",
            0,
            "21:7",
            "did you mean \"activationListLength\"?",
        ),
        ("listName: jobs", "listName: jobs\n      listLength: 5", 1, "21:19", "expected a string, found the number 5"),
        ("listName: jobs", "listName: jobs\n      listLength: five", 1, "21:19", "expected an integer such as 5"),
        ("  scaleTargetRef:", " scaleTargetRef:", 1, "17:3", "check the indentation"),
        ("    name: app", "\tname: app", 1, "16:1", "a tab is used for indentation"),
        ("    name: app", "    name: nosuch", 1, "16:11", "there is no Deployment \"nosuch\""),
        ("scaleTargetRef:", "scaleTargetReff:", 1, "14:1", "the field scaleTargetRef is missing"),
        ("metadata:\n  name: jobs", "metadata:\n  nam: jobs", 1, "12:1", "the field name is missing"),
        ("  triggers:", "  pollingInterval: soon\n  triggers:", 1, "17:20", "expected an integer"),
        ("  triggers:", "  minReplicaCount: 5\n  maxReplicaCount: 3\n  triggers:", 1, "17", "must be less than"),
        (
            "localhost:6379",
            "localhost:6379\n    authenticationRef: {name: nosuch}",
            0,
            "22:31",
            "no TriggerAuthentication \"nosuch\"",
        ),
    ] {
        let (said, found) = validate(from, to);
        assert_eq!(found, code, "{to}: {said}");
        assert!(said.contains(&format!("app.yaml:{place}")) && said.contains(words), "{to}: {said}");
    }
}

#[test]
fn a_strict_check_takes_warnings_for_errors() {
    let folder = TempDir::new().expect("a folder");
    let file = write(&folder, format!("{DEPLOYMENT}{SCALED_OBJECT}      nosuch: x\n"));
    assert_eq!(keda(&["validate"], &file).status.code(), Some(0));
    assert_eq!(keda(&["validate", "--strict"], &file).status.code(), Some(1));
    assert_eq!(keda(&["render"], &file).status.code(), Some(0));
    let strict = keda(&["render", "--strict"], &file);
    assert_eq!((strict.status.code(), strict.stdout.len()), (Some(2), 0));
}

#[test]
fn the_same_object_twice_names_the_first_place() {
    let folder = TempDir::new().expect("a folder");
    let file = write(&folder, format!("{DEPLOYMENT}{SCALED_OBJECT}---\n{SCALED_OBJECT}"));
    let output = keda(&["validate"], &file);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("already defined at") && said.contains("app.yaml:13:9") && said.contains("app.yaml:26:9"),
        "{said}"
    );
}

#[test]
fn garbage_and_giants_are_findings_and_no_crash() {
    let folder = TempDir::new().expect("a folder");
    for (name, bytes) in [
        ("garbage", b"\x00\x01\xff\xfe\x80garbage".to_vec()),
        ("a broken giant", [b"a: {b: ".to_vec(), vec![b'x'; 10_000_000]].concat()),
        ("a deep one", vec![b'['; 200_000]),
        ("an open quote", b"a: 'never closed\nb: 1\n".to_vec()),
    ] {
        let file = write(&folder, bytes);
        let output = keda(&["validate"], &file);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("app.yaml") && said.len() < 2000, "{name}: {said}");
    }
    let giant = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: big}}\ndata: {{x: '{}'}}\n",
        "a".repeat(10_000_000)
    );
    assert_eq!(keda(&["validate"], &write(&folder, giant)).status.code(), Some(0));
}

#[test]
fn what_cannot_be_read_or_is_called_wrongly_is_exit_code_2() {
    let missing = Path::new("/nonexistent/app.yaml");
    for command in ["validate", "render", "up"] {
        assert_eq!(keda(&[command], missing).status.code(), Some(2), "{command}");
    }
    let output = crate::program::keda().arg("validate").output().expect("keda runs");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn up_starts_nothing_from_broken_manifests() {
    let folder = TempDir::new().expect("a folder");
    let file = write(&folder, format!("{DEPLOYMENT}{}", SCALED_OBJECT.replace("type: redis", "type: rediss")));
    let state = folder.path().join("state");
    let output = keda(&["up", "--state-dir", &state.display().to_string()], &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(!state.exists(), "nothing was touched");
}

#[test]
fn no_secret_is_shown() {
    let folder = TempDir::new().expect("a folder");
    let text = format!(
        "{DEPLOYMENT}{SCALED_OBJECT}      password: hunter2-password\n      databaseIndex: hunter2\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{k: top-secret}}\n"
    );
    let file = write(&folder, text);
    let output = keda(&["render", "-o", "json"], &file);
    let all = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(!all.contains("hunter2-password") && !all.contains("top-secret"), "{all}");
}

#[test]
fn the_values_of_a_secret_are_hidden_in_excerpts() {
    let folder = TempDir::new().expect("a folder");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {copy: [hunter2]}}\npassword: hunter2\n\
        data:\n  password: \"hunter2\"\n  other: {b: hunter2}\n  number: 1234\n\
        stringData: {fine: hunter2, k: 5678, k: hunter2}\n";
    let one_line = r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"t"},"data":{"k":"hunter2"}},{"apiVersion":"v1","kind":"Deploymnt","metadata":{"name":5678}}]}"#;
    let output = keda(&["validate"], &write(&folder, format!("{secret}---\n{one_line}\n")));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("hunter2") && !said.contains("number 1234"), "{said}");
    assert!(said.contains("  password: ***\n  |             ^^^ data.password"), "{said}");
    assert!(said.contains(r#""data":{"k":***}}"#) && said.contains(r#"{"name":5678}"#), "{said}");
}
