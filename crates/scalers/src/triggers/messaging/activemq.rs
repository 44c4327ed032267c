//! `activemq`: the messages in a queue of ActiveMQ Classic (`scalers/activemq.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Url;

use crate::client::Sources;
use crate::client::http;
use crate::client::jolokia::{self, Attribute, Properties, in_path};
use crate::client::request_uri::RequestUri;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable, float};

/// Scale on the messages in a queue of ActiveMQ Classic.
///
/// The value is the `QueueSize` of one queue: all messages that no consumer has acknowledged yet, so also those that
/// are being handled. It is read through Jolokia, the HTTP bridge of the broker's web console. One replica is wanted
/// per `targetQueueSize` messages, and the target leaves zero when there are more than `activationTargetQueueSize`.
///
/// Say where the queue is with `managementEndpoint`, `brokerName` and `destinationName`, or give the whole address in
/// `restAPITemplate`; only that one can begin with `https://`. Log in with `username` and `password` of a user of the
/// console, who may read through Jolokia (HTTP Basic). Pod identities and client certificates are not used.
///
/// - The console refuses requests whose `Origin` its `jolokia-access.xml` does not allow: give an allowed one in
///   `corsHeader`, if the default is not among them.
/// - A queue that the broker does not know is an error, not a queue without messages.
///
/// ```yaml
/// type: activemq
/// metadata:
///   managementEndpoint: activemq.shop.svc:8161
///   brokerName: shop
///   destinationName: orders
///   targetQueueSize: "50"
///   activationTargetQueueSize: "5"
/// authenticationRef:
///   name: activemq-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: activemq-login
///     key: username
///   - parameter: password
///     name: activemq-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct ActiveMq {
    /// Address of the web console, as `host:port`, without a scheme: it is asked over plain HTTP. Needed without
    /// `restAPITemplate`.
    #[meta(trigger, optional)]
    management_endpoint: String,
    /// Name of the queue. Needed without `restAPITemplate`.
    #[meta(trigger, optional)]
    destination_name: String,
    /// Name of the broker, as in its `brokerName` setting. Needed without `restAPITemplate`.
    #[meta(trigger, optional)]
    broker_name: String,
    /// User of the web console.
    #[meta(auth, env, trigger)]
    username: String,
    /// Password of the web console.
    #[meta(auth, env, trigger)]
    password: Secret,
    /// The `Origin` header to send, such as `http://localhost`; `http://` and `managementEndpoint` when not given.
    #[meta(trigger, optional)]
    cors_header: String,
    /// The whole address to read: `https://host:8162/api/jolokia/read/` and right after it
    /// `org.apache.activemq:type=Broker,brokerName=b,destinationType=Queue,destinationName=q/QueueSize`. It takes the
    /// place of `managementEndpoint`, `brokerName` and `destinationName`, which are then ignored.
    #[meta(name = "restAPITemplate", trigger, optional)]
    rest_api_template: String,
    /// Messages that one replica is expected to handle.
    #[meta(trigger, default = "10")]
    target_queue_size: i64,
    /// Messages above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_queue_size: i64,
}

impl ActiveMq {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let checked =
            if self.rest_api_template.is_empty() { self.check_single_parameters() } else { self.read_template() };
        if let Err(message) = checked {
            reader.error(message);
        }
    }

    fn check_single_parameters(&self) -> Result<(), String> {
        let fields = [
            (&self.management_endpoint, "management endpoint"),
            (&self.destination_name, "destination name"),
            (&self.broker_name, "broker name"),
        ];
        match fields.into_iter().find(|(value, _)| value.is_empty()) {
            Some((_, name)) => Err(format!("no {name} given")),
            None => Ok(()),
        }
    }

    /// Takes from the template what the single parameters would say.
    fn read_template(&mut self) -> Result<(), String> {
        let unreadable = |error: &str| format!("unable to parse ActiveMQ restAPITemplate: {error}");
        let address = RequestUri::parse(&self.rest_api_template).map_err(unreadable)?;
        let properties = Properties::of_path(&address.path).map_err(unreadable)?;
        self.management_endpoint = address.host;
        self.destination_name = properties.get("destinationName").to_string();
        self.broker_name = properties.get("brokerName").to_string();
        if self.destination_name.is_empty() {
            return Err("no destinationName is given".to_string());
        }
        if self.broker_name.is_empty() {
            return Err("no brokerName given in restAPITemplate".to_string());
        }
        Ok(())
    }

    /// What is read: the template as it is, or the usual place of the queue.
    fn url(&self) -> Result<Url, SourceError> {
        if !self.rest_api_template.is_empty() {
            return http::address(&self.rest_api_template, "restAPITemplate");
        }
        let text = format!(
            "http://{}/api/jolokia/read/org.apache.activemq:type=Broker,brokerName={},destinationType=Queue,\
             destinationName={}/QueueSize",
            self.management_endpoint,
            in_path(&self.broker_name),
            in_path(&self.destination_name)
        );
        http::address(&text, "managementEndpoint")
    }

    fn metric_name(&self) -> String {
        normalize(&format!("activemq-{}", self.destination_name))
    }
}

impl Trigger for ActiveMq {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.target_queue_size)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let url = match self.url() {
            Ok(url) => url,
            Err(error) => return Ok(Box::new(Unreadable(error))),
        };
        let metric_name = self.metric_name();
        let origin = jolokia::origin(self.cors_header, &self.management_endpoint);
        let size = Attribute { client, url, login: (self.username, self.password), origin };
        Ok(Box::new(Queue { metric_name, activation: float(self.activation_target_queue_size), size }))
    }
}

struct Queue {
    metric_name: String,
    activation: f64,
    size: Attribute,
}

#[async_trait]
impl Scaler for Queue {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let size = self.size.read("ActiveMQ").await;
        let size = size.map_err(|error| error.within("error inspecting ActiveMQ queue size"))?;
        Ok(vec![(self.metric_name.clone(), Sample::above(float(size), self.activation))])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)]) -> (ActiveMq, Vec<String>) {
        let inputs = Inputs::from_metadata(metadata.iter().copied())
            .with_authentication([("username", "u"), ("password", "hunter2")]);
        let (trigger, problems) = parse::<ActiveMq>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_template_says_what_the_single_parameters_would() {
        let template = "https://h:8161/api/jolokia/read/org.apache.activemq:type=Broker,brokerName=b,\
            destinationType=Queue,destinationName=a.b/QueueSize";
        let (trigger, problems) = parsed(&[("restAPITemplate", template), ("destinationName", "other")]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((trigger.management_endpoint.as_str(), trigger.broker_name.as_str()), ("h:8161", "b"));
        let spec = MetricSpec::external("activemq-a-b", Target::Integer(10));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_template_without_queue_or_broker_is_refused() {
        let start = "http://u:hunter2@h/api/jolokia/read/d";
        for rest in ["", ":brokerName=b/QueueSize", ":destinationName=q/QueueSize", ":a;b"] {
            let (_, problems) = parsed(&[("restAPITemplate", &format!("{start}{rest}"))]);
            assert_eq!(problems.len(), 1, "{rest}");
            assert!(!problems[0].contains("hunter2"), "{problems:?}");
        }
        assert!(parsed(&[("restAPITemplate", "nonsense")]).1[0].contains("unable to parse ActiveMQ restAPITemplate"));
    }

    #[test]
    fn without_a_template_the_three_are_needed() {
        let whole = [("managementEndpoint", "h:8161"), ("destinationName", "q"), ("brokerName", "b")];
        assert!(parsed(&whole).1.is_empty());
        assert_eq!(parsed(&whole[..2]).1, ["no broker name given"]);
        assert_eq!(parsed(&whole[1..]).1, ["no management endpoint given"]);
    }
}
