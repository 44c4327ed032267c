//! A program that runs in Splunk Observability Cloud, and what it says.

use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::SplunkObservability;
use super::points;
use crate::client::http;
use crate::client::websocket::{Message, WebSocket};

/// Time for what is still under way when the program is stopped.
const REST: Duration = Duration::from_secs(2);

/// A program that runs.
pub(super) struct Computation {
    socket: WebSocket,
    token: Secret,
    /// What it is stopped by.
    handle: Option<String>,
    /// The values of all its data points so far.
    values: Vec<f64>,
}

impl Computation {
    /// Logs in, and starts the program.
    pub(super) async fn start(mut socket: WebSocket, trigger: &SplunkObservability) -> Result<Self, SourceError> {
        let login = json!({ "type": "authenticate", "token": trigger.access_token.expose() });
        socket.send(&login.to_string()).await?;
        loop {
            let Some(message) = socket.next().await? else {
                return Err(SourceError::new(ErrorKind::Denied, "the login was not accepted; check accessToken"));
            };
            let message = understood(&message)?;
            refusal(&message, &trigger.access_token, "the login was not accepted")?;
            if message.get("type").and_then(Value::as_str) == Some("authenticated") {
                break;
            }
        }
        let program = json!({
            "type": "execute", "program": trigger.query, "channel": "ch-1", "start": 0, "stop": 0, "resolution": 0,
            "maxDelay": 0, "immediate": false, "timezone": "",
        });
        socket.send(&program.to_string()).await?;
        Ok(Computation { socket, token: trigger.access_token.clone(), handle: None, values: Vec::new() })
    }

    /// The values of the data points that it gives in a time.
    pub(super) async fn values(mut self, duration: Duration) -> Result<Vec<f64>, SourceError> {
        if let Ok(ended) = timeout_at(Instant::now() + duration, self.listen()).await {
            ended?;
            return Ok(self.values);
        }
        let handle = self.handle.clone().unwrap_or_default();
        let stop = json!({ "type": "stop", "handle": handle, "reason": "the time of a reading is over" });
        self.socket.send(&stop.to_string()).await?;
        if let Ok(ended) = timeout(REST, self.listen()).await {
            ended?;
        }
        Ok(self.values)
    }

    /// Listens until the program ends.
    async fn listen(&mut self) -> Result<(), SourceError> {
        loop {
            match self.socket.next().await? {
                None => return Ok(()),
                Some(Message::Binary(message)) => self.values.extend(points::read(&message)?),
                Some(message) => {
                    let message = understood(&message)?;
                    refusal(&message, &self.token, "could not execute signalflow query")?;
                    match message.get("event").and_then(Value::as_str) {
                        Some("JOB_START") => {
                            self.handle = message.get("handle").and_then(Value::as_str).map(str::to_string);
                        }
                        Some("END_OF_CHANNEL" | "CHANNEL_ABORT") => return Ok(()),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// The JSON of a message; nothing for one of bytes.
fn understood(message: &Message) -> Result<Value, SourceError> {
    match message {
        Message::Text(text) => serde_json::from_str(text)
            .map_err(|error| SourceError::malformed(format!("a message is not JSON: {error}"))),
        Message::Binary(_) => Ok(Value::Null),
    }
}

/// What a message says of a failure.
fn refusal(message: &Value, token: &Secret, what: &str) -> Result<(), SourceError> {
    if message.get("type").and_then(Value::as_str) != Some("error") {
        return Ok(());
    }
    let kind = match message.get("error").and_then(Value::as_u64) {
        Some(401 | 403) => ErrorKind::Denied,
        Some(429) => ErrorKind::Throttled,
        Some(500..) => ErrorKind::Unreachable,
        _ => ErrorKind::Configuration,
    };
    let told = http::told(message.get("message").and_then(Value::as_str).unwrap_or_default(), &[token]);
    Err(SourceError::new(kind, format!("{what}: {told}")))
}
