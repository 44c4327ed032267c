//! Sources against recorded contracts: what must be asked, word for word, and what is made of the answers.
//!
//! For services that no machine of ours can run. Each family of triggers has a file with its cases, which
//! [`every_contract_is_kept`] goes through; [`no_fault_becomes_a_number`] does so again with every fault in the place of
//! every answer.

mod aws;
mod azure;
mod case;
mod faults;
mod gcp;
mod server;

use case::Case;
use futures::StreamExt;

/// The cases of all families.
fn cases() -> Vec<Case> {
    [aws::cases(), azure::cases(), gcp::cases()].into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_contract_is_kept() {
    let outcomes = futures::stream::iter(cases()).map(|case| async move { case.check().await }).buffered(8);
    let outcomes: Vec<_> = outcomes.collect().await;
    let broken: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(broken.is_empty(), "{} contracts are broken:\n\n{}", broken.len(), broken.join("\n\n"));
}
