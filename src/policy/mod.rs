//! PURE. A policy and a network after validation: no `Option` that means "default", every preset filled in.

mod ladder;
mod network;
mod preset;
mod selector;
mod share;
mod source;
mod sources;
mod validate;
mod window;

pub use network::{NetworkPlan, NetworkProblem, Reference, validate_network};
pub use preset::{Preset, preset};
pub use selector::Selector;
pub use share::required_healthy;
pub use source::{
    CHAINLINK, COMETBFT, CONSENSUS, EXECUTION, FAILING_CHECKS, FEED, HERMES, Pick, SOLANA, SUBSTRATE, Source,
    SourceKind, WALLET, WEB3SIGNER,
};
pub use validate::{Problem, validate};
pub use window::{Window, closed};

use serde::{Deserialize, Serialize};

use crate::{
    api::{
        Family, HealthyShare, PolicyRef, RestartMethod,
        policy::{Mode, Role, Severity},
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
    /// Other networks that it needs.
    pub joins: Vec<String>,
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
    /// The node's block or state differs from the network's.
    Diverged,
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
    /// Take the pod out of the Services that serve it.
    pub reroute: Option<RerouteStep>,
    /// Let the pod be made anew.
    pub restart: Option<RestartStep>,
    /// Run a job of the owner's.
    #[serde(default)]
    pub job: Option<JobStep>,
    /// Let another sign.
    #[serde(default)]
    pub failover: Option<FailoverStep>,
    /// Call a person.
    pub page: bool,
}

/// Take the pod out of the Services that serve it, and back in when it is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RerouteStep {
    /// So long it may get well by itself, out of rotation, before the next step.
    pub within: u64,
    /// How often in one incident.
    pub attempts: u32,
    /// At least so long in, and at least so long out.
    pub stay: u64,
    /// Whether a target of another chain is taken out even if it is the last.
    pub quarantine_the_last: bool,
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

/// Run a suspended `CronJob` once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStep {
    /// Its name.
    pub cron_job: String,
    /// From the creation of the job to a healthy target.
    pub within: u64,
    /// Jobs in one incident.
    pub attempts: u32,
    /// Rest after the first job of an incident.
    pub cooldown: u64,
    /// Each rest is so many times the one before.
    pub backoff_factor: u32,
    /// No rest is longer.
    pub backoff_max: u64,
}

/// Let another member of a group sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverStep {
    /// Name of the group.
    pub group: String,
    /// From the order to another member that holds the place.
    pub within: u64,
    /// Failovers away from one slot in one incident.
    pub attempts: u32,
    /// Rest after each.
    pub cooldown: u64,
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
    /// The same for one target.
    #[serde(default)]
    pub budget_per_target: Vec<BudgetLimit>,
    /// Many actions in a short time.
    #[serde(default)]
    pub storm: Option<StormLimit>,
    /// Times that come again.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// No action on a pod younger than this.
    pub warm_up: u64,
    /// Evidence older than this is no evidence.
    pub evidence_max_age: u64,
    /// Reasons for which nothing new is started.
    pub pause: Vec<String>,
    /// So many people must approve a step in mode `Approve`.
    #[serde(default = "one")]
    pub approvals: u32,
}

/// What a record of an earlier version means.
const fn one() -> u32 {
    1
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

/// Many actions in a short time are one cause, and not so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StormLimit {
    /// So many targets.
    pub targets: u32,
    /// Within so long.
    pub per: u64,
    /// So long nothing is begun after that.
    pub cooldown: u64,
}

// === impl Ladder ===

impl Ladder {
    /// Whether it has no step at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { reroute, restart, job, failover, page } = self;
        reroute.is_none() && restart.is_none() && job.is_none() && failover.is_none() && !*page
    }
}

// === impl Policy ===

impl Policy {
    /// The place of a source among the policy's; what the kubelet says comes before them all.
    #[must_use]
    pub fn rank(&self, source: &str) -> Option<u8> {
        let place = self.sources.iter().position(|known| known.name == source)?;
        u8::try_from(place + 1).ok()
    }

    /// The source of this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// Whether what this source tells is its targets' vote on the network's head: that of the first that knows a head,
    /// and only where the targets follow the chain themselves.
    #[must_use]
    pub fn votes_with(&self, source: &str) -> bool {
        let knows = |source: &&Source| source.kind.signals().contains(&Signal::Head);
        self.follows_the_chain() && self.sources.iter().find(knows).is_some_and(|first| first.name == source)
    }

    /// Whether its targets follow the chain, and so have a head of their own.
    #[must_use]
    pub const fn follows_the_chain(&self) -> bool {
        matches!(self.role, Role::FullNode | Role::Sentry | Role::Validator)
    }

    /// The longest time that a target must have been healthy to count as healed, over its critical rules.
    #[must_use]
    pub fn clear_for(&self) -> u64 {
        let longest = self.rules.iter().filter(|rule| rule.severity >= Severity::Critical);
        longest.map(|rule| rule.clear_for).max().unwrap_or(0).max(MIN_CLEAR)
    }

    /// How long a step that is due may be held back before a person must hear of it (milliseconds).
    #[must_use]
    pub fn patience(&self) -> Option<u64> {
        let Ladder { reroute, restart, job, failover, page: _ } = &self.ladder;
        let on_the_pod = restart.map(|step| step.within).or_else(|| job.as_ref().map(|step| step.within));
        let beside_it = failover.as_ref().map(|step| step.within).or_else(|| reroute.map(|step| step.within));
        on_the_pod.or(beside_it)
    }

    /// For how long its actions limit anything (milliseconds).
    #[must_use]
    pub fn longest_budget(&self) -> u64 {
        let limits = &self.limits;
        let budgets = limits.budget.iter().chain(&limits.budget_per_target).map(|limit| limit.per);
        let storm = limits.storm.map(|storm| storm.per + storm.cooldown);
        budgets.chain(storm).max().unwrap_or(0)
    }
}

/// What the kubelet says lives as long as the pod watch is fresh (milliseconds).
pub const POD_STALE_AFTER: u64 = 90_000;

/// A healed target must have been healthy for at least this long (milliseconds): one good sample is not health.
pub const MIN_CLEAR: u64 = 5_000;
