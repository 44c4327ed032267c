//! The controller's texts about metrics, word for word: users match on them in conditions and events.

use super::calculator::MetricError;
use super::object::{LabelSelector, MetricIdentifier, MetricSpec};

/// A metric that makes no proposal: the reason and message of the condition, and the reconcile's error.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) error: String,
}

/// How a metric is called when it decides.
pub(super) fn name(metric: &MetricSpec) -> String {
    match metric {
        MetricSpec::External(source) => with_selector(&source.metric),
        // Not a slip of ours.
        MetricSpec::Object(source) if source.target.value.is_none() => with_selector(&source.metric),
        MetricSpec::Object(source) => format!("{} metric {}", source.described_object.kind, source.metric.name),
        MetricSpec::Pods(source) => format!("pods metric {}", source.metric.name),
        MetricSpec::Resource(source) if source.target.average_value.is_some() => format!("{} resource", source.name),
        MetricSpec::Resource(source) => format!("{} resource utilization (percentage of request)", source.name),
        MetricSpec::ContainerResource(source) if source.target.average_value.is_some() => {
            format!("{} resource", source.name)
        }
        MetricSpec::ContainerResource(source) => {
            format!("{} container resource utilization (percentage of request)", source.name)
        }
    }
}

/// What is told when a metric of an HPA in `namespace` failed.
pub(super) fn failure(metric: &MetricSpec, namespace: &str, error: &MetricError) -> Failure {
    let cause = in_context(metric, namespace, error);
    let (reason, error) = match metric {
        MetricSpec::External(source) => {
            let name = &source.metric.name;
            let inner = match (&source.target.average_value, &source.target.value) {
                (Some(_), _) => format!("failed to get {name} external metric: {cause}"),
                (None, Some(_)) => format!("failed to get external metric {name}: {cause}"),
                (None, None) => cause.clone(),
            };
            ("FailedGetExternalMetric", format!("failed to get {name} external metric value: {inner}"))
        }
        MetricSpec::Object(source) => {
            let inner = match source.target.value {
                None if source.target.average_value.is_some() => {
                    format!("failed to get {} object metric: {cause}", source.metric.name)
                }
                _ => cause.clone(),
            };
            ("FailedGetObjectMetric", format!("failed to get object metric value: {inner}"))
        }
        MetricSpec::Pods(_) => ("FailedGetPodsMetric", format!("failed to get pods metric value: {cause}")),
        MetricSpec::Resource(source) => {
            ("FailedGetResourceMetric", format!("failed to get {} resource metric value: {cause}", source.name))
        }
        MetricSpec::ContainerResource(source) => (
            "FailedGetContainerResourceMetric",
            format!("failed to get {} container metric value: {cause}", source.container),
        ),
    };
    Failure { reason, message: format!("the HPA was unable to compute the replica count: {cause}"), error }
}

fn in_context(metric: &MetricSpec, namespace: &str, error: &MetricError) -> String {
    let asking = matches!(error, MetricError::Unavailable(..) | MetricError::Empty(_));
    match metric {
        MetricSpec::External(source) if asking => {
            let MetricIdentifier { name, selector } = &source.metric;
            format!("unable to get external metric {namespace}/{name}/{}: {error}", selector_text(selector.as_ref()))
        }
        MetricSpec::Object(source) if asking => {
            let object = &source.described_object;
            format!(
                "unable to get metric {}: {} on {namespace} {}/{error}",
                source.metric.name, object.kind, object.name
            )
        }
        MetricSpec::Pods(source) if asking => format!("unable to get metric {}: {error}", source.metric.name),
        MetricSpec::External(_) | MetricSpec::Object(_) if *error == MetricError::NoPods => {
            format!("unable to calculate ready pods: {error}")
        }
        MetricSpec::Resource(source) => resource(&source.name, source.target.average_value.is_some(), asking, error),
        MetricSpec::ContainerResource(source) => {
            resource(&source.name, source.target.average_value.is_some(), asking, error)
        }
        _ => error.to_string(),
    }
}

fn resource(name: &str, raw: bool, asking: bool, error: &MetricError) -> String {
    let what = match error {
        MetricError::NoTarget(..) => return error.to_string(),
        _ if raw => "usage",
        _ => "utilization",
    };
    let asked = if asking { format!("unable to get metrics for resource {name}: ") } else { String::new() };
    format!("failed to get {name} {what}: {asked}{error}")
}

fn with_selector(metric: &MetricIdentifier) -> String {
    format!("external metric {}({})", metric.name, selector_text(metric.selector.as_ref()))
}

/// A selector as Go prints it.
fn selector_text(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".to_owned() };
    let labels: String = selector.match_labels.iter().map(|(key, value)| format!("{key}: {value},")).collect();
    let expression = |e: &super::object::LabelSelectorRequirement| {
        format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},", e.key, e.operator, e.values.join(" "))
    };
    let expressions: String = selector.match_expressions.iter().map(expression).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::calculator::Api;
    use super::super::object::{ExternalMetricSource, MetricTarget};
    use super::*;

    #[test]
    fn names_a_metric_with_its_selector() {
        let match_labels = [("scaledobject.keda.sh/name".to_owned(), "web".to_owned())].into_iter().collect();
        let selector = Some(LabelSelector { match_labels, match_expressions: vec![] });
        let target = MetricTarget { average_value: Some(5.into()), ..MetricTarget::default() };
        let metric = MetricIdentifier { name: "s0-queue".to_owned(), selector };
        let spec = MetricSpec::External(ExternalMetricSource { metric, target });
        assert_eq!(
            name(&spec),
            "external metric s0-queue(&LabelSelector{MatchLabels:map[string]string{scaledobject.keda.sh/name: web,},\
             MatchExpressions:[]LabelSelectorRequirement{},})"
        );
        let failure = failure(&spec, "shop", &MetricError::Unavailable(Api::External, "gone".to_owned()));
        assert_eq!(failure.reason, "FailedGetExternalMetric");
        assert!(failure.error.starts_with("failed to get s0-queue external metric value: failed to get s0-queue"));
        assert!(failure.message.ends_with("unable to fetch metrics from external metrics API: gone"));
    }
}
