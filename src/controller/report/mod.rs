//! Tells people: status, Events, metrics and notices. Nothing here is ever read back for a decision.

mod conditions;
mod counters;
mod network;
mod policy;
mod remediation;
mod unreadable;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::context::Context;
use crate::effect::status::{StatusRef, apply};

pub use conditions::{Told, condition};
pub use counters::{effect, reconcile_error, refusal};
pub use network::{invalid_network, network};
pub use policy::{invalid, policy, policy_status};
pub use remediation::{ask, journal_status, labels, proposed, reference, transition};

pub use unreadable::{unreadable_group, unreadable_network, unreadable_policy};

/// A wall time for notices.
#[must_use]
pub fn timestamp(at: crate::signal::Wall) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Writes a status, if it says anything that the cache does not. That it could not be written changes nothing: it is
/// for display, and the next look writes it.
pub(in crate::controller) async fn show<K, S>(
    ctx: &Context,
    controller: &'static str,
    object: &ObjectMeta,
    cached: Option<&S>,
    status: &S,
) where
    K: kube::Resource<DynamicType = ()>,
    S: serde::Serialize + PartialEq + Sync,
{
    let (Some(name), Some(uid)) = (object.name.clone(), object.uid.clone()) else { return };
    let of = StatusRef { namespace: object.namespace.clone(), name, uid };
    if let Err(error) = apply::<K, S>(&ctx.clients.actuator, controller, &of, status, cached).await {
        tracing::warn!(controller, name = of.name, %error, "could not show a status");
        reconcile_error(&ctx.metrics, controller, "status");
    }
}
