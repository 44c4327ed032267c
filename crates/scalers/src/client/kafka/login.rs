//! How to log in at a broker.

use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use prost::bytes::Bytes;

use super::check;
use super::connection::Connection;
use super::scram::Scram;
pub use super::scram::ScramHash;
use crate::client::oauth2::{ClientCredentials, TokenSource};

/// Who we are at a broker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Login {
    /// Nobody.
    #[default]
    None,
    /// A user with a password, which is sent.
    Plain {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A user with a password, which is not sent.
    Scram {
        /// How it is hashed.
        hash: ScramHash,
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// Whoever has a token of OAuth 2.0.
    Token {
        /// What the token is asked for with.
        credentials: ClientCredentials,
        /// Pairs of `key=value` that go with it.
        extensions: Vec<Secret>,
    },
}

/// Logs in on a new connection; `tokens` has the token, where one is needed.
pub(super) async fn log_in(
    connection: &Connection,
    login: &Login,
    tokens: Option<&TokenSource>,
) -> Result<(), SourceError> {
    match login {
        Login::None => Ok(()),
        Login::Plain { username, password } => {
            choose(connection, "PLAIN").await?;
            let message = format!("\0{username}\0{}", password.expose());
            say(connection, message.into_bytes()).await.map(drop)
        }
        Login::Scram { hash, username, password } => {
            choose(connection, hash.mechanism()).await?;
            let scram = Scram::new(*hash, username, password.expose())?;
            let challenge = say(connection, scram.first().into_bytes()).await?;
            let (proof, signature) = scram.prove(&text(&challenge)?)?;
            let last = say(connection, proof.into_bytes()).await?;
            if text(&last)?.split(',').next() == Some(signature.as_str()) {
                return Ok(());
            }
            Err(SourceError::new(ErrorKind::Denied, "the broker does not know the password itself"))
        }
        Login::Token { extensions, .. } => {
            let Some(tokens) = tokens else { return Ok(()) };
            show_token(connection, tokens, extensions).await
        }
    }
}

/// A broker that does not take the token says why, or that the login failed.
async fn show_token(connection: &Connection, tokens: &TokenSource, extensions: &[Secret]) -> Result<(), SourceError> {
    let token = tokens.token().await?;
    choose(connection, "OAUTHBEARER").await?;
    let extensions: String = extensions.iter().map(|pair| format!("{}\u{1}", pair.expose())).collect();
    let message = format!("n,,\u{1}auth=Bearer {}\u{1}{extensions}\u{1}", token.expose());
    let answer = say(connection, message.into_bytes()).await;
    let refused = match answer {
        Ok(said) if said.is_empty() => return Ok(()),
        Ok(_) => SourceError::new(ErrorKind::Denied, "authentication failed: the broker does not take the token"),
        Err(error) => error,
    };
    if refused.kind == ErrorKind::Denied {
        tokens.refused(&token).await;
    }
    Err(refused)
}

async fn choose(connection: &Connection, mechanism: &'static str) -> Result<(), SourceError> {
    let question = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let answer = connection.ask(&question).await?;
    check(answer.error_code, || {
        let known: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
        format!("the broker does not take {mechanism}, only {}", known.join(", "))
    })
}

/// Says the next word of a login, and gives what the broker says to it.
async fn say(connection: &Connection, word: Vec<u8>) -> Result<Bytes, SourceError> {
    let question = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(word));
    let answer = connection.ask(&question).await?;
    check(answer.error_code, || "authentication failed".to_string())?;
    Ok(answer.auth_bytes)
}

fn text(bytes: &Bytes) -> Result<String, SourceError> {
    let malformed = |_| SourceError::malformed("what the broker says to the login is not text");
    String::from_utf8(bytes.to_vec()).map_err(malformed)
}
