//! Guards: reasons not to act. All are asked every time; the first that holds is the refusal.

use serde::{Deserialize, Serialize};

use crate::signal::Mono;

use super::{Facts, Step, questions::asked};

/// A reason not to act, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Guard {
    /// Somebody pulled the emergency stop.
    EmergencyStop,
    /// The cluster's schema is older than this build's.
    OldSchema,
    /// Another installation owns this network, or another policy claims this pod.
    Conflict,
    /// The policy only observes.
    Mode,
    /// People are to approve it, and could not, or have not.
    Approval,
    /// The policy is paused.
    Paused,
    /// The pod opted out, is nobody's, or is not ours to touch.
    NeverTouched,
    /// The pod is gone or on its way out.
    Moved,
    /// A rollout is under way.
    Rollout,
    /// The node is cordoned or not ready.
    NodeUnfit,
    /// The kubelet is restarting it already.
    CrashLoop,
    /// Something is wrong that no restart mends.
    Cause,
    /// The job cannot be run: its `CronJob` is missing, runs by itself, or is none that we may run.
    CronJob,
    /// This is a time in which nothing is begun.
    Window,
    /// What we see may be what is wrong with us.
    TelemetryLost,
    /// Whatever is ill is on one node.
    Correlated,
    /// The policy suddenly has far more targets than before.
    Growth,
    /// What it depends on is being healed.
    Dependency,
    /// The chain is about to be upgraded, or waits for it.
    Upgrading,
    /// There are two chains under one name.
    Diverged,
    /// The chain as a whole does not move.
    NetworkStalled,
    /// The target is not unhealthy on fresh evidence.
    Evidence,
    /// It keeps silent here, and no other replica confirms that.
    Unconfirmed,
    /// What the cluster's API told us is too old.
    StaleCache,
    /// The pod is young.
    WarmUp,
    /// It is catching up, and gets somewhere.
    Progress,
    /// It left its Services a moment ago, and may get well by itself.
    Rerouted,
    /// No Service could do with a change of rotation: none chooses the pod, or this is its last ready pod, or its switch
    /// was turned a moment ago.
    Rotation,
    /// It would not help that another signs, or nobody else may.
    Failover,
    /// Nothing is left to try in this incident.
    Exhausted,
    /// The slot rests after the last step.
    Cooldown,
    /// A budget is used up: of the policy, of the target or of the network.
    Budget,
    /// So many targets were acted on in so short a time that this one waits.
    Storm,
    /// Too few others are healthy.
    MinHealthy,
    /// Others are being acted on.
    MaxConcurrent,
    /// The ledger has no room left for what this step would have to be remembered by.
    LedgerFull,
    /// A disruption budget of the cluster holds, or could not be asked.
    DisruptionBudget,
    /// The last attempt was withdrawn a moment ago.
    Withdrawn,
    /// What was asked by hand is not what the policy says of that step, or the entry is not about the target that it names.
    Request,
}

/// What a guard said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardResult {
    /// Which.
    pub guard: Guard,
    /// Why it holds; `None` if it does not.
    pub held: Option<Held>,
}

/// Why a guard holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// In one sentence.
    pub why: String,
    /// Until when, where that is known.
    pub until: Option<Mono>,
}

impl Guard {
    /// Its name in manifests and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmergencyStop => "EmergencyStop",
            Self::OldSchema => "OldSchema",
            Self::Conflict => "Conflict",
            Self::Mode => "Mode",
            Self::Approval => "Approval",
            Self::Paused => "Paused",
            Self::NeverTouched => "NeverTouched",
            Self::Moved => "Moved",
            Self::Rollout => "Rollout",
            Self::NodeUnfit => "NodeUnfit",
            Self::CrashLoop => "CrashLoop",
            Self::Cause => "Cause",
            Self::CronJob => "CronJob",
            Self::TelemetryLost => "TelemetryLost",
            Self::Upgrading => "Upgrading",
            Self::Diverged => "Diverged",
            Self::NetworkStalled => "NetworkStalled",
            Self::Evidence => "Evidence",
            Self::Unconfirmed => "Unconfirmed",
            Self::StaleCache => "StaleCache",
            Self::WarmUp => "WarmUp",
            Self::Progress => "Progress",
            Self::Rerouted => "Rerouted",
            Self::Rotation => "Rotation",
            Self::Failover => "Failover",
            Self::Exhausted => "Exhausted",
            Self::Cooldown => "Cooldown",
            Self::Budget => "Budget",
            Self::Storm => "Storm",
            Self::Window => "Window",
            Self::Correlated => "Correlated",
            Self::Dependency => "Dependency",
            Self::Growth => "Growth",
            Self::MinHealthy => "MinHealthy",
            Self::MaxConcurrent => "MaxConcurrent",
            Self::LedgerFull => "LedgerFull",
            Self::DisruptionBudget => "DisruptionBudget",
            Self::Withdrawn => "Withdrawn",
            Self::Request => "Request",
        }
    }
}

impl Guard {
    /// Whether it may hold for ever if nobody comes. The others let go by themselves, are a person's own wish, or have
    /// an alert of their own.
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        match self {
            Self::Approval
            | Self::NeverTouched
            | Self::Rollout
            | Self::NodeUnfit
            | Self::CrashLoop
            | Self::Cause
            | Self::CronJob
            | Self::Failover
            | Self::Upgrading
            | Self::Unconfirmed
            | Self::Budget
            | Self::Storm
            | Self::Correlated
            | Self::Growth
            | Self::MinHealthy
            | Self::LedgerFull
            | Self::DisruptionBudget => true,
            Self::EmergencyStop
            | Self::OldSchema
            | Self::Conflict
            | Self::Mode
            | Self::Paused
            | Self::Moved
            | Self::TelemetryLost
            | Self::Diverged
            | Self::NetworkStalled
            | Self::Evidence
            | Self::StaleCache
            | Self::WarmUp
            | Self::Progress
            | Self::Rerouted
            | Self::Rotation
            | Self::Exhausted
            | Self::Cooldown
            | Self::Window
            | Self::Dependency
            | Self::MaxConcurrent
            | Self::Withdrawn
            | Self::Request => false,
        }
    }
}

// Each guard returns what these say as its answer.
#[expect(clippy::unnecessary_wraps)]
impl Held {
    /// Holds for no known time.
    pub(super) fn because(why: impl Into<String>) -> Option<Self> {
        Some(Self { why: why.into(), until: None })
    }

    /// Holds until an instant.
    pub(super) fn until(at: Mono, why: impl Into<String>) -> Option<Self> {
        Some(Self { why: why.into(), until: Some(at) })
    }
}

/// Asks every guard that a step has. `propose` calls it with the facts of the cache, and the life of a remediation
/// once more with live ones, right before the act.
#[must_use]
pub fn all(facts: &Facts<'_>, step: Step) -> Vec<GuardResult> {
    asked(step).iter().map(|(guard, holds)| GuardResult { guard: *guard, held: holds(facts) }).collect()
}

/// The guards of a step, in the order in which they are asked.
#[must_use]
pub fn guards_of(step: Step) -> Vec<Guard> {
    asked(step).iter().map(|(guard, _)| *guard).collect()
}
