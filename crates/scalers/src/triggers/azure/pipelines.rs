//! `azure-pipelines`: the jobs that wait for an agent of a pool (`scalers/azure-pipelines.md`).

use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::secret::Secret;

use crate::client::azure;
use crate::trigger::{Specs, Trigger};

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
#[expect(dead_code, reason = "read once the source is written")]
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
        let name = normalize(&format!("azure-pipelines-{}", self.pool_id));
        Specs::one(MetricSpec::external(name, Target::Integer(self.target_pipelines_queue_length)))
    }
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
