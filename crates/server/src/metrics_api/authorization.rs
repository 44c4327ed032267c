//! Who may do what: the API server is asked, and its answers hold for a while.
//!
//! A user who may list every metric everywhere, as the HPA controller may, is asked about once and not once per metric.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::GROUP;
use super::attributes::{Attributes, Resource};
use super::authentication::{REVIEW_TIMEOUT, User};
use super::cache::Cache;
use super::settings::AuthorizationSettings;
use crate::fingerprint::{Fingerprint, Key};

/// Members may do everything.
const MASTERS: &str = "system:masters";

/// What the API server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// With the reason, which may be empty.
    Denied(Arc<str>),
}

/// Finds out who may do what.
pub(super) struct Authorizer {
    reviews: Api<SubjectAccessReview>,
    decisions: Cache<Decision>,
    settings: AuthorizationSettings,
}

impl Authorizer {
    pub(super) fn new(client: Client, settings: AuthorizationSettings) -> Self {
        Authorizer { reviews: Api::all(client), decisions: Cache::new(), settings }
    }

    /// Whether everybody may have what is asked for, known or not. A metric is never open.
    pub(super) fn is_open(&self, attributes: &Attributes<'_>) -> bool {
        let Attributes::Path { path, .. } = attributes else { return false };
        let path = path.strip_prefix('/').unwrap_or(path);
        self.settings.always_allow_paths.iter().any(|open| {
            let open = open.strip_prefix('/').unwrap_or(open);
            match open.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => path == open,
            }
        })
    }

    /// Fails when the API server cannot be asked.
    pub(super) async fn authorize(&self, user: &User, attributes: &Attributes<'_>) -> Result<Decision, String> {
        if user.groups.iter().any(|group| group == MASTERS) {
            return Ok(Decision::Allowed);
        }
        if let Attributes::Resource(asked) = attributes
            && asked.group == GROUP
            && asked.verb == "list"
        {
            let everything = Resource { namespace: "".into(), resource: "*".into(), ..asked.clone() };
            if self.decide(user, &Attributes::Resource(everything)).await? == Decision::Allowed {
                return Ok(Decision::Allowed);
            }
        }
        self.decide(user, attributes).await
    }

    async fn decide(&self, user: &User, attributes: &Attributes<'_>) -> Result<Decision, String> {
        self.decisions.get_or_ask(key(user, attributes), || self.review(user, attributes)).await
    }

    async fn review(&self, user: &User, attributes: &Attributes<'_>) -> Result<(Decision, Duration), String> {
        let review = SubjectAccessReview { spec: spec(user, attributes), ..SubjectAccessReview::default() };
        let params = PostParams::default();
        let answer = tokio::time::timeout(REVIEW_TIMEOUT, self.reviews.create(&params, &review));
        let answer = answer.await.map_err(|_| "the API server does not answer".to_owned())?;
        let status = answer.map_err(|error| error.to_string())?.status.unwrap_or_default();
        if status.allowed {
            return Ok((Decision::Allowed, self.settings.allowed_ttl));
        }
        let reason = Arc::from(status.reason.unwrap_or_default());
        Ok((Decision::Denied(reason), self.settings.denied_ttl))
    }
}

fn key(user: &User, attributes: &Attributes<'_>) -> Key {
    match attributes {
        Attributes::Path { verb, path } => {
            user.fingerprint(Fingerprint::new("path").field(verb.as_bytes()).field(path.as_bytes())).finish()
        }
        Attributes::Resource(asked) => {
            let Resource { verb, group, version, namespace, resource, name, subresource } = asked;
            let parts = [*verb, group, version, namespace, resource, name, subresource];
            let asked = parts.iter().fold(Fingerprint::new("resource"), |all, part| all.field(part.as_bytes()));
            user.fingerprint(asked).finish()
        }
    }
}

fn spec(user: &User, attributes: &Attributes<'_>) -> SubjectAccessReviewSpec {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut spec = SubjectAccessReviewSpec {
        user: text(&user.name),
        uid: text(&user.uid),
        groups: Some(user.groups.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
        ..SubjectAccessReviewSpec::default()
    };
    match attributes {
        Attributes::Path { verb, path } => {
            spec.non_resource_attributes = Some(NonResourceAttributes { path: text(path), verb: text(verb) });
        }
        Attributes::Resource(asked) => {
            spec.resource_attributes = Some(ResourceAttributes {
                verb: text(asked.verb),
                group: text(&asked.group),
                version: text(&asked.version),
                namespace: text(&asked.namespace),
                resource: text(&asked.resource),
                name: text(&asked.name),
                subresource: text(&asked.subresource),
                ..ResourceAttributes::default()
            });
        }
    }
    spec
}
