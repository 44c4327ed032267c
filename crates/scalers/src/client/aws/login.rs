//! Who a trigger is at AWS (`scalers/_common-a-c.md`, "AWS scalers").

use keda_core::metadata::{Context, Inputs, Metadata, Parameter, Reader};
use keda_core::secret::Secret;

const NO_ACCESS_KEY: &str = "awsAccessKeyID not found";
const NO_SECRET_ACCESS_KEY: &str = "awsSecretAccessKey not found";

/// What [`AwsLogin`] is found in, with a table for those who ask which keys there are.
#[derive(Metadata)]
#[expect(dead_code, reason = "only its table is used")]
struct LoginParameters {
    /// Who logs in where there is no pod identity: `pod`, which is also meant where it is not given, with the role or
    /// keys of the TriggerAuthentication, or `operator`, which is KEDA itself and needs no TriggerAuthentication.
    #[meta(trigger, optional)]
    identity_owner: String,
    /// Id of a user's access key. Needs `awsSecretAccessKey`; not looked at with a pod identity or `awsRoleArn`.
    #[meta(name = "awsAccessKeyID", auth, trigger, env, optional)]
    access_key_id: Secret,
    /// The secret that belongs to `awsAccessKeyID`.
    #[meta(name = "awsSecretAccessKey", auth, env, optional)]
    secret_access_key: Secret,
    /// Token that comes with temporary keys; without it the keys are taken for lasting ones.
    #[meta(name = "awsSessionToken", auth, optional)]
    session_token: Secret,
    /// ARN of a role that KEDA takes on by its own login, such as `arn:aws:iam::111122223333:role/shop`; with the pod
    /// identity `aws`, `roleArn` there says the same.
    #[meta(name = "awsRoleArn", auth, optional)]
    role_arn: String,
}

/// Who a trigger is at AWS. Found in texts that no table of parameters knows, and read as they are: blanks count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum AwsLogin {
    /// Whoever the process is, by its environment, files and machine.
    #[default]
    Process,
    /// The pod identity `aws`: a role by the process' web identity token where there is one that the role trusts, else
    /// by the process' login; without a role, the process itself.
    Identity {
        /// The role.
        role_arn: String,
        /// What the role demands to be shown; empty for nothing.
        external_id: String,
    },
    /// A role, by the process' login.
    Role(String),
    /// A user's keys.
    Keys {
        /// Which keys.
        access_key_id: Secret,
        /// The key that signs.
        secret_access_key: Secret,
        /// The token that comes with temporary keys; empty for lasting ones.
        session_token: Secret,
    },
}

impl Metadata for AwsLogin {
    /// None, as in KEDA's own table.
    fn parameters() -> Vec<&'static Parameter> {
        Vec::new()
    }

    fn unlisted() -> Vec<&'static Parameter> {
        LoginParameters::parameters()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        AwsLogin::read_if_complete(reader).unwrap_or_else(|message| {
            reader.error(message);
            AwsLogin::default()
        })
    }
}

impl AwsLogin {
    /// As [`Metadata::read`], for a trigger that wants a login under some conditions only.
    ///
    /// # Errors
    /// KEDA's text when keys are wanted and one is missing.
    pub fn read_if_complete(reader: &mut Reader<'_>) -> Result<Self, &'static str> {
        reader.looks_up(&["awsAccessKeyIDFromEnv", "awsSecretAccessKeyFromEnv"]);
        let login = AwsLogin::find(reader.inputs(), reader.context())?;
        login.tell_apart(reader);
        Ok(login)
    }

    /// The login, by the first rule that holds.
    fn find(inputs: &Inputs, context: &Context) -> Result<Self, &'static str> {
        let given = |key: &str| inputs.authentication.get(key).map(String::as_str).unwrap_or_default();
        if let Some(identity) = context.pod_identity.as_ref().filter(|identity| identity.provider == "aws") {
            return Ok(match identity.role_arn.as_deref().unwrap_or_default() {
                "" => AwsLogin::Identity { role_arn: given("awsRoleArn").to_string(), external_id: String::new() },
                role_arn => AwsLogin::Identity {
                    role_arn: role_arn.to_string(),
                    external_id: identity.external_id.clone().unwrap_or_default(),
                },
            });
        }
        if !matches!(written(inputs, "identityOwner"), "" | "pod") {
            return Ok(AwsLogin::Process);
        }
        if !given("awsRoleArn").is_empty() {
            return Ok(AwsLogin::Role(given("awsRoleArn").to_string()));
        }
        let access_key_id = [given("awsAccessKeyID"), given("awsAccessKeyId")].into_iter().find(|id| !id.is_empty());
        match (access_key_id, given("awsSecretAccessKey")) {
            (None, _) => keys_of_target(inputs),
            (Some(_), "") => Err(NO_SECRET_ACCESS_KEY),
            (Some(access_key_id), secret_access_key) => Ok(AwsLogin::Keys {
                access_key_id: Secret::new(access_key_id),
                secret_access_key: Secret::new(secret_access_key),
                session_token: Secret::new(given("awsSessionToken")),
            }),
        }
    }

    /// Triggers with different logins do not ask the same.
    fn tell_apart(&self, reader: &mut Reader<'_>) {
        let texts = match self {
            AwsLogin::Process => ["process", "", "", ""],
            AwsLogin::Identity { role_arn, external_id } => ["identity", role_arn, external_id, ""],
            AwsLogin::Role(role_arn) => ["role", role_arn, "", ""],
            AwsLogin::Keys { access_key_id, secret_access_key, session_token } => {
                ["keys", access_key_id.expose(), secret_access_key.expose(), session_token.expose()]
            }
        };
        for text in texts {
            reader.asks_for("login at AWS", text);
        }
    }
}

/// The keys in the metadata and the environment of the target.
fn keys_of_target(inputs: &Inputs) -> Result<AwsLogin, &'static str> {
    let access_key_id = match written(inputs, "awsAccessKeyID") {
        "" => variable(inputs, "awsAccessKeyIDFromEnv"),
        access_key_id => Some(access_key_id),
    };
    let secret_access_key = variable(inputs, "awsSecretAccessKeyFromEnv");
    if access_key_id == Some("") {
        return Err(NO_ACCESS_KEY);
    }
    if secret_access_key == Some("") {
        return Err(NO_SECRET_ACCESS_KEY);
    }
    Ok(AwsLogin::Keys {
        access_key_id: Secret::new(access_key_id.unwrap_or_default()),
        secret_access_key: Secret::new(secret_access_key.unwrap_or_default()),
        session_token: Secret::default(),
    })
}

/// A text of the metadata; empty where there is none.
fn written<'a>(inputs: &'a Inputs, key: &str) -> &'a str {
    inputs.metadata.get(key).map(String::as_str).unwrap_or_default()
}

/// The value of the variable that the metadata names; empty where it names none or the variable does not exist, `None`
/// where nothing is known about the environment.
fn variable<'a>(inputs: &'a Inputs, key: &str) -> Option<&'a str> {
    match (written(inputs, key), &inputs.environment) {
        ("", _) => Some(""),
        (name, environment) if environment.hides(name) => None,
        (name, environment) => Some(environment.get(name).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;
    use keda_core::metadata::Environment;

    use super::*;

    const KEYS: [(&str, &str); 2] = [("awsAccessKeyID", "id"), ("awsSecretAccessKey", "hunter2")];

    fn login(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> Result<AwsLogin, &'static str> {
        let inputs = Inputs::from_metadata(metadata.iter().copied())
            .with_authentication(authentication.iter().copied())
            .with_environment([("ID", "id"), ("SECRET", "hunter2")]);
        AwsLogin::find(&inputs, &Context::default())
    }

    fn keys(session_token: &str) -> Result<AwsLogin, &'static str> {
        let (access_key_id, secret_access_key) = (Secret::new("id"), Secret::new("hunter2"));
        Ok(AwsLogin::Keys { access_key_id, secret_access_key, session_token: Secret::new(session_token) })
    }

    #[test]
    fn keys_are_complete_and_come_from_one_place() {
        let from_target = [("awsAccessKeyIDFromEnv", "ID"), ("awsSecretAccessKeyFromEnv", "SECRET")];
        assert_eq!(login(&[], &KEYS), keys(""));
        assert_eq!(login(&[], &[KEYS[0], KEYS[1], ("awsSessionToken", "t")]), keys("t"));
        assert_eq!(login(&from_target, &[]), keys(""));
        assert_eq!(login(&[KEYS[0], from_target[1]], &[]), keys(""));
        assert_eq!(login(&[], &[]), Err(NO_ACCESS_KEY));
        assert_eq!(login(&KEYS, &[]), Err(NO_SECRET_ACCESS_KEY), "a secret in plain metadata is not read");
        assert_eq!(login(&from_target, &[("awsAccessKeyId", "id")]), Err(NO_SECRET_ACCESS_KEY));
    }

    #[test]
    fn a_role_goes_before_keys_and_the_operator_needs_neither() {
        let role = [KEYS[0], ("awsRoleArn", "arn")];
        assert_eq!(login(&[("identityOwner", "pod")], &role), Ok(AwsLogin::Role("arn".into())));
        for owner in ["operator", "anyone", " pod"] {
            assert_eq!(login(&[("identityOwner", owner)], &role), Ok(AwsLogin::Process), "{owner}");
        }
    }

    #[test]
    fn a_pod_identity_goes_before_all() {
        let identity = |role_arn: Option<&str>| {
            let identity = PodIdentity {
                provider: "aws".into(),
                role_arn: role_arn.map(Into::into),
                external_id: Some("x".into()),
                ..PodIdentity::default()
            };
            let context = Context { pod_identity: Some(identity), ..Context::default() };
            AwsLogin::find(&Inputs::default().with_authentication([("awsRoleArn", "given"), KEYS[0]]), &context)
        };
        let of = |role: &str, id: &str| Ok(AwsLogin::Identity { role_arn: role.into(), external_id: id.into() });
        assert_eq!(identity(Some("own")), of("own", "x"));
        assert_eq!(identity(None), of("given", ""));
    }

    #[test]
    fn what_is_not_known_is_not_missing() {
        let inputs = Inputs {
            environment: Environment::Unknown,
            ..Inputs::from_metadata([("awsAccessKeyIDFromEnv", "ID"), ("awsSecretAccessKeyFromEnv", "SECRET")])
        };
        assert!(AwsLogin::find(&inputs, &Context::default()).is_ok());
    }
}
