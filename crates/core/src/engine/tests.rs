use std::sync::Arc;

use proptest::prelude::*;

use super::conditions::{ConditionType, Truth};
use super::*;
use crate::SmallMap;
use crate::metric::TargetType;
use crate::quantity::Quantity;
use crate::sample::{ErrorKind, Sample, SourceError};

mod interruptions;

/// A world with one object: a target with replicas, and a clock that jumps.
struct Story {
    engine: Engine,
    now: Now,
    replicas: i32,
    log: Vec<String>,
    answers: Vec<Result<(String, Quantity), String>>,
    /// Reasons.
    events: Vec<String>,
    observations: u32,
    /// The target will not be scaled.
    refuses: bool,
    /// Its replicas cannot be read.
    unreadable: bool,
    /// Answers come later.
    holds_observations: bool,
    holds_outcomes: bool,
    held: Vec<u64>,
}

fn key() -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: "orders".into() }
}

fn start() -> Now {
    Now { wall: "2026-03-01T12:00:00Z".parse().unwrap(), monotonic: Duration::from_secs(1000) }
}

fn definition(rules: Rules, triggers: usize) -> Definition {
    let trigger = |index: usize| TriggerDefinition {
        trigger_type: "redis".into(),
        name: format!("t{index}"),
        use_cached_metrics: false,
        metrics: vec![ExternalDefinition {
            name: format!("s{index}-redis-jobs"),
            target: Quantity::from_integer(5),
            target_type: TargetType::AverageValue,
        }],
        is_described_by_source: false,
        fingerprint: index as u128,
    };
    Definition {
        key: key(),
        rules,
        created: start().wall,
        target_kind: "apps/v1.Deployment".into(),
        target_name: "worker".into(),
        triggers: (0..triggers).map(trigger).collect(),
        restored: Restored::default(),
    }
}

impl Story {
    fn new(rules: Rules, triggers: usize, replicas: i32) -> Self {
        let mut story = Story {
            engine: Engine::new(),
            now: start(),
            replicas,
            log: vec![],
            answers: vec![],
            events: vec![],
            observations: 0,
            refuses: false,
            unreadable: false,
            holds_observations: false,
            holds_outcomes: false,
            held: vec![],
        };
        story.input(Input::Applied(Box::new(definition(rules, triggers))));
        story
    }

    fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.react();
    }

    /// Does what the engine wants.
    fn react(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Observe { id, .. } if self.holds_observations => self.held.push(id),
                Effect::Observe { id, .. } => self.observe(id),
                Effect::Scale { from, to, cause, id, .. } => {
                    assert_eq!(from, self.replicas);
                    if self.refuses {
                        self.engine.handle(self.now, Input::Outcome { id, result: Err("refused".to_string()) });
                        continue;
                    }
                    self.log.push(format!("{from}→{to}: {cause}"));
                    self.replicas = to;
                    match self.holds_outcomes {
                        true => self.held.push(id),
                        false => self.engine.handle(self.now, Input::Outcome { id, result: Ok(()) }),
                    }
                }
                Effect::Answer { result, .. } => self.answers.push(result),
                Effect::Sample { trigger, .. } => self.log.push(format!("sample {trigger}")),
                Effect::Event { reason, .. } => self.events.push(reason.to_string()),
                _ => {}
            }
        }
    }

    fn observe(&mut self, id: u64) {
        self.observations += 1;
        let replicas = if self.unreadable { Err("not found".to_string()) } else { Ok(self.replicas) };
        let observation = Observation { ready_pods: replicas.clone().ok(), replicas, hpa: None };
        self.engine.handle(self.now, Input::Observed { id, observation });
    }

    fn observe_held(&mut self) {
        for id in std::mem::take(&mut self.held) {
            self.observe(id);
        }
        self.react();
    }

    fn end_held(&mut self) {
        for id in std::mem::take(&mut self.held) {
            self.engine.handle(self.now, Input::Outcome { id, result: Ok(()) });
        }
        self.react();
    }

    /// Lets time pass, and the engine notice.
    fn wait(&mut self, seconds: u64) {
        self.later(seconds);
        self.engine.handle_timeout(self.now);
        self.react();
    }

    fn status(&self) -> Status {
        self.engine.view(self.now, &key()).unwrap().status
    }

    fn sampled(&mut self, trigger: usize, value: f64) {
        let result = Ok(vec![("redis-jobs".to_string(), Sample::above(value, 0.0))]);
        self.input(Input::Sampled { object: key(), trigger, fingerprint: trigger as u128, result });
    }

    fn fails(&mut self, trigger: usize) {
        let result = Err(SourceError::new(ErrorKind::Unreachable, "nobody there"));
        self.input(Input::Sampled { object: key(), trigger, fingerprint: trigger as u128, result });
    }

    fn asks(&mut self) -> Option<Result<(String, Quantity), String>> {
        self.input(Input::Asked { object: key(), metric: "s0-redis-jobs".into(), question: 1 });
        self.answers.pop()
    }

    fn later(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
    }

    fn condition(&self, kind: ConditionType) -> (Truth, String) {
        let view = self.engine.view(self.now, &key()).unwrap();
        let condition = view.status.conditions.into_iter().find(|condition| condition.kind == kind).unwrap();
        (condition.status, condition.reason.to_string())
    }
}

fn cooldown(seconds: i32) -> Rules {
    Rules { cooldown_seconds: Some(seconds), ..Rules::default() }
}

#[test]
fn work_wakes_the_target_and_its_end_puts_it_to_rest_after_the_cooldown() {
    let mut story = Story::new(cooldown(60), 1, 0);
    story.sampled(0, 7.0);
    story.later(30);
    story.sampled(0, 0.0);
    assert_eq!(story.condition(ConditionType::Active), (Truth::False, "ScalerCooldown".into()));
    story.later(30);
    story.sampled(0, 0.0);
    assert_eq!(story.replicas, 1, "exactly at its end the cooldown still holds");
    story.later(1);
    story.sampled(0, 0.0);
    assert_eq!(
        story.log,
        [
            "0→1: s0-redis-jobs is above the activation value, so 1 replica to start with",
            "1→0: no trigger was active for 61 s, longer than the cooldown, so 0 replicas",
        ]
    );
}

#[test]
fn a_failing_source_changes_nothing() {
    let mut story = Story::new(cooldown(0), 1, 4);
    story.sampled(0, 7.0);
    for _ in 0..100 {
        story.later(30);
        story.fails(0);
    }
    assert_eq!((story.replicas, story.log.len()), (4, 0));
    assert_eq!(story.condition(ConditionType::Ready), (Truth::False, "TriggerError".into()));
    assert!(story.asks().unwrap().unwrap_err().contains("nobody there"), "a remembered error is an answer");
    story.later(5);
    assert!(story.asks().is_none(), "the HPA's question waits for a fresh reading");
    story.fails(0);
    assert!(story.answers.pop().unwrap().unwrap_err().contains("nobody there"));
    story.sampled(0, 3.0);
    assert_eq!(story.condition(ConditionType::Ready), (Truth::True, "ScaledObjectReady".into()));
}

#[test]
fn one_of_two_triggers_is_enough_and_one_that_fails_does_not_stop_the_other() {
    let mut story = Story::new(cooldown(0), 2, 0);
    story.sampled(0, 7.0);
    assert_eq!(story.replicas, 0, "the other trigger has not been read yet");
    story.fails(1);
    assert_eq!(story.replicas, 1);
    story.sampled(0, 7.0);
    assert_eq!(story.condition(ConditionType::Ready), (Truth::Unknown, "PartialTriggerError".into()));
    story.sampled(0, 0.0);
    assert_eq!(story.replicas, 1, "nobody knows whether the failing one is active");
}

#[test]
fn what_metrics_are_worth_is_told_with_the_fallback_and_the_formula() {
    let fallback = Some(Fallback { failure_threshold: 0, replicas: 6, behavior: "static".into() });
    let mut story = Story::new(Rules { fallback, ..cooldown(0) }, 2, 0);
    story.sampled(0, 7.0);
    story.fails(1);
    let measures = |story: &Story| -> Vec<(String, Option<f64>, bool)> {
        let key = key();
        let measures = story.engine.measures(&key);
        measures.map(|known| (known.metric.to_string(), known.value, known.active)).collect()
    };
    let [first, second] = ["s0-redis-jobs", "s1-redis-jobs"].map(str::to_string);
    assert_eq!(measures(&story), [(first.clone(), Some(7.0), true), (second.clone(), Some(30.0), true)]);
    let modifiers = Modifiers {
        formula: "t0 + t1".into(),
        target: "2".into(),
        activation_target: "20".into(),
        ..Modifiers::default()
    };
    let mut story = Story::new(Rules { modifiers: Some(modifiers), ..cooldown(0) }, 2, 0);
    story.sampled(0, 7.0);
    story.sampled(1, 8.0);
    let composite = ("composite-metric".to_string(), Some(15.0), false);
    assert_eq!(measures(&story), [(first.clone(), Some(7.0), true), (second.clone(), Some(8.0), true), composite]);
    story.fails(1);
    let composite = ("composite-metric".to_string(), None, false);
    assert_eq!(measures(&story), [(first, Some(7.0), true), (second, None, false), composite]);
}

#[test]
fn the_fallback_stands_in_after_its_threshold() {
    let fallback = Some(Fallback { failure_threshold: 2, replicas: 6, behavior: "static".into() });
    let mut story = Story::new(Rules { fallback, ..cooldown(0) }, 1, 0);
    for _ in 0..2 {
        story.fails(0);
        assert_eq!(story.replicas, 0);
    }
    story.fails(0);
    assert_eq!(story.replicas, 1, "the fallback counts as activity");
    assert_eq!(story.condition(ConditionType::Fallback).0, Truth::True);
    assert_eq!(story.asks().unwrap().unwrap().1.to_string(), "30", "6 replicas of 5 jobs each");
    story.sampled(0, 0.0);
    assert_eq!(story.condition(ConditionType::Fallback).0, Truth::False);
}

#[test]
fn a_question_takes_a_fresh_reading_and_asks_for_a_new_one_otherwise() {
    let mut story = Story::new(cooldown(300), 1, 1);
    story.sampled(0, 7.0);
    story.later(4);
    assert_eq!(story.asks().unwrap().unwrap().1.to_string(), "7");
    story.later(1);
    assert!(story.asks().is_none());
    assert_eq!(story.log, ["sample 0"]);
    story.sampled(0, 8.0);
    assert_eq!(story.answers.pop().unwrap().unwrap().1.to_string(), "8");
}

#[test]
fn a_question_that_nobody_answers_ends_in_an_error() {
    let mut story = Story::new(cooldown(300), 1, 1);
    assert!(story.asks().is_none());
    let (deadline, _) = story.engine.poll_timeout().unwrap();
    story.now.monotonic = deadline;
    story.engine.handle_timeout(story.now);
    assert!(matches!(story.engine.poll_effect(), Some(Effect::Answer { result: Err(_), .. })));
}

#[test]
fn a_formula_joins_the_triggers() {
    let modifiers = Modifiers {
        formula: "max(t0, t1)".into(),
        target: "2".into(),
        activation_target: "5".into(),
        ..Modifiers::default()
    };
    let mut story = Story::new(Rules { modifiers: Some(modifiers), ..cooldown(0) }, 2, 0);
    story.sampled(0, 3.0);
    story.sampled(1, 5.0);
    assert_eq!(story.replicas, 0);
    story.sampled(1, 5.5);
    assert_eq!(story.replicas, 1);
    let (name, value) = story.asks().unwrap().unwrap();
    assert_eq!((name.as_str(), value.to_string().as_str()), ("composite-metric", "5500m"));
    story.fails(1);
    assert_eq!(story.replicas, 1, "an error is never a 0");
}

#[test]
fn a_pause_holds_and_a_pause_at_a_number_scales_once() {
    let mut story = Story::new(cooldown(0), 1, 3);
    let annotations = SmallMap::from_iter([(rules::annotation::PAUSED_REPLICAS.to_string(), "5".to_string())]);
    let paused = Rules { pause: Pause::from_annotations(&annotations), ..cooldown(0) };
    story.input(Input::Applied(Box::new(definition(paused, 1))));
    story.later(500);
    story.sampled(0, 0.0);
    assert_eq!(story.log, ["3→5: paused at 5 replicas by annotation"]);
    assert_eq!(story.condition(ConditionType::Paused), (Truth::True, "ScaledObjectPaused".into()));
    story.input(Input::Applied(Box::new(definition(cooldown(0), 1))));
    story.sampled(0, 0.0);
    assert_eq!(story.replicas, 0);
}

#[test]
fn what_was_said_before_a_pause_is_said_during_it_also_by_another_leader() {
    let annotations = SmallMap::from_iter([(rules::annotation::PAUSED.to_string(), "true".to_string())]);
    let fallback = Fallback { failure_threshold: 3, replicas: 4, behavior: String::new() };
    let running = Rules { fallback: Some(fallback), ..cooldown(0) };
    let paused = Rules { pause: Pause::from_annotations(&annotations), ..running.clone() };
    let mut story = Story::new(running, 1, 1);
    story.sampled(0, 50.0);
    let before = story.engine.view(story.now, &key()).unwrap().status;
    story.later(30);
    // The operator reads nothing of the triggers of a paused object.
    story.input(Input::Applied(Box::new(definition(paused.clone(), 0))));
    let during = story.engine.view(story.now, &key()).unwrap().status;
    let said = |status: &Status| (status.last_active_time, status.triggers_activity.clone(), status.health.clone());
    assert_eq!(said(&during), said(&before));
    assert!(before.triggers_activity.get("s0-redis-jobs") == Some(&true) && !before.health.is_empty());
    let mut other = definition(paused, 0);
    let last_active = before.last_active_time.map(|time| time + Duration::from_secs(60));
    other.restored = Restored { last_active, health: before.health.clone(), status: Some(Arc::new(during)) };
    story.engine = Engine::new();
    story.input(Input::Applied(Box::new(other)));
    assert_eq!(said(&story.engine.view(story.now, &key()).unwrap().status), said(&before));
}

#[test]
fn what_was_said_of_the_triggers_outlives_a_change_to_something_that_cannot_be_used() {
    let mut story = Story::new(cooldown(0), 1, 1);
    story.sampled(0, 50.0);
    let before = story.engine.view(story.now, &key()).unwrap().status;
    assert_eq!(before.triggers_activity.get("s0-redis-jobs"), Some(&true));
    story.later(30);
    story.input(Input::Rejected(Box::new(definition(cooldown(0), 0)), "no such trigger".to_string()));
    let during = story.engine.view(story.now, &key()).unwrap().status;
    assert_eq!(story.condition(ConditionType::Ready).0, Truth::False);
    assert_eq!(during.triggers_activity, before.triggers_activity);
    assert_eq!(during.last_active_time, before.last_active_time);
    story.input(Input::Applied(Box::new(definition(cooldown(0), 1))));
    story.sampled(0, 0.0);
    let after = story.engine.view(story.now, &key()).unwrap().status;
    assert_eq!(after.triggers_activity.get("s0-redis-jobs"), Some(&false));
}

#[test]
fn the_end_of_a_pause_waits_for_a_reading_of_its_own() {
    let mut story = Story::new(cooldown(0), 1, 0);
    story.sampled(0, 0.0);
    let annotations = SmallMap::from_iter([(rules::annotation::PAUSED_REPLICAS.to_string(), "3".to_string())]);
    let paused = Rules { pause: Pause::from_annotations(&annotations), ..cooldown(0) };
    story.input(Input::Applied(Box::new(definition(paused, 1))));
    story.later(500);
    story.input(Input::Applied(Box::new(definition(cooldown(0), 1))));
    assert_eq!(story.replicas, 3, "what was read before the pause does not scale in after it");
    story.sampled(0, 50.0);
    assert_eq!(story.replicas, 3);
}

#[test]
fn a_reading_for_what_a_trigger_asked_before_does_not_count() {
    let mut story = Story::new(cooldown(0), 1, 4);
    let mut changed = definition(cooldown(0), 1);
    changed.triggers[0].fingerprint = 99;
    story.input(Input::Applied(Box::new(changed)));
    story.later(10);
    story.sampled(0, 0.0);
    assert_eq!(story.replicas, 4);
}

#[test]
fn a_question_is_refused_when_the_object_changes() {
    let mut story = Story::new(cooldown(0), 1, 4);
    assert!(story.asks().is_none());
    story.input(Input::Applied(Box::new(definition(cooldown(7), 1))));
    assert!(story.answers.pop().unwrap().unwrap_err().contains("was changed"));
}

#[test]
fn a_clock_that_is_set_back_stalls_no_cooldown() {
    let mut story = Story::new(cooldown(60), 1, 0);
    story.sampled(0, 1.0);
    story.later(61);
    story.now.wall = "2020-01-01T00:00:00Z".parse().unwrap();
    story.sampled(0, 0.0);
    assert_eq!(story.replicas, 0);
}

proptest! {
    /// Whatever the sources say: replicas move only between rest, start and what they were; the same history gives the
    /// same decisions; a failure never scales down.
    #[test]
    fn any_history_is_decided_safely(
        minimum in proptest::option::of(0..4i32),
        cooldown_seconds in 0..100i32,
        replicas in 0..6i32,
        steps in proptest::collection::vec((0..60u64, proptest::option::of(-2.0..50.0f64)), 1..60),
    ) {
        let rules = Rules { minimum, cooldown_seconds: Some(cooldown_seconds), ..Rules::default() };
        let play = || {
            let mut story = Story::new(rules.clone(), 1, replicas);
            for (seconds, value) in &steps {
                story.later(*seconds);
                let before = story.replicas;
                match value {
                    Some(value) => story.sampled(0, *value),
                    None => {
                        story.fails(0);
                        assert!(story.replicas == before);
                    }
                }
            }
            (story.replicas, story.log)
        };
        let (end, log) = play();
        prop_assert_eq!(play(), (end, log));
        let bounds = [rules.at_rest(), rules.when_activated(), replicas];
        prop_assert!(bounds.contains(&end), "{} is none of {:?}", end, bounds);
    }
}
