//! One contract: a trigger, the exchanges that reading it consists of, and the reading.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use keda_core::api::PodIdentity;
use keda_core::sample::{Reading, SourceError};
use keda_scalers::client::aws::AwsEnvironment;
use keda_scalers::client::azure::AzureEnvironment;
use keda_scalers::client::gcp::GcpEnvironment;
use keda_scalers::client::tls::Tls;
use keda_scalers::client::{SourceSettings, Sources};
use keda_scalers::trigger::Memory;

use super::server::{Answer, Server};
use crate::Source;

/// TLS for those who do not use it.
static TLS: LazyLock<Arc<Tls>> = LazyLock::new(|| Arc::new(Tls::new(&SourceSettings::default())));

/// Texts with a name.
type Pairs = Vec<(String, String)>;

/// A trigger, and what passes between it and its source.
///
/// In metadata, `{address}` stands for the URL of the server without a path, `{host}` for its name and port, in what is
/// asked `{any}` for any text, and in the body of an answer `{port}` for the server's port.
pub struct Case {
    /// Tells it from others in messages.
    pub title: String,
    pub kind: &'static str,
    metadata: Pairs,
    authentication: Pairs,
    identity: Option<PodIdentity>,
    /// Variables of the process.
    environment: Pairs,
    /// The host that the source has for good, such as `api.example.com`; it is asked by TLS.
    host: Option<&'static str>,
    pub exchanges: Vec<Exchange>,
    pub readings: usize,
    expected: Expected,
}

/// One request, and the answer to it.
#[derive(Clone)]
pub struct Exchange {
    /// Method and target: `GET /path?query`.
    pub request: String,
    /// Headers that must be there; an empty text for one that must not.
    pub headers: Pairs,
    pub body: Option<String>,
    pub answer: Answer,
    /// Whether of the answer only the status counts.
    pub is_not_read: bool,
}

enum Expected {
    /// A value and whether it wakes the workload up, for each metric.
    Values(Vec<(f64, bool)>),
    /// What the error says, in part.
    Error(String),
}

fn owned(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
}

impl Case {
    /// A trigger of type `kind`.
    pub fn new(kind: &'static str, title: &str, metadata: &[(&str, &str)]) -> Self {
        Case {
            title: format!("{kind}: {title}"),
            kind,
            metadata: owned(metadata),
            authentication: Vec::new(),
            identity: None,
            environment: Vec::new(),
            host: None,
            exchanges: Vec::new(),
            readings: 1,
            expected: Expected::Values(Vec::new()),
        }
    }

    /// With parameters of a TriggerAuthentication.
    pub fn authentication(mut self, parameters: &[(&str, &str)]) -> Self {
        self.authentication = owned(parameters);
        self
    }

    /// With the identity that a cloud gives to pods.
    pub fn identity(mut self, identity: PodIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The process has these variables; `{token}` stands for the path of a file with the text `token-in-file`.
    pub fn environment(mut self, variables: &[(&str, &str)]) -> Self {
        self.environment = owned(variables);
        self
    }

    /// The server is known as `host`, and asked by TLS at its usual port.
    pub fn at(mut self, host: &'static str) -> Self {
        self.host = Some(host);
        self
    }

    /// The trigger is read so many times, and remembers what it was told; the last reading counts.
    pub fn readings(mut self, readings: usize) -> Self {
        self.readings = readings;
        self
    }

    /// The next request: `GET /path?query`.
    pub fn asks(mut self, request: &str) -> Self {
        let request = request.to_string();
        let answer = Answer::new(200, "");
        self.exchanges.push(Exchange { request, headers: Vec::new(), body: None, answer, is_not_read: false });
        self
    }

    /// The last request has a header; with an empty text it must not have it.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.last().headers.push((name.to_string(), value.to_string()));
        self
    }

    /// The last request has a body; one of JSON may be written otherwise.
    pub fn body(mut self, body: &str) -> Self {
        self.last().body = Some(body.to_string());
        self
    }

    /// The answer to the last request.
    pub fn answers(mut self, status: u16, body: &str) -> Self {
        self.last().answer = Answer::new(status, body);
        self
    }

    /// A header of the last answer.
    pub fn answer_header(mut self, name: &str, value: &str) -> Self {
        self.last().answer.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// Of the last answer only the status counts, so that nothing else can be wrong with it.
    pub fn answer_is_not_read(mut self) -> Self {
        self.last().is_not_read = true;
        self
    }

    /// The reading is one value.
    pub fn gives(self, value: f64, active: bool) -> Self {
        self.gives_all(&[(value, active)])
    }

    /// The reading has a value for each metric.
    pub fn gives_all(mut self, values: &[(f64, bool)]) -> Self {
        self.expected = Expected::Values(values.to_vec());
        self
    }

    /// The reading fails, with a message that has this in it.
    pub fn fails(mut self, message: &str) -> Self {
        self.expected = Expected::Error(message.to_string());
        self
    }

    /// The host that the source has for good.
    pub fn host(&self) -> Option<&'static str> {
        self.host
    }

    /// Whether a value is expected.
    pub fn succeeds(&self) -> bool {
        matches!(self.expected, Expected::Values(_))
    }

    fn last(&mut self) -> &mut Exchange {
        self.exchanges.last_mut().expect("an exchange")
    }

    /// Reads the trigger from a server that answers as recorded; what was wrong, if anything.
    pub async fn check(&self) -> Result<(), String> {
        let server = Server::start(self.host, self.exchanges.clone()).await;
        let result = self.read(&server, Duration::from_secs(10)).await;
        let mut wrong = server.complaints();
        match (&self.expected, &result) {
            (Expected::Values(expected), Ok(reading)) => {
                let read: Vec<_> = reading.iter().map(|(_, sample)| (sample.value, sample.active)).collect();
                if read != *expected {
                    wrong.push(format!("expected {expected:?}, read {read:?}"));
                }
            }
            (Expected::Values(_), Err(error)) => wrong.push(format!("failed: {error}")),
            (Expected::Error(_), Ok(reading)) => wrong.push(format!("expected an error, read {reading:?}")),
            (Expected::Error(expected), Err(error)) if !error.message.contains(expected.as_str()) => {
                wrong.push(format!("expected {expected:?} in the error {:?}", error.message));
            }
            (Expected::Error(_), Err(_)) => {}
        }
        if let Err(error) = &result {
            wrong.extend(self.secrets_in(error));
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n  {}", self.title, wrong.join("\n  "))) }
    }

    /// Reads the trigger, with so much time for a request.
    pub async fn read(&self, server: &Server, timeout: Duration) -> Result<Reading, SourceError> {
        let hosts: Vec<(String, SocketAddr)> =
            self.host.iter().map(|host| ((*host).to_string(), server.address)).collect();
        let place = |text: &str| {
            let text = text.replace("{address}", &server.url()).replace("{host}", &server.host_and_port());
            text.replace("{token}", &server.token_file())
        };
        let place = |pairs: &Pairs| pairs.iter().map(|(name, value)| (name.clone(), place(value))).collect::<Pairs>();
        let environment = place(&self.environment);
        let variable = |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let settings = SourceSettings {
            timeout,
            hosts,
            ca_dirs: server.certificates_folder(),
            aws: AwsEnvironment::of(variable),
            azure: AzureEnvironment::of(variable),
            gcp: GcpEnvironment::of(variable),
            ..SourceSettings::default()
        };
        let mut sources = Sources::new(settings);
        if self.host.is_none() {
            // To read the system's certificates takes long, and nobody needs them here.
            sources.tls = Arc::clone(&TLS);
        }
        let (metadata, authentication) = (place(&self.metadata), place(&self.authentication));
        let identity = self.identity.clone();
        let source =
            Source::with_identity(&sources, self.kind, &borrowed(&metadata), &borrowed(&authentication), identity)?;
        let mut memory = Memory::default();
        for _ in 1..self.readings {
            // What it came to shows in the last one.
            let _ = source.0.sample(&mut memory).await;
        }
        source.0.sample(&mut memory).await
    }

    /// The secrets that an error tells.
    pub fn secrets_in(&self, error: &SourceError) -> Option<String> {
        let is_secret = |(name, value): &&(String, String)| {
            let name = name.to_lowercase();
            let word = ["password", "secret", "token", "apikey", "querykey", "appkey", "connection"];
            value.len() > 3 && (name == "accesskey" || word.iter().any(|word| name.contains(word)))
        };
        let told =
            self.authentication.iter().filter(is_secret).find(|(_, value)| error.message.contains(value.as_str()));
        told.map(|(name, _)| format!("the error tells {name}: {error}"))
    }
}

fn borrowed(pairs: &Pairs) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
