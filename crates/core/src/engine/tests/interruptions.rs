//! What cannot be done at once, what is changed meanwhile, and what is told of it.

use super::*;

fn annotated(rules: Rules, annotations: &[(&str, &str)]) -> Rules {
    let annotations = annotations.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string()));
    Rules { pause: Pause::from_annotations(&annotations.collect()), ..rules }
}

fn applied(rules: Rules, triggers: usize) -> Input {
    Input::Applied(Box::new(definition(rules, triggers)))
}

/// With nothing but a `cpu` trigger.
fn only_cpu(rules: Rules) -> Input {
    let mut definition = definition(rules, 1);
    definition.triggers[0].metrics.clear();
    Input::Applied(Box::new(definition))
}

fn failed(error: &str) -> Input {
    Input::Failed(key(), error.to_string())
}

#[test]
fn an_object_without_readings_is_looked_at_by_itself() {
    let mut story = Story::new(cooldown(300), 1, 3);
    story.input(only_cpu(cooldown(300)));
    story.replicas = 0;
    story.wait(29);
    assert_eq!(story.replicas, 0);
    story.wait(1);
    assert_eq!(story.replicas, 1, "the HPA does not look at a target without replicas");
    let before = story.status().last_active_time;
    story.wait(30);
    assert!(story.status().last_active_time > before, "it is active for as long as it runs");
    story.input(Input::Deleted(key()));
    story.wait(30);
    assert_eq!(story.engine.poll_timeout(), None);
}

#[test]
fn a_pause_that_cannot_be_carried_out_is_told_and_tried_again() {
    let paused = annotated(cooldown(0), &[(rules::annotation::PAUSED_REPLICAS, "2")]);
    let mut story = Story::new(cooldown(0), 1, 5);
    story.refuses = true;
    story.input(applied(paused.clone(), 0));
    assert_eq!(story.condition(ConditionType::Ready), (Truth::False, "ScaledObjectCheckFailed".into()));
    assert_eq!(story.events.last().unwrap(), "ScaledObjectCheckFailed");
    story.refuses = false;
    story.wait(30);
    assert_eq!(story.replicas, 2);
    assert_eq!(story.condition(ConditionType::Ready), (Truth::True, "ScaledObjectReady".into()));
    assert_eq!(story.events.last().unwrap(), "ScaledObjectReady");
    let looks = story.observations;
    story.wait(300);
    assert_eq!(story.observations, looks, "nothing is left to do");
}

#[test]
fn a_pause_without_a_target_is_carried_out_once_there_is_one() {
    let paused = annotated(cooldown(0), &[(rules::annotation::PAUSED_REPLICAS, "2")]);
    let mut story = Story { unreadable: true, ..Story::new(cooldown(0), 1, 5) };
    story.input(applied(paused.clone(), 0));
    assert_eq!(story.condition(ConditionType::Ready).0, Truth::False);
    story.unreadable = false;
    story.input(applied(paused, 0));
    assert_eq!((story.replicas, story.condition(ConditionType::Ready).0), (2, Truth::True));
}

#[test]
fn a_plain_pause_needs_neither_target_nor_bounds() {
    let wrong = Rules { idle: Some(0), ..cooldown(0) };
    let mut story = Story { unreadable: true, ..Story::new(cooldown(0), 1, 5) };
    story.input(applied(annotated(wrong, &[(rules::annotation::PAUSED, "true")]), 0));
    assert_eq!(story.condition(ConditionType::Ready), (Truth::True, "ScaledObjectReady".into()));
    assert_eq!(story.condition(ConditionType::Paused).0, Truth::True);
}

#[test]
fn a_pause_waits_for_its_hpa_to_go() {
    let paused = annotated(cooldown(0), &[(rules::annotation::PAUSED_REPLICAS, "2")]);
    let mut story = Story { holds_observations: true, ..Story::new(cooldown(0), 1, 5) };
    story.input(applied(paused.clone(), 0));
    story.input(failed("the HPA will not go"));
    story.holds_observations = false;
    story.observe_held();
    assert_eq!((story.replicas, story.condition(ConditionType::Ready).0), (5, Truth::False));
    story.input(applied(paused, 0));
    assert_eq!((story.replicas, story.condition(ConditionType::Ready).0), (2, Truth::True));
}

#[test]
fn a_pause_that_comes_while_the_target_is_scaled_is_carried_out_after_that() {
    let mut story = Story { holds_outcomes: true, ..Story::new(cooldown(0), 1, 0) };
    story.sampled(0, 7.0);
    story.input(applied(annotated(cooldown(0), &[(rules::annotation::PAUSED_REPLICAS, "4")]), 0));
    assert_eq!(story.log, ["0→1: s0-redis-jobs is above the activation value, so 1 replica to start with"]);
    story.holds_outcomes = false;
    story.end_held();
    assert_eq!(story.log[1..], ["1→4: paused at 4 replicas by annotation"]);
    assert_eq!(story.condition(ConditionType::Ready).0, Truth::True);
}

#[test]
fn every_end_of_a_pause_is_told_once() {
    use rules::annotation::{PAUSED, PAUSED_SCALE_IN};
    let mut story = Story::new(annotated(cooldown(0), &[(PAUSED_SCALE_IN, "true")]), 1, 1);
    let told = |story: &mut Story| {
        let events = std::mem::take(&mut story.events);
        events.into_iter().filter(|event| event.contains("aused")).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut story), ["ScaledObjectPaused"]);
    story.input(applied(annotated(cooldown(0), &[(PAUSED, "true")]), 0));
    assert_eq!(told(&mut story), Vec::<String>::new(), "it is paused as before");
    story.input(applied(cooldown(0), 1));
    assert_eq!(told(&mut story), ["ScaledObjectUnpaused"]);

    story.input(applied(annotated(cooldown(0), &[(PAUSED, "true")]), 0));
    let status = Some(Arc::new(story.status()));
    story.events.clear();
    // The annotation was removed while nobody looked, and the target is gone.
    let restored = Restored { status, ..Restored::default() };
    story.engine = Engine::new();
    let unpaused = Definition { restored, ..definition(cooldown(0), 0) };
    story.input(Input::Rejected(Box::new(unpaused), "no target".to_string()));
    assert_eq!(told(&mut story), ["ScaledObjectUnpaused"]);
    assert_eq!(story.condition(ConditionType::Paused).0, Truth::False);
}

#[test]
fn what_could_not_be_done_and_is_done_later_makes_ready_again() {
    let mut story = Story::new(cooldown(0), 1, 1);
    story.sampled(0, 7.0);
    story.input(failed("the API server is busy"));
    assert_eq!(story.condition(ConditionType::Active).0, Truth::Unknown);
    story.events.clear();
    story.input(applied(cooldown(0), 1));
    assert_eq!(story.events, ["ScaledObjectReady"]);
    assert_eq!(story.condition(ConditionType::Ready).0, Truth::True);
    assert_eq!(story.condition(ConditionType::Active).0, Truth::True);
    story.input(applied(cooldown(0), 1));
    assert_eq!(story.events, ["ScaledObjectReady"]);
}

#[test]
fn what_cannot_be_used_is_not_scaled_by_a_decision_that_was_due() {
    let mut story = Story { holds_observations: true, ..Story::new(cooldown(0), 1, 0) };
    story.sampled(0, 0.0);
    story.input(Input::Rejected(Box::new(definition(cooldown(0), 0)), "no such trigger".to_string()));
    story.observe_held();
    assert_eq!((story.replicas, story.condition(ConditionType::Ready).0), (0, Truth::False));
    assert_eq!(story.condition(ConditionType::Fallback), (Truth::False, "NoFallbackFound".into()));
}

#[test]
fn the_minimum_is_reached_without_a_word() {
    let mut story = Story::new(Rules { minimum: Some(3), ..cooldown(0) }, 1, 0);
    story.events.clear();
    story.sampled(0, 0.0);
    assert_eq!((story.replicas, &story.events), (3, &Vec::new()));
}

#[test]
fn a_forced_activation_is_named_even_when_there_is_work() {
    let forced = annotated(cooldown(0), &[(rules::annotation::FORCE_ACTIVATION, "true")]);
    let mut story = Story::new(forced, 1, 0);
    story.sampled(0, 7.0);
    let status = story.status();
    let active = status.conditions.iter().find(|condition| condition.kind == ConditionType::Active).unwrap();
    assert!(active.message.contains("forced by annotation"), "{active:?}");
}

#[test]
fn a_failure_that_the_fallback_covers_is_not_told_again() {
    let fallback = Fallback { failure_threshold: 2, replicas: 4, behavior: String::new() };
    let mut story = Story::new(Rules { fallback: Some(fallback), ..cooldown(0) }, 1, 1);
    story.events.clear();
    for _ in 0..5 {
        story.fails(0);
    }
    let failures = story.events.iter().filter(|event| *event == "KEDAScalerFailed").count();
    assert_eq!(failures, 2, "{:?}", story.events);
    let shared = Fallback { failure_threshold: 2, replicas: 4, behavior: String::new() };
    let mut by_value = definition(Rules { fallback: Some(shared), ..cooldown(0) }, 1);
    by_value.triggers[0].metrics[0].target_type = TargetType::Value;
    let mut story = Story { unreadable: true, ..Story::new(cooldown(0), 1, 1) };
    story.input(Input::Applied(Box::new(by_value)));
    story.events.clear();
    for _ in 0..5 {
        story.fails(0);
    }
    let failures = story.events.iter().filter(|event| *event == "KEDAScalerFailed").count();
    assert_eq!(failures, 5, "without ready pods nothing stands in: {:?}", story.events);
}

#[test]
fn a_push_says_nothing_of_other_triggers() {
    let mut story = Story::new(cooldown(0), 2, 1);
    story.sampled(0, 7.0);
    story.sampled(1, 0.0);
    story.input(Input::Pushed { object: key(), trigger: 1, fingerprint: 1 });
    let activity: Vec<bool> = story.status().triggers_activity.iter().map(|(_, active)| *active).collect();
    assert_eq!(activity, [true, true]);
}

#[test]
fn what_was_seen_before_a_pause_does_not_count_in_it() {
    let mut story = Story { holds_observations: true, ..Story::new(cooldown(0), 1, 5) };
    story.sampled(0, 7.0);
    let before = story.held.clone();
    story.input(applied(annotated(cooldown(0), &[(rules::annotation::PAUSED_REPLICAS, "2")]), 0));
    let after: Vec<u64> = story.held.iter().copied().filter(|id| !before.contains(id)).collect();
    story.held = before;
    story.observe_held();
    assert_eq!(story.replicas, 5, "its HPA is still there");
    story.held = after;
    story.observe_held();
    assert_eq!(story.replicas, 2);
}

#[test]
fn a_push_does_not_outlive_a_pause() {
    let mut story = Story { holds_outcomes: true, ..Story::new(cooldown(0), 1, 0) };
    story.sampled(0, 7.0);
    story.input(Input::Pushed { object: key(), trigger: 0, fingerprint: 0 });
    story.input(applied(annotated(cooldown(0), &[(rules::annotation::PAUSED, "true")]), 0));
    story.holds_outcomes = false;
    story.end_held();
    story.replicas = 0;
    story.input(applied(cooldown(0), 1));
    story.sampled(0, 0.0);
    assert_eq!(story.replicas, 0);
}

#[test]
fn answers_to_an_engine_of_before_reach_nobody() {
    let mut story = Story { holds_observations: true, ..Story::new(cooldown(0), 1, 0) };
    story.sampled(0, 7.0);
    story.engine = story.engine.anew();
    story.input(applied(cooldown(0), 1));
    story.observe_held();
    assert_eq!((story.replicas, story.observations), (0, 1));
    assert!(story.engine.view(story.now, &key()).unwrap().verdict.is_none());
}

#[test]
fn nothing_is_left_of_looks_that_were_put_off() {
    let mut story = Story::new(cooldown(300), 1, 3);
    for seconds in 100..110 {
        story.input(only_cpu(Rules { polling_seconds: Some(seconds), ..cooldown(300) }));
    }
    story.input(Input::Deleted(key()));
    assert_eq!(story.engine.poll_timeout(), None);
}

/// Somebody else scales the target before what was decided is carried out.
fn overtake(story: &mut Story, replicas: i32) {
    story.replicas = replicas;
    story.holds_outcomes = false;
    for id in std::mem::take(&mut story.held) {
        story.input(Input::Overtaken { id });
    }
}

#[test]
fn a_decision_that_is_overtaken_is_made_anew_without_a_word() {
    let mut story = Story { holds_outcomes: true, ..Story::new(cooldown(0), 1, 3) };
    story.later(1);
    story.sampled(0, 0.0);
    overtake(&mut story, 5);
    let steps: Vec<&str> = story.log.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!((story.replicas, steps), (0, vec!["3→0", "5→0"]));
    assert_eq!(story.events, ["ScaledObjectReady", "KEDAScaleTargetDeactivated"]);

    let mut story = Story { holds_outcomes: true, ..Story::new(cooldown(0), 1, 3) };
    story.later(1);
    story.sampled(0, 0.0);
    story.input(Input::Rejected(Box::new(definition(cooldown(0), 0)), "no such trigger".to_string()));
    overtake(&mut story, 5);
    assert_eq!(story.replicas, 5, "what cannot be used any more is left alone");
}

#[test]
fn what_is_seen_of_a_target_says_nothing_of_the_next_one() {
    let mut story = Story { holds_observations: true, ..Story::new(cooldown(0), 1, 0) };
    story.sampled(0, 7.0);
    let before = std::mem::take(&mut story.held);
    let elsewhere = Definition { target_name: "other".into(), ..definition(cooldown(0), 1) };
    story.input(Input::Applied(Box::new(elsewhere)));
    let after = std::mem::replace(&mut story.held, before);
    story.observe_held();
    assert_eq!(story.replicas, 0);
    story.held = after;
    story.observe_held();
    assert_eq!(story.replicas, 1);
}

#[test]
fn the_fallback_stands_in_for_one_metric_of_a_source_that_has_another() {
    let fallback = Fallback { failure_threshold: 1, replicas: 4, behavior: "static".into() };
    let mut two = definition(Rules { fallback: Some(fallback), ..cooldown(0) }, 1);
    let other = ExternalDefinition { name: "s0-redis-others".into(), ..two.triggers[0].metrics[0].clone() };
    two.triggers[0].metrics.push(other);
    let mut story = Story::new(cooldown(0), 1, 1);
    story.input(Input::Applied(Box::new(two)));
    story.events.clear();
    for _ in 0..2 {
        story.sampled(0, 7.0);
    }
    let health = story.status().health;
    let failures = |name: &str| health.get(name).map(|health| health.number_of_failures);
    assert_eq!((failures("s0-redis-jobs"), failures("s0-redis-others")), (Some(0), Some(2)));
    assert_eq!(story.condition(ConditionType::Fallback).0, Truth::True);
    assert_eq!(story.events, ["KEDAScalerFailed", "ScaledObjectFallbackActivated"]);
}

#[test]
fn an_activation_target_that_is_no_number_neither_wakes_nor_puts_to_rest() {
    let modifiers =
        Modifiers { formula: "t0".into(), target: "2".into(), activation_target: "5O".into(), ..Modifiers::default() };
    for (replicas, value) in [(0, 7.0), (3, 0.0)] {
        let mut story = Story::new(Rules { modifiers: Some(modifiers.clone()), ..cooldown(0) }, 1, replicas);
        story.later(1);
        story.sampled(0, value);
        assert_eq!(story.replicas, replicas);
        assert_eq!(story.asks().unwrap().unwrap().0, "composite-metric");
    }
}

/// A trigger whose source alone knows its metrics, beside one that the HPA reads by itself.
fn described_by_source(metrics: &[&str]) -> Definition {
    let mut definition = definition(cooldown(0), 2);
    let named = |name: &&str| ExternalDefinition { name: (*name).into(), ..definition.triggers[0].metrics[0].clone() };
    let metrics = metrics.iter().map(named).collect();
    definition.triggers[0] =
        TriggerDefinition { metrics, is_described_by_source: true, ..definition.triggers[0].clone() };
    definition.triggers[1].metrics.clear();
    definition
}

#[test]
fn what_a_source_has_not_said_yet_neither_wakes_nor_puts_to_rest() {
    for replicas in [0, 3] {
        let mut story = Story::new(cooldown(0), 1, replicas);
        story.input(Input::Applied(Box::new(described_by_source(&[]))));
        story.wait(300);
        assert_eq!(story.replicas, replicas);
        story.sampled(0, 0.0);
        story.wait(300);
        assert_eq!(story.replicas, replicas);
        story.input(Input::Applied(Box::new(described_by_source(&["s0-redis-jobs"]))));
        story.later(1);
        story.sampled(0, if replicas == 0 { 7.0 } else { 0.0 });
        assert_eq!(story.replicas, i32::from(replicas == 0));
    }
}

#[test]
fn a_metric_that_a_source_names_is_no_other_one() {
    let mut story = Story::new(cooldown(0), 1, 0);
    story.input(Input::Applied(Box::new(described_by_source(&["s0-former"]))));
    story.sampled(0, 7.0);
    assert_eq!(story.replicas, 0);
    assert!(story.status().triggers_activity.values().all(|active| !active));
}

#[test]
fn what_cannot_be_used_any_more_still_answers_its_hpa_and_decides_nothing() {
    let mut story = Story::new(cooldown(0), 1, 3);
    story.later(1);
    story.sampled(0, 7.0);
    story.input(Input::Held(key(), "no such trigger".to_string()));
    story.later(1);
    story.sampled(0, 0.0);
    assert_eq!(story.replicas, 3);
    assert_eq!(story.condition(ConditionType::Ready), (Truth::False, "ScaledObjectCheckFailed".to_string()));
    assert_eq!(story.asks(), Some(Ok(("s0-redis-jobs".to_string(), Quantity::ZERO))));
    story.input(applied(cooldown(0), 1));
    assert_eq!(story.replicas, 0);
    assert_eq!(story.condition(ConditionType::Ready).0, Truth::True);
}

#[test]
fn what_a_source_says_while_nothing_is_decided_wakes_nobody_later() {
    let mut story = Story::new(cooldown(0), 1, 0);
    story.sampled(0, 0.0);
    story.input(Input::Held(key(), "no such trigger".to_string()));
    story.input(Input::Pushed { object: key(), trigger: 0, fingerprint: 0 });
    story.later(1);
    story.sampled(0, 0.0);
    assert_eq!(story.replicas, 0);
    story.input(applied(cooldown(0), 1));
    assert_eq!(story.replicas, 0);
}

#[test]
fn a_source_that_cannot_say_its_metrics_is_told_of() {
    let mut story = Story::new(cooldown(0), 1, 3);
    story.input(Input::Applied(Box::new(described_by_source(&[]))));
    story.events.clear();
    story.fails(0);
    assert_eq!((story.replicas, story.events), (3, vec!["KEDAScalerFailed".to_string()]));
}

#[test]
fn a_reading_tells_when_a_source_has_other_metrics_than_it_said() {
    let reading = |names: &[&str]| -> Vec<(String, Sample)> {
        names.iter().map(|name| ((*name).to_string(), Sample::above(7.0, 0.0))).collect()
    };
    let trigger = described_by_source(&["s1-jobs", "s1-mails"]).triggers.swap_remove(0);
    assert!(!trigger.is_behind(1, &reading(&["jobs"])));
    assert!(trigger.is_behind(1, &reading(&["jobs", "letters"])));
    assert!(described_by_source(&[]).triggers[0].is_behind(0, &reading(&["jobs"])));
    let known = definition(cooldown(0), 1);
    assert!(!known.triggers[0].is_behind(0, &reading(&["other"])), "the manifest tells");
}
