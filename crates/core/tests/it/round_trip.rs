//! The typed objects lose no field that the schemas know.

use keda_core::api;
use keda_core::schema::{Schema, Shape, Structure, tables};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

#[test]
fn typed_objects_keep_every_field() {
    keeps::<api::ScaledObject>("ScaledObject");
    keeps::<api::ScaledJob>("ScaledJob");
    keeps::<api::TriggerAuthentication>("TriggerAuthentication");
    keeps::<api::ClusterTriggerAuthentication>("ClusterTriggerAuthentication");
    keeps::<api::CloudEventSource>("CloudEventSource");
    keeps::<api::ClusterCloudEventSource>("ClusterCloudEventSource");
}

fn keeps<T: Serialize + DeserializeOwned>(kind: &str) {
    let mut full = object(tables().get(kind).unwrap());
    for key in ["apiVersion", "kind"] {
        full.as_object_mut().unwrap().remove(key);
    }
    full["metadata"] = json!({ "name": "a", "namespace": "b", "labels": { "c": "d" }, "generation": 3 });
    let typed: T = serde_json::from_value(full.clone()).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), full, "{kind}");
}

/// An object with every field of a structure, none of them at its default.
fn object(structure: &Structure) -> Value {
    let fields = structure.fields.iter().map(|field| (field.name.to_owned(), value(&field.schema)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn value(schema: &Schema) -> Value {
    match &schema.shape {
        Shape::String if !schema.one_of.is_empty() => json!(schema.one_of.last()),
        Shape::String | Shape::IntOrString | Shape::Quantity => json!("1"),
        Shape::DateTime => json!("2025-01-31T12:00:00Z"),
        Shape::Boolean => json!(true),
        Shape::Int32 | Shape::Int64 => json!(7),
        Shape::Object => json!({}),
        Shape::List(items) => json!([value(items)]),
        Shape::Map(values) => json!({ "key": value(values) }),
        Shape::Structure(name) => object(tables().get(name).unwrap()),
    }
}
