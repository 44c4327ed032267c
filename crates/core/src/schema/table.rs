//! The tables of structures.
//!
//! The notation, by example:
//!
//! ```text
//! # A comment.
//! ScaleTarget atomic "What is scaled."            a structure; `atomic` is its map type
//!   @rule "message" self.a <= self.b              a rule in CEL between its fields
//!   name!     string min-length=1  "Its name."    `!`: required; constraints; description
//!   ports     [Port] keyed-by(port, protocol)     a list; also `atomic`, `set`, min-items=1
//!   metadata  {string}                            a map
//!   replicas  int32 >=0 <=9                       also int64, boolean, date-time, int-or-string, quantity, object
//!   kind      string one-of("", A) default=A
//! EventType = string one-of(a, b)                 a name for a type
//! ```

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::notation;

const SOURCES: &[&str] = &[
    include_str!("keda.schema"),
    include_str!("authentication.schema"),
    include_str!("eventing.schema"),
    include_str!("job.schema"),
    include_str!("pod.schema"),
    include_str!("volume.schema"),
    include_str!("workload.schema"),
];

/// All structures by name.
#[derive(Debug, Default)]
pub struct Tables {
    structures: HashMap<&'static str, Structure>,
}

/// A mapping with known fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Structure {
    /// Its name in the tables.
    pub name: &'static str,
    /// What it is for; empty for structures of Kubernetes.
    pub description: &'static str,
    /// Whether it is replaced as a whole by server-side apply.
    pub atomic: bool,
    /// Rules between the fields.
    pub rules: Vec<Rule>,
    /// The fields.
    pub fields: Vec<Field>,
}

/// A rule in CEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What is said when it is broken.
    pub message: &'static str,
    /// The expression.
    pub expression: &'static str,
}

/// A field of a structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it is for.
    pub description: &'static str,
    /// What it may hold.
    pub schema: Schema,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The type.
    pub shape: Shape,
    /// Smallest number.
    pub minimum: Option<i64>,
    /// Largest number.
    pub maximum: Option<i64>,
    /// Fewest characters.
    pub min_length: Option<usize>,
    /// Fewest elements.
    pub min_items: Option<usize>,
    /// The only texts allowed; none for any.
    pub one_of: Vec<&'static str>,
    /// What counts when the field is left out.
    pub default: Option<Json>,
    /// How server-side apply merges the list or map.
    pub list_type: Option<ListType>,
    /// Keeps fields that the structure does not know.
    pub preserve_unknown_fields: bool,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Text.
    String,
    /// A point in time in RFC 3339.
    DateTime,
    /// True or false.
    Boolean,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A whole number or text.
    IntOrString,
    /// A whole number or text that is a Kubernetes quantity.
    Quantity,
    /// A mapping whose fields are not described.
    Object,
    /// A list.
    List(Box<Schema>),
    /// A mapping with any keys.
    Map(Box<Schema>),
    /// A structure, by name.
    Structure(&'static str),
}

/// How server-side apply merges a list or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListType {
    /// As a whole.
    Atomic,
    /// As a set of scalars.
    Set,
    /// By the values of these fields.
    KeyedBy(Vec<&'static str>),
}

impl Schema {
    /// A type without constraints.
    pub(super) const fn of(shape: Shape) -> Self {
        Schema {
            shape,
            minimum: None,
            maximum: None,
            min_length: None,
            min_items: None,
            one_of: Vec::new(),
            default: None,
            list_type: None,
            preserve_unknown_fields: false,
        }
    }
}

impl Structure {
    /// The field of a key.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Tables {
    /// The structure of a name.
    pub fn get(&self, name: &str) -> Option<&Structure> {
        self.structures.get(name)
    }

    /// All structures, in no order.
    pub fn structures(&self) -> impl Iterator<Item = &Structure> {
        self.structures.values()
    }
}

/// The tables of this crate.
pub fn tables() -> &'static Tables {
    // The tables are part of the program, and a test reads them: they cannot be malformed at run time.
    static TABLES: LazyLock<Tables> = LazyLock::new(|| read().unwrap_or_default());
    &TABLES
}

fn read() -> Result<Tables, String> {
    let mut tables = Tables::default();
    for structure in notation::parse(SOURCES)? {
        if let Some(other) = tables.structures.insert(structure.name, structure) {
            return Err(format!("{} is defined twice", other.name));
        }
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_well_formed_and_complete() {
        let tables = read().unwrap();
        let mut names = Vec::new();
        for structure in tables.structures() {
            structure.fields.iter().for_each(|field| collect(&field.schema, &mut names));
            let mut keys: Vec<&str> = structure.fields.iter().map(|field| field.name).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), structure.fields.len(), "{} repeats a field", structure.name);
        }
        for name in names {
            assert!(tables.get(name).is_some(), "{name} is not defined");
        }
    }

    fn collect(schema: &Schema, names: &mut Vec<&'static str>) {
        match &schema.shape {
            Shape::List(inner) | Shape::Map(inner) => collect(inner, names),
            Shape::Structure(name) => names.push(name),
            _ => {}
        }
    }
}
