//! Who asks a managed Prometheus of a cloud, and how that is proven.

use std::time::Duration;

use keda_core::metadata::{Metadata, Parameter, Reader};
use keda_core::sample::{ErrorKind, SourceError};
use reqwest::RequestBuilder;

use crate::client::Sources;
use crate::client::aws::{AwsLogin, Signer};
use crate::client::azure::{self, AzureLogin, AzureTokens, Cloud};
use crate::client::gcp::{GcpLogin, GcpOptions, GcpTokens};
use crate::client::http::{self, Answer};

/// What tokens of Google must allow.
const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/monitoring.read";

/// The name by which Amazon Managed Service for Prometheus signs.
const AWS_SERVICE: &str = "aps";

/// What a resource of Azure has behind it as the scope of a token.
const AZURE_SCOPE: &str = "/.default";

/// What [`CloudLogin`] is found in beside the parameters of the clouds' logins, with a table for those who ask which keys
/// there are.
#[derive(Metadata)]
#[expect(dead_code, reason = "only its table is used")]
struct LoginParameters {
    /// The Azure cloud, with a workload identity of Azure: `AzurePublicCloud`, which is also meant where it is not given,
    /// `AzureUSGovernmentCloud`, `AzureChinaCloud`, or `Private` for one whose resource is given in
    /// `azureManagedPrometheusResourceURL`.
    #[meta(trigger, optional)]
    cloud: String,
    /// What tokens of Azure are for, such as `https://prometheus.cloud.example/.default`; needed in the cloud `Private`,
    /// not looked at in another.
    #[meta(name = "azureManagedPrometheusResourceURL", trigger, optional)]
    azure_managed_prometheus_resource_url: String,
}

/// Who a trigger is at the cloud whose Prometheus it asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum CloudLogin {
    /// Nobody.
    #[default]
    None,
    /// A workload identity of Azure, and the resource that it asks for.
    Azure(AzureLogin, String),
    Google(GcpLogin),
    Aws(AwsLogin),
}

impl Metadata for CloudLogin {
    /// None, as in KEDA's own table.
    fn parameters() -> Vec<&'static Parameter> {
        Vec::new()
    }

    fn unlisted() -> Vec<&'static Parameter> {
        let google = [GcpOptions::parameters(), GcpOptions::unlisted()].concat();
        [LoginParameters::parameters(), google, AwsLogin::unlisted()].concat()
    }

    /// The last of the three clouds that has what it wants, as in KEDA. What is missing for one is no error, as most
    /// servers want none of them.
    fn read(reader: &mut Reader<'_>) -> Self {
        let azure = azure(reader);
        let google = GcpLogin::read_if_given(reader).map(CloudLogin::Google);
        let aws = AwsLogin::read_if_complete(reader).ok().map(CloudLogin::Aws);
        aws.or(google).or(azure).unwrap_or_default()
    }
}

fn azure(reader: &mut Reader<'_>) -> Option<CloudLogin> {
    let login = AzureLogin::workload(reader.context())?;
    let resource = azure::endpoint(reader, "azureManagedPrometheusResourceURL", |cloud| match cloud {
        Cloud::Public => "https://prometheus.monitor.azure.com",
        Cloud::UsGovernment => "https://prometheus.monitor.azure.us",
        Cloud::China => "https://prometheus.monitor.azure.cn",
        Cloud::German => "",
    });
    let resource = resource.and_then(|resource| match resource.trim_end_matches(AZURE_SCOPE) {
        "" => Err("azure managed prometheus is not available in cloud AzureGermanCloud".to_string()),
        resource => Ok(resource.to_string()),
    });
    match resource {
        Ok(resource) => {
            reader.asks_for("resource of Azure", &resource);
            Some(CloudLogin::Azure(login, resource))
        }
        Err(message) => {
            reader.error_at("cloud", message);
            None
        }
    }
}

impl CloudLogin {
    /// One who can send requests, with so much time for each.
    ///
    /// # Errors
    /// TLS that cannot be set up, and no region where requests are signed for AWS.
    pub(super) fn sender(self, region: &str, timeout: Duration, sources: &Sources) -> Result<Sender, SourceError> {
        Ok(match self {
            CloudLogin::None => Sender::Nobody,
            CloudLogin::Azure(login, resource) => Sender::Azure(AzureTokens::new(login, None, &resource, sources)?),
            CloudLogin::Google(login) => Sender::Google(GcpTokens::new(login, GOOGLE_SCOPE, sources)?.within(timeout)),
            CloudLogin::Aws(login) => {
                let of_process = sources.settings.aws.region.as_deref();
                let region = Some(region).filter(|region| !region.is_empty()).or(of_process);
                let missing = "awsRegion is needed, as requests are signed for AWS with the login that is given";
                let region = region.ok_or_else(|| SourceError::new(ErrorKind::Configuration, missing))?;
                Sender::Aws(Signer::new(AWS_SERVICE, region, login, sources)?)
            }
        })
    }
}

/// Who sends requests.
#[derive(Debug)]
pub(super) enum Sender {
    /// Whoever the request says by itself.
    Nobody,
    Azure(AzureTokens),
    Google(GcpTokens),
    Aws(Signer),
}

impl Sender {
    /// Sends a request with what proves who asks.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for a login that is refused, and as [`http::send`].
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, SourceError> {
        match self {
            Sender::Nobody => http::send(request).await,
            Sender::Azure(tokens) => tokens.send(request).await,
            Sender::Google(tokens) => tokens.send(request).await,
            Sender::Aws(signer) => signer.send(request).await,
        }
    }
}
