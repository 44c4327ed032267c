//! A trigger with everything that it is given, as it stands in the corpus.

use std::collections::{BTreeMap, BTreeSet};

use keda_core::api::PodIdentity;
use keda_core::metadata::{Context, Environment, Hidden, Inputs};
use serde::{Deserialize, Serialize};

/// A trigger. The values of its environment and authentication are made up, so that they can be shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Trigger {
    pub(crate) r#type: String,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// Whether there may be other variables.
    #[serde(default)]
    pub(crate) partial_environment: bool,
    #[serde(default)]
    pub(crate) authentication: BTreeMap<String, String>,
    /// Parameters of the authentication whose values are not known; of an empty list, possibly all.
    #[serde(default)]
    pub(crate) hidden: Option<BTreeSet<String>>,
    #[serde(default)]
    pub(crate) pod_identity: Option<PodIdentity>,
    #[serde(default)]
    pub(crate) metric_type: String,
    #[serde(default)]
    pub(crate) as_metric_source: bool,
    #[serde(default)]
    pub(crate) index: usize,
    #[serde(default)]
    pub(crate) of_job: bool,
}

impl Trigger {
    pub(crate) fn inputs(&self) -> Inputs {
        Inputs {
            metadata: self.metadata.clone().into_iter().collect(),
            environment: match self.partial_environment {
                true => Environment::Partial(self.environment.clone()),
                false => Environment::Known(self.environment.clone()),
            },
            authentication: self.authentication.clone(),
            hidden: match &self.hidden {
                None => Hidden::Nothing,
                Some(names) if names.is_empty() => Hidden::Everything,
                Some(names) => Hidden::Parameters(names.clone()),
            },
            ..Inputs::default()
        }
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            trigger_type: self.r#type.clone(),
            index: self.index,
            object_kind: if self.of_job { "ScaledJob" } else { "ScaledObject" }.to_string(),
            namespace: "shop".to_string(),
            name: "worker".to_string(),
            metric_type: self.metric_type.clone(),
            as_metric_source: self.as_metric_source,
            pod_identity: self.pod_identity.clone(),
        }
    }

    /// One of all values that it is given, counted through.
    pub(crate) fn value_mut(&mut self, position: usize) -> Option<&mut String> {
        let given = self.metadata.values_mut().chain(self.environment.values_mut());
        given.chain(self.authentication.values_mut()).nth(position)
    }

    /// How many values it is given.
    pub(crate) fn values(&self) -> usize {
        self.metadata.len() + self.environment.len() + self.authentication.len()
    }

    /// Takes one of all values away.
    pub(crate) fn remove(&mut self, position: usize) -> Option<(String, String)> {
        let mut position = position;
        for map in [&mut self.metadata, &mut self.environment, &mut self.authentication] {
            if let Some(key) = map.keys().nth(position).cloned() {
                return map.remove_entry(&key);
            }
            position -= map.len();
        }
        None
    }
}
