//! The rules that manifests can break, each with a stable name.
//!
//! Names that KEDA's webhooks have words for, among the labels of their metrics, are those words.

use std::fmt;

/// A rule that a manifest can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// Stable name, in kebab case.
    pub id: &'static str,
    /// What the rule asks for, in one sentence.
    pub meaning: &'static str,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

macro_rules! rules {
    ($(#[doc = $about:literal])* $list:ident; $($name:ident = $id:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: Rule = Rule { id: $id, meaning: $meaning };)*

        $(#[doc = $about])*
        pub const $list: &[Rule] = &[$($name),*];
    };
}

rules! {
    /// The rules that manifests are checked for without running anything.
    OFFLINE;
    // Texts.
    SYNTAX = "syntax", "The text is YAML or JSON.";
    ENCODING = "encoding", "The text is encoded in UTF-8.";
    ALIAS_LIMIT = "alias-limit", "Aliases stand for a bounded amount of data.";
    DUPLICATE_KEY = "duplicate-key", "A mapping has each key once.";
    // Objects.
    MISSING_FIELD = "missing-field", "Required fields are given.";
    UNKNOWN_FIELD = "unknown-field", "There are no fields that the kind does not have.";
    WRONG_TYPE = "wrong-type", "Values have the type of their field.";
    OUT_OF_RANGE = "out-of-range", "Numbers are within the bounds of their field.";
    TOO_SHORT = "too-short", "Texts that must not be empty are not.";
    TOO_FEW_ITEMS = "too-few-items", "Lists that must not be empty are not.";
    DUPLICATE_ITEM = "duplicate-item", "Elements of a list that have a name have different ones.";
    NOT_ALLOWED_VALUE = "not-allowed-value", "Words are among those that are allowed.";
    INVALID_QUANTITY = "invalid-quantity", "Quantities are written as Kubernetes reads them.";
    INVALID_TIME = "invalid-time", "Times are written as RFC 3339 has them.";
    NOT_BASE64 = "not-base64", "The data of a Secret is encoded in Base64.";
    MALFORMED_NAME = "malformed-name", "Names are such that Kubernetes takes them.";
    DUPLICATE_OBJECT = "duplicate-object", "An object is defined once.";
    UNKNOWN_KIND = "unknown-kind", "Kinds in the groups of KEDA are KEDA's.";
    UNKNOWN_API_VERSION = "unknown-api-version", "Kinds of KEDA are of the version that is served.";
    KEDA_1_MANIFEST = "keda-1-manifest", "Manifests are KEDA 2's.";
    TOO_MANY_PROBLEMS = "too-many-problems", "An object has few enough problems to show them all.";
    // What objects refer to.
    MISSING_TARGET = "missing-target", "The target of a ScaledObject exists.";
    NOT_SCALABLE = "not-scalable", "The target is of a kind that can be scaled.";
    MISSING_CONTAINER = "missing-container", "The container whose environment is read exists.";
    MISSING_AUTHENTICATION = "missing-authentication", "The TriggerAuthentication of a trigger exists.";
    MISSING_AUTHENTICATION_VALUE = "missing-authentication-value",
        "Secrets and ConfigMaps hold what a TriggerAuthentication reads.";
    UNUSABLE_AUTHENTICATION = "unusable-authentication", "A TriggerAuthentication can be used by its trigger.";
    INVALID_AUTHENTICATION = "invalid-authentication", "A TriggerAuthentication is one that the webhooks accept.";
    UNSET_VARIABLE = "unset-variable", "The variables that a trigger reads are set.";
    UNKNOWN_ENVIRONMENT = "unknown-environment", "The variables that a trigger reads can be looked up.";
    // Triggers.
    UNKNOWN_TRIGGER_TYPE = "unknown-trigger-type", "Trigger types are in the catalogue.";
    UNKNOWN_METADATA_KEY = "unknown-metadata-key", "Keys of a trigger's metadata are among its type's.";
    MISSING_PARAMETER = "missing-parameter", "Required parameters of a trigger are given.";
    INVALID_VALUE = "invalid-value", "Parameters of a trigger can be read.";
    INVALID_METADATA = "invalid-metadata", "Parameters of a trigger go together.";
    METRIC_TYPE = "metric-type", "The metric type is one that the trigger's metrics can have.";
    DEPRECATED_PARAMETER = "deprecated-parameter", "Parameters of a trigger are not deprecated.";
    INCORRECT_TRIGGERS = "incorrect-triggers", "Names of triggers differ, and metrics are cached only where that is possible.";
    // What the webhooks refuse.
    INCORRECT_REPLICAS = "incorrect-replicas", "Idle, minimum and maximum replicas are in this order.";
    INCORRECT_FALLBACK = "incorrect-fallback", "A fallback has numbers and a trigger that it can be for.";
    SCALING_MODIFIERS = "scaling-modifiers", "The formula and target of scalingModifiers can be computed.";
    SCALING_MODIFIERS_FALLBACK = "scaling-modifiers-fallback", "A fallback of the formula has a formula.";
    NAME_TOO_LONG = "name-too-long", "The name of a ScaledObject fits into a label.";
    HPA_NAME_TOO_LONG = "hpa-name-too-long", "The name of an HPA fits into a label.";
    SCALE_TO_ZERO = "scale-to-zero-requirements-not-met", "What scales to zero has a trigger that can wake it up.";
    MISSING_REQUESTS = "missing-requests", "Containers scaled by their utilization request that resource.";
    OTHER_SCALED_OBJECT = "other-scaled-object", "A workload is the target of one ScaledObject.";
    OTHER_SCALED_OBJECT_HPA = "other-scaled-object-hpa", "ScaledObjects have HPAs of their own.";
    OTHER_HPA = "other-hpa", "A workload is scaled by no other HPA.";
    TRANSFER_WITHOUT_NAME = "transfer-ownership-missing-hpa-name", "An HPA that is taken over is named.";
    INVALID_EVENT_TYPES = "invalid-event-types", "A CloudEventSource names types of events that there are.";
    // What is legal and probably not meant.
    INVALID_BEHAVIOR = "invalid-behavior", "The behavior of the HPA is one that Kubernetes accepts.";
    INVALID_ANNOTATION = "invalid-annotation", "Annotations of KEDA are known and can be read.";
    UNKNOWN_TIME_ZONE = "unknown-time-zone", "Time zones are in the database of time zones.";
    UNREAD_PARAMETER = "unread-parameter", "A trigger reads what its TriggerAuthentication gives.";
    WITHOUT_EFFECT = "without-effect", "Settings have an effect.";
    PLAIN_TEXT_SECRET = "plain-text-secret", "Secrets stand in Secrets.";
    ZERO_THRESHOLD = "zero-threshold", "Targets are above 0.";
    IGNORED_BY_FORMULA = "ignored-by-formula", "The formula uses every trigger.";
}

rules! {
    /// The rules for what is to run, and must therefore be complete.
    RUNNING;
    INVALID_METRICS = "invalid-metrics", "The triggers' metrics make an HPA.";
    MISSING_REFERENCE = "missing-reference", "What an environment refers to exists.";
    UNSUPPORTED_AUTHENTICATION = "unsupported-authentication", "Ways to log in are among those that are built in.";
    NO_CONTAINER = "no-container", "A workload has a container to run.";
    NO_COMMAND = "no-command", "The container has a command.";
    SEVERAL_CONTAINERS = "several-containers", "A workload has one container.";
    INVALID_PROBE = "invalid-probe", "Probes are such that they can be made here.";
    UNKNOWN_FIELD_REFERENCE = "unknown-field-reference", "Variables refer to fields that there are here.";
    SAME_NAME = "same-name", "Workloads have different names.";
    TARGET_TAKEN = "target-taken", "A workload is the target of one ScaledObject that runs.";
    NOT_RUN = "not-run", "Objects are of kinds that run here.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_given_once_and_in_kebab_case() {
        let mut ids: Vec<&str> = [OFFLINE, RUNNING].concat().iter().map(|rule| rule.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(ids.iter().all(|id| id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))));
    }
}
