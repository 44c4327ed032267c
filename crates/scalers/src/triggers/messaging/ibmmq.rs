//! `ibmmq`: the messages in queues of IBM MQ (`scalers/ibmmq.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::json;

use crate::client::Sources;
use crate::client::certificates::Certificates;
use crate::client::http::{self, Answer};
use crate::client::request_uri::RequestUri;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable, float};

/// Scale on the depth of queues in IBM MQ.
///
/// The value is the current depth (`CURDEPTH`) of a local queue, asked for over the administrative REST API of the
/// mqweb server; of several queues it is what `operation` says. One replica is wanted per `queueDepth` messages, and
/// the target leaves zero when the value is above `activationQueueDepth`.
///
/// Log in with `username` and `password` of a user of the mqweb server who may run `DISPLAY QLOCAL` through the API
/// (HTTP Basic), and with `cert` and `key` too where the server asks for a certificate. Pod identities are not used.
///
/// - Several queues count as the longest one by default: set `operation` to `sum` where the replicas read all of them.
/// - One queue that does not exist, or cannot be read, makes the whole reading fail.
/// - `ca` is used only together with `cert` and `key`; for a server whose certificate is unknown there is `unsafeSsl`.
///
/// ```yaml
/// type: ibmmq
/// metadata:
///   host: https://ibmmq.shop.svc:9443/ibmmq/rest/v2/admin/action/qmgr/SHOP/mqsc
///   queueNames: ORDERS.IN,REFUNDS.IN
///   operation: sum
///   queueDepth: "50"
///   activationQueueDepth: "5"
/// authenticationRef:
///   name: ibmmq-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: ibmmq-login
///     key: username
///   - parameter: password
///     name: ibmmq-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct IbmMq {
    /// Address of the queue manager's MQSC resource, such as
    /// `https://host:9443/ibmmq/rest/v2/admin/action/qmgr/QM1/mqsc`, where `QM1` is the queue manager.
    #[meta(trigger)]
    host: String,
    /// Names of the local queues, such as `ORDERS.IN,REFUNDS.IN`; each is asked for by a request of its own.
    #[meta(names("queueName", "queueNames"), trigger)]
    queue_names: Vec<String>,
    /// Messages that one replica is expected to handle; with several queues, of the one number that `operation` makes.
    #[meta(trigger, default = "20")]
    queue_depth: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_queue_depth: i64,
    /// How to make one number of several queues: the longest, the average (rounded down), or all added up.
    #[meta(trigger, default = "max", one_of("max", "avg", "sum"))]
    operation: String,
    /// User of the mqweb server.
    #[meta(auth, env, trigger)]
    username: String,
    /// Password of the user.
    #[meta(auth, env, trigger)]
    password: Secret,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    #[meta(group)]
    certificates: Certificates,
}

impl IbmMq {
    fn check(&mut self, reader: &mut Reader<'_>) {
        // A missing host was reported already.
        if !self.host.is_empty()
            && let Err(error) = RequestUri::parse(&self.host)
        {
            reader.error_at("host", format!("invalid URL: {error}"));
            return;
        }
        if self.certificates.is_half() {
            reader.error("both cert and key must be provided when using TLS");
        } else if self.certificates.is_whole()
            && let Err(message) = self.certificates.check()
        {
            reader.error(message);
        }
    }

    /// One number of those of all queues.
    fn combine(&self, depths: &[i64]) -> Result<i64, SourceError> {
        let sum = || depths.iter().fold(0_i64, |sum, depth| sum.saturating_add(*depth));
        match self.operation.as_str() {
            "max" => Ok(depths.iter().copied().max().unwrap_or_default()),
            "sum" => Ok(sum()),
            "avg" => Ok(i64::try_from(depths.len()).ok().and_then(|queues| sum().checked_div(queues)).unwrap_or(0)),
            other => Err(SourceError::configuration(format!("operation {other:?} is none of max, avg and sum"))),
        }
    }

    /// Named after the first queue only.
    fn metric_name(&self) -> String {
        normalize(&format!("ibmmq-{}", self.queue_names.first().map_or("", String::as_str)))
    }
}

impl Trigger for IbmMq {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.queue_depth)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &self.certificates.options_with_pair(self.unsafe_ssl))?;
        let mut url = match http::address(&self.host, "host") {
            Ok(url) => url,
            Err(error) => return Ok(Box::new(Unreadable(error))),
        };
        http::remove_login(&mut url);
        Ok(Box::new(QueueManager { client, url, trigger: self }))
    }
}

struct QueueManager {
    client: Arc<Client>,
    url: Url,
    trigger: IbmMq,
}

#[async_trait]
impl Scaler for QueueManager {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let depth = self.depth().await.map_err(|error| error.within("error inspecting IBM MQ queue depth"))?;
        let sample = Sample::above(float(depth), float(self.trigger.activation_queue_depth));
        Ok(vec![(self.trigger.metric_name(), sample)])
    }
}

impl QueueManager {
    async fn depth(&self) -> Result<i64, SourceError> {
        let mut depths = Vec::new();
        for queue in &self.trigger.queue_names {
            depths.push(self.depth_of(queue).await?);
        }
        self.trigger.combine(&depths)
    }

    async fn depth_of(&self, queue: &str) -> Result<i64, SourceError> {
        let command = json!({
            "type": "runCommandJSON",
            "command": "display",
            "qualifier": "qlocal",
            "name": queue,
            "responseParameters": ["CURDEPTH"],
        });
        let request = self.client.post(self.url.clone()).header("ibm-mq-rest-csrf-token", "value").json(&command);
        let request = request.basic_auth(&self.trigger.username, Some(self.trigger.password.expose()));
        judge(&http::send(request).await?, queue)
    }
}

/// What the server answers to a command.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reply {
    command_response: Vec<Response>,
    error: Vec<Failure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    message: Vec<String>,
    parameters: Parameters,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    curdepth: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Failure {
    message: String,
}

/// The depth of a queue, in the answer to the question for it.
fn judge(answer: &Answer, queue: &str) -> Result<i64, SourceError> {
    let unknown = || format!("failed to get the current queue depth parameter for queue {queue}");
    match answer.status.as_u16() {
        200 => {}
        401 => {
            let message = "authentication failed: incorrect username or password";
            return Err(SourceError::new(ErrorKind::Denied, message));
        }
        404 => {
            let error = serde_json::from_str::<Reply>(&answer.body).unwrap_or_default().error.into_iter().next();
            let message = error.map(|error| http::excerpt(&error.message)).filter(|message| !message.is_empty());
            return Err(SourceError::configuration(message.unwrap_or_else(unknown)));
        }
        status => {
            let message = format!("unexpected status code {status} for queue {queue}");
            return Err(SourceError::new(http::status_kind(answer.status), message));
        }
    }
    let reply: Reply = http::decode(&answer.body, &format!("queue {queue}"))?;
    let response = reply.command_response.into_iter().next().unwrap_or_default();
    if let Some(message) = response.message.into_iter().next() {
        return Err(SourceError::configuration(http::excerpt(&message)));
    }
    response.parameters.curdepth.ok_or_else(|| SourceError::malformed(unknown()))
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (IbmMq, Vec<String>) {
        let login = [("username", "u"), ("password", "p")];
        let inputs = Inputs::from_metadata(metadata.iter().copied())
            .with_authentication(login.into_iter().chain(authentication.iter().copied()));
        let (trigger, problems) = parse::<IbmMq>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_first_queue_gives_the_name() {
        let (trigger, problems) = parsed(&[("host", "https://h/mqsc"), ("queueNames", "DEV.QUEUE.1, other")], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("ibmmq-DEV-QUEUE-1", Target::Integer(20));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn several_queues_make_one_number() {
        let combined = |operation: &str| {
            let metadata = [("host", "https://h/mqsc"), ("queueNames", "a,b"), ("operation", operation)];
            parsed(&metadata, &[]).0.combine(&[3, 6]).map_err(|error| error.kind)
        };
        assert_eq!(["max", "sum", "avg"].map(combined), [Ok(6), Ok(9), Ok(4)]);
        assert_eq!(combined("max,sum"), Err(ErrorKind::Configuration));
    }

    #[test]
    fn host_operation_and_certificates_are_checked() {
        let refused = |host: &str, operation: &str, authentication: &[(&str, &str)]| {
            parsed(&[("host", host), ("queueName", "q"), ("operation", operation)], authentication).1.join("; ")
        };
        assert!(refused("nonsense", "max", &[]).contains("invalid URL"));
        assert!(refused("http://h", "middle", &[]).contains("must be one of [max avg sum]"));
        assert!(refused("http://h", "sum", &[("key", "k")]).contains("both cert and key must be provided"));
        assert_eq!(refused("http://h", "max,sum", &[("ca", "unused")]), "");
    }
}
