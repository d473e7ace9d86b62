//! Whether a namespace is on its way out.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, core::PartialObjectMeta};

use super::{Failed, Outcome, Verb};
use crate::controller::clients::{DEADLINE, deadline};

/// Whether a namespace is being deleted, or gone. Nothing is to be made or begun there: the API server refuses new objects,
/// and whoever began to sign would be killed.
pub async fn is_leaving(actuator: &Client, name: &str) -> Result<bool, Failed> {
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(actuator.clone());
    let read = deadline(DEADLINE, namespaces.get(name)).await;
    match read.map_err(|error| Failed::of("read a namespace", Verb::Read, &error)) {
        Ok(found) => Ok(found.metadata.deletion_timestamp.is_some()),
        Err(Failed { outcome: Outcome::Gone, .. }) => Ok(true),
        // Granted with failover.enabled since it is asked; without it the API server still refuses what is made there.
        Err(Failed { outcome: Outcome::Refused(_), .. }) => Ok(false),
        Err(failed) => Err(failed),
    }
}
