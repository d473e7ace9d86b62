//! Everything a decision rests on, without an `Option`: what was not read is not a fact.

use serde::{Deserialize, Serialize};

use crate::{
    api::NetworkLedgerSpec,
    judge::Verdict,
    policy::{NetworkPlan, Policy},
    signal::{Mono, Now, Server},
};

use super::{Switch, budget::Spending, failover::GroupFacts, vantage::Vantage};

/// What one decision about one target rests on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The policy as it is now.
    pub policy: &'a Policy,
    /// The network as it is now.
    pub network: &'a NetworkPlan,
    /// The ledger as last read; the seat itself is taken by compare-and-swap.
    pub ledger: &'a NetworkLedgerSpec,
    /// Who asks: `namespace/name` of this installation.
    pub installation: &'a str,
    /// The target.
    pub target: &'a TargetFacts,
    /// The other targets of the policy.
    pub fleet: FleetFacts,
    /// The chain as a whole.
    pub chain: &'a ChainFacts,
    /// The other networks that it needs.
    pub joined: &'a [JoinedFacts],
    /// What was read live, or, while proposing, what the cache says.
    pub live: &'a Live,
    /// Whether this is a time in which nothing is begun.
    pub hours: &'a Hours,
    /// What this process knows about itself.
    pub own: OwnFacts,
    /// Now, on all three clocks.
    pub now: Now,
}

/// What is known of the target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetFacts {
    /// The place it fills, across restarts.
    pub slot: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// What is held of it.
    pub verdict: Verdict,
    /// Whether it says that it is catching up.
    pub syncing: bool,
    /// When its head last rose; when it was first seen, if it never did.
    pub head_risen_at: Mono,
    /// When it was first seen with this uid.
    pub first_seen: Mono,
    /// How long it had been healthy before it was not (milliseconds), across pods of the slot; 0 if it never was.
    pub health_before: u64,
    /// When that health began. What was tried since is part of this incident, however long the health was.
    pub healthy_since: Mono,
    /// Whether a person asked for the action: the mode does not matter then.
    pub by_hand: bool,
    /// What stopped the last attempt after its guards had let it pass, if a person may have to mend that: a disruption budget,
    /// a full ledger, a refusal of the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Whether another policy of the same priority, or a higher one, claims this pod.
    pub contested: bool,
}

/// The other targets of the policy: everything but the subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetFacts {
    /// All targets of the policy, the subject among them.
    pub targets: u32,
    /// Other targets that are healthy and have no seat.
    pub healthy_others: u32,
    /// All targets whose verdict is `Unknown`.
    pub unknown: u32,
    /// All targets whose verdict is `Unhealthy`.
    pub unhealthy: u32,
    /// All targets whose verdict is `Suspect`: on the way to it.
    pub suspect: u32,
    /// Unhealthy targets on the node of the subject, itself among them.
    #[serde(default)]
    pub unhealthy_here: u32,
    /// Healthy targets on other nodes.
    #[serde(default)]
    pub well_elsewhere: u32,
    /// Unhealthy targets in the zone of the subject, itself among them; 0 where no zone is known.
    #[serde(default)]
    pub unhealthy_in_zone: u32,
    /// Healthy targets in it.
    #[serde(default)]
    pub well_in_zone: u32,
    /// How many more targets there are than ten minutes ago; none shortly after the policy was seen first.
    #[serde(default)]
    pub new_targets: u32,
}

/// The chain as a whole, as seen without the subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainFacts {
    /// Whether there is a reference head at all.
    pub known: bool,
    /// When the reference head last rose.
    pub risen_at: Mono,
    /// For how long (milliseconds) a resting head is still a moving chain: several blocks, and several polls.
    pub patience: u64,
    /// An upgrade whose height is near or passed: its name and height. The target's own word first, then what most say.
    pub upgrade: Option<(String, u64)>,
    /// The nodes disagree about the chain, and nobody can say who is right.
    pub split: bool,
}

/// Another network that a relayer or an oracle needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinedFacts {
    /// Its name.
    pub network: String,
    /// Whether its head is known.
    pub known: bool,
    /// Whether its head rises.
    pub moves: bool,
    /// Whether a node of it is being restarted.
    #[serde(default)]
    pub healing: bool,
}

/// Whether this is a time in which nothing is begun: the policy's windows, resolved to instants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hours {
    /// Why nothing is begun now.
    pub closed: Option<String>,
    /// Until when, where that is known.
    pub until: Option<Mono>,
}

/// A target that came to its policy within this time (milliseconds) is new.
pub const GROWTH: u64 = 600_000;

/// What this process knows about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnFacts {
    /// Age of the pod cache (milliseconds).
    pub cache_age: u64,
    /// Whether the cluster's schema is at least the one this build writes.
    pub schema_current: bool,
    /// Whether the cluster holds everybody who approves something to their own name.
    #[serde(default)]
    pub approvals_guarded: bool,
}

/// What is read live before an act.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The emergency stop.
    pub stop: Stop,
    /// The pod.
    pub pod: PodFacts,
    /// The workload that makes it.
    pub workload: WorkloadFacts,
    /// The node it runs on.
    pub node: NodeFacts,
    /// The `CronJob` of the ladder's job.
    #[serde(default)]
    pub cron_job: CronJobFacts,
    /// The `FailoverGroup` of the ladder.
    #[serde(default)]
    pub group: GroupFacts,
    /// The other replicas.
    #[serde(default)]
    pub vantage: Vantage,
}

/// The `CronJob` of the ladder's job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CronJobFacts {
    /// Not asked for: a cache knows pods only, and few ladders have a job.
    #[default]
    Unread,
    /// There is none of its name.
    Absent,
    /// It may not be read.
    Forbidden,
    /// It is not suspended.
    RunsByItself,
    /// A job of it is running.
    Busy,
    /// It is suspended, and waits to be run; its uid and generation, as `UID/GENERATION`.
    Ready(String),
}

/// The emergency stop.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stop {
    /// Nobody asked to stop.
    Go,
    /// Somebody did, and said why.
    Stopped(String),
}

/// The pod that has the target's name now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodFacts {
    /// There is none.
    Gone,
    /// There is one; it may be another than the target.
    Present(PodPresent),
}

/// A pod.
// Each flag is one guard's own question; an enum of them would only hide that.
#[expect(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodPresent {
    /// Its uid.
    pub uid: String,
    /// Its version, for preconditions.
    pub resource_version: String,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it opted out.
    pub ignored: bool,
    /// Whether a workload makes it anew.
    pub controlled: bool,
    /// Whether it belongs to Mainstay or to kube-system.
    pub protected: bool,
    /// Whether it is on the host's network.
    pub host_network: bool,
    /// Whether the kubelet is restarting one of its containers in a loop.
    pub crash_loop: bool,
    /// How long its containers may take to end (seconds).
    pub grace: u64,
    /// How long ago it was started (milliseconds, API server's clock).
    pub age: u64,
    /// Where it stands towards the Services that it takes part in.
    pub rotation: Rotation,
}

/// Where a pod stands towards the Services that it takes part in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// By what it takes part.
    #[serde(default)]
    pub switch: Switch,
    /// What that says.
    pub place: Place,
    /// The policy (uid) that last changed it; empty if none did.
    pub by: String,
    /// How long ago that was (milliseconds, API server's clock); the pod's age if it never was.
    pub since: u64,
    /// The Services that choose it, when it is in.
    pub services: Services,
}

/// What a pod's switch says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// It takes no part: Mainstay does not choose for it.
    #[default]
    Nowhere,
    /// It serves.
    In,
    /// It does not.
    Out,
}

/// The Services that a change of rotation is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Services {
    /// Not asked for: a cache knows pods only.
    #[default]
    Unread,
    /// As they are.
    Read(Vec<ServiceFacts>),
}

/// A Service that chooses the pod when it is in rotation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// Whether the pod is among its ready endpoints.
    pub serves: bool,
    /// How many other pods are.
    pub others: u32,
}

/// The workload that makes the pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkloadFacts {
    /// Nothing is under way.
    Settled,
    /// A rollout is under way, or a revision waits for a person.
    RollingOut(String),
}

/// The node the pod runs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeFacts {
    /// Ready, and taking pods.
    Ready,
    /// Cordoned, `NotReady` or gone: the node's affair.
    Unfit(String),
}

impl TargetFacts {
    /// When its last health began, by the API server's clock, if it lasted long enough to end an incident.
    #[must_use]
    pub fn long_health(&self, policy: &Policy, now: Now) -> Option<Server> {
        let ago = i64::try_from(now.mono.since(self.healthy_since)).unwrap_or(i64::MAX);
        let long = self.health_before > 0 && self.health_before >= policy.limits.new_incident_after;
        long.then(|| Server(now.server.0.saturating_sub(ago)))
    }
}

impl PodFacts {
    /// What its switch says; `Nowhere` if there is no pod.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Gone => Place::Nowhere,
            Self::Present(pod) => pod.rotation.place,
        }
    }
}

impl Rotation {
    /// The names of the Services that it is about.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        match &self.services {
            Services::Unread => Vec::new(),
            Services::Read(services) => services.iter().map(|service| service.name.clone()).collect(),
        }
    }
}

impl Hours {
    /// The policy's windows at this instant, by the API server's clock: ours may be wrong.
    #[must_use]
    pub fn of(policy: &Policy, now: Now) -> Self {
        let closed = crate::policy::closed(&policy.limits.windows, now.server.0);
        let until = closed
            .as_ref()
            .and_then(|(_, until)| *until)
            .map(|until| now.mono.plus(u64::try_from(until.saturating_sub(now.server.0)).unwrap_or(0)));
        Self { closed: closed.map(|(why, _)| why), until }
    }
}

impl Facts<'_> {
    /// What limits its actions.
    #[must_use]
    pub fn spending(&self) -> Spending<'_> {
        Spending {
            ledger: self.ledger,
            policy: self.policy,
            of_network: &self.network.budget,
            slot: &self.target.slot,
            simulated: self.simulated(),
        }
    }

    /// When the oldest firing breach began.
    #[must_use]
    pub fn breach_since(&self) -> Mono {
        self.target.verdict.firing().map(|finding| finding.breach_since).min().unwrap_or(self.now.mono)
    }

    /// Whether steps are only written down.
    #[must_use]
    pub fn simulated(&self) -> bool {
        !self.policy.mode.acts() && !self.target.by_hand
    }
}
