//! Roles, whose keys the Security Token Service lends.

use std::path::Path;
use std::sync::Arc;

use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use roxmltree::Document;

use super::credentials::Credentials;
use super::process::AwsEnvironment;
use super::service::{FORM, refusal};
use super::signature::{Scope, signed};
use super::{encoded, regional_endpoint};
use crate::client::{http, secret_file};
use crate::format::xml;
use crate::sampler::wall_clock;

/// What the use of a role is called in AWS's logs.
const SESSION: &str = "KEDA";

/// A role, and what it demands to be shown; empty for nothing.
#[derive(Debug)]
pub(super) struct Role<'a> {
    pub(super) arn: &'a str,
    pub(super) external_id: &'a str,
}

/// The Security Token Service of a region.
#[derive(Debug, Clone)]
pub(super) struct Roles {
    client: Arc<Client>,
    url: Url,
    scope: Scope,
}

impl Roles {
    pub(super) fn new(client: Arc<Client>, environment: &AwsEnvironment, region: &str) -> Result<Self, SourceError> {
        let url = environment.endpoint("sts").unwrap_or_else(|| regional_endpoint("sts", region));
        let url = http::address(&url, &url)?;
        Ok(Roles { client, url, scope: Scope { service: "sts", region: region.to_string() } })
    }

    /// A role that `own` may take on.
    pub(super) async fn assume(&self, role: &Role<'_>, own: &Credentials) -> Result<Credentials, SourceError> {
        let mut fields = vec![
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role.arn),
            ("RoleSessionName", SESSION),
        ];
        if !role.external_id.is_empty() {
            fields.push(("ExternalId", role.external_id));
        }
        let request = self.client.post(self.url.clone()).header(FORM.0, FORM.1).body(encoded(&fields));
        let request = signed(request, &self.scope, own, wall_clock().into())?;
        self.lent(request).await.map_err(|error| error.within(&format!("role {}", role.arn)))
    }

    /// A role that whoever has the token in a file may take on.
    pub(super) async fn by_token(
        &self,
        arn: &str,
        session: Option<&str>,
        file: &Path,
    ) -> Result<Credentials, SourceError> {
        let token = secret_file::read("token", file).await?;
        let fields = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", arn),
            ("RoleSessionName", session.unwrap_or(SESSION)),
            ("WebIdentityToken", token.expose()),
        ];
        let request = self.client.post(self.url.clone()).header(FORM.0, FORM.1).body(encoded(&fields));
        self.lent(request).await.map_err(|error| error.within(&format!("role {arn} by its token")))
    }

    async fn lent(&self, request: reqwest::RequestBuilder) -> Result<Credentials, SourceError> {
        let answer = http::send(request).await?;
        if !answer.status.is_success() {
            return Err(refusal(answer.status, &answer.body));
        }
        credentials(&answer.body).ok_or_else(|| SourceError::malformed("there are no keys in the answer for the role"))
    }
}

/// The keys in an answer.
fn credentials(xml: &str) -> Option<Credentials> {
    let document = Document::parse(xml).ok()?;
    let keys = xml::below(document.root(), "Credentials")?;
    let text = |name: &str| xml::child(keys, name)?.text();
    Some(Credentials {
        access_key_id: Secret::new(text("AccessKeyId")?),
        secret_access_key: Secret::new(text("SecretAccessKey")?),
        session_token: Secret::new(text("SessionToken")?),
        expires: Some(text("Expiration")?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_keys_are_in_the_answer_or_none() {
        let keys = |expiration: &str| {
            format!(
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
                 <AccessKeyId>id</AccessKeyId><SecretAccessKey>hunter2</SecretAccessKey><SessionToken>t</SessionToken>\
                 {expiration}</Credentials></AssumeRoleResult></AssumeRoleResponse>"
            )
        };
        let found = credentials(&keys("<Expiration>2026-03-01T12:00:00Z</Expiration>")).unwrap();
        assert_eq!((found.access_key_id.expose(), found.session_token.expose()), ("id", "t"));
        assert_eq!(found.expires, "2026-03-01T12:00:00Z".parse().ok());
        assert!(credentials(&keys("")).is_none());
    }
}
