use std::collections::BTreeMap;

use keda_core::metadata::{Inputs, parse};

use keda_core::sample::ErrorKind;

use super::*;
use crate::client::SourceSettings;
use crate::client::fake_cluster::FakeCluster;

fn context() -> Context {
    Context { trigger_type: "kubernetes-resource".into(), namespace: "test".into(), ..Context::default() }
}

fn trigger(more: &[(&str, &str)]) -> (KubernetesResource, Vec<String>) {
    let metadata =
        [("resourceKind", "ConfigMap"), ("resourceName", "my.config"), ("key", "limit"), ("targetValue", "10")];
    let (trigger, problems) = parse(&Inputs::from_metadata(metadata.iter().chain(more).copied()), &context());
    (trigger, problems.into_iter().map(|problem| problem.message).collect())
}

fn value(format: &str, value_type: &str, location: &str, text: &str) -> Result<f64, String> {
    let location = if location.is_empty() { vec![] } else { vec![("valueLocation", location)] };
    let (trigger, problems) = trigger(&[&location, &[("format", format), ("valueType", value_type)][..]].concat());
    assert_eq!(problems, [""; 0]);
    trigger.value(text)
}

#[test]
fn numbers_stand_at_the_start_of_the_text() {
    for (value_type, text, expected) in [
        ("float64", "42\n", 42.0),
        ("float64", "1k", 1.0),
        ("int64", "12.7", 12.0),
        ("quantity", "500m", 0.5),
        ("quantity", "1k", 1000.0),
    ] {
        assert_eq!(value("number", value_type, "", text), Ok(expected), "{text}");
    }
    for (value_type, text) in [("float64", "many"), ("int64", "x"), ("quantity", "500m\n"), ("quantity", "")] {
        assert!(value("number", value_type, "", text).is_err(), "{value_type}: {text:?}");
    }
}

#[test]
fn json_has_its_types() {
    let text = r#"{"m":{"t":"1500m","n":7.9,"s":"7","z":null,"b":true,"l":[1]}}"#;
    for (value_type, location, expected) in [
        ("float64", "m.t", 1.5),
        ("float64", "m.n", 7.9),
        ("int64", "m.n", 7.0),
        ("quantity", "m.s", 7.0),
        ("float64", "m.l.0", 1.0),
    ] {
        assert_eq!(value("json", value_type, location, text), Ok(expected), "{location}");
    }
    assert_eq!(value("json", "float64", "m.x", text).unwrap_err(), "path m.x not found in json");
    for (value_type, location) in [("int64", "m.s"), ("float64", "m.z"), ("quantity", "m.b"), ("float64", "m.l")] {
        assert!(value("json", value_type, location, text).unwrap_err().contains("a number is expected"), "{location}");
    }
    assert!(value("json", "float64", "m", "{").unwrap_err().contains("not JSON"));
}

#[test]
fn yaml_counts_numbers_whatever_the_type() {
    let text = "a:\n  - b: 20\n    s: \"1500m\"\n    t: yes please\n    z: ~\n    o: true\n";
    for (value_type, location, expected) in [
        ("float64", "a.0.b", 20.0),
        ("quantity", "a.0.b", 20.0),
        ("int64", "a.0.b.c.d", 20.0),
        ("quantity", "a.0.s", 1.5),
        ("float64", "a.0.s", 1500.0),
    ] {
        assert_eq!(value("yaml", value_type, location, text), Ok(expected), "{value_type} {location}");
    }
    for location in ["a.0.t", "a.0.z", "a.0.o"] {
        assert!(value("yaml", "float64", location, text).is_err(), "{location}");
    }
    for location in ["a.1", "a", "b"] {
        let error = value("yaml", "float64", location, text).unwrap_err();
        assert!(error.starts_with(&format!("path {location} not found in yaml")), "{error}");
    }
    assert!(value("yaml", "float64", "0", "- 1").is_err());
}

#[test]
fn a_location_belongs_to_a_format_that_has_one() {
    let only = ["valueLocation is only supported with json or yaml format"];
    assert_eq!(trigger(&[("valueLocation", "a")]).1, only);
    assert_eq!(trigger(&[("format", "json")]).1, ["valueLocation is required for json format"]);
    assert_eq!(trigger(&[("targetValue", "0")]).1, ["targetValue must be a float greater than 0"]);
    assert_eq!(trigger(&[("resourceKind", "configmap")]).1.len(), 1);
    assert_eq!(trigger(&[]).0.metric_name(), "configmap-my-config-limit");
}

async fn read(more: &[(&str, &str)], cluster: FakeCluster) -> Result<Reading, SourceError> {
    let sources = Sources::new(SourceSettings::default()).with_cluster(Arc::new(cluster));
    trigger(more).0.connect(&context(), &sources)?.sample(&mut Memory::default()).await
}

#[tokio::test]
async fn the_object_is_read_and_what_is_missing_is_said() {
    let data = BTreeMap::from([("limit".to_string(), "8".to_string())]);
    let secret = BTreeMap::from([("limit".to_string(), Secret::new("hunter2"))]);
    let cluster = || FakeCluster {
        config_maps: BTreeMap::from([("my.config", data.clone())]),
        secrets: BTreeMap::from([("my.config", secret.clone())]),
        ..FakeCluster::default()
    };
    let sample = Sample { value: 8.0, active: true };
    let reading = read(&[("activationTargetValue", "5")], cluster()).await;
    assert_eq!(reading, Ok(vec![("configmap-my-config-limit".to_string(), sample)]));
    let within = "error getting metric value from ConfigMap: ";
    let error = read(&[("key", "other")], cluster()).await.unwrap_err();
    assert_eq!(error.message, format!("{within}key other not found in ConfigMap test/my.config"));
    let error = read(&[("resourceName", "other")], cluster()).await.unwrap_err();
    assert_eq!(error.message, format!("{within}ConfigMap test/other not found"));
    let error = read(&[("resourceKind", "Secret")], cluster()).await.unwrap_err();
    assert!(error.kind == ErrorKind::Malformed && !error.message.contains("hunter2"), "{error}");
    let error = read(&[("resourceKind", "ConfigMap,Secret")], cluster()).await.unwrap_err();
    assert!(error.message.ends_with("unsupported resourceKind: ConfigMap,Secret"), "{error}");
    let failure = Some(SourceError::new(ErrorKind::Unreachable, "gone"));
    let error = read(&[], FakeCluster { failure, ..FakeCluster::default() }).await.unwrap_err();
    assert_eq!(error, SourceError::new(ErrorKind::Unreachable, format!("{within}gone")));
}
