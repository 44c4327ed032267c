//! (being written)
/// Placeholder.
#[derive(Debug, Default)]
pub struct AmqpPool;
