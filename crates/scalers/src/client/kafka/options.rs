//! The parameters that `kafka` and `apache-kafka` have in common (`scalers/kafka.md`).

use keda_core::metadata::{Metadata, Parameter, Reader};
use keda_core::names::normalize;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;

use super::{Access, Login, ScramHash};
use crate::client::aws::AwsLogin;
use crate::client::certificates::Certificates;

/// Whose lag it is, and how much of it is too much.
#[derive(Debug, Clone, Default, Metadata)]
pub struct ConsumerGroup {
    /// Addresses of some brokers, such as `kafka-0.shop.svc:9092,kafka-1.shop.svc:9092`; they name the others.
    #[meta(trigger, env)]
    pub bootstrap_servers: Vec<String>,
    /// The consumer group, as in the consumers' `group.id`.
    #[meta(trigger, env)]
    pub consumer_group: String,
    /// Messages of lag that one replica is expected to handle; more than 0.
    #[meta(trigger, default = "10")]
    pub lag_threshold: i64,
    /// Messages of lag above which the target leaves zero; not negative.
    #[meta(trigger, default = "0")]
    pub activation_lag_threshold: i64,
}

impl ConsumerGroup {
    /// The name of the metric: that of the topics, or of the group where it is all of them.
    pub fn metric_name(&self, topics: &str) -> String {
        if topics.is_empty() {
            normalize(&format!("kafka-{}-topics", self.consumer_group))
        } else {
            normalize(&format!("kafka-{topics}"))
        }
    }
}

/// How to reach the brokers and to log in there.
#[derive(Debug, Clone, Default, Metadata)]
pub struct Security {
    /// Whether to use TLS: `enable` or `disable`. Certificates count only where it is on.
    #[meta(trigger, auth, default = "disable", one_of("enable", "disable"))]
    tls: String,
    #[meta(group)]
    pub certificates: Certificates,
    /// User of the login; with an OAuth 2.0 token its client, and with Kerberos the principal without the realm.
    #[meta(auth, optional)]
    pub username: String,
    /// Password of the user, or secret of the client.
    #[meta(auth, optional)]
    pub password: Secret,
    /// Region of a cluster of Amazon MSK, such as `eu-west-1`; needed for `aws_msk_iam`.
    #[meta(trigger, optional)]
    pub aws_region: String,
    #[meta(group)]
    pub aws: OptionalAwsLogin,
}

impl Security {
    /// Whether TLS is on.
    pub fn uses_tls(&self) -> bool {
        self.tls == "enable"
    }

    /// How the brokers are reached, with a way to log in that wants user and password, or with none.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for any other way.
    pub fn access(&self, sasl: &str, insecure: bool) -> Result<Access, SourceError> {
        let (username, password) = (self.username.clone(), self.password.clone());
        let login = match sasl {
            "plaintext" => Login::Plain { username, password },
            "scram_sha256" => Login::Scram { hash: ScramHash::Sha256, username, password },
            "scram_sha512" => Login::Scram { hash: ScramHash::Sha512, username, password },
            "oauthbearer" | "gssapi" | "aws_msk_iam" => {
                let message = format!("sasl {sasl} is not supported yet");
                return Err(SourceError::new(ErrorKind::Unsupported, message));
            }
            _ => Login::None,
        };
        Ok(Access { tls: self.uses_tls().then(|| self.certificates.options(insecure)), login })
    }
}

/// Who the trigger is at AWS, where the cluster is one of AWS; other clusters want nobody.
#[derive(Debug, Clone)]
pub struct OptionalAwsLogin(Result<AwsLogin, &'static str>);

impl Default for OptionalAwsLogin {
    fn default() -> Self {
        OptionalAwsLogin(Ok(AwsLogin::default()))
    }
}

impl Metadata for OptionalAwsLogin {
    fn parameters() -> Vec<&'static Parameter> {
        AwsLogin::parameters()
    }

    fn unlisted() -> Vec<&'static Parameter> {
        AwsLogin::unlisted()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        OptionalAwsLogin(AwsLogin::read_if_complete(reader))
    }
}

impl OptionalAwsLogin {
    /// The login, for a cluster of AWS.
    ///
    /// # Errors
    /// What is missing.
    pub fn login(&self) -> Result<&AwsLogin, String> {
        self.0.as_ref().map_err(ToString::to_string)
    }
}
