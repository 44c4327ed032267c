//! AWS: who a trigger is there, and signed requests (`scalers/_common-a-c.md`, "AWS scalers").
//!
//! [`AwsLogin`] says who a trigger wants to be. [`Credentials`] are made of that when they are first needed, shared by all
//! who want to be the same, and made anew shortly before they expire. A [`Service`] signs with them.

mod credentials;
mod login;
mod process;
mod roles;
mod service;
mod signature;

use keda_core::metadata::Metadata;
use keda_core::sample::SourceError;

pub use credentials::{Credentials, CredentialsPool};
pub use login::AwsLogin;
pub use process::AwsEnvironment;
pub use service::Service;

use super::Sources;

/// The parameters that every trigger on a service of AWS has.
#[derive(Debug, Clone, Metadata)]
pub struct AwsOptions {
    /// Region of the service, such as `eu-west-1`.
    #[meta(trigger, auth)]
    aws_region: String,
    /// Address of the service, in place of the one that its region has, such as `http://localstack.dev.svc:4566`.
    #[meta(trigger, optional)]
    aws_endpoint: String,
    /// Who logs in where there is no pod identity: `pod`, which is also meant where it is not given, with the role or
    /// keys of the TriggerAuthentication, or `operator`, which is KEDA itself and needs no TriggerAuthentication.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "the login was found with it")]
    identity_owner: String,
    #[meta(group)]
    login: AwsLogin,
}

impl AwsOptions {
    /// A service in the region of these options, at the host that begins with `host`; `name` is what is signed for.
    ///
    /// # Errors
    /// An endpoint that is no address.
    pub fn service(&self, name: &'static str, host: &str, sources: &Sources) -> Result<Service, SourceError> {
        let endpoint = match self.aws_endpoint.as_str() {
            "" => sources.settings.aws.endpoint(host).unwrap_or_else(|| regional_endpoint(host, &self.aws_region)),
            endpoint => endpoint.to_string(),
        };
        Service::new(name, &endpoint, &self.aws_region, self.login.clone(), sources)
    }
}

/// Where a service is in a region.
fn regional_endpoint(host: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://{host}.{region}.amazonaws.com{suffix}")
}

/// Fields as the body of a form.
fn encoded(fields: &[(impl AsRef<str>, impl AsRef<str>)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn china_has_a_domain_of_its_own() {
        assert_eq!(regional_endpoint("sqs", "eu-west-1"), "https://sqs.eu-west-1.amazonaws.com");
        assert_eq!(regional_endpoint("sqs", "cn-north-1"), "https://sqs.cn-north-1.amazonaws.com.cn");
    }
}
