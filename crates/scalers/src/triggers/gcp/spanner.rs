//! `gcp-spanner`: the number that a query gives (`scalers/gcp-spanner.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

use crate::client::gcp::GcpOptions;
use crate::trigger::{Specs, Trigger};

/// Scale on the number that a query in Spanner gives.
///
/// What counts is the first column of the first row. The replicas are that number divided by `targetValue`. The target
/// leaves zero when it is above `activationValue`.
///
/// The column must be an `INT64`; use `CAST` for anything else. No row counts as 0. The query runs at each reading, in
/// a transaction that only reads, so it should have an index that fits. `targetValue` must be above 0 even where a
/// formula (`scalingModifiers`) uses the trigger.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `gcp`, which is KEDA's own service
/// account, or the parameter `GoogleApplicationCredentials`, the key of a service account as JSON. Without one,
/// `credentialsFromEnv` names a variable of the target's container that holds such a key. The service account needs the
/// role `roles/spanner.databaseReader` on the database.
///
/// ```yaml
/// type: gcp-spanner
/// metadata:
///   projectId: ticket-shop
///   instanceId: main
///   databaseId: bookings
///   query: SELECT COUNT(*) FROM Bookings@{FORCE_INDEX=BookingsByState} WHERE State = 'NEW'
///   targetValue: "25"
///   activationValue: "5"
/// authenticationRef:
///   name: bookings-reader
/// ---
/// secretTargetRef:
///   - parameter: GoogleApplicationCredentials
///     name: bookings-reader
///     key: key.json
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Spanner {
    /// Id of the project that has the instance, such as `ticket-shop`.
    #[meta(trigger)]
    project_id: String,
    /// Id of the instance that has the database.
    #[meta(trigger)]
    instance_id: String,
    /// Id of the database.
    #[meta(trigger)]
    database_id: String,
    /// The query, in SQL: an `INT64` in the first column of its first row.
    #[meta(trigger)]
    query: String,
    /// The part of the number that one replica is expected to handle; above 0.
    #[meta(trigger, default = "5")]
    target_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_value: f64,
    #[meta(group)]
    options: GcpOptions,
}

impl Spanner {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.target_value <= 0.0 {
            let message = format!("targetValue must be greater than 0, got {}", self.target_value);
            reader.error_at("targetValue", message);
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("gcp-spanner-{}-{}-{}", self.instance_id, self.database_id, self.project_id))
    }
}

impl Trigger for Spanner {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.target_value)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(target: &str, context: &Context) -> (Spanner, Vec<String>) {
        let metadata = [
            ("projectId", "p"),
            ("instanceId", "i"),
            ("databaseId", "d.e"),
            ("query", "SELECT 1"),
            ("targetValue", target),
        ];
        let inputs = Inputs::from_metadata(metadata).with_authentication([("GoogleApplicationCredentials", "{}")]);
        let (trigger, problems) = parse(&inputs, context);
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_project_comes_last_in_the_name() {
        let (trigger, problems) = parsed("2.5", &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("gcp-spanner-i-d-e-p", Target::Float(2.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn the_target_is_above_zero_even_in_a_formula() {
        let source = Context { as_metric_source: true, ..Context::default() };
        for context in [Context::default(), source] {
            assert_eq!(parsed("0", &context).1, ["targetValue must be greater than 0, got 0"]);
        }
    }
}
