//! What a trigger is given to parse: its metadata, the environment of its target, its authentication, its place.

use std::collections::{BTreeMap, BTreeSet};

use crate::SmallMap;
use crate::api::PodIdentity;

/// The environment of the target's container.
#[derive(Clone, PartialEq, Eq)]
pub enum Environment {
    /// All variables.
    Known(BTreeMap<String, String>),
    /// Some variables. Others may be set, as not everything was given that they come from.
    Partial(BTreeMap<String, String>),
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
            Environment::Known(variables) | Environment::Partial(variables) => variables.get(name).map(String::as_str),
            Environment::Unknown => None,
        }
    }

    /// Whether a variable may be set with a value that is not known.
    pub fn hides(&self, name: &str) -> bool {
        match self {
            Environment::Known(_) => false,
            Environment::Partial(variables) => !variables.contains_key(name),
            Environment::Unknown => true,
        }
    }
}

impl std::fmt::Debug for Environment {
    /// Shows the names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Environment::Known(variables) | Environment::Partial(variables) => {
                f.debug_set().entries(variables.keys()).finish()
            }
            Environment::Unknown => f.write_str("unknown"),
        }
    }
}

/// Which parameters a TriggerAuthentication gives without their values being known here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hidden {
    /// None.
    #[default]
    Nothing,
    /// These.
    Parameters(BTreeSet<String>),
    /// Possibly any.
    Everything,
}

impl Hidden {
    /// Whether a parameter is among them.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Hidden::Nothing => false,
            Hidden::Parameters(names) => names.contains(name),
            Hidden::Everything => true,
        }
    }

    /// Adds a parameter.
    pub fn add(&mut self, name: &str) {
        match self {
            Hidden::Nothing => *self = Hidden::Parameters(BTreeSet::from([name.to_string()])),
            Hidden::Parameters(names) => _ = names.insert(name.to_string()),
            Hidden::Everything => {}
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
    /// Those of its parameters whose values are not known here.
    pub hidden: Hidden,
    /// Whose each token among them is: the next one is another text, and asks the same.
    pub tokens: BTreeMap<String, String>,
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

impl Inputs {
    /// Whether there may be values that are not known here.
    pub(super) fn is_partial(&self) -> bool {
        self.hidden != Hidden::Nothing || !matches!(self.environment, Environment::Known(_))
    }

    /// The same inputs with a text in place of every value that is not known here.
    pub(super) fn filled_in(&self, text: &str) -> Self {
        let mut filled = self.clone();
        if !matches!(self.environment, Environment::Known(_)) {
            let named = self.metadata.iter().filter(|(key, _)| key.ends_with("FromEnv")).map(|(_, name)| name.clone());
            let mut all: BTreeMap<String, String> = named.map(|name| (name, text.to_string())).collect();
            if let Environment::Partial(variables) = &self.environment {
                all.extend(variables.clone());
            }
            filled.environment = Environment::Known(all);
        }
        let hidden = match &self.hidden {
            Hidden::Parameters(names) => names.clone(),
            Hidden::Nothing | Hidden::Everything => BTreeSet::new(),
        };
        hidden.into_iter().for_each(|name| _ = filled.authentication.entry(name).or_insert_with(|| text.to_string()));
        filled.hidden = Hidden::Nothing;
        filled
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
