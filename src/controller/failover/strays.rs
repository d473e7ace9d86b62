//! Orders that no group looks at: whoever gave one has mistyped the identity, or its group is gone or cannot be read. Nobody may
//! wait without a word.

use crate::{api::OrderOutcome, effect::Failed};

use super::{Context, Key, RETRY, order};

/// The name of no group: stands for the orders of a namespace that are nobody's.
pub const NOBODY: &str = "";

/// Answers the orders of a namespace that no group looks at. Returns when it wants to be asked again (milliseconds).
pub async fn reconcile(ctx: &Context, namespace: &str) -> Option<u64> {
    match answer(ctx, namespace).await {
        Ok(left) => left.then_some(RETRY),
        Err(failed) => {
            tracing::warn!(namespace, %failed, "could not answer an order that no group looks at");
            Some(RETRY)
        }
    }
}

/// The namespaces with orders that no group looks at.
pub fn keys(ctx: &Context) -> Vec<Key> {
    let Some(stores) = ctx.stores.failover.as_ref() else { return Vec::new() };
    // A group that was not listed yet is not missing.
    if !stores.groups.is_ready() {
        return Vec::new();
    }
    let groups = stores.groups.list();
    let is_looked_at = |namespace: &str, identity: &str| {
        groups.iter().any(|of| of.metadata.namespace.as_deref() == Some(namespace) && of.spec.identity == identity)
    };
    let orders = stores.orders.list().into_iter().filter(|order| order::is_open(order));
    let stray = orders.filter_map(|order| {
        let namespace = order.metadata.namespace.clone()?;
        (!is_looked_at(&namespace, &order.spec.identity)).then(|| Key { namespace, name: NOBODY.into() })
    });
    stray.collect()
}

/// Whether some were too young to be answered.
async fn answer(ctx: &Context, namespace: &str) -> Result<bool, Failed> {
    let Some(stores) = ctx.stores.failover.as_ref().filter(|stores| stores.groups.is_ready()) else {
        return Ok(true);
    };
    let here = stores.groups.list().into_iter().filter(|of| of.metadata.namespace.as_deref() == Some(namespace));
    let groups: Vec<_> =
        here.map(|of| (of.metadata.name.clone().unwrap_or_default(), of.spec.identity.clone())).collect();
    let broken = stores.groups.invalid();
    let broken: Vec<_> =
        broken.iter().filter(|of| of.key.namespace == namespace).map(|of| of.key.name.as_str()).collect();
    let mut young = false;
    for cached in stores.orders.list() {
        let identity = &cached.spec.identity;
        let (Some(name), true) = (&cached.metadata.name, cached.metadata.namespace.as_deref() == Some(namespace))
        else {
            continue;
        };
        let Some(why) = stray(namespace, identity, &groups, &broken).filter(|_| order::is_open(&cached)) else {
            continue;
        };
        // Its owner answers it.
        if stores.identities.get("", identity).is_some_and(|of| ctx.is_foreign(&of.spec.network)) {
            continue;
        }
        if order::is_young(&cached, ctx.now().server) {
            young = true;
        } else if let Some(live) = order::read_open(ctx, namespace, name, identity).await? {
            order::answer(ctx, &live, OrderOutcome::Refused, why, None).await?;
        }
    }
    Ok(young)
}

/// Why an order about this identity is nobody's, if it is: by the groups of its namespace, and those that cannot be read.
fn stray(namespace: &str, identity: &str, groups: &[(String, String)], broken: &[&str]) -> Option<String> {
    if groups.iter().any(|(_, of)| of == identity) {
        return None;
    }
    let mut all: Vec<_> = groups.iter().map(|(name, of)| format!("{name} has {of}")).collect();
    all.extend(broken.iter().map(|name| format!("{name} cannot be read, `kubectl describe fog {name}` says why")));
    let all = if all.is_empty() { "there is none".into() } else { all.join("; ") };
    let advice = if broken.is_empty() {
        "order by a group's name, as `mainstay failover GROUP` does"
    } else {
        "mend what cannot be read, and order again"
    };
    Some(format!(
        "no FailoverGroup of the namespace {namespace} that can be read has the identity {identity}, so nobody carries this out: \
         {all}: {advice}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_about_an_identity_that_no_group_has_is_told_who_has_which() {
        let groups = [("val".to_owned(), "hub-1.aa".to_owned())];
        assert_eq!(stray("cosmos", "hub-1.aa", &groups, &[]), None);
        let why = stray("cosmos", "hub-1.ab", &groups, &["odd"]).unwrap();
        assert!(why.contains("the identity hub-1.ab") && why.contains("val has hub-1.aa"), "{why}");
        assert!(why.contains("odd cannot be read"), "{why}");
        assert!(stray("cosmos", "hub-1.ab", &[], &[]).unwrap().contains("there is none"));
    }
}
