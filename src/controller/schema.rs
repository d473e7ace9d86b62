//! Which schema the cluster has. An operator that meets an older one than its own only observes, and says so.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt, core::PartialObjectMeta};

use crate::api::{SCHEMA, SCHEMA_ANNOTATION};

use super::clients::{DEADLINE, deadline};

/// The custom resources that must be there.
const NAMES: [&str; 4] = [
    "networks.mainstay.dev",
    "networkledgers.mainstay.dev",
    "nodehealthpolicies.mainstay.dev",
    "noderemediations.mainstay.dev",
];

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// At least as new as this build.
    Current,
    /// There, but older.
    Older(String),
    /// Not there, or not readable.
    Missing(String),
}

/// Asks the cluster for its schema.
pub async fn ask(client: &Client) -> Schema {
    let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client.clone());
    for name in NAMES {
        let found = match deadline(DEADLINE, api.get(name)).await {
            Ok(found) => found,
            Err(error) => return Schema::Missing(format!("CustomResourceDefinition {name}: {error}")),
        };
        let version = found.annotations().get(SCHEMA_ANNOTATION).and_then(|version| version.parse::<u32>().ok());
        if version.is_none_or(|version| version < SCHEMA) {
            let version = version.map_or("none".to_owned(), |version| version.to_string());
            return Schema::Older(format!("{name} has schema {version}, this operator writes {SCHEMA}"));
        }
    }
    Schema::Current
}
