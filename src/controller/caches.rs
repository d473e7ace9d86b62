//! The caches: one watch of each kind, which all share.

use tokio::task::JoinSet;

use crate::serve;

use super::{
    context::{FailoverStores, Stores},
    run::named,
    watch::{Counters, Happening, Scope, WatchEnv, watch},
};

/// Where to watch.
pub fn scope(namespaces: &[String]) -> Scope {
    if namespaces.is_empty() { Scope::All } else { Scope::Namespaces(namespaces.to_vec()) }
}

/// Starts the watches: one stream per kind and namespace feeds one cache that all share.
pub fn watch_all(env: &WatchEnv, scope: &Scope, failover: bool, essential: &mut JoinSet<&'static str>) -> Stores {
    let (networks, feed_networks) = watch(env, &Scope::All);
    let (policies, feed_policies) = watch(env, scope);
    let (remediations, feed_remediations) = watch(env, scope);
    let (pods, feed_pods) = watch(env, scope);
    essential.spawn(named("watch networks", feed_networks));
    essential.spawn(named("watch policies", feed_policies));
    essential.spawn(named("watch remediations", feed_remediations));
    essential.spawn(named("watch pods", feed_pods));
    let failover = failover.then(|| {
        let (groups, feed_groups) = watch(env, scope);
        let (identities, feed_identities) = watch(env, &Scope::All);
        let (orders, feed_orders) = watch(env, scope);
        essential.spawn(named("watch groups", feed_groups));
        essential.spawn(named("watch identities", feed_identities));
        essential.spawn(named("watch orders", feed_orders));
        FailoverStores { groups, identities, orders }
    });
    Stores { networks, policies, remediations, pods, failover }
}

/// Counts the watches that began anew.
pub struct CountRestarts(pub serve::Metrics);

impl Counters for CountRestarts {
    fn count(&self, kind: &str, what: Happening) {
        // A label value is one of a closed set: the kinds that this operator watches.
        let known = [
            "pods",
            "networks",
            "nodehealthpolicies",
            "noderemediations",
            "failovergroups",
            "signingidentities",
            "signingorders",
        ];
        if matches!(what, Happening::Frozen | Happening::Failed | Happening::Listed)
            && let Some(kind) = known.into_iter().find(|known| *known == kind)
        {
            self.0.watch_restarts.get_or_create(&serve::WatchKind { kind }).inc();
        }
    }
}
