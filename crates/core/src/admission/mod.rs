//! What is refused when an object is created or changed (`behaviour.md` §1.11), as far as objects alone tell.
//!
//! The admission webhooks answer with these checks, and planning shares those that it makes as well.

mod authentication;
mod cloud_events;
mod ownership;
mod requests;
mod scaled_object;
mod triggers;

pub use authentication::check_authentication;
pub use cloud_events::check_event_types;
pub use ownership::{Neighbour, NeighbourHpa, check_ownership};
pub use requests::{missing_requests, needs_requests};
pub use scaled_object::{check_scale_to_zero, check_scaled_object, denials, formula_names, warnings};
pub use triggers::{TriggerFault, check_triggers, is_resource};

use crate::rule::Rule;

/// Why an object is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule that is broken; its name is KEDA's word for it among the labels of its metrics.
    pub rule: Rule,
    /// KEDA's text.
    pub message: String,
}

impl Denial {
    fn new(rule: Rule, message: impl Into<String>) -> Self {
        Denial { rule, message: message.into() }
    }
}
