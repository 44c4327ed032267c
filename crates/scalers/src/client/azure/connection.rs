//! Connection strings: `Name=value` pairs with semicolons between them.

use std::collections::BTreeMap;

use keda_core::sample::SourceError;
use keda_core::secret::Secret;

/// The parts of a connection string. For storage accounts names are taken as they are written, for Service Bus in any
/// case.
pub struct ConnectionString(BTreeMap<String, Secret>);

impl std::fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ConnectionString {
    /// Takes it apart.
    ///
    /// # Errors
    /// A part that is no pair. The string itself is not told.
    pub fn parse(text: &Secret) -> Result<Self, SourceError> {
        let parts = text.expose().split(';').map(str::trim).filter(|part| !part.is_empty());
        let pairs = parts.map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((name.to_string(), Secret::new(value)))
        });
        let pairs: Option<BTreeMap<_, _>> = pairs.collect();
        let pairs = pairs.filter(|pairs| !pairs.is_empty());
        let message = "the connection string is not made of Name=value pairs with semicolons between them";
        pairs.map(ConnectionString).ok_or_else(|| SourceError::configuration(message))
    }

    /// The value of a part, if it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name).filter(|value| !value.is_empty())
    }

    /// As [`ConnectionString::get`], whatever the case of the name.
    pub fn find(&self, name: &str) -> Option<&Secret> {
        let is_it = |(known, value): &(&String, &Secret)| known.eq_ignore_ascii_case(name) && !value.is_empty();
        self.0.iter().find(is_it).map(|(_, value)| value)
    }

    /// As [`ConnectionString::find`], for a part that must be there.
    ///
    /// # Errors
    /// The name of the part.
    pub fn require(&self, name: &str) -> Result<&Secret, SourceError> {
        self.find(name).ok_or_else(|| SourceError::configuration(format!("the connection string has no {name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_equals_signs_and_nothing_is_told() {
        let text = Secret::new("AccountName=a;AccountKey=aGk==; EndpointSuffix=;");
        let string = ConnectionString::parse(&text).unwrap();
        assert_eq!(string.get("AccountKey").map(Secret::expose), Some("aGk=="));
        assert!(string.require("EndpointSuffix").is_err());
        assert!(string.get("accountname").is_none() && string.require("accountname").is_ok());
        for wrong in ["", ";", "hunter2"] {
            let error = ConnectionString::parse(&Secret::new(wrong)).unwrap_err();
            assert!(!error.message.contains("hunter2"));
        }
    }
}
