//! `forgejo-runner`: the jobs that wait for a runner of Forgejo Actions (`scalers/forgejo-runner.md`).

use keda_core::metadata::{Context, Metadata};
use keda_core::metric::{MetricSpec, Target};
use keda_core::secret::Secret;

use crate::trigger::{Specs, Trigger};

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
#[expect(dead_code, reason = "read once the source is written")]
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
