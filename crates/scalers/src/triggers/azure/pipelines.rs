//! `azure-pipelines`: the jobs that wait for an agent of a pool (`scalers/azure-pipelines.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::Client;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::client::azure::{self, AzureLogin, AzureTokens};
use crate::client::tls::TlsOptions;
use crate::client::{Sources, http};
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Whose tokens Azure DevOps takes.
const RESOURCE: &str = "499b84ac-1321-427f-aa17-267ca6975798";

/// Scale on the jobs that wait for an agent in an agent pool of Azure Pipelines.
///
/// What counts is the number of jobs of the pool that no agent has taken yet. The replicas are that number divided by
/// `targetPipelinesQueueLength`. The target leaves zero when it is above `activationTargetPipelinesQueueLength`.
///
/// A job that runs does not count any more, so replicas are taken away while agents work. An agent must therefore
/// finish its job when it is told to stop, within the pod's `terminationGracePeriodSeconds`.
///
/// All jobs of the pool count, unless `parent` names the agent whose jobs count, or else `demands` lists what the
/// agents can do. Only the newest `jobsToFetch` jobs are looked at, finished ones included; in a busy pool give
/// `fetchUnfinishedJobsOnly: "true"` in its place. One agent must be registered with the pool, if only offline, or
/// Azure fails the jobs instead of letting them wait.
///
/// Log in with a TriggerAuthentication: either the parameter `personalAccessToken`, a token with the scope `Agent Pools
/// (Read)`, or `podIdentity` with the provider `azure-workload`, whose identity must be a user of the organization who
/// may read the pool. The token goes first.
///
/// ```yaml
/// type: azure-pipelines
/// metadata:
///   organizationURL: https://dev.azure.com/parcel-service
///   poolID: "12"
///   demands: maven,docker
///   fetchUnfinishedJobsOnly: "true"
///   targetPipelinesQueueLength: "1"
/// authenticationRef:
///   name: builders-token
/// ---
/// secretTargetRef:
///   - parameter: personalAccessToken
///     name: builders-token
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct AzurePipelines {
    /// Address of the organization, such as `https://dev.azure.com/parcel-service`, without a slash at its end.
    #[meta(name = "organizationURL", env, auth, trigger)]
    organization_url: String,
    /// Personal access token; needed without a workload identity, and used in its place where both are given.
    #[meta(auth, env, optional)]
    personal_access_token: Secret,
    /// Name of the agent whose jobs count: those that Azure says this agent could do. It may be offline, and replaces
    /// `demands`.
    #[meta(trigger, optional)]
    parent: String,
    /// What the agents can do, with commas and no blanks between, such as `maven,docker`; jobs that demand anything
    /// else do not count. `Agent.Version` is left out on both sides.
    #[meta(trigger, optional)]
    demands: String,
    /// Name of the pool in the organization, not in a project. Either this or `poolID` is needed; the name goes first.
    /// With it only Azure knows how the metric is called, so `keda render` cannot show the HPA.
    #[meta(trigger, optional)]
    pool_name: String,
    /// Id of the pool in the organization, such as `12`, where its name is not given.
    #[meta(name = "poolID", trigger, optional)]
    pool_id: i64,
    /// Jobs that one replica is expected to handle.
    #[meta(trigger, default = "1")]
    target_pipelines_queue_length: i64,
    /// Number of jobs above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_pipelines_queue_length: i64,
    /// How many of the newest jobs are looked at, finished ones included. Excludes `parent`, and
    /// `fetchUnfinishedJobsOnly` even if that is `false`.
    #[meta(trigger, default = "250")]
    jobs_to_fetch: i64,
    /// Whether to ask for all jobs that are not done, in place of the newest ones. Excludes `jobsToFetch`.
    #[meta(trigger, default = "false")]
    fetch_unfinished_jobs_only: bool,
    /// Whether a job must demand all that is in `demands`, and nothing else. It goes before
    /// `requireAllDemandsAndIgnoreOthers`.
    #[meta(trigger, default = "false")]
    require_all_demands: bool,
    /// Whether a job must demand all that is in `demands`, whatever else it demands.
    #[meta(trigger, default = "false")]
    require_all_demands_and_ignore_others: bool,
    /// Whether demands are compared without regard to case.
    #[meta(trigger, default = "false")]
    case_insensitive_demands_processing: bool,
}

impl AzurePipelines {
    fn check(&mut self, reader: &mut Reader<'_>) {
        // What counts is what was written, even if it is blank.
        let metadata = &reader.inputs().metadata;
        let written = |name: &str| metadata.get(name).is_some_and(|text| !text.is_empty());
        for other in ["fetchUnfinishedJobsOnly", "parent"] {
            if written("jobsToFetch") && written(other) {
                let message = format!("cannot specify both jobsToFetch and {other} at the same time");
                reader.error_at("jobsToFetch", message);
            }
        }
        if self.organization_url.ends_with('/') {
            reader.error("failed to extract organization name from organizationURL");
        }
        if reader.has_errors() {
            return;
        }
        if self.personal_access_token.is_empty() {
            match reader.context().identity_provider() {
                "none" => reader.error("no personalAccessToken given or PodIdentity provider configured"),
                azure::WORKLOAD_IDENTITY => {}
                other => reader.error(format!("pod identity {other} not supported for azure pipelines")),
            }
        }
        if self.pool_name.is_empty() && self.pool_id == 0 {
            reader.error("no poolName or poolID given");
        }
    }
}

impl Trigger for AzurePipelines {
    fn specs(&self, _: &Context) -> Specs {
        if !self.pool_name.is_empty() {
            // The metric has the id of the pool in its name, and only Azure knows that.
            return Specs::FromSource;
        }
        Specs::one(self.spec(self.pool_id))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        let tokens = match AzureLogin::workload(context).filter(|_| self.personal_access_token.is_empty()) {
            Some(login) => Some(AzureTokens::new(login, None, RESOURCE, sources)?),
            None => None,
        };
        Ok(Box::new(Pool { client, tokens, id: OnceCell::new(), trigger: self }))
    }
}

struct Pool {
    client: Arc<Client>,
    /// `None` with a personal access token.
    tokens: Option<AzureTokens>,
    /// The id of the pool, which a name leads to.
    id: OnceCell<i64>,
    trigger: AzurePipelines,
}

#[async_trait]
impl Scaler for Pool {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let id = *self.id.get_or_try_init(|| self.find()).await?;
        let trigger = &self.trigger;
        let query = match () {
            () if trigger.fetch_unfinished_jobs_only => Some(("completedRequestCount", "0".to_string())),
            () if !trigger.parent.is_empty() => None,
            () => Some(("$top", trigger.jobs_to_fetch.to_string())),
        };
        let answer = self.get(&format!("/{id}/jobrequests"), query).await?;
        let jobs = answer.get("value").and_then(Value::as_array);
        let missing = || SourceError::malformed("the answer of Azure DevOps has no list of jobs");
        let waiting = jobs.ok_or_else(missing)?.iter().filter(|job| is_waiting(job) && trigger.counts(job)).count();
        let (waiting, activation) =
            (i64::try_from(waiting).unwrap_or(i64::MAX), trigger.activation_target_pipelines_queue_length);
        Ok(vec![(trigger.metric_name(id), Sample::above(float(waiting), float(activation)))])
    }

    async fn describe(&self) -> Result<Vec<MetricSpec>, SourceError> {
        Ok(vec![self.trigger.spec(*self.id.get_or_try_init(|| self.find()).await?)])
    }
}

impl Pool {
    /// The id of the pool. One that was given only has to be taken by Azure, as KEDA does not look at the answer.
    async fn find(&self) -> Result<i64, SourceError> {
        let AzurePipelines { pool_name, pool_id, .. } = &self.trigger;
        if pool_name.is_empty() {
            let answer = self.get("", Some(("poolID", pool_id.to_string()))).await;
            let answer = answer.map_err(|error| error.within(&format!("agent pool with id `{pool_id}` not found")))?;
            let wrong = || SourceError::malformed("the answer of Azure DevOps is no object");
            return answer.as_object().map(|_| *pool_id).ok_or_else(wrong);
        }
        let answer = self.get("", Some(("poolName", pool_name.clone()))).await?;
        let missing = || SourceError::malformed("the answer of Azure DevOps has no list of pools");
        let pools = answer.get("value").and_then(Value::as_array).ok_or_else(missing)?;
        match pools.as_slice() {
            [] => Err(SourceError::configuration(format!("agent pool with name `{pool_name}` not found"))),
            [pool] => pool.get("id").and_then(Value::as_i64).ok_or_else(missing),
            pools => {
                let message = format!("found {} agent pool with name `{pool_name}`", pools.len());
                Err(SourceError::configuration(message))
            }
        }
    }

    /// Asks for what is at a path below the pools.
    async fn get(&self, path: &str, query: Option<(&str, String)>) -> Result<Value, SourceError> {
        let url = format!("{}/_apis/distributedtask/pools{path}", self.trigger.organization_url);
        let mut url = http::address(&url, "organizationURL")?;
        if query.is_some() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.get(url);
        let answer = match &self.tokens {
            Some(tokens) => tokens.send(request).await?,
            None => {
                let token = self.trigger.personal_access_token.expose();
                http::send(request.basic_auth("", Some(token.strip_suffix('\n').unwrap_or(token)))).await?
            }
        };
        answer.json("the Azure DevOps REST API returned error")
    }
}

impl AzurePipelines {
    fn metric_name(&self, pool_id: i64) -> String {
        normalize(&format!("azure-pipelines-{pool_id}"))
    }

    fn spec(&self, pool_id: i64) -> MetricSpec {
        MetricSpec::external(self.metric_name(pool_id), Target::Integer(self.target_pipelines_queue_length))
    }

    /// Whether an agent of this kind could do a job.
    fn counts(&self, job: &Value) -> bool {
        let list = |key: &str| job.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if !self.parent.is_empty() {
            let name = |agent: &Value| agent.get("name").and_then(Value::as_str).map(str::to_string);
            return list("matchedAgents").iter().any(|agent| name(agent).as_deref() == Some(&self.parent));
        }
        if self.demands.is_empty() {
            return true;
        }
        let counts = |demand: &&str| !demand.starts_with("Agent.Version");
        let demanded: Vec<&str> = list("demands").iter().filter_map(Value::as_str).filter(counts).collect();
        let offered: Vec<&str> = self.demands.split(',').filter(counts).collect();
        let is_same = |one: &str, two: &str| {
            one == two || self.case_insensitive_demands_processing && one.to_lowercase() == two.to_lowercase()
        };
        let equal = |demand: &&str| offered.iter().filter(|offer| is_same(demand, offer)).count();
        let met: usize = demanded.iter().map(equal).sum();
        if self.require_all_demands {
            met == demanded.len() && met == offered.len()
        } else if self.require_all_demands_and_ignore_others {
            met == offered.len()
        } else {
            met == demanded.len()
        }
    }
}

/// Whether a job is neither done nor with an agent.
fn is_waiting(job: &Value) -> bool {
    let is_set = |key: &str| job.get(key).is_some_and(|value| !value.is_null());
    let received = job.get("receiveTime").and_then(Value::as_str);
    !is_set("result") && received.is_none_or(|time| time == "0001-01-01T00:00:00Z")
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)]) -> (AzurePipelines, Vec<String>) {
        let metadata = [("organizationURL", "https://dev.azure.com/o"), ("personalAccessTokenFromEnv", "T")];
        let inputs = Inputs::from_metadata(metadata.iter().chain(more).copied()).with_environment([("T", "hunter2")]);
        let (trigger, problems) = parse::<AzurePipelines>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_pools_id_which_azure_knows() {
        let (by_id, problems) = parsed(&[("poolID", "7"), ("parent", "agent")]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("azure-pipelines-7", Target::Integer(1));
        assert_eq!(by_id.specs(&Context::default()), Specs::one(spec));
        let (by_name, problems) = parsed(&[("poolID", "7"), ("poolName", "my pool")]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(by_name.specs(&Context::default()), Specs::FromSource);
    }

    #[test]
    fn some_parameters_exclude_each_other() {
        for other in [("fetchUnfinishedJobsOnly", "false"), ("parent", "a")] {
            let problems = parsed(&[("poolID", "7"), ("jobsToFetch", "9"), other]).1;
            assert_eq!(problems, [format!("cannot specify both jobsToFetch and {} at the same time", other.0)]);
        }
    }

    #[test]
    fn a_pool_an_organization_and_a_login_are_needed() {
        assert_eq!(parsed(&[]).1, ["no poolName or poolID given"]);
        let slash = parsed(&[("poolID", "7"), ("organizationURL", "https://dev.azure.com/o/")]).1;
        assert_eq!(slash, ["failed to extract organization name from organizationURL"]);
        let nobody = parsed(&[("poolID", "7"), ("personalAccessTokenFromEnv", "U")]).1;
        assert_eq!(nobody[1..], ["no personalAccessToken given or PodIdentity provider configured"]);
    }
}
