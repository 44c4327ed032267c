//! Who the process itself is at AWS, by the variables that AWS's own clients read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use keda_core::secret::Secret;

/// What the environment of the process says about AWS, read once by the binary.
#[derive(Debug, Clone, Default)]
pub struct AwsEnvironment {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, the last one empty where there is none.
    pub keys: Option<[Secret; 3]>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// `AWS_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// `AWS_ROLE_SESSION_NAME`.
    pub session_name: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`, or `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` on the container's host.
    pub container_url: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    pub container_token: Option<Secret>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`.
    pub container_token_file: Option<PathBuf>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`; `None` where `AWS_EC2_METADATA_DISABLED` says so.
    pub instance_metadata: Option<String>,
    /// `AWS_EC2_METADATA_V1_DISABLED`: the machine is not asked without a token.
    pub instance_metadata_needs_token: bool,
    /// `AWS_REGION` or `AWS_DEFAULT_REGION`, for triggers that need not name their region.
    pub region: Option<String>,
    /// `AWS_ENDPOINT_URL` as that of the service "", and `AWS_ENDPOINT_URL_<SERVICE>` by its name in small letters.
    pub endpoints: BTreeMap<String, String>,
}

/// The services whose `AWS_ENDPOINT_URL_…` counts, and the begin of their hosts.
const SERVICES: [(&str, &str); 6] = [
    ("cloudwatch", "monitoring"),
    ("dynamodb", "dynamodb"),
    ("dynamodb_streams", "streams.dynamodb"),
    ("kinesis", "kinesis"),
    ("sqs", "sqs"),
    ("sts", "sts"),
];

impl AwsEnvironment {
    /// What the variables say. The role, the token and the rest are used in the order in which AWS's clients look for them.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| variable(name).filter(|text| !text.is_empty());
        let keys = text("AWS_ACCESS_KEY_ID").zip(text("AWS_SECRET_ACCESS_KEY")).map(|(id, secret)| {
            [Secret::new(id), Secret::new(secret), Secret::new(text("AWS_SESSION_TOKEN").unwrap_or_default())]
        });
        let relative = text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let container_url = relative.map(|path| format!("http://169.254.170.2{path}"));
        let is_set = |name: &str| text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let is_off = is_set("AWS_EC2_METADATA_DISABLED");
        let instance_metadata = text("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let instance_metadata = instance_metadata.unwrap_or_else(|| "http://169.254.169.254".to_string());
        let of_services = SERVICES.iter().filter_map(|(service, _)| {
            let name = format!("AWS_ENDPOINT_URL_{}", service.to_uppercase());
            Some(((*service).to_string(), text(&name)?))
        });
        let for_all = text("AWS_ENDPOINT_URL").map(|url| (String::new(), url));
        AwsEnvironment {
            keys,
            token_file: text("AWS_WEB_IDENTITY_TOKEN_FILE").map(PathBuf::from),
            role_arn: text("AWS_ROLE_ARN"),
            session_name: text("AWS_ROLE_SESSION_NAME"),
            container_url: container_url.or_else(|| text("AWS_CONTAINER_CREDENTIALS_FULL_URI")),
            container_token: text("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new),
            container_token_file: text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
            instance_metadata: (!is_off).then_some(instance_metadata),
            instance_metadata_needs_token: is_set("AWS_EC2_METADATA_V1_DISABLED"),
            region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
            endpoints: of_services.chain(for_all).collect(),
        }
    }

    /// The address of the service whose host begins like this, where the environment gives one.
    pub fn endpoint(&self, host: &str) -> Option<String> {
        let (service, _) = SERVICES.iter().find(|(_, begin)| *begin == host)?;
        self.endpoints.get(*service).or_else(|| self.endpoints.get("")).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_those_of_aws_s_own_clients() {
        let set = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"),
            ("AWS_ENDPOINT_URL", "http://all"),
            ("AWS_ENDPOINT_URL_SQS", "http://sqs"),
        ];
        let environment = AwsEnvironment::of(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_string())
        });
        assert_eq!(environment.container_url.as_deref(), Some("http://169.254.170.2/v2/x"));
        assert_eq!(environment.instance_metadata.as_deref(), Some("http://169.254.169.254"));
        assert_eq!(environment.endpoint("sqs").as_deref(), Some("http://sqs"));
        assert_eq!(environment.endpoint("monitoring").as_deref(), Some("http://all"));
        assert!(environment.keys.is_some_and(|[id, _, token]| id.expose() == "id" && token.is_empty()));
        let off = AwsEnvironment::of(|name| (name == "AWS_EC2_METADATA_DISABLED").then(|| "true".to_string()));
        assert!(off.instance_metadata.is_none() && off.endpoint("sqs").is_none());
        let strict = AwsEnvironment::of(|name| (name == "AWS_EC2_METADATA_V1_DISABLED").then(|| "TRUE".to_string()));
        assert!(strict.instance_metadata_needs_token && !off.instance_metadata_needs_token);
    }
}
