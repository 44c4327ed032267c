//! Jolokia, the HTTP bridge to the figures of ActiveMQ and Artemis (`scalers/activemq.md`, `scalers/artemis-queue.md`).

use url::form_urlencoded;

use super::request_uri::check_escapes;

/// The properties of the object that the path of an address reads:
/// `/api/jolokia/read/domain:type=Broker,name=b/Attribute`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl Properties {
    /// Those of a path.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn of_path(path: &str) -> Result<Self, &'static str> {
        let after = path.split(':').nth(1).ok_or("the path has no object name")?;
        let object = after.split('/').next().unwrap_or_default();
        check_escapes(object)?;
        if object.contains(';') {
            return Err("invalid semicolon separator in query");
        }
        let query = object.replace(',', "&");
        Ok(Properties(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }

    /// The first one with this name; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_stands_between_the_first_colon_and_the_attribute() {
        let properties = Properties::of_path("/api/jolokia/read/d:type=Broker,name=a+b,queue=/QueueSize").unwrap();
        assert_eq!(["type", "name", "queue", "other"].map(|name| properties.get(name)), ["Broker", "a b", "", ""]);
        for wrong in ["/api/jolokia/read", "/d:a%zz", "/d:a;b"] {
            assert!(Properties::of_path(wrong).is_err(), "{wrong}");
        }
    }
}
