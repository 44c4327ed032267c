//! Sources against recorded contracts: what must be asked, word for word, and what is made of the answers.
//!
//! For services that no machine of ours can run. Each family of triggers has a file with its cases, which
//! [`every_contract_is_kept`] goes through; [`no_fault_becomes_a_number`] does so again with every fault in the place of
//! every answer.

mod case;
mod faults;
mod messaging;
mod server;

use case::Case;
use futures::{StreamExt, stream};

/// Cases that are gone through at the same time.
const AT_ONCE: usize = 16;

/// The cases of all families.
fn cases() -> Vec<Case> {
    messaging::cases()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_contract_is_kept() {
    let cases = cases();
    let outcomes = stream::iter(&cases).map(Case::check).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    let broken: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(broken.is_empty(), "{} contracts are broken:\n\n{}", broken.len(), broken.join("\n\n"));
}
