//! Leader election by a Lease, with the field semantics of Kubernetes' own clients, so that replicas of KEDA and of this
//! program can share one.
//!
//! [`Election`] decides and knows no clock and no network; [`run`] reads and writes the Lease. Losing the lease ends the
//! leadership, not the process.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{ApiError, Cluster};
use super::resource::LEASES;
use super::watch::{self as watching, Scope};

/// Whose lease, and how long things take.
#[derive(Debug, Clone)]
pub(crate) struct LeaseSettings {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Unique to this process.
    pub(crate) identity: String,
    /// Time after which others may take a lease that was not renewed.
    pub(crate) duration: Duration,
    /// Time after which a leader that cannot renew steps down.
    pub(crate) renew_deadline: Duration,
    /// Time between attempts.
    pub(crate) retry_period: Duration,
}

/// What a Lease says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    holder_identity: Option<String>,
    lease_duration_seconds: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    acquire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renew_time: Option<String>,
    lease_transitions: i64,
}

impl Record {
    fn holder(&self) -> &str {
        self.holder_identity.as_deref().unwrap_or_default()
    }
}

/// What is known of the lease, at times since an arbitrary moment.
#[derive(Debug)]
struct Election {
    identity: String,
    duration: Duration,
    renew_deadline: Duration,
    /// The last record seen, and when it was first seen: clocks of other machines are not trusted.
    observed: Option<(Record, Duration)>,
    renewed: Option<Duration>,
}

impl Election {
    /// Takes in what the Lease says.
    fn observe(&mut self, record: Record, now: Duration) {
        if self.observed.as_ref().is_none_or(|(known, _)| *known != record) {
            self.observed = Some((record, now));
        }
    }

    /// The record to write: to renew, or to take over. Nothing while somebody else holds the lease.
    fn bid(&self, now: Duration, wall: Timestamp) -> Option<Record> {
        let time = Some(format!("{wall:.6}"));
        let duration = i64::try_from(self.duration.as_secs()).unwrap_or(i64::MAX);
        let mine = Record {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: duration,
            acquire_time: time.clone(),
            renew_time: time,
            lease_transitions: 0,
        };
        let Some((record, since)) = &self.observed else { return Some(mine) };
        if record.holder() == self.identity {
            let (acquire_time, lease_transitions) = (record.acquire_time.clone(), record.lease_transitions);
            return Some(Record { acquire_time, lease_transitions, ..mine });
        }
        let is_free = record.holder().is_empty() || now >= *since + self.lifetime(record);
        is_free.then(|| Record { lease_transitions: record.lease_transitions + 1, ..mine })
    }

    /// How long a record holds after it was seen: as long as its holder says, who may have been told of other times.
    fn lifetime(&self, record: &Record) -> Duration {
        let seconds = u64::try_from(record.lease_duration_seconds).ok().filter(|seconds| *seconds > 0);
        seconds.map_or(self.duration, Duration::from_secs)
    }

    /// The lease was written as we wanted.
    fn won(&mut self, record: Record, now: Duration) {
        self.observed = Some((record, now));
        self.renewed = Some(now);
    }

    /// Whether this process may act as the leader.
    fn leads(&self, now: Duration) -> bool {
        let holds = self.observed.as_ref().is_some_and(|(record, _)| record.holder() == self.identity);
        holds && !self.left(now).is_zero()
    }

    /// How long this process may go on as the leader without renewing.
    fn left(&self, now: Duration) -> Duration {
        self.renewed.map_or(Duration::ZERO, |renewed| (renewed + self.renew_deadline).saturating_sub(now))
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Lease {
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    spec: Record,
}

/// Takes part in the election until `shutdown`, telling whether this process leads; then lets go of the lease.
pub(crate) async fn run(
    cluster: Cluster,
    settings: LeaseSettings,
    leading: watch::Sender<bool>,
    shutdown: CancellationToken,
) {
    let epoch = Instant::now();
    let mut election = Election {
        identity: settings.identity.clone(),
        duration: settings.duration,
        renew_deadline: settings.renew_deadline,
        observed: None,
        renewed: None,
    };
    let scope = Scope {
        namespaces: vec![settings.namespace.clone()],
        fields: format!("metadata.name={}", settings.name),
        ..Scope::default()
    };
    // A lease that is let go is taken at once, without waiting for the next attempt.
    let trim = |lease: super::object::Trimmed<Record, Value>| Some(lease.spec.holder().is_empty());
    let mut changes = Box::pin(watching::watch(&cluster, &LEASES, &scope, trim));
    let mut held = None;
    loop {
        // A leader whose request hangs steps down in time.
        let limit = if *leading.borrow() { election.left(epoch.elapsed()) } else { settings.duration };
        let attempt = attempt(&cluster, &settings, &mut election, &mut held, epoch);
        match tokio::time::timeout(limit, attempt).await {
            Ok(Err(error)) => tracing::warn!(%error, lease = %settings.name, "cannot read or write the lease"),
            Err(_) => tracing::warn!(lease = %settings.name, "the lease cannot be read or written in time"),
            Ok(Ok(())) => {}
        }
        let leads = election.leads(epoch.elapsed());
        if leading.send_if_modified(|known| std::mem::replace(known, leads) != leads) {
            tracing::info!(lease = %settings.name, identity = %settings.identity, leads, "leadership changed");
        }
        // A leader that cannot renew steps down in time, too.
        let longest = if leads { election.left(epoch.elapsed()) } else { settings.retry_period };
        let next = tokio::time::sleep(settings.retry_period.min(longest));
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => {
                    release(&cluster, &settings, &election).await;
                    leading.send_replace(false);
                    return;
                }
                () = &mut next => break,
                change = changes.next() => {
                    let is_free = matches!(change, Some(watching::Change::Applied(_, true) | watching::Change::Deleted(_)));
                    if is_free && !leads {
                        break;
                    }
                }
            }
        }
    }
}

/// One attempt to renew or take the lease. `held` is what is known of the Lease since it was written: as long as nobody
/// else writes, it need not be read.
async fn attempt(
    cluster: &Cluster,
    settings: &LeaseSettings,
    election: &mut Election,
    held: &mut Option<Lease>,
    epoch: Instant,
) -> Result<(), ApiError> {
    let path = LEASES.object(Some(&settings.namespace), &settings.name);
    let known: Option<Lease> = match held.take() {
        Some(lease) => Some(lease),
        None => match cluster.get(&path).await {
            Ok(lease) => Some(lease),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        },
    };
    match &known {
        Some(lease) => election.observe(lease.spec.clone(), epoch.elapsed()),
        None => election.observed = None,
    }
    let Some(record) = election.bid(epoch.elapsed(), keda_scalers::sampler::wall_clock()) else { return Ok(()) };
    let begun = epoch.elapsed();
    let written = match known {
        Some(lease) => {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": lease.metadata, "spec": record,
            });
            cluster.replace::<Lease>(&path, &lease).await
        }
        None => {
            let metadata = json!({ "name": settings.name, "namespace": settings.namespace });
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": record,
            });
            cluster.create::<Lease>(&LEASES.path(Some(&settings.namespace)), &lease).await
        }
    };
    match written {
        Ok(mut lease) => {
            // Who wrote which field is the server's business.
            lease.metadata.as_object_mut().map(|metadata| metadata.remove("managedFields"));
            *held = Some(lease);
            // From before the request was sent: others count from when they see it, which is later.
            election.won(record, begun);
            Ok(())
        }
        // Somebody else was faster; a leader who lost the lease that way must know at once.
        Err(error) if matches!(error.kind, super::ApiErrorKind::Conflict | super::ApiErrorKind::AlreadyExists) => {
            let lease: Lease = cluster.get(&path).await?;
            election.observe(lease.spec, epoch.elapsed());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Lets go of the lease, so that another takes over at once.
async fn release(cluster: &Cluster, settings: &LeaseSettings, election: &Election) {
    let path = LEASES.object(Some(&settings.namespace), &settings.name);
    let Some((record, _)) = election.observed.as_ref().filter(|(record, _)| record.holder() == settings.identity)
    else {
        return;
    };
    let attempt = async {
        let lease: Lease = cluster.get(&path).await?;
        if lease.spec.holder() != settings.identity {
            return Ok(());
        }
        let time = Some(format!("{:.6}", keda_scalers::sampler::wall_clock()));
        let free = Record {
            holder_identity: Some(String::new()),
            lease_duration_seconds: 1,
            acquire_time: time.clone(),
            renew_time: time,
            lease_transitions: record.lease_transitions,
        };
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": lease.metadata, "spec": free,
        });
        cluster.replace::<Value>(&path, &lease).await.map(|_| ())
    };
    match tokio::time::timeout(Duration::from_secs(3), attempt).await {
        Ok(Ok(())) => tracing::info!(lease = %settings.name, "let go of the lease"),
        Ok(Err(error)) => tracing::warn!(%error, lease = %settings.name, "cannot let go of the lease"),
        Err(_) => tracing::warn!(lease = %settings.name, "cannot let go of the lease in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn election(identity: &str) -> Election {
        Election {
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            observed: None,
            renewed: None,
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_is_not_renewed_is_taken_after_its_duration() {
        let (mut one, mut other) = (election("one"), election("other"));
        let first = one.bid(at(0), Timestamp::UNIX_EPOCH).unwrap();
        one.won(first.clone(), at(0));
        other.observe(first.clone(), at(3));
        assert!(
            one.leads(at(9)) && !one.leads(at(10)),
            "a leader that cannot renew steps down before others take over"
        );
        assert_eq!(other.bid(at(17), Timestamp::UNIX_EPOCH), None);
        let second = other.bid(at(18), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((second.holder(), second.lease_transitions), ("other", 1));
    }

    #[test]
    fn a_lease_holds_as_long_as_its_holder_says() {
        let (mut one, mut other) = (election("one"), election("other"));
        one.duration = at(60);
        let first = one.bid(at(0), Timestamp::UNIX_EPOCH).unwrap();
        other.observe(first.clone(), at(0));
        assert_eq!(other.bid(at(59), Timestamp::UNIX_EPOCH), None);
        assert!(other.bid(at(60), Timestamp::UNIX_EPOCH).is_some());
        other.observe(Record { lease_duration_seconds: 0, ..first }, at(60));
        assert_eq!(other.bid(at(74), Timestamp::UNIX_EPOCH), None, "one that says nothing holds as long as ours");
        assert!(other.bid(at(75), Timestamp::UNIX_EPOCH).is_some());
    }

    #[test]
    fn a_leader_waits_for_an_answer_no_longer_than_it_leads() {
        let mut one = election("one");
        assert_eq!(one.left(at(3)), Duration::ZERO);
        let first = one.bid(at(3), Timestamp::UNIX_EPOCH).unwrap();
        one.won(first, at(3));
        assert_eq!([at(3), at(9), at(13), at(20)].map(|now| one.left(now)), [at(10), at(4), at(0), at(0)]);
    }

    #[test]
    fn a_renewal_keeps_the_time_of_acquisition_and_restarts_the_clock_of_others() {
        let (mut one, mut other) = (election("one"), election("other"));
        let first = one.bid(at(0), Timestamp::UNIX_EPOCH).unwrap();
        one.won(first.clone(), at(0));
        other.observe(first.clone(), at(0));
        let renewed = one.bid(at(8), Timestamp::UNIX_EPOCH + at(8)).unwrap();
        assert_eq!(renewed.acquire_time, first.acquire_time);
        assert_eq!(renewed.renew_time.as_deref(), Some("1970-01-01T00:00:08.000000Z"));
        other.observe(renewed, at(8));
        assert_eq!(other.bid(at(16), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_lease_that_was_let_go_is_free_at_once() {
        let mut other = election("other");
        other.observe(Record { holder_identity: Some(String::new()), ..Record::default() }, at(5));
        assert!(other.bid(at(5), Timestamp::UNIX_EPOCH).is_some());
    }
}
