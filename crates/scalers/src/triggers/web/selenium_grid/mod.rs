//! `selenium-grid`: the nodes that waiting and running sessions of a grid need (`scalers/selenium-grid.md`).

mod grid;
mod matching;
mod platform;

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder};
use serde_json::json;

use crate::client::Sources;
use crate::client::authentication::{with_basic, with_header};
use crate::client::http;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use grid::{Grid, QUESTION};
use matching::Kind;

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

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let tls = TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() };
        let client = sources.http.client(&sources.tls, &tls)?;
        Ok(Box::new(Endpoint { client, trigger: self }))
    }
}

struct Endpoint {
    client: Arc<Client>,
    trigger: SeleniumGrid,
}

#[async_trait]
impl Scaler for Endpoint {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let nodes = self.nodes().await.map_err(|error| error.within("error requesting selenium grid endpoint"))?;
        let sample = Sample { value: float(nodes), active: nodes > self.trigger.activation_threshold };
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

impl Endpoint {
    /// The nodes that are in use or wanted.
    async fn nodes(&self) -> Result<i64, SourceError> {
        let trigger = &self.trigger;
        let kind = Kind::new(trigger)?;
        let url = http::address(trigger.url.expose(), "url")?;
        let request = self.client.post(url).json(&json!({ "query": QUESTION }));
        let answer = http::send(trigger.with_login(request)?).await?;
        let answer = answer.json("Selenium Grid returned response status code")?;
        Ok(Grid::read(answer)?.nodes_for(&kind, trigger.node_max_sessions))
    }
}

impl SeleniumGrid {
    fn with_login(&self, request: RequestBuilder) -> Result<RequestBuilder, SourceError> {
        let is_basic = self.auth_type.eq_ignore_ascii_case("basic");
        if (is_basic || self.auth_type.is_empty()) && !self.username.is_empty() && !self.password.is_empty() {
            return with_basic(request, &self.username, &self.password);
        }
        if is_basic || self.access_token.is_empty() {
            return Ok(request);
        }
        let login = Secret::new(format!("{} {}", self.auth_type, self.access_token.expose()).trim());
        with_header(request, ("", "Authorization"), ("authType or accessToken", &login))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};
    use serde_json::{Value, json};

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

    const CHROME: [(&str, &str); 3] = [URL, ("browserName", "chrome"), ("platformName", "linux")];

    /// The nodes for a queue and for nodes with their maximum of sessions, those that run, and slots.
    fn nodes(more: &[(&str, &str)], queue: &[Value], grid: &[(i64, usize, i64)]) -> i64 {
        let metadata: Vec<_> = CHROME.iter().chain(more).copied().collect();
        let (trigger, _) = parsed(&metadata);
        let slot = json!({ "browserName": "chrome", "platformName": "linux", "app:team": "a" });
        let node = |(max_session, running, slots): &(i64, usize, i64)| {
            let session = json!({ "slot": { "stereotype": slot.to_string() } });
            json!({
                "status": "UP", "maxSession": max_session, "sessionCount": running,
                "stereotypes": json!([{ "slots": slots, "stereotype": slot }]).to_string(),
                "sessions": vec![session; *running],
            })
        };
        let grid = Grid::read(json!({ "data": {
            "nodesInfo": { "nodes": grid.iter().map(node).collect::<Vec<_>>() },
            "sessionsInfo": { "sessionQueueRequests": queue.iter().map(Value::to_string).collect::<Vec<_>>() },
        }}));
        grid.unwrap().nodes_for(&Kind::new(&trigger).unwrap(), trigger.node_max_sessions)
    }

    #[test]
    fn new_nodes_are_for_requests_that_no_free_slot_serves() {
        let chrome = json!({ "browserName": "Chrome", "platformName": "Linux" });
        let queue = |length| vec![chrome.clone(); length];
        let firefox = json!({ "browserName": "firefox", "platformName": "linux" });
        assert_eq!(nodes(&[], &[chrome.clone(), firefox, json!("no object")], &[]), 1);
        assert_eq!(nodes(&[("nodeMaxSessions", "2")], &queue(3), &[]), 2);
        assert_eq!(nodes(&[], &queue(1), &[(1, 0, 1)]), 0);
        assert_eq!(nodes(&[], &queue(1), &[(1, 1, 1)]), 2);
        assert_eq!(nodes(&[], &queue(3), &[(3, 1, 3)]), 2);
        assert_eq!(nodes(&[], &queue(200), &[]), 200);
    }

    #[test]
    fn requests_have_what_the_trigger_says_and_nothing_else() {
        let one = |more: &[(&str, &str)], request: Value| nodes(more, &[request], &[]) == 1;
        let request = |key: &str, value: Value| {
            let mut request = json!({ "browserName": "chrome", "platformName": "linux" });
            request[key] = value;
            request
        };
        assert!(one(&[("browserVersion", "91.0")], request("browserVersion", json!("91"))));
        assert!(!one(&[("browserVersion", "91.0")], request("browserVersion", json!("92"))));
        assert!(!one(&[], request("browserVersion", json!("91"))));
        assert!(!one(&[("browserVersion", "91.0")], request("x", json!(1))));
        assert!(!one(&[], request("browserName", json!(7))));
        assert!(one(&[], request("se:downloadsEnabled", json!(true))));
        assert!(!one(&[("enableManagedDownloads", "false")], request("se:downloadsEnabled", json!(true))));
        let team = [("capabilities", r#"{"app:team":"a","goog:x":1}"#)];
        assert!(one(&team, request("app:team", json!("a"))));
        assert!(!one(&team, request("app:team", json!("b"))));
    }
}
