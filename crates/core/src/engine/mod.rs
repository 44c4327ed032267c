//! The state machine that decides: inputs go in, effects come out, time is an argument.
//!
//! A shell (the operator, `keda up`, a simulation, a test) feeds [`Input`]s with [`Engine::handle`], carries out what
//! [`Engine::poll_effect`] gives it, and calls [`Engine::handle_timeout`] at [`Engine::poll_timeout`]. The engine
//! knows nothing of sources, clusters or processes; objects do not know each other.
//!
//! The path of a decision: a trigger is [`Input::Sampled`] → the object asks for its replicas ([`Effect::Observe`]) →
//! [`Input::Observed`] → [`activation::decide`] → [`Effect::Scale`], [`Effect::Event`], [`Effect::Status`].

pub mod activation;
pub mod conditions;
mod evaluation;
pub mod fallback;
mod input;
mod object;
pub mod rules;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use input::{
    Cause, Definition, Effect, ExternalDefinition, HpaHealth, Input, Now, ObjectKey, Observation, Restored, Severity,
    Status, TriggerDefinition,
};
use object::Object;
pub use rules::{Fallback, Modifiers, Pause, Rules};
pub use view::{Measure, ReadingView, Verdict, View};

/// Time a shell has for an effect that it must answer, before it counts as failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// The state of all objects.
#[derive(Debug, Default)]
pub struct Engine {
    objects: BTreeMap<ObjectKey, Box<Object>>,
    /// The objects with open questions: few of many, and the only ones whose deadlines matter.
    asked: BTreeSet<ObjectKey>,
    outbox: Outbox,
}

/// Effects that wait for the shell, and those whose outcome the engine waits for.
#[derive(Debug, Default)]
struct Outbox {
    effects: VecDeque<Effect>,
    tickets: BTreeMap<u64, Ticket>,
    next: u64,
    /// When which object is looked at by itself; each has one entry at most.
    looks: BTreeSet<(Duration, ObjectKey)>,
}

/// An effect whose outcome is awaited.
#[derive(Debug, Clone)]
struct Ticket {
    object: ObjectKey,
    purpose: Purpose,
    deadline: Duration,
}

#[derive(Debug, Clone, PartialEq)]
enum Purpose {
    Observe,
    Scale { from: i32, to: i32, cause: Cause },
}

impl Outbox {
    fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn ticket(&mut self, now: Now, object: &ObjectKey, purpose: Purpose) -> u64 {
        self.next += 1;
        self.tickets.insert(self.next, Ticket { object: object.clone(), purpose, deadline: now.monotonic + DEADLINE });
        self.next
    }
}

impl Engine {
    /// No objects.
    pub fn new() -> Self {
        Engine::default()
    }

    /// No objects, and no answer to an effect of this engine is taken for one to its own.
    #[must_use]
    pub fn anew(&self) -> Self {
        Engine { outbox: Outbox { next: self.outbox.next, ..Outbox::default() }, ..Engine::default() }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        let outbox = &mut self.outbox;
        match input {
            Input::Applied(definition) => {
                let key = definition.key.clone();
                match self.objects.get_mut(&key) {
                    Some(object) => object.redefine(now, *definition, outbox),
                    None => {
                        let object = Object::new(now, *definition, outbox);
                        self.objects.insert(key, Box::new(object));
                    }
                }
            }
            Input::Rejected(definition, error) => {
                let key = definition.key.clone();
                match self.objects.get_mut(&key) {
                    Some(object) => object.reject(*definition, &error, outbox),
                    None => {
                        let object = Object::rejected(*definition, &error, outbox);
                        self.objects.insert(key, Box::new(object));
                    }
                }
            }
            Input::Held(key, error) => {
                if let Some(object) = self.objects.get_mut(&key) {
                    object.hold(&error, outbox);
                }
            }
            Input::Failed(key, error) => {
                if let Some(object) = self.objects.get_mut(&key) {
                    object.failed(&error, outbox);
                }
            }
            Input::Deleted(key) => {
                if let Some(mut object) = self.objects.remove(&key) {
                    object.stop_looking(outbox);
                }
                outbox.tickets.retain(|_, ticket| ticket.object != key);
            }
            Input::Sampled { object, trigger, fingerprint, result } => match self.objects.get_mut(&object) {
                Some(object) if object.asks(trigger, fingerprint) => object.sampled(now, trigger, result, outbox),
                _ => {}
            },
            Input::Pushed { object, trigger, fingerprint } => match self.objects.get_mut(&object) {
                Some(object) if object.asks(trigger, fingerprint) => object.pushed(now, trigger, outbox),
                _ => {}
            },
            Input::Asked { object, metric, question } => self.ask(now, object, metric, question),
            Input::Observed { id, observation } => self.settle(now, id, Ok(observation)),
            Input::Outcome { id, result } => {
                self.settle(now, id, result.map(|()| Observation::default()));
            }
            Input::Overtaken { id } => self.overtaken(now, id),
        }
        let objects = &self.objects;
        self.asked.retain(|key| objects.get(key).is_some_and(|object| object.next_deadline().is_some()));
    }

    /// Gives up on what took too long.
    pub fn handle_timeout(&mut self, now: Now) {
        let expired: Vec<u64> = self
            .outbox
            .tickets
            .iter()
            .filter(|(_, ticket)| ticket.deadline <= now.monotonic)
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.settle(now, id, Err(format!("no answer within {} s", DEADLINE.as_secs())));
        }
        while self.outbox.looks.first().is_some_and(|(due, _)| *due <= now.monotonic)
            && let Some((_, key)) = self.outbox.looks.pop_first()
        {
            if let Some(object) = self.objects.get_mut(&key) {
                object.look(now, &mut self.outbox);
            }
        }
        for key in std::mem::take(&mut self.asked) {
            if let Some(object) = self.objects.get_mut(&key) {
                object.expire_questions(now, &mut self.outbox);
                if object.next_deadline().is_some() {
                    self.asked.insert(key);
                }
            }
        }
    }

    /// When [`Engine::handle_timeout`] is due, and why.
    pub fn poll_timeout(&self) -> Option<(Duration, &'static str)> {
        let tickets = self.outbox.tickets.values().map(|ticket| (ticket.deadline, "an effect's deadline"));
        let asked = self.asked.iter().filter_map(|key| self.objects.get(key)?.next_deadline());
        let questions = asked.map(|at| (at, "a question's deadline"));
        let looks = self.outbox.looks.first().map(|(at, _)| (*at, "an object is looked at again"));
        tickets.chain(questions).chain(looks).min()
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.outbox.effects.pop_front()
    }

    /// What is known and was decided about an object.
    pub fn view(&self, now: Now, key: &ObjectKey) -> Option<View> {
        self.objects.get(key).map(|object| object.view(now))
    }

    /// What the external metrics of an object were worth at the last evaluation, in the order of its triggers; then the
    /// composite metric, when there is a formula.
    pub fn measures(&self, key: &ObjectKey) -> impl Iterator<Item = Measure<'_>> + use<'_> {
        self.objects.get(key).into_iter().flat_map(|object| object.measures())
    }

    /// Whether there is such an object.
    pub fn knows(&self, key: &ObjectKey) -> bool {
        self.objects.contains_key(key)
    }

    /// All objects, in order.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.keys()
    }

    /// Asks an object for a metric.
    fn ask(&mut self, now: Now, object: ObjectKey, metric: String, question: u64) {
        match self.objects.get_mut(&object) {
            Some(known) => {
                known.asked(now, metric, question, &mut self.outbox);
                self.asked.insert(object);
            }
            None => {
                let result = Err(format!("there is no ScaledObject {object}"));
                self.outbox.push(Effect::Answer { question, result });
            }
        }
    }

    /// Has an object decide anew whose decision was not carried out.
    fn overtaken(&mut self, now: Now, id: u64) {
        let Some(ticket) = self.outbox.tickets.remove(&id) else { return };
        if let Some(object) = self.objects.get_mut(&ticket.object) {
            object.overtaken(now, &mut self.outbox);
        }
    }

    /// Hands the outcome of an effect to its object.
    fn settle(&mut self, now: Now, id: u64, result: Result<Observation, String>) {
        let Some(ticket) = self.outbox.tickets.remove(&id) else { return };
        let Some(object) = self.objects.get_mut(&ticket.object) else { return };
        match ticket.purpose {
            Purpose::Observe => {
                object.observed(now, result.unwrap_or_else(Observation::unreadable), &mut self.outbox);
            }
            Purpose::Scale { from, to, cause } => {
                object.scaled(now, (from, to), &cause, result.map(|_| ()), &mut self.outbox);
            }
        }
    }
}

#[cfg(test)]
mod tests;
