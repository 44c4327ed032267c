//! Who asks: the front proxy's word, a certificate, or a token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::api::PostParams;
use kube::{Api, Client};
use percent_encoding::percent_decode_str;

use super::cache::Cache;
use super::settings::AuthenticationSettings;
use super::trust::Headers;
use super::trust_watch::{TrustWatch, follow};
use crate::fingerprint::{Fingerprint, Key};
use crate::tls::Peer;

/// The group of all who are known.
const AUTHENTICATED: &str = "system:authenticated";
/// The longest a question to the API server may take.
pub(super) const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);

/// A user who is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user in these groups and in that of all known users.
    pub(super) fn authenticated(name: String, groups: Vec<String>) -> Self {
        User { name, groups, ..User::default() }.known()
    }

    fn known(mut self) -> Self {
        if !self.groups.iter().any(|group| group == AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    /// The user whom the front proxy names, if it names one.
    fn of_headers(names: &Headers, headers: &HeaderMap) -> Option<Self> {
        let first = |names: &[HeaderName]| {
            let values = names.iter().filter_map(|name| headers.get(name));
            values.filter_map(text).find(|value| !value.is_empty()).map(str::to_owned)
        };
        let name = first(&names.username)?;
        let groups = names.group.iter().flat_map(|name| headers.get_all(name));
        let groups = groups.filter_map(text).map(str::to_owned).collect();
        let mut extra = BTreeMap::<String, Vec<String>>::new();
        for (header, value) in headers {
            let key = names.extra_prefixes.iter().find_map(|prefix| header.as_str().strip_prefix(prefix.as_str()));
            if let (Some(key), Some(value)) = (key, text(value)) {
                let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
                extra.entry(key).or_default().push(value.to_owned());
            }
        }
        Some(User { name, uid: first(&names.uid).unwrap_or_default(), groups, extra }.known())
    }

    fn of_review(info: UserInfo) -> Option<Self> {
        let name = info.username.filter(|name| !name.is_empty())?;
        let (groups, extra) = (info.groups.unwrap_or_default(), info.extra.unwrap_or_default());
        Some(User { name, uid: info.uid.unwrap_or_default(), groups, extra }.known())
    }

    /// Adds who it is to the name of a question.
    pub(super) fn fingerprint(&self, mut fingerprint: Fingerprint) -> Fingerprint {
        fingerprint = fingerprint.field(self.name.as_bytes()).field(self.uid.as_bytes());
        fingerprint = fingerprint.field(&self.groups.len().to_le_bytes());
        fingerprint = self.groups.iter().fold(fingerprint, |all, group| all.field(group.as_bytes()));
        for (key, values) in &self.extra {
            fingerprint = fingerprint.field(key.as_bytes()).field(&values.len().to_le_bytes());
            fingerprint = values.iter().fold(fingerprint, |all, value| all.field(value.as_bytes()));
        }
        fingerprint
    }
}

/// Finds out who asks.
pub(super) struct Authenticator {
    trust: TrustWatch,
    reviews: Api<TokenReview>,
    tokens: Cache<Option<Arc<User>>>,
    token_ttl: Duration,
}

impl Authenticator {
    pub(super) fn new(client: Client, settings: AuthenticationSettings) -> Self {
        let token_ttl = settings.token_ttl;
        let trust = follow(client.clone(), settings);
        Authenticator { trust, reviews: Api::all(client), tokens: Cache::new(), token_ttl }
    }

    /// Whether it is known whose certificates are believed; nobody is recognised before.
    pub(super) fn is_ready(&self) -> bool {
        self.trust.borrow().is_some()
    }

    /// The user, or `None` if nothing proves one.
    pub(super) async fn authenticate(&self, peer: &Peer, headers: &HeaderMap) -> Option<Arc<User>> {
        let trust = self.trust.borrow().clone()?;
        let verdict = trust.verdict(peer).await;
        if verdict.is_front_proxy
            && let Some(user) = User::of_headers(&trust.headers, headers)
        {
            return Some(Arc::new(user));
        }
        if verdict.user.is_some() {
            return verdict.user;
        }
        let token = bearer(headers)?;
        let key: Key = Fingerprint::new("token").field(token.as_bytes()).finish();
        match self.tokens.get_or_ask(key, || self.review(token)).await {
            Ok(user) => user,
            Err(error) => {
                tracing::warn!(%error, "token not reviewed");
                None
            }
        }
    }

    async fn review(&self, token: &str) -> Result<(Option<Arc<User>>, Duration), String> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let params = PostParams::default();
        let answer = tokio::time::timeout(REVIEW_TIMEOUT, self.reviews.create(&params, &review));
        let answer = answer.await.map_err(|_| "the API server does not answer".to_owned())?;
        let status = answer.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let is_known = status.authenticated == Some(true);
        let user = status.user.filter(|_| is_known).and_then(User::of_review).map(Arc::new);
        Ok((user, self.token_ttl))
    }
}

/// What the front proxy says in a header. Users and groups may have names in any script, which are sent as they are.
fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn names() -> Headers {
        Headers {
            username: vec!["x-remote-user".parse().unwrap()],
            uid: vec!["x-remote-uid".parse().unwrap()],
            group: vec!["x-remote-group".parse().unwrap()],
            extra_prefixes: vec!["x-remote-extra-".to_owned()],
        }
    }

    #[test]
    fn the_proxy_names_user_groups_and_extras() {
        let sent = headers(&[
            ("X-Remote-User", "hpa"),
            ("X-Remote-Group", "one"),
            ("X-Remote-Group", "two"),
            ("X-Remote-Extra-Example.org%2fScope", "read"),
        ]);
        let user = User::of_headers(&names(), &sent).unwrap();
        assert_eq!(
            (user.name.as_str(), user.groups),
            ("hpa", ["one", "two", AUTHENTICATED].map(str::to_owned).to_vec())
        );
        assert_eq!(user.extra["example.org/scope"], ["read"]);
        assert_eq!(User::of_headers(&names(), &headers(&[("X-Remote-Group", "one")])), None);
    }

    #[test]
    fn names_may_be_of_any_script() {
        let mut sent = HeaderMap::new();
        for (name, value) in [("x-remote-user", "jürgen"), ("x-remote-group", "开发"), ("x-remote-extra-ort", "Köln")]
        {
            sent.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let user = User::of_headers(&names(), &sent).unwrap();
        assert_eq!((user.name.as_str(), user.groups[0].as_str()), ("jürgen", "开发"));
        assert_eq!(user.extra["ort"], ["Köln"]);
    }

    #[test]
    fn only_bearers_have_tokens() {
        assert_eq!(bearer(&headers(&[("Authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("Authorization", "Basic abc")])), None);
        assert_eq!(bearer(&headers(&[("Authorization", "Bearer ")])), None);
    }
}
