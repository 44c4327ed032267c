//! What the triggers on OpenStack share: the login at Keystone (`scalers/openstack-metric.md`, `openstack-swift.md`).

use keda_core::metadata::{Metadata, Reader};
use keda_core::secret::Secret;

/// A user or an application, and where it logs in.
#[derive(Debug, Clone, Default, Metadata)]
pub struct KeystoneLogin {
    /// Address of Keystone without `/v3`, such as `https://keystone.cloud.example:5000`; always needed.
    #[meta(name = "authURL", auth, optional)]
    pub auth_url: String,
    /// Id of the user, not the name; needs `password`.
    #[meta(name = "userID", auth, optional)]
    pub user_id: String,
    /// Password of the user.
    #[meta(auth, optional)]
    pub password: Secret,
    /// Id of an application credential, in place of `userID`; needs `appCredentialSecret`.
    #[meta(name = "appCredentialID", auth, optional)]
    pub app_credential_id: String,
    /// Secret of the application credential.
    #[meta(auth, optional)]
    pub app_credential_secret: Secret,
}

impl KeystoneLogin {
    /// Takes all texts again with the blanks around them, which may belong to a password.
    pub fn keep_blanks(&mut self, reader: &Reader<'_>) {
        let written = |name: &str| reader.inputs().authentication.get(name).cloned().unwrap_or_default();
        self.auth_url = written("authURL");
        self.user_id = written("userID");
        self.password = Secret::new(written("password"));
        self.app_credential_id = written("appCredentialID");
        self.app_credential_secret = Secret::new(written("appCredentialSecret"));
    }
}
