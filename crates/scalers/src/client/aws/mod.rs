//! AWS: who a trigger is there, and signed requests (`scalers/_common-a-c.md`, "AWS scalers").
//!
//! [`AwsLogin`] says who a trigger wants to be. [`Credentials`] are made of that when they are first needed, shared by all
//! who want to be the same, and made anew shortly before they expire. A [`Signer`] signs with them, as a [`Service`] does.

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
pub use signature::Signer;

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

/// The domains of AWS's partitions, by how the names of their regions begin.
const DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

/// Where a service is in a region.
fn regional_endpoint(host: &str, region: &str) -> String {
    let partition = DOMAINS.iter().find(|(begin, _)| region.starts_with(*begin));
    let domain = partition.map_or("amazonaws.com", |(_, domain)| *domain);
    format!("https://{host}.{region}.{domain}")
}

/// Fields as the body of a form.
fn encoded(fields: &[(impl AsRef<str>, impl AsRef<str>)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_partitions_have_a_domain_of_their_own() {
        for (region, domain) in [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
        ] {
            assert_eq!(regional_endpoint("sqs", region), format!("https://sqs.{region}.{domain}"));
        }
    }
}
