//! Sources against recorded contracts: what must be asked, word for word, and what is made of the answers.
//!
//! For services that no machine of ours can run. Each family of triggers has a file with its cases, which
//! [`every_contract_is_kept`] goes through; [`no_fault_becomes_a_number`] does so again with every fault in the place of
//! every answer.

mod aws;
mod azure;
pub mod case;
mod ci;
mod databases;
mod faults;
mod gcp;
mod messaging;
mod observability;
mod openstack;
mod predictkube;
pub mod server;
mod solace;
mod splunk_observability;
mod web;

use case::Case;
use futures::stream::{self, StreamExt};

/// Cases that are gone through at the same time.
const AT_ONCE: usize = 24;

/// The cases of all families.
fn cases() -> Vec<Case> {
    let families = [
        aws::cases(),
        azure::cases(),
        ci::cases(),
        databases::cases(),
        gcp::cases(),
        messaging::cases(),
        observability::cases(),
        openstack::cases(),
        solace::cases(),
        web::cases(),
    ];
    families.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_contract_is_kept() {
    let cases = cases();
    let outcomes = stream::iter(cases.iter().map(Case::check)).buffered(AT_ONCE);
    let broken: Vec<String> = outcomes.filter_map(|outcome| async { outcome.err() }).collect().await;
    assert!(broken.is_empty(), "{} contracts are broken:\n\n{}", broken.len(), broken.join("\n\n"));
}
