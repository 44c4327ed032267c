use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use keda_core::sample::Sample;

use super::*;

/// A source that counts its readings and can fail or panic.
#[derive(Default)]
struct Source {
    readings: AtomicUsize,
    builds: AtomicUsize,
    script: Mutex<Vec<&'static str>>,
}

struct Reader(Arc<Source>);

#[async_trait]
impl Scaler for Reader {
    #[allow(clippy::panic)]
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        self.0.readings.fetch_add(1, Ordering::SeqCst);
        let next = self.0.script.lock().unwrap().pop().unwrap_or("ok");
        tokio::time::sleep(Duration::from_millis(10)).await;
        match next {
            "ok" => Ok(vec![("jobs".into(), Sample::above(3.0, 0.0))]),
            "panic" => panic!("a fault"),
            error => Err(SourceError::new(ErrorKind::Unreachable, error)),
        }
    }
}

fn object(name: &str) -> ObjectKey {
    ObjectKey { namespace: "default".to_string(), name: name.to_string() }
}

fn query(source: &Arc<Source>, interval: u64) -> Query {
    let source = Arc::clone(source);
    Query {
        fingerprint: 77,
        interval: Duration::from_secs(interval),
        build: Arc::new(move || {
            source.builds.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Reader(Arc::clone(&source))))
        }),
    }
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
        assert!(sampled.recv().await.unwrap().result.is_ok());
    }
    assert_eq!(source.readings.load(Ordering::SeqCst), 1);
    for _ in 0..500 {
        sampled.recv().await.unwrap();
    }
    assert_eq!(source.readings.load(Ordering::SeqCst), 2, "and one more after the interval");
}

#[tokio::test(start_paused = true)]
async fn a_failure_rebuilds_and_tries_once_more_before_it_counts() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    *source.script.lock().unwrap() = vec!["late", "later", "ok", "first"];
    sampler.subscribe((object("jobs"), 0), query(&source, 30));
    assert!(sampled.recv().await.unwrap().result.is_ok());
    assert_eq!(source.builds.load(Ordering::SeqCst), 2);
    sampler.read((object("jobs"), 0));
    assert_eq!(sampled.recv().await.unwrap().result.unwrap_err().message, "late");
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_a_source_is_an_error_of_its_trigger() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let source = Arc::new(Source::default());
    *source.script.lock().unwrap() = vec!["panic", "panic"];
    sampler.subscribe((object("jobs"), 0), query(&source, 30));
    assert!(sampled.recv().await.unwrap().result.unwrap_err().message.contains("fault in keda"));
    sampler.read((object("jobs"), 0));
    assert!(sampled.recv().await.unwrap().result.is_ok());
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
    assert!(sampled.recv().await.unwrap().result.unwrap_err().message.contains("fault in keda"));
    sampler.read((object("jobs"), 0));
    assert!(sampled.recv().await.unwrap().result.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_is_gone_is_not_read_while_its_neighbour_is() {
    let (output, mut sampled) = mpsc::unbounded_channel();
    let sampler = Sampler::start(output);
    let (one, other) = (Arc::new(Source::default()), Arc::new(Source::default()));
    sampler.subscribe((object("jobs"), 0), query(&one, 1));
    sampler.subscribe((object("jobs"), 1), Query { fingerprint: 78, ..query(&other, 1) });
    sampler.retain(&object("jobs"), vec![0]);
    for _ in 0..5 {
        assert_eq!(sampled.recv().await.unwrap().subscriber.1, 0);
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
