use keda_core::metadata::{Inputs, parse, parse_with_fingerprint};

use super::*;

fn context(name: &str) -> Context {
    Context { trigger_type: "external".into(), namespace: "test".into(), name: name.into(), ..Context::default() }
}

fn external(more: &[(&str, &str)], authentication: &[(&str, &str)]) -> External {
    let metadata = [("scalerAddress", "scaler:6000")];
    let inputs = Inputs::from_metadata(metadata.iter().chain(more).copied());
    let (external, problems) = parse(&inputs.with_authentication(authentication.iter().copied()), &context("app"));
    assert!(problems.is_empty(), "{problems:?}");
    external
}

#[test]
fn all_metadata_goes_to_the_server_with_the_values_of_variables() {
    let metadata = [("scalerAddress", "a"), ("tokenFromEnv", "TOK"), ("x", " y "), ("goneFromEnv", "GONE")];
    let inputs = Inputs::from_metadata(metadata).with_environment([("TOK", "hunter2")]);
    let inputs = inputs.with_authentication([("caCert", "pem"), ("other", "z")]);
    let (external, problems) = parse::<External>(&inputs, &context("app"));
    assert!(problems.is_empty(), "no key is unknown: {problems:?}");
    let sent: Vec<(&str, &str)> =
        external.forwarded.0.iter().map(|(key, value)| (key.as_str(), value.expose())).collect();
    assert_eq!(sent, [("scalerAddress", "a"), ("tokenFromEnv", "hunter2"), ("x", " y ")]);
    assert!(!format!("{external:?}").contains("hunter2"));
    let reference =
        ScaledObjectRef { scaler_metadata: BTreeMap::from([("k".into(), "hunter2".into())]), ..Default::default() };
    assert!(!format!("{reference:?}").contains("hunter2"));
}

#[test]
fn each_object_and_each_key_asks_something_of_its_own() {
    let fingerprint = |name: &str, value: &str| {
        let inputs = Inputs::from_metadata([("scalerAddress", "a"), ("queue", value)]);
        parse_with_fingerprint::<External>(&inputs, &context(name)).fingerprint
    };
    assert_eq!(fingerprint("app", "x"), fingerprint("app", "x"));
    assert_ne!(fingerprint("app", "x"), fingerprint("other", "x"));
    assert_ne!(fingerprint("app", "x"), fingerprint("app", "y"));
}

#[test]
fn tls_is_on_where_it_is_asked_for_or_has_certificates() {
    assert_eq!(external(&[("unsafeSsl", "true")], &[]).tls(), None);
    assert_eq!(external(&[], &[("tlsClientCert", "c")]).tls(), None);
    let on = external(&[("enableTLS", "true"), ("unsafeSsl", "true")], &[("tlsClientKey", "k")]).tls().unwrap();
    assert!(on.insecure && on.cert.is_none() && on.key.is_none());
    assert!(external(&[], &[("caCert", "pem")]).tls().unwrap().ca.is_some());
    let pair = external(&[], &[("tlsClientCert", "c"), ("tlsClientKey", "k")]).tls().unwrap();
    assert!(pair.cert.is_some() && pair.key.is_some() && !pair.insecure);
}

#[test]
fn the_float_counts_where_it_is_positive() {
    let spec = |size: i64, float: f64| messages::MetricSpec {
        metric_name: "q/len".into(),
        target_size: size,
        target_size_float: float,
    };
    let specs = GetMetricSpecResponse { metric_specs: vec![spec(9, 2.5), spec(7, 0.0), spec(7, -1.0)] }.into_specs();
    let expected = [Target::Float(2.5), Target::Integer(7), Target::Integer(7)];
    assert_eq!(specs, expected.map(|target| MetricSpec::external("q/len", target)));
    let value = |number: i64, float: f64| {
        MetricValue { metric_name: String::new(), metric_value: number, metric_value_float: float }.number()
    };
    assert_eq!((value(4, 1.25), value(4, 0.0), value(-4, -1.0)), (1.25, 4.0, -4.0));
}
