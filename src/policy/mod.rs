//! PURE. A policy and a network after validation: no `Option` that means "default", every preset filled in.

mod network;
mod preset;
mod selector;
mod share;
mod validate;

pub use network::{NetworkPlan, NetworkProblem, Reference, validate_network};
pub use preset::{PRESET_SOURCE, Preset, preset};
pub use selector::Selector;
pub use share::required_healthy;
pub use validate::{Problem, validate};

use serde::{Deserialize, Serialize};

use crate::{
    api::{
        Family, HealthyShare, PolicyRef, RestartMethod,
        policy::{Mode, PortName, Role, Severity},
    },
    signal::Signal,
};

/// A validated policy. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Which object it was made of.
    pub id: PolicyRef,
    /// The generation of that object.
    pub generation: i64,
    /// Name of its network.
    pub network: String,
    /// The family of that network.
    pub family: Family,
    /// What the pods do.
    pub role: Role,
    /// How far Mainstay may go.
    pub mode: Mode,
    /// Which of two policies on one pod acts.
    pub priority: i32,
    /// Which pods.
    pub selector: Selector,
    /// What is asked of each target.
    pub sources: Vec<Source>,
    /// When a target is not healthy.
    pub rules: Vec<Rule>,
    /// What may be done, gentlest first.
    pub ladder: Ladder,
    /// What holds Mainstay back.
    pub limits: Limits,
    /// Sinks that hear of remediations and pages.
    pub sinks: Vec<String>,
}

/// One thing that is asked of each target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its name.
    pub name: String,
    /// What is asked.
    pub kind: SourceKind,
    /// How often.
    pub every: u64,
    /// How long an answer may take, in all.
    pub timeout: u64,
}

/// What is asked of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// The RPC of a `CometBFT` node at this container port.
    CometBft(PortName),
}

/// A condition on a signal with a hold time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its name; `preset/NAME` for the preset's.
    pub name: String,
    /// What is judged.
    pub signal: Signal,
    /// When it breaches.
    pub condition: Condition,
    /// When a breach fires.
    pub trigger: Trigger,
    /// Over only when the reading is at most (`Above`) or at least (`Below`) this, in millionths.
    pub clear_at: Option<i64>,
    /// Over only after that has lasted so long.
    pub clear_for: u64,
    /// What a firing rule means.
    pub severity: Severity,
}

/// When a rule breaches. Thresholds in millionths of the signal's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// The reading is greater.
    Above(i64),
    /// The reading is less.
    Below(i64),
    /// The head does not rise although the network's head is ahead.
    Stalled,
    /// There is no reading.
    Absent,
}

/// When a breach fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// After it has lasted so long without a break; 0: at once.
    For(u64),
    /// When so many of the last so many known samples breached.
    Samples {
        /// How many must have breached; 1 to 64.
        samples: u32,
        /// Of how many; 1 to 64.
        of: u32,
    },
}

/// What may be done, gentlest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ladder {
    /// Let the pod be made anew.
    pub restart: Option<RestartStep>,
    /// Call a person.
    pub page: bool,
}

/// Let the pod be made anew by its workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartStep {
    /// How the pod is removed; follows from the role.
    pub method: RestartMethod,
    /// From the accepted removal to a healthy target.
    pub within: u64,
    /// Restarts in one incident.
    pub attempts: u32,
    /// Rest after the first restart of an incident.
    pub cooldown: u64,
    /// Each rest is so many times the one before.
    pub backoff_factor: u32,
    /// No rest is longer.
    pub backoff_max: u64,
}

/// What holds Mainstay back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// How many of the other targets must be healthy.
    pub min_healthy: HealthyShare,
    /// Disruptive actions at once.
    pub max_concurrent: u32,
    /// After so long in health the next breach is a new incident.
    pub new_incident_after: u64,
    /// A head that rose within this time is progress.
    pub progress_within: u64,
    /// At most so many actions in so long.
    pub budget: Vec<BudgetLimit>,
    /// No action on a pod younger than this.
    pub warm_up: u64,
    /// Evidence older than this is no evidence.
    pub evidence_max_age: u64,
    /// Reasons for which nothing new is started.
    pub pause: Vec<String>,
}

/// At most so many actions in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetLimit {
    /// So many; 0: none.
    pub actions: u32,
    /// In so long.
    pub per: u64,
}

// === impl Source ===

impl Source {
    /// A sample older than this is not known any more: three intervals, and at least one whole poll.
    #[must_use]
    pub fn stale_after(&self) -> u64 {
        (3 * self.every).max(self.every + self.timeout)
    }
}

// === impl Policy ===

impl Policy {
    /// How long a sample of this signal stays known (milliseconds). What the kubelet says lives as long as the
    /// pod watch is fresh; the rest as long as the slowest source allows.
    #[must_use]
    pub fn stale_after(&self, signal: Signal) -> u64 {
        match signal {
            Signal::Ready | Signal::Restarts | Signal::WaitingReason | Signal::LastExit => 90_000,
            Signal::Reachable
            | Signal::RpcLatency
            | Signal::Head
            | Signal::HeadAge
            | Signal::HeadLag
            | Signal::BlockTimeSkew
            | Signal::Syncing
            | Signal::Peers
            | Signal::Signing => self.sources.iter().map(Source::stale_after).max().unwrap_or(15_000),
        }
    }

    /// The longest time that a target must have been healthy to count as healed, over its critical rules.
    #[must_use]
    pub fn clear_for(&self) -> u64 {
        let longest = self.rules.iter().filter(|rule| rule.severity == Severity::Critical);
        longest.map(|rule| rule.clear_for).max().unwrap_or(0).max(MIN_CLEAR)
    }

    /// The longest window of its budgets (milliseconds).
    #[must_use]
    pub fn longest_budget(&self) -> u64 {
        self.limits.budget.iter().map(|limit| limit.per).max().unwrap_or(0)
    }
}

/// A healed target must have been healthy for at least this long (milliseconds): one good sample is not health.
pub const MIN_CLEAR: u64 = 5_000;
