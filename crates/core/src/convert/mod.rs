//! From the objects of KEDA 1 to those of KEDA 2.
//!
//! Objects of the group `keda.k8s.io` are converted, all others are passed on as they are. What KEDA 1 would have
//! refused becomes a finding; what the user should know of an object that was converted becomes a [`Note`].

mod authentication;
mod comments;
mod draft;
mod scaled_object;
#[cfg(test)]
mod tests;
mod triggers;

use serde_json::{Map, Value as Json};

use crate::manifest::{Document, Kind, Loaded, Location, Node, Value};
use crate::problem::{Path, Target};
use crate::rule;
use draft::Draft;

const API_VERSION: &str = "keda.sh/v1alpha1";

/// What KEDA 1 kept an object alive with; nobody would take it away from an object of KEDA 2.
const FINALIZER: &str = "finalizer.keda.k8s.io";

/// What a cluster adds to the metadata of an object.
const ADDED_BY_CLUSTERS: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// Where `kubectl apply` keeps what it was given.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The objects of KEDA 2, and what there is to say about them.
#[derive(Debug, Default)]
pub struct Conversion {
    /// All objects, in the order of the sources.
    pub objects: Vec<Json>,
    /// How many of them were KEDA 1's.
    pub converted: usize,
    /// In the order of the sources.
    pub notes: Vec<Note>,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub location: Location,
    /// The same inside of the object.
    pub path: Path,
    /// What has changed, in one sentence without a full stop; never holds a secret.
    pub text: String,
    /// Whether the user has to do something.
    pub is_to_do: bool,
}

/// Converts what was loaded. Of its findings only those are kept that matter here, and those of the conversion are
/// added; with an error among them the objects are of no use.
pub fn convert(loaded: &mut Loaded) -> Conversion {
    keep_what_matters(loaded);
    let mut conversion = Conversion::default();
    for index in 0..loaded.documents.len() {
        let Some(document) = loaded.documents.get(index) else { continue };
        if !is_keda_1(document) {
            conversion.objects.push(unchanged(document));
            continue;
        }
        let mut draft = Draft::default();
        conversion.objects.push(converted(document, &mut draft));
        conversion.converted += 1;
        let notes = draft.remarks.into_iter().filter_map(|remark| {
            let location = loaded.locate(document, &remark.path, Target::Key)?;
            Some(Note { location, path: remark.path, text: remark.text, is_to_do: remark.is_to_do })
        });
        conversion.notes.extend(notes);
        loaded.report(index, draft.problems);
    }
    conversion.notes.extend(comments::lost(loaded));
    conversion.notes.sort_by_key(|note| (note.location.source, note.location.start));
    loaded.findings.sort_by_key(|finding| (finding.location.source, finding.location.start));
    conversion
}

/// Whether an object is KEDA 1's.
fn is_keda_1(document: &Document) -> bool {
    document.api_version.starts_with("keda.k8s.io/")
}

/// Leaves out that there are objects of KEDA 1, and what is wrong with objects that are passed on. What is no object,
/// and a key that is there twice, cannot be passed on as it is.
fn keep_what_matters(loaded: &mut Loaded) {
    let documents = &loaded.documents;
    loaded.findings.retain(|finding| {
        let Some(document) = finding.document.and_then(|index| documents.get(index)) else { return true };
        let rule = finding.problem.rule;
        match is_keda_1(document) {
            true => rule != rule::KEDA_1_MANIFEST,
            false => rule == rule::DUPLICATE_KEY || !matches!(document.node.value, Value::Mapping(_)),
        }
    });
}

/// An object as it is; what it has from its list is written down.
fn unchanged(document: &Document) -> Json {
    let json = document.node.to_json();
    match json {
        Json::Object(fields) if !fields.contains_key("apiVersion") && !document.api_version.is_empty() => {
            let mut object = Map::new();
            object.insert("apiVersion".into(), document.api_version.clone().into());
            object.insert("kind".into(), document.kind.clone().into());
            object.extend(fields);
            Json::Object(object)
        }
        json => json,
    }
}

fn converted(document: &Document, draft: &mut Draft) -> Json {
    let node = &document.node;
    match document.kind.as_str() {
        "ScaledObject" => scaled_object::convert(node, draft),
        "TriggerAuthentication" => authentication::convert(node, draft),
        kind => {
            // Of other names the loader has said that they are no kinds.
            if Kind::keda_api_version(kind).is_some() {
                draft.error(rule::UNKNOWN_KIND, Path::root().key("kind"), format!("KEDA 1 had no kind {kind:?}"));
            }
            Json::Null
        }
    }
}

/// The whole object around a converted `spec`.
fn object(node: &Node, kind: &str, spec: &Json, draft: &mut Draft) -> Json {
    let mut object = Map::new();
    if draft::given(node, "apiVersion").is_none() || draft::given(node, "kind").is_none() {
        object.insert("apiVersion".into(), API_VERSION.into());
        object.insert("kind".into(), kind.into());
    }
    for entry in draft.fields(node, &Path::root()) {
        let value = match entry.key.as_str() {
            "apiVersion" => API_VERSION.into(),
            "kind" => kind.into(),
            "metadata" => metadata(&entry.value, draft),
            "spec" => spec.clone(),
            "status" => continue,
            _ => entry.value.to_json_without_nulls(),
        };
        object.insert(entry.key.clone(), value);
    }
    Json::Object(object)
}

/// The metadata without what KEDA 1 and the cluster have added.
fn metadata(node: &Node, draft: &mut Draft) -> Json {
    let path = Path::root().key("metadata");
    let mut metadata = Map::new();
    let mut added = false;
    for entry in draft.fields(node, &path) {
        let key = entry.key.as_str();
        let mut value = entry.value.to_json_without_nulls();
        let place = path.key(key);
        let is_left_over = match (key, &mut value) {
            ("labels", Json::Object(labels)) => {
                if labels.shift_remove("deploymentName").is_some() {
                    draft.note(
                        place.key("deploymentName"),
                        "the label deploymentName is left out: KEDA 2 does not need it",
                    );
                }
                labels.is_empty()
            }
            ("annotations", Json::Object(annotations)) => {
                added |= annotations.shift_remove(LAST_APPLIED).is_some();
                annotations.is_empty()
            }
            ("finalizers", Json::Array(finalizers)) => {
                let before = finalizers.len();
                finalizers.retain(|finalizer| finalizer != FINALIZER);
                added |= finalizers.len() < before;
                finalizers.is_empty()
            }
            _ if ADDED_BY_CLUSTERS.contains(&key) => {
                added = true;
                true
            }
            _ => false,
        };
        if !is_left_over {
            metadata.insert(key.into(), value);
        }
    }
    if added {
        draft.note(path, "what KEDA 1 and the cluster have added to the object is left out");
    }
    Json::Object(metadata)
}
