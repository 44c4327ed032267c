//! The statistics of a topic, from the admin API.

use std::collections::HashMap;
use std::sync::Arc;

use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;

use super::Pulsar;
use crate::client::Sources;
use crate::client::authentication::Authentication;
use crate::client::http;
use crate::client::oauth2::TokenSource;

/// The header that tells a broker how the client logs in.
const METHOD: &str = "X-Pulsar-Auth-Method-Name";

/// Asks for the statistics of one topic.
#[derive(Debug)]
pub(super) struct Statistics {
    client: Arc<Client>,
    url: String,
    subscription: String,
    authentication: Authentication,
    tokens: Option<TokenSource>,
}

#[derive(Debug, Deserialize)]
struct Topic {
    subscriptions: HashMap<String, Subscription>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    msg_backlog: i64,
}

impl Statistics {
    pub(super) fn new(trigger: Pulsar, sources: &Sources) -> Result<Self, SourceError> {
        let client = sources.http.client(&sources.tls, &trigger.tls())?;
        let url = url(&trigger);
        let authentication = trigger.authentication.0;
        let tokens = authentication.client_credentials().map(|mut credentials| {
            // A client that is known by its certificate has none, but servers want something.
            if credentials.client_secret.is_empty() {
                credentials.client_secret = Secret::new("unused");
            }
            TokenSource::new(credentials, Arc::clone(&client), &sources.tokens)
        });
        Ok(Statistics { client, url, subscription: trigger.subscription, authentication, tokens })
    }

    /// The messages that the subscription has not acknowledged.
    pub(super) async fn backlog(&self) -> Result<i64, SourceError> {
        let topic = self.topic().await.map_err(|error| error.within("error requesting stats from url"))?;
        topic
            .subscriptions
            .get(&self.subscription)
            .map(|subscription| subscription.msg_backlog)
            .ok_or_else(|| SourceError::configuration(format!("have not subscription found! {}", self.subscription)))
    }

    async fn topic(&self) -> Result<Topic, SourceError> {
        let mut url: Url = self
            .url
            .parse()
            .map_err(|error| SourceError::configuration(format!("adminURL and topic make no address: {error}")))?;
        if self.authentication.is_on() {
            http::remove_login(&mut url);
        }
        let token = match &self.tokens {
            Some(tokens) => Some((tokens, tokens.token().await?)),
            None => None,
        };
        let mut request = self.with_login(self.client.get(url))?;
        if let Some((_, token)) = &token {
            request = token.authorize(request)?;
        }
        // A broker sends to the one that has the topic.
        let answer = http::send_anywhere(request).await?;
        let status = answer.status.as_u16();
        if let (Some((tokens, token)), 401) = (&token, status) {
            tokens.refused(token).await;
        }
        let what = "error requesting stats from admin url";
        match status {
            200 => http::decode(&answer.body, what),
            404 => Err(SourceError::configuration(format!("{what}, response status is (404): {}", answer.status))),
            _ => {
                let message = format!("{what}, response status is: {}", answer.status);
                Err(SourceError::new(http::status_kind(answer.status), message))
            }
        }
    }

    /// The token or the password, and the name of the way to log in.
    fn with_login(&self, request: RequestBuilder) -> Result<RequestBuilder, SourceError> {
        let methods = [("bearer", "token"), ("basic", "basic")];
        if let Some((_, method)) = methods.into_iter().find(|(mode, _)| self.authentication.has(mode)) {
            return self.authentication.with_authorization(request.header(METHOD, method));
        }
        Ok(if self.authentication.has("tls") { request.header(METHOD, "tls") } else { request })
    }
}

fn url(trigger: &Pulsar) -> String {
    let topic = trigger.topic.replace("persistent://", "");
    let statistics = if trigger.is_partitioned_topic { "partitioned-stats" } else { "stats" };
    format!("{}/admin/v2/persistent/{topic}/{statistics}", trigger.admin_url)
}
