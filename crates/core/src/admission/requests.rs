//! Scaling by the utilization of a resource needs containers that request it (`webhooks.md` §2.1).

use serde_json::Value;

use super::Denial;
use super::scaled_object::is_workload;
use super::triggers::is_resource;
use crate::api::{LimitRange, PodSpec, ScaledObject};
use crate::quantity::Quantity;
use crate::rule;

/// The positions of the triggers whose resource a container of the target does not request, with the reason. A limit
/// counts as a request, and so does what a LimitRange of the namespace gives containers.
pub fn missing_requests(
    object: &ScaledObject,
    pod_spec: &PodSpec,
    limit_ranges: &[&LimitRange],
) -> Vec<(usize, Denial)> {
    if !needs_requests(object) {
        return Vec::new();
    }
    let resources = object.spec.triggers.iter().enumerate().filter(|(_, trigger)| is_resource(trigger));
    let missing = resources.filter_map(|(index, trigger)| {
        let resource = trigger.r#type.as_str();
        if limit_ranges.iter().any(|range| gives(range, resource)) {
            return None;
        }
        let meant = trigger.metadata.get("containerName").filter(|name| !name.is_empty());
        let mut containers =
            pod_spec.containers.iter().filter(|container| meant.is_none_or(|name| *name == container.name));
        let container = containers.find(|container| {
            !has(&container.resources.requests, resource) && !has(&container.resources.limits, resource)
        })?;
        let message = format!(
            "the scaledobject has a {resource} trigger but the container {} doesn't have the {resource} request defined",
            container.name
        );
        Some((index, Denial::new(rule::MISSING_REQUESTS, message)))
    });
    missing.collect()
}

/// Whether an object is scaled by what its target's containers request, so that they must.
pub fn needs_requests(object: &ScaledObject) -> bool {
    is_workload(&object.spec.scale_target_ref) && object.spec.triggers.iter().any(is_resource)
}

fn gives(range: &LimitRange, resource: &str) -> bool {
    let mut limits = range.spec.limits.iter().filter(|limit| limit.r#type == "Container");
    limits.any(|limit| has(&limit.default, resource) || has(&limit.default_request, resource))
}

/// Whether there is an amount above 0.
fn has<'a>(amounts: impl IntoIterator<Item = (&'a String, &'a Value)>, resource: &str) -> bool {
    let amount = amounts.into_iter().find(|(name, _)| *name == resource).map(|(_, amount)| amount);
    let text = amount.map(|amount| amount.as_str().map_or_else(|| amount.to_string(), str::to_string));
    text.and_then(|text| text.parse::<Quantity>().ok()).is_some_and(|amount| amount > Quantity::from_integer(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn missing(trigger: &Value, containers: &Value, range: &Value) -> usize {
        let spec = json!({ "scaleTargetRef": { "name": "web" }, "triggers": [trigger] });
        let object = serde_json::from_value(json!({ "metadata": { "name": "web" }, "spec": spec })).unwrap();
        let range: LimitRange = serde_json::from_value(range.clone()).unwrap();
        let pod_spec = serde_json::from_value(json!({ "containers": containers })).unwrap();
        missing_requests(&object, &pod_spec, &[&range]).len()
    }

    #[test]
    fn every_container_that_is_measured_requests_the_resource() {
        let cpu = json!({ "type": "cpu", "metadata": { "value": "50" } });
        let one = json!({ "type": "cpu", "metadata": { "value": "50", "containerName": "a" } });
        let requests = json!({ "name": "a", "resources": { "requests": { "cpu": "100m" } } });
        let limits = json!({ "name": "b", "resources": { "limits": { "cpu": 1 } } });
        let nothing = json!({ "name": "c", "resources": { "requests": { "memory": "1Gi", "cpu": "0" } } });
        let none = json!({});
        assert_eq!(missing(&cpu, &json!([requests, limits]), &none), 0);
        assert_eq!(missing(&cpu, &json!([requests, nothing]), &none), 1);
        assert_eq!(missing(&one, &json!([requests, nothing]), &none), 0);
        let range = |kind: &str| json!({ "spec": { "limits": [{ "type": kind, "defaultRequest": { "cpu": "1" } }] } });
        assert_eq!(missing(&cpu, &json!([nothing]), &range("Container")), 0);
        assert_eq!(missing(&cpu, &json!([nothing]), &range("Pod")), 1);
        assert_eq!(missing(&json!({ "type": "cron" }), &json!([nothing]), &none), 0);
    }
}
