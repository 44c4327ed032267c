//! Fields of JSON objects by the names that Go's `encoding/json`, with which KEDA reads them, takes for theirs.

use serde_json::Value;

/// The field of an object: the one of exactly that name, or else the first that differs only in its case.
pub fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let in_any_case = || object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    object.get(name).or_else(|| in_any_case().map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_exact_name_comes_first() {
        let object = json!({"R": 1, "r": 2, "Value": 3});
        assert_eq!(field(&object, "r"), Some(&json!(2)));
        assert_eq!(field(&object, "value"), Some(&json!(3)));
        assert_eq!(field(&object, "x"), None);
        assert_eq!(field(&json!([1]), "value"), None);
    }
}
