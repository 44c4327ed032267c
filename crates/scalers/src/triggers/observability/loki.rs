//! `loki`: the value of an instant LogQL query (`scalers/loki.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};

use crate::client::authentication::Authentication;
use crate::trigger::{Specs, Trigger};

/// Scale on the result of a LogQL query of Loki.
///
/// The query is an instant one that makes a number of the logs, such as with `rate` or `count_over_time`, and its
/// result must be a single element, so put `sum(…)` around it. A query that gives log lines counts as empty. One
/// replica is wanted per `threshold` of the number. The target leaves zero when the number is above
/// `activationThreshold`.
///
/// An empty result counts as 0 by default, which is also what a mistyped label gives. With `ignoreNullValues: "false"`
/// it is an error, so that `fallback` can step in.
///
/// `serverAddress` may be just the server, as the path `/loki/api/v1/query` is added where it is missing; a path before
/// it is kept. Where the server has tenants, give `tenantName`.
///
/// Log in with `authModes: basic` (`username`, `password`), `bearer` (`bearerToken`) or `custom` (`customAuthHeader`,
/// `customAuthValue`) and a TriggerAuthentication that has the parameters in brackets. The modes `tls`, `oauth` and
/// `apiKey` are accepted and have no effect, and neither has `ca`; there is no pod identity.
///
/// ```yaml
/// type: loki
/// metadata:
///   serverAddress: http://loki-gateway.monitoring.svc
///   tenantName: shop
///   query: sum(count_over_time({app="storefront"} |= "quote requested" [2m]))
///   threshold: "60"
///   activationThreshold: "5"
///   authModes: basic
/// authenticationRef:
///   name: loki-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: loki-login
///     key: username
///   - parameter: password
///     name: loki-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Loki {
    /// Address of the server as a URL, such as `http://loki-gateway.monitoring.svc`; it may have a path, to which that
    /// of the query API is added.
    #[meta(trigger)]
    server_address: String,
    /// The LogQL query, which makes a number of the logs; its result must be a single element.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query.
    #[meta(trigger)]
    threshold: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// The tenant, where the server has several; it is sent as the header `X-Scope-OrgID`.
    #[meta(trigger, optional)]
    tenant_name: String,
    /// Whether an empty result counts as 0; otherwise it is an error.
    #[meta(trigger, default = "true")]
    ignore_null_values: bool,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    #[meta(group)]
    authentication: Authentication,
}

impl Loki {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if reader.context().as_metric_source {
            self.threshold = 0.0;
        }
    }
}

impl Trigger for Loki {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external("loki", Target::Float(self.threshold)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)]) -> (Loki, Vec<String>) {
        let (trigger, problems) = parse::<Loki>(&Inputs::from_metadata(metadata.iter().copied()), &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    const REQUIRED: [(&str, &str); 3] =
        [("serverAddress", "http://l:3100"), ("query", "sum(rate({a=\"b\"}[1m]))"), ("threshold", "0.7")];

    #[test]
    fn the_name_is_always_the_same() {
        let (trigger, problems) = parsed(&REQUIRED);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("loki", Target::Float(0.7));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_metric_of_a_formula_needs_a_threshold_too() {
        let context = Context { as_metric_source: true, ..Context::default() };
        let (_, problems) = parse::<Loki>(&Inputs::from_metadata(REQUIRED.into_iter().take(2)), &context);
        assert!(problems[0].message.contains("missing required parameter \"threshold\""));
        let (trigger, problems) = parse::<Loki>(&Inputs::from_metadata(REQUIRED), &context);
        assert!(problems.is_empty() && trigger.threshold == 0.0);
    }

    #[test]
    fn the_modes_want_their_own() {
        let with = |modes| [REQUIRED[0], REQUIRED[1], REQUIRED[2], ("authModes", modes)];
        assert!(parsed(&with("basic")).1[0].contains("username=<empty> is required"));
        assert!(parsed(&with("basic,bearer")).1[0].contains("only one of"));
    }
}
