//! `new-relic`: the first number that an NRQL query gives (`scalers/new-relic.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the result of an NRQL query.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct NewRelic {
    /// Number of the account.
    #[meta(auth, trigger)]
    account: i64,
    /// Region of the account: `US`, `EU`, `JP`, `GOV` or `FedRAMP`, `Staging` or `Local`; any other counts as `US`.
    #[meta(auth, trigger, default = "US")]
    region: String,
    /// Key of a user.
    #[meta(auth, trigger)]
    query_key: Secret,
    /// Whether a result without a number is an error; otherwise it counts as 0.
    #[meta(trigger, default = "false")]
    no_data_error: bool,
    /// The query, of whose result the first row counts.
    #[meta(trigger)]
    nrql: String,
    /// What one replica is expected to handle.
    #[meta(trigger)]
    threshold: f64,
    /// Value above which the target leaves zero.
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
