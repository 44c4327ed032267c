//! `artemis-queue`: the messages in a queue of ActiveMQ Artemis (`scalers/artemis-queue.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Url;

use crate::client::Sources;
use crate::client::certificates::Certificates;
use crate::client::http;
use crate::client::jolokia::{self, Attribute, Properties, in_path};
use crate::client::request_uri::RequestUri;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable, float};

/// Scale on the messages in a queue of ActiveMQ Artemis.
///
/// The value is the `MessageCount` of one anycast queue, which includes messages that are being delivered. It is read
/// through Jolokia, the HTTP bridge of the broker's web console. One replica is wanted per `queueLength` messages, and
/// the target leaves zero when there are more than `activationQueueLength`.
///
/// Say where the queue is with `managementEndpoint`, `brokerName`, `brokerAddress` and `queueName`, or give the whole
/// address in `restApiTemplate`; only that one can say `https://` or a multicast queue. Log in with `username` and
/// `password` of a user of the console (HTTP Basic), and with `cert` and `key` too where a proxy before it wants a
/// certificate. Pod identities are not used.
///
/// - By default the target leaves zero at the eleventh message only: set `activationQueueLength` to `0` for the first.
/// - The console refuses requests whose `Origin` its `jolokia-access.xml` does not allow: give an allowed one in
///   `corsHeader`.
/// - `ca` is used only together with `cert` and `key`.
///
/// ```yaml
/// type: artemis-queue
/// metadata:
///   managementEndpoint: artemis.shop.svc:8161
///   brokerName: shop
///   brokerAddress: orders
///   queueName: orders
///   queueLength: "50"
///   activationQueueLength: "0"
/// authenticationRef:
///   name: artemis-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: artemis-login
///     key: username
///   - parameter: password
///     name: artemis-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct ArtemisQueue {
    /// Address of the web console, as `host:port`, without a scheme: it is asked over plain HTTP. Needed without
    /// `restApiTemplate`.
    #[meta(trigger, optional)]
    management_endpoint: String,
    /// Name of the queue. Needed without `restApiTemplate`.
    #[meta(trigger, optional)]
    queue_name: String,
    /// Name of the broker, as in its `broker.xml`. Needed without `restApiTemplate`.
    #[meta(trigger, optional)]
    broker_name: String,
    /// Address of the queue inside the broker, which often has the queue's name. Needed without `restApiTemplate`.
    #[meta(trigger, optional)]
    broker_address: String,
    /// User of the web console.
    #[meta(auth, trigger, env)]
    username: String,
    /// Password of the web console.
    #[meta(auth, trigger, env)]
    password: Secret,
    /// The whole address to read, which takes the place of `managementEndpoint`, `brokerName`, `brokerAddress` and
    /// `queueName`: `https://host:8161/console/jolokia/read/org.apache.activemq.artemis:` and right after it
    /// `broker="b",component=addresses,address="a",subcomponent=queues,routing-type="anycast",queue="q"/MessageCount`.
    /// The quotes stand as they are, not as `%22`.
    #[meta(trigger, optional)]
    rest_api_template: String,
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "10")]
    queue_length: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "10")]
    activation_queue_length: i64,
    /// The `Origin` header to send, such as `http://localhost`; `http://` and `managementEndpoint` when not given.
    #[meta(trigger, optional)]
    cors_header: String,
    /// Whether to take any certificate of the server; of use only where `restApiTemplate` says `https://`.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    #[meta(group)]
    certificates: Certificates,
}

impl ArtemisQueue {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let checked =
            if self.rest_api_template.is_empty() { self.check_single_parameters() } else { self.read_template() };
        if let Err(message) = checked.and_then(|()| self.check_certificates()) {
            reader.error(message);
        }
    }

    fn check_single_parameters(&self) -> Result<(), String> {
        let fields = [
            (&self.management_endpoint, "management endpoint"),
            (&self.queue_name, "queue name"),
            (&self.broker_name, "broker name"),
            (&self.broker_address, "broker address"),
        ];
        match fields.into_iter().find(|(value, _)| value.is_empty()) {
            Some((_, name)) => Err(format!("no {name} given")),
            None => Ok(()),
        }
    }

    /// Takes from the template what the single parameters would say, with the quotes around it.
    fn read_template(&mut self) -> Result<(), String> {
        let unreadable = |error: &str| format!("can't parse restApiTemplate: {error}");
        let address = RequestUri::parse(&self.rest_api_template).map_err(unreadable)?;
        // KEDA finds the names only where quotes stand as they are, not as `%22`.
        let path = address.raw_path.ok_or_else(|| unreadable("the names in its path must stand in quotes"))?;
        let properties = Properties::of_path(&path.replace("\"\"", "")).map_err(unreadable)?;
        self.management_endpoint = address.host;
        self.broker_address = properties.get("address").to_string();
        self.queue_name = properties.get("queue").to_string();
        self.broker_name = properties.get("broker").to_string();
        let fields = [
            (&self.broker_address, "no brokerAddress given"),
            (&self.queue_name, "no queueName is given"),
            (&self.broker_name, "no brokerName given"),
        ];
        match fields.into_iter().find(|(value, _)| value.is_empty()) {
            Some((_, message)) => Err(unreadable(message)),
            None => Ok(()),
        }
    }

    fn check_certificates(&self) -> Result<(), String> {
        if self.certificates.is_half() {
            return Err("both cert and key must be provided".to_string());
        }
        // A `ca` alone is not used.
        if self.certificates.is_whole() { self.certificates.check() } else { Ok(()) }
    }

    /// What is read: the template as it is, or the usual place of an anycast queue.
    fn url(&self) -> Result<Url, SourceError> {
        if !self.rest_api_template.is_empty() {
            return http::address(&self.rest_api_template, "restApiTemplate");
        }
        let text = format!(
            "http://{}/console/jolokia/read/org.apache.activemq.artemis:broker=\"{}\",component=addresses,\
             address=\"{}\",subcomponent=queues,routing-type=\"anycast\",queue=\"{}\"/MessageCount",
            self.management_endpoint,
            in_path(&self.broker_name),
            in_path(&self.broker_address),
            in_path(&self.queue_name)
        );
        http::address(&text, "managementEndpoint")
    }

    fn metric_name(&self) -> String {
        normalize(&format!("artemis-{}", self.queue_name))
    }
}

impl Trigger for ArtemisQueue {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.queue_length)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &self.certificates.options_with_pair(self.unsafe_ssl))?;
        let url = match self.url() {
            Ok(url) => url,
            Err(error) => return Ok(Box::new(Unreadable(error))),
        };
        let metric_name = self.metric_name();
        let origin = jolokia::origin(self.cors_header, &self.management_endpoint);
        let count = Attribute { client, url, login: (self.username, self.password), origin };
        Ok(Box::new(Queue { metric_name, activation: float(self.activation_queue_length), count }))
    }
}

struct Queue {
    metric_name: String,
    activation: f64,
    count: Attribute,
}

#[async_trait]
impl Scaler for Queue {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let count = float(self.count.read("artemis").await?);
        Ok(vec![(self.metric_name.clone(), Sample::above(count, self.activation))])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (ArtemisQueue, Vec<String>) {
        let login = [("username", "u"), ("password", "p")];
        let inputs = Inputs::from_metadata(metadata.iter().copied())
            .with_authentication(login.into_iter().chain(authentication.iter().copied()));
        let (trigger, problems) = parse::<ArtemisQueue>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    fn template(broker: &str) -> String {
        format!(
            "http://h:8161/console/jolokia/read/org.apache.activemq.artemis:broker=\"{broker}\",component=addresses,\
            address=\"test\",subcomponent=queues,routing-type=\"anycast\",queue=\"queue1\"/MessageCount"
        )
    }

    #[test]
    fn names_out_of_a_template_keep_their_quotes() {
        let (trigger, problems) = parsed(&[("restApiTemplate", &template("b"))], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("artemis-\"queue1\"", Target::Integer(10));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_template_needs_quotes_and_names_in_them() {
        assert!(parsed(&[("restApiTemplate", &template(""))], &[]).1[0].contains("no brokerName given"));
        let bare = template("b").replace('"', "");
        assert!(parsed(&[("restApiTemplate", &bare)], &[]).1[0].contains("must stand in quotes"));
    }

    #[test]
    fn certificate_and_key_come_together() {
        let whole = [("managementEndpoint", "h:1"), ("queueName", "q"), ("brokerName", "b"), ("brokerAddress", "a")];
        assert!(parsed(&whole, &[("ca", "unused")]).1.is_empty());
        assert_eq!(parsed(&whole, &[("cert", "c")]).1, ["both cert and key must be provided"]);
        assert_eq!(parsed(&whole[..3], &[]).1, ["no broker address given"]);
    }
}
