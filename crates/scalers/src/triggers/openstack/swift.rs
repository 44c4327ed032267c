//! `openstack-swift`: the number of objects in a container of Swift (`scalers/openstack-swift.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use reqwest::Url;

use crate::client::Sources;
use crate::client::http;
use crate::client::keystone::{Identity, Keystone, KeystoneLogin, Session, Who};
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Scale on the number of objects in a container of OpenStack's Swift.
///
/// What counts is the number of objects in the whole container, folders included. The replicas are that number divided
/// by `objectCount`. The target leaves zero when it is above `activationObjectCount`.
///
/// The trigger does not know which objects are done: the workers must delete or move them. `objectPrefix`,
/// `objectDelimiter`, `objectLimit`, `onlyFiles` and `timeout` are accepted and choose nothing; give what should be
/// counted a container of its own.
///
/// Log in with a TriggerAuthentication that gives `authURL`, the address of Keystone without `/v3`, and either `userID`
/// with `password` and `projectID`, or `appCredentialID` with `appCredentialSecret`. No pod identity can be used. The
/// login needs the right to read the container. The address of Swift comes from Keystone's catalogue, for `regionName`
/// if that is given, unless `swiftURL` names it.
///
/// ```yaml
/// type: openstack-swift
/// metadata:
///   containerName: uploads
///   objectCount: "10"
///   activationObjectCount: "2"
/// authenticationRef:
///   name: uploads-login
/// ---
/// secretTargetRef:
///   - parameter: authURL
///     name: uploads-login
///     key: auth-url
///   - parameter: appCredentialID
///     name: uploads-login
///     key: credential-id
///   - parameter: appCredentialSecret
///     name: uploads-login
///     key: credential-secret
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct OpenStackSwift {
    /// Address of Swift, such as `https://swift.cloud.example/v1/AUTH_shop/`; where it is not
    /// given, the one that Keystone's catalogue has.
    #[meta(name = "swiftURL", trigger, optional)]
    swift_url: String,
    /// Name of the container, without a slash.
    #[meta(trigger)]
    container_name: String,
    /// Objects that one replica is expected to handle.
    #[meta(trigger, default = "2")]
    object_count: i64,
    /// Number of objects above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_object_count: i64,
    /// A part of the metric's name; it does not choose objects.
    #[meta(trigger, optional)]
    object_prefix: String,
    /// Has no effect.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "of no effect")]
    object_delimiter: String,
    /// Has no effect.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "of no effect")]
    object_limit: String,
    /// Has no effect.
    #[meta(trigger, default = "30")]
    #[expect(dead_code, reason = "of no effect")]
    timeout: i64,
    /// Has no effect.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "of no effect")]
    only_files: bool,
    #[meta(group)]
    login: KeystoneLogin,
    /// Id of the user's project; needed with `userID`.
    #[meta(name = "projectID", auth, optional)]
    project_id: String,
    /// Region whose Swift is asked, such as `north-1`; where it is not given, the first that Keystone's catalogue has.
    #[meta(auth, optional)]
    region_name: String,
}

impl OpenStackSwift {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.login.auth_url.is_empty() {
            reader.error("missing required parameter \"authURL\" in [authParams]");
        }
        let missing = if !self.login.user_id.is_empty() {
            [
                (self.login.password.is_empty(), "password must be specified when using userID"),
                (self.project_id.is_empty(), "projectID must be specified when using userID"),
            ]
        } else {
            let no_credential = self.login.app_credential_id.is_empty();
            let no_secret = !no_credential && self.login.app_credential_secret.is_empty();
            [
                (no_credential, "either userID or appCredentialID must be specified"),
                (no_secret, "appCredentialSecret must be specified when using appCredentialID"),
            ]
        };
        for (_, message) in missing.into_iter().filter(|(missing, _)| *missing) {
            reader.error(message);
        }
    }

    fn metric_name(&self) -> String {
        let name = format!("openstack-swift-{}", self.container_name);
        normalize(&if self.object_prefix.is_empty() { name } else { format!("{name}-{}", self.object_prefix) })
    }
}

impl Trigger for OpenStackSwift {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.object_count)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let login = self.login.clone();
        let who = if login.app_credential_id.is_empty() {
            Who::User { id: login.user_id, password: login.password, project: self.project_id.clone() }
        } else {
            Who::Application { id: login.app_credential_id, secret: login.app_credential_secret }
        };
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let identity = Identity { auth_url: login.auth_url, who };
        let keystone = Keystone::new(identity, client, sources.settings.long_timeout(), sources);
        Ok(Box::new(Container { keystone, trigger: self }))
    }
}

struct Container {
    keystone: Keystone,
    trigger: OpenStackSwift,
}

#[async_trait]
impl Scaler for Container {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.trigger;
        let answer = self.keystone.send(|client, session| Ok(client.head(trigger.url(session)?))).await?;
        let count = answer.header("X-Container-Object-Count").and_then(|count| count.parse().ok()).map(float);
        answer.success("swift answered")?;
        let count = count.ok_or_else(|| SourceError::malformed("swift does not tell the number of objects"))?;
        Ok(vec![(trigger.metric_name(), Sample::above(count, float(trigger.activation_object_count)))])
    }
}

impl OpenStackSwift {
    /// The address of the container.
    fn url(&self, session: &Session) -> Result<Url, SourceError> {
        let (address, from) = if self.swift_url.is_empty() {
            let endpoint = session.endpoint("object-store", &self.region_name).ok_or_else(|| {
                SourceError::configuration(
                    "error getting openstack swift client: Keystone's catalogue has no public address of an \
                     object-store (in this region); give swiftURL",
                )
            })?;
            (endpoint, "the address of Swift in Keystone's catalogue")
        } else {
            (self.swift_url.as_str(), "swiftURL")
        };
        http::under(http::address(address, from)?, from, &[&self.container_name])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (OpenStackSwift, Vec<String>) {
        let metadata = [("containerName", "my-container")].into_iter().chain(metadata.iter().copied());
        let inputs = Inputs::from_metadata(metadata).with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<OpenStackSwift>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_has_the_prefix_too() {
        let user = [("authURL", "http://k"), ("userID", "u"), ("password", "p"), ("projectID", "j")];
        let (trigger, problems) = parsed(&[("objectPrefix", "my/prefix")], &user);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("openstack-swift-my-container-my-prefix", Target::Integer(2));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(parsed(&[], &user).0.metric_name(), "openstack-swift-my-container");
    }

    #[test]
    fn a_login_is_whole() {
        let problems = |authentication: &[(&str, &str)]| parsed(&[], authentication).1;
        let at = ("authURL", "http://k");
        assert_eq!(problems(&[at]), ["either userID or appCredentialID must be specified"]);
        assert_eq!(
            problems(&[at, ("userID", "u"), ("password", "p")]),
            ["projectID must be specified when using userID"]
        );
        let application = ("appCredentialID", "a");
        assert_eq!(problems(&[at, application]), ["appCredentialSecret must be specified when using appCredentialID"]);
        assert!(problems(&[application, ("appCredentialSecret", "s")])[0].contains("\"authURL\" in [authParams]"));
    }
}
