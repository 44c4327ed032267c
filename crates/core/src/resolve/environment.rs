//! The environment of a container, as `…FromEnv` parameters and workers see it (`authentication.md` §3).

use std::collections::BTreeMap;

use super::{Lookup, missing};
use crate::api::{Container, EnvFrom, EnvSource, EnvVar, EnvVarSource};

/// Every variable of a container that can be resolved. Field references are left out: they differ from pod to pod.
///
/// # Errors
/// Which reference that is not optional leads nowhere.
pub fn environment(
    lookup: &dyn Lookup,
    namespace: &str,
    container: &Container,
) -> Result<BTreeMap<String, String>, String> {
    let (variables, missing) = environment_in_part(lookup, namespace, container);
    missing.into_iter().next().map_or(Ok(variables), Err)
}

/// As [`environment`], with the references that lead nowhere beside the variables that can be resolved without them.
pub fn environment_in_part(
    lookup: &dyn Lookup,
    namespace: &str,
    container: &Container,
) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut variables, mut missing) = (BTreeMap::new(), Vec::new());
    for source in &container.env_from {
        missing.extend(take_all(lookup, namespace, source, &mut variables).err());
    }
    for variable in &container.env {
        match value(lookup, namespace, variable, &variables) {
            Ok(Some(value)) => _ = variables.insert(variable.name.clone(), value),
            Ok(None) => {}
            Err(message) => missing.push(message),
        }
    }
    (variables, missing)
}

fn take_all(
    lookup: &dyn Lookup,
    namespace: &str,
    source: &EnvFrom,
    variables: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let mut take = |kind: &str, reference: &EnvSource, data: Option<BTreeMap<String, String>>| match data {
        Some(data) => {
            variables.extend(data.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
            Ok(())
        }
        None if reference.optional == Some(true) => Ok(()),
        None => Err(missing(kind, namespace, &reference.name)),
    };
    if let Some(reference) = &source.config_map_ref {
        take("ConfigMap", reference, lookup.config_map(namespace, &reference.name))?;
    }
    if let Some(reference) = source.secret_ref.as_ref().filter(|_| lookup.may_read_secrets_of(namespace)) {
        take("Secret", reference, lookup.secret(namespace, &reference.name))?;
    }
    Ok(())
}

fn value(
    lookup: &dyn Lookup,
    namespace: &str,
    variable: &EnvVar,
    known: &BTreeMap<String, String>,
) -> Result<Option<String>, String> {
    if let Some(literal) = variable.value.as_deref().filter(|literal| !literal.is_empty()) {
        return Ok(Some(expand(literal, known)));
    }
    let Some(EnvVarSource { secret_key_ref, config_map_key_ref, .. }) = &variable.value_from else {
        return Ok(Some(String::new()));
    };
    let (kind, reference, data) = match (secret_key_ref, config_map_key_ref) {
        (Some(_), _) if !lookup.may_read_secrets_of(namespace) => return Ok(None),
        (Some(reference), _) => ("Secret", reference, lookup.secret(namespace, &reference.name)),
        (None, Some(reference)) => ("ConfigMap", reference, lookup.config_map(namespace, &reference.name)),
        (None, None) => return Ok(None),
    };
    match data {
        // A key that is missing in an object that is there is an empty value, not an error.
        Some(mut data) => Ok(Some(data.remove(&reference.key).unwrap_or_default())),
        None if reference.optional == Some(true) => Ok(None),
        None => Err(missing(kind, namespace, &reference.name)),
    }
}

/// Replaces `$(NAME)` where the name is known; `$$` stands for `$`.
pub fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        let (before, from) = rest.split_at(position);
        expanded.push_str(before);
        // As in Kubernetes' own expansion a dollar sign at the very end is taken as it is.
        if let Some(after) = from.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = from.strip_prefix("$(").and_then(|inner| inner.split_once(')')) {
            match known.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(from.get(..name.len() + 3).unwrap_or(from)),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_expand_to_what_is_known() {
        let known = BTreeMap::from([("A".to_string(), "1".to_string())]);
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$(A", "$(A"),
            ("$x", "$x"),
            ("$()", "$()"),
            ("100$", "100$"),
        ] {
            assert_eq!(expand(text, &known), expected, "{text}");
        }
    }
}
