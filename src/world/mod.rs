//! What this process sees, in one place: networks, policies, targets, their latest samples and verdicts.
//!
//! Plain data behind one lock: no clock and no I/O, so that a test drives it as the operator does. Every replica
//! keeps one; only the leader acts on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use crate::{
    api::policy::Mode,
    judge::{TargetState, VerdictKind},
    network::{Chain, NetworkView, Seen, Voter},
    policy::{NetworkPlan, POD_STALE_AFTER, Policy, Source},
    signal::{Mono, Poll},
    telemetry::{
        self,
        kubernetes::{self, PodHealth},
    },
};

mod frozen;
mod history;
mod lists;
mod pod;
pub mod readiness;
mod round;
mod seen;
mod sizes;

pub use frozen::{NetworkSnapshot, PolicySnapshot, TargetSnapshot};
use lists::{by_namespace, selects};
pub use pod::{Owner, PodView};
pub use readiness::Gate;
pub use round::Round;
use seen::{catching_up, seen};
use sizes::Sizes;

/// Namespace (empty for a kind without) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its namespace; empty for a kind without.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name } = self;
        if namespace.is_empty() { f.write_str(name) } else { write!(f, "{namespace}/{name}") }
    }
}

/// A target: one pod under one policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey {
    /// The policy.
    pub policy: Key,
    /// The pod's uid.
    pub uid: String,
}

/// A probe that should be running.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Of which target.
    pub target: TargetKey,
    /// What is asked.
    pub source: Source,
    /// The pod's address.
    pub ip: IpAddr,
    /// The container ports that the pod declares.
    pub ports: Vec<(Option<String>, u16)>,
    /// The network that it belongs to.
    pub network: Arc<NetworkPlan>,
}

/// Everything this process sees.
#[derive(Debug, Default)]
pub struct World {
    networks: BTreeMap<String, NetworkEntry>,
    policies: BTreeMap<Key, PolicyEntry>,
}

#[derive(Debug)]
struct NetworkEntry {
    plan: Arc<NetworkPlan>,
    chain: Chain,
}

#[derive(Debug)]
struct PolicyEntry {
    policy: Arc<Policy>,
    /// When it was first seen.
    since: Mono,
    targets: BTreeMap<String, TargetEntry>,
    /// How many there were.
    sizes: Sizes,
    /// The last unbroken health of each slot, across pods.
    health: BTreeMap<String, Health>,
}

#[derive(Debug)]
struct TargetEntry {
    pod: Arc<PodView>,
    state: TargetState,
    first_seen: Mono,
    first_head: Option<u64>,
    /// When it last said that it catches up.
    catching_up: Option<Mono>,
    contested: bool,
    claimed: bool,
    remembers: bool,
}

#[derive(Clone, Copy, Debug)]
struct Health {
    since: Mono,
    until: Mono,
}

/// What a change of the world touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Policies with a target whose verdict changed.
    pub policies: BTreeSet<Key>,
    /// Networks whose head or stall changed.
    pub networks: BTreeSet<String>,
    /// The new verdicts of targets whose verdict turned.
    pub turned: Vec<VerdictKind>,
}

impl World {
    /// Takes over what the caches say now, and returns the probes that should be running.
    pub fn sync(
        &mut self,
        networks: Vec<NetworkPlan>,
        policies: Vec<Policy>,
        pods: &[Arc<PodView>],
        seen_at: Mono,
        now: Mono,
    ) -> Vec<Wanted> {
        self.sync_networks(networks);
        self.sync_policies(policies, now);
        self.sync_targets(pods, seen_at, now);
        self.wanted()
    }

    fn sync_networks(&mut self, networks: Vec<NetworkPlan>) {
        let names: BTreeSet<_> = networks.iter().map(|plan| plan.name.clone()).collect();
        self.networks.retain(|name, _| names.contains(name));
        for plan in networks {
            match self.networks.get_mut(&plan.name) {
                // Another chain, or made anew: what was heard before says nothing about it.
                Some(entry) if entry.plan.uid == plan.uid && entry.plan.chain_id == plan.chain_id => {
                    entry.chain.adopt(&plan);
                    entry.plan = Arc::new(plan);
                }
                _ => {
                    let chain = Chain::new(&plan);
                    self.networks.insert(plan.name.clone(), NetworkEntry { plan: Arc::new(plan), chain });
                }
            }
        }
    }

    fn sync_policies(&mut self, policies: Vec<Policy>, now: Mono) {
        let keys: BTreeSet<_> = policies.iter().map(key_of).collect();
        self.policies.retain(|key, _| keys.contains(key));
        for policy in policies {
            match self.policies.get_mut(&key_of(&policy)) {
                Some(entry) if entry.policy.id == policy.id => {
                    if *entry.policy != policy {
                        // With other sources the places of what was told are others too.
                        let moved = entry.policy.sources != policy.sources;
                        for target in entry.targets.values_mut() {
                            if moved {
                                target.state.observatory.forget_from(1);
                            }
                            target.state.adopt(&policy, now);
                        }
                        entry.policy = Arc::new(policy);
                    }
                }
                _ => {
                    let (targets, health) = (BTreeMap::new(), BTreeMap::new());
                    let key = key_of(&policy);
                    self.policies.insert(
                        key,
                        PolicyEntry {
                            policy: Arc::new(policy),
                            since: now,
                            targets,
                            sizes: Sizes::default(),
                            health,
                        },
                    );
                }
            }
        }
    }

    fn sync_targets(&mut self, pods: &[Arc<PodView>], seen_at: Mono, now: Mono) {
        let pods = by_namespace(pods);
        let claims = self.claims(&pods);
        for (key, entry) in &mut self.policies {
            let here = pods.get(key.namespace.as_str()).into_iter().flatten().copied();
            let mine: Vec<_> = here.filter(|pod| selects(&entry.policy, pod)).collect();
            let uids: BTreeSet<_> = mine.iter().map(|pod| pod.uid.clone()).collect();
            entry.targets.retain(|uid, _| uids.contains(uid));
            entry.sizes.note(u32::try_from(mine.len()).unwrap_or(u32::MAX), now);
            let slots: BTreeSet<_> = mine.iter().map(|pod| slot_of(pod)).collect();
            entry.health.retain(|slot, _| slots.contains(slot));
            for pod in mine {
                let policy = &entry.policy;
                let target = entry.targets.entry(pod.uid.clone()).or_insert_with(|| TargetEntry {
                    pod: Arc::clone(pod),
                    state: TargetState::new(policy, now),
                    first_seen: now,
                    first_head: None,
                    catching_up: None,
                    contested: false,
                    claimed: false,
                    remembers: false,
                });
                target.pod = Arc::clone(pod);
                let others = claims.get(&pod.uid).into_iter().flatten().filter(|(other, _)| other != key);
                let most = others.map(|(_, priority)| *priority).max();
                target.claimed = most.is_some();
                target.contested =
                    policy.mode != Mode::Observe && most.is_some_and(|most| most >= policy.priority);
                target.state.file(&kubernetes::poll(&health_of(pod), seen_at), 0, POD_STALE_AFTER);
            }
            if let Some(network) = self.networks.get_mut(&entry.policy.network) {
                network.chain.forget(&entry.policy.id.uid, &uids);
            }
        }
    }

    /// Which policies that act claim a pod that more than one selects.
    fn claims(&self, pods: &BTreeMap<&str, Vec<&Arc<PodView>>>) -> BTreeMap<String, Vec<(Key, i32)>> {
        let mut claims: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (key, entry) in self.policies.iter().filter(|(_, entry)| entry.policy.mode != Mode::Observe) {
            let here = pods.get(key.namespace.as_str()).into_iter().flatten();
            for pod in here.filter(|pod| selects(&entry.policy, pod)) {
                claims.entry(pod.uid.clone()).or_default().push((key.clone(), entry.policy.priority));
            }
        }
        claims
    }

    fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (key, entry) in &self.policies {
            let Some(network) = self.networks.get(&entry.policy.network) else { continue };
            for target in entry.targets.values() {
                // On the host's network the pod's address is the node's: whoever answers there is not the pod.
                let ip = target.pod.ip.as_deref().filter(|_| !target.pod.host_network);
                let Some(ip) = ip.and_then(|ip| ip.parse().ok()) else { continue };
                for source in entry.policy.sources.iter().filter(|source| !source.kind.is_a_query()) {
                    wanted.push(Wanted {
                        target: TargetKey { policy: key.clone(), uid: target.pod.uid.clone() },
                        source: source.clone(),
                        ip,
                        ports: target.pod.ports.clone(),
                        network: Arc::clone(&network.plan),
                    });
                }
            }
        }
        wanted
    }

    /// Files what a source of a policy told of a target, lets the target vote on its network's head, and judges it.
    pub fn file(&mut self, key: &TargetKey, source: &str, poll: &Poll, now: Mono) -> Touched {
        let mut touched = Touched::default();
        let Some(entry) = self.policies.get_mut(&key.policy) else { return touched };
        let Some(target) = entry.targets.get_mut(&key.uid) else { return touched };
        // A source that the policy does not have any more.
        let (Some(rank), Some(asked)) = (entry.policy.rank(source), entry.policy.source(source)) else {
            return touched;
        };
        target.state.file(poll, rank, asked.stale_after());
        target.catching_up = catching_up(poll, target.catching_up);
        if entry.policy.votes_with(source) {
            let seen = seen(poll, asked.stale_after());
            if let Ok(height) = seen.head {
                target.first_head.get_or_insert(height);
            }
            if let Some(network) = self.networks.get_mut(&entry.policy.network) {
                // One that is still catching up knows that its head is not the network's.
                let vote = Seen { head: telemetry::reference_head(poll), ..seen };
                network.chain.own(&voter(&entry.policy, &key.uid), &vote);
                if network.chain.is_due(now) && network.chain.refresh(now) {
                    touched.networks.insert(entry.policy.network.clone());
                }
            }
        }
        self.judge(&key.policy, &key.uid, now, &mut touched);
        touched
    }

    /// Files what a reference outside the cluster told.
    pub fn file_reference(&mut self, network: &str, reference: &str, poll: &Poll, now: Mono) -> Touched {
        let mut touched = Touched::default();
        if let Some(entry) = self.networks.get_mut(network) {
            let seen = Seen { head: telemetry::reference_head(poll), ..seen(poll, 0) };
            entry.chain.reference(reference, &seen);
            if entry.chain.refresh(now) {
                touched.networks.insert(network.to_owned());
            }
        }
        touched
    }

    /// Heights at which the nodes of each network are compared.
    #[must_use]
    pub fn asks(&self) -> Vec<(String, Arc<[u64]>)> {
        self.networks.iter().map(|(name, entry)| (name.clone(), entry.chain.asks().into())).collect()
    }

    /// Judges everything once more: holds expire by the clock, not by the next sample.
    pub fn tick(&mut self, now: Mono) -> Touched {
        let mut touched = Touched::default();
        for (name, network) in &mut self.networks {
            if network.chain.refresh(now) {
                touched.networks.insert(name.clone());
            }
        }
        let targets: Vec<_> = self
            .policies
            .iter()
            .flat_map(|(key, entry)| entry.targets.keys().map(|uid| (key.clone(), uid.clone())))
            .collect();
        for (key, uid) in targets {
            self.judge(&key, &uid, now, &mut touched);
        }
        touched
    }

    fn judge(&mut self, key: &Key, uid: &str, now: Mono, touched: &mut Touched) {
        let Some(entry) = self.policies.get_mut(key) else { return };
        let Some(target) = entry.targets.get_mut(uid) else { return };
        let view = view(&self.networks, &entry.policy, uid, now);
        let before = target.state.verdict().kind;
        if target.state.judge(&view, now) {
            touched.policies.insert(key.clone());
        }
        let after = target.state.verdict().kind;
        if before != after {
            touched.turned.push(after);
        }
        if let Some(since) = target.state.healthy_since() {
            let slot = slot_of(&target.pod);
            let health = entry.health.entry(slot).or_insert(Health { since, until: now });
            // Health goes on across pods of a slot as long as nobody was found wanting in between.
            if health.until < since {
                health.since = since;
            }
            health.until = now;
        }
    }
}

fn key_of(policy: &Policy) -> Key {
    Key { namespace: policy.id.namespace.clone(), name: policy.id.name.clone() }
}

fn health_of(pod: &PodView) -> PodHealth {
    PodHealth {
        ready: pod.ready,
        restarts: pod.restarts,
        waiting_reason: pod.waiting_reason.clone(),
        last_exit: pod.last_exit.clone(),
        fatal: pod.fatal_exit,
    }
}

/// A bare pod fills no slot but its own.
fn slot_of(pod: &PodView) -> String {
    pod.slot().unwrap_or_else(|| pod.name.clone())
}

fn voter(policy: &Policy, uid: &str) -> Voter {
    Voter { policy: policy.id.uid.clone(), target: uid.to_owned() }
}

fn view(networks: &BTreeMap<String, NetworkEntry>, policy: &Policy, uid: &str, now: Mono) -> NetworkView {
    networks
        .get(&policy.network)
        .map_or_else(NetworkView::default, |network| network.chain.view(&voter(policy, uid), now))
}
