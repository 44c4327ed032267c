//! (being written)
/// Placeholder.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity(f64);
impl Quantity {
    /// x
    pub fn from_integer(n: i64) -> Self {
        Quantity(n as f64)
    }
    /// x
    pub fn from_float(n: f64) -> Self {
        Quantity(n)
    }
}
