//! `github-runner`: the jobs of GitHub Actions that wait or run on one's own runners (`scalers/github-runner.md`).

mod actions;
mod kept;

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{ErrorKind, Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::github::{AppLogin, Installation};
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};
use actions::{Actions, Login};
use kept::Kept;

/// Labels that runners have unless they are set up otherwise.
const DEFAULT_LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];

/// Scale on the jobs of GitHub Actions that wait or run on one's own runners.
///
/// The value is the number of jobs, queued or in progress, whose labels your runners all have. One replica is wanted
/// per `targetWorkflowQueueLength` jobs, and the target leaves zero when there are as many as that: there is no
/// activation parameter. As jobs in progress count too, runners that work are not taken for idle; those that take one
/// job and end go into a ScaledJob.
///
/// Log in with a `personalAccessToken` that may read the repositories and their actions, or as a GitHub App with
/// `applicationID`, `installationID` and `appKey`, which has the higher rate limit and wins when both are given.
/// Reading the actions and the metadata of repositories is enough for this trigger; to register runners takes more.
///
/// - A job without labels counts too, and the labels `self-hosted`, `linux` and `x64` are taken for granted; see
///   `noDefaultLabels`.
/// - Each reading asks for the runs of every repository and for the jobs of every run. Give `repos`, switch on
///   `enableEtags` and choose a longer `pollingInterval` before the rate limit is reached; at the limit, the last
///   number stays.
/// - A repository that is not found counts 0 jobs, as does one that the token cannot see.
///
/// ```yaml
/// type: github-runner
/// metadata:
///   owner: shop
///   runnerScope: org
///   repos: storefront,billing
///   labels: gpu
///   targetWorkflowQueueLength: "1"
///   enableEtags: "true"
///   applicationID: "123456"
///   installationID: "7654321"
/// authenticationRef:
///   name: github-app
/// ---
/// secretTargetRef:
///   - parameter: appKey
///     name: github-app
///     key: private-key.pem
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct GithubRunner {
    /// Address of the API, without a slash at the end; that of a GitHub Enterprise Server is `https://host/api/v3`.
    #[meta(name = "githubApiURL", trigger, env, default = "https://api.github.com")]
    github_api_url: String,
    /// Name of the organisation, enterprise or user that owns the repositories.
    #[meta(trigger, env)]
    owner: String,
    /// What the owner is: an organisation, an enterprise, or a user with repositories.
    #[meta(trigger, env, one_of("org", "ent", "repo"))]
    runner_scope: String,
    /// Personal access token, in place of a GitHub App; one of both is needed.
    #[meta(auth, optional)]
    personal_access_token: Secret,
    /// Names of the repositories, such as `storefront,billing`, without their owner; all of the owner's when not given,
    /// which takes many more requests.
    #[meta(trigger, env, optional)]
    repos: Vec<String>,
    /// Labels that the runners have beside the default ones, such as `gpu,large`. A job counts when all its labels are
    /// among them.
    #[meta(trigger, env, optional)]
    labels: Vec<String>,
    /// Whether the runners lack the labels `self-hosted`, `linux` and `x64`.
    #[meta(trigger, env, default = "false")]
    no_default_labels: bool,
    /// Whether to ask only for what has changed, which spares the rate limit: an answer without changes does not count.
    #[meta(trigger, env, default = "false")]
    enable_etags: bool,
    /// Whether jobs without labels count for runners without `labels` only; otherwise they count for all.
    #[meta(trigger, env, default = "false")]
    match_unlabeled_jobs_with_unlabeled_runners: bool,
    /// Jobs that one replica is expected to handle, and from which on the target leaves zero.
    #[meta(trigger, env, default = "1")]
    target_workflow_queue_length: i64,
    /// Id of the GitHub App; needs `installationID` and `appKey`.
    #[meta(name = "applicationID", trigger, env, optional)]
    application_id: i64,
    /// Id of the GitHub App's installation; needs `applicationID` and `appKey`.
    #[meta(name = "installationID", trigger, env, optional)]
    installation_id: i64,
    /// PEM of the GitHub App's private key; needs `applicationID` and `installationID`.
    #[meta(auth, optional)]
    app_key: Secret,
}

impl GithubRunner {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let app = [
            (self.application_id == 0, "no applicationID given"),
            (self.installation_id == 0, "no installationID given"),
            (self.app_key.is_empty(), "no appKey given"),
        ];
        if self.app_key.is_empty() && self.personal_access_token.is_empty() {
            reader.error("no personalAccessToken or appKey given");
        } else if app.iter().any(|(missing, _)| !missing)
            && let Some((_, message)) = app.iter().find(|(missing, _)| *missing)
        {
            reader.error(*message);
        }
    }
}

impl Trigger for GithubRunner {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.target_workflow_queue_length)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let is_app = self.application_id != 0 && self.installation_id != 0 && !self.app_key.is_empty();
        let login = if is_app {
            let installation = Installation {
                api_url: self.github_api_url.clone(),
                application: self.application_id,
                installation: self.installation_id,
                key: self.app_key.clone(),
            };
            Login::App(AppLogin::new(installation, Arc::clone(&client), sources)?)
        } else {
            Login::Token(self.personal_access_token.clone())
        };
        let timeout = if is_app { sources.settings.long_timeout() } else { sources.settings.timeout };
        Ok(Box::new(Runners { actions: Actions { client, timeout, login, trigger: self } }))
    }
}

struct Runners {
    actions: Actions,
}

#[async_trait]
impl Scaler for Runners {
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError> {
        let trigger = &self.actions.trigger;
        let mut nothing = Kept::default();
        let kept = memory.get_or("github-runner", Kept::default).unwrap_or(&mut nothing);
        let count = self.count(kept).await?;
        let sample = Sample { value: float(count), active: count >= trigger.target_workflow_queue_length };
        Ok(vec![(trigger.metric_name(), sample)])
    }
}

impl Runners {
    /// The jobs; at the rate limit those that there were before it.
    async fn count(&self, kept: &mut Kept) -> Result<i64, SourceError> {
        let wall_clock = crate::sampler::wall_clock;
        if kept.limit.until(wall_clock()).is_some() {
            let message = "GitHub API rate limit exceeded. No cached queue length available";
            return kept.count.ok_or_else(|| SourceError::new(ErrorKind::Throttled, message));
        }
        match self.actions.count(kept).await {
            Ok(count) => {
                kept.count = Some(count);
                kept.prune();
                Ok(count)
            }
            Err(error) => match kept.count.filter(|_| kept.limit.until(wall_clock()).is_some()) {
                Some(count) => Ok(count),
                None => Err(error),
            },
        }
    }
}

impl GithubRunner {
    fn metric_name(&self) -> String {
        normalize(&format!("github-runner-{}", self.owner))
    }

    /// Whether the runners take a job with these labels.
    fn takes(&self, labels: &[String]) -> bool {
        if labels.is_empty() && self.match_unlabeled_jobs_with_unlabeled_runners {
            return self.labels.is_empty();
        }
        let defaults = DEFAULT_LABELS.iter().copied().filter(|_| !self.no_default_labels);
        let own: Vec<String> = self.labels.iter().map(String::as_str).chain(defaults).map(str::to_lowercase).collect();
        labels.iter().all(|label| own.contains(&label.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (GithubRunner, Vec<String>) {
        let required = [("ownerFromEnv", "O"), ("runnerScope", "org")];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
            .with_authentication(authentication.iter().copied())
            .with_environment([("O", "my.org")]);
        let (trigger, problems) = parse::<GithubRunner>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    const TOKEN: [(&str, &str); 1] = [("personalAccessToken", "hunter2")];
    const APP: [(&str, &str); 2] = [("applicationID", "1"), ("installationID", "2")];

    #[test]
    fn the_metric_is_named_after_the_owner() {
        let (trigger, problems) = parsed(&[("labels", "gpu, arm")], &TOKEN);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(trigger.labels, ["gpu", "arm"]);
        let spec = MetricSpec::external("github-runner-my-org", Target::Integer(1));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn there_is_a_token_or_all_of_an_app() {
        assert_eq!(parsed(&[], &[]).1, ["no personalAccessToken or appKey given"]);
        assert_eq!(parsed(&APP[..1], &TOKEN).1, ["no installationID given"]);
        assert_eq!(parsed(&APP, &TOKEN).1, ["no appKey given"]);
        assert_eq!(parsed(&[], &[("appKey", "hunter3")]).1, ["no applicationID given"]);
        assert!(parsed(&APP, &[("appKey", "hunter3")]).1.is_empty());
    }

    #[test]
    fn a_job_is_taken_where_all_its_labels_are() {
        let takes = |more: &[(&str, &str)], labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
            parsed(more, &TOKEN).0.takes(&labels)
        };
        let gpu = ("labels", "gpu");
        assert!(takes(&[gpu], &["Self-Hosted", "GPU"]) && takes(&[gpu], &[]) && takes(&[], &["linux", "x64"]));
        assert!(!takes(&[], &["gpu"]) && !takes(&[gpu, ("noDefaultLabels", "true")], &["self-hosted", "gpu"]));
        let strict = ("matchUnlabeledJobsWithUnlabeledRunners", "true");
        assert!(takes(&[strict], &[]) && !takes(&[strict, gpu], &[]) && takes(&[strict, gpu], &["gpu"]));
    }

    #[test]
    fn the_scope_is_one_of_three_words() {
        assert!(parsed(&[("runnerScope", "Org")], &TOKEN).1[0].contains("must be one of [org ent repo]"));
    }
}
