//! Requests to the API of GitHub Actions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::GithubRunner;
use super::kept::{Answers, Kept, Limit, Run};
use crate::client::authentication::with_header;
use crate::client::github::AppLogin;
use crate::client::http::{self, Answer};
use crate::sampler::wall_clock;

/// Repositories on a full page.
const PAGE: usize = 30;

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
        let mut runs = Vec::new();
        for repository in self.repositories(kept).await? {
            for status in ["queued", "in_progress"] {
                runs.extend(self.runs(kept, &repository, status).await?);
            }
        }
        // A run that begins between two questions is in both answers.
        let mut seen = HashSet::new();
        let mut count = 0;
        for run in runs.into_iter().filter(|run| is_open(&run.status)).filter(|run| seen.insert(run.id)) {
            let id = run.id.to_string();
            let path = ["repos", &self.trigger.owner, &run.repository.name, "actions", "runs", &id, "jobs"];
            let url = self.url(&path, "per_page=100")?;
            let jobs = self.get(url, &mut kept.jobs, &mut kept.limit).await?;
            let jobs = jobs.jobs.iter().filter(|job| is_open(&job.status) && self.trigger.takes(&job.labels));
            count = jobs.fold(count, |count, _| count + 1);
        }
        Ok(count)
    }

    /// The names of the repositories: those that are given, or all of the owner's.
    async fn repositories(&self, kept: &mut Kept) -> Result<Vec<String>, SourceError> {
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
            let repositories = self.get(url, &mut kept.repositories, &mut kept.limit).await?;
            let is_last = repositories.len() < PAGE;
            names.extend(repositories.into_iter().map(|repository| repository.name));
            if is_last {
                break;
            }
        }
        Ok(names)
    }

    /// The runs of a repository; none where it is not found.
    async fn runs(&self, kept: &mut Kept, repository: &str, status: &str) -> Result<Vec<Run>, SourceError> {
        let path = ["repos", &self.trigger.owner, repository, "actions", "runs"];
        let url = self.url(&path, &format!("status={status}&per_page=100"))?;
        match self.find(url, &mut kept.runs, &mut kept.limit).await? {
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

    async fn get<T: Clone + DeserializeOwned>(
        &self,
        url: Url,
        kept: &mut Answers<T>,
        limit: &mut Limit,
    ) -> Result<T, SourceError> {
        match self.find(url, kept, limit).await? {
            Found::Answer(answer) => Ok(answer),
            Found::Refusal(refusal) => Err(refusal.error),
        }
    }

    /// Asks, or takes the answer that is kept where nothing has changed since.
    async fn find<T: Clone + DeserializeOwned>(
        &self,
        url: Url,
        kept: &mut Answers<T>,
        limit: &mut Limit,
    ) -> Result<Found<T>, SourceError> {
        let tag = kept.tag(url.as_str()).filter(|_| self.trigger.enable_etags).map(str::to_string);
        let answer = self.ask(&url, tag.as_deref()).await?;
        limit.note(&answer, wall_clock());
        if answer.status == StatusCode::NOT_MODIFIED
            && let Some(known) = kept.get(url.as_str())
        {
            return Ok(Found::Answer(known));
        }
        if answer.status != StatusCode::OK {
            let error = refusal(&answer, &url, limit);
            return Ok(Found::Refusal(Refusal { status: answer.status, error }));
        }
        let tag = answer.header("ETag").filter(|_| self.trigger.enable_etags).map(str::to_string);
        let answer: T = serde_json::from_str(&answer.body).map_err(|_| {
            let place = http::presentable(&url);
            SourceError::malformed(format!("the GitHub REST API gave an answer of another form. url: {place}"))
        })?;
        if let Some(tag) = tag {
            kept.keep(url.as_str(), &tag, &answer);
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
