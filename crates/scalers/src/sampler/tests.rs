use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt};
use keda_core::sample::{ErrorKind, Sample};

use super::*;
use crate::client::notices::note;
use crate::trigger::Memory;

/// A source that counts its readings and can fail or panic.
#[derive(Default)]
struct Source {
    /// What it says by itself, whenever it is listened to.
    pushes: Vec<Push>,
    /// How often it was listened to, and how often it panics then.
    listeners: AtomicUsize,
    faults: AtomicUsize,

    readings: AtomicUsize,
    builds: AtomicUsize,
    /// How many readings the last one remembered, itself included.
    remembered: AtomicUsize,
    script: Mutex<Vec<&'static str>>,
}

struct Reader(Arc<Source>);

#[async_trait]
impl Scaler for Reader {
    #[allow(clippy::panic)]
    async fn sample(&self, memory: &mut Memory) -> Result<Reading, SourceError> {
        self.0.readings.fetch_add(1, Ordering::SeqCst);
        let seen = memory.get_or("seen", || 0_usize).unwrap();
        *seen += 1;
        self.0.remembered.store(*seen, Ordering::SeqCst);
        note(Notice::Empty { ignored: true });
        let next = self.0.script.lock().unwrap().pop().unwrap_or("ok");
        tokio::time::sleep(Duration::from_millis(10)).await;
        match next {
            "ok" => Ok(vec![("jobs".into(), Sample::above(3.0, 0.0))]),
            "panic" => panic!("a fault"),
            error => Err(SourceError::new(ErrorKind::Unreachable, error)),
        }
    }

    #[allow(clippy::panic)]
    fn pushes(&self) -> Option<BoxStream<'static, Push>> {
        let (pushes, source) = (self.0.pushes.clone(), Arc::clone(&self.0));
        if pushes.is_empty() {
            return None;
        }
        source.listeners.fetch_add(1, Ordering::SeqCst);
        let fault = stream::once(async move {
            let left = source.faults.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |faults| faults.checked_sub(1));
            match left {
                Ok(_) => panic!("a fault"),
                Err(_) => std::future::pending().await,
            }
        });
        Some(stream::iter(pushes).chain(fault).boxed())
    }
}

async fn reading(reports: &mut mpsc::UnboundedReceiver<Report>) -> Sampled {
    loop {
        if let Report::Sampled(sampled) = reports.recv().await.unwrap() {
            return sampled;
        }
    }
}

fn object(name: &str) -> ObjectKey {
    ObjectKey { namespace: "default".to_string(), name: name.to_string() }
}

fn query(source: &Arc<Source>, interval: u64) -> Query {
    Query { fingerprint: 77, interval: Some(Duration::from_secs(interval)), build: asks(77, source) }
}

/// Makes scalers that ask `source` what has this fingerprint.
fn asks(fingerprint: u128, source: &Arc<Source>) -> Build {
    let source = Arc::clone(source);
    Arc::new(move || {
        source.builds.fetch_add(1, Ordering::SeqCst);
        let scaler = Box::new(Reader(Arc::clone(&source)));
        async move { Ok(Built { fingerprint, scaler }) }.boxed()
    })
}

/// Cannot make a scaler.
fn lacks(message: &'static str) -> Build {
    Arc::new(move || async move { Err(SourceError::configuration(message)) }.boxed())
}

#[tokio::test(start_paused = true)]
async fn five_hundred_objects_with_one_query_cost_one_reading() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    for number in 0..500 {
        sampler.subscribe((object(&format!("jobs-{number}")), 0), query(&source, 30));
    }
    for _ in 0..500 {
        assert!(reading(&mut sampled).await.result.is_ok());
    }
    assert_eq!(source.readings.load(Ordering::SeqCst), 1);
    for _ in 0..500 {
        sampled.recv().await.unwrap();
    }
    assert_eq!(source.readings.load(Ordering::SeqCst), 2, "and one more after the interval");
}

#[tokio::test(start_paused = true)]
async fn a_reading_tells_how_late_it_began_and_what_was_noticed_meanwhile() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    for name in ["jobs", "mail"] {
        sampler.subscribe((object(name), 0), query(&source, 30));
    }
    let first = [reading(&mut sampled).await, reading(&mut sampled).await];
    assert!(first.iter().all(|sampled| sampled.late.is_none()), "it was asked for");
    let scheduled = [reading(&mut sampled).await, reading(&mut sampled).await];
    assert!(scheduled.iter().all(|sampled| sampled.late.is_some_and(|late| late < Duration::from_millis(5))));
    assert_eq!(scheduled.map(|sampled| sampled.notices.len()), [1, 0], "noticed once for all who share the query");
}

#[tokio::test(start_paused = true)]
async fn a_failure_rebuilds_and_tries_once_more_before_it_counts() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    *source.script.lock().unwrap() = vec!["late", "later", "ok", "first"];
    sampler.subscribe((object("jobs"), 0), query(&source, 30));
    assert!(reading(&mut sampled).await.result.is_ok());
    assert_eq!(source.builds.load(Ordering::SeqCst), 2);
    sampler.read((object("jobs"), 0));
    assert_eq!(reading(&mut sampled).await.result.unwrap_err().message, "late");
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_a_source_is_an_error_of_its_trigger() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    *source.script.lock().unwrap() = vec!["panic", "panic"];
    sampler.subscribe((object("jobs"), 0), query(&source, 30));
    assert!(reading(&mut sampled).await.result.unwrap_err().message.contains("fault in keda"));
    sampler.read((object("jobs"), 0));
    assert!(reading(&mut sampled).await.result.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_fault_while_a_source_is_set_up_does_not_silence_it() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    let good = query(&source, 30);
    let faults = AtomicUsize::new(1);
    #[allow(clippy::panic)]
    let build: Build = Arc::new(move || match faults.fetch_sub(1, Ordering::SeqCst) {
        1 => panic!("a fault"),
        _ => (good.build)(),
    });
    sampler.subscribe((object("jobs"), 0), Query { build, ..query(&source, 30) });
    assert!(reading(&mut sampled).await.result.unwrap_err().message.contains("fault in keda"));
    sampler.read((object("jobs"), 0));
    assert!(reading(&mut sampled).await.result.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_who_cannot_set_the_source_up_holds_up_nobody_and_hears_of_it_alone() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    sampler.subscribe((object("jobs"), 0), query(&source, 30));
    sampler.subscribe((object("mail"), 0), Query { build: lacks("the Secret of mail is gone"), ..query(&source, 30) });
    for _ in 0..2 {
        assert!(reading(&mut sampled).await.result.is_ok());
    }
    *source.script.lock().unwrap() = vec!["down", "down"];
    for _ in 0..3 {
        let failed = [reading(&mut sampled).await, reading(&mut sampled).await];
        let messages = failed.map(|sampled| (sampled.subscriber.0.name, sampled.result.map_err(|error| error.message)));
        for (name, result) in messages {
            match (name.as_str(), result) {
                (_, Ok(_)) => {}
                ("jobs", Err(message)) => assert_eq!(message, "down"),
                (_, Err(message)) => assert!(["down", "the Secret of mail is gone"].contains(&message.as_str())),
            }
        }
    }
    let last = [reading(&mut sampled).await, reading(&mut sampled).await];
    assert!(last.iter().all(|sampled| sampled.result.is_ok()), "whoever can sets the source up again");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_something_else_by_now_is_read_apart() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let (old, new) = (Arc::new(Source::default()), Arc::new(Source::default()));
    *old.script.lock().unwrap() = vec!["denied"; 100];
    for name in ["jobs", "mail"] {
        sampler.subscribe((object(name), 0), Query { build: asks(78, &new), ..query(&old, 30) });
    }
    sampler.subscribe((object("stale"), 0), query(&old, 30));
    let mut counts = BTreeMap::new();
    for _ in 0..12 {
        let sampled = reading(&mut sampled).await;
        assert_eq!(sampled.fingerprint, 77, "what it asked for");
        let name = sampled.subscriber.0.name;
        assert_eq!(sampled.result.is_ok(), name != "stale");
        *counts.entry(name).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count >= 3), "{counts:?}");
    assert!(
        new.builds.load(Ordering::SeqCst) <= 2 && new.readings.load(Ordering::SeqCst) <= 8,
        "they share what they ask"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_goes_along_with_those_who_part_together() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    let asked = Arc::clone(&source);
    let build: Build = Arc::new(move || {
        let fingerprint = if asked.readings.load(Ordering::SeqCst) < 2 { 77 } else { 78 };
        let scaler = Box::new(Reader(Arc::clone(&asked)));
        async move { Ok(Built { fingerprint, scaler }) }.boxed()
    });
    for name in ["jobs", "mail"] {
        sampler.subscribe((object(name), 0), Query { interval: None, build: Arc::clone(&build), ..query(&source, 30) });
    }
    for (failures, remembered) in [(vec![], 1), (vec!["denied"], 3)] {
        *source.script.lock().unwrap() = failures;
        sampler.read((object("jobs"), 0));
        for _ in 0..2 {
            assert!(reading(&mut sampled).await.result.is_ok());
        }
        assert_eq!(source.remembered.load(Ordering::SeqCst), remembered);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_is_gone_is_not_read_while_its_neighbour_is() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let (one, other) = (Arc::new(Source::default()), Arc::new(Source::default()));
    sampler.subscribe((object("jobs"), 0), query(&one, 1));
    sampler.subscribe((object("jobs"), 1), Query { fingerprint: 78, build: asks(78, &other), ..query(&other, 1) });
    sampler.retain(&object("jobs"), vec![0]);
    for _ in 0..5 {
        assert_eq!(reading(&mut sampled).await.subscriber.1, 0);
    }
    assert!(other.readings.load(Ordering::SeqCst) <= 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_read_for_after_leaving() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    sampler.subscribe((object("jobs"), 0), query(&source, 1));
    sampled.recv().await.unwrap();
    sampler.unsubscribe(&object("jobs"));
    assert!(tokio::time::timeout(Duration::from_secs(100), sampled.recv()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn setting_up_a_source_has_a_limit_in_time() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let build: Build = Arc::new(|| std::future::pending().boxed());
    sampler.subscribe((object("jobs"), 0), Query { build, ..query(&Arc::default(), 60) });
    assert!(reading(&mut sampled).await.result.unwrap_err().message.contains("within 30 s"));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_interval_gets_what_it_asks_for_and_what_others_ask_for() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source { pushes: vec![Push::Active(true)], ..Source::default() });
    sampler.subscribe((object("follower"), 0), Query { interval: None, ..query(&source, 1) });
    assert!(tokio::time::timeout(Duration::from_secs(100), sampled.recv()).await.is_err());
    sampler.read((object("follower"), 0));
    assert!(reading(&mut sampled).await.result.is_ok());
    assert!(tokio::time::timeout(Duration::from_secs(100), sampled.recv()).await.is_err());
    assert_eq!(source.listeners.load(Ordering::SeqCst), 0);
    sampler.subscribe((object("leader"), 0), query(&source, 1));
    for name in ["follower", "leader"] {
        assert_eq!(reading(&mut sampled).await.subscriber.0.name, name);
    }
    match sampled.recv().await.unwrap() {
        Report::Pushed(pushed) => assert_eq!(pushed.subscriber.0.name, "leader"),
        Report::Sampled(other) => assert!(other.result.is_err(), "{other:?}"),
    }
    sampler.unsubscribe(&object("leader"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    while sampled.try_recv().is_ok() {}
    assert!(tokio::time::timeout(Duration::from_secs(100), sampled.recv()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_source_is_listened_to_once_for_all_and_again_after_a_fault() {
    let (output, mut reports) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let pushes = vec![Push::Active(true), Push::Active(false)];
    let source = Arc::new(Source { pushes, faults: AtomicUsize::new(1), ..Source::default() });
    for name in ["one", "other"] {
        sampler.subscribe((object(name), 0), query(&source, 30));
    }
    let mut heard = Vec::new();
    while heard.len() < 8 {
        if let Report::Pushed(pushed) = reports.recv().await.unwrap() {
            heard.push((pushed.subscriber.0.name, pushed.push));
        }
    }
    let both = |active| ["one", "other"].map(|name| (name.to_string(), Push::Active(active)));
    assert_eq!(heard, [both(true), both(false), both(true), both(false)].concat());
    assert_eq!(source.listeners.load(Ordering::SeqCst), 2, "once, and once after the fault");
}
