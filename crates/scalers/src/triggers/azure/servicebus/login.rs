//! A namespace of Service Bus, and requests to it: signed with a key, with a signature that was given, or with a token.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use keda_core::metadata::Context;
use keda_core::names::query_escape;
use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::{Client, Url};

use crate::client::Sources;
use crate::client::azure::{AzureLogin, AzureTokens, ConnectionString};
use crate::client::http::{self, Answer};
use crate::client::tls::TlsOptions;

/// Whose tokens Service Bus takes.
const RESOURCE: &str = "https://servicebus.azure.net/";

/// How long a signature is good.
const LIFETIME: Duration = Duration::from_secs(3600);

pub(super) struct Namespace {
    url: Url,
    client: Arc<Client>,
    access: Access,
}

enum Access {
    Key { name: String, key: Secret },
    Signature(Secret),
    Token(Box<AzureTokens>),
}

impl Namespace {
    /// The namespace at `host` with a workload identity, else that of the connection string.
    pub(super) fn new(
        connection: &Secret,
        host: &str,
        context: &Context,
        sources: &Sources,
    ) -> Result<Self, SourceError> {
        let (host, access) = match AzureLogin::workload(context) {
            Some(login) => {
                let tokens = AzureTokens::new(login, None, RESOURCE, sources)?;
                (host.to_string(), Access::Token(Box::new(tokens)))
            }
            None => by_connection_string(&ConnectionString::parse(connection)?)?,
        };
        let url = http::address(&format!("https://{host}"), "the namespace's")?;
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Namespace { url, client, access })
    }

    /// Asks with GET for what is at a path.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, SourceError> {
        let segments: Vec<&str> = path.iter().flat_map(|part| part.split('/')).collect();
        let mut url = http::under(self.url.clone(), "the namespace's", &segments)?;
        let signed = url.to_string();
        url.query_pairs_mut().append_pair("api-version", "2021-05").extend_pairs(query);
        let request = self.client.get(url);
        match &self.access {
            Access::Key { name, key } => {
                let expires = crate::sampler::wall_clock() + LIFETIME;
                http::send(request.header("authorization", signature(&signed, name, key, expires))).await
            }
            Access::Signature(signature) => http::send(request.header("authorization", signature.expose())).await,
            Access::Token(tokens) => tokens.send(request).await,
        }
    }
}

fn by_connection_string(string: &ConnectionString) -> Result<(String, Access), SourceError> {
    let endpoint = string.require("Endpoint")?.expose();
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host).trim_end_matches('/').to_string();
    let access = match string.find("SharedAccessSignature") {
        Some(signature) => Access::Signature(signature.clone()),
        None => Access::Key {
            name: string.require("SharedAccessKeyName")?.expose().to_string(),
            key: string.require("SharedAccessKey")?.clone(),
        },
    };
    Ok((host, access))
}

/// The `Authorization` for an address, until `expires` (`Shared Access Signatures` in Azure's documentation).
fn signature(url: &str, name: &str, key: &Secret, expires: Timestamp) -> String {
    let (resource, expires) = (query_escape(url).to_lowercase(), expires.as_second());
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, format!("{resource}\n{expires}").as_bytes()));
    format!("SharedAccessSignature sr={resource}&sig={}&se={expires}&skn={name}", query_escape(&signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_names_what_it_is_for_and_until_when() {
        let expires = "2026-03-01T12:00:00Z".parse().unwrap();
        let text = signature("https://shop.servicebus.windows.net/q", "reader", &Secret::new("hunter2"), expires);
        assert!(text.starts_with("SharedAccessSignature sr=https%3a%2f%2fshop.servicebus.windows.net%2fq&sig="));
        assert!(text.ends_with("&se=1772366400&skn=reader"), "{text}");
    }

    #[test]
    fn a_connection_string_names_the_host_and_the_key() {
        let parse = |text: &str| by_connection_string(&ConnectionString::parse(&Secret::new(text)).unwrap());
        let (host, _) = parse("Endpoint=sb://h.x/;SharedAccessKeyName=n;SharedAccessKey=k=;EntityPath=q").unwrap();
        assert_eq!(host, "h.x");
        assert!(parse("endpoint=sb://h.x/;sharedaccesskeyname=n;sharedaccesskey=k").is_ok());
        for wrong in ["SharedAccessKeyName=n", "Endpoint=sb://h/;SharedAccessKey=hunter2"] {
            assert!(parse(wrong).is_err_and(|error| !error.message.contains("hunter2")), "{wrong}");
        }
    }
}
