//! Who triggers on Google Cloud are there (`scalers/_common-d-m.md`, "GCP credentials").

use keda_core::metadata::{Context, Inputs, Metadata, Parameter, Reader};
use keda_core::secret::Secret;

/// The parameters that every trigger on Google Cloud has.
#[derive(Debug, Clone, Metadata)]
pub struct GcpOptions {
    /// Key of a service account, as JSON. It is only read from a variable of the target's container, named by
    /// `credentialsFromEnv`, where neither a pod identity nor `GoogleApplicationCredentials` is given.
    #[meta(trigger, env, optional)]
    #[expect(dead_code, reason = "the login was found with it")]
    credentials: Secret,
    /// Variable of the target's container that holds the path of a file with the key of a service account. The file
    /// must be there for KEDA itself, and only `gcp-storage` and `gcp-spanner` read it.
    #[meta(trigger, env, optional)]
    #[expect(dead_code, reason = "the login was found with it")]
    credentials_from_env_file: String,
    #[meta(group)]
    pub login: GcpLogin,
}

/// Who a trigger is at Google Cloud. Found in texts that are read as they are: blanks count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum GcpLogin {
    /// Whoever the process is, by its environment, files and machine (the application default credentials).
    #[default]
    Process,
    /// A service account, by its key as JSON; empty where the variable that should hold it is.
    Key(Secret),
    /// A service account, by the path of a file with its key; empty where the variable that should hold it is.
    KeyFile(String),
}

/// What [`GcpLogin`] is found in beside the keys of [`GcpOptions`], with a table for those who ask which there are.
#[derive(Metadata)]
#[expect(dead_code, reason = "only its table is used")]
struct LoginParameters {
    /// Key of a service account, as JSON.
    #[meta(name = "GoogleApplicationCredentials", auth, optional)]
    key: Secret,
}

impl Metadata for GcpLogin {
    /// None beside those of [`GcpOptions`], as in KEDA's own table.
    fn parameters() -> Vec<&'static Parameter> {
        Vec::new()
    }

    fn unlisted() -> Vec<&'static Parameter> {
        LoginParameters::parameters()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        GcpLogin::read_if_given(reader).unwrap_or_else(|| {
            reader.error("google application credentials not found");
            GcpLogin::default()
        })
    }
}

impl GcpLogin {
    /// As [`Metadata::read`], for a trigger that can do without a login.
    pub fn read_if_given(reader: &mut Reader<'_>) -> Option<Self> {
        reader.looks_up(&["credentialsFromEnv", "credentialsFromEnvFile"]);
        let login = GcpLogin::find(reader.inputs(), reader.context())?;
        // Triggers with different logins do not ask the same.
        match &login {
            GcpLogin::Process => {}
            GcpLogin::Key(key) => reader.asks_for("key for Google Cloud", key.expose()),
            GcpLogin::KeyFile(path) => reader.asks_for("file of the key for Google Cloud", path),
        }
        Some(login)
    }

    /// The login, by the first rule that holds. Whether it is any good shows when it is used.
    fn find(inputs: &Inputs, context: &Context) -> Option<Self> {
        if context.identity_provider() == "gcp" {
            return Some(GcpLogin::Process);
        }
        let given = inputs.authentication.get("GoogleApplicationCredentials");
        if let Some(key) = given.filter(|key| !key.is_empty()) {
            return Some(GcpLogin::Key(Secret::new(key)));
        }
        let variable = |key: &str| {
            let name = inputs.metadata.get(key).filter(|name| !name.is_empty())?;
            Some(inputs.environment.get(name).unwrap_or_default())
        };
        if let Some(key) = variable("credentialsFromEnv") {
            return Some(GcpLogin::Key(Secret::new(key)));
        }
        variable("credentialsFromEnvFile").map(|path| GcpLogin::KeyFile(path.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;

    use super::*;

    fn login(metadata: &[(&str, &str)], authentication: &[(&str, &str)], provider: &str) -> Option<GcpLogin> {
        let inputs = Inputs::from_metadata(metadata.iter().copied())
            .with_authentication(authentication.iter().copied())
            .with_environment([("KEY", "{}"), ("PATH", "/key.json")]);
        let identity = PodIdentity { provider: provider.into(), ..PodIdentity::default() };
        GcpLogin::find(&inputs, &Context { pod_identity: Some(identity), ..Context::default() })
    }

    #[test]
    fn the_first_login_that_is_given_is_taken() {
        let variables = [("credentialsFromEnv", "KEY"), ("credentialsFromEnvFile", "PATH")];
        let given = [("GoogleApplicationCredentials", "{\"type\":\"service_account\"}")];
        assert_eq!(login(&variables, &given, "gcp"), Some(GcpLogin::Process));
        assert_eq!(login(&variables, &given, ""), Some(GcpLogin::Key(Secret::new(given[0].1))));
        assert_eq!(login(&variables, &[], ""), Some(GcpLogin::Key(Secret::new("{}"))));
        assert_eq!(login(&variables[1..], &[], ""), Some(GcpLogin::KeyFile("/key.json".into())));
    }

    #[test]
    fn a_variable_that_is_not_set_is_given_and_a_key_in_the_metadata_is_not() {
        assert_eq!(login(&[("credentialsFromEnv", "NONE")], &[], "none"), Some(GcpLogin::Key(Secret::default())));
        assert_eq!(login(&[("credentials", "{}")], &[("GoogleApplicationCredentials", "")], "aws"), None);
    }
}
