//! What a request is about, in the words that permissions are written in.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// What is asked for: an object of an API group, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attributes<'a> {
    Resource(Resource<'a>),
    Path {
        /// `get`, `post` and so on.
        verb: String,
        path: Cow<'a, str>,
    },
}

/// The parts of `/apis/{group}/{version}/namespaces/{namespace}/{resource}/{name}/{subresource}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Resource<'a> {
    /// `list`, `get`, `create` and so on.
    pub(super) verb: &'static str,
    pub(super) group: Cow<'a, str>,
    pub(super) version: Cow<'a, str>,
    /// Empty for what belongs to the cluster.
    pub(super) namespace: Cow<'a, str>,
    pub(super) resource: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) subresource: Cow<'a, str>,
}

impl<'a> Attributes<'a> {
    /// Takes method and path apart; every path has attributes, whether something answers there or not.
    pub(super) fn of(method: &Method, path: &'a str) -> Self {
        resource(method, path).map_or_else(
            || Attributes::Path { verb: method.as_str().to_ascii_lowercase(), path: decode(path) },
            Attributes::Resource,
        )
    }

    /// Why a user may not, as the Kubernetes API says it.
    pub(super) fn refusal(&self, user: &str, reason: &str) -> String {
        let user = go_quoted(user);
        let text = match self {
            Attributes::Path { verb, path } => format!("forbidden: User {user} cannot {verb} path {}", go_quoted(path)),
            Attributes::Resource(asked) => {
                let place = if asked.namespace.is_empty() {
                    "at the cluster scope".to_owned()
                } else {
                    format!("in the namespace {}", go_quoted(&asked.namespace))
                };
                let name = if asked.name.is_empty() { String::new() } else { format!(" {}", go_quoted(&asked.name)) };
                let slash = if asked.subresource.is_empty() { "" } else { "/" };
                format!(
                    "{}.{}{name} is forbidden: User {user} cannot {} resource {} in API group {} {place}",
                    asked.resource,
                    asked.group,
                    asked.verb,
                    go_quoted(&format!("{}{slash}{}", asked.resource, asked.subresource)),
                    go_quoted(&asked.group),
                )
            }
        };
        if reason.is_empty() { escape(&text) } else { format!("{}: {reason}", escape(&text)) }
    }
}

fn resource<'a>(method: &Method, path: &'a str) -> Option<Resource<'a>> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    if parts.next()? != "apis" {
        return None;
    }
    let (group, version, first) = (decode(parts.next()?), decode(parts.next()?), parts.next()?);
    let second = parts.next();
    let (namespace, resource) = match second {
        // `namespaces/{name}` alone is the object of that name.
        Some(namespace) if first == "namespaces" => match parts.next() {
            Some(resource) => (decode(namespace), decode(resource)),
            None => return Some(named(method, group, version, (decode(namespace), first), Some(namespace), None)),
        },
        _ => return Some(named(method, group, version, (Cow::Borrowed(""), first), second, parts.next())),
    };
    let (name, subresource) = (parts.next(), parts.next());
    let asked = named(method, group, version, (namespace, ""), name, subresource);
    Some(Resource { resource, ..asked })
}

fn named<'a>(
    method: &Method,
    group: Cow<'a, str>,
    version: Cow<'a, str>,
    (namespace, resource): (Cow<'a, str>, &'a str),
    name: Option<&'a str>,
    subresource: Option<&'a str>,
) -> Resource<'a> {
    let verb = match (method.as_str(), name.is_some()) {
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        _ => "",
    };
    let [name, subresource] = [name, subresource].map(|part| decode(part.unwrap_or_default()));
    Resource { verb, group, version, namespace, resource: decode(resource), name, subresource }
}

fn decode(part: &str) -> Cow<'_, str> {
    percent_decode_str(part).decode_utf8_lossy()
}

/// A text in quotes, as the API writes names into messages.
fn go_quoted(text: &str) -> String {
    format!("{text:?}")
}

/// Names of users go into a message that a browser might show.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_lists_the_metric() {
        let path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/s0-redis%2Dlist";
        let Attributes::Resource(asked) = Attributes::of(&Method::GET, path) else { panic!("a path") };
        assert_eq!(
            (asked.verb, &*asked.namespace, &*asked.resource, &*asked.name),
            ("list", "shop", "s0-redis-list", "")
        );
        let refusal = Attributes::Resource(asked).refusal("eve", "");
        assert_eq!(
            refusal,
            "s0-redis-list.external.metrics.k8s.io is forbidden: User \"eve\" cannot list resource \"s0-redis-list\" in API \
             group \"external.metrics.k8s.io\" in the namespace \"shop\""
        );
    }

    #[test]
    fn discovery_is_a_path() {
        for path in ["/apis", "/apis/external.metrics.k8s.io", "/apis/external.metrics.k8s.io/v1beta1", "/version"] {
            let Attributes::Path { verb, path: seen } = Attributes::of(&Method::GET, path) else { panic!("{path}") };
            assert_eq!((verb.as_str(), &*seen), ("get", path));
        }
        let refusal = Attributes::of(&Method::GET, "/version").refusal("<eve>", "no role");
        assert_eq!(refusal, "forbidden: User \"&lt;eve&gt;\" cannot get path \"/version\": no role");
    }

    #[test]
    fn cluster_and_named_forms_are_resources() {
        let of = |method: Method, path| match Attributes::of(&method, path) {
            Attributes::Resource(asked) => {
                [asked.verb, &asked.namespace, &asked.resource, &asked.name, &asked.subresource].join(" ")
            }
            Attributes::Path { .. } => "path".to_owned(),
        };
        assert_eq!(of(Method::GET, "/apis/g/v1/pods"), "list  pods  ");
        assert_eq!(of(Method::DELETE, "/apis/g/v1/pods/p/log"), "delete  pods p log");
        assert_eq!(of(Method::PUT, "/apis/g/v1/namespaces/n"), "update n namespaces n ");
        assert_eq!(of(Method::PATCH, "/apis/g/v1/namespaces/n/pods/p/log"), "patch n pods p log");
    }
}
