//! `forgejo-runner`: the jobs that wait for a runner of Forgejo Actions (`scalers/forgejo-runner.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::Sources;
use crate::client::authentication::with_header;
use crate::client::http;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

const METRIC_NAME: &str = "forgejo";

/// Scale on the jobs that wait for a runner of Forgejo Actions.
///
/// The value is the number of waiting jobs that a runner with these labels could take. One replica is wanted per job,
/// and the target leaves zero with the first one; neither can be changed. The jobs are those of:
///
/// - the repository, when `owner` and `repo` are given,
/// - else the organisation in `org`,
/// - else the whole server, when `global` is on,
/// - else the user whose token it is.
///
/// The `token` must be allowed to read that: the repository, the organisation, the server's administration or the user.
/// It comes from a TriggerAuthentication or from a variable, not from the metadata. A job that a runner has taken is no
/// longer counted, so runners that take one job and end, in a ScaledJob, fit better than a Deployment, which may be
/// scaled down while its runners work.
///
/// ```yaml
/// type: forgejo-runner
/// metadata:
///   address: https://git.shop.example
///   org: shop
///   labels: docker,arm64
/// authenticationRef:
///   name: forgejo-login
/// ---
/// secretTargetRef:
///   - parameter: token
///     name: forgejo-login
///     key: token
/// ```
#[derive(Debug, Metadata)]
pub struct ForgejoRunner {
    /// Access token of the API, with the right to read the runners' jobs of what is asked about.
    #[meta(auth, env)]
    token: Secret,
    /// Address of the server, such as `https://git.shop.example`.
    #[meta(trigger)]
    address: String,
    /// Labels of the runners, such as `docker,arm64`, without blanks: they are sent as they are.
    #[meta(trigger)]
    labels: String,
    /// Whether to count the jobs of the whole server; of no effect beside a repository or an organisation.
    #[meta(trigger, optional)]
    global: bool,
    /// Owner of the repository; of no effect without `repo`.
    #[meta(trigger, optional)]
    owner: String,
    /// The organisation whose jobs to count.
    #[meta(trigger, optional)]
    org: String,
    /// Name of the repository; of no effect without `owner`.
    #[meta(trigger, optional)]
    repo: String,
}

impl Trigger for ForgejoRunner {
    /// One replica for each job.
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC_NAME, Target::Integer(1)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Server { client, trigger: self }))
    }
}

struct Server {
    client: Arc<Client>,
    trigger: ForgejoRunner,
}

#[async_trait]
impl Scaler for Server {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let url = self.trigger.url()?;
        let what = format!("the Forgejo REST API returned error. url: {}", http::presentable(&url));
        let login = Secret::new(format!("token {}", self.trigger.token.expose()));
        let request = with_header(self.client.get(url), ("", "Authorization"), ("token", &login))?;
        let jobs = match http::send(request).await?.json(&what)? {
            Value::Array(jobs) => jobs.len(),
            // So Forgejo writes an empty list.
            Value::Null => 0,
            _ => return Err(SourceError::malformed("the answer of Forgejo is not a list of jobs")),
        };
        let jobs = i64::try_from(jobs).map_or(f64::INFINITY, float);
        Ok(vec![(METRIC_NAME.to_string(), Sample::above(jobs, 0.0))])
    }
}

impl ForgejoRunner {
    /// Where the waiting jobs are listed: those of the repository, the organisation, the server or the user.
    fn url(&self) -> Result<Url, SourceError> {
        let ForgejoRunner { owner, repo, org, .. } = self;
        let whose: &[&str] = if !owner.is_empty() && !repo.is_empty() {
            &["repos", owner, repo, "actions"]
        } else if !org.is_empty() {
            &["orgs", org, "actions"]
        } else if self.global {
            &["admin"]
        } else {
            &["user", "actions"]
        };
        let path = [&["api", "v1"], whose, &["runners", "jobs"]].concat();
        let mut url = http::under(http::address(&self.address, "address")?, "address", &path)?;
        url.set_query(Some(&format!("labels={}", self.labels)));
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn problems(metadata: &[(&str, &str)], environment: &[(&str, &str)]) -> Vec<String> {
        let inputs = Inputs::from_metadata(metadata.iter().copied()).with_environment(environment.iter().copied());
        let (trigger, problems) = parse::<ForgejoRunner>(&inputs, &Context::default());
        let spec = MetricSpec::external("forgejo", Target::Integer(1));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn a_token_may_come_from_the_environment() {
        let metadata = [("address", "http://f/"), ("labels", "docker"), ("global", "true"), ("tokenFromEnv", "T")];
        assert!(problems(&metadata, &[("T", "hunter2")]).is_empty());
        assert!(problems(&metadata, &[])[0].contains("missing required parameter \"token\""));
    }

    #[test]
    fn labels_are_wanted() {
        let metadata = [("address", "http://f/"), ("tokenFromEnv", "T"), ("labels", "")];
        assert!(problems(&metadata, &[("T", "hunter2")])[0].contains("missing required parameter \"labels\""));
    }
}
