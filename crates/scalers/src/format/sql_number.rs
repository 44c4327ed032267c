//! Numbers in what databases answer: one column, whose value is a number or the text of one.

/// The number in a text.
///
/// # Errors
/// That it is none, with the beginning of it.
pub fn parse(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        format!("the value {shown:?} is not a number")
    })
}

/// What is said of a value that is null.
pub fn null() -> String {
    "the value is NULL, not a number".to_string()
}

/// What is said of an answer with more columns than one, in the words of Go.
pub fn too_many(columns: impl std::fmt::Display) -> String {
    format!("sql: expected {columns} destination arguments in Scan, not 1: the query must have one column")
}
