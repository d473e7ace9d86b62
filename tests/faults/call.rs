//! What a request means to Kubernetes, read from its method and URL the way kube-apiserver reads it.

use http::Method;
use reqwest::Url;

/// A request's verb, as an RBAC rule would name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object, or anything read outside the resource tree (`/version`, discovery).
    Get,
    /// A collection.
    List,
    /// A stream of events.
    Watch,
    /// `POST`, also of a subresource such as `pods/eviction`.
    Create,
    /// `PUT`.
    Update,
    /// `PATCH`, server-side apply included.
    Patch,
    /// One object.
    Delete,
    /// A collection at once.
    DeleteCollection,
}

/// A request in Kubernetes' own terms. Outside the resource tree every field but `verb` and `path` is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The verb.
    pub verb: Verb,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, such as `pods`.
    pub resource: String,
    /// The subresource, such as `eviction`.
    pub subresource: Option<String>,
    /// The namespace; `None` for cluster-scoped resources and across all namespaces.
    pub namespace: Option<String>,
    /// The object's name, also when a list or a watch pins it with `metadata.name=`.
    pub name: Option<String>,
    /// Path and query as they came.
    pub path: String,
}

impl Call {
    /// Reads a request. Names are taken as they stand in the path, without percent-decoding.
    pub fn read(method: &Method, path_and_query: &str) -> Self {
        let query = Query::of(path_and_query);
        let path = path_and_query.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (group, rest) = match segments.as_slice() {
            ["api", _version, rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => ("", &[][..]),
        };
        // `/namespaces/x/pods` is inside a namespace; `/namespaces/x` and its own two subresources are the namespace.
        let (namespace, rest) = match rest {
            ["namespaces", _, "status" | "finalize"] | ["namespaces", _] => (None, rest),
            ["namespaces", namespace, rest @ ..] => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let part = |at: usize| rest.get(at).map(ToString::to_string);
        let named = rest.len() > 1;
        Self {
            verb: verb(method, named, !rest.is_empty(), &query),
            group: group.to_owned(),
            resource: part(0).unwrap_or_default(),
            subresource: part(2),
            namespace: namespace.map(str::to_owned),
            name: part(1).or_else(|| query.pinned_name()),
            path: path_and_query.to_owned(),
        }
    }

    /// Whether the answer goes on for as long as somebody listens, so that it must never be waited for as a whole.
    pub fn streams(&self) -> bool {
        self.verb == Verb::Watch || self.subresource.as_deref() == Some("log")
    }

    /// Whether this asks for a later page of a list.
    pub fn is_later_page(&self) -> bool {
        Query::of(&self.path).get("continue").is_some_and(|token| !token.is_empty())
    }

    /// What is read, whatever page size or resource version it is asked for with.
    pub fn selection(&self) -> String {
        let query = Query::of(&self.path);
        let selector = |name| query.get(name).unwrap_or_default();
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{path} {} {}", selector("labelSelector"), selector("fieldSelector"))
    }
}

fn verb(method: &Method, named: bool, is_resource: bool, query: &Query) -> Verb {
    match *method {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if named => Verb::Delete,
        Method::DELETE => Verb::DeleteCollection,
        _ if named || !is_resource => Verb::Get,
        _ if query.is_set("watch") => Verb::Watch,
        _ => Verb::List,
    }
}

/// A decoded query string.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(path_and_query: &str) -> Self {
        let pairs = Url::parse("http://apiserver")
            .and_then(|base| base.join(path_and_query))
            .map(|url| url.query_pairs().into_owned().collect());
        Self(pairs.unwrap_or_default())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Kubernetes reads a flag without a value as true.
    fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, "0" | "false"))
    }

    fn pinned_name(&self) -> Option<String> {
        let selector = self.get("fieldSelector")?;
        selector.split(',').find_map(|term| term.strip_prefix("metadata.name=")).map(str::to_owned)
    }
}
