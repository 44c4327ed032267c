//! What a trigger is given to parse: its metadata, the environment of its target, its authentication, its place.

use std::collections::BTreeMap;

use crate::SmallMap;
use crate::api::PodIdentity;

/// The environment of the target's container.
#[derive(Clone, PartialEq, Eq)]
pub enum Environment {
    /// Every variable that could be resolved.
    Known(BTreeMap<String, String>),
    /// The target was not given, so nothing is known about it.
    Unknown,
}

impl Default for Environment {
    fn default() -> Self {
        Environment::Known(BTreeMap::new())
    }
}

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self {
            Environment::Known(variables) => variables.get(name).map(String::as_str),
            Environment::Unknown => None,
        }
    }
}

impl std::fmt::Debug for Environment {
    /// Shows the names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Environment::Known(variables) => f.debug_set().entries(variables.keys()).finish(),
            Environment::Unknown => f.write_str("unknown"),
        }
    }
}

/// The texts that parameters are read from.
#[derive(Clone, Default)]
pub struct Inputs {
    /// `metadata` of the trigger.
    pub metadata: SmallMap<String, String>,
    /// The environment of the target's container.
    pub environment: Environment,
    /// The parameters that the TriggerAuthentication gives.
    pub authentication: BTreeMap<String, String>,
}

impl Inputs {
    /// Inputs that consist of trigger metadata alone.
    pub fn from_metadata<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Inputs { metadata: owned(entries).into_iter().collect(), ..Inputs::default() }
    }

    /// The same inputs with parameters from a TriggerAuthentication.
    #[must_use]
    pub fn with_authentication<'a>(self, entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Inputs { authentication: owned(entries), ..self }
    }

    /// The same inputs with the variables of the target's container.
    #[must_use]
    pub fn with_environment<'a>(self, entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Inputs { environment: Environment::Known(owned(entries)), ..self }
    }
}

impl std::fmt::Debug for Inputs {
    /// Shows the names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs")
            .field("metadata", &self.metadata.keys().collect::<Vec<_>>())
            .field("environment", &self.environment)
            .field("authentication", &self.authentication.keys())
            .finish()
    }
}

fn owned<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    entries.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// Where a trigger stands.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// `type` of the trigger.
    pub trigger_type: String,
    /// Position in `spec.triggers`, counted from 0.
    pub index: usize,
    /// `ScaledObject` or `ScaledJob`.
    pub object_kind: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// `metricType` of the trigger; empty when unset.
    pub metric_type: String,
    /// Whether the object has `scalingModifiers`, so that a trigger may leave out its own target.
    pub as_metric_source: bool,
    /// The pod identity of the TriggerAuthentication.
    pub pod_identity: Option<PodIdentity>,
}

impl Context {
    /// The provider of the pod identity, `none` when there is none.
    pub fn identity_provider(&self) -> &str {
        match &self.pod_identity {
            Some(identity) if !identity.provider.is_empty() => &identity.provider,
            _ => "none",
        }
    }
}
