//! Paths of requests to the API server.
//!
//! What stands in them comes from objects that tenants write: names, versions, selectors. Requests are sent with the
//! operator's rights, so that none of it may lead anywhere else than to its own place in a path. Every segment is
//! checked and encoded here, and requests of [`Cluster`](super::Cluster) take no other paths. Watches and reviews go
//! through the library; nothing that a tenant writes stands in theirs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use super::client::{ApiError, ApiErrorKind};

/// What is encoded in a segment: all that could mean something in a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path of the API. Like the builder of a request it keeps the first fault and tells it when it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPath(Result<String, String>);

impl ApiPath {
    /// Where the resources of a version are listed; the core group is empty.
    pub fn version(group: &str, version: &str) -> Self {
        let root = |root: &str| ApiPath(Ok(root.to_string()));
        if group.is_empty() { root("/api").below(version) } else { root("/apis").below(group).below(version) }
    }

    /// One segment further.
    #[must_use]
    pub fn below(self, segment: &str) -> Self {
        ApiPath(self.0.and_then(|path| match fault(segment) {
            Some(fault) => Err(format!("{segment:?} cannot be the name of anything in Kubernetes: it {fault}")),
            None => Ok(format!("{path}/{}", utf8_percent_encode(segment, ENCODED))),
        }))
    }

    /// With options, such as a selector.
    #[must_use]
    pub fn query(self, options: &[(&str, &str)]) -> Self {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(options).finish();
        ApiPath(self.0.map(|path| format!("{path}?{query}")))
    }

    /// The path as it is sent.
    ///
    /// # Errors
    /// That there can be no such place, which is answered as if there were nothing.
    pub(super) fn text(&self) -> Result<&str, ApiError> {
        let missing = |fault: &String| ApiError { kind: ApiErrorKind::NotFound, message: fault.clone() };
        self.0.as_deref().map_err(missing)
    }
}

/// What keeps a text from being a segment: the rules of Kubernetes for names that stand in paths. Servers decode an
/// encoded slash before they look for segments, so that encoding alone would not do.
fn fault(segment: &str) -> Option<&'static str> {
    match segment {
        "" => Some("is empty"),
        "." | ".." => Some("may not be '.' or '..'"),
        _ if segment.contains(['/', '%']) => Some("may not contain '/' or '%'"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &ApiPath) -> &str {
        path.text().unwrap()
    }

    #[test]
    fn segments_and_options_make_a_path() {
        let pods = ApiPath::version("", "v1").below("namespaces").below("shop").below("pods");
        assert_eq!(text(&pods), "/api/v1/namespaces/shop/pods");
        let selected = pods.query(&[("labelSelector", "app in (a,b)&limit=1#"), ("limit", "500")]);
        let expected = "/api/v1/namespaces/shop/pods?labelSelector=app+in+%28a%2Cb%29%26limit%3D1%23&limit=500";
        assert_eq!(text(&selected), expected);
    }

    #[test]
    fn no_segment_leaves_its_place() {
        let place = || ApiPath::version("apps", "v1").below("deployments");
        for name in ["", ".", "..", "a/b", "/", "../../secrets", "a%2Fb", "%2e%2e", "v1/namespaces/other"] {
            let path = place().below(name).below("scale");
            let error = path.text().unwrap_err();
            assert_eq!(error.kind, ApiErrorKind::NotFound, "{name}");
            assert!(error.message.starts_with(&format!("{name:?} cannot be")), "{error}");
        }
        for (name, encoded) in [
            ("web?x=", "web%3Fx%3D"),
            ("web#", "web%23"),
            ("a b\r\nc", "a%20b%0D%0Ac"),
            ("a\\b;c", "a%5Cb%3Bc"),
            ("system:web", "system%3Aweb"),
            ("ü", "%C3%BC"),
            ("...", "..."),
        ] {
            assert_eq!(text(&place().below(name).below("scale")), format!("/apis/apps/v1/deployments/{encoded}/scale"));
        }
    }

    #[test]
    fn the_first_fault_is_told() {
        let path = ApiPath::version("apps/v1/x", "..").below("").query(&[("limit", "1")]);
        assert!(path.text().unwrap_err().message.starts_with("\"apps/v1/x\""));
    }
}
