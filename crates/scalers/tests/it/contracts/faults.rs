//! Every fault in the place of every answer: none becomes a number, and none tells a secret.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use keda_core::sample::ErrorKind;

use super::case::Case;
use super::server::{Answer, Server};
use super::{AT_ONCE, cases};

/// Time for a request to a source that says nothing, and to one that answers.
const PATIENCE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// What may come in place of an answer, and what that is.
pub fn faults() -> Vec<(&'static str, Answer, ErrorKind)> {
    let silent = Answer { silent: true, ..Answer::default() };
    let status = |status| Answer::new(status, "<html><body>something went wrong</body></html>");
    vec![
        ("401", status(401), ErrorKind::Denied),
        ("403", status(403), ErrorKind::Denied),
        ("429", status(429), ErrorKind::Throttled),
        ("500", status(500), ErrorKind::Unreachable),
        ("503", status(503), ErrorKind::Unreachable),
        ("a page in place of an answer", status(200), ErrorKind::Malformed),
        ("an answer that breaks off", Answer::new(200, "{\"data\": [{\"value\""), ErrorKind::Malformed),
        ("no body", Answer::new(200, ""), ErrorKind::Malformed),
        ("silence", silent, ErrorKind::Unreachable),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_becomes_a_number() {
    let cases: Vec<Case> = cases().into_iter().filter(Case::succeeds).collect();
    let outcomes: Vec<Vec<String>> = stream::iter(cases.iter().map(check)).buffered(AT_ONCE).collect().await;
    let wrong = outcomes.concat();
    assert!(wrong.is_empty(), "{} faults are taken for something else:\n{}", wrong.len(), wrong.join("\n"));
}

/// All faults at all steps of a case.
async fn check(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for step in 0..case.exchanges.len() {
        let is_read = !case.exchanges[step].is_not_read;
        // A slow machine may give up an earlier reading before it comes to the silence.
        let matters = |(_, answer, kind): &(_, Answer, ErrorKind)| {
            (is_read || *kind != ErrorKind::Malformed) && (case.readings == 1 || !answer.silent)
        };
        for (fault, answer, kind) in faults().into_iter().filter(matters) {
            let mut exchanges = case.exchanges.clone();
            // Whoever asks again gets the same.
            exchanges.truncate(step + 1);
            let patience = if answer.silent { PATIENCE[0] } else { PATIENCE[1] };
            exchanges[step].answer = answer;
            let last = exchanges[step].clone();
            exchanges.extend(std::iter::repeat_n(last, 5));
            let server = Server::start(case.host(), exchanges).await;
            let result = case.read(&server, patience).await;
            let place = format!("{}, request {}, {fault}", case.title, step + 1);
            match result {
                Ok(reading) => wrong.push(format!("{place}: read {reading:?}")),
                Err(error) if error.kind != kind => {
                    wrong.push(format!("{place}: {kind} expected, not {} ({error})", error.kind));
                }
                Err(error) => wrong.extend(case.secrets_in(&error)),
            }
        }
    }
    wrong
}
