//! Which requests, nodes and sessions are those of a trigger.

use keda_core::sample::SourceError;
use serde_json::{Map, Value};

use super::SeleniumGrid;
use super::platform::Platform;

/// Whether managed downloads are wanted, or can be had.
const DOWNLOADS: &str = "se:downloadsEnabled";

/// Beginnings of capabilities that are the browsers' own business.
const EXTENSIONS: [&str; 4] = ["goog:", "moz:", "ms:", "se:"];

/// What a request wants, or a node or a session has.
pub(super) type Capabilities = Map<String, Value>;

/// The nodes that the trigger scales, as far as requests are matched with them.
pub(super) struct Kind<'a> {
    trigger: &'a SeleniumGrid,
    platform: Platform,
    capabilities: Capabilities,
}

impl<'a> Kind<'a> {
    /// # Errors
    /// [`SourceError::configuration`] for `capabilities` that are no JSON object.
    pub(super) fn new(trigger: &'a SeleniumGrid) -> Result<Self, SourceError> {
        let capabilities = match trigger.capabilities.as_str() {
            "" => Capabilities::new(),
            text => serde_json::from_str(text)
                .map_err(|error| SourceError::configuration(format!("capabilities is not a JSON object: {error}")))?,
        };
        Ok(Kind { trigger, platform: Platform::new(&trigger.platform_name), capabilities })
    }

    /// Whether a request is for these nodes.
    pub(super) fn serves(&self, request: &Capabilities) -> bool {
        self.matches(request, &[&self.trigger.browser_name])
    }

    /// Whether a slot is one of these nodes.
    pub(super) fn has(&self, slot: &Capabilities) -> bool {
        self.matches(slot, &[&self.trigger.browser_name, &self.trigger.session_browser_name])
    }

    fn matches(&self, other: &Capabilities, browsers: &[&str]) -> bool {
        // Names that are no texts match nothing.
        let text = |name: &str| match other.get(name) {
            None => Some(""),
            Some(value) => value.as_str(),
        };
        let (Some(browser), Some(version), Some(platform)) =
            (text("browserName"), text("browserVersion"), text("platformName"))
        else {
            return false;
        };
        let own_version = &self.trigger.browser_version;
        let is_version = if version.is_empty() { own_version.is_empty() } else { own_version.starts_with(version) };
        browsers.iter().any(|own| own.to_lowercase() == browser.to_lowercase())
            && is_version
            && self.platform.serves(&Platform::new(platform))
            && self.has_downloads_for(other)
            && self.has_extensions_of(other)
    }

    fn has_downloads_for(&self, other: &Capabilities) -> bool {
        let wanted = other.get(DOWNLOADS) == Some(&Value::Bool(true));
        let given = || self.capabilities.get(DOWNLOADS) == Some(&Value::Bool(true));
        !wanted || self.trigger.enable_managed_downloads || given()
    }

    /// Whether the other has all capabilities that these nodes have beyond those of browsers.
    fn has_extensions_of(&self, other: &Capabilities) -> bool {
        let own = self.capabilities.iter();
        let mut own = own.filter(|(key, _)| !EXTENSIONS.iter().any(|prefix| key.starts_with(prefix)));
        own.all(|(key, value)| other.get(key).is_some_and(|other| is_same(value, other)))
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && one.as_f64() == other.as_f64())
}
