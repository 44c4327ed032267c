//! Runs the engine's cases: each is a function of the engine with its inputs and outputs as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use keda_core::engine::activation::{LastActive, Situation, decide};
use keda_core::engine::conditions::Condition;
use keda_core::engine::fallback::{self, Health, HealthStatus, Replicas, Substitute};
use keda_core::engine::{Fallback, Modifiers, Pause, Rules};
use keda_core::formula::{self, Outcome};
use keda_core::metric::TargetType;
use keda_core::names::COMPOSITE_METRIC;
use keda_core::quantity::Quantity;
use serde_json::{Value, json};

/// Runs one line of the file `stem`; `None` when there is no runner for it.
pub(crate) fn run(stem: &str, line: &str) -> Option<Result<(), String>> {
    let case: Value = match serde_json::from_str(line) {
        Ok(case) => case,
        Err(error) => return Some(Err(error.to_string())),
    };
    let (input, expect) = (&case["in"], &case["expect"]);
    Some(match stem {
        "replica_rules" => compare(&replica_rules(input), expect),
        "scaledobject_decision" => compare(&decision(input), expect),
        "fallback" => compare(&fallback_value(input), &numeric_metrics(expect)),
        "formula" => compare(&formula_value(input), &numeric_formula(expect)),
        _ => return None,
    })
}

fn compare(got: &Value, want: &Value) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("expected {want}, got {got}")) }
}

fn int(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| i32::try_from(number).ok())
}

fn rules(input: &Value) -> Rules {
    let annotations: BTreeMap<String, String> =
        serde_json::from_value(input["annotations"].clone()).unwrap_or_default();
    Rules {
        minimum: int(&input["minReplicaCount"]),
        maximum: int(&input["maxReplicaCount"]),
        idle: int(&input["idleReplicaCount"]),
        cooldown_seconds: int(&input["cooldownPeriod"]),
        initial_cooldown_seconds: int(&input["initialCooldownPeriod"]),
        polling_seconds: None,
        fallback: serde_json::from_value::<Fallback>(input["fallback"].clone()).ok(),
        modifiers: serde_json::from_value::<Modifiers>(input["scalingModifiers"].clone()).ok(),
        pause: Pause::from_annotations(&annotations.into_iter().collect()),
    }
}

fn replica_rules(input: &Value) -> Value {
    let rules = rules(input);
    let mut result = json!({
        "hpaMinReplicas": rules.hpa_minimum(),
        "hpaMaxReplicas": rules.hpa_maximum(),
        "paused": rules.pause.is_full(),
        "pauseScaleIn": rules.pause.scale_in,
        "pauseScaleOut": rules.pause.scale_out,
        "forceActivation": rules.pause.force_activation,
    });
    if let Err(error) = rules.check_bounds() {
        result["boundsError"] = json!(error);
    }
    match &rules.pause.replicas {
        Some(Ok(replicas)) => result["pausedReplicas"] = json!(replicas),
        Some(Err(_)) => result["pausedReplicasError"] = json!(true),
        None => {}
    }
    result
}

fn decision(input: &Value) -> Value {
    let mut rules = rules(input);
    rules.fallback = int(&input["fallbackReplicas"]).map(|replicas| Fallback {
        failure_threshold: 3,
        replicas,
        behavior: String::new(),
    });
    let ago = |name: &str| input[name].as_f64().map(Duration::from_secs_f64);
    let decision = decide(
        &rules,
        &Situation {
            current: int(&input["currentReplicas"]).ok_or_else(|| "unreadable".to_string()),
            active: input["isActive"] == true,
            failing: input["isError"] == true,
            active_metrics: Vec::new(),
            since_creation: ago("secondsSinceCreation").unwrap_or_default(),
            since_active: ago("secondsSinceLastActive"),
        },
    );
    let conditions: serde_json::Map<String, Value> = decision.conditions.iter().map(condition).collect();
    json!({
        "setReplicas": decision.scale_to,
        "lastActiveTimeUpdated": match decision.last_active {
            LastActive::Now => true,
            LastActive::WhenScaled => decision.scale_to.is_some(),
            LastActive::Keep => false,
        },
        "conditions": conditions,
    })
}

fn condition(condition: &Condition) -> (String, Value) {
    let name = condition.kind.as_str();
    (name.to_string(), json!({ "status": condition.status.as_str(), "reason": condition.reason }))
}

fn number(text: &Value) -> Value {
    let quantity = text.as_str().and_then(|text| text.parse::<Quantity>().ok());
    quantity.map_or(Value::Null, |quantity| json!(quantity.milli_value()))
}

fn fallback_value(input: &Value) -> Value {
    let rules = rules(input);
    let failed = input["scalerError"] == true;
    let before = match int(&input["previousFailures"]) {
        Some(number_of_failures) => Health { number_of_failures, status: HealthStatus::Failing },
        None => Health::default(),
    };
    let valid = fallback::valid(&rules);
    let health = if valid.is_some() { before.after(!failed) } else { before };
    let target_type = TargetType::of_external(input["target"]["type"].as_str().unwrap_or_default());
    let target = input["target"]["value"].as_str().and_then(|text| text.parse::<Quantity>().ok());
    let replicas = Replicas { current: int(&input["currentReplicas"]), ready: int(&input["readyPods"]) };
    let composite = rules.modifiers.as_ref().is_some_and(Modifiers::in_use);
    let (error, active, metrics) = if failed {
        let (target, target_type) = (target.unwrap_or_default(), target_type.unwrap_or(TargetType::AverageValue));
        match fallback::substitute(&rules, health, &target, &target_type, replicas) {
            Substitute::Value(value) => {
                let name = if composite { COMPOSITE_METRIC } else { "s0-metric" };
                (false, true, json!([{ "name": name, "value": value.milli_value() }]))
            }
            Substitute::Nil => (false, false, json!([{ "name": "s0-metric", "value": -1000 }])),
            Substitute::Error => (true, false, Value::Null),
        }
    } else {
        (false, false, json!([{ "name": "s0-metric", "value": number(&input["metricValue"]) }]))
    };
    let mut result = json!({ "error": error, "fallbackActive": active, "metrics": metrics, "conditions": {} });
    if valid.is_some() || input["previousFailures"].is_number() {
        let status = format!("{:?}", health.status);
        result["health"] = json!({ "numberOfFailures": health.number_of_failures, "status": status });
    }
    if let Some(fallback) = valid {
        let (name, value) = condition(&Condition::fallback(health.exceeds(fallback)));
        result["conditions"][name] = value;
    }
    result
}

fn numeric_metrics(expect: &Value) -> Value {
    let mut expect = expect.clone();
    for metric in expect["metrics"].as_array_mut().into_iter().flatten() {
        metric["value"] = number(&metric["value"]);
    }
    expect
}

fn formula_value(input: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let modifiers =
        Modifiers { formula: text(&input["formula"]), target: text(&input["target"]), ..Modifiers::default() };
    let triggers: Vec<&Value> = input["triggers"].as_array().into_iter().flatten().collect();
    let named = triggers.iter().filter(|trigger| !matches!(text(&trigger["type"]).as_str(), "cpu" | "memory"));
    let names: BTreeSet<String> = named.map(|trigger| text(&trigger["name"])).filter(|name| !name.is_empty()).collect();
    if let Err(error) = formula::check(&modifiers, &names) {
        return json!({ "validationError": error.lines().next() });
    }
    let fallback = serde_json::from_value::<Fallback>(input["fallback"].clone()).ok();
    let values = triggers.iter().map(|trigger| {
        let health =
            Health { number_of_failures: int(&trigger["failures"]).unwrap_or(0), status: HealthStatus::Failing };
        let nil = fallback.as_ref().is_some_and(|fallback| health.exceeds(fallback));
        let value = trigger["value"].as_str().and_then(|text| text.parse::<Quantity>().ok());
        (text(&trigger["name"]), value.filter(|_| !nil).map(|value| value.to_f64()))
    });
    match formula::evaluate(&modifiers.formula, &values.collect()) {
        Ok(Outcome::Number(number)) => {
            let value = formula::composite_quantity(number).milli_value();
            json!({ "metricName": COMPOSITE_METRIC, "value": value })
        }
        Ok(Outcome::Nil) => {
            let target: f64 = modifiers.target.parse().unwrap_or(0.0);
            let replicas = fallback.map_or(0.0, |fallback| f64::from(fallback.replicas));
            let value = formula::composite_quantity(target * replicas).milli_value();
            json!({ "metricName": COMPOSITE_METRIC, "value": value })
        }
        Err(_) => json!({ "evaluationError": true }),
    }
}

fn numeric_formula(expect: &Value) -> Value {
    let mut expect = expect.clone();
    if expect["value"].is_string() {
        expect["value"] = number(&expect["value"]);
    }
    expect
}
