//! etcd: reading and watching single keys, over the gRPC channels that all share.
//!
//! Any server of a cluster will do: the one that answered last is asked first. A login is one token for all who log in
//! alike; it is asked for anew when a server no longer takes it.

pub mod messages;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use prost::Message;
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request, Status, Streaming};

use super::Sources;
use super::grpc::{Endpoint, Grpc, explain};
use super::pool::{Pool, Slot};
use super::tls::TlsOptions;
use messages::{
    AUTHENTICATE, AuthenticateRequest, AuthenticateResponse, RANGE, RangeRequest, RangeResponse, WATCH,
    WatchCreateRequest, WatchRequest, WatchResponse,
};

/// Time for one question to one server.
const PATIENCE: Duration = Duration::from_secs(5);

/// A cluster, and how it is talked to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// The servers, as `host:port` or as URLs.
    pub endpoints: Vec<String>,
    /// TLS, where it is on.
    pub tls: Option<TlsOptions>,
    /// Who to log in as.
    pub login: Option<Login>,
}

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A token; none where the server wants no login.
pub type Token = Option<MetadataValue<Ascii>>;

/// One token for each cluster and login.
pub type LoginPool = Pool<Options, Token>;

/// A client for one trigger.
#[derive(Debug)]
pub struct Etcd {
    servers: Vec<Grpc>,
    preferred: AtomicUsize,
    login: Option<Login>,
    token: Arc<Slot<Token>>,
}

impl Etcd {
    /// A client that dials when first used.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where there is no endpoint.
    pub fn new(options: Options, sources: &Sources) -> Result<Self, SourceError> {
        let endpoints = options.endpoints.iter().filter(|endpoint| !endpoint.is_empty());
        let servers: Vec<Grpc> =
            endpoints.map(|endpoint| Grpc::new(target(endpoint, options.tls.as_ref()), sources)).collect();
        if servers.is_empty() {
            return Err(SourceError::configuration("endpoints has no address in it"));
        }
        let login = options.login.clone();
        Ok(Etcd { servers, preferred: AtomicUsize::new(0), login, token: sources.etcd.slot(options) })
    }

    /// The value of a key; `None` where it does not exist.
    ///
    /// # Errors
    /// Whatever keeps all servers from answering; [`ErrorKind::Denied`] as soon as one refuses the login.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let question = RangeRequest { key: key.as_bytes().to_vec() };
        let first = self.preferred.load(Ordering::Relaxed);
        let mut outcome = Err(SourceError::configuration("there is no server"));
        for turn in 0..self.servers.len() {
            let position = first.wrapping_add(turn) % self.servers.len();
            let Some(server) = self.servers.get(position) else { break };
            outcome = self.range(server, &question).await;
            if !matches!(&outcome, Err(error) if error.kind == ErrorKind::Unreachable) {
                self.preferred.store(position, Ordering::Relaxed);
                break;
            }
        }
        let answer = outcome?;
        if answer.header.is_none() {
            return Err(SourceError::malformed("the answer is not that of an etcd"));
        }
        Ok(answer.kvs.into_iter().next().map(|found| found.value))
    }

    /// What happens to a key from now on, as one server tells it.
    ///
    /// # Errors
    /// As for [`Etcd::get`].
    pub async fn watch(&self, key: &str) -> Result<Streaming<WatchResponse>, SourceError> {
        let position = self.preferred.load(Ordering::Relaxed) % self.servers.len().max(1);
        let server = self.servers.get(position).ok_or_else(|| SourceError::configuration("there is no server"))?;
        let watch = WatchCreateRequest { key: key.as_bytes().to_vec(), progress_notify: true };
        let question = WatchRequest { create_request: Some(watch) };
        let open = |request: Request<WatchRequest>| async move {
            let (metadata, extensions, question) = request.into_parts();
            // The server ends the watch when nobody can ask any more.
            let questions = futures::stream::iter([question]).chain(futures::stream::pending());
            let mut request = Request::from_parts(metadata, extensions, questions);
            request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
            server.converse(WATCH, request).await
        };
        self.logged_in(server, &question, open).await
    }

    /// Prefers another server than the one at hand, whose watch went silent or broke.
    pub fn turn(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    async fn range(&self, server: &Grpc, question: &RangeRequest) -> Result<RangeResponse, SourceError> {
        self.logged_in(server, question, |request| server.ask(RANGE, request)).await
    }

    /// Asks with the token, and once more with a new one where it is not taken.
    async fn logged_in<Q, A, F>(
        &self,
        server: &Grpc,
        question: &Q,
        ask: impl Fn(Request<Q>) -> F,
    ) -> Result<A, SourceError>
    where
        Q: Message + Clone,
        F: Future<Output = Result<A, Status>>,
    {
        for is_last in [false, true] {
            let token = match &self.login {
                Some(login) => Some(self.token.get(|| authenticate(server, login)).await?),
                None => None,
            };
            let mut request = Request::new(question.clone());
            if let Some(token) = token.as_deref().and_then(Option::as_ref) {
                request.metadata_mut().insert("token", token.clone());
            }
            match in_time(ask(request)).await {
                Ok(answer) => return Ok(answer),
                Err(status) => match token.filter(|_| !is_last && is_about_token(&status)) {
                    Some(token) => self.token.discard(&token).await,
                    None => return Err(refusal(&status)),
                },
            }
        }
        Err(SourceError::new(ErrorKind::Denied, "the server takes no token that it gives"))
    }
}

/// Where an endpoint leads. The scheme of a URL decides on TLS; without one the parameter does.
fn target(endpoint: &str, tls: Option<&TlsOptions>) -> Endpoint {
    let host = |rest: &str| rest.split('/').next().unwrap_or_default().to_string();
    if let Some(rest) = endpoint.strip_prefix("https://") {
        return Endpoint { target: host(rest), tls: Some(tls.cloned().unwrap_or_default()) };
    }
    match endpoint.strip_prefix("http://") {
        Some(rest) => Endpoint { target: host(rest), tls: None },
        None => Endpoint { target: endpoint.to_string(), tls: tls.cloned() },
    }
}

async fn in_time<A>(call: impl Future<Output = Result<A, Status>>) -> Result<A, Status> {
    timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
}

async fn authenticate(server: &Grpc, login: &Login) -> Result<Token, SourceError> {
    let question = AuthenticateRequest { name: login.user.clone(), password: login.password.expose().to_string() };
    let answer: Result<AuthenticateResponse, Status> = in_time(server.call(AUTHENTICATE, question)).await;
    let token = match answer {
        Ok(answer) => answer.token,
        Err(status) if status.message().contains("authentication is not enabled") => return Ok(None),
        Err(status) => return Err(refusal(&status).within("error connecting to etcd server")),
    };
    let mut token: MetadataValue<Ascii> =
        token.parse().map_err(|_| SourceError::malformed("error connecting to etcd server: it gave no token"))?;
    token.set_sensitive(true);
    Ok(Some(token))
}

/// Whether a new token may help: tokens end, and do so when users and roles change.
fn is_about_token(status: &Status) -> bool {
    let message = status.message();
    status.code() == Code::Unauthenticated
        || message.contains("invalid auth token")
        || message.contains("revision of auth store is old")
        || message.contains("user name is empty")
}

/// What a status means. etcd says of a wrong login that the argument is invalid.
fn refusal(status: &Status) -> SourceError {
    let error = explain(status);
    let is_login = is_about_token(status) || status.message().contains("authentication failed");
    if is_login { SourceError { kind: ErrorKind::Denied, ..error } } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_an_endpoint_decides_on_tls() {
        let options = TlsOptions { insecure: true, ..TlsOptions::default() };
        let of = |endpoint: &str, tls| {
            let endpoint = target(endpoint, tls);
            (endpoint.target, endpoint.tls)
        };
        assert_eq!(of("e:2379", None), ("e:2379".to_string(), None));
        assert_eq!(of("e:2379", Some(&options)), ("e:2379".to_string(), Some(options.clone())));
        assert_eq!(of("https://e:2379/", None), ("e:2379".to_string(), Some(TlsOptions::default())));
        assert_eq!(of("http://e:2379", Some(&options)), ("e:2379".to_string(), None));
    }

    #[test]
    fn a_wrong_login_is_denied_whatever_its_code() {
        let kind = |code, message: &str| refusal(&Status::new(code, message)).kind;
        let wrong = "etcdserver: authentication failed, invalid user ID or password";
        assert_eq!(kind(Code::InvalidArgument, wrong), ErrorKind::Denied);
        assert_eq!(kind(Code::InvalidArgument, "etcdserver: user name is empty"), ErrorKind::Denied);
        assert_eq!(kind(Code::InvalidArgument, "etcdserver: key is not provided"), ErrorKind::Configuration);
        assert_eq!(kind(Code::Unavailable, "etcdserver: no leader"), ErrorKind::Unreachable);
    }
}
