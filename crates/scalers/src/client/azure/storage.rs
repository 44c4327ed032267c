//! Requests to a storage account: signed with its key, with a signature that was given, or with a token.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use keda_core::metadata::Context;
use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::{Client, Url};

use super::clouds::StorageAccount;
use super::connection::ConnectionString;
use super::login::{AzureLogin, AzureTokens};
use crate::client::http::{self, Answer};
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http::status_kind};

/// The version of the services' protocol.
const VERSION: &str = "2021-12-02";

/// Whose tokens storage accounts take.
const RESOURCE: &str = "https://storage.azure.com";

/// One service of a storage account.
#[derive(Debug)]
pub struct Storage {
    url: Url,
    client: Arc<Client>,
    access: Access,
}

enum Access {
    Key { account: String, key: Vec<u8> },
    Signature(Secret),
    Token(Box<AzureTokens>),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Access::Key { .. } => "Key",
            Access::Signature(_) => "Signature",
            Access::Token(_) => "Token",
        })
    }
}

impl Storage {
    /// The service `blob` or `queue` of a trigger's account: with a workload identity, else by its connection string.
    ///
    /// # Errors
    /// A connection string that cannot be used.
    pub fn new(
        service: &str,
        connection: &Secret,
        account: &StorageAccount,
        context: &Context,
        sources: &Sources,
    ) -> Result<Self, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let (url, access) = match AzureLogin::workload(context) {
            Some(login) => {
                let tokens = AzureTokens::new(login, None, RESOURCE, sources)?;
                let url = format!("https://{}.{}", account.account_name, account.endpoint_suffix);
                (url, Access::Token(Box::new(tokens)))
            }
            None => by_connection_string(service, &ConnectionString::parse(connection)?)?,
        };
        Ok(Storage { url: http::address(&url, "the endpoint of the storage account")?, client, access })
    }

    /// Asks with GET for what is at `path` of the service.
    ///
    /// # Errors
    /// [`Configuration`](keda_core::sample::ErrorKind::Configuration) for what does not exist, and as [`http::send`].
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, SourceError> {
        let segments: Vec<&str> = path.split('/').collect();
        let mut url = http::under(self.url.clone(), "the address of the storage account", &segments)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let date = http_date(crate::sampler::wall_clock());
        if let Access::Signature(signature) = &self.access {
            let own = url.query().map(|query| format!("{query}&")).unwrap_or_default();
            url.set_query(Some(&format!("{own}{}", signature.expose().trim_start_matches('?'))));
        }
        let key = match &self.access {
            Access::Key { account, key } => Some(shared_key(account, key, &url, &date)),
            _ => None,
        };
        let request = self.client.get(url).header("x-ms-date", date).header("x-ms-version", VERSION);
        let request = key.iter().fold(request, |request, key| request.header("authorization", key));
        let answer = match &self.access {
            Access::Token(tokens) => tokens.send(request).await?,
            _ => http::send(request).await?,
        };
        if answer.status.is_success() {
            return Ok(answer);
        }
        let code = answer.header("x-ms-error-code").map(|code| format!(", {code}")).unwrap_or_default();
        let message = format!("Azure Storage answered with status {}{code}", answer.status.as_u16());
        Err(SourceError::new(status_kind(answer.status), message))
    }
}

fn by_connection_string(service: &str, string: &ConnectionString) -> Result<(String, Access), SourceError> {
    let endpoint = if service == "blob" { "BlobEndpoint" } else { "QueueEndpoint" };
    let account = string.get("AccountName").map(|name| name.expose().to_string());
    let url = match (string.get(endpoint), &account) {
        (Some(endpoint), _) => endpoint.expose().to_string(),
        (None, Some(account)) => {
            let part = |name: &str, usual: &str| string.get(name).map_or(usual, Secret::expose).to_string();
            let (scheme, suffix) =
                (part("DefaultEndpointsProtocol", "https"), part("EndpointSuffix", "core.windows.net"));
            format!("{scheme}://{account}.{service}.{suffix}")
        }
        (None, None) => {
            let message = format!("the connection string has neither AccountName nor {endpoint}");
            return Err(SourceError::configuration(message));
        }
    };
    let access = match (string.get("AccountKey"), string.get("SharedAccessSignature")) {
        (Some(key), _) => {
            let key = STANDARD.decode(key.expose());
            let key = key.map_err(|_| SourceError::configuration("the AccountKey is not in base64"))?;
            Access::Key { account: account.unwrap_or_default(), key }
        }
        (None, Some(signature)) => Access::Signature(signature.clone()),
        (None, None) => {
            let message = "the connection string has neither AccountKey nor SharedAccessSignature";
            return Err(SourceError::configuration(message));
        }
    };
    Ok((url, access))
}

/// A time as HTTP writes it.
fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The `Authorization` of a GET without a body (`Authorize with Shared Key` in Azure's documentation).
fn shared_key(account: &str, key: &[u8], url: &Url, date: &str) -> String {
    let mut query: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect();
    query.sort();
    let query: String = query.iter().map(|(name, value)| format!("\n{name}:{value}")).collect();
    let headers = format!("x-ms-date:{date}\nx-ms-version:{VERSION}\n");
    let signed = format!("GET{}{headers}/{account}{}{query}", "\n".repeat(12), url.path());
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
    format!("SharedKey {account}:{}", STANDARD.encode(signature))
}

#[cfg(test)]
mod tests {
    use keda_core::sample::ErrorKind;

    use super::*;

    fn found(string: &str) -> Result<(String, Access), SourceError> {
        by_connection_string("queue", &ConnectionString::parse(&Secret::new(string)).unwrap())
    }

    #[test]
    fn an_endpoint_goes_before_the_name_of_the_account() {
        let urls = [
            ("AccountName=a;AccountKey=aGk=", "https://a.queue.core.windows.net"),
            ("AccountName=a;AccountKey=aGk=;EndpointSuffix=x;DefaultEndpointsProtocol=http", "http://a.queue.x"),
            ("AccountName=a;AccountKey=aGk=;QueueEndpoint=http://h:1/a;BlobEndpoint=http://b", "http://h:1/a"),
            ("QueueEndpoint=https://h;SharedAccessSignature=sv=1&sig=x", "https://h"),
        ];
        for (string, url) in urls {
            assert_eq!(found(string).unwrap().0, url);
        }
        for wrong in ["AccountKey=aGk=", "AccountName=a", "AccountName=a;AccountKey=hunter2!"] {
            let error = found(wrong).unwrap_err();
            assert!(error.kind == ErrorKind::Configuration && !error.message.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_signature_covers_the_path_and_the_query_in_order() {
        let url = "http://127.0.0.1:10001/devstoreaccount1/q/messages?peekonly=true&numofmessages=32".parse().unwrap();
        let date = http_date("2026-03-01T12:00:00Z".parse().unwrap());
        assert_eq!(date, "Sun, 01 Mar 2026 12:00:00 GMT");
        let signed = shared_key("devstoreaccount1", b"key", &url, &date);
        let text = format!(
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{VERSION}\n\
             /devstoreaccount1/devstoreaccount1/q/messages\nnumofmessages:32\npeekonly:true"
        );
        let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"key"), text.as_bytes());
        assert_eq!(signed, format!("SharedKey devstoreaccount1:{}", STANDARD.encode(expected)));
    }
}
