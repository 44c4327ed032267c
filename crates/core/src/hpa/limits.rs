//! What Kubernetes refuses in the behavior of an HPA, beside what its schema refuses.

use serde_json::Value;

use crate::problem::{Path, Problem, did_you_mean};
use crate::rule;

/// The longest stabilization window, in seconds.
const LONGEST_WINDOW: i64 = 3600;
/// The longest period of a policy, in seconds.
const LONGEST_PERIOD: i64 = 1800;

/// Problems of `advanced.horizontalPodAutoscalerConfig.behavior`, which stands at `path`.
pub fn check_behavior(behavior: &Value, path: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for direction in ["scaleUp", "scaleDown"] {
        let (rules, path) = (&behavior[direction], path.key(direction));
        problems.extend(word(&rules["selectPolicy"], &path.key("selectPolicy"), &["Max", "Min", "Disabled"]));
        let window = &rules["stabilizationWindowSeconds"];
        problems.extend(number(window, &path.key("stabilizationWindowSeconds"), 0, LONGEST_WINDOW));
        for (index, policy) in rules["policies"].as_array().into_iter().flatten().enumerate() {
            let path = path.key("policies").index(index);
            problems.extend(word(&policy["type"], &path.key("type"), &["Pods", "Percent"]));
            problems.extend(number(&policy["value"], &path.key("value"), 1, i64::from(i32::MAX)));
            problems.extend(number(&policy["periodSeconds"], &path.key("periodSeconds"), 1, LONGEST_PERIOD));
        }
    }
    problems
}

fn word(value: &Value, path: &Path, allowed: &[&str]) -> Option<Problem> {
    let word = value.as_str().filter(|word| !allowed.contains(word))?;
    let problem = Problem::error(rule::INVALID_BEHAVIOR, path.clone(), format!("{word:?} is not allowed here"));
    Some(match did_you_mean(word, allowed.iter().copied()) {
        Some(meant) => problem.with_help(format!("did you mean {meant:?}?")),
        None => problem.with_help(format!("allowed are {}", allowed.join(", "))),
    })
}

fn number(value: &Value, path: &Path, least: i64, most: i64) -> Option<Problem> {
    let number = value.as_i64().filter(|number| !(least..=most).contains(number))?;
    let message = if number < least {
        format!("must be at least {least}, found {number}")
    } else {
        format!("must be at most {most}, found {number}")
    };
    Some(Problem::error(rule::INVALID_BEHAVIOR, path.clone(), message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_server_refuses_is_found() {
        let behavior = json!({
            "scaleUp": { "selectPolicy": "Maximum", "policies": [{ "type": "Pods", "value": 4, "periodSeconds": 60 }] },
            "scaleDown": {
                "stabilizationWindowSeconds": 3601,
                "policies": [
                    { "type": "Absolute", "value": 0, "periodSeconds": 3600 },
                    { "type": "Percent", "value": 100, "periodSeconds": 1800 },
                ],
            },
        });
        let problems = check_behavior(&behavior, &Path::root());
        let places: Vec<String> = problems.iter().map(|problem| problem.path.to_string()).collect();
        let expected = [
            "scaleUp.selectPolicy",
            "scaleDown.stabilizationWindowSeconds",
            "scaleDown.policies[0].type",
            "scaleDown.policies[0].value",
            "scaleDown.policies[0].periodSeconds",
        ];
        assert_eq!(places, expected);
    }
}
