//! `graphite`: the last point of a series of Graphite (`scalers/graphite.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the last point of a series of Graphite.
///
/// What counts is the last point with a value of the one series that `query` gives. Several series are an error, so
/// make one of them with a function such as `sumSeries`; an empty answer counts as 0, as for a metric that does not
/// exist. A window without any value is an error: a longer `queryTime` helps. One replica is wanted per `threshold` of
/// the number, which is 100 where nothing is said. The target leaves zero when the number is above
/// `activationThreshold`.
///
/// `queryTime` says how far back to look, such as `-5Minutes`, and cannot have blanks.
///
/// Where the server wants a login, give `authMode: basic` in the metadata, and `username` and `password` in a
/// TriggerAuthentication. There is no other way to log in, and the certificate of an `https://` server is always
/// checked.
///
/// ```yaml
/// type: graphite
/// metadata:
///   serverAddress: http://graphite.monitoring.svc:8080
///   query: sumSeries(shop.*.uploads.waiting)
///   queryTime: -5Minutes
///   threshold: "30"
///   activationThreshold: "3"
///   authMode: basic
/// authenticationRef:
///   name: graphite-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: graphite-login
///     key: username
///   - parameter: password
///     name: graphite-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Graphite {
    /// Address of the server as a URL without `/render`, such as `http://graphite.monitoring.svc:8080`.
    #[meta(trigger)]
    server_address: String,
    /// The query, as in Graphite's parameter `target`; it must give one series.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle, in the unit of the query.
    #[meta(trigger, default = "100")]
    threshold: f64,
    /// Result of the query above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// Start of the time window, as in Graphite's parameter `from`, such as `-10Minutes`; without blanks.
    #[meta(trigger)]
    query_time: String,
    /// How to log in; `basic` demands a `username`.
    #[meta(trigger, optional, one_of("basic"))]
    auth_mode: String,
    /// User to log in as; needed with `authMode`.
    #[meta(auth, optional)]
    username: String,
    /// Password of the user.
    #[meta(auth, optional)]
    password: Secret,
}

impl Graphite {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.auth_mode == "basic" && self.username.is_empty() {
            reader.error("username is required when authMode is 'basic'");
        }
    }
}

impl Trigger for Graphite {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external("graphite", Target::Float(self.threshold)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (Graphite, Vec<String>) {
        let required = [("serverAddress", "http://g:81"), ("query", "a.b"), ("queryTime", "-10Minutes")];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Graphite>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn a_hundred_is_the_target_of_who_gives_none() {
        let (trigger, problems) = parsed(&[], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("graphite", Target::Float(100.0));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn basic_wants_a_user_from_the_authentication() {
        let basic = [("authMode", "basic"), ("username", "u")];
        assert!(parsed(&basic[..1], &[("username", "u")]).1.is_empty());
        let message = "username is required when authMode is 'basic'";
        assert!(parsed(&basic, &[("password", "p")]).1.contains(&message.to_string()));
        assert!(parsed(&[("authMode", "tls")], &[]).1[0].contains("must be one of [basic]"));
    }
}
