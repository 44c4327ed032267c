//! Certificates that are made, damaged, replaced and renewed, with the objects that carry the CA following in the right order.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keda_server::certificates::{RotationSettings, rotate};
use keda_server::tls::{Identity, IdentityWatch, certificates_of_pem};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cluster::{API_SERVICE, Cluster, SECRET, WEBHOOKS};
use crate::world::{names, new_identity};

struct Replica {
    identity: IdentityWatch,
    leader: watch::Sender<bool>,
    _running: DropGuard,
}

fn replica(cluster: &Cluster, leads: bool) -> Replica {
    let settings = RotationSettings {
        settle: Duration::from_millis(300),
        patience: Duration::from_secs(5),
        grace: Duration::from_secs(1),
        ..RotationSettings::new(names())
    };
    let (publish, identity) = watch::channel(None);
    let (leader, leader_seen) = watch::channel(leads);
    let shutdown = CancellationToken::new();
    tokio::spawn(rotate(cluster.client(), settings, leader_seen, publish, shutdown.clone()));
    Replica { identity, leader, _running: shutdown.drop_guard() }
}

fn with_objects(cluster: &Cluster) {
    let service = json!({"name": "keda-metrics-apiserver", "namespace": "keda"});
    let spec = json!({"service": service, "group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100});
    cluster.put(
        API_SERVICE,
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {}, "spec": spec}),
    );
    let webhook = |name: &str| {
        json!({
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "keda-admission-webhooks", "namespace": "keda"}},
        })
    };
    let webhooks = [webhook("vscaledobject.kb.io"), webhook("vscaledjob.kb.io")];
    cluster.put(WEBHOOKS, json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {}, "webhooks": webhooks}));
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

fn bundle_sizes(cluster: &Cluster) -> Vec<usize> {
    let (service, webhooks) = (cluster.get(API_SERVICE).unwrap(), cluster.get(WEBHOOKS).unwrap());
    let bundles = [
        &service["spec"]["caBundle"],
        &webhooks["webhooks"][0]["clientConfig"]["caBundle"],
        &webhooks["webhooks"][1]["clientConfig"]["caBundle"],
    ];
    bundles.iter().map(|bundle| certificates_of_pem("caBundle", &decoded(bundle)).map_or(0, |all| all.len())).collect()
}

fn is_trusted(cluster: &Cluster, identity: &Identity) -> bool {
    let service = cluster.get(API_SERVICE).unwrap();
    let bundle = certificates_of_pem("caBundle", &decoded(&service["spec"]["caBundle"])).unwrap_or_default();
    identity.authorities().iter().all(|ca| bundle.contains(ca))
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// The next identity that a replica serves; at no moment one that the API server does not trust.
async fn next(cluster: &Cluster, replica: &mut Replica) -> Arc<Identity> {
    let changed = replica.identity.changed();
    tokio::time::timeout(Duration::from_secs(10), changed).await.expect("an identity in time").unwrap();
    let identity = replica.identity.borrow_and_update().clone().unwrap();
    assert!(is_trusted(cluster, &identity), "served before it is trusted");
    identity
}

#[tokio::test]
async fn a_cluster_without_certificates_gets_some() {
    let cluster = Cluster::start().await;
    with_objects(&cluster);
    let (mut leader, mut follower) = (replica(&cluster, true), replica(&cluster, false));
    let first = next(&cluster, &mut leader).await;
    assert!(next(&cluster, &mut follower).await.is_same(&first));
    let secret = cluster.get(SECRET).unwrap();
    assert_eq!(secret["metadata"]["labels"]["app.kubernetes.io/part-of"], "keda");
    let keys = secret["data"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    assert_eq!(bundle_sizes(&cluster), [1, 1, 1]);
    let patches = cluster.patches().len();
    let mut restarted = replica(&cluster, true);
    assert!(next(&cluster, &mut restarted).await.is_same(&first));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(cluster.patches().len(), patches, "nothing is patched that is right");
    assert_eq!(cluster.get(SECRET).unwrap(), secret, "a valid Secret is used as it is");
}

#[tokio::test]
async fn damage_is_mended_and_old_cas_are_trusted_for_a_while() {
    let cluster = Cluster::start().await;
    with_objects(&cluster);
    let (mut leader, mut follower) = (replica(&cluster, true), replica(&cluster, false));
    let mut before = next(&cluster, &mut leader).await;
    next(&cluster, &mut follower).await;
    let damages: [fn(&Cluster); 3] = [
        |cluster| cluster.delete(SECRET),
        |cluster| drop(cluster.put(SECRET, json!({"metadata": {"namespace": "keda"}, "data": {}}))),
        |cluster| {
            let mut secret = cluster.get(SECRET).unwrap();
            secret["data"]["tls.key"] = STANDARD.encode("damaged").into();
            cluster.put(SECRET, secret);
        },
    ];
    for damage in damages {
        damage(&cluster);
        let now = next(&cluster, &mut leader).await;
        assert!(!now.is_same(&before) && is_trusted(&cluster, &before), "the old CA goes last");
        assert!(next(&cluster, &mut follower).await.is_same(&now));
        eventually("only the new CA is left", || bundle_sizes(&cluster) == [1, 1, 1]).await;
        assert!(is_trusted(&cluster, &now) && !is_trusted(&cluster, &before));
        // The identity once more, without trust in the old CA.
        next(&cluster, &mut leader).await;
        next(&cluster, &mut follower).await;
        before = now;
    }
}

#[tokio::test]
async fn somebody_elses_certificates_are_followed() {
    let cluster = Cluster::start().await;
    with_objects(&cluster);
    let mut leader = replica(&cluster, true);
    let before = next(&cluster, &mut leader).await;
    let other = keda_server::certificates::generate(&names(), keda_scalers::sampler::wall_clock()).unwrap();
    cluster.put(SECRET, json!({"metadata": {"namespace": "keda"}, "data": other.data()}));
    let now = next(&cluster, &mut leader).await;
    assert!(now.is_same(&other.identity) && is_trusted(&cluster, &before));
    eventually("only the new CA is left", || bundle_sizes(&cluster) == [1, 1, 1]).await;
    // A bundle that somebody empties is filled again.
    with_objects(&cluster);
    eventually("the bundles are back", || bundle_sizes(&cluster) == [1, 1, 1]).await;
}

#[tokio::test]
async fn only_the_leader_writes() {
    let cluster = Cluster::start().await;
    with_objects(&cluster);
    let mut follower = replica(&cluster, false);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(cluster.get(SECRET).is_none() && cluster.patches().is_empty());
    follower.leader.send_replace(true);
    next(&cluster, &mut follower).await;
}

#[tokio::test]
async fn what_is_soon_to_expire_is_served_until_it_is_renewed() {
    let cluster = Cluster::start().await;
    with_objects(&cluster);
    let long_ago = keda_scalers::sampler::wall_clock().as_second() - 300 * 24 * 3600;
    let old = keda_server::certificates::generate(&names(), jiff::Timestamp::from_second(long_ago).unwrap()).unwrap();
    cluster.put(SECRET, json!({"metadata": {"namespace": "keda"}, "data": old.data()}));
    let mut follower = replica(&cluster, false);
    follower.identity.wait_for(Option::is_some).await.unwrap();
    assert!(follower.identity.borrow_and_update().as_ref().unwrap().is_same(&old.identity));
    follower.leader.send_replace(true);
    let now = next(&cluster, &mut follower).await;
    assert!(!now.is_same(&old.identity), "a leader renews it");
}

#[tokio::test]
async fn objects_may_be_missing() {
    let cluster = Cluster::start().await;
    let mut leader = replica(&cluster, true);
    leader.identity.wait_for(Option::is_some).await.unwrap();
    let served = leader.identity.borrow_and_update().clone().unwrap();
    assert!(!served.is_same(&new_identity()) && cluster.patches().is_empty());
}
