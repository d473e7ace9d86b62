//! The world frozen at one instant: what a decision is made of.

use std::{collections::BTreeMap, sync::Arc};

use super::{Key, NetworkEntry, PodView, PolicyEntry, TargetEntry, World, slot_of, view};
use crate::{
    judge::VerdictKind,
    network::{ReferenceHead, Split},
    plan::{
        ChainFacts, CronJobFacts, GroupFacts, JoinedFacts, Live, NodeFacts, PodFacts, PodPresent, Stop,
        TargetFacts, Vantage, WorkloadFacts,
    },
    policy::{NetworkPlan, Policy},
    remedy::Observation,
    signal::{Mono, Server, Signal, Unknown, Upgrade},
};

/// Label of pods that say in which zone they run. Kubernetes copies it from the node since 1.35; elsewhere a template may
/// say it.
const ZONE: &str = "topology.kubernetes.io/zone";

/// A policy with its targets, frozen at one instant.
#[derive(Clone, Debug)]
pub struct PolicySnapshot {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its network.
    pub network: Arc<NetworkPlan>,
    /// Its targets, by name.
    pub targets: Vec<TargetSnapshot>,
    /// How many more targets there are than a while ago.
    pub new_targets: u32,
}

/// A target, frozen at one instant.
#[derive(Clone, Debug)]
pub struct TargetSnapshot {
    /// What is known of it.
    pub facts: TargetFacts,
    /// What the cache says of its pod.
    pub live: Live,
    /// The chain as seen without it.
    pub chain: ChainFacts,
    /// The other networks that the policy needs.
    pub joined: Vec<JoinedFacts>,
    /// The node that it runs on; empty if on none.
    pub node: String,
    /// Whether another policy that acts, or would, selects it, whatever its priority.
    pub claimed: bool,
    /// The zone that it runs in, as far as its pod says it; else empty.
    pub zone: String,
}

/// A network, frozen at one instant.
#[derive(Clone, Debug)]
pub struct NetworkSnapshot {
    /// The network.
    pub plan: Arc<NetworkPlan>,
    /// Its head as a quorum sees it.
    pub head: Option<ReferenceHead>,
    /// Since when it stands still.
    pub stalled_since: Option<Mono>,
    /// What each reference last said.
    pub references: Vec<(String, Result<u64, Unknown>)>,
    /// The upgrade that the chain has planned, and whether its height is near or passed.
    pub upgrade: Option<(Upgrade, bool)>,
    /// Two chains under one name.
    pub split: Option<Split>,
}

impl World {
    /// A policy with its targets, frozen now.
    #[must_use]
    pub fn snapshot(&self, key: &Key, now: Mono, server: Server) -> Option<PolicySnapshot> {
        let entry = self.policies.get(key)?;
        let network = self.networks.get(&entry.policy.network)?;
        let mut targets: Vec<_> = entry
            .targets
            .values()
            .map(|target| TargetSnapshot {
                facts: target_facts(entry, target, now),
                live: cached(&target.pod, server),
                chain: chain_facts(&self.networks, &entry.policy, &target.pod.uid, now),
                joined: joined(&self.networks, &entry.policy, now),
                node: target.pod.node.clone().unwrap_or_default(),
                claimed: target.claimed,
                zone: target.pod.labels.get(ZONE).cloned().unwrap_or_default(),
            })
            .collect();
        targets.sort_by(|a, b| a.facts.pod.cmp(&b.facts.pod));
        Some(PolicySnapshot {
            policy: Arc::clone(&entry.policy),
            network: Arc::clone(&network.plan),
            targets,
            new_targets: entry.sizes.grown(entry.since, now),
        })
    }

    /// A network, frozen now.
    #[must_use]
    pub fn network(&self, name: &str, now: Mono) -> Option<NetworkSnapshot> {
        let entry = self.networks.get(name)?;
        Some(NetworkSnapshot {
            plan: Arc::clone(&entry.plan),
            head: entry.chain.head(),
            stalled_since: entry.chain.stalled_since(now),
            upgrade: entry.chain.upgrade().map(|upgrade| {
                let head = entry.chain.head().map_or(0, |head| head.height);
                (upgrade.clone(), is_near(upgrade, head, &entry.plan))
            }),
            split: entry.chain.split().cloned(),
            references: entry.chain.references().map(|(name, told)| (name.to_owned(), told)).collect(),
        })
    }

    /// What is seen of the pod that fills a slot in place of `former`.
    #[must_use]
    pub fn observe(&self, key: &Key, slot: &str, former: &str, stays: bool, now: Mono) -> Observation {
        let Some(entry) = self.policies.get(key) else {
            return Observation::Unknown("the policy is gone, so nobody watches the target".into());
        };
        let mut replacements: Vec<_> = entry
            .targets
            .values()
            .filter(|target| slot_of(&target.pod) == slot && target.pod.uid != former && !target.pod.terminating)
            .collect();
        let stays = entry.targets.get(former).filter(|target| stays && !target.pod.terminating);
        // Of several pods of one workload the youngest is the one that was made in place of the target.
        replacements.sort_by_key(|target| (target.pod.started, target.first_seen));
        let Some(target) = stays.or_else(|| replacements.last().copied()) else {
            return Observation::Unknown("no pod has taken its place yet".into());
        };
        let verdict = target.state.verdict();
        let pod = target.pod.name.clone();
        // A relayer or a signer has no head of its own to show for it.
        let rose = !entry.policy.follows_the_chain()
            || target
                .state
                .observatory
                .peak(Signal::Head)
                .is_some_and(|(height, _)| target.first_head.is_some_and(|first| height > first));
        match (verdict.kind, target.state.healthy_since()) {
            (VerdictKind::Healthy, Some(since)) if rose => Observation::Healthy { pod, lasted: now.since(since) },
            (VerdictKind::Healthy, _) => Observation::NotYet(format!("{pod}: its head has not risen yet")),
            (VerdictKind::Unknown, _) => Observation::Unknown(format!("{pod}: {}", verdict.unknown)),
            (VerdictKind::Suspect | VerdictKind::Unhealthy, _) => {
                let evidence = verdict.findings.first().map(|finding| finding.evidence.clone());
                Observation::NotYet(format!("{pod}: {}", evidence.unwrap_or_default()))
            }
        }
    }
}

fn chain_facts(networks: &BTreeMap<String, NetworkEntry>, policy: &Policy, uid: &str, now: Mono) -> ChainFacts {
    let view = view(networks, policy, uid, now);
    let network = networks.get(&policy.network);
    let block_time = network.map_or(0, |network| network.plan.block_time);
    let every = policy.sources.iter().map(|source| source.every).max().unwrap_or(0);
    let head = view.reference.map_or(0, |head| head.height);
    let near = |upgrade: &Upgrade| network.is_some_and(|network| is_near(upgrade, head, &network.plan));
    ChainFacts {
        known: view.reference.is_some(),
        risen_at: view.reference.map_or(Mono(0), |head| head.risen_at),
        patience: (5 * block_time).max(3 * every).max(5_000),
        upgrade: view.upgrade.filter(near).map(|upgrade| (upgrade.name, upgrade.height)),
        split: view.split,
    }
}

/// The other networks that a policy needs, as everybody sees them.
fn joined(networks: &BTreeMap<String, NetworkEntry>, policy: &Policy, now: Mono) -> Vec<JoinedFacts> {
    let facts = policy.joins.iter().map(|name| {
        let head = networks.get(name).and_then(|entry| entry.chain.head());
        let patience = networks.get(name).map_or(0, |entry| (5 * entry.plan.block_time).max(15_000));
        JoinedFacts {
            network: name.clone(),
            known: head.is_some(),
            moves: head.is_some_and(|head| now.since(head.risen_at) <= patience),
            healing: false,
        }
    });
    facts.collect()
}

/// Nobody is touched from two minutes of blocks before the height on, and at least ten blocks. After the height the plan
/// is gone from the chain, and with it the hold: only a node that waits for its new software still tells of it.
fn is_near(upgrade: &Upgrade, head: u64, plan: &NetworkPlan) -> bool {
    let ahead = (120_000 / plan.block_time.max(1)).max(10);
    plan.upgrades && head.saturating_add(ahead) >= upgrade.height
}

fn target_facts(entry: &PolicyEntry, target: &TargetEntry, now: Mono) -> TargetFacts {
    let policy = &entry.policy;
    let slot = slot_of(&target.pod);
    let health = entry.health.get(&slot).copied();
    TargetFacts {
        pod: target.pod.name.clone(),
        uid: target.pod.uid.clone(),
        verdict: target.state.verdict().clone(),
        syncing: target.catching_up.is_some_and(|at| now.since(at) <= policy.limits.evidence_max_age),
        head_risen_at: target
            .state
            .observatory
            .peak(Signal::Head)
            .map_or(target.first_seen, |(_, risen_at)| risen_at),
        first_seen: target.first_seen,
        healthy_since: health.map_or(target.first_seen, |health| health.since),
        health_before: health.map_or(0, |health| health.until.since(health.since)),
        by_hand: false,
        stopped: None,
        contested: target.contested,
        slot,
    }
}

/// What the cache says of a pod, and the best of what it does not say: a proposal reads the rest live.
fn cached(pod: &PodView, server: Server) -> Live {
    Live {
        stop: Stop::Go,
        pod: PodFacts::Present(PodPresent {
            uid: pod.uid.clone(),
            resource_version: pod.resource_version.clone(),
            terminating: pod.terminating,
            ignored: pod.ignored,
            controlled: pod.slot().is_some(),
            protected: false,
            host_network: pod.host_network,
            crash_loop: pod.waiting_reason == "CrashLoopBackOff",
            grace: pod.grace,
            age: pod.started.map_or(0, |started| server.since(started)),
            rotation: pod.rotation(server),
        }),
        workload: WorkloadFacts::Settled,
        node: NodeFacts::Ready,
        cron_job: CronJobFacts::Unread,
        group: GroupFacts::Unread,
        vantage: Vantage::Unread,
    }
}
