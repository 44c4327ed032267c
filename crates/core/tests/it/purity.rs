//! This crate knows no runtime, no network and no Kubernetes client, directly or through others.

use std::process::Command;

#[test]
fn no_runtime_and_no_client_is_among_the_dependencies() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package", "keda-core", "--edges", "normal", "--prefix", "none"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"serde"), "{tree}");
    for forbidden in ["tokio", "async-std", "smol", "reqwest", "hyper", "kube", "rustls", "notify", "tracing", "rand"] {
        assert!(!names.contains(&forbidden), "keda-core depends on {forbidden}");
    }
}
