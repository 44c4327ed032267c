//! `external` and `external-push`, against a gRPC server.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use keda_core::manifest::{self, Object};
use keda_core::metric::{MetricSpec as Spec, Target};
use keda_core::resolve::{Lenience, References};
use keda_core::sample::ErrorKind;
use keda_scalers::plan::{Descriptions, SharedReferences, describe, plan};
use keda_scalers::registry::external::messages::{MetricSpec, MetricValue};
use keda_scalers::sampler::{Report, Sampler};
use keda_scalers::trigger::{Memory, Push};
use tokio::sync::mpsc;

use crate::servers::certificates::Certificates;
use crate::servers::external::{Answers, External};
use crate::{Source, sources};

fn spec(name: &str, target: f64) -> MetricSpec {
    MetricSpec { metric_name: name.to_string(), target_size: 7, target_size_float: target }
}

fn value(number: i64, float: f64) -> MetricValue {
    MetricValue { metric_name: "whatever".to_string(), metric_value: number, metric_value_float: float }
}

fn server() -> External {
    let values = vec![value(9, 1.25)];
    External::new(Answers { specs: vec![spec("q/len", 2.5)], values, active: Some(true), ..Answers::default() })
}

#[tokio::test]
async fn the_server_says_what_there_is_and_whether_it_wakes() {
    let (server, sources) = (server(), sources());
    let address = server.serve().await;
    let external = Source::new(&sources, "external", &[("scalerAddress", &address), ("queue", " a ")], &[]);
    let sample = external.sample().await.unwrap();
    assert!(sample.active && sample.value == 1.25, "{sample:?}");
    server.with(|answers| {
        let seen = answers.seen.pop().unwrap();
        assert_eq!((seen.namespace.as_str(), seen.name.as_str()), ("test", "app"));
        assert_eq!(seen.scaler_metadata["queue"], " a ");
        assert_eq!(seen.scaler_metadata["scalerAddress"], address);
        assert_eq!(answers.asked, ["q/len"]);
        answers.values = vec![value(4, 0.0), value(3, -1.0), value(9, f64::INFINITY), value(-2, 0.0)];
        answers.active = Some(false);
    });
    let sample = external.sample().await.unwrap();
    assert!(!sample.active && sample.value == 7.0, "the sum, as the HPA adds them up: {sample:?}");
    server.with(|answers| answers.values.clear());
    assert_eq!(external.0.sample(&mut Memory::default()).await, Ok(Vec::new()));
    server.with(|answers| answers.active = None);
    let error = external.error().await;
    assert!(error.kind == ErrorKind::Unreachable && error.message.contains("IsActive"), "{error}");
    assert!(error.message.contains("Unavailable: closed for today"), "{error}");
    let described = external.0.describe().await.unwrap();
    assert_eq!(described, [Spec::external("q/len", Target::Float(2.5))]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_until_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scaler.sock");
    let target = format!("unix:{}", path.display());
    let external = Source::new(&sources(), "external", &[("scalerAddress", &target)], &[]);
    let error = external.error().await;
    assert!(error.kind == ErrorKind::Unreachable && error.message.contains("No such file"), "{error}");
    server().serve_at(&path);
    assert_eq!(external.value().await, 1.25);
    let unusable = Source::new(&sources(), "external", &[("scalerAddress", "http://scaler:1")], &[]);
    assert_eq!(unusable.error().await.kind, ErrorKind::Configuration);
}

#[tokio::test]
async fn tls_is_that_of_all_other_sources() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let port = server().serve_tls(&certificates).await;
    let sources = sources();
    let address = format!("dns:///localhost:{port}");
    let external = |more: &[(&str, &str)], authentication: &[(&str, &str)]| {
        let metadata = [&[("scalerAddress", address.as_str())], more].concat();
        Source::new(&sources, "external", &metadata, authentication)
    };
    assert_eq!(external(&[], &[("caCert", &certificates.ca)]).value().await, 1.25);
    assert_eq!(external(&[("enableTLS", "true"), ("unsafeSsl", "true")], &[]).value().await, 1.25);
    let stranger = external(&[("enableTLS", "true")], &[]).error().await;
    assert!(stranger.kind == ErrorKind::Unreachable && stranger.message.contains("certificate"), "{stranger}");
    let broken = external(&[], &[("caCert", "no pem")]).error().await;
    assert_eq!(broken.kind, ErrorKind::Configuration, "{broken}");
    assert_eq!(external(&[], &[]).error().await.kind, ErrorKind::Unreachable, "plain text to a server with TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_pushes_and_is_listened_to_again_after_it_stopped() {
    let server = server();
    server.with(|answers| {
        answers.streams = [vec![true, false], vec![true]].into();
        answers.streamed_specs = Some(vec![spec("other", 0.0)]);
    });
    let address = server.serve().await;
    let push = Source::new(&sources(), "external-push", &[("scalerAddress", &address)], &[]);
    let (mut activity, mut specs) = (Vec::new(), Vec::new());
    let mut pushes = push.0.pushes().unwrap();
    let started = tokio::time::Instant::now();
    while activity.len() < 3 {
        match tokio::time::timeout(Duration::from_secs(20), pushes.next()).await.unwrap().unwrap() {
            Push::Active(active) => activity.push(active),
            Push::Specs(present) => specs.push(present),
        }
    }
    assert_eq!(activity, [true, false, true]);
    assert_eq!(specs, [vec![Spec::external("other", Target::Integer(7))]]);
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    let pull = Source::new(&sources(), "external", &[("scalerAddress", &address)], &[]);
    assert!(pull.0.pushes().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_manifest_to_readings_and_pushes() {
    let server = server();
    server.with(|answers| answers.streams = [vec![true]].into());
    let address = server.serve().await;
    let text = format!(
        "{{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {{name: jobs, namespace: test}}, spec: \
         {{scaleTargetRef: {{name: worker}}, triggers: [{{type: external-push, metadata: {{scalerAddress: '{address}'}}}}]}}}}"
    );
    let loaded = manifest::load(&[manifest::Source::new("app.yaml", text)]);
    let Object::ScaledObject(object) = &loaded.documents[0].object else { panic!("{:?}", loaded.findings) };
    let object = Arc::new((**object).clone());
    let references =
        Arc::new(References::new(&loaded).with_lenience(Lenience { targets: true, ..Lenience::default() }));
    let shared: SharedReferences = references.clone();
    let (undescribed, problems) = plan(&object, &*references, &Descriptions::new());
    let undescribed = undescribed.unwrap_or_else(|| panic!("{problems:?}"));
    assert!(undescribed.hpa.is_none() && undescribed.waits_for_description());
    let sources = sources();
    let specs = describe(&object, 0, &shared, &sources).await.unwrap();
    let (plan, _) = plan(&object, &*references, &Descriptions::from([(0, specs)]));
    let plan = plan.unwrap();
    assert!(plan.hpa.is_some() && !plan.waits_for_description());
    let metric = &plan.definition.triggers[0].metrics[0];
    assert_eq!((metric.name.as_str(), metric.target.to_string().as_str()), ("s0-q/len", "2.500"));
    assert_eq!(plan.definition.triggers[0].fingerprint, undescribed.definition.triggers[0].fingerprint);
    let (output, mut reports) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    for (index, query) in plan.queries(&shared, &sources) {
        sampler.subscribe((plan.definition.key.clone(), index), query);
    }
    let (mut read, mut pushed) = (false, false);
    while !(read && pushed) {
        match tokio::time::timeout(Duration::from_secs(20), reports.recv()).await.unwrap().unwrap() {
            Report::Sampled(sampled) => {
                let reading = sampled.result.unwrap();
                assert_eq!((reading[0].0.as_str(), reading[0].1.value), ("q/len", 1.25));
                read = true;
            }
            Report::Pushed(report) => {
                assert_eq!(report.push, Push::Active(true));
                pushed = true;
            }
        }
    }
}
