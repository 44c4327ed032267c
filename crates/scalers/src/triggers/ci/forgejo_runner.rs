//! `forgejo-runner`: the jobs that wait for a runner of Forgejo Actions (`scalers/forgejo-runner.md`).

use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

/// Scale on the jobs that wait for a runner of Forgejo Actions.
///
/// They are those of a repository (`owner` and `repo`), else of an organisation, else of the server, else of the user.
#[derive(Debug, Metadata)]
#[expect(dead_code, reason = "read once the source is written")]
pub struct ForgejoRunner {
    /// Token of the API.
    #[meta(auth, env)]
    token: Secret,
    /// Address of the server.
    #[meta(trigger)]
    address: String,
    /// Labels of the runners, with commas between them.
    #[meta(trigger)]
    labels: String,
    /// Whether to count the jobs of the whole server.
    #[meta(trigger, optional)]
    global: bool,
    /// Owner of the repository.
    #[meta(trigger, optional)]
    owner: String,
    /// The organisation.
    #[meta(trigger, optional)]
    org: String,
    /// The repository.
    #[meta(trigger, optional)]
    repo: String,
}

impl Trigger for ForgejoRunner {
    /// One replica for each job.
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external("forgejo", Target::Integer(1)))
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
