//! Which parts of manifests are secrets, and must not be shown where their lines are.

use keda_core::manifest::{Document, Loaded, Node, Span, Value};
use keda_scalers::review::is_secret_value;

/// The places of all secrets, each with its source. A line can belong to several objects.
pub(crate) struct Hidden(Vec<(usize, Span)>);

impl Hidden {
    /// Those of everything that was loaded.
    pub(crate) fn of(loaded: &Loaded) -> Self {
        let mut hidden = Vec::new();
        for document in &loaded.documents {
            let mut spans = Vec::new();
            match document.kind.to_lowercase().as_str() {
                "secret" => of_secret(document, &mut spans),
                "scaledobject" | "scaledjob" => of_triggers(document, &mut spans),
                "triggerauthentication" | "clustertriggerauthentication" => of_authentication(document, &mut spans),
                _ => {}
            }
            hidden.extend(spans.into_iter().map(|span| (document.origin.source, span)));
        }
        // The later ones first: those before a value that is replaced keep their place.
        hidden.sort_by_key(|(source, span)| std::cmp::Reverse((*source, span.start, span.end)));
        hidden.dedup();
        Hidden(hidden)
    }

    /// Whether a place is a secret.
    pub(crate) fn contains(&self, place: (usize, Span)) -> bool {
        self.0.contains(&place)
    }

    /// All places, the later ones first.
    pub(crate) fn places(&self) -> &[(usize, Span)] {
        &self.0
    }
}

/// Every value of a Secret, and what annotations repeat of it.
fn of_secret(document: &Document, spans: &mut Vec<Span>) {
    for entry in document.node.entries() {
        match entry.key.as_str() {
            "apiVersion" | "kind" | "type" => {}
            "metadata" => {
                let names = ["name", "namespace"];
                let others = entry.value.entries().iter().filter(|field| !names.contains(&field.key.as_str()));
                others.for_each(|field| scalars(&field.value, spans));
            }
            _ => scalars(&entry.value, spans),
        }
    }
}

/// Passwords that stand in the metadata of triggers.
fn of_triggers(document: &Document, spans: &mut Vec<Span>) {
    let triggers = document.node.get("spec").and_then(|spec| spec.get("triggers"));
    for trigger in triggers.map(Node::items).unwrap_or_default() {
        let kind = trigger.text_at(&["type"]).unwrap_or_default();
        for entry in trigger.get("metadata").map(Node::entries).unwrap_or_default() {
            let text = entry.value.as_str().map_or_else(|| entry.value.to_json().to_string(), str::to_string);
            if is_secret_value(kind, &entry.key, &text) {
                scalars(&entry.value, spans);
            }
        }
    }
}

/// The token for a vault.
fn of_authentication(document: &Document, spans: &mut Vec<Span>) {
    let vault = document.node.get("spec").and_then(|spec| spec.get("hashiCorpVault"));
    let credential = vault.and_then(|vault| vault.get("credential"));
    if let Some(token) = credential.and_then(|credential| credential.get("token")) {
        scalars(token, spans);
    }
}

fn scalars(node: &Node, spans: &mut Vec<Span>) {
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| scalars(item, spans)),
        Value::Mapping(entries) => entries.iter().for_each(|entry| scalars(&entry.value, spans)),
        Value::Null if node.span.start == node.span.end => {}
        _ => spans.push(node.span),
    }
}
