//! When which group is looked at.

use std::{collections::BTreeSet, sync::Arc};

use kube::ResourceExt;
use tokio_util::sync::CancellationToken;

use super::{
    super::{context::Context, watch::Key},
    choose, memory, strays,
};

/// Looks at every group when any group, identity, order or pod of a member changes: there are few of them.
pub async fn follow(ctx: Arc<Context>, stop: CancellationToken) {
    let Some(stores) = ctx.stores.failover.as_ref() else { return };
    let (mut groups, mut identities) = (stores.groups.subscribe(), stores.identities.subscribe());
    let (mut orders, mut pods) = (stores.orders.subscribe(), ctx.stores.pods.subscribe());
    while !stop.is_cancelled() {
        let concerns = tokio::select! {
            () = stop.cancelled() => false,
            _ = groups.changed() => true,
            _ = identities.changed() => true,
            _ = orders.changed() => true,
            changed = pods.changed() => changed.iter().any(|pod| is_member(&ctx, pod)),
        };
        if concerns {
            wake_all(&ctx);
        }
    }
}

pub(super) fn is_member(ctx: &Context, pod: &Key) -> bool {
    let groups = ctx.stores.failover.iter().flat_map(|stores| stores.groups.list());
    let mut here = groups.filter(|group| group.metadata.namespace.as_deref() == Some(&pod.namespace));
    here.any(|group| group.spec.members.iter().any(|member| choose::pod_of(member) == pod.name))
}

/// Puts every group on the queue.
pub fn wake_all(ctx: &Context) {
    let Some(stores) = ctx.stores.failover.as_ref() else { return };
    let now = ctx.clock.mono();
    let key = |namespace: &str, name: &str| Key { namespace: namespace.to_owned(), name: name.to_owned() };
    let groups = stores.groups.list().into_iter();
    let groups = groups.map(|group| key(&group.namespace().unwrap_or_default(), &group.name_any()));
    // A group that is gone may have left a signer.
    let named = stores.identities.list().into_iter().map(|of| key(&of.spec.namespace, &of.spec.group));
    // What cannot be read is there all the same.
    let invalid = stores.groups.invalid().into_iter().map(|invalid| invalid.key.clone());
    let strays = strays::keys(ctx);
    let all: BTreeSet<Key> = groups.chain(named).chain(invalid).chain(strays).collect();
    memory::retain(ctx, &all);
    for group in all {
        ctx.queues.groups.push(group, now);
    }
}
