//! Where in KEDA's objects a field belongs that stands in a wrong place.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::crd::DEFINITIONS;
use super::table::{Shape, Tables, tables};

/// By field, the one place where it belongs; `None` where there are several.
type Homes = HashMap<&'static str, Option<String>>;

/// The path of the structure that a field of this name belongs into, if there is one alone in objects of this kind, and it is
/// not the object itself.
pub(super) fn of(kind: &str, field: &str) -> Option<&'static str> {
    static HOMES: LazyLock<HashMap<&'static str, Homes>> = LazyLock::new(|| {
        DEFINITIONS.iter().map(|definition| (definition.kind, homes(tables(), definition.kind))).collect()
    });
    HOMES.get(kind)?.get(field)?.as_deref().filter(|home| !home.is_empty())
}

fn homes(tables: &'static Tables, kind: &'static str) -> Homes {
    let mut homes = Homes::new();
    let mut open = vec![(kind, String::new())];
    while let Some((name, path)) = open.pop() {
        // Structures of Kubernetes have no description, and fields of them are not looked for.
        let Some(structure) = tables.get(name).filter(|structure| !structure.description.is_empty()) else { continue };
        for field in &structure.fields {
            homes.entry(field.name).and_modify(|home| *home = None).or_insert_with(|| Some(path.clone()));
            let (inner, list) = match &field.schema.shape {
                Shape::Structure(inner) => (*inner, ""),
                Shape::List(items) => match items.shape {
                    Shape::Structure(inner) => (inner, "[]"),
                    _ => continue,
                },
                _ => continue,
            };
            // Nothing that a user writes is in the status.
            if field.name != "status" {
                let separator = if path.is_empty() { "" } else { "." };
                open.push((inner, format!("{path}{separator}{}{list}", field.name)));
            }
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_a_home_where_it_is_the_only_one_of_its_name() {
        assert_eq!(of("ScaledObject", "authenticationRef"), Some("spec.triggers[]"));
        assert_eq!(of("ScaledObject", "horizontalPodAutoscalerConfig"), Some("spec.advanced"));
        assert_eq!(of("ScaledObject", "name"), None, "there are several");
        assert_eq!(of("ScaledObject", "spec"), None, "it belongs into the object itself");
        assert_eq!(of("ScaledObject", "nothing"), None);
    }
}
