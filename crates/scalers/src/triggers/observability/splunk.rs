//! `splunk`: a field of the first row of a saved search (`scalers/splunk.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::request_uri::RequestUri;
use crate::trigger::{Specs, Trigger};

/// Scale on a field of the first row of a saved search in Splunk.
///
/// What counts is the field `valueField` of the first row that the saved search `savedSearchName` gives; a search
/// without rows, or without the field, is an error. So let the search end in a figure, as with `| stats count`. One
/// replica is wanted per `targetValue` of the number. The target leaves zero when its whole part is above
/// `activationValue`: 0.9 is not above 0. Both are whole numbers and must be given.
///
/// The search runs anew at every reading, so keep its time range short. It is looked for in the app `search` of the
/// user `username`, who must own it or be allowed to use it; its name should have letters, digits, `-` and `_` only.
///
/// `host` is the address of the management API, usually on port 8089, and not that of the web interface. Log in with a
/// TriggerAuthentication: always `username`, and either `apiToken` or `password`; both together are refused.
///
/// ```yaml
/// type: splunk
/// metadata:
///   host: https://splunk.monitoring.svc:8089
///   savedSearchName: waiting-returns
///   valueField: count
///   targetValue: "20"
///   activationValue: "2"
/// authenticationRef:
///   name: splunk-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: splunk-login
///     key: username
///   - parameter: apiToken
///     name: splunk-login
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct Splunk {
    /// Token of the user for the API. Excludes `password`.
    #[meta(auth, optional)]
    api_token: Secret,
    /// Password of the user. Excludes `apiToken`.
    #[meta(auth, optional)]
    password: Secret,
    /// User to whom the saved search belongs; needed with `apiToken` too.
    #[meta(auth)]
    username: String,
    /// Address of the management API as a URL, such as `https://splunk.monitoring.svc:8089`.
    #[meta(trigger)]
    host: String,
    /// Whether to take any certificate of the server.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    /// What one replica is expected to handle, as a whole number in the unit of the field.
    #[meta(trigger)]
    target_value: i64,
    /// Whole number above which the target leaves zero; the part of the value after the point does not count.
    #[meta(trigger)]
    activation_value: i64,
    /// Name of the saved search, such as `waiting-returns`.
    #[meta(trigger)]
    saved_search_name: String,
    /// Field of the first row that holds the number, such as `count`.
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
