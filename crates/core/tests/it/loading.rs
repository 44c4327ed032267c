//! Valid manifests: every way of writing them is understood.

use keda_core::manifest::{Kind, Loaded, Object, Objects, Source, load};
use keda_core::problem::{Path, Target};

const SCALED_OBJECT: &str = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: web
  namespace: shop
spec:
  scaleTargetRef:
    name: web
  minReplicaCount: 2
  triggers:
  - type: cron
    metadata:
      timezone: Europe/Zürich # ü is two bytes
      desiredReplicas: '3'
";

fn read(text: &str) -> Loaded {
    load(&[Source::new("a.yaml", text)])
}

#[test]
fn a_scaled_object_is_typed_and_knows_its_places() {
    let loaded = read(SCALED_OBJECT);
    assert_eq!(loaded.findings, []);
    let document = &loaded.documents[0];
    assert_eq!((document.known, document.namespace.as_deref()), (Kind::ScaledObject, Some("shop")));
    let Object::ScaledObject(object) = &document.object else { panic!("{:?}", document.object) };
    assert_eq!(object.spec.min_replica_count, Some(2));
    let metadata = Path::root().key("spec").key("triggers").index(0).key("metadata");
    let place = |path: &Path, target| {
        let place = loaded.locate(document, path, target).unwrap();
        (&SCALED_OBJECT[place.start..place.end], place.line, place.column)
    };
    assert_eq!(place(&metadata.key("desiredReplicas"), Target::Value), ("'3'", 14, 24));
    assert_eq!(place(&metadata.key("desiredReplicas"), Target::Key), ("desiredReplicas", 14, 7));
    assert_eq!(place(&metadata.key("absent").key("deeper"), Target::Value), ("metadata", 12, 5));
    assert_eq!(place(&metadata.key("timezone"), Target::Value), ("Europe/Zürich", 13, 17));
    assert_eq!(loaded.sources[0].line(2), "kind: ScaledObject");
}

#[test]
fn documents_lists_and_json_are_taken_apart() {
    let text = "# first\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n\
                - apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - metadata: {name: b}\n---\n\
                {\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"c\"}, \"data\": {\"k\": \"aGk=\"}}\n\
                {\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"d\"}}\n--- # end\n";
    let loaded = read(text);
    assert_eq!(loaded.findings, []);
    let names: Vec<(&str, &str)> =
        loaded.documents.iter().map(|document| (document.kind.as_str(), document.name.as_str())).collect();
    assert_eq!(names, [("ConfigMap", "a"), ("ConfigMap", "b"), ("Secret", "c"), ("ConfigMap", "d")]);
    let secret = &loaded.documents[2];
    let place = loaded.locate(secret, &Path::root().key("data").key("k"), Target::Value).unwrap();
    assert_eq!((place.line, &text[place.start..place.end]), (13, "\"aGk=\""));
    assert_eq!(Objects::new(&loaded).secret("default", "c").unwrap().text("k"), Some("hi"));
}

#[test]
fn byte_order_marks_and_windows_lines_are_fine() {
    let text = format!("\u{feff}{}", SCALED_OBJECT.replace('\n', "\r\n"));
    let loaded = read(&text);
    assert_eq!(loaded.findings, []);
    let path = Path::root().key("spec").key("minReplicaCount");
    let place = loaded.locate(&loaded.documents[0], &path, Target::Value).unwrap();
    assert_eq!((place.line, place.column, &text[place.start..place.end]), (9, 20, "2"));
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    let loaded = read(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nshared: &shared {one: '1', two: '2'}\n\
         data:\n  <<: *shared\n  two: 'two'\n  three: &three '3'\n  four: *three\n",
    );
    let json = loaded.documents[0].node.to_json();
    assert_eq!(json["data"], serde_json::json!({ "two": "two", "three": "3", "four": "3", "one": "1" }));
}

#[test]
fn a_secrets_string_data_wins_over_its_data_and_is_never_printed() {
    let loaded = read(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: b2xk, b: |-\n    aGVs\n    bG8=\n  }\nstringData: {a: new}\n",
    );
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  a: b2xk\n  b: |-\n    aGVs\n    bG8=\nstringData: {a: new}\n";
    assert!(loaded.has_errors());
    let loaded = read(text);
    assert_eq!(loaded.findings, []);
    let objects = Objects::new(&loaded);
    let secret = objects.secret("default", "s").unwrap();
    assert_eq!((secret.text("a"), secret.text("b")), (Some("new"), Some("hello")));
    assert!(!format!("{secret:?}").contains("new"));
}

#[test]
fn objects_are_found_by_kind_namespace_and_name() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  \
                      selector: {matchLabels: {a: b}}\n  template:\n    spec:\n      containers:\n      \
                      - {name: web, image: i, resources: {requests: {cpu: 100m}}}\n";
    let rollout = deployment.replace("apps/v1", "argoproj.io/v1alpha1").replace("Deployment", "Rollout");
    let authentication = "apiVersion: keda.sh/v1alpha1\nkind: ClusterTriggerAuthentication\nmetadata: {name: vault}\n\
                          spec: {secretTargetRef: [{parameter: p, name: s, key: k}]}\n";
    let loaded = read(&[deployment, &rollout, authentication, SCALED_OBJECT].join("---\n"));
    assert_eq!(loaded.findings, []);
    let objects = Objects::new(&loaded);
    assert_eq!(objects.scaled_objects().count(), 1);
    assert_eq!((objects.deployments().count(), objects.workloads().count()), (1, 2));
    let workload = objects.workload("Rollout", "shop", "web").unwrap();
    let template = workload.spec.template.as_ref().unwrap();
    assert_eq!(template.spec.container(None).unwrap().resources.requests["cpu"], "100m");
    assert_eq!(objects.cluster_trigger_authentication("vault").unwrap().spec.secret_target_ref.len(), 1);
}

#[test]
fn an_unknown_kind_is_accepted_as_it_is() {
    let loaded = read("apiVersion: x.io/v1\nkind: Anything\nmetadata: {name: a}\nspec: [1, 2]\n");
    assert_eq!(loaded.findings, []);
    assert!(matches!(loaded.documents[0].object, Object::Opaque(_)));
}
