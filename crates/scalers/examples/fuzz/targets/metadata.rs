//! Typed metadata: triggers of all types, with changed parameters from all places that they can come from.

use std::io;
use std::path::Path;
use std::sync::Arc;

use keda_core::api::PodIdentity;
use keda_core::manifest::parse_value;
use keda_core::metadata::{Parameter, Source};
use keda_core::metric::MetricSpec;
use keda_core::names::with_index;
use keda_core::problem::{Problem, has_errors};
use keda_scalers::registry::{self, CATALOGUE};
use keda_scalers::trigger::Specs;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::trigger::Trigger;
use crate::corpus::{Corpus, files, some};
use crate::dictionary::Vocabulary;
use crate::mutation::{Mutation, mutations};
use crate::runner::Target;

/// Part of values that must not turn up in messages: those from elsewhere than the metadata may be secrets.
const UNMENTIONABLE: &str = "uNmEnTiOnAbLe";

const PROVIDERS: [&str; 7] = ["none", "azure-workload", "aws", "aws-eks", "gcp", "", "nosuch"];
const METRIC_TYPES: [&str; 5] = ["", "AverageValue", "Value", "Utilization", "Average"];

pub(crate) struct Metadata {
    triggers: Arc<Vec<Trigger>>,
    /// Values of parameters.
    values: Arc<Corpus>,
}

impl Metadata {
    pub(crate) fn new(corpus: &Path) -> io::Result<Self> {
        let folder = corpus.join(Self::NAME);
        let mut triggers = Vec::new();
        for text in files(&folder.join("triggers"))? {
            triggers.extend(read(&text).map_err(io::Error::other)?);
        }
        if let Some(row) = CATALOGUE.iter().find(|row| triggers.iter().all(|trigger| trigger.r#type != row.name)) {
            return Err(io::Error::other(format!("the corpus has no {} trigger", row.name)));
        }
        let values = files(&folder.join("values"))?.concat();
        let texts = values.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let values = Corpus { texts, vocabulary: Vocabulary::of_values() };
        Ok(Metadata { triggers: Arc::new(triggers), values: Arc::new(values) })
    }
}

impl Target for Metadata {
    type Input = Trigger;

    const NAME: &'static str = "metadata";

    fn corpus(&self) -> Vec<Trigger> {
        self.triggers.to_vec()
    }

    fn mutated(&self) -> BoxedStrategy<Trigger> {
        let (triggers, values) = (Arc::clone(&self.triggers), Arc::clone(&self.values));
        (any::<Index>(), some(changes))
            .prop_map(move |(start, changes)| {
                let mut trigger = start.get(&triggers).clone();
                for change in &changes {
                    change.apply(&mut trigger, &values);
                }
                trigger
            })
            .boxed()
    }

    fn read(&self, bytes: &[u8]) -> Vec<Trigger> {
        read(bytes).unwrap_or_default()
    }

    fn written(&self, input: &Trigger) -> Vec<u8> {
        serde_json::to_vec(input).unwrap_or_default()
    }

    fn run(&self, trigger: &Trigger) -> Result<bool, String> {
        let Some(row) = registry::find(&trigger.r#type) else { return Ok(false) };
        let parsed = row.parse(&trigger.inputs(), &trigger.context());
        if parsed.specs.is_some() == has_errors(&parsed.problems) {
            return Err(format!("there must be metrics or an error, and not both: {:?}", parsed.problems));
        }
        if has_errors(&parsed.problems) && self.triggers.contains(trigger) {
            return Err(format!("a trigger of the corpus must have no errors: {:?}", parsed.problems));
        }
        if let Some(problem) = parsed.problems.iter().find(|problem| tells_secret(problem)) {
            return Err(format!("a message tells a secret: {problem:?}"));
        }
        let is_valid = parsed.specs.is_some();
        if let Some(Specs::Known(specs)) = parsed.specs {
            specs.iter().for_each(|spec| show(trigger.index, spec));
        }
        Ok(is_valid)
    }
}

/// One trigger, or a list of them, as YAML or JSON.
fn read(bytes: &[u8]) -> Result<Vec<Trigger>, String> {
    let triggers = match parse_value(&String::from_utf8_lossy(bytes))? {
        serde_json::Value::Array(triggers) => triggers,
        trigger => vec![trigger],
    };
    triggers.into_iter().map(|trigger| serde_json::from_value(trigger).map_err(|error| error.to_string())).collect()
}

fn tells_secret(problem: &Problem) -> bool {
    let help = problem.help.as_deref().unwrap_or_default();
    problem.message.contains(UNMENTIONABLE) || help.contains(UNMENTIONABLE)
}

/// Does what is done with a metric when its HPA is written.
fn show(index: usize, spec: &MetricSpec) {
    if let MetricSpec::External(metric) = spec {
        let _ = (with_index(index, &metric.name), metric.target.quantity().to_string());
    }
}

/// One change of a trigger.
#[derive(Debug, Clone)]
enum Change {
    /// Gives a parameter of the type.
    Give(Index, Place, Value),
    /// Gives a parameter of another type.
    GiveForeign(Index, Index, Value),
    /// Changes a value.
    Alter(Index, Vec<Mutation>),
    /// Takes a value away.
    Remove(Index),
    /// Gives a value another key.
    Rename(Index, Vec<Mutation>),
    /// Makes it a trigger of another type, with the same parameters.
    Retype(Index),
    Identity(Index, Option<String>),
    MetricType(Index),
    AsMetricSource(bool),
    OfJob(bool),
    PartialEnvironment(bool),
    /// Makes a parameter of the type one whose value is not known, or possibly all.
    Hide(Option<Index>),
    Position(usize),
}

/// Where a parameter is given.
#[derive(Debug, Clone, Copy)]
enum Place {
    Metadata,
    Environment,
    Authentication,
    /// One of those that it is read from.
    Declared(Index),
}

/// What a parameter is given.
#[derive(Debug, Clone)]
struct Value {
    choice: Choice,
    mutations: Vec<Mutation>,
    is_marked: bool,
}

#[derive(Debug, Clone, Copy)]
enum Choice {
    /// One of the words that it allows, or its default.
    Allowed(Index),
    /// A value of the corpus.
    Known(Index),
    /// Something remarkable.
    Scalar(Index),
}

fn changes() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let few = || vec(mutations(), 1..4);
    prop_oneof![
        24 => (at(), places(), values()).prop_map(|(at, place, value)| Change::Give(at, place, value)),
        2 => (at(), at(), values()).prop_map(|(row, at, value)| Change::GiveForeign(row, at, value)),
        16 => (at(), few()).prop_map(|(at, mutations)| Change::Alter(at, mutations)),
        4 => at().prop_map(Change::Remove),
        2 => (at(), few()).prop_map(|(at, mutations)| Change::Rename(at, mutations)),
        1 => at().prop_map(Change::Retype),
        2 => (at(), any::<Option<String>>()).prop_map(|(at, id)| Change::Identity(at, id)),
        1 => at().prop_map(Change::MetricType),
        1 => any::<bool>().prop_map(Change::AsMetricSource),
        1 => any::<bool>().prop_map(Change::OfJob),
        1 => any::<bool>().prop_map(Change::PartialEnvironment),
        2 => any::<Option<Index>>().prop_map(Change::Hide),
        1 => any::<usize>().prop_map(Change::Position),
    ]
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        1 => Just(Place::Metadata),
        1 => Just(Place::Environment),
        1 => Just(Place::Authentication),
        6 => any::<Index>().prop_map(Place::Declared),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let choice = prop_oneof![
        2 => any::<Index>().prop_map(Choice::Allowed),
        4 => any::<Index>().prop_map(Choice::Known),
        2 => any::<Index>().prop_map(Choice::Scalar),
    ];
    let mutations = prop_oneof![2 => Just(Vec::new()), 1 => vec(mutations(), 1..3)];
    let is_marked = proptest::bool::weighted(0.25);
    (choice, mutations, is_marked).prop_map(|(choice, mutations, is_marked)| Value { choice, mutations, is_marked })
}

impl Change {
    fn apply(&self, trigger: &mut Trigger, values: &Corpus) {
        match self {
            Change::Give(at, place, value) => {
                let parameters = parameters_of(trigger);
                give(trigger, &parameters, *at, *place, value, values);
            }
            Change::GiveForeign(row, at, value) => {
                give(trigger, &(row.get(CATALOGUE).parameters)(), *at, Place::Metadata, value, values);
            }
            Change::Alter(at, mutations) if trigger.values() > 0 => {
                if let Some(text) = trigger.value_mut(at.index(trigger.values())) {
                    *text = mutated(text, mutations, values);
                }
            }
            Change::Remove(at) if trigger.values() > 0 => _ = trigger.remove(at.index(trigger.values())),
            Change::Rename(at, mutations) if trigger.values() > 0 => {
                if let Some((key, value)) = trigger.remove(at.index(trigger.values())) {
                    trigger.metadata.insert(mutated(&key, mutations, values), value.replace(UNMENTIONABLE, ""));
                }
            }
            Change::Alter(..) | Change::Remove(_) | Change::Rename(..) => {}
            Change::Retype(row) => trigger.r#type = row.get(CATALOGUE).name.to_string(),
            Change::Identity(at, id) => {
                let provider = (*at.get(&PROVIDERS)).to_string();
                let (identity_id, role_arn) = (id.clone(), id.clone());
                trigger.pod_identity = Some(PodIdentity { provider, identity_id, role_arn, ..PodIdentity::default() });
            }
            Change::MetricType(at) => trigger.metric_type = (*at.get(&METRIC_TYPES)).to_string(),
            Change::AsMetricSource(yes) => trigger.as_metric_source = *yes,
            Change::OfJob(yes) => trigger.of_job = *yes,
            Change::PartialEnvironment(yes) => trigger.partial_environment = *yes,
            Change::Hide(at) => {
                let parameters = parameters_of(trigger);
                let name = at.filter(|_| !parameters.is_empty()).map(|at| at.get(&parameters).name().to_string());
                trigger.hidden.get_or_insert_default().extend(name);
            }
            Change::Position(index) => trigger.index = *index,
        }
    }
}

fn parameters_of(trigger: &Trigger) -> Vec<&'static Parameter> {
    let row = registry::find(&trigger.r#type);
    row.map(|row| [(row.parameters)(), (row.unlisted)()].concat()).unwrap_or_default()
}

/// Gives one of the parameters.
fn give(
    trigger: &mut Trigger,
    parameters: &[&'static Parameter],
    at: Index,
    place: Place,
    value: &Value,
    values: &Corpus,
) {
    if parameters.is_empty() {
        return;
    }
    let parameter = *at.get(parameters);
    let source = match place {
        Place::Declared(at) if !parameter.sources.is_empty() => *at.get(parameter.sources),
        Place::Metadata | Place::Declared(_) => Source::Trigger,
        Place::Environment => Source::Environment,
        Place::Authentication => Source::Authentication,
    };
    let names: &[&str] = if parameter.names.is_empty() { &["name"] } else { parameter.names };
    let name = at.get(names).replace('*', "A");
    let text = value.text(parameter, values);
    match source {
        Source::Trigger => _ = trigger.metadata.insert(name, text),
        Source::Authentication => _ = trigger.authentication.insert(name, value.marked(text)),
        Source::Environment => {
            let variable = name.to_uppercase();
            trigger.metadata.insert(format!("{name}FromEnv"), variable.clone());
            trigger.environment.insert(variable, value.marked(text));
        }
    }
}

impl Value {
    fn text(&self, parameter: &Parameter, values: &Corpus) -> String {
        let allowed: Vec<&str> = parameter.one_of.iter().chain(&parameter.default).copied().collect();
        let text = match self.choice {
            Choice::Allowed(at) if !allowed.is_empty() => (*at.get(&allowed)).to_string(),
            Choice::Allowed(at) | Choice::Known(at) => {
                String::from_utf8_lossy(at.get(&values.texts).as_slice()).into_owned()
            }
            Choice::Scalar(at) => at.get(&values.vocabulary.scalars).clone(),
        };
        // A certificate stands on one line of the corpus.
        mutated(&text.replace("\\n", "\n"), &self.mutations, values)
    }

    /// The text with a part that must not be told.
    fn marked(&self, text: String) -> String {
        if self.is_marked { text + UNMENTIONABLE } else { text }
    }
}

fn mutated(text: &str, mutations: &[Mutation], values: &Corpus) -> String {
    let mut bytes = text.as_bytes().to_vec();
    values.mutate(&mut bytes, mutations);
    String::from_utf8_lossy(&bytes).into_owned()
}
