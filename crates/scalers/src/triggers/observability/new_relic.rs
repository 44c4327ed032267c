//! `new-relic`: the first number that an NRQL query gives (`scalers/new-relic.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the result of an NRQL query of New Relic.
///
/// What counts is the first number in the first row of the result, so ask for a single figure, without `FACET` and
/// `TIMESERIES`. One replica is wanted per `threshold` of it. The target leaves zero when it is above
/// `activationThreshold`.
///
/// A result without a row or without a number counts as 0 by default. With `noDataError: "true"` it is an error, so
/// that `fallback` can step in. Say how far back the query looks (`SINCE 5 minutes ago`): New Relic takes the last hour
/// otherwise. A word for `region` that does not exist counts as `US`, and the login then fails.
///
/// Log in with `queryKey`, the key of a user (not one for ingest) who may query the account, in a
/// TriggerAuthentication. `account` and `region` may stand there too, or in the metadata.
///
/// ```yaml
/// type: new-relic
/// metadata:
///   account: "1234567"
///   region: EU
///   nrql: SELECT rate(count(*), 1 minute) FROM Transaction WHERE appName = 'storefront' SINCE 3 minutes ago
///   threshold: "300"
///   activationThreshold: "10"
///   noDataError: "true"
/// authenticationRef:
///   name: new-relic-key
/// ---
/// secretTargetRef:
///   - parameter: queryKey
///     name: new-relic-key
///     key: key
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct NewRelic {
    /// Number of the account, such as `1234567`.
    #[meta(auth, trigger)]
    account: i64,
    /// Region of the account: `US`, `EU`, `JP`, `GOV` or `FedRAMP`, `Staging` or `Local`, in any case of letters; any
    /// other counts as `US`.
    #[meta(auth, trigger, default = "US")]
    region: String,
    /// Key of a user who may query the account.
    #[meta(auth, trigger)]
    query_key: Secret,
    /// Whether a result without a number is an error; otherwise it counts as 0.
    #[meta(trigger, default = "false")]
    no_data_error: bool,
    /// The query in NRQL; the first number in the first row of its result counts.
    #[meta(trigger)]
    nrql: String,
    /// What one replica is expected to handle, in the unit of the query.
    #[meta(trigger)]
    threshold: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
}

impl NewRelic {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.context().as_metric_source {
            self.threshold = 0.0;
        }
    }
}

impl Trigger for NewRelic {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external("new-relic", Target::Float(self.threshold)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    const METADATA: [(&str, &str); 2] = [("nrql", "SELECT count(*) FROM X"), ("threshold", "0.5")];

    fn parsed(more: &[(&str, &str)]) -> (NewRelic, Vec<String>) {
        let inputs =
            Inputs::from_metadata(METADATA.iter().chain(more).copied()).with_authentication([("queryKey", "hunter2")]);
        let (trigger, problems) = parse::<NewRelic>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn any_region_will_do() {
        let (trigger, problems) = parsed(&[("account", "0"), ("region", "Atlantis")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("new-relic", Target::Float(0.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn an_account_is_a_number() {
        assert!(parsed(&[("account", "abc")]).1[0].contains("unable to set param \"account\""));
        assert!(parsed(&[]).1[0].contains("missing required parameter \"account\" in [authParams triggerMetadata]"));
    }
}
