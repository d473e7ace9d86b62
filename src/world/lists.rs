//! What is in the world, and how it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Key, PodView, TargetKey, World, view};
use crate::{
    api::policy::Role,
    judge::VerdictKind,
    policy::{NetworkPlan, Policy, SourceKind},
    signal::{Mono, Reading, Signal, Testimony, Unknown},
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

    /// When a node of this network last told that the chain will never let its key sign again. Whoever may write a policy may
    /// point most sources anywhere; only the chain's own answer through the node of a validator is believed.
    #[must_use]
    pub fn punished(&self, network: &str, key: &TargetKey, now: Mono) -> Option<Mono> {
        let entry = self.policies.get(&key.policy)?;
        let (policy, target) = (&entry.policy, entry.targets.get(&key.uid)?);
        if policy.role != Role::Validator || policy.network != network {
            return None;
        }
        let chains = policy
            .sources
            .iter()
            .filter(|source| matches!(source.kind, SourceKind::CometBft { rest: Some(_), .. }));
        let ranks = chains.filter_map(|source| policy.rank(&source.name));
        let told = ranks.filter_map(|rank| target.state.observatory.told_by(Signal::Tombstoned, rank, now));
        told.filter(|told| told.value.micros() > Some(0)).map(|told| told.observed_at).max()
    }

    /// The pods (uids) that policies of the role `Validator` select on this network.
    #[must_use]
    pub fn validators(&self, network: &str) -> BTreeSet<String> {
        let entries = self.policies.values();
        let of = entries.filter(|of| of.policy.role == Role::Validator && of.policy.network == network);
        of.flat_map(|of| of.targets.keys().cloned()).collect()
    }

    /// What this process says of a pod (uid) under a policy (uid) to whoever sees the same from elsewhere.
    #[must_use]
    pub fn testimony(&self, policy: &str, pod: &str, now: Mono) -> Testimony {
        let known = self.policies.iter().find(|(_, entry)| entry.policy.id.uid == policy);
        let Some((key, _)) = known.filter(|(_, entry)| entry.targets.contains_key(pod)) else {
            return Testimony::Unknown { why: "it is not watched here".into() };
        };
        let target = TargetKey { policy: key.clone(), uid: pod.to_owned() };
        Testimony::of(&self.read(&target, Signal::Reachable, now), now)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::PodView, *};
    use crate::{
        api::{Family, Network, NodeHealthPolicy},
        policy::{validate, validate_network},
        signal::{Poll, Value},
    };

    /// Two nodes, `u1` and `u2`, of the policy `p`.
    fn world(now: Mono) -> World {
        let network: Network = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "Network", "metadata": {"name": "net", "uid": "net"},
            "spec": {"family": "CometBFT", "chainId": "x", "allowedNamespaces": ["n"]},
        }))
        .unwrap();
        let policy: NodeHealthPolicy = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
            "metadata": {"name": "p", "namespace": "n", "uid": "p"},
            "spec": {
                "network": "net", "role": "FullNode", "selector": {"matchLabels": {"app": "x"}},
                "telemetry": [{"name": "rpc", "cometbft": {"port": "rpc"}, "every": "2s", "timeout": "1s"}],
            },
        }))
        .unwrap();
        let pods = ["u1", "u2"].map(|uid| {
            let pod: PodView = serde_json::from_value(json!({
                "metadata": {"name": uid, "namespace": "n", "uid": uid, "labels": {"app": "x"}},
                "spec": {"containers": []}, "status": {"phase": "Running"},
            }))
            .unwrap();
            Arc::new(pod)
        });
        let policy = validate(&policy, Family::CometBFT).unwrap();
        let mut world = World::default();
        world.sync(vec![validate_network(&network).unwrap()], vec![policy], &pods, now, now);
        world
    }

    fn polled(world: &mut World, uid: &str, reachable: u64, now: Mono) {
        let key = TargetKey { policy: Key { namespace: "n".into(), name: "p".into() }, uid: uid.into() };
        let values = vec![(Signal::Reachable, Ok(Value::Whole(reachable)))];
        world.file(&key, "rpc", &Poll { asked_at: now, observed_at: now, values, ..Poll::default() }, now);
    }

    #[test]
    fn a_silence_is_told_as_one_only_with_a_witness_and_only_while_it_is_fresh() {
        let start = Mono(86_400_000);
        let mut world = world(start);
        let unknown = |said: Testimony, why: &str| {
            assert!(
                matches!(&said, Testimony::Unknown { why: said } if said.contains(why)),
                "{said:?}, not {why}"
            );
        };
        unknown(world.testimony("p", "u1", start), "not observed yet");
        polled(&mut world, "u1", 0, start);
        unknown(world.testimony("p", "u1", start), "bear witness");
        polled(&mut world, "u2", 1, start);
        polled(&mut world, "u1", 0, start.plus(2_000));
        assert_eq!(world.testimony("p", "u1", start.plus(2_500)), Testimony::Silent { age: 500 });
        assert_eq!(world.testimony("p", "u2", start.plus(2_500)), Testimony::Reaches { age: 2_500 });
        unknown(world.testimony("p", "u1", start.plus(9_000)), "last observed");
        for (policy, pod) in [("p", "u3"), ("q", "u1"), ("", "")] {
            unknown(world.testimony(policy, pod, start), "not watched here");
        }
    }

    // P12: ten thousand policies.
    #[test]
    fn ten_thousand_policies_each_have_their_own_targets() {
        const NAMESPACES: usize = 100;
        const EACH: usize = 100;
        let network: Network = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "Network", "metadata": {"name": "net", "uid": "net"},
            "spec": {"family": "Other", "chainId": "x", "allowedNamespaces": ["n"]},
        }))
        .unwrap();
        let (mut policies, mut pods) = (Vec::new(), Vec::<Arc<PodView>>::new());
        for (namespace, index) in
            (0..NAMESPACES).flat_map(|namespace| (0..EACH).map(move |index| (namespace, index)))
        {
            let namespace = format!("n-{namespace}");
            let (app, uid) = (format!("app-{index}"), format!("{namespace}/{index}"));
            let policy: NodeHealthPolicy = serde_json::from_value(json!({
                "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
                "metadata": {"name": app, "namespace": namespace, "uid": uid},
                "spec": {"network": "net", "role": "FullNode", "selector": {"matchLabels": {"app": app}}},
            }))
            .unwrap();
            policies.push(validate(&policy, Family::Other).unwrap());
            let pod: PodView = serde_json::from_value(json!({
                "metadata": {"name": app, "namespace": namespace, "uid": uid, "labels": {"app": app}},
                "spec": {"containers": []}, "status": {"phase": "Running"},
            }))
            .unwrap();
            pods.push(Arc::new(pod));
        }
        let mut world = World::default();
        for second in 0..3 {
            let now = Mono(second * 1000);
            world.sync(vec![validate_network(&network).unwrap()], policies.clone(), &pods, now, now);
        }
        let key = Key { namespace: "n-7".into(), name: "app-42".into() };
        let snapshot = world.snapshot(&key, Mono(3000), crate::signal::Server(0)).unwrap();
        let targets: Vec<&str> = snapshot.targets.iter().map(|target| target.facts.uid.as_str()).collect();
        assert_eq!(targets, ["n-7/42"]);
        assert!(!snapshot.targets[0].facts.contested);
    }
}
