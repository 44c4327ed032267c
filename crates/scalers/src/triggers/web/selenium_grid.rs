//! `selenium-grid`: the nodes that waiting and running sessions of a grid need (`scalers/selenium-grid.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the nodes that waiting and running sessions of a Selenium Grid need.
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct SeleniumGrid {
    /// Address of the grid's GraphQL endpoint.
    #[meta(auth, trigger)]
    url: Secret,
    /// How to log in: `Basic`, or the scheme that goes before the access token.
    #[meta(auth, env, optional)]
    auth_type: String,
    /// The user.
    #[meta(auth, env, optional)]
    username: String,
    /// The password.
    #[meta(auth, env, optional)]
    password: Secret,
    /// The access token.
    #[meta(auth, env, optional)]
    access_token: Secret,
    /// Browser of the sessions.
    #[meta(trigger, optional)]
    browser_name: String,
    /// Browser of running sessions, where the grid names it otherwise; by default the same.
    #[meta(trigger, optional)]
    session_browser_name: String,
    /// Version of the browser, of which a session may give the beginning.
    #[meta(trigger, optional)]
    browser_version: String,
    /// Platform of the sessions.
    #[meta(trigger, optional)]
    platform_name: String,
    /// Nodes above which the target leaves zero.
    #[meta(trigger, optional)]
    activation_threshold: i64,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// Sessions that one node can have at once.
    #[meta(trigger, default = "1")]
    node_max_sessions: i64,
    /// Whether nodes can serve sessions that want managed downloads.
    #[meta(trigger, default = "true")]
    enable_managed_downloads: bool,
    /// More capabilities of the sessions, as a JSON object.
    #[meta(trigger, optional)]
    capabilities: String,
}

impl SeleniumGrid {
    fn check(&mut self, _: &mut Reader<'_>) {
        if self.session_browser_name.is_empty() {
            self.session_browser_name.clone_from(&self.browser_name);
        }
    }

    fn metric_name(&self) -> String {
        let parts = ["selenium-grid", &self.browser_name, &self.browser_version, &self.platform_name];
        let given: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        normalize(&given.join("-"))
    }
}

impl Trigger for SeleniumGrid {
    /// One replica for each node.
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(1)))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)]) -> (SeleniumGrid, Vec<String>) {
        let (trigger, problems) =
            parse::<SeleniumGrid>(&Inputs::from_metadata(metadata.iter().copied()), &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    const URL: (&str, &str) = ("url", "http://h:4444/graphql");

    #[test]
    fn the_metric_is_named_after_what_is_given_of_the_browser() {
        let (trigger, problems) = parsed(&[URL, ("browserName", "chrome"), ("platformName", "Windows 8.1")]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(trigger.session_browser_name, "chrome");
        let spec = MetricSpec::external("selenium-grid-chrome-Windows 8-1", Target::Integer(1));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(parsed(&[URL]).0.metric_name(), "selenium-grid");
    }

    #[test]
    fn an_address_is_wanted_and_numbers_are_whole() {
        assert!(parsed(&[]).1[0].contains("missing required parameter \"url\" in [authParams triggerMetadata]"));
        assert!(parsed(&[URL, ("activationThreshold", "AA")]).1[0].contains("unable to set param"));
    }
}
