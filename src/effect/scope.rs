//! The namespaces of an installation, and what is in them.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    api::{ListParams, PartialObjectMeta},
};
use serde::de::DeserializeOwned;

/// The API of a kind in each of these namespaces; in all of them at once, if none is named.
#[must_use]
pub fn scopes<K>(client: &Client, namespaces: &[String]) -> Vec<Api<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    if namespaces.is_empty() {
        return vec![Api::all(client.clone())];
    }
    namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
}

/// The metadata of what is there. A namespace that is gone took its role with it, and whatever was in it: nothing is there,
/// and that is no reason not to go on with the others.
pub async fn listed<K>(scope: &Api<K>, params: &ListParams) -> Result<Vec<PartialObjectMeta<K>>, kube::Error>
where
    K: Clone + DeserializeOwned + Debug + Resource,
{
    match scope.list_metadata(params).await {
        Err(kube::Error::Api(status)) if status.code == 403 && scope.namespace().is_some() => {
            tracing::warn!(why = status.message, "a namespace is not ours any more: left as it is");
            Ok(Vec::new())
        }
        found => found.map(|found| found.items),
    }
}
