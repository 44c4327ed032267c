//! Requests to the API of GitHub Actions.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::GithubRunner;
use super::kept::{Answers, Jobs, Kept, Limit, Repository, Run, Runs};
use crate::client::authentication::with_header;
use crate::client::github::AppLogin;
use crate::client::http::{self, Answer};
use crate::sampler::wall_clock;

/// Repositories on a full page.
const PAGE: usize = 30;

/// Repositories, or runs, that are asked about at the same time.
const AT_ONCE: usize = 8;

/// What is kept, for requests at the same time.
type Shared<'a> = Mutex<&'a mut Kept>;

fn locked<'a, 'b>(kept: &'a Shared<'b>) -> MutexGuard<'a, &'b mut Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which of the answers that are kept.
type Of<T> = fn(&mut Kept) -> &mut Answers<T>;

/// Who asks.
pub(super) enum Login {
    Token(Secret),
    App(AppLogin),
}

/// GitHub, asked for one trigger.
pub(super) struct Actions {
    pub(super) client: Arc<Client>,
    pub(super) timeout: Duration,
    pub(super) login: Login,
    pub(super) trigger: GithubRunner,
}

impl Actions {
    /// The jobs that wait or run, and that the runners take.
    pub(super) async fn count(&self, kept: &mut Kept) -> Result<i64, SourceError> {
        let kept = Mutex::new(kept);
        let mut runs = Vec::new();
        for repositories in self.repositories(&kept).await?.chunks(AT_ONCE) {
            let found = repositories.iter().map(|repository| self.open_runs(&kept, repository));
            runs.extend(try_join_all(found).await?.into_iter().flatten());
        }
        // A run that begins between two questions is in both answers.
        let mut seen = HashSet::new();
        runs.retain(|run| seen.insert(run.id));
        let mut count = 0;
        for runs in runs.chunks(AT_ONCE) {
            let counts = runs.iter().map(|run| self.jobs(&kept, run));
            count += try_join_all(counts).await?.into_iter().sum::<i64>();
        }
        Ok(count)
    }

    /// The runs of a repository that wait or run.
    async fn open_runs(&self, kept: &Shared<'_>, repository: &str) -> Result<Vec<Run>, SourceError> {
        let mut runs = self.runs(kept, repository, "queued").await?;
        runs.extend(self.runs(kept, repository, "in_progress").await?);
        runs.retain(|run| is_open(&run.status));
        Ok(runs)
    }

    /// How many jobs of a run wait or run, of those that the runners take.
    async fn jobs(&self, kept: &Shared<'_>, run: &Run) -> Result<i64, SourceError> {
        let id = run.id.to_string();
        let path = ["repos", &self.trigger.owner, &run.repository.name, "actions", "runs", &id, "jobs"];
        let jobs: Jobs = self.get(self.url(&path, "per_page=100")?, kept, |kept| &mut kept.jobs).await?;
        let jobs = jobs.jobs.iter().filter(|job| is_open(&job.status) && self.trigger.takes(&job.labels));
        Ok(jobs.fold(0, |count, _| count + 1))
    }

    /// The names of the repositories: those that are given, or all of the owner's.
    async fn repositories(&self, kept: &Shared<'_>) -> Result<Vec<String>, SourceError> {
        let GithubRunner { repos, owner, runner_scope, .. } = &self.trigger;
        if !repos.is_empty() {
            return Ok(repos.clone());
        }
        let owners = match runner_scope.as_str() {
            "org" | "ent" => "orgs",
            "repo" => "users",
            other => return Err(SourceError::configuration(format!("runnerScope {other} not supported"))),
        };
        let mut names = Vec::new();
        for page in 1_u32.. {
            let url = self.url(&[owners, owner, "repos"], &format!("page={page}"))?;
            let repositories: Vec<Repository> = self.get(url, kept, |kept| &mut kept.repositories).await?;
            let is_last = repositories.len() < PAGE;
            names.extend(repositories.into_iter().map(|repository| repository.name));
            if is_last {
                break;
            }
        }
        Ok(names)
    }

    /// The runs of a repository; none where it is not found.
    async fn runs(&self, kept: &Shared<'_>, repository: &str, status: &str) -> Result<Vec<Run>, SourceError> {
        let path = ["repos", &self.trigger.owner, repository, "actions", "runs"];
        let url = self.url(&path, &format!("status={status}&per_page=100"))?;
        match self.find::<Runs>(url, kept, |kept| &mut kept.runs).await? {
            Found::Answer(runs) => Ok(runs.workflow_runs),
            Found::Refusal(refusal) if refusal.status == StatusCode::NOT_FOUND => Ok(Vec::new()),
            Found::Refusal(refusal) => Err(refusal.error),
        }
    }

    fn url(&self, path: &[&str], query: &str) -> Result<Url, SourceError> {
        let url = http::address(&self.trigger.github_api_url, "githubApiURL")?;
        let mut url = http::under(url, "githubApiURL", path)?;
        url.set_query(Some(query));
        Ok(url)
    }

    async fn get<T: Clone + DeserializeOwned>(&self, url: Url, kept: &Shared<'_>, of: Of<T>) -> Result<T, SourceError> {
        match self.find(url, kept, of).await? {
            Found::Answer(answer) => Ok(answer),
            Found::Refusal(refusal) => Err(refusal.error),
        }
    }

    /// Asks, or takes the answer that is kept where nothing has changed since.
    async fn find<T: Clone + DeserializeOwned>(
        &self,
        url: Url,
        kept: &Shared<'_>,
        of: Of<T>,
    ) -> Result<Found<T>, SourceError> {
        let tag = of(&mut locked(kept)).tag(url.as_str()).map(str::to_string);
        let answer = self.ask(&url, tag.as_deref()).await?;
        locked(kept).limit.note(&answer, wall_clock());
        if answer.status == StatusCode::NOT_MODIFIED
            && let Some(known) = of(&mut locked(kept)).get(url.as_str())
        {
            return Ok(Found::Answer(known));
        }
        if answer.status != StatusCode::OK {
            let error = refusal(&answer, &url, &locked(kept).limit);
            return Ok(Found::Refusal(Refusal { status: answer.status, error }));
        }
        let tag = answer.header("ETag").filter(|_| self.trigger.enable_etags).map(str::to_string);
        let answer: T = serde_json::from_str(&answer.body).map_err(|_| {
            let place = http::presentable(&url);
            SourceError::malformed(format!("the GitHub REST API gave an answer of another form. url: {place}"))
        })?;
        if let Some(tag) = tag {
            of(&mut locked(kept)).keep(url.as_str(), &tag, &answer);
        }
        Ok(Found::Answer(answer))
    }

    async fn ask(&self, url: &Url, tag: Option<&str>) -> Result<Answer, SourceError> {
        let mut request = self
            .client
            .get(url.clone())
            .timeout(self.timeout)
            .header("Accept", "application/vnd.github.v3+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(tag) = tag {
            request = request.header("If-None-Match", tag);
        }
        match &self.login {
            Login::Token(token) => {
                let login = Secret::new(format!("Bearer {}", token.expose()));
                http::send(with_header(request, ("", "Authorization"), ("personalAccessToken", &login))?).await
            }
            Login::App(app) => {
                let token = app.token(wall_clock()).await?;
                let login = Secret::new(format!("token {}", token.expose()));
                let request = with_header(request, ("", "Authorization"), ("the token", &login))?;
                let answer = http::send(request).await?;
                if answer.status == StatusCode::UNAUTHORIZED {
                    app.refused(&token).await;
                }
                Ok(answer)
            }
        }
    }
}

enum Found<T> {
    Answer(T),
    Refusal(Refusal),
}

struct Refusal {
    status: StatusCode,
    error: SourceError,
}

/// What an answer without success means.
fn refusal(answer: &Answer, url: &Url, limit: &Limit) -> SourceError {
    if let Some(until) = limit.until(wall_clock()) {
        return SourceError::new(ErrorKind::Throttled, format!("GitHub API rate limit exceeded, reset time {until}"));
    }
    let (place, status) = (http::presentable(url), answer.status.as_u16());
    let message = format!("the GitHub REST API returned error. url: {place} status: {status}");
    SourceError::new(http::status_kind(answer.status), message)
}

/// Whether a run or a job with this status has not ended.
fn is_open(status: &str) -> bool {
    matches!(status, "queued" | "in_progress")
}
