//! What a set of manifests allows the operator's service account, one line per right.
//!
//! Made to be compared with an audit log: a request that no grant covers is refused with 403, and a grant that no
//! request ever used is one too many.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;
use serde_json::Value;

/// One right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Where it holds; nowhere in particular: in the whole cluster.
    pub namespace: Option<String>,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Subresource, such as `status`.
    pub subresource: Option<String>,
    /// Verb.
    pub verb: String,
    /// The one object it holds for.
    pub resource_name: Option<String>,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, group, resource, subresource, verb, resource_name } = self;
        write!(f, "{}: {verb} {resource}", namespace.as_deref().unwrap_or("*"))?;
        if !group.is_empty() {
            write!(f, ".{group}")?;
        }
        if let Some(subresource) = subresource {
            write!(f, "/{subresource}")?;
        }
        resource_name.as_ref().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

/// Every right that roles and bindings among these manifests give to the one service account among them.
pub fn grants(manifests: &[Value]) -> BTreeSet<Grant> {
    let account = manifests.iter().find(|object| object["kind"] == "ServiceAccount").expect("a service account");
    manifests
        .iter()
        .filter(|binding| binding["subjects"].as_array().is_some_and(|all| all.iter().any(|one| is(one, account))))
        .flat_map(|binding| {
            let namespace = binding["metadata"]["namespace"].as_str();
            let role = manifests
                .iter()
                .find(|role| {
                    role["kind"] == binding["roleRef"]["kind"]
                        && role["metadata"]["name"] == binding["roleRef"]["name"]
                        && (role["kind"] == "ClusterRole" || role["metadata"]["namespace"].as_str() == namespace)
                })
                .unwrap_or_else(|| panic!("no role for {binding}"));
            role["rules"].as_array().into_iter().flatten().flat_map(move |rule| expand(rule, namespace))
        })
        .collect()
}

fn is(subject: &Value, account: &Value) -> bool {
    subject["kind"] == "ServiceAccount"
        && subject["name"] == account["metadata"]["name"]
        && subject["namespace"] == account["metadata"]["namespace"]
}

fn expand(rule: &Value, namespace: Option<&str>) -> Vec<Grant> {
    assert!(rule["nonResourceURLs"].is_null(), "the operator needs no address beside the API: {rule}");
    let names = match strings(&rule["resourceNames"]) {
        names if names.is_empty() => vec![None],
        names => names.into_iter().map(Some).collect(),
    };
    let mut grants = Vec::new();
    for group in strings(&rule["apiGroups"]) {
        for path in strings(&rule["resources"]) {
            let (resource, subresource) = match path.split_once('/') {
                Some((resource, subresource)) => (resource, Some(subresource)),
                None => (path, None),
            };
            for verb in strings(&rule["verbs"]) {
                grants.extend(names.iter().map(|name| Grant {
                    namespace: namespace.map(Into::into),
                    group: group.into(),
                    resource: resource.into(),
                    subresource: subresource.map(Into::into),
                    verb: verb.into(),
                    resource_name: name.map(Into::into),
                }));
            }
        }
    }
    grants
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().expect("a string")).collect()
}
