//! Checks of a CloudEventSource or ClusterCloudEventSource.

use crate::api::EventSubscription;

/// The types that a filter may name.
const TYPES: [&str; 13] = [
    "keda.scaledobject.ready.v1",
    "keda.scaledobject.failed.v1",
    "keda.scaledobject.removed.v1",
    "keda.scaledobject.paused.v1",
    "keda.scaledobject.unpaused.v1",
    "keda.scaledjob.ready.v1",
    "keda.scaledjob.failed.v1",
    "keda.scaledjob.removed.v1",
    "keda.scaledjob.paused.v1",
    "keda.scaledjob.unpaused.v1",
    "keda.scaledjob.rolloutcleanup.started.v1",
    "keda.scaledjob.rolloutcleanup.completed.v1",
    "keda.scaledjob.rolloutcleanup.failed.v1",
];

/// Checks which events a source wants.
///
/// # Errors
/// KEDA's text.
pub fn check_event_types(subscription: &EventSubscription) -> Result<(), String> {
    let (excluded, included) = (&subscription.excluded_event_types, &subscription.included_event_types);
    if !excluded.is_empty() && !included.is_empty() {
        return Err("setting included types and excluded types at the same time is not supported".to_string());
    }
    for (field, types) in [("excludedEventType", excluded), ("includedEventType", included)] {
        if let Some(unknown) = types.iter().find(|name| !TYPES.contains(&name.as_str())) {
            return Err(format!(
                "{field}: {unknown} in cloudeventsource/clustercloudeventsource spec is not supported"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_filter_with_known_types_is_accepted() {
        let check = |included: &[&str], excluded: &[&str]| {
            let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            check_event_types(&EventSubscription {
                included_event_types: list(included),
                excluded_event_types: list(excluded),
            })
        };
        assert_eq!(check(&[], &[]), Ok(()));
        assert_eq!(check(&[TYPES[0]], &[]), Ok(()));
        assert!(check(&[TYPES[0]], &[TYPES[1]]).is_err());
        assert!(check(&[], &["keda.authentication.triggerauthentication.created.v1"]).is_err());
    }
}
