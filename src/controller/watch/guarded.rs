//! An object of a list or a watch that may not be what its type says.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, de::Error};

use kube::Resource;

use super::{Invalid, Key, Kind};
use crate::api::GROUP;

/// One object: which it is, and what it says or why that cannot be read.
///
/// kube's `DeserializeGuard` does the same by way of a generic value that it copies whole for each object, and wants
/// a `Resource` with full metadata.
pub(super) struct Guarded<K> {
    pub head: Head,
    pub object: Result<Arc<K>, Arc<Invalid>>,
}

/// Which object, and which version of it.
#[derive(Clone)]
pub(super) struct Head {
    pub key: Key,
    pub uid: String,
    pub version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    generation: i64,
}

// By hand: the derive would want `K: Clone`.
impl<K> Clone for Guarded<K> {
    fn clone(&self) -> Self {
        Self { head: self.head.clone(), object: self.object.clone() }
    }
}

impl<'de, K: Kind> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut raw = serde_json::Value::deserialize(deserializer)?;
        // Nobody here reads them, and they are the larger part of many an object.
        if let Some(metadata) = raw.get_mut("metadata").and_then(|metadata| metadata.as_object_mut()) {
            metadata.remove("managedFields");
        }
        let metadata = raw.get("metadata").ok_or_else(|| Error::missing_field("metadata"))?;
        let metadata = Metadata::deserialize(metadata).map_err(Error::custom)?;
        let Metadata { name, namespace, uid, resource_version, generation } = metadata;
        let key = Key { namespace, name };
        let shown = raw.pointer("/status/conditions").cloned();
        let object = read(raw).map(Arc::new).map_err(|why| {
            let (key, uid, resource_version) = (key.clone(), uid.clone(), resource_version.clone());
            // For display only: conditions that cannot be read either are written anew.
            let conditions = shown.and_then(|shown| serde_json::from_value(shown).ok()).unwrap_or_default();
            Arc::new(Invalid { key, uid, resource_version, generation, why, conditions })
        });
        Ok(Self { head: Head { key, uid, version: resource_version }, object })
    }
}

/// Reads an object. One of ours with a field that this build does not know was written for another build: to act on
/// the rest of it would be to ignore, say, a guard.
fn read<K: Kind>(raw: serde_json::Value) -> Result<K, String> {
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(path.to_string());
    let object = serde_path_to_error::deserialize(serde_ignored::Deserializer::new(raw, &mut note))
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    let ours = K::Served::group(&()) == GROUP;
    match unknown.iter().find(|path| ours && path.starts_with("spec.")) {
        Some(path) => Err(format!(
            "{path}: this version of Mainstay does not know the field: upgrade it, or remove the field"
        )),
        None => Ok(object),
    }
}
