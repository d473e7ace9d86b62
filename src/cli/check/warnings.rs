//! What would be taken, and may surprise.

use super::{Finding, Weight, object::Object};
use crate::{
    api::{Duration, FailoverGroup, Network, SigningIdentity},
    failover::split,
    policy::Policy,
};

/// Warnings about objects that are otherwise fine.
pub fn find(objects: &[Object]) -> Vec<Finding> {
    let networks: Vec<&Network> = objects.iter().filter_map(|object| object.network.as_ref()).collect();
    let mut findings = Vec::new();
    for object in objects {
        let mut warn = |path: &str, message: String| findings.push(object.finding(Weight::Warning, path, message));
        if let Some((_, policy)) = &object.policy {
            admission(&policy.network, &policy.id.namespace, &networks, &mut warn);
            ladder(policy, &mut warn);
            silence(policy, &mut warn);
        }
        if let Some(group) = &object.group {
            let namespace = group.metadata.namespace.as_deref().unwrap_or_default();
            admission(&group.spec.network, namespace, &networks, &mut warn);
            key(group, objects.iter().filter_map(|object| object.identity.as_ref()), &mut warn);
            if group.spec.notify.is_empty() {
                warn("spec.notify", "nobody hears of a failover that is blocked: name a sink of the operator's configuration, such as [oncall]".into());
            }
        }
        if let Some(identity) = &object.identity {
            chain(identity, &networks, &mut warn);
        }
        if let Some(network) = &object.network {
            let twin = |other: &&Network| {
                other.metadata.name != network.metadata.name && other.spec.chain_id == network.spec.chain_id
            };
            if let Some(twin) = networks.iter().find(|other| twin(other)) {
                let name = twin.metadata.name.as_deref().unwrap_or_default();
                let message = format!("Network/{name} has the same chainId: nobody would act on either; keep one");
                warn("spec.chainId", message);
            }
            if network.spec.allowed_namespaces.is_empty() {
                warn("spec.allowedNamespaces", "it admits no namespace: no policy may use this network".into());
            }
        }
    }
    findings
}

fn named<'a>(networks: &[&'a Network], name: &str) -> Option<&'a Network> {
    networks.iter().find(|network| network.metadata.name.as_deref() == Some(name)).copied()
}

fn admission(name: &str, namespace: &str, networks: &[&Network], warn: &mut impl FnMut(&str, String)) {
    let Some(network) = named(networks, name) else {
        return warn("spec.network", format!("Network/{name} is not in these files: not checked against it"));
    };
    let admitted = &network.spec.allowed_namespaces;
    // Without a namespace in the file, kubectl decides.
    if !namespace.is_empty() && !admitted.iter().any(|one| one == namespace) {
        let message = format!(
            "Network/{name} does not admit namespace {namespace}: nothing would be done; add it to allowedNamespaces there"
        );
        warn("spec.network", message);
    }
}

/// A key signs for the chain in its name, which is the one of its network.
fn chain(identity: &SigningIdentity, networks: &[&Network], warn: &mut impl FnMut(&str, String)) {
    let (name, of) = (identity.metadata.name.as_deref().unwrap_or_default(), &identity.spec.network);
    let (Some((chain, _)), Some(network)) = (split(name), named(networks, of)) else {
        return;
    };
    if chain != network.spec.chain_id {
        let message = format!(
            "Network/{of} is the chain {}, and this is a key of {chain}: nobody would sign; `mainstay identity FILE --chain {}` \
             prints the name",
            network.spec.chain_id, network.spec.chain_id
        );
        warn("spec.network", message);
    }
}

/// A group and its key name each other.
fn key<'a>(
    group: &FailoverGroup,
    mut identities: impl Iterator<Item = &'a SigningIdentity>,
    warn: &mut impl FnMut(&str, String),
) {
    let name = &group.spec.identity;
    let Some(identity) = identities.find(|identity| identity.metadata.name.as_ref() == Some(name)) else {
        let message = format!("SigningIdentity/{name} is not in these files: not checked against it");
        return warn("spec.identity", message);
    };
    let spec = &identity.spec;
    // Without a namespace in the file, kubectl decides.
    let elsewhere = group.metadata.namespace.as_ref().is_some_and(|namespace| *namespace != spec.namespace);
    if elsewhere || group.metadata.name.as_ref() != Some(&spec.group) || group.spec.network != spec.network {
        let message = format!(
            "SigningIdentity/{name} belongs to the group {} of namespace {} on network {}: nothing would be done; write the \
             same in both",
            spec.group, spec.namespace, spec.network
        );
        warn("spec.identity", message);
    }
}

fn ladder(policy: &Policy, warn: &mut impl FnMut(&str, String)) {
    let acts = policy.mode.acts();
    match &policy.ladder.restart {
        Some(restart) if restart.within < 60_000 => warn(
            "spec.remediation.restart.within",
            "under 60 s a node hardly has time to stop, start and make a block: write 5m or more".into(),
        ),
        None if acts && policy.ladder.is_empty() => warn(
            "spec.remediation",
            "no step is left, so nothing is ever done: write restart: {} or page: {}, or mode: Observe".into(),
        ),
        _ => {}
    }
    let ladder = &policy.ladder;
    if acts && (ladder.restart.is_some() || ladder.job.is_some() || ladder.failover.is_some()) {
        if policy.limits.max_concurrent == 0 {
            warn("spec.guard.maxConcurrent", "0 means no automatic action, whatever the mode".into());
        }
        if policy.limits.budget.iter().any(|budget| budget.actions == 0) {
            warn("spec.guard.budget", "a budget of 0 actions means no automatic action, whatever the mode".into());
        }
        if let (Some(restart), Some(_)) = (&ladder.restart, &ladder.failover)
            && let Some(limit) =
                policy.limits.budget.iter().find(|limit| limit.actions == 1 && limit.per > restart.within)
        {
            let message = format!(
                "1 action in {}: a failover that follows a restart waits for all of that; write actions: 2 or more",
                Duration::from_millis(limit.per)
            );
            warn("spec.guard.budget", message);
        }
    }
}

fn silence(policy: &Policy, warn: &mut impl FnMut(&str, String)) {
    if policy.mode.acts() && policy.sinks.is_empty() {
        let message =
            "nobody hears of what is done: name a sink of the operator's configuration, such as [oncall]";
        warn("spec.notify", message.into());
    }
    if !policy.limits.pause.is_empty() {
        warn("spec.guard.pause", "as long as a reason stands here, nothing new is started".into());
    }
}
