//! What clients are told about the API: the same for everybody, whatever metrics there are.

use axum::response::Response;
use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::status::{JSON, Status, respond};
use super::{GROUP, VERSION};

const GROUP_VERSION: &str = "external.metrics.k8s.io/v1beta1";
const OPENAPI_V3_PATH: &str = "/openapi/v3/apis/external.metrics.k8s.io/v1beta1";

/// The documents, rendered once.
#[derive(Debug)]
pub(super) struct Discovery {
    groups: String,
    aggregated: String,
    group: String,
    resources: String,
    openapi_v2: String,
    openapi_v3_index: String,
    openapi_v3: String,
    version: String,
}

impl Discovery {
    pub(super) fn new(version: &str) -> Self {
        Discovery {
            groups: json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}).to_string(),
            aggregated: aggregated().to_string(),
            group: with_kind("APIGroup", group()).to_string(),
            resources: resources().to_string(),
            openapi_v2: openapi_v2(version).to_string(),
            openapi_v3_index: json!({"paths": {
                "apis/external.metrics.k8s.io/v1beta1": {"serverRelativeURL": format!("{OPENAPI_V3_PATH}?hash={version}")},
            }})
            .to_string(),
            openapi_v3: openapi_v3(version).to_string(),
            version: version_info(version).to_string(),
        }
    }

    /// The document at a path; `None` if there is none.
    pub(super) fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == "/apis"
            && let Some(content_type) = aggregated_type(headers)
        {
            return Some(respond(StatusCode::OK, content_type, self.aggregated.clone()));
        }
        let document = match path {
            "/apis" => &self.groups,
            "/apis/external.metrics.k8s.io" => &self.group,
            "/apis/external.metrics.k8s.io/v1beta1" => &self.resources,
            "/openapi/v2" => &self.openapi_v2,
            "/openapi/v3" => &self.openapi_v3_index,
            OPENAPI_V3_PATH => &self.openapi_v3,
            "/version" => &self.version,
            _ => return None,
        };
        if !accepts_json(headers) {
            return Some(Status::not_acceptable().respond());
        }
        Some(respond(StatusCode::OK, JSON, document.clone()))
    }
}

/// Whether a client that says what it accepts accepts JSON.
pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter().peekable();
    if accepted.peek().is_none() {
        return true;
    }
    let ranges = accepted.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges.map(|range| range.split(';').next().unwrap_or_default().trim()).any(|range| {
        ["application/json", "application/*", "*/*", ""].iter().any(|known| range.eq_ignore_ascii_case(known))
    })
}

/// The type of aggregated discovery, for a client that wants it.
fn aggregated_type(headers: &HeaderMap) -> Option<HeaderValue> {
    let ranges =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let wanted = |range: &str| {
        let has = |parameter: &str| range.split(';').any(|part| part.trim() == parameter);
        range.trim_start().starts_with("application/json")
            && has("g=apidiscovery.k8s.io")
            && has("v=v2")
            && has("as=APIGroupDiscoveryList")
    };
    ranges
        .into_iter()
        .any(wanted)
        .then(|| HeaderValue::from_static("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"))
}

fn with_kind(kind: &str, mut object: Value) -> Value {
    object["kind"] = kind.into();
    object["apiVersion"] = "v1".into();
    object
}

fn group() -> Value {
    let version = json!({"groupVersion": GROUP_VERSION, "version": VERSION});
    json!({"name": GROUP, "versions": [version], "preferredVersion": version})
}

fn resources() -> Value {
    let resource = json!({
        "name": "externalmetrics",
        "singularName": "",
        "namespaced": true,
        "kind": "ExternalMetricValueList",
        "verbs": ["get"],
    });
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": [resource]})
}

fn aggregated() -> Value {
    let resource = json!({
        "resource": "externalmetrics",
        "responseKind": {"group": GROUP, "version": VERSION, "kind": "ExternalMetricValueList"},
        "scope": "Namespaced",
        "singularResource": "",
        "verbs": ["get"],
    });
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [{
            "metadata": {"name": GROUP, "creationTimestamp": null},
            "versions": [{"version": VERSION, "resources": [resource], "freshness": "Current"}],
        }],
    })
}

fn version_info(version: &str) -> Value {
    let mut numbers = version.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or_default(),
        "minor": numbers.next().unwrap_or_default(),
        "gitVersion": version,
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// One value and the list of them, as both versions of OpenAPI describe them; `reference` makes a link to a schema.
fn schemas(reference: impl Fn(&str) -> Value) -> Value {
    let text = json!({"type": "string"});
    let kind = json!([{"group": GROUP, "version": VERSION, "kind": "ExternalMetricValueList"}]);
    json!({
        "io.k8s.metrics.pkg.apis.external_metrics.v1beta1.ExternalMetricValue": {
            "description": "A value of a metric outside of Kubernetes.",
            "type": "object",
            "required": ["metricName", "metricLabels", "timestamp", "value"],
            "properties": {
                "metricName": text,
                "metricLabels": {"type": "object", "additionalProperties": text},
                "timestamp": {"type": "string", "format": "date-time"},
                "window": {"type": "integer", "format": "int64"},
                "value": text,
            },
        },
        "io.k8s.metrics.pkg.apis.external_metrics.v1beta1.ExternalMetricValueList": {
            "description": "The values of a metric.",
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": text,
                "kind": text,
                "metadata": {"type": "object"},
                "items": {
                    "type": "array",
                    "items": reference("io.k8s.metrics.pkg.apis.external_metrics.v1beta1.ExternalMetricValue"),
                },
            },
            "x-kubernetes-group-version-kind": kind,
        },
    })
}

fn openapi_v2(version: &str) -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": "External metrics", "version": version},
        "paths": {},
        "definitions": schemas(|name| json!({"$ref": format!("#/definitions/{name}")})),
    })
}

fn openapi_v3(version: &str) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "External metrics", "version": version},
        "paths": {},
        "components": {"schemas": schemas(|name| json!({"$ref": format!("#/components/schemas/{name}")}))},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        [(ACCEPT, HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn json_is_accepted_by_name_and_by_range() {
        for value in ["application/json", "application/vnd.kubernetes.protobuf, */*", "application/json;q=0.5"] {
            assert!(accepts_json(&accepting(value)), "{value}");
        }
        assert!(accepts_json(&HeaderMap::new()));
        assert!(!accepts_json(&accepting("application/vnd.kubernetes.protobuf")));
    }

    #[test]
    fn aggregated_discovery_is_given_to_those_who_ask() {
        let asks = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert!(aggregated_type(&accepting(asks)).is_some());
        assert!(aggregated_type(&accepting("application/json")).is_none());
    }
}
