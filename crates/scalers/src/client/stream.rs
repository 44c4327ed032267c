//! A buffered connection to a server that speaks a protocol of its own, with TLS where that is on.

use std::fmt;
use std::io;
use std::sync::Arc;

use keda_core::sample::{ErrorKind, SourceError};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufRead, AsyncWrite, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A stream of either kind.
pub trait Stream: AsyncBufRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncBufRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection.
pub struct Connection(pub Box<dyn Stream>);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Connects, and makes it secure where there is `tls`.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`]; [`ErrorKind::Configuration`] for a host that no certificate can be for.
    pub async fn open(host: &str, port: u16, tls: Option<Arc<ClientConfig>>) -> Result<Self, SourceError> {
        let tcp = TcpStream::connect((host, port)).await.map_err(transport)?;
        tcp.set_nodelay(true).map_err(transport)?;
        let Some(tls) = tls else { return Ok(Connection(Box::new(BufStream::new(tcp)))) };
        let name = ServerName::try_from(host.to_string())
            .map_err(|_| SourceError::configuration("the host has no name for a certificate"))?;
        let secure = TlsConnector::from(tls).connect(name, tcp).await.map_err(transport)?;
        Ok(Connection(Box::new(BufStream::new(secure))))
    }
}

/// What went wrong on the way.
#[allow(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub fn transport(error: io::Error) -> SourceError {
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_string(),
        _ => error.to_string(),
    };
    SourceError::new(ErrorKind::Unreachable, message)
}
