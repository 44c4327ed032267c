//! The clouds of Azure with their endpoints, and storage accounts (`scalers/_common-a-c.md`).

use keda_core::metadata::{Metadata, Reader};
use keda_core::secret::Secret;

/// The one provider of a pod identity that the triggers on Azure know.
pub const WORKLOAD_IDENTITY: &str = "azure-workload";

/// The cloud whose endpoints the trigger gives by itself.
const PRIVATE: &str = "Private";

/// A cloud of Microsoft's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// The one for everybody.
    Public,
    /// That of the government of the United States.
    UsGovernment,
    /// That of China.
    China,
    /// That of Germany, which is closed.
    German,
}

/// The names of clouds, in any case. `AzureStackCloud`, which a file on the operator's disk describes, is not among
/// them.
const NAMES: [(&str, Cloud); 6] = [
    ("AzurePublicCloud", Cloud::Public),
    ("AzureCloud", Cloud::Public),
    ("AzureUSGovernmentCloud", Cloud::UsGovernment),
    ("AzureUSGovernment", Cloud::UsGovernment),
    ("AzureChinaCloud", Cloud::China),
    ("AzureGermanCloud", Cloud::German),
];

impl Cloud {
    fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, cloud)| *cloud)
    }

    /// What follows the name of a storage account and the service in the name of a host.
    pub fn storage_suffix(self) -> &'static str {
        match self {
            Cloud::Public => "core.windows.net",
            Cloud::UsGovernment => "core.usgovcloudapi.net",
            Cloud::China => "core.chinacloudapi.cn",
            Cloud::German => "core.cloudapi.de",
        }
    }

    /// What follows the namespace of a Service Bus or of Event Hubs in the name of a host.
    pub fn service_bus_suffix(self) -> &'static str {
        match self {
            Cloud::Public => "servicebus.windows.net",
            Cloud::UsGovernment => "servicebus.usgovcloudapi.net",
            Cloud::China => "servicebus.chinacloudapi.cn",
            Cloud::German => "servicebus.cloudapi.de",
        }
    }

    /// Where tokens are given.
    pub fn active_directory_endpoint(self) -> &'static str {
        match self {
            Cloud::Public => "https://login.microsoftonline.com/",
            Cloud::UsGovernment => "https://login.microsoftonline.us/",
            Cloud::China => "https://login.chinacloudapi.cn/",
            Cloud::German => "https://login.microsoftonline.de/",
        }
    }
}

/// The endpoint of a trigger in its `cloud`: what `of` says about one of Microsoft's, or for `Private` the trigger's
/// own parameter `key`. Both texts are taken with the blanks around them, as in KEDA.
///
/// # Errors
/// KEDA's text for a cloud that does not exist, or an endpoint that is missing.
pub fn endpoint<T: Into<String>>(reader: &Reader<'_>, key: &str, of: impl Fn(Cloud) -> T) -> Result<String, String> {
    let written = |name: &str| reader.inputs().metadata.get(name).filter(|text| !text.is_empty());
    let Some(name) = written("cloud") else { return Ok(of(Cloud::Public).into()) };
    if name.eq_ignore_ascii_case(PRIVATE) {
        return written(key).cloned().ok_or_else(|| missing(key));
    }
    match Cloud::named(name) {
        Some(cloud) => Ok(of(cloud).into()),
        None => Err(format!("invalid cloud environment {name}")),
    }
}

/// The same for the services of Azure Monitor. They know the clouds `AzurePublicCloud`, `AzureUSGovernmentCloud` and
/// `AzureChinaCloud` by these names alone; `endpoints` are those of the three.
///
/// # Errors
/// KEDA's text for a cloud that does not exist, or an endpoint (the parameter `key` with the text `own`) that is
/// missing.
pub fn monitor_endpoint(cloud: &str, (key, own): (&str, &str), endpoints: [&str; 3]) -> Result<String, String> {
    if cloud.eq_ignore_ascii_case(PRIVATE) {
        return if own.is_empty() { Err(missing(key)) } else { Ok(own.to_string()) };
    }
    let [public, us_government, china] = endpoints;
    match cloud.to_ascii_lowercase().as_str() {
        "" | "azurepubliccloud" => Ok(public.to_string()),
        "azureusgovernmentcloud" => Ok(us_government.to_string()),
        "azurechinacloud" => Ok(china.to_string()),
        _ => Err(format!("there is no cloud environment matching the name {cloud}")),
    }
}

/// Checks who asks Azure Monitor: a workload identity, or else a client with a password.
pub fn check_monitor_login(reader: &mut Reader<'_>, client_id: &str, client_password: &Secret) {
    match reader.context().identity_provider() {
        "none" => {
            if client_id.is_empty() {
                reader.error("no activeDirectoryClientId given");
            }
            if client_password.is_empty() {
                reader.error("no activeDirectoryClientPassword given");
            }
        }
        WORKLOAD_IDENTITY => {}
        other => reader.error(format!("azure Monitor doesn't support pod identity {other}")),
    }
}

fn missing(key: &str) -> String {
    format!("{key} must be provided for {PRIVATE} cloud type")
}

/// A storage account that is reached with a workload identity; a connection string holds all of this by itself.
#[derive(Debug, Clone, Metadata)]
pub struct StorageAccount {
    /// Name of the storage account, such as `shopstorage`; needed with a workload identity. A connection string names
    /// the account by itself.
    #[meta(trigger, optional)]
    pub account_name: String,
    /// The Azure cloud, such as `AzureChinaCloud`, or `Private` for one whose address is given in `endpointSuffix`; the
    /// public cloud where it is not given.
    #[meta(trigger, optional)]
    pub cloud: String,
    /// What follows the name of the account in the name of the host, the service included, such as
    /// `blob.cloud.example`; needed in the cloud `Private`, not looked at in another.
    #[meta(trigger, optional)]
    pub endpoint_suffix: String,
}

impl StorageAccount {
    /// Finds out where `service` (`blob` or `queue`) is, and keeps that as the suffix; or reports why it cannot.
    pub fn locate(&mut self, service: &str, reader: &mut Reader<'_>) {
        match endpoint(reader, "endpointSuffix", |cloud| format!("{service}.{}", cloud.storage_suffix())) {
            Ok(suffix) => self.endpoint_suffix = suffix,
            Err(message) => reader.error_at("cloud", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitor_knows_fewer_clouds_and_fewer_names() {
        let find = |cloud, own| monitor_endpoint(cloud, ("url", own), ["public", "us", "china"]);
        assert_eq!(find("", ""), Ok("public".to_string()));
        assert_eq!(find("AZUREchinaCLOUD", "ignored"), Ok("china".to_string()));
        assert_eq!(find("private", "own"), Ok("own".to_string()));
        assert_eq!(find("Private", ""), Err("url must be provided for Private cloud type".to_string()));
        for unknown in ["AzureCloud", "AzureGermanCloud", "AzureStackCloud"] {
            assert_eq!(find(unknown, ""), Err(format!("there is no cloud environment matching the name {unknown}")));
        }
    }

    #[test]
    fn clouds_are_found_in_any_case() {
        assert_eq!(Cloud::named("azureusgovernment"), Some(Cloud::UsGovernment));
        assert_eq!(Cloud::named("AzureStackCloud"), None);
    }
}
