//! The CustomResourceDefinitions, made from the tables.

use serde_json::{Map, Value as Json, json};

use super::QUANTITY_PATTERN;
use super::table::{Field, ListType, Schema, Shape, Structure, Tables, tables};

/// One of KEDA's kinds as it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// API group.
    pub group: &'static str,
    /// Kind, which is also the name of its structure.
    pub kind: &'static str,
    /// Plural name in URLs.
    pub plural: &'static str,
    /// Names for the command line.
    pub short_names: &'static [&'static str],
    /// Whether objects belong to a namespace.
    pub namespaced: bool,
    /// What `kubectl get` shows.
    pub columns: &'static [Column],
}

/// A column of `kubectl get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// `string`, `integer` or `date`.
    pub r#type: &'static str,
    /// Where the value is.
    pub path: &'static str,
    /// 0, or 1 for columns that only `-o wide` shows.
    pub priority: u8,
}

/// The only version that is served.
pub const VERSION: &str = "v1alpha1";

const fn column(name: &'static str, r#type: &'static str, path: &'static str) -> Column {
    Column { name, r#type, path, priority: 0 }
}

const fn wide(name: &'static str, path: &'static str) -> Column {
    Column { name, r#type: "string", path, priority: 1 }
}

const MIN: Column = column("Min", "integer", ".spec.minReplicaCount");
const MAX: Column = column("Max", "integer", ".spec.maxReplicaCount");
const READY: Column = column("Ready", "string", r#".status.conditions[?(@.type=="Ready")].status"#);
const ACTIVE: Column = column("Active", "string", r#".status.conditions[?(@.type=="Active")].status"#);
const FALLBACK: Column = column("Fallback", "string", r#".status.conditions[?(@.type=="Fallback")].status"#);
const PAUSED: Column = column("Paused", "string", r#".status.conditions[?(@.type=="Paused")].status"#);
const TRIGGERS: Column = column("Triggers", "string", ".status.triggersTypes");
const AUTHENTICATIONS: Column = column("Authentications", "string", ".status.authenticationsTypes");
const AGE: Column = column("Age", "date", ".metadata.creationTimestamp");
const POD_IDENTITY: Column = column("PodIdentity", "string", ".spec.podIdentity.provider");
const SECRET: Column = column("Secret", "string", ".spec.secretTargetRef[*].name");
const ENV: Column = column("Env", "string", ".spec.env[*].name");
const FILE_PATH: Column = column("FilePath", "string", ".spec.filePath");
const VAULT_ADDRESS: Column = column("VaultAddress", "string", ".spec.hashiCorpVault.address");
const SCALED_OBJECTS: Column = wide("ScaledObjects", ".status.scaledobjects");
const SCALED_JOBS: Column = wide("ScaledJobs", ".status.scaledjobs");
const TARGET_KIND: Column = column("ScaleTargetKind", "string", ".status.scaleTargetKind");
const TARGET_NAME: Column = column("ScaleTargetName", "string", ".spec.scaleTargetRef.name");

/// All of KEDA's kinds.
pub const DEFINITIONS: &[Definition] = &[
    Definition {
        group: "keda.sh",
        kind: "ScaledObject",
        plural: "scaledobjects",
        short_names: &["so"],
        namespaced: true,
        columns: &[TARGET_KIND, TARGET_NAME, MIN, MAX, READY, ACTIVE, FALLBACK, PAUSED, TRIGGERS, AUTHENTICATIONS, AGE],
    },
    Definition {
        group: "keda.sh",
        kind: "ScaledJob",
        plural: "scaledjobs",
        short_names: &["sj"],
        namespaced: true,
        columns: &[MIN, MAX, READY, ACTIVE, PAUSED, TRIGGERS, AUTHENTICATIONS, AGE],
    },
    Definition {
        group: "keda.sh",
        kind: "TriggerAuthentication",
        plural: "triggerauthentications",
        short_names: &["ta", "triggerauth"],
        namespaced: true,
        columns: &[POD_IDENTITY, SECRET, ENV, VAULT_ADDRESS, SCALED_OBJECTS, SCALED_JOBS],
    },
    Definition {
        group: "keda.sh",
        kind: "ClusterTriggerAuthentication",
        plural: "clustertriggerauthentications",
        short_names: &["cta", "clustertriggerauth"],
        namespaced: false,
        columns: &[POD_IDENTITY, SECRET, ENV, FILE_PATH, VAULT_ADDRESS, SCALED_OBJECTS, SCALED_JOBS],
    },
    Definition {
        group: "eventing.keda.sh",
        kind: "CloudEventSource",
        plural: "cloudeventsources",
        short_names: &[],
        namespaced: true,
        columns: &[ACTIVE],
    },
    Definition {
        group: "eventing.keda.sh",
        kind: "ClusterCloudEventSource",
        plural: "clustercloudeventsources",
        short_names: &[],
        namespaced: false,
        columns: &[ACTIVE],
    },
];

/// The CustomResourceDefinition objects of all kinds, in the form that KEDA ships.
pub fn all() -> Vec<Json> {
    DEFINITIONS.iter().map(Definition::to_json).collect()
}

impl Definition {
    /// The CustomResourceDefinition object.
    pub fn to_json(&self) -> Json {
        let mut names = json!({
            "kind": self.kind,
            "listKind": format!("{}List", self.kind),
            "plural": self.plural,
            "singular": self.kind.to_lowercase(),
        });
        if !self.short_names.is_empty() {
            names["shortNames"] = json!(self.short_names);
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{}.{}", self.plural, self.group) },
            "spec": {
                "group": self.group,
                "names": names,
                "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
                "versions": [{
                    "additionalPrinterColumns": self.columns.iter().map(|column| column.to_json()).collect::<Vec<_>>(),
                    "name": VERSION,
                    "schema": { "openAPIV3Schema": self.schema() },
                    "served": true,
                    "storage": true,
                    "subresources": { "status": {} },
                }],
            },
        })
    }

    /// The structural schema of the kind's objects.
    pub fn schema(&self) -> Json {
        let tables = tables();
        tables.get(self.kind).map_or(Json::Null, |structure| Json::Object(structure_schema(tables, structure)))
    }
}

impl Column {
    fn to_json(self) -> Json {
        let mut column = json!({ "jsonPath": self.path, "name": self.name, "type": self.r#type });
        if self.priority > 0 {
            column["priority"] = json!(self.priority);
        }
        column
    }
}

fn structure_schema(tables: &Tables, structure: &Structure) -> Map<String, Json> {
    let mut map = Map::new();
    describe(&mut map, structure.description);
    let properties: Map<String, Json> =
        structure.fields.iter().map(|field| (field.name.to_owned(), field_schema(tables, field))).collect();
    map.insert("properties".to_owned(), Json::Object(properties));
    let required: Vec<&str> = structure.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    if !required.is_empty() {
        map.insert("required".to_owned(), json!(required));
    }
    map.insert("type".to_owned(), json!("object"));
    if structure.atomic {
        map.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
    }
    if !structure.rules.is_empty() {
        let rules = structure.rules.iter().map(|rule| json!({ "message": rule.message, "rule": rule.expression }));
        map.insert("x-kubernetes-validations".to_owned(), rules.collect());
    }
    map
}

fn field_schema(tables: &Tables, field: &Field) -> Json {
    let mut map = value_schema(tables, &field.schema);
    describe(&mut map, field.description);
    Json::Object(map)
}

fn describe(map: &mut Map<String, Json>, description: &str) {
    if !description.is_empty() {
        map.insert("description".to_owned(), json!(description));
    }
}

fn value_schema(tables: &Tables, schema: &Schema) -> Map<String, Json> {
    let mut map = shape_schema(tables, &schema.shape);
    let mut set = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            map.insert(key.to_owned(), value);
        }
    };
    set("minimum", schema.minimum.map(Json::from));
    set("maximum", schema.maximum.map(Json::from));
    set("minLength", schema.min_length.map(Json::from));
    set("minItems", schema.min_items.map(Json::from));
    set("enum", (!schema.one_of.is_empty()).then(|| json!(schema.one_of)));
    set("default", schema.default.clone());
    set("x-kubernetes-preserve-unknown-fields", schema.preserve_unknown_fields.then_some(Json::Bool(true)));
    match (&schema.list_type, &schema.shape) {
        (Some(ListType::Atomic), Shape::Map(_)) => set("x-kubernetes-map-type", Some(json!("atomic"))),
        (Some(ListType::Atomic), _) => set("x-kubernetes-list-type", Some(json!("atomic"))),
        (Some(ListType::Set), _) => set("x-kubernetes-list-type", Some(json!("set"))),
        (Some(ListType::KeyedBy(keys)), _) => {
            set("x-kubernetes-list-type", Some(json!("map")));
            set("x-kubernetes-list-map-keys", Some(json!(keys)));
        }
        (None, _) => {}
    }
    map
}

fn shape_schema(tables: &Tables, shape: &Shape) -> Map<String, Json> {
    let schema = match shape {
        Shape::String => json!({ "type": "string" }),
        Shape::DateTime => json!({ "format": "date-time", "type": "string" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Int32 => json!({ "format": "int32", "type": "integer" }),
        Shape::Int64 => json!({ "format": "int64", "type": "integer" }),
        Shape::IntOrString => {
            json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }], "x-kubernetes-int-or-string": true })
        }
        Shape::Quantity => json!({
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": true,
        }),
        Shape::Object => json!({ "type": "object" }),
        Shape::List(items) => json!({ "items": value_schema(tables, items), "type": "array" }),
        Shape::Map(values) => json!({ "additionalProperties": value_schema(tables, values), "type": "object" }),
        Shape::Structure(name) => {
            return tables.get(name).map(|structure| structure_schema(tables, structure)).unwrap_or_default();
        }
    };
    match schema {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_has_the_names_and_columns_of_its_kind() {
        let crds = all();
        assert_eq!(crds.len(), 6);
        let crd = &crds[3];
        assert_eq!(crd["metadata"]["name"], "clustertriggerauthentications.keda.sh");
        assert_eq!(crd["spec"]["scope"], "Cluster");
        assert_eq!(crd["spec"]["names"]["shortNames"], json!(["cta", "clustertriggerauth"]));
        assert_eq!(crd["spec"]["versions"][0]["additionalPrinterColumns"][5]["priority"], 1);
    }

    #[test]
    fn a_field_has_its_constraints() {
        let schema = DEFINITIONS[0].schema();
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["required"], json!(["scaleTargetRef", "triggers"]));
        assert_eq!(spec["properties"]["maxReplicaCount"]["minimum"], 1);
        assert_eq!(spec["properties"]["fallback"]["properties"]["behavior"]["default"], "static");
        assert_eq!(spec["x-kubernetes-validations"].as_array().map(Vec::len), Some(1));
        let jobs = DEFINITIONS[1].schema();
        let pod = &jobs["properties"]["spec"]["properties"]["jobTargetRef"]["properties"]["template"]["properties"];
        assert_eq!(pod["metadata"]["x-kubernetes-preserve-unknown-fields"], true);
        let ports = &pod["spec"]["properties"]["containers"]["items"]["properties"]["ports"];
        assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
        assert_eq!(ports["items"]["required"], json!(["containerPort", "protocol"]));
    }
}
