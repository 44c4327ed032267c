//! Secrets as they are used: decoded, and never printed.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::node::Node;
use crate::api::ObjectMeta;
use crate::problem::{Path, Problem};
use crate::rule;

/// A Secret with its data decoded.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The values by key; `stringData` wins over `data`.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl Secret {
    /// Decodes the data of a Secret in JSON; values that are not base64 are left out, [`check`] reports them.
    pub fn from_json(json: &Json) -> Self {
        let metadata = json.get("metadata").cloned().and_then(|value| serde_json::from_value(value).ok());
        let mut data = BTreeMap::new();
        for (key, text) in texts(json, "data") {
            if let Some(bytes) = decode(text) {
                data.insert(key.clone(), bytes);
            }
        }
        for (key, text) in texts(json, "stringData") {
            data.insert(key.clone(), text.as_bytes().to_vec());
        }
        Secret { metadata: metadata.unwrap_or_default(), data }
    }

    /// A value as text, if it is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.data.keys().collect();
        f.debug_struct("Secret").field("name", &self.metadata.name).field("keys", &keys).finish_non_exhaustive()
    }
}

/// The values of a Secret's `data` that are not base64.
pub(super) fn check(document: &Node) -> Vec<Problem> {
    let path = Path::root().key("data");
    let entries = document.get("data").map(Node::entries).unwrap_or_default();
    let broken = entries.iter().filter(|entry| entry.value.as_str().is_some_and(|text| decode(text).is_none()));
    broken
        .take(100)
        .map(|entry| {
            Problem::error(rule::NOT_BASE64, path.key(&entry.key), "the value is not base64")
                .with_help("encode it, or move it to stringData")
        })
        .collect()
}

fn texts<'a>(json: &'a Json, field: &str) -> impl Iterator<Item = (&'a String, &'a str)> {
    let entries = json.get(field).and_then(Json::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| value.as_str().map(|text| (key, text)))
}

/// Standard base64; line breaks are skipped, as in Go.
fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.contains(['\r', '\n']) {
        return STANDARD.decode(text).ok();
    }
    STANDARD.decode(text.replace(['\r', '\n'], "")).ok()
}
