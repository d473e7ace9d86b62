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
    let status = |observed_generation, conditions| NodeHealthPolicyStatus {
        observed_generation,
        conditions,
        ..NodeHealthPolicyStatus::default()
    };
    unreadable::<NodeHealthPolicy, _>(ctx, "policy", invalid, now, status).await;
}

/// Says of a stored network that it cannot be read, and why.
pub async fn unreadable_network(ctx: &Context, invalid: &Invalid, now: Now) {
    let status = |observed_generation, conditions| NetworkStatus {
        observed_generation,
        conditions,
        ..NetworkStatus::default()
    };
    unreadable::<Network, _>(ctx, "network", invalid, now, status).await;
}

/// Says of a stored group that it cannot be read, and why. Under a name of its own: who held the place stays as it was written,
/// for whoever can read the group again goes on from there.
pub async fn unreadable_group(ctx: &Context, invalid: &Invalid, now: Now) {
    let status = |observed_generation, conditions| FailoverGroupStatus {
        observed_generation,
        conditions,
        ..FailoverGroupStatus::default()
    };
    unreadable::<FailoverGroup, _>(ctx, "unreadable", invalid, now, status).await;
}

async fn unreadable<K, S>(
    ctx: &Context,
    controller: &'static str,
    invalid: &Invalid,
    now: Now,
    status: impl Fn(Option<i64>, Vec<Condition>) -> S,
) where
    K: kube::Resource<DynamicType = ()>,
    S: serde::Serialize + PartialEq + Sync,
{
    let status = |conditions| status(Some(invalid.generation), conditions);
    let (known, next) = (status(invalid.conditions.clone()), status(conditions(invalid, now)));
    show::<K, S>(ctx, controller, &metadata(invalid), Some(&known), &next).await;
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
