//! `graphite`: the last point of a series of Graphite (`scalers/graphite.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the last point of a series of Graphite.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Graphite {
    /// Address of the server.
    #[meta(trigger)]
    server_address: String,
    /// The query, which must give one series.
    #[meta(trigger)]
    query: String,
    /// What one replica is expected to handle.
    #[meta(trigger, default = "100")]
    threshold: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_threshold: f64,
    /// Start of the time window, such as `-10Minutes`.
    #[meta(trigger)]
    query_time: String,
    /// Whether a user must be given.
    #[meta(trigger, optional, one_of("basic"))]
    auth_mode: String,
    /// The user.
    #[meta(auth, optional)]
    username: String,
    /// The password.
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
