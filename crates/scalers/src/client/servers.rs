//! Several HTTP servers of which any will do.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use percent_encoding::percent_decode_str;
use reqwest::{RequestBuilder, Url};

use super::SourceSettings;
use super::http::{self, Answer};

/// `host:port`, with brackets around an IPv6 host, which may have some.
pub fn join_host_port(host: &str, port: impl fmt::Display) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The servers of one trigger. The one that answered last is asked first, and the next ones where it cannot be reached.
pub struct Servers {
    servers: Vec<Server>,
    preferred: AtomicUsize,
}

/// A server: its address, and the login that stood in it.
pub struct Server {
    url: Url,
    login: Option<(String, Secret)>,
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} servers", self.servers.len())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&http::presentable(&self.url))
    }
}

impl Servers {
    /// The servers at `addresses`, which a parameter gave; empty ones are left out.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for what is no address of HTTP, and where there is none at all.
    pub fn parse(parameter: &str, addresses: &[String]) -> Result<Self, SourceError> {
        let addresses = addresses.iter().map(|address| address.trim()).filter(|address| !address.is_empty());
        let servers: Vec<Server> =
            addresses.map(|address| Server::parse(parameter, address)).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(SourceError::configuration(format!("{parameter} has no address in it")));
        }
        Ok(Servers { servers, preferred: AtomicUsize::new(0) })
    }

    /// Time for a request to one of them, where an answer may take long: [`SourceSettings::long_timeout`], or a share
    /// of it where there are others to ask after one that is silent.
    pub fn patience(&self, settings: &SourceSettings) -> Duration {
        let servers = u32::try_from(self.servers.len()).unwrap_or(u32::MAX).max(1);
        (settings.long_timeout() / servers).max(settings.timeout)
    }

    /// Asks one after the other until one answers.
    ///
    /// # Errors
    /// What the last one that was asked failed with, or what `request` does.
    pub async fn ask(
        &self,
        request: impl Fn(&Server) -> Result<RequestBuilder, SourceError>,
    ) -> Result<Answer, SourceError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut outcome = Err(SourceError::configuration("there is no server"));
        for turn in 0..self.servers.len() {
            let position = (first + turn) % self.servers.len();
            let Some(server) = self.servers.get(position) else { break };
            outcome = http::send(request(server)?).await;
            if is_settled(&outcome) {
                self.preferred.store(position, Ordering::Relaxed);
                break;
            }
        }
        outcome
    }
}

/// Whether another server would say the same.
fn is_settled(outcome: &Result<Answer, SourceError>) -> bool {
    match outcome {
        Ok(answer) => !matches!(answer.status.as_u16(), 502..=504),
        Err(error) => error.kind != ErrorKind::Unreachable,
    }
}

impl Server {
    /// The server at an address that a parameter gave.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for what is no address of HTTP.
    pub fn parse(parameter: &str, address: &str) -> Result<Self, SourceError> {
        let wrong = |why: &str| SourceError::configuration(format!("{parameter} is not an address: {why}"));
        let mut url: Url = address.parse().map_err(|error: url::ParseError| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://"));
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = (!url.username().is_empty() || url.password().is_some())
            .then(|| (decoded(url.username()), Secret::new(decoded(url.password().unwrap_or_default()))));
        http::remove_login(&mut url);
        Ok(Server { url, login })
    }

    /// The address of `path` (`/a/b`) below the server's own. What a path cannot have is escaped; escapes stay.
    pub fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let whole = format!("{}{path}", self.url.path().trim_end_matches('/'));
        url.set_path(&whole);
        url
    }

    /// As [`Server::at`], of whole segments, which may be any text.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a segment that would lead elsewhere.
    pub fn at_segments(&self, segments: &[&str]) -> Result<Url, SourceError> {
        if let Some(wrong) = segments.iter().find(|segment| matches!(**segment, "" | "." | "..")) {
            return Err(SourceError::configuration(format!("{wrong:?} cannot be a name in an address")));
        }
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Ok(url)
    }

    /// User and password that stood in the address.
    pub fn login(&self) -> Option<(&str, &Secret)> {
        self.login.as_ref().map(|(user, password)| (user.as_str(), password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_below_the_servers_own() {
        let server = Server::parse("addresses", "http://u%40x:p%3A@h:9200/es/").unwrap();
        assert_eq!(server.at("/a,b-*/_search").as_str(), "http://h:9200/es/a,b-*/_search");
        assert_eq!(server.at("/%3Clogs-%7Bnow%2Fd%7D%3E/_search").path(), "/es/%3Clogs-%7Bnow%2Fd%7D%3E/_search");
        assert_eq!(server.at("/a?b/_search").query(), None);
        assert_eq!(server.at_segments(&["a/b", "c d"]).unwrap().path(), "/es/a%2Fb/c%20d");
        assert!(server.at_segments(&["a", ".."]).is_err());
        let (user, password) = server.login().unwrap();
        assert_eq!((user, password.expose()), ("u@x", "p:"));
    }

    #[test]
    fn several_servers_share_the_time_of_one() {
        let settings = SourceSettings::default();
        let patience = |servers: usize| {
            let addresses = vec!["http://h:9200".to_string(); servers];
            Servers::parse("addresses", &addresses).unwrap().patience(&settings).as_secs()
        };
        assert_eq!([1, 2, 3, 50].map(patience), [30, 15, 10, 3]);
    }

    #[test]
    fn what_is_no_address_is_told_without_showing_it() {
        for address in ["h:9200", "ftp://u:hunter2@h", "http://u:hunter2@", "hunter2"] {
            let error = Server::parse("addresses", address).unwrap_err();
            assert!(error.message.starts_with("addresses is not an address") && !error.message.contains("hunter2"));
        }
        assert!(Servers::parse("addresses", &[String::new()]).is_err());
    }
}
