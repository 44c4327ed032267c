//! The CustomResourceDefinitions say what the reference says, but for the descriptions.

use std::path::Path;

use keda_core::manifest::{Source, load};
use keda_core::schema::crd;
use serde_json::{Value, json};

const REFERENCE: &str = "../../../shared/reference/crds";

#[test]
fn they_agree_with_the_reference() {
    if !Path::new(REFERENCE).is_dir() {
        eprintln!("skipped: {REFERENCE} is not there");
        return;
    }
    for definition in crd::DEFINITIONS {
        let file = format!("{REFERENCE}/{}_{}.yaml", definition.group, definition.plural);
        let loaded = load(&[Source::new(&file, std::fs::read(&file).unwrap())]);
        assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
        let mut expected = loaded.documents[0].node.to_json();
        expected["metadata"].as_object_mut().unwrap().remove("annotations");
        as_shipped(&mut expected, "");
        let mut actual = definition.to_json();
        for side in [&mut expected, &mut actual] {
            normalize(side, false);
        }
        compare(&expected, &actual, definition.kind);
    }
}

/// The reference holds the generated definitions; KEDA ships them with four changes.
fn as_shipped(value: &mut Value, path: &str) {
    let Some(fields) = value.as_object_mut() else {
        value.as_array_mut().into_iter().flatten().for_each(|item| as_shipped(item, path));
        return;
    };
    let is_job_trigger = path.ends_with("jobTargetRef") || fields.contains_key("jobTargetRef");
    if is_job_trigger && let Some(triggers) = fields.get_mut("triggers") {
        triggers["items"]["properties"].as_object_mut().unwrap().remove("metricType");
    }
    if path.ends_with("/template/properties/metadata") && !path.contains("volumes") {
        fields.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
    }
    if path.ends_with("/stabilizationWindowSeconds") {
        fields.insert("minimum".into(), json!(0));
        fields.insert("maximum".into(), json!(3600));
    }
    if path.ends_with("ontainers/items/properties/ports/items") {
        fields["required"].as_array_mut().unwrap().push(json!("protocol"));
    }
    for (key, inner) in fields.iter_mut() {
        as_shipped(inner, &format!("{path}/{key}"));
    }
}

/// Drops descriptions, and sorts what has no order.
fn normalize(value: &mut Value, inside_properties: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| normalize(item, false)),
        Value::Object(fields) => {
            if !inside_properties {
                fields.remove("description");
                for key in ["required", "enum"] {
                    if let Some(Value::Array(items)) = fields.get_mut(key) {
                        items.sort_by_key(ToString::to_string);
                    }
                }
            }
            for (key, inner) in fields.iter_mut() {
                normalize(inner, key == "properties" && !inside_properties);
            }
        }
        _ => {}
    }
}

/// Fails at the first difference and says where it is.
fn compare(expected: &Value, actual: &Value, path: &str) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for key in actual.keys() {
                assert!(expected.contains_key(key), "{path}.{key} is not in the reference");
            }
            for (key, expected) in expected {
                let path = format!("{path}.{key}");
                let actual = actual.get(key).unwrap_or_else(|| panic!("{path} is missing"));
                compare(expected, actual, &path);
            }
        }
        (Value::Array(expected), Value::Array(actual)) => {
            assert_eq!(expected.len(), actual.len(), "{path}: {expected:?} and {actual:?}");
            for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare(expected, actual, &format!("{path}[{index}]"));
            }
        }
        _ => assert_eq!(expected, actual, "{path}"),
    }
}
