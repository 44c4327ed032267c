//! `deploy/keda.yaml` is what `keda manifests` prints.

use std::path::Path;

#[test]
fn the_committed_manifests_are_those_that_are_printed() {
    let printed = crate::program::keda().arg("manifests").output().expect("keda runs");
    let path = Path::new("../../deploy/keda.yaml");
    let committed = std::fs::read_to_string(path).expect("a file");
    let is_same = committed == String::from_utf8_lossy(&printed.stdout);
    assert!(is_same, "deploy/keda.yaml is old: run `cargo run -p keda --bin keda manifests > deploy/keda.yaml`");
}
