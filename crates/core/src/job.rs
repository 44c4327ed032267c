//! The Jobs that a ScaledJob starts (`behaviour.md` §5.6).

use serde_json::{Map, Value, json};

use crate::api::{ObjectMeta, OwnerReference, ScaledJob};

/// The label by which Jobs and their pods name their ScaledJob.
pub const SCALED_JOB_LABEL: &str = "scaledjob.keda.sh/name";
/// The generation of the ScaledJob that a Job was made for.
pub const GENERATION: &str = "scaledjob.keda.sh/generation";
/// Labels that are not copied to Jobs.
const EXCLUDED_LABELS: &str = "scaledjob.keda.sh/job-excluded-labels";

/// A Job as it is created; the API server gives it its name.
pub fn build(object: &ScaledJob) -> Value {
    let name = &object.metadata.name;
    let generate_name = format!("{name}-");
    let metadata = json!({
        "generateName": generate_name,
        "namespace": object.metadata.namespace(),
        "labels": labels(&object.metadata),
        "annotations": annotations(&object.metadata),
        "ownerReferences": [owner(&object.metadata)],
    });
    let mut spec = object.spec.job_target_ref.clone();
    if let Some(spec) = spec.as_object_mut() {
        complete(spec, name, &generate_name);
    }
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec })
}

/// Adds to the pod template what pods of Jobs are found by.
fn complete(spec: &mut Map<String, Value>, name: &str, generate_name: &str) -> Option<()> {
    let template = section(spec, "template")?;
    let metadata = section(template, "metadata")?;
    metadata.insert("generateName".to_string(), json!(generate_name));
    section(metadata, "labels")?.insert(SCALED_JOB_LABEL.to_string(), json!(name));
    let policy = section(template, "spec")?.entry("restartPolicy").or_insert(Value::Null);
    if policy.as_str().is_none_or(str::is_empty) {
        *policy = json!("OnFailure");
    }
    Some(())
}

/// The mapping under a key, which is made where there is none.
fn section<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let section = parent.entry(key).or_insert(Value::Null);
    if !section.is_object() {
        *section = json!({});
    }
    section.as_object_mut()
}

fn labels(metadata: &ObjectMeta) -> Map<String, Value> {
    let name = metadata.name.as_str();
    let own = [
        ("app.kubernetes.io/name", name),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
        ("app.kubernetes.io/part-of", name),
        ("app.kubernetes.io/managed-by", "keda-operator"),
        (SCALED_JOB_LABEL, name),
    ];
    let excluded: Vec<&str> = metadata.annotation(EXCLUDED_LABELS).unwrap_or_default().split(',').collect();
    let given = metadata.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let given = given.filter(|(key, _)| !excluded.contains(key));
    own.into_iter().chain(given).map(|(key, value)| (key.to_string(), json!(value))).collect()
}

fn annotations(metadata: &ObjectMeta) -> Map<String, Value> {
    // The API server counts from 1 when an object is created.
    let own = (GENERATION.to_string(), json!(metadata.generation.unwrap_or(1).to_string()));
    let given = metadata.annotations.iter().map(|(key, value)| (key.clone(), json!(value)));
    std::iter::once(own).chain(given).collect()
}

fn owner(metadata: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: "keda.sh/v1alpha1".to_string(),
        kind: "ScaledJob".to_string(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value)] // Literals read best as they are.
    fn job(metadata: Value, template: Value) -> Value {
        let target = json!({ "parallelism": 2, "template": template });
        let spec = json!({ "jobTargetRef": target, "triggers": [] });
        build(&serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap())
    }

    #[test]
    fn a_job_is_the_template_with_what_finds_it() {
        let container = json!({ "name": "worker", "image": "worker:1" });
        let built =
            job(json!({ "name": "mails", "namespace": "shop" }), json!({ "spec": { "containers": [container] } }));
        assert_eq!(built["metadata"]["generateName"], "mails-");
        assert_eq!(built["metadata"]["namespace"], "shop");
        assert_eq!(built["metadata"]["annotations"], json!({ "scaledjob.keda.sh/generation": "1" }));
        assert_eq!(built["metadata"]["ownerReferences"][0]["kind"], "ScaledJob");
        assert_eq!(built["metadata"]["ownerReferences"][0]["uid"], Value::Null);
        let expected = json!({
            "parallelism": 2,
            "template": {
                "metadata": { "generateName": "mails-", "labels": { "scaledjob.keda.sh/name": "mails" } },
                "spec": { "containers": [container], "restartPolicy": "OnFailure" },
            },
        });
        assert_eq!(built["spec"], expected);
    }

    #[test]
    fn labels_and_annotations_of_the_object_win_and_excluded_ones_stay_away() {
        let metadata = json!({
            "name": "mails",
            "generation": 7,
            "labels": { "app.kubernetes.io/name": "mine", "team": "a", "secret": "b" },
            "annotations": { "scaledjob.keda.sh/job-excluded-labels": "secret,other", "note": "x" },
        });
        let built = job(
            metadata,
            json!({ "metadata": { "labels": { "app": "mails" } }, "spec": { "restartPolicy": "Never" } }),
        );
        let labels = &built["metadata"]["labels"];
        assert_eq!((&labels["app.kubernetes.io/name"], &labels["team"]), (&json!("mine"), &json!("a")));
        assert_eq!(labels["secret"], Value::Null);
        assert_eq!(built["metadata"]["annotations"]["scaledjob.keda.sh/generation"], "7");
        let template = &built["spec"]["template"];
        assert_eq!(template["metadata"]["labels"], json!({ "app": "mails", "scaledjob.keda.sh/name": "mails" }));
        assert_eq!(template["spec"]["restartPolicy"], "Never");
    }
}
