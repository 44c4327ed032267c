//! Jolokia, the HTTP bridge to the figures of ActiveMQ and Artemis (`scalers/activemq.md`, `scalers/artemis-queue.md`).

use std::sync::Arc;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use reqwest::header::{CONTENT_TYPE, ORIGIN};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use url::form_urlencoded;

use super::http;
use super::request_uri::check_escapes;

/// A number that a broker keeps, and who asks for it.
#[derive(Debug)]
pub struct Attribute {
    /// The client.
    pub client: Arc<Client>,
    /// Where it is read.
    pub url: Url,
    /// User and password of the console.
    pub login: (String, Secret),
    /// The `Origin` to send.
    pub origin: String,
}

/// The `Origin` that a console expects: the one given, or its own.
pub fn origin(given: String, management_endpoint: &str) -> String {
    if given.is_empty() { format!("http://{management_endpoint}") } else { given }
}

/// What Jolokia answers, with a status of its own.
#[derive(Debug, Deserialize)]
struct Reply {
    status: u16,
    value: Option<i64>,
}

impl Attribute {
    /// The number. `broker` begins the messages.
    ///
    /// # Errors
    /// Of the kind that the status means, that of HTTP or of Jolokia; [`ErrorKind::Malformed`] for anything else.
    pub async fn read(&self, broker: &str) -> Result<i64, SourceError> {
        let (username, password) = &self.login;
        let mut url = self.url.clone();
        http::remove_login(&mut url);
        let request = self.client.get(url).basic_auth(username, Some(password.expose()));
        let request = request.header(CONTENT_TYPE, "application/json").header(ORIGIN, &self.origin);
        let answer = http::send(request).await?;
        let status = answer.status;
        let what = format!("{broker} management endpoint response error code : {}", status.as_u16());
        if status != StatusCode::OK {
            let own = serde_json::from_str::<Reply>(&answer.body).map(|reply| format!(" {}", reply.status));
            return Err(SourceError::new(http::status_kind(status), what + &own.unwrap_or_default()));
        }
        let reply: Reply = http::decode(&answer.body, &format!("the Jolokia of {broker}"))?;
        if reply.status != 200 {
            // Its statuses are those of HTTP; anything else means that the question was wrong.
            let kind = StatusCode::from_u16(reply.status).map_or(ErrorKind::Configuration, http::status_kind);
            return Err(SourceError::new(kind, format!("{what} {}", reply.status)));
        }
        let missing = || SourceError::malformed(format!("the Jolokia of {broker} answers without a value"));
        reply.value.ok_or_else(missing)
    }
}

/// A text as it may stand in the path of an address; what is escaped already stays so.
pub fn in_path(text: &str) -> String {
    text.replace('?', "%3F").replace('#', "%23")
}

/// The properties of the object that the path of an address reads:
/// `/api/jolokia/read/domain:type=Broker,name=b/Attribute`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl Properties {
    /// Those of a path.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn of_path(path: &str) -> Result<Self, &'static str> {
        let after = path.split(':').nth(1).ok_or("the path has no object name")?;
        let object = after.split('/').next().unwrap_or_default();
        check_escapes(object)?;
        if object.contains(';') {
            return Err("invalid semicolon separator in query");
        }
        let query = object.replace(',', "&");
        Ok(Properties(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }

    /// The first one with this name; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_stands_between_the_first_colon_and_the_attribute() {
        let properties = Properties::of_path("/api/jolokia/read/d:type=Broker,name=a+b,queue=/QueueSize").unwrap();
        assert_eq!(["type", "name", "queue", "other"].map(|name| properties.get(name)), ["Broker", "a b", "", ""]);
        for wrong in ["/api/jolokia/read", "/d:a%zz", "/d:a;b"] {
            assert!(Properties::of_path(wrong).is_err(), "{wrong}");
        }
    }
}
