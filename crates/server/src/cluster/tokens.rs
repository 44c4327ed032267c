//! Tokens of ServiceAccounts, which the API server makes (`authentication.md` §4, `boundServiceAccountToken`).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use keda_core::secret::Secret;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::client::{ApiError, Cluster};
use super::resource::SERVICE_ACCOUNTS;

/// How long one token is given to all who ask. A trigger is planned and then set up, which is to be the same to both; and
/// what the API server takes back is soon replaced.
const SHARED: Duration = Duration::from_secs(60);

/// The tokens that were made of late.
pub(crate) struct Tokens {
    /// How long a token is good.
    lifetime: Duration,
    /// By namespace and name.
    known: Mutex<HashMap<(String, String), (Instant, Secret)>>,
}

#[derive(Deserialize)]
struct TokenRequest {
    status: TokenStatus,
}

#[derive(Deserialize)]
struct TokenStatus {
    token: String,
}

impl Tokens {
    /// None yet.
    pub(crate) fn new(lifetime: Duration) -> Self {
        Tokens { lifetime, known: Mutex::default() }
    }

    /// A token.
    pub(super) async fn get(&self, cluster: &Cluster, namespace: &str, name: &str) -> Result<Secret, ApiError> {
        let key = (namespace.to_string(), name.to_string());
        if let Some(token) = self.known(&key) {
            return Ok(token);
        }
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "expirationSeconds": self.lifetime.as_secs() },
        });
        let path = SERVICE_ACCOUNTS.object(Some(namespace), name).below("token");
        let made = cluster.create::<TokenRequest>(&path, &request).await?;
        let token = Secret::new(made.status.token);
        if let Ok(mut known) = self.known.lock() {
            known.insert(key, (Instant::now(), token.clone()));
        }
        Ok(token)
    }

    fn known(&self, key: &(String, String)) -> Option<Secret> {
        let mut known = self.known.lock().ok()?;
        known.retain(|_, (made, _)| made.elapsed() < SHARED);
        known.get(key).map(|(_, token)| token.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cluster::testing;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_shared_for_a_moment() {
        let (cluster, mut requests) = testing::cluster(|request| {
            let token =
                request.strip_prefix("POST /api/v1/namespaces/shop/serviceaccounts/")?.strip_suffix("/token")?;
            Some(json!({ "status": { "token": format!("of-{token}") } }) as Value)
        });
        let tokens = Tokens::new(Duration::from_secs(3600));
        for (name, asked) in [("reader", 1), ("reader", 0), ("writer", 1)] {
            let token = tokens.get(&cluster, "shop", name).await.unwrap();
            assert_eq!((token.expose(), requests.so_far().len()), (&*format!("of-{name}"), asked));
        }
        tokio::time::advance(SHARED).await;
        tokens.get(&cluster, "shop", "reader").await.unwrap();
        assert_eq!(requests.so_far().len(), 1);
        assert!(tokens.get(&cluster, "elsewhere", "reader").await.is_err_and(|error| error.is_not_found()));
    }
}
