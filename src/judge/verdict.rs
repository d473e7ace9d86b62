//! Verdicts and the evidence behind them.

use serde::{Deserialize, Serialize};

use crate::api::policy::Severity;
use crate::signal::{Mono, Signal};

/// What is held of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// In one word.
    pub kind: VerdictKind,
    /// Since when it has been that.
    pub since: Mono,
    /// The rules that breach or fire, gravest first, then by name. Warnings are among them whatever the kind.
    pub findings: Vec<Finding>,
    /// For `Unknown`: the critical rule that cannot be judged, and why, in one sentence.
    pub unknown: String,
}

/// A verdict in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VerdictKind {
    /// Every critical rule is judged and none breaches.
    Healthy,
    /// A critical rule breaches within its hold.
    Suspect,
    /// A critical rule fires.
    Unhealthy,
    /// A critical rule cannot be judged.
    Unknown,
}

/// A rule that breaches or fires.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// What it judges. Decisions that older versions wrote down do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// What a firing rule means.
    pub severity: Severity,
    /// Whether it fires; else it only breaches.
    pub firing: bool,
    /// When the breach began: when the first breaching request was sent.
    pub breach_since: Mono,
    /// When the newest sample behind it was observed.
    pub observed_at: Mono,
    /// The sentence for people, with the numbers: `head has stood at 81204 while the network went on to 81310`.
    pub evidence: String,
}

impl VerdictKind {
    /// All of them, in the order of their gravity for people.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Suspect, Self::Unhealthy, Self::Unknown];

    /// Its name in manifests and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspect => "Suspect",
            Self::Unhealthy => "Unhealthy",
            Self::Unknown => "Unknown",
        }
    }
}

impl Verdict {
    /// The findings that fire and make the target unhealthy: the critical ones, and those that quarantine.
    pub fn firing(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.firing && finding.severity >= Severity::Critical)
    }

    /// Whether a silence is among what fires: the one finding that may be the fault of whoever found it.
    #[must_use]
    pub fn is_a_silence(&self) -> bool {
        self.firing().any(|finding| finding.signal == Some(Signal::Reachable))
    }

    /// Whether the target must be kept as it is: what is wrong with it, no restart mends.
    #[must_use]
    pub fn quarantined(&self) -> bool {
        self.firing().any(|finding| finding.severity == Severity::Quarantine)
    }
}
