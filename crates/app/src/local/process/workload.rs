//! What to run: the description of a workload, free of manifests.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The name of a workload: its Deployment's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    pub namespace: String,
    pub name: String,
}

impl WorkloadKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The name of one replica, `<name>-<index>`: its pod name and host name.
    pub fn replica(&self, index: u32) -> String {
        format!("{}-{index}", self.name)
    }
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One container of a Deployment, as a process.
///
/// In `command` and in the values of `env`, `$(POD_NAME)`, `$(POD_NAMESPACE)`, `$(HOSTNAME)` and `$(REPLICA_INDEX)`
/// stand for the replica's own: that is how a `fieldRef` of `metadata.name` can be written down once for all replicas.
#[derive(Clone, PartialEq, Eq)]
pub struct Workload {
    pub key: WorkloadKey,
    /// The container's `command` followed by its `args`; the first is looked up in `PATH`.
    pub command: Vec<String>,
    /// Variables on top of the supervisor's own environment; secrets included, so never printed.
    pub env: Vec<(String, String)>,
    /// Where the process starts; the supervisor's own directory when absent.
    pub working_directory: Option<PathBuf>,
    /// Time between SIGTERM and SIGKILL (`terminationGracePeriodSeconds`).
    pub grace_period: Duration,
    /// When a replica counts as ready; as soon as it runs when absent.
    pub readiness: Option<Probe>,
    /// A hash of the pod template. A changed one replaces the replicas one at a time.
    pub revision: u64,
}

impl Workload {
    /// The variables of one replica in the order in which they are set: its identity first, so that the workload's
    /// own variables win, as in Kubernetes.
    pub(super) fn environment(&self, index: u32) -> Vec<(String, String)> {
        let identity = self.identity(index);
        let own = self.env.iter().map(|(name, value)| (name.clone(), expand(value, &identity)));
        let identity = identity.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        identity.chain(own).collect()
    }

    /// The command line of one replica.
    pub(super) fn command_line(&self, index: u32) -> Vec<String> {
        let identity = self.identity(index);
        self.command.iter().map(|word| expand(word, &identity)).collect()
    }

    fn identity(&self, index: u32) -> [(&'static str, String); 4] {
        let replica = self.key.replica(index);
        [
            ("REPLICA_INDEX", index.to_string()),
            ("POD_NAME", replica.clone()),
            ("POD_NAMESPACE", self.key.namespace.clone()),
            ("HOSTNAME", replica),
        ]
    }
}

/// Without the values of `env`: they may be secrets.
impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Workload")
            .field("key", &self.key)
            .field("env", &names)
            .field("working_directory", &self.working_directory)
            .field("grace_period", &self.grace_period)
            .field("readiness", &self.readiness)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// A readiness probe with Kubernetes' fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub action: ProbeAction,
    /// Wait after the start before the first try.
    pub initial_delay: Duration,
    /// From one try to the next.
    pub period: Duration,
    /// How long one try may take.
    pub timeout: Duration,
    /// Successes in a row until ready; at least 1.
    pub success_threshold: u32,
    /// Failures in a row until no longer ready; at least 1.
    pub failure_threshold: u32,
}

impl Probe {
    /// A probe with Kubernetes' defaults: every 10 s, 1 s timeout, ready after 1 success, unready after 3 failures.
    pub fn new(action: ProbeAction) -> Self {
        Self {
            action,
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
        }
    }
}

/// What a probe does in one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    /// Runs a command with the worker's environment and directory; exit code 0 is success.
    Exec { command: Vec<String> },
    /// `GET`; a status of 200 to 399 is success. Redirects are not followed.
    Http {
        host: String,
        port: u16,
        path: String,
        /// Over TLS, without checking the certificate, as the kubelet does.
        tls: bool,
        headers: Vec<(String, String)>,
    },
    /// Opens a connection.
    Tcp { host: String, port: u16 },
}

/// Replaces `$(NAME)` of the given names and leaves every other reference as it is.
pub(super) fn expand(text: &str, identity: &[(&'static str, String)]) -> String {
    identity.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        Workload {
            key: WorkloadKey::new("shop", "worker"),
            command: vec!["run".into(), "--as=$(POD_NAME)".into(), "$(OTHER)".into()],
            env: vec![("PASSWORD".into(), "hunter2".into()), ("HOSTNAME".into(), "own-$(REPLICA_INDEX)".into())],
            working_directory: None,
            grace_period: Duration::from_secs(30),
            readiness: None,
            revision: 1,
        }
    }

    #[test]
    fn a_replica_knows_who_it_is() {
        let environment = workload().environment(3);
        let last = |name: &str| environment.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(last("REPLICA_INDEX"), Some("3"));
        assert_eq!(last("POD_NAME"), Some("worker-3"));
        assert_eq!(last("POD_NAMESPACE"), Some("shop"));
        assert_eq!(last("HOSTNAME"), Some("own-3"), "the workload's own variable wins");
        assert_eq!(workload().command_line(3), ["run", "--as=worker-3", "$(OTHER)"]);
    }

    #[test]
    fn debug_output_holds_no_values_of_variables() {
        let printed = format!("{:?}", workload());
        assert!(printed.contains("PASSWORD") && !printed.contains("hunter2"), "{printed}");
    }
}
