//! What every reconcile is given.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    api::{FailoverGroup, Network, NodeHealthPolicy, NodeRemediation, Phase, SigningIdentity, SigningOrder},
    config::Config,
    effect::{StopRef, event::Events},
    lead::Leadership,
    notify::Notifier,
    plan::OwnFacts,
    serve::Metrics,
    signal::{Now, Server},
    telemetry::{self, Clock},
    world::{PodView, PolicySnapshot, World},
};

use super::{
    asks::AskBoard,
    clients::{CacheAge, Clients, ServerClock},
    queue::Queue,
    remediation::Standing,
    watch::{Key, Store, WatchState},
};

/// The caches.
pub struct Stores {
    /// Networks.
    pub networks: Store<Network>,
    /// Policies.
    pub policies: Store<NodeHealthPolicy>,
    /// Remediations.
    pub remediations: Store<NodeRemediation>,
    /// Pods, slim.
    pub pods: Store<PodView>,
    /// What failing over needs, where it is wished for.
    pub failover: Option<FailoverStores>,
}

/// The caches of failing over. No decision rests on them: the record is read live.
pub struct FailoverStores {
    /// Groups.
    pub groups: Store<FailoverGroup>,
    /// Identities, to notice their changes.
    pub identities: Store<SigningIdentity>,
    /// Orders.
    pub orders: Store<SigningOrder>,
}

/// What waits to be reconciled.
pub struct Queues {
    /// Policies.
    pub policies: Arc<Queue<Key>>,
    /// Remediations.
    pub remediations: Arc<Queue<Key>>,
    /// Networks, by name.
    pub networks: Arc<Queue<String>>,
    /// Pods that wait at their readiness gate.
    pub gates: Arc<Queue<Key>>,
    /// Failover groups.
    pub groups: Arc<Queue<Key>>,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            policies: Queue::new(),
            remediations: Queue::new(),
            networks: Queue::new(),
            gates: Queue::new(),
            groups: Queue::new(),
        }
    }
}

/// What every reconcile is given.
pub struct Context {
    /// The API server, for reading, acting and watching.
    pub clients: Clients,
    /// The caches.
    pub stores: Stores,
    /// What waits.
    pub queues: Queues,
    /// What this process sees.
    pub world: Mutex<World>,
    /// The client of the probes, which asks the other replicas too.
    pub probes: telemetry::Client,
    /// What the nodes of each network are asked for.
    pub asks: AskBoard,
    /// Who leads.
    pub lead: Leadership,
    /// People.
    pub notifier: Notifier,
    /// Kubernetes Events.
    pub events: Events,
    /// Counters.
    pub metrics: Metrics,
    /// The clocks of this machine.
    pub clock: Arc<dyn Clock>,
    /// The API server's clock.
    pub server: ServerClock,
    /// How old the caches are.
    pub cache_age: CacheAge,
    /// The operator's own configuration.
    pub config: Config,
    /// This installation: `namespace/name`.
    pub installation: String,
    /// The namespaces that are looked after; empty: all.
    pub namespaces: Vec<String>,
    /// The namespace of the operator.
    pub namespace: String,
    /// The pod that this process runs in, if it does: what tells it from the other replicas.
    pub pod: String,
    /// The emergency stop.
    pub stop: StopRef,
    /// Name of the admission policy that holds everybody who approves something to their own name.
    pub guard: String,
    /// What was found out meanwhile.
    pub known: Known,
    /// What is remembered of signing identities.
    pub failover: super::failover::Memory,
    /// Whether a taint may say that a launcher's machine is off.
    pub node_off: bool,
}

impl Stores {
    /// What a cache waits for; `None` when all of them follow the API server.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        let states = [self.networks.state(), self.policies.state(), self.remediations.state(), self.pods.state()];
        let more =
            self.failover.iter().flat_map(|of| [of.groups.state(), of.identities.state(), of.orders.state()]);
        states.into_iter().chain(more).find_map(|state| match state {
            WatchState::Live => None,
            WatchState::Starting => Some("the first list".to_owned()),
            WatchState::Waiting(what) => Some(what),
        })
    }
}

/// What a process has found out about the cluster meanwhile.
#[derive(Debug, Default)]
pub struct Known {
    /// Whether the cluster's CRDs are at least as new as this build.
    pub schema_current: AtomicBool,
    /// Whether they are newer: a later version may have written what this build cannot read.
    pub schema_later: AtomicBool,
    /// Networks that belong to another installation.
    pub foreign: Mutex<BTreeSet<String>>,
    /// Pods whose owners were told that their readiness gate could not be opened.
    pub left_unready: Mutex<BTreeSet<Key>>,
    /// Questions that people were told of by this process (uids of remediations).
    pub asked: Mutex<BTreeSet<String>>,
    /// Which key every signer has told.
    pub keys: super::failover::Keys,
    /// Whether the cluster holds everybody who approves something to their own name.
    pub approvals_guarded: AtomicBool,
}

impl Context {
    /// Now, on all three clocks. Before the API server was heard, its clock is taken to be ours.
    pub fn now(&self) -> Now {
        let (mono, wall) = (self.clock.mono(), self.clock.wall());
        Now { mono, wall, server: self.server.now(mono).unwrap_or(Server(wall.0)) }
    }

    /// Whether a network is known to belong to another installation: what is done there is not ours to carry out.
    pub fn is_foreign(&self, network: &str) -> bool {
        self.known.foreign.lock().unwrap_or_else(PoisonError::into_inner).contains(network)
    }

    /// Remembers whose a network is.
    pub fn set_foreign(&self, network: &str, foreign: bool) {
        let mut known = self.known.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        if foreign {
            known.insert(network.to_owned());
        } else {
            known.remove(network);
        }
    }

    /// Whether this replica leads, right now.
    pub fn leads(&self) -> bool {
        self.lead.leads(self.clock.mono())
    }

    /// A policy with its targets, frozen now, with what is being healed on the networks that it needs.
    pub fn snapshot(&self, key: &Key, now: Now) -> Option<PolicySnapshot> {
        let mut snapshot = self.world().snapshot(key, now.mono, now.server)?;
        if !snapshot.policy.joins.is_empty() {
            let journal = self.stores.remediations.list();
            let heals = |entry: &Arc<NodeRemediation>, network: &str| {
                entry.spec.network == network
                    && (entry.spec.action.restart.is_some() || entry.spec.action.job.is_some())
                    && matches!(entry.phase(), Phase::Acting | Phase::Verifying)
            };
            for joined in snapshot.targets.iter_mut().flat_map(|target| &mut target.joined) {
                joined.healing = journal.iter().any(|entry| heals(entry, &joined.network));
            }
        }
        Some(snapshot)
    }

    /// What this process sees.
    pub fn world(&self) -> MutexGuard<'_, World> {
        // The world is plain data that every writer leaves whole: a panic elsewhere does not make it wrong.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any of these namespaces is looked after by this installation.
    pub fn looks_after_any(&self, namespaces: &[String]) -> bool {
        self.namespaces.is_empty() || namespaces.iter().any(|namespace| self.namespaces.contains(namespace))
    }

    /// What this process knows about itself.
    pub fn own_facts(&self) -> OwnFacts {
        OwnFacts {
            cache_age: self.cache_age.age("pods", self.clock.mono()).unwrap_or(u64::MAX),
            schema_current: self.known.schema_current.load(Ordering::Relaxed),
            approvals_guarded: self.known.approvals_guarded.load(Ordering::Relaxed),
        }
    }

    /// Whether a pod belongs to Mainstay or to the cluster itself.
    pub fn is_protected(&self, pod: &PodView) -> bool {
        pod.namespace == "kube-system"
            || (pod.namespace == self.namespace
                && pod.labels.get("app.kubernetes.io/name").is_some_and(|name| name == "mainstay"))
    }
}
