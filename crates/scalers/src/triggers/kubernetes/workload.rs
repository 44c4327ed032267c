//! `kubernetes-workload`: the number of pods that a selector takes (`scalers/kubernetes-workload.md`).

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use keda_core::cluster::{Cluster, Pod};
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};

use crate::client::Sources;
use crate::format::label_selector;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Scale on the number of pods, or of nodes with such pods, in the object's namespace.
///
/// What counts is the number of pods that `podSelector` matches and that have not ended; pods that wait or are being
/// deleted count too. With `groupByNode` it is the number of different nodes that they are on. The replicas are that
/// number divided by `value`, so `"1"` makes the target as large as the workload that it follows, and `"10"` a tenth of
/// it. The target leaves zero when the number is above `activationValue`.
///
/// `value` must be given, although it has a default: a target of 0 is refused, except where a formula
/// (`scalingModifiers`) uses the trigger. The selector must not match the target's own pods, as more of them would then
/// call for more. Pods of other namespaces cannot be counted.
///
/// No login is needed: the operator asks the cluster with its own rights. Under `keda up` there is no cluster, and each
/// reading fails.
///
/// ```yaml
/// type: kubernetes-workload
/// metadata:
///   podSelector: app=checkout,tier in (web, worker)
///   value: "5"
///   activationValue: "2"
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct KubernetesWorkload {
    /// Label selector of the pods, such as `app=shop,tier in (web, worker)`.
    #[meta(trigger)]
    pod_selector: String,
    /// Pods, or nodes, that one replica is expected to handle, such as `5`; above 0.
    #[meta(trigger, default = "0")]
    value: f64,
    /// Number of pods, or nodes, above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_value: f64,
    /// Whether to count the nodes that the pods are on; pods without a node do not count then.
    #[meta(trigger, default = "false")]
    group_by_node: bool,
}

impl KubernetesWorkload {
    fn check(&mut self, reader: &mut Reader<'_>) {
        reader.asks_for("namespace", &reader.context().namespace);
        if self.value <= 0.0 && !reader.context().as_metric_source {
            reader.error("value must be a float greater than 0");
        }
        if let Err(message) = label_selector::check(&self.pod_selector) {
            reader.error_at("podSelector", format!("error parsing pod selector: {message}"));
        }
    }

    /// Pods that have ended do not count.
    fn count(&self, pods: &[Pod]) -> usize {
        let present = pods.iter().filter(|pod| !matches!(pod.phase.as_str(), "Succeeded" | "Failed"));
        if self.group_by_node {
            present.map(|pod| &pod.node).filter(|node| !node.is_empty()).collect::<BTreeSet<_>>().len()
        } else {
            present.count()
        }
    }
}

impl Trigger for KubernetesWorkload {
    fn specs(&self, context: &Context) -> Specs {
        Specs::one(MetricSpec::external(metric_name(&context.namespace), Target::Float(self.value)))
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let cluster = sources.cluster_for(&context.trigger_type)?;
        Ok(Box::new(Pods { cluster, namespace: context.namespace.clone(), trigger: self }))
    }
}

fn metric_name(namespace: &str) -> String {
    normalize(&format!("workload-{namespace}"))
}

struct Pods {
    cluster: Arc<dyn Cluster>,
    namespace: String,
    trigger: KubernetesWorkload,
}

#[async_trait]
impl Scaler for Pods {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let pods = self.cluster.pods(&self.namespace, &self.trigger.pod_selector).await;
        let pods = pods.map_err(|error| error.within("error inspecting kubernetes workload"))?;
        // Exact up to 2^53.
        #[allow(clippy::cast_precision_loss)]
        let count = self.trigger.count(&pods) as f64;
        Ok(vec![(metric_name(&self.namespace), Sample::above(count, self.trigger.activation_value))])
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};
    use keda_core::sample::ErrorKind;

    use super::*;
    use crate::client::SourceSettings;
    use crate::client::fake_cluster::FakeCluster;

    fn context() -> Context {
        Context { trigger_type: "kubernetes-workload".into(), namespace: "team.a".into(), ..Context::default() }
    }

    fn trigger(more: &[(&str, &str)]) -> (KubernetesWorkload, Vec<String>) {
        let metadata = [("podSelector", "app=demo"), ("value", "1")];
        let (trigger, problems) = parse(&Inputs::from_metadata(metadata.iter().chain(more).copied()), &context());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    fn pod(phase: &str, node: &str) -> Pod {
        Pod { name: format!("{phase}-{node}"), phase: phase.into(), node: node.into() }
    }

    async fn read(more: &[(&str, &str)], pods: Vec<Pod>) -> Result<Reading, SourceError> {
        let cluster = FakeCluster { pods, ..FakeCluster::default() };
        let sources = Sources::new(SourceSettings::default()).with_cluster(Arc::new(cluster));
        let scaler = trigger(more).0.connect(&context(), &sources)?;
        scaler.sample(&mut Memory::default()).await
    }

    #[tokio::test]
    async fn pods_count_until_they_have_ended() {
        let pods =
            vec![pod("Running", "n1"), pod("Pending", ""), pod("Succeeded", "n1"), pod("Failed", ""), pod("", "n1")];
        let name = || "workload-team-a".to_string();
        assert_eq!(read(&[], pods.clone()).await, Ok(vec![(name(), Sample { value: 3.0, active: true })]));
        let nodes = read(&[("groupByNode", "true")], pods.clone()).await;
        assert_eq!(nodes, Ok(vec![(name(), Sample { value: 1.0, active: true })]));
        let inactive = read(&[("activationValue", "3")], pods).await;
        assert_eq!(inactive, Ok(vec![(name(), Sample { value: 3.0, active: false })]));
    }

    #[tokio::test]
    async fn a_cluster_that_does_not_answer_is_an_error_and_so_is_none() {
        let sources = Sources::new(SourceSettings::default());
        let error = trigger(&[]).0.connect(&context(), &sources).err().unwrap();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Unsupported, "kubernetes-workload needs a cluster")
        );
        let failing =
            FakeCluster { failure: Some(SourceError::new(ErrorKind::Denied, "no")), ..FakeCluster::default() };
        let sources = sources.with_cluster(Arc::new(failing));
        let scaler = trigger(&[]).0.connect(&context(), &sources).unwrap();
        let error = scaler.sample(&mut Memory::default()).await.unwrap_err();
        assert_eq!(error, SourceError::new(ErrorKind::Denied, "error inspecting kubernetes workload: no"));
    }

    #[test]
    fn a_value_and_a_good_selector_are_wanted() {
        assert_eq!(trigger(&[("value", "0")]).1, ["value must be a float greater than 0"]);
        assert!(trigger(&[("podSelector", "app in (")]).1[0].starts_with("error parsing pod selector: "));
        let source = Context { as_metric_source: true, ..context() };
        let (_, problems) = parse::<KubernetesWorkload>(&Inputs::from_metadata([("podSelector", "a")]), &source);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn the_same_selector_in_another_namespace_is_another_query() {
        let inputs = Inputs::from_metadata([("podSelector", "a"), ("value", "1")]);
        let fingerprint = |namespace: &str| {
            let context = Context { namespace: namespace.into(), ..context() };
            keda_core::metadata::parse_with_fingerprint::<KubernetesWorkload>(&inputs, &context).fingerprint
        };
        assert_ne!(fingerprint("a"), fingerprint("b"));
        assert_eq!(fingerprint("a"), fingerprint("a"));
    }
}
