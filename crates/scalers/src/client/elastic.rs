//! Where an Elasticsearch is and how to log in: what its triggers have in common (`scalers/elasticsearch.md`).

use keda_core::metadata::Metadata;
use keda_core::secret::Secret;

/// Addresses with a user, or a deployment in Elastic's cloud with a key. Which of them must be given is a matter of the
/// trigger.
#[derive(Debug, Clone, Default, Metadata)]
pub struct ElasticServer {
    /// Addresses of the servers as URLs, such as `https://elasticsearch.shop.svc:9200`, with commas between them. Needs
    /// `username` and `password`; excludes `cloudID` and `apiKey`.
    #[meta(auth, trigger, optional)]
    pub addresses: Vec<String>,
    /// Whether to take any certificate of the server.
    #[meta(trigger, default = "false")]
    pub unsafe_ssl: bool,
    /// User to log in as at the servers of `addresses`.
    #[meta(auth, trigger, optional)]
    pub username: String,
    /// Password of the user.
    #[meta(auth, env, trigger, optional)]
    pub password: Secret,
    /// Identifier of a deployment in Elastic's cloud, as its console shows it, in place of `addresses`. Needs `apiKey`.
    #[meta(name = "cloudID", auth, trigger, optional)]
    pub cloud_id: String,
    /// Key to log in with at the deployment in Elastic's cloud. Needs `cloudID`.
    #[meta(auth, trigger, optional)]
    pub api_key: Secret,
}

impl ElasticServer {
    /// Whether anything of a deployment in Elastic's cloud is given.
    pub fn is_in_cloud(&self) -> bool {
        !self.cloud_id.is_empty() || !self.api_key.is_empty()
    }

    /// Whether only one of the deployment's identifier and key is given.
    pub fn is_half_in_cloud(&self) -> bool {
        self.cloud_id.is_empty() != self.api_key.is_empty()
    }

    /// Whether there are addresses.
    pub fn has_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Whether user or password are given.
    pub fn has_any_login(&self) -> bool {
        !self.username.is_empty() || !self.password.is_empty()
    }

    /// Whether user and password are given.
    pub fn has_whole_login(&self) -> bool {
        !self.username.is_empty() && !self.password.is_empty()
    }
}
