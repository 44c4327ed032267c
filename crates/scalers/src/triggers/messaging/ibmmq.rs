//! `ibmmq`: the messages in queues of IBM MQ (`scalers/ibmmq.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::certificates::Certificates;
use crate::client::request_uri::RequestUri;
use crate::trigger::{Specs, Trigger};

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
#[expect(dead_code, reason = "read once the source is written")]
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

    /// Named after the first queue only.
    fn metric_name(&self) -> String {
        normalize(&format!("ibmmq-{}", self.queue_names.first().map_or("", String::as_str)))
    }
}

impl Trigger for IbmMq {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.queue_depth)))
    }
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
