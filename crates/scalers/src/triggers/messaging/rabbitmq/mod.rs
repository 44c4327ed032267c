//! `rabbitmq`: the length of a queue, over AMQP or the management API, or its rates (`scalers/rabbitmq.md`).

mod management;
mod mode;

use std::time::Duration;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::{normalize, query_escape};
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::amqp::{Amqp, Endpoint, Login};
use crate::client::certificates::Certificates;
use crate::client::oauth2::ClientCredentials;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, Unreadable};
use management::Management;
use mode::{Figures, Mode};

/// Queue length of a trigger that gives no target.
const DEFAULT_QUEUE_LENGTH: f64 = 20.0;
/// The default mode, which is none.
const NO_MODE: &str = "Unknown";

/// Scale on the length or the rates of a queue in RabbitMQ.
///
/// `mode` says what the value is, and one replica is wanted per `value` of it; without both it is a queue length of 20:
///
/// - `QueueLength`: the messages in the queue. Over AMQP these are the ready ones only; the management API counts those
///   too that a consumer holds, unless `excludeUnacknowledged` is on.
/// - `MessageRate`: messages published per second; `DeliverGetRate`: messages handed out per second.
/// - `PublishedToDeliveredRatio`: the first divided by the second, so above 1 where the queue grows.
/// - `ExpectedQueueConsumptionTime`: about the seconds until the queue is empty at the present rates.
///
/// The target leaves zero when the value is above `activationValue`; with `MessageRate` also when there are more
/// messages than that, and with the last two when there is work but nothing is delivered. `DeliverGetRate` never wakes
/// a target that is at zero.
///
/// The scheme of `host` decides whom to ask: `amqp://` and `amqps://` give lengths only, `http://` and `https://` are
/// the management API, whose user needs the tag `management` and access to the virtual host. Log in with user and
/// password in the address or with `username` and `password`; with a certificate (`tls: enable`, `cert` and `key`); at
/// the API also with OAuth 2.0 (`oauthTokenURI`, `clientID`, `clientSecret`). Azure workload identity is not supported
/// yet.
///
/// ```yaml
/// type: rabbitmq
/// metadata:
///   host: amqp://rabbitmq.shop.svc:5672/shop
///   queueName: orders
///   mode: QueueLength
///   value: "50"
///   activationValue: "5"
/// authenticationRef:
///   name: rabbitmq-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: rabbitmq-login
///     key: username
///   - parameter: password
///     name: rabbitmq-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct RabbitMq {
    /// Name of the queue, or a regular expression with `useRegex`.
    #[meta(trigger)]
    queue_name: String,
    /// Address of the server, such as `amqp://user:password@rabbitmq.shop.svc:5672/vhost`, or of its management API,
    /// such as `http://rabbitmq.shop.svc:15672/vhost`. The last part of the path is the virtual host, `/` when it is
    /// missing.
    #[meta(trigger, auth, env)]
    host: Secret,
    /// How to ask: `amqp`, `http`, or `auto` for what the scheme of `host` says.
    #[meta(trigger, auth, default = "auto")]
    protocol: String,
    /// What to scale on: `QueueLength`, `MessageRate`, `DeliverGetRate`, `PublishedToDeliveredRatio` or
    /// `ExpectedQueueConsumptionTime`. All but the first need the management API. It needs `value`.
    #[meta(trigger, optional, default = "Unknown")]
    mode: String,
    /// What one replica is expected to handle, in messages, messages per second, a ratio, or seconds, as `mode` says.
    /// It needs `mode`.
    #[meta(trigger, optional)]
    value: f64,
    /// The old way to give `mode: QueueLength` and its `value`; it excludes both.
    #[meta(trigger, optional)]
    queue_length: f64,
    /// Value above which the target leaves zero, in the unit of `mode`; 0 when not given.
    #[meta(trigger, optional)]
    activation_value: f64,
    /// Name of the virtual host, as it is and not escaped; that of the address when not given.
    #[meta(trigger, auth, optional)]
    vhost_name: String,
    /// Whether `queueName` is a regular expression, whose queues count together as `operation` says. Needs the
    /// management API.
    #[meta(trigger, optional)]
    use_regex: bool,
    /// Whether to leave out messages that a consumer has not acknowledged yet. Needs the management API; AMQP never
    /// counts them.
    #[meta(trigger, optional)]
    exclude_unacknowledged: bool,
    /// Most queues that a regular expression may match; with more the reading fails.
    #[meta(trigger, default = "100")]
    page_size: i64,
    /// How to make one number of the queues that a regular expression matches: `sum`, `avg` or `max`.
    #[meta(trigger, default = "sum")]
    operation: String,
    /// Time limit of a request to the management API, such as `5s`; a number without a unit is in milliseconds. When
    /// not given it is that of all requests. Not for AMQP.
    #[meta(trigger, optional)]
    timeout: Duration,
    /// User, in place of the address's; it needs `password`.
    #[meta(auth, env, optional)]
    username: String,
    /// Password, in place of the address's; it needs `username`.
    #[meta(auth, env, optional)]
    password: Secret,
    /// Whether to use `ca`, `cert` and `key`: `enable` or `disable`. The connection itself is encrypted where the
    /// address says `amqps://` or `https://`.
    #[meta(auth, default = "disable")]
    tls: String,
    #[meta(group)]
    certificates: Certificates,
    /// Whether to take any certificate of the server; over AMQP and with OAuth 2.0 only with `tls: enable`.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    /// What a token of an Azure workload identity is for; not supported yet.
    #[meta(auth, optional)]
    workload_identity_resource: String,
    #[meta(group)]
    oauth: ClientCredentials,
}

impl RabbitMq {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let connection = self.check_connection(reader);
        let target = connection.and_then(|()| self.check_target());
        if let Err(problem) = target.and_then(|()| self.tls_options().check().map_err(|error| error.message)) {
            reader.error(problem);
        }
    }

    fn check_connection(&mut self, reader: &Reader<'_>) -> Result<(), String> {
        let require = |fine: bool, message: &str| if fine { Ok(()) } else { Err(message.to_string()) };
        if !matches!(self.protocol.as_str(), "amqp" | "http" | "auto") {
            let shown = reader.presentable("protocol", &self.protocol);
            return Err(format!("the protocol has to be either `amqp`, `http`, or `auto` but is `{shown}`"));
        }
        if !matches!(self.tls.as_str(), "enable" | "disable") {
            return Err("incorrect value for TLS given: `tls` must be enable or disable".to_string());
        }
        require(!self.certificates.is_half(), "both key and certificate must be provided")?;
        require(self.page_size >= 1, "pageSize should be 1 or greater")?;
        require(self.username.is_empty() == self.password.is_empty(), "username and password must be given together")?;
        if self.protocol == "auto" {
            self.protocol = match scheme(self.host.expose()).as_str() {
                "amqp" | "amqps" => "amqp".to_string(),
                "http" | "https" => "http".to_string(),
                other => {
                    let host = self.host.expose();
                    let shown = if reader.presentable("host", host) == host { other } else { "***" };
                    return Err(format!("unknown host URL scheme: `{shown}`"));
                }
            };
        }
        let (http, identity) = (self.protocol == "http", !self.workload_identity_resource.is_empty());
        require(http || !identity, "workload identity is not supported for amqp protocol currently")?;
        let ClientCredentials { token_uri, client_id, client_secret, .. } = &self.oauth;
        let oauth = [token_uri.is_empty(), client_id.is_empty(), client_secret.is_empty()];
        if oauth.contains(&false) {
            let missing =
                "OAuth2 requires tokenUrl clientId and clientSecret to be configured in TriggerAuthentication";
            require(!oauth.contains(&true), missing)?;
            require(http, "OAuth2 authentication is only supported for HTTP protocol")?;
            let combined = "OAuth2 authentication cannot be combined with username/password authentication or \
                Azure Workload Identity";
            require(self.username.is_empty() && !identity, combined)?;
        }
        require(http || !self.use_regex, "configure useRegex=true only with HTTP protocol")?;
        require(http || !self.exclude_unacknowledged, "configure excludeUnacknowledged=true with HTTP protocol only")
    }

    fn check_target(&mut self) -> Result<(), String> {
        if self.mode == NO_MODE {
            self.mode.clear();
        }
        if self.queue_length == 0.0 && self.mode.is_empty() && self.value == 0.0 {
            self.queue_length = DEFAULT_QUEUE_LENGTH;
        }
        if self.queue_length != 0.0 {
            if !self.mode.is_empty() || self.value != 0.0 {
                return Err("queueLength is deprecated; use mode and value".to_string());
            }
            (self.mode, self.value) = (Mode::QueueLength.name().to_string(), self.queue_length);
            return Ok(());
        }
        if self.mode.is_empty() {
            return Err("mode must be specified".to_string());
        }
        if self.value == 0.0 {
            return Err("value must be specified".to_string());
        }
        let mode = Mode::parse(&self.mode)?;
        if self.protocol == "amqp" {
            if mode != Mode::QueueLength {
                let name = mode.name();
                return Err(format!("protocol amqp not supported; must be HTTP to use trigger mode {name}"));
            }
            if !self.timeout.is_zero() {
                return Err("amqp protocol doesn't support custom timeouts".to_string());
            }
        }
        Ok(())
    }

    fn metric_name(&self) -> String {
        normalize(&format!("rabbitmq-{}", query_escape(&self.queue_name)))
    }

    fn tls_options(&self) -> TlsOptions {
        match self.tls.as_str() {
            "enable" => self.certificates.options(self.unsafe_ssl),
            _ => TlsOptions { insecure: self.unsafe_ssl, ..TlsOptions::default() },
        }
    }

    /// The server behind the address, with what the other parameters put in its place.
    fn endpoint(&self) -> Result<Endpoint, SourceError> {
        let mut endpoint = Endpoint::parse(self.host.expose())?;
        if !self.vhost_name.is_empty() {
            endpoint.vhost.clone_from(&self.vhost_name);
        }
        let certificate = self.tls == "enable" && self.certificates.is_whole();
        let password_in_address = self
            .host
            .expose()
            .split('@')
            .next()
            .is_some_and(|user| user.len() < self.host.expose().len() && user.splitn(3, ':').count() == 3);
        if !self.username.is_empty() {
            endpoint.login = Login::Plain { username: self.username.clone(), password: self.password.clone() };
        } else if certificate && !password_in_address {
            endpoint.login = Login::External;
        }
        if endpoint.tls.is_some() && self.tls == "enable" {
            endpoint.tls = Some(self.tls_options());
        }
        Ok(endpoint)
    }
}

/// The scheme of an address in lower case; empty where there is none.
fn scheme(address: &str) -> String {
    let scheme = address.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
    let valid = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if valid { scheme } else { String::new() }
}

impl Trigger for RabbitMq {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.value)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        if !self.workload_identity_resource.is_empty() {
            let message = "workloadIdentityResource: logging in to RabbitMQ with an Azure workload identity is not \
                supported yet";
            return Ok(Box::new(Unreadable(SourceError::new(ErrorKind::Unsupported, message))));
        }
        let mode = Mode::parse(&self.mode).map_err(|message| SourceError::new(ErrorKind::Configuration, message))?;
        let source = if self.protocol == "http" {
            match Management::new(&self, sources) {
                Ok(management) => Source::Management(management),
                // KEDA finds out about a bad address when it asks.
                Err(error) => return Ok(Box::new(Unreadable(error))),
            }
        } else {
            let name = format!("keda-{}-{}", context.namespace, context.name);
            Source::Amqp(Amqp::new(self.endpoint()?, name, sources)?)
        };
        Ok(Box::new(Queue {
            metric_name: self.metric_name(),
            queue: self.queue_name,
            source,
            mode,
            activation: self.activation_value,
        }))
    }
}

#[derive(Debug)]
enum Source {
    Amqp(Amqp),
    Management(Management),
}

#[derive(Debug)]
struct Queue {
    metric_name: String,
    queue: String,
    source: Source,
    mode: Mode,
    activation: f64,
}

#[async_trait]
impl Scaler for Queue {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let sample = self.read().await.map_err(|error| error.within("error inspecting RabbitMQ"))?;
        Ok(vec![(self.metric_name.clone(), sample)])
    }
}

impl Queue {
    async fn read(&self) -> Result<Sample, SourceError> {
        let figures = match &self.source {
            Source::Amqp(amqp) => Figures::of_length(amqp.queue_length(&self.queue).await?),
            Source::Management(management) => management.figures().await?,
        };
        Ok(self.mode.sample(figures, self.activation))
    }
}

#[cfg(test)]
mod tests;
