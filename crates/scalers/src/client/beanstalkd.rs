//! beanstalkd: one connection per server, on which one question follows the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::Sources;
use super::pool::{Pool, Slot};

/// The longest first line of an answer, and the longest body, in bytes.
const MAXIMUM_LINE: u64 = 256;
const MAXIMUM_BODY: usize = 1 << 16;

/// One connection per server.
pub type BeanstalkdPool = Pool<String, Connection>;

/// A connection. The stream is absent while a question is open on it, and for good when that was given up.
#[derive(Debug)]
pub struct Connection(Mutex<Option<BufReader<TcpStream>>>);

/// A client for the questions of one trigger.
#[derive(Debug)]
pub struct Beanstalkd {
    address: String,
    dial: Duration,
    exchange: Duration,
    slot: Arc<Slot<Connection>>,
}

/// Why there is no answer.
enum Failure {
    /// The connection broke.
    Broken(io::Error),
    Other(SourceError),
}

impl Beanstalkd {
    /// A client of the server at `address` that dials when first asked, for so long at the most.
    pub fn new(address: &str, dial: Duration, sources: &Sources) -> Self {
        let slot = sources.beanstalkd.slot(address.to_string());
        Beanstalkd { address: address.to_string(), dial, exchange: sources.settings.timeout, slot }
    }

    /// Sends a command and gives the body of the answer; `None` for `NOT_FOUND`.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], [`ErrorKind::Malformed`], or [`ErrorKind::Configuration`] for what the server refuses.
    pub async fn ask(&self, command: &str) -> Result<Option<String>, SourceError> {
        let mut result = self.try_once(command).await;
        if matches!(result, Err(Failure::Broken(_))) {
            // The server may have been restarted since the last question.
            result = self.try_once(command).await;
        }
        result.map_err(|failure| match failure {
            Failure::Other(error) => error,
            Failure::Broken(error) => SourceError::new(ErrorKind::Unreachable, format!("{}: {error}", self.address)),
        })
    }

    async fn try_once(&self, command: &str) -> Result<Option<String>, Failure> {
        let connection = self.slot.get(|| self.dial()).await.map_err(Failure::Other)?;
        let result = tokio::time::timeout(self.exchange, exchange(&connection, command)).await;
        let result = result.unwrap_or_else(|_| {
            let message = format!("{}: no answer in time", self.address);
            Err(Failure::Other(SourceError::new(ErrorKind::Unreachable, message)))
        });
        if connection.0.lock().await.is_none() {
            self.slot.discard(&connection).await;
        }
        result
    }

    async fn dial(&self) -> Result<Connection, SourceError> {
        let stream = match tokio::time::timeout(self.dial, TcpStream::connect(&self.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let kind = match error.kind() {
                    io::ErrorKind::InvalidInput => ErrorKind::Configuration,
                    _ => ErrorKind::Unreachable,
                };
                return Err(SourceError::new(kind, format!("{}: {error}", self.address)));
            }
            Err(_) => {
                let message = format!("{}: no connection within {:?}; see timeout", self.address, self.dial);
                return Err(SourceError::new(ErrorKind::Unreachable, message));
            }
        };
        // Small exchanges: do not wait for more to send. A failure costs only time.
        let _ = stream.set_nodelay(true);
        Ok(Connection(Mutex::new(Some(BufReader::new(stream)))))
    }
}

async fn exchange(connection: &Connection, command: &str) -> Result<Option<String>, Failure> {
    let mut place = connection.0.lock().await;
    let lost = || Failure::Broken(io::ErrorKind::NotConnected.into());
    // Whoever gives up waiting takes the stream with it, as the rest of an answer may still come.
    let mut stream = place.take().ok_or_else(lost)?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await.map_err(Failure::Broken)?;
    let mut line = String::new();
    (&mut stream).take(MAXIMUM_LINE).read_line(&mut line).await.map_err(broken_or_malformed)?;
    if line.is_empty() {
        return Err(Failure::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    let answer = match length(&line).map_err(Failure::Other)? {
        None => None,
        Some(length) => {
            let mut body = vec![0; length + 2];
            stream.read_exact(&mut body).await.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Failure::Other(SourceError::malformed("the answer breaks off")),
                _ => Failure::Broken(error),
            })?;
            let body = String::from_utf8(body)
                .map_err(|_| Failure::Other(SourceError::malformed("the answer is not text")))?;
            Some(body)
        }
    };
    *place = Some(stream);
    Ok(answer)
}

fn broken_or_malformed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData => Failure::Other(SourceError::malformed("the answer is not text")),
        _ => Failure::Broken(error),
    }
}

/// How many bytes follow the first line of an answer; `None` where the server does not know what was asked for.
fn length(line: &str) -> Result<Option<usize>, SourceError> {
    let line = line.strip_suffix("\r\n").ok_or_else(|| SourceError::malformed("the answer is none of beanstalkd's"))?;
    if let Some(length) = line.strip_prefix("OK ") {
        let length = length.parse().ok().filter(|length| *length <= MAXIMUM_BODY);
        return length.map(Some).ok_or_else(|| SourceError::malformed("the answer has no usable length"));
    }
    match line {
        "NOT_FOUND" => Ok(None),
        "OUT_OF_MEMORY" | "INTERNAL_ERROR" => Err(SourceError::new(ErrorKind::Unreachable, line)),
        "BAD_FORMAT" | "UNKNOWN_COMMAND" => Err(SourceError::configuration(line)),
        _ => Err(SourceError::malformed("the answer is none of beanstalkd's")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_follows() {
        assert_eq!(length("OK 17\r\n"), Ok(Some(17)));
        assert_eq!(length("NOT_FOUND\r\n"), Ok(None));
        for (line, kind) in [
            ("OK many\r\n", ErrorKind::Malformed),
            ("OK 99999999\r\n", ErrorKind::Malformed),
            ("OK 17", ErrorKind::Malformed),
            ("HTTP/1.1 400 Bad Request\r\n", ErrorKind::Malformed),
            ("BAD_FORMAT\r\n", ErrorKind::Configuration),
            ("OUT_OF_MEMORY\r\n", ErrorKind::Unreachable),
        ] {
            assert_eq!(length(line).unwrap_err().kind, kind, "{line}");
        }
    }
}
