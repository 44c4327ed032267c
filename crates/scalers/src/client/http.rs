//! HTTP: one client per TLS shape, one policy for all.
//!
//! Timeouts bound a whole request, proxies come from the environment, redirects (ten at most) are followed on the host
//! that was asked alone, bodies are bounded, and no error shows the credentials of an address.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, RequestBuilder, Response, StatusCode, Upgraded, Url};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::SourceSettings;
use super::notices::{Notice, note};
use super::tls::{Tls, TlsOptions};

/// The largest body that is read, in bytes.
const MAXIMUM_BODY: usize = 16 << 20;

/// Redirects above which a request fails.
const MAXIMUM_REDIRECTS: usize = 10;

/// The HTTP clients of the process. One that nobody uses any more is dropped, and the certificates with it.
pub struct Http {
    settings: SourceSettings,
    clients: Mutex<HashMap<TlsOptions, Weak<Client>>>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl Http {
    /// No client yet.
    pub fn new(settings: &SourceSettings) -> Self {
        Http { settings: settings.clone(), clients: Mutex::new(HashMap::new()) }
    }

    /// The client for `options`, shared by all who ask for the same. Its timeout is the process's; a request may have
    /// its own.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for TLS material or a proxy that cannot be used.
    pub fn client(&self, tls: &Tls, options: &TlsOptions) -> Result<Arc<Client>, SourceError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, client| client.strong_count() > 0);
        if let Some(client) = clients.get(options).and_then(Weak::upgrade) {
            return Ok(client);
        }
        let idle = if self.settings.disable_keep_alive { 0 } else { self.settings.max_idle_per_host };
        let mut builder = Client::builder();
        for (host, address) in &self.settings.hosts {
            builder = builder.resolve(host, *address);
        }
        let client = self
            .settings
            .proxies
            .apply(builder)?
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&*tls.config(options)?))
            .timeout(self.settings.timeout)
            .redirect(Policy::none())
            .referer(false)
            .pool_idle_timeout(self.settings.idle_timeout)
            .pool_max_idle_per_host(idle)
            .user_agent(concat!("keda-rs/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SourceError::configuration(format!("cannot set up HTTP: {error}")))?;
        let client = Arc::new(client);
        clients.insert(options.clone(), Arc::downgrade(&client));
        Ok(client)
    }
}

/// Where redirects may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Stays on the origin that was asked, or goes from HTTP to HTTPS on its host: keys stand in headers of any name and
    /// in addresses, and none of them is for another host.
    Host,
    /// Goes anywhere, and shows others no header.
    Anywhere,
}

/// Whether the same host is asked by TLS from now on.
fn is_upgrade(from: &Url, to: &Url) -> bool {
    from.host() == to.host() && (from.scheme(), to.scheme()) == ("http", "https")
}

/// The request that an answer leads to, if it does; `request` is the one that was answered. The library's own redirects
/// would leave the login behind on the way to HTTPS, as the port differs.
fn redirected(response: &Response, request: Option<Request>, reach: Reach) -> Result<Option<Request>, SourceError> {
    let (from, status) = (response.url(), response.status());
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let to = location.and_then(|location| from.join(location).ok());
    let (Some(to), Some(mut request), 301..=303 | 307 | 308) = (to, request, status.as_u16()) else { return Ok(None) };
    if from.origin() != to.origin() && !is_upgrade(from, &to) {
        if reach == Reach::Host {
            let message =
                format!("{}: redirected to another host: {}", presentable(from), to.origin().ascii_serialization());
            return Err(SourceError::configuration(message));
        }
        request.headers_mut().clear();
    }
    let keeps_body = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !keeps_body && request.method() != Method::HEAD {
        *request.method_mut() = Method::GET;
        *request.body_mut() = None;
        for header in [CONTENT_LENGTH, CONTENT_TYPE] {
            request.headers_mut().remove(header);
        }
    }
    *request.url_mut() = to;
    Ok(Some(request))
}

/// An answer, its body read to the end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; what is not UTF-8 is replaced.
    pub body: String,
}

impl Answer {
    /// The text of a header, where there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body of an answer of success; else what the status says.
    ///
    /// # Errors
    /// `what: status N`, of the kind that the status means.
    pub fn success(self, what: &str) -> Result<String, SourceError> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let message = format!("{what}: status {}", self.status.as_u16());
        Err(SourceError::new(status_kind(self.status), message))
    }

    /// The JSON of an answer of success.
    ///
    /// # Errors
    /// As for [`Answer::success`]; [`ErrorKind::Malformed`] for a body that is not JSON.
    pub fn json(self, what: &str) -> Result<serde_json::Value, SourceError> {
        let body = self.success(what)?;
        serde_json::from_str(&body)
            .map_err(|error| SourceError::malformed(format!("{what}: the answer is not JSON: {error}")))
    }
}

/// The JSON of a body, in the form that the protocol promises. The message tells where it differs, not what is there.
///
/// # Errors
/// [`ErrorKind::Malformed`].
pub fn decode<T: DeserializeOwned>(body: &str, what: &str) -> Result<T, SourceError> {
    serde_json::from_str(body).map_err(|error| {
        let wrong = if error.is_data() { "has not the promised form" } else { "is not JSON" };
        let (line, column) = (error.line(), error.column());
        SourceError::malformed(format!("{what}: the answer {wrong} (line {line}, column {column})"))
    })
}

/// Sends a request and reads the whole answer, whatever its status.
///
/// # Errors
/// [`ErrorKind::Unreachable`] when nobody answered in time, [`ErrorKind::Malformed`] for a body that is too long or
/// broken off, [`ErrorKind::Configuration`] for a request that cannot be built or leads to another host.
pub async fn send(request: RequestBuilder) -> Result<Answer, SourceError> {
    read(begin(request, Reach::Host).await?).await
}

/// As [`send`], for servers that send to others of their kind; those are shown no login.
///
/// # Errors
/// As for [`send`].
pub async fn send_anywhere(request: RequestBuilder) -> Result<Answer, SourceError> {
    read(begin(request, Reach::Anywhere).await?).await
}

/// The whole answer.
async fn read(mut response: Response) -> Result<Answer, SourceError> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport_error(&error))? {
        if body.len() + chunk.len() > MAXIMUM_BODY {
            return Err(SourceError::malformed(format!("the answer exceeds {MAXIMUM_BODY} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Sends a request that makes something else of the connection; the headers of the answer, and the connection.
///
/// # Errors
/// As for [`send`]; the kind that the status means, where the server does not switch.
pub async fn upgrade(request: RequestBuilder) -> Result<(HeaderMap, Upgraded), SourceError> {
    let response = begin(request, Reach::Host).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let kind = if status.is_success() { ErrorKind::Malformed } else { status_kind(status) };
        let message = format!("{}: status {} instead of 101", presentable(response.url()), status.as_u16());
        return Err(SourceError::new(kind, message));
    }
    Ok((headers, response.upgrade().await.map_err(|error| transport_error(&error))?))
}

/// Sends a request, follows redirects, and waits for the head of the answer.
async fn begin(request: RequestBuilder, reach: Reach) -> Result<Response, SourceError> {
    let started = Instant::now();
    let (client, request) = request.build_split();
    let response = follow(&client, request.map_err(|error| transport_error(&error))?, reach).await;
    let status = response.as_ref().ok().map(|response| response.status().as_u16());
    note(Notice::Exchange { status, took: started.elapsed() });
    response
}

async fn follow(client: &Client, mut request: Request, reach: Reach) -> Result<Response, SourceError> {
    let place = presentable(request.url());
    // A time limit of its own is one for all redirects together.
    let end = request.timeout().and_then(|limit| Instant::now().checked_add(*limit));
    for _ in 0..=MAXIMUM_REDIRECTS {
        let again = request.try_clone();
        let response = client.execute(request).await.map_err(|error| transport_error(&error))?;
        match redirected(&response, again, reach)? {
            Some(next) => request = next,
            None => return Ok(response),
        }
        if let Some(end) = end {
            *request.timeout_mut() = Some(end.saturating_duration_since(Instant::now()));
        }
    }
    Err(SourceError::configuration(format!("{place}: redirected more than {MAXIMUM_REDIRECTS} times")))
}

/// The address that a parameter gives.
///
/// # Errors
/// [`SourceError::configuration`] for what is none; it is not shown, as it may hold a password.
pub fn address(text: &str, parameter: &str) -> Result<Url, SourceError> {
    text.parse().map_err(|error| SourceError::configuration(format!("{parameter} is not an address: {error}")))
}

/// The address with more segments of its path, each escaped; a slash at its end does not count.
///
/// # Errors
/// [`SourceError::configuration`] for an address that has no path, such as `mailto:x`.
pub fn under(mut url: Url, parameter: &str, segments: &[&str]) -> Result<Url, SourceError> {
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().extend(segments);
        }
        Err(()) => return Err(SourceError::configuration(format!("{parameter} is not an address with a host"))),
    }
    Ok(url)
}

/// What a server says, short enough for a message and in one line.
pub fn excerpt(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

/// What a server says of a failure, as [`excerpt`] has it, without the credentials that it was sent.
pub fn told(text: &str, credentials: &[&Secret]) -> String {
    let hide = |text: String, secret: &&Secret| text.replace(secret.expose(), "***");
    excerpt(&credentials.iter().filter(|secret| !secret.is_empty()).fold(text.to_string(), hide))
}

/// What a status that is not a success says about the failure.
pub fn status_kind(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 | 403 | 407 => ErrorKind::Denied,
        429 => ErrorKind::Throttled,
        500.. => ErrorKind::Unreachable,
        _ => ErrorKind::Configuration,
    }
}

/// The address without its user, password, query and fragment, for messages.
pub fn presentable(url: &Url) -> String {
    let mut url = url.clone();
    remove_login(&mut url);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// Takes the user and the password out of an address.
pub fn remove_login(url: &mut Url) {
    // These fail only for addresses that cannot have a login in the first place.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

fn transport_error(error: &reqwest::Error) -> SourceError {
    let kind = if error.is_builder() {
        ErrorKind::Configuration
    } else if !error.is_timeout() && (error.is_decode() || error.is_body()) {
        ErrorKind::Malformed
    } else {
        ErrorKind::Unreachable
    };
    let place = error.url().map(presentable).unwrap_or_default();
    SourceError::new(kind, format!("{place}: {}", causes(error)))
}

/// The causes of an error from the innermost on: the outer ones repeat the address, with its credentials.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_string();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(_) => "the request failed".to_string(),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_stops_halfway_is_no_answer_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
            std::future::pending::<()>().await;
        });
        let settings = SourceSettings { timeout: Duration::from_millis(300), ..SourceSettings::default() };
        let (http, tls) = (Http::new(&settings), Tls::new(&settings));
        let client = http.client(&tls, &TlsOptions::default()).unwrap();
        let error = send(client.get(format!("http://{address}/"))).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        assert!(error.message.ends_with("no answer in time"), "{error}");
        server.abort();
    }

    #[test]
    fn what_a_server_tells_is_short_and_tells_no_credentials() {
        let key = Secret::new("hunter2");
        assert_eq!(told("no  such key:\nhunter2", &[&Secret::default(), &key]), "no such key: ***");
        assert_eq!(told(&"é".repeat(300), &[]).chars().count(), 200);
    }

    #[test]
    fn a_client_is_shared_as_long_as_it_is_used() {
        let settings = SourceSettings::default();
        let (http, tls) = (Http::new(&settings), Tls::new(&settings));
        let plain = http.client(&tls, &TlsOptions::default()).unwrap();
        assert!(Arc::ptr_eq(&plain, &http.client(&tls, &TlsOptions::default()).unwrap()));
        for rotation in 0..3 {
            let key_password = Some(Secret::new(rotation.to_string()));
            http.client(&tls, &TlsOptions { key_password, ..TlsOptions::default() }).unwrap();
        }
        drop(http.client(&tls, &TlsOptions::default()).unwrap());
        assert_eq!(http.clients.lock().unwrap().len(), 1);
    }
}
