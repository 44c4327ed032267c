//! (being written)
/// Placeholder
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodIdentity {
    pub provider: String,
}
