//! `splunk`: a field of the first row of a saved search (`scalers/splunk.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::request_uri::RequestUri;
use crate::trigger::{Specs, Trigger};

/// Scale on a field of the first row of a saved search in Splunk.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Splunk {
    /// Token of the API, in place of a password.
    #[meta(auth, optional)]
    api_token: Secret,
    /// The password, in place of a token.
    #[meta(auth, optional)]
    password: Secret,
    /// The user, to whom the saved search belongs.
    #[meta(auth)]
    username: String,
    /// Address of the management API.
    #[meta(trigger)]
    host: String,
    /// Whether to take any certificate of the server.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    /// What one replica is expected to handle.
    #[meta(trigger)]
    target_value: i64,
    /// Whole number above which the target leaves zero.
    #[meta(trigger)]
    activation_value: i64,
    /// Name of the saved search.
    #[meta(trigger)]
    saved_search_name: String,
    /// The field that holds the value.
    #[meta(trigger)]
    value_field: String,
}

impl Splunk {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if !self.host.is_empty() && RequestUri::parse(&self.host).is_err() {
            reader.error_at("host", "invalid value for host. Must be a valid URL such as https://localhost:8089");
        }
        if !self.api_token.is_empty() && !self.password.is_empty() {
            reader.error(
                "API token and Password were all set. If APIToken is set, username and password must not be used",
            );
        }
    }
}

impl Trigger for Splunk {
    fn specs(&self, _: &Context) -> Specs {
        let name = normalize(&format!("splunk-{}", self.saved_search_name));
        Specs::one(MetricSpec::external(name, Target::Integer(self.target_value)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(host: &str, authentication: &[(&str, &str)]) -> (Splunk, Vec<String>) {
        let metadata = [
            ("host", host),
            ("savedSearchName", "my/report"),
            ("valueField", "count"),
            ("targetValue", "5"),
            ("activationValue", "2"),
        ];
        let inputs = Inputs::from_metadata(metadata).with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Splunk>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    const HOST: &str = "https://localhost:8089";

    #[test]
    fn the_metric_is_named_after_the_search() {
        let (trigger, problems) = parsed(HOST, &[("username", "admin")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("splunk-my-report", Target::Integer(5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_host_is_an_address_and_a_login_one_of_two() {
        assert!(parsed("fake", &[("username", "u")]).1[0].starts_with("invalid value for host"));
        assert!(parsed(HOST, &[]).1[0].contains("missing required parameter \"username\""));
        let both = [("username", "u"), ("apiToken", "hunter2"), ("password", "hunter3")];
        assert!(parsed(HOST, &both).1[0].starts_with("API token and Password were all set"));
    }
}
