//! Checks of a TriggerAuthentication or ClusterTriggerAuthentication.

use crate::api::{OAuth2, PodIdentity, TriggerAuthenticationSpec};

/// Checks the sources of an authentication.
///
/// # Errors
/// KEDA's text.
pub fn check_authentication(spec: &TriggerAuthenticationSpec) -> Result<(), String> {
    match &spec.pod_identity {
        Some(identity) if identity.provider == "azure-workload" => check_azure(identity)?,
        Some(identity) if identity.provider == "aws" => check_aws(identity)?,
        // As in KEDA: with another identity nothing else is looked at.
        Some(_) => return Ok(()),
        None => {}
    }
    spec.oauth2.as_ref().map_or(Ok(()), check_oauth2)
}

fn check_azure(identity: &PodIdentity) -> Result<(), String> {
    let is_empty = |field: &Option<String>| field.as_deref() == Some("");
    if is_empty(&identity.identity_id) {
        return Err(different_from_nothing("identityId"));
    }
    if is_given(identity.identity_authority_host.as_deref()) {
        if !is_given(identity.identity_tenant_id.as_deref()) {
            return Err("identityTenantID of PodIdentity should not be nil or empty when identityAuthorityHost of \
                        PodIdentity is set"
                .to_string());
        }
    } else if is_empty(&identity.identity_tenant_id) {
        return Err(different_from_nothing("identityTenantId"));
    }
    Ok(())
}

fn different_from_nothing(field: &str) -> String {
    format!("{field} of PodIdentity should not be empty. If it's set, {field} has to be different than \"\"")
}

fn check_aws(identity: &PodIdentity) -> Result<(), String> {
    let has_role = is_given(identity.role_arn.as_deref());
    if has_role && identity.identity_owner.as_deref() == Some("workload") {
        return Err("roleArn of PodIdentity can't be set if KEDA isn't identityOwner".to_string());
    }
    if !has_role && is_given(identity.external_id.as_deref()) {
        return Err("externalID of PodIdentity requires roleArn to be set".to_string());
    }
    Ok(())
}

fn check_oauth2(oauth2: &OAuth2) -> Result<(), String> {
    if oauth2.r#type != "clientCredentials" {
        return Err(format!("oauth2.type must be 'clientCredentials', got '{}'", oauth2.r#type));
    }
    for (field, text) in [("clientId", &oauth2.client_id), ("tokenUrl", &oauth2.token_url)] {
        if text.is_empty() {
            return Err(format!("oauth2.{field} is required when oauth2 is configured"));
        }
    }
    let (scheme, rest) = oauth2.token_url.split_once("://").unwrap_or_default();
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !is_http || rest.is_empty() || rest.starts_with(['/', '?', '#']) {
        return Err("oauth2.tokenUrl must be a valid http or https URL".to_string());
    }
    Ok(())
}

fn is_given(field: Option<&str>) -> bool {
    field.is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // Literals read best as they are.
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(spec: Value) -> String {
        check_authentication(&serde_json::from_value(spec).unwrap()).err().unwrap_or_default()
    }

    #[test]
    fn every_rule_refuses_with_its_text() {
        let azure = |fields: Value| {
            let mut identity = json!({ "provider": "azure-workload" });
            identity.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            json!({ "podIdentity": identity })
        };
        let oauth2 = |url: &str| json!({ "oauth2": { "clientId": "me", "tokenUrl": url } });
        let role = json!({ "provider": "aws", "roleArn": "arn:x", "identityOwner": "workload" });
        let table = [
            (json!({}), ""),
            (azure(json!({})), ""),
            (azure(json!({ "identityId": "" })), "identityId of PodIdentity should not be empty"),
            (azure(json!({ "identityAuthorityHost": "h" })), "should not be nil or empty when"),
            (azure(json!({ "identityTenantId": "" })), "identityTenantId of PodIdentity should not be empty"),
            (json!({ "podIdentity": role }), "can't be set if KEDA isn't identityOwner"),
            (json!({ "podIdentity": { "provider": "aws", "externalID": "x" } }), "requires roleArn"),
            (oauth2("https://issuer.example.org/token"), ""),
            (oauth2(""), "oauth2.tokenUrl is required"),
            (oauth2("issuer.example.org"), "must be a valid http or https URL"),
            (oauth2("ftp://issuer.example.org"), "must be a valid http or https URL"),
        ];
        for (spec, expected) in table {
            let message = message(spec.clone());
            assert!(message.contains(expected) && message.is_empty() == expected.is_empty(), "{spec}: {message}");
        }
    }
}
