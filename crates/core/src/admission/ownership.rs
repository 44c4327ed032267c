//! Checks of a ScaledObject against what else scales in its namespace.

use serde::Deserialize;

use super::Denial;
use crate::api::{HorizontalPodAutoscalerConfig, ObjectMeta, ScaleTarget, ScaledObject};
use crate::rule;

/// On a ScaledObject, with the text `true`: take over an HPA that somebody else made.
const TRANSFER: &str = "scaledobject.keda.sh/transfer-hpa-ownership";
/// On an HPA, with the text `false`: it may have the same target.
const HPA_OWNERSHIP: &str = "validations.keda.sh/hpa-ownership";

/// Another ScaledObject of the namespace, as far as it counts here.
#[derive(Debug, Clone, Deserialize)]
pub struct Neighbour {
    metadata: ObjectMeta,
    spec: NeighbourSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NeighbourSpec {
    scale_target_ref: ScaleTarget,
    #[serde(default)]
    advanced: Option<NeighbourAdvanced>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NeighbourAdvanced {
    horizontal_pod_autoscaler_config: Option<HorizontalPodAutoscalerConfig>,
}

/// An HPA of the namespace, as far as it counts here.
#[derive(Debug, Clone, Deserialize)]
pub struct NeighbourHpa {
    metadata: ObjectMeta,
    spec: NeighbourHpaSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NeighbourHpaSpec {
    scale_target_ref: ScaleTarget,
}

/// Checks that nobody else scales the target, or has the HPA.
///
/// # Errors
/// The first reason to refuse the object.
pub fn check_ownership(object: &ScaledObject, others: &[Neighbour], hpas: &[NeighbourHpa]) -> Result<(), Denial> {
    let others: Vec<&Neighbour> = others.iter().filter(|other| other.metadata.name != object.metadata.name).collect();
    let target = &object.spec.scale_target_ref;
    let workload = format!("the workload '{}' of type '{}'", target.name, kind_of(target));
    if let Some(other) = others.iter().find(|other| is_same(target, &other.spec.scale_target_ref)) {
        let message = format!("{workload} is already managed by the ScaledObject '{}'", other.metadata.name);
        return Err(Denial::new(rule::OTHER_SCALED_OBJECT, message));
    }
    let hpa_name = object.hpa_name();
    if let Some(other) = others.iter().find(|other| other.hpa_name() == hpa_name) {
        let message = format!("the HPA '{hpa_name}' is already managed by the ScaledObject '{}'", other.metadata.name);
        return Err(Denial::new(rule::OTHER_SCALED_OBJECT_HPA, message));
    }
    let foreign = hpas.iter().filter(|hpa| is_same(target, &hpa.spec.scale_target_ref) && !hpa.may_stay(object));
    for hpa in foreign {
        let name = &hpa.metadata.name;
        if object.metadata.annotation(TRANSFER) != Some("true") {
            let message = format!("{workload} is already managed by the hpa '{name}'");
            return Err(Denial::new(rule::OTHER_HPA, message));
        }
        if hpa_name != *name {
            let message = format!(
                "the existing hpa '{name}' for workload '{}' of type '{}' must be specified by name in advanced \
                 settings to enable ownership transfer",
                target.name,
                kind_of(target)
            );
            return Err(Denial::new(rule::TRANSFER_WITHOUT_NAME, message));
        }
    }
    Ok(())
}

impl From<&ScaledObject> for Neighbour {
    fn from(object: &ScaledObject) -> Self {
        let config = object.spec.advanced.as_ref().map(|advanced| advanced.horizontal_pod_autoscaler_config.clone());
        let advanced =
            config.map(|horizontal_pod_autoscaler_config| NeighbourAdvanced { horizontal_pod_autoscaler_config });
        let spec = NeighbourSpec { scale_target_ref: object.spec.scale_target_ref.clone(), advanced };
        Neighbour { metadata: object.metadata.clone(), spec }
    }
}

impl Neighbour {
    fn hpa_name(&self) -> String {
        let config = self.spec.advanced.as_ref().and_then(|one| one.horizontal_pod_autoscaler_config.as_ref());
        let custom = config.and_then(|config| config.name.clone()).filter(|name| !name.is_empty());
        custom.unwrap_or_else(|| format!("keda-hpa-{}", self.metadata.name))
    }
}

impl NeighbourHpa {
    /// Whether it is the object's own, or is told to be let alone.
    fn may_stay(&self, object: &ScaledObject) -> bool {
        let mut owners = self.metadata.owner_references.iter();
        self.metadata.annotation(HPA_OWNERSHIP) == Some("false")
            || owners.any(|owner| owner.kind == "ScaledObject" && owner.name == object.metadata.name)
    }
}

fn is_same(one: &ScaleTarget, other: &ScaleTarget) -> bool {
    one.name == other.name && one.api_version() == other.api_version() && one.kind() == other.kind()
}

/// `group/version.Kind`, with an empty group in the core group.
fn kind_of(target: &ScaleTarget) -> String {
    let version = target.api_version();
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{slash}{version}.{}", target.kind())
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // Literals read best as they are.
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(extra: Value, annotations: Value) -> ScaledObject {
        let mut spec = json!({ "scaleTargetRef": { "name": "web" }, "triggers": [] });
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let metadata = json!({ "name": "web", "annotations": annotations });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn other(name: &str, target: &str, advanced: Value) -> Vec<Neighbour> {
        let spec = json!({ "scaleTargetRef": { "name": target, "kind": "Deployment" }, "advanced": advanced });
        vec![serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()]
    }

    fn hpa(metadata: Value) -> Vec<NeighbourHpa> {
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
        vec![serde_json::from_value(json!({ "metadata": metadata, "spec": { "scaleTargetRef": target } })).unwrap()]
    }

    fn custom(name: &str) -> Value {
        json!({ "horizontalPodAutoscalerConfig": { "name": name } })
    }

    #[test]
    fn a_target_has_one_scaled_object_and_an_hpa_as_well() {
        let mine = object(json!({}), json!({}));
        assert_eq!(check_ownership(&mine, &other("web", "web", Value::Null), &[]), Ok(()));
        let denial = check_ownership(&mine, &other("shop", "web", Value::Null), &[]).unwrap_err();
        assert_eq!(
            denial.message,
            "the workload 'web' of type 'apps/v1.Deployment' is already managed by the ScaledObject 'shop'"
        );
        let denial = check_ownership(&mine, &other("shop", "cart", custom("keda-hpa-web")), &[]).unwrap_err();
        assert_eq!(denial.message, "the HPA 'keda-hpa-web' is already managed by the ScaledObject 'shop'");
    }

    #[test]
    fn a_foreign_hpa_is_in_the_way_unless_it_is_taken_over_by_name() {
        let mine = object(json!({}), json!({}));
        let reason =
            |object: &ScaledObject, metadata| check_ownership(object, &[], &hpa(metadata)).map_err(|one| one.rule.id);
        let owners = json!([{ "kind": "ScaledObject", "name": "web" }]);
        assert_eq!(reason(&mine, json!({ "name": "old" })), Err("other-hpa"));
        assert_eq!(reason(&mine, json!({ "name": "old", "ownerReferences": owners })), Ok(()));
        assert_eq!(reason(&mine, json!({ "name": "old", "annotations": { HPA_OWNERSHIP: "false" } })), Ok(()));
        let nameless = object(json!({}), json!({ TRANSFER: "true" }));
        assert_eq!(reason(&nameless, json!({ "name": "old" })), Err("transfer-ownership-missing-hpa-name"));
        let named = object(json!({ "advanced": custom("old") }), json!({ TRANSFER: "true" }));
        assert_eq!(reason(&named, json!({ "name": "old" })), Ok(()));
    }
}
