//! TriggerAuthentication and ClusterTriggerAuthentication: where secret parameters of triggers come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AwsSecretManager, AzureKeyVault, GcpSecretManager, HashiCorpVault, ObjectMeta, SecretValue};

/// Sources of trigger parameters, for the triggers of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TriggerAuthentication {
    /// Metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The sources.
    pub spec: TriggerAuthenticationSpec,
    /// Who uses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TriggerAuthenticationStatus>,
}

/// The same for the triggers of all namespaces; what it refers to lies in KEDA's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterTriggerAuthentication {
    /// Metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The sources.
    pub spec: TriggerAuthenticationSpec,
    /// Who uses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TriggerAuthenticationStatus>,
}

/// Sources of trigger parameters (crds.md §3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TriggerAuthenticationSpec {
    /// An identity of the pod, in place of a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_identity: Option<PodIdentity>,
    /// Keys of Secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_target_ref: Vec<AuthTargetRef>,
    /// Keys of ConfigMaps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config_map_target_ref: Vec<AuthTargetRef>,
    /// Variables of the scale target's environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<AuthEnvironment>,
    /// A file below the folder that the operator allows (ClusterTriggerAuthentication only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_path: Option<String>,
    /// HashiCorp Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashi_corp_vault: Option<HashiCorpVault>,
    /// Azure Key Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_key_vault: Option<AzureKeyVault>,
    /// Google Cloud Secret Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp_secret_manager: Option<GcpSecretManager>,
    /// AWS Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_secret_manager: Option<AwsSecretManager>,
    /// Tokens of service accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bound_service_account_token: Vec<BoundServiceAccountToken>,
    /// OAuth 2.0 client credentials.
    #[serde(rename = "oauth2", skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
}

/// Who uses a TriggerAuthentication: names joined by commas.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerAuthenticationStatus {
    /// ScaledObjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaledobjects: Option<String>,
    /// ScaledJobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaledjobs: Option<String>,
}

/// An identity that a cloud gives to pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodIdentity {
    /// `azure-workload`, `gcp`, `aws`, `aws-eks` or `none`.
    pub provider: String,
    /// Client id of the identity (azure-workload).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    /// Tenant of the identity (azure-workload).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_tenant_id: Option<String>,
    /// Authority that issues tokens (azure-workload).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_authority_host: Option<String>,
    /// Role to assume (aws).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// External id that the role demands (aws).
    #[serde(rename = "externalID", default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whose identity is used: `keda` (the default) or `workload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_owner: Option<String>,
}

/// A parameter from a key of a Secret or ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuthTargetRef {
    /// Name of the trigger's parameter.
    pub parameter: String,
    /// Name of the object.
    pub name: String,
    /// Key inside of it.
    pub key: String,
}

/// A parameter from a variable of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthEnvironment {
    /// Name of the trigger's parameter.
    pub parameter: String,
    /// Name of the variable.
    pub name: String,
    /// Container; the first one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
}

/// A parameter that is a fresh token of a service account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundServiceAccountToken {
    /// Name of the trigger's parameter.
    pub parameter: String,
    /// Name of the service account.
    pub service_account_name: String,
}

impl TriggerAuthenticationSpec {
    /// The parameters whose values come from secret stores, or from tokens that the cluster makes.
    pub fn stored_parameters(&self) -> impl Iterator<Item = &str> {
        let vault = self.hashi_corp_vault.iter().flat_map(|vault| &vault.secrets).map(|secret| &secret.parameter);
        let azure = self.azure_key_vault.iter().flat_map(|vault| &vault.secrets).map(|secret| &secret.parameter);
        let gcp = self.gcp_secret_manager.iter().flat_map(|manager| &manager.secrets).map(|secret| &secret.parameter);
        let aws = self.aws_secret_manager.iter().flat_map(|manager| &manager.secrets).map(|secret| &secret.parameter);
        let tokens = self.bound_service_account_token.iter().map(|token| &token.parameter);
        vault.chain(azure).chain(gcp).chain(aws).chain(tokens).map(String::as_str)
    }
}

/// OAuth 2.0 client credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// Always `clientCredentials`.
    #[serde(default = "client_credentials")]
    pub r#type: String,
    /// Client id.
    pub client_id: String,
    /// Client secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretValue>,
    /// Where tokens are issued.
    pub token_url: String,
    /// Scopes to ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Further parameters of the token request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_url_params: BTreeMap<String, String>,
}

fn client_credentials() -> String {
    "clientCredentials".to_owned()
}
