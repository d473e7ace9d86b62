//! What is shown of an object that this build cannot read: only its metadata is known, and that is enough for a status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};

use crate::{
    api::{
        FailoverGroup, FailoverGroupStatus, Network, NetworkStatus, NodeHealthPolicy,
        policy::NodeHealthPolicyStatus,
    },
    controller::{context::Context, watch::Invalid},
    signal::Now,
};

use super::{
    conditions::{Told, condition},
    show,
};

const MOST_TEXT: usize = 512;

/// Says of a stored policy that it cannot be read, and why.
pub async fn unreadable_policy(ctx: &Context, invalid: &Invalid, now: Now) {
    let status = |conditions| NodeHealthPolicyStatus {
        observed_generation: Some(invalid.generation),
        conditions,
        ..NodeHealthPolicyStatus::default()
    };
    let next = status(conditions(invalid, now));
    let known = status(invalid.conditions.clone());
    show::<NodeHealthPolicy, _>(ctx, "policy", &metadata(invalid), Some(&known), &next).await;
}

/// Says of a stored network that it cannot be read, and why.
pub async fn unreadable_network(ctx: &Context, invalid: &Invalid, now: Now) {
    let status = |conditions| NetworkStatus {
        observed_generation: Some(invalid.generation),
        conditions,
        ..NetworkStatus::default()
    };
    let next = status(conditions(invalid, now));
    let known = status(invalid.conditions.clone());
    show::<Network, _>(ctx, "network", &metadata(invalid), Some(&known), &next).await;
}

/// Says of a stored group that it cannot be read, and why. Under a name of its own: who held the place stays as it was written,
/// for whoever can read the group again goes on from there.
pub async fn unreadable_group(ctx: &Context, invalid: &Invalid, now: Now) {
    let status = |conditions| FailoverGroupStatus {
        observed_generation: Some(invalid.generation),
        conditions,
        ..FailoverGroupStatus::default()
    };
    let next = status(conditions(invalid, now));
    let known = status(invalid.conditions.clone());
    show::<FailoverGroup, _>(ctx, "unreadable", &metadata(invalid), Some(&known), &next).await;
}

fn conditions(invalid: &Invalid, now: Now) -> Vec<Condition> {
    let why: String = invalid.why.chars().take(MOST_TEXT).collect();
    let told = [
        Told { kind: "Ready", holds: Some(false), reason: "Invalid", message: why.clone() },
        Told { kind: "Invalid", holds: Some(true), reason: "Unreadable", message: why },
    ];
    told.map(|told| condition(&invalid.conditions, told, Some(invalid.generation), now.wall)).into()
}

fn metadata(invalid: &Invalid) -> ObjectMeta {
    let Invalid { key, uid, .. } = invalid;
    ObjectMeta {
        name: Some(key.name.clone()),
        namespace: Some(key.namespace.clone()).filter(|namespace| !namespace.is_empty()),
        uid: Some(uid.clone()),
        ..ObjectMeta::default()
    }
}
