//! `selenium-grid`: the nodes that waiting and running sessions of a grid need (`scalers/selenium-grid.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the nodes that waiting and running sessions of a Selenium Grid need.
///
/// The value is the number of sessions that run, and of new nodes that the queued requests need beyond the free slots
/// of the grid. A replica is one node: the HPA wants as many replicas as the value says, which cannot be changed. The
/// target leaves zero when the value is above `activationThreshold`.
///
/// The grid is asked at its GraphQL endpoint. Log in with `username` and `password` (HTTP Basic), or with `authType`,
/// such as `Bearer`, and `accessToken`; all four come from a TriggerAuthentication or from variables. Pod identities
/// are not used.
///
/// Only sessions count that match the browser, its version, the platform and the capabilities, so use one trigger and
/// one Deployment for each kind of node:
///
/// - Where the trigger gives a browser or a version, the request must give it too, and the other way round. A platform
///   that is not given is `any`, which matches nothing else.
/// - `nodeMaxSessions` must be what the nodes really take at once (`SE_NODE_MAX_SESSIONS`).
/// - Where a scale-down ends a pod, its session ends too: let nodes drain before they go.
///
/// ```yaml
/// type: selenium-grid
/// metadata:
///   url: http://selenium-hub.tests.svc:4444/graphql
///   browserName: chrome
///   platformName: linux
///   nodeMaxSessions: "2"
/// authenticationRef:
///   name: selenium-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: selenium-login
///     key: username
///   - parameter: password
///     name: selenium-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct SeleniumGrid {
    /// Address of the grid's GraphQL endpoint, such as `http://selenium-hub.tests.svc:4444/graphql`.
    #[meta(auth, trigger)]
    url: Secret,
    /// How to log in: `Basic`, which is also meant when not given, or the scheme before the access token, such as
    /// `Bearer`.
    #[meta(auth, env, optional)]
    auth_type: String,
    /// User of HTTP Basic; needs `password`.
    #[meta(auth, env, optional)]
    username: String,
    /// Password of the user.
    #[meta(auth, env, optional)]
    password: Secret,
    /// Access token, sent after the scheme in `authType`.
    #[meta(auth, env, optional)]
    access_token: Secret,
    /// Browser that the nodes have, such as `chrome`, as it stands in the requests' `browserName`.
    #[meta(trigger, optional)]
    browser_name: String,
    /// Name of the browser in running sessions, where it is another than in requests, such as `msedge` for
    /// `MicrosoftEdge`; `browserName` when not given.
    #[meta(trigger, optional)]
    session_browser_name: String,
    /// Version of the browser that the nodes have, such as `128.0`. A request may give the beginning of it, such as
    /// `128`.
    #[meta(trigger, optional)]
    browser_version: String,
    /// Platform of the nodes, such as `linux` or `Windows 11`, as it stands in the requests' `platformName`; `any` when
    /// not given.
    #[meta(trigger, optional)]
    platform_name: String,
    /// Nodes above which the target leaves zero; 0 when not given.
    #[meta(trigger, optional)]
    activation_threshold: i64,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// Sessions that one node can have at once, as the nodes are configured.
    #[meta(trigger, default = "1")]
    node_max_sessions: i64,
    /// Whether the nodes can serve sessions that want managed downloads (`se:downloadsEnabled`).
    #[meta(trigger, default = "true")]
    enable_managed_downloads: bool,
    /// More capabilities of the nodes that a request must have too, as a JSON object such as `{"app:team": "billing"}`.
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
