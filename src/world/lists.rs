//! What is in the world, and how it is.

use std::{collections::BTreeMap, sync::Arc};

use super::{Key, PodView, TargetKey, World, view};
use crate::{
    judge::VerdictKind,
    policy::{NetworkPlan, Policy},
    signal::{Mono, Reading, Signal, Unknown},
};

impl World {
    /// The policy of this uid, as it is run.
    #[must_use]
    pub fn policy(&self, uid: &str) -> Option<Arc<Policy>> {
        self.policies.values().map(|entry| &entry.policy).find(|policy| policy.id.uid == uid).cloned()
    }

    /// Every policy.
    #[must_use]
    pub fn policies(&self) -> Vec<Key> {
        self.policies.keys().cloned().collect()
    }

    /// How many targets have which verdict, over all policies.
    #[must_use]
    pub fn verdicts(&self) -> BTreeMap<VerdictKind, u32> {
        let mut counts = BTreeMap::new();
        for target in self.policies.values().flat_map(|entry| entry.targets.values()) {
            *counts.entry(target.state.verdict().kind).or_default() += 1;
        }
        counts
    }

    /// What is known of a signal of a target now.
    #[must_use]
    pub fn read(&self, key: &TargetKey, signal: Signal, now: Mono) -> Reading {
        let entry = self.policies.get(&key.policy);
        let target = entry.and_then(|entry| Some((entry, entry.targets.get(&key.uid)?)));
        target.map_or(Reading::Unknown(Unknown::NotYet), |(entry, target)| {
            target.state.read(signal, &view(&self.networks, &entry.policy, &key.uid, now), now)
        })
    }

    /// The pods of a policy: their names and uids.
    #[must_use]
    pub fn pods_of(&self, policy: &Key) -> Vec<(String, String)> {
        let targets = self.policies.get(policy).into_iter().flat_map(|entry| entry.targets.values());
        targets.map(|target| (target.pod.name.clone(), target.pod.uid.clone())).collect()
    }

    /// Every network.
    #[must_use]
    pub fn networks(&self) -> Vec<Arc<NetworkPlan>> {
        self.networks.values().map(|entry| Arc::clone(&entry.plan)).collect()
    }
}

/// A policy selects in its own namespace only: with thousands of each, nobody looks through all pods for each policy.
pub(super) fn by_namespace(pods: &[Arc<PodView>]) -> BTreeMap<&str, Vec<&Arc<PodView>>> {
    let mut by_namespace: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for pod in pods {
        by_namespace.entry(pod.namespace.as_str()).or_default().push(pod);
    }
    by_namespace
}

/// Whether a policy is about this pod.
pub(super) fn selects(policy: &Policy, pod: &PodView) -> bool {
    pod.namespace == policy.id.namespace && !pod.finished && policy.selector.matches(&pod.labels)
}
