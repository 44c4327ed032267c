//! Keys to sign with: given, found where the process runs, or borrowed from a role.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;

use super::login::AwsLogin;
use super::process::AwsEnvironment;
use super::roles::{Role, Roles};
use crate::client::pool::{Pool, Slot};
use crate::client::secret_file;
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};
use crate::sampler::wall_clock;

/// How long before their end keys are no longer used.
const MARGIN: Duration = Duration::from_secs(60);

/// Time for what answers on the machine itself or not at all.
const NEARBY: Duration = Duration::from_secs(2);

/// The keys that triggers share, by who they want to be and where.
pub type CredentialsPool = Pool<(AwsLogin, String), Credentials>;

/// Keys to sign with.
#[derive(Debug)]
pub struct Credentials {
    /// Which keys.
    pub access_key_id: Secret,
    /// The key that signs.
    pub secret_access_key: Secret,
    /// The token that comes with temporary keys; empty for lasting ones.
    pub session_token: Secret,
    /// `None` for lasting ones.
    pub expires: Option<Timestamp>,
}

impl Credentials {
    /// Whether they are good for a while.
    fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|end| wall_clock() + MARGIN < end)
    }
}

/// Gets the keys of one trigger.
pub(super) struct CredentialSource {
    login: AwsLogin,
    process: ProcessKeys,
    roles: Roles,
    slot: Arc<Slot<Credentials>>,
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSource")
    }
}

impl CredentialSource {
    /// Asks nobody yet.
    pub(super) fn new(login: AwsLogin, region: &str, sources: &Sources) -> Result<Self, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let environment = Arc::new(sources.settings.aws.clone());
        let slot = |login: AwsLogin| sources.aws.slot((login, region.to_string()));
        let roles = Roles::new(Arc::clone(&client), &environment, region)?;
        let process = ProcessKeys { client, environment, roles: roles.clone(), slot: slot(AwsLogin::Process) };
        Ok(CredentialSource { slot: slot(login.clone()), login, process, roles })
    }

    /// The keys, to be handed back to [`CredentialSource::refused`] if they are not accepted.
    pub(super) async fn get(&self) -> Result<Arc<Credentials>, SourceError> {
        self.slot.fresh(Credentials::is_fresh, || self.find()).await
    }

    /// Forgets keys that were not accepted.
    pub(super) async fn refused(&self, credentials: &Arc<Credentials>) {
        self.slot.discard(credentials).await;
    }

    async fn find(&self) -> Result<Credentials, SourceError> {
        let result = match &self.login {
            AwsLogin::Keys { access_key_id, secret_access_key, session_token } => Ok(Credentials {
                access_key_id: access_key_id.clone(),
                secret_access_key: secret_access_key.clone(),
                session_token: session_token.clone(),
                expires: None,
            }),
            AwsLogin::Process => self.process.find().await,
            AwsLogin::Identity { role_arn, .. } if role_arn.is_empty() => self.process.find().await,
            AwsLogin::Identity { role_arn, external_id } => self.take_on(role_arn, external_id).await,
            AwsLogin::Role(role_arn) => self.assume(role_arn, "").await,
        };
        result.map_err(|error| error.within("cannot log in at AWS"))
    }

    /// A role by the process' web identity token, or else by the process' login: which of them a role trusts shows when
    /// it is asked for.
    async fn take_on(&self, role_arn: &str, external_id: &str) -> Result<Credentials, SourceError> {
        let Some(file) = &self.process.environment.token_file else { return self.assume(role_arn, external_id).await };
        let refusal = match self.roles.by_token(role_arn, None, file).await {
            Ok(credentials) => return Ok(credentials),
            Err(refusal) => refusal,
        };
        self.assume(role_arn, external_id).await.map_err(|error| {
            // Nobody was refused as long as one of them could not be asked.
            let kind = if refusal.kind == ErrorKind::Unreachable { refusal.kind } else { error.kind };
            SourceError::new(kind, error.within(&refusal.message).message)
        })
    }

    async fn assume(&self, role_arn: &str, external_id: &str) -> Result<Credentials, SourceError> {
        let own = self.process.slot.fresh(Credentials::is_fresh, || self.process.find()).await?;
        self.roles.assume(&Role { arn: role_arn, external_id }, &own).await
    }
}

/// Who the process is: by its environment, its container or its machine.
struct ProcessKeys {
    client: Arc<Client>,
    environment: Arc<AwsEnvironment>,
    roles: Roles,
    slot: Arc<Slot<Credentials>>,
}

impl ProcessKeys {
    async fn find(&self) -> Result<Credentials, SourceError> {
        let environment = &self.environment;
        if let Some([access_key_id, secret_access_key, session_token]) = environment.keys.clone() {
            return Ok(Credentials { access_key_id, secret_access_key, session_token, expires: None });
        }
        if let (Some(file), Some(role)) = (&environment.token_file, &environment.role_arn) {
            return self.roles.by_token(role, environment.session_name.as_deref(), file).await;
        }
        if let Some(url) = &environment.container_url {
            return self.of_container(url).await.map_err(|error| error.within("credentials of the container"));
        }
        let Some(metadata) = &environment.instance_metadata else {
            let message = "the process has no login at AWS: give the trigger one by its authenticationRef";
            return Err(SourceError::new(ErrorKind::Denied, message));
        };
        let within = "the process has no other login at AWS than that of the machine, which cannot be found out";
        self.of_machine(metadata).await.map_err(|error| error.within(within))
    }

    async fn of_container(&self, url: &str) -> Result<Credentials, SourceError> {
        let request = self.client.get(http::address(url, url)?);
        let token = match (&self.environment.container_token_file, &self.environment.container_token) {
            (Some(file), _) => Some(secret_file::read("token", file).await?),
            (None, token) => token.clone(),
        };
        let request = token.iter().fold(request, |request, token| request.header("authorization", token.expose()));
        keys(request).await
    }

    /// Of an instance of EC2, by the second version of its metadata service, or the first where it gives no token.
    async fn of_machine(&self, metadata: &str) -> Result<Credentials, SourceError> {
        let at = |path: &str| {
            let url = format!("{}/latest/{path}", metadata.trim_end_matches('/'));
            http::address(&url, &url)
        };
        let request = self.client.put(at("api/token")?).header("x-aws-ec2-metadata-token-ttl-seconds", "300");
        let token = http::send(request.timeout(NEARBY)).await.and_then(|answer| answer.success("token of the machine"));
        // Some machines know the first version only, and the tokens of others do not reach their pods.
        let token = match token {
            Err(error) if self.environment.instance_metadata_needs_token => return Err(error),
            token => token.ok(),
        };
        let get = |path: &str| -> Result<RequestBuilder, SourceError> {
            let request = self.client.get(at(path)?);
            Ok(token.iter().fold(request, |request, token| request.header("x-aws-ec2-metadata-token", token)))
        };
        let role = "meta-data/iam/security-credentials/";
        let name = http::send(get(role)?.timeout(NEARBY)).await?.success("role of the machine")?;
        keys(get(&format!("{role}{}", name.trim()))?).await
    }
}

/// What a container or a machine answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    token: String,
    expiration: Option<Timestamp>,
}

async fn keys(request: RequestBuilder) -> Result<Credentials, SourceError> {
    let body = http::send(request.timeout(NEARBY)).await?.success("keys")?;
    let keys: Keys =
        serde_json::from_str(&body).map_err(|_| SourceError::malformed("there are no keys in the answer"))?;
    Ok(Credentials {
        access_key_id: Secret::new(keys.access_key_id),
        secret_access_key: Secret::new(keys.secret_access_key),
        session_token: Secret::new(keys.token),
        expires: keys.expiration,
    })
}
