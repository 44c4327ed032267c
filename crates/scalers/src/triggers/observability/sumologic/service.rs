//! Requests to the API, each tried several times.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use reqwest::header::SET_COOKIE;
use reqwest::{Client, Method, Url};
use serde_json::Value;

use super::SumoLogic;
use crate::client::authentication::with_basic;
use crate::client::http::{self, Answer};

/// How often a request is tried where nothing is said.
const TRIES: u32 = 3;

/// The first pause between two tries; the next ones are twice as long each.
const PAUSE: Duration = Duration::from_secs(1);

/// The API, as one reading sees it.
pub(super) struct Service<'a> {
    client: &'a Arc<Client>,
    trigger: &'a SumoLogic,
    /// A search lives on the server that these name.
    cookies: Mutex<Vec<String>>,
}

impl<'a> Service<'a> {
    pub(super) fn new(client: &'a Arc<Client>, trigger: &'a SumoLogic) -> Self {
        Service { client, trigger, cookies: Mutex::default() }
    }

    /// What names the server of a search.
    pub(super) fn cookies(&self) -> Vec<String> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_cookies(&self, cookies: Vec<String>) {
        *self.cookies.lock().unwrap_or_else(PoisonError::into_inner) = cookies;
    }

    /// Asks for JSON.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, SourceError> {
        self.send(method.clone(), path, body).await?.json(&said(&method, path))
    }

    /// Sends a request whose answer nobody reads.
    pub(super) async fn tell(&self, method: Method, path: &str) -> Result<(), SourceError> {
        self.send(method.clone(), path, None).await?.success(&said(&method, path)).map(drop)
    }

    /// Sends a request, again where that may help.
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, SourceError> {
        let url = http::address(&format!("{}{path}", self.trigger.host), "host")?;
        let tries = u32::try_from(self.trigger.max_retries).ok().filter(|tries| *tries > 0).unwrap_or(TRIES);
        let mut pause = PAUSE;
        for _ in 1..tries {
            let answer = self.send_once(method.clone(), url.clone(), body).await?;
            if !matches!(http::status_kind(answer.status), ErrorKind::Throttled | ErrorKind::Unreachable) {
                return Ok(answer);
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        self.send_once(method, url, body).await
    }

    async fn send_once(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer, SourceError> {
        let SumoLogic { access_id, access_key, .. } = self.trigger;
        let request = self.client.request(method, url).header("Accept", "application/json");
        let mut request = with_basic(request, access_id.expose(), access_key)?;
        let cookies = self.cookies().join("; ");
        if !cookies.is_empty() {
            request = request.header("Cookie", cookies);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = http::send(request).await?;
        self.keep_cookies(&answer);
        Ok(answer)
    }

    fn keep_cookies(&self, answer: &Answer) {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for cookie in answer.headers.get_all(SET_COOKIE).iter().filter_map(|header| header.to_str().ok()) {
            let pair = cookie.split(';').next().unwrap_or_default().trim();
            let Some((name, _)) = pair.split_once('=') else { continue };
            cookies.retain(|kept| kept.split('=').next() != Some(name));
            cookies.push(pair.to_string());
        }
    }
}

/// What a message begins with: the request, without ids and queries.
fn said(method: &Method, path: &str) -> String {
    let path: Vec<&str> = path.split(['/', '?']).take(5).collect();
    format!("{method} {}", path.join("/"))
}
