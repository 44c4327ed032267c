//! (being written)
/// Placeholder.
#[derive(Debug, Default)]
pub struct RedisPool;
