//! What is counted. The labels are closed sets.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::failover::gate::{Refusal, Step};

use super::{answer::Outcome, frame::Broken, words::kind};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// One of [`Outcome::name`].
    pub outcome: &'static str,
}

/// Why a connection was given up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BrokenLabel {
    /// One of [`Broken::name`].
    pub reason: &'static str,
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StepLabel {
    /// `proposal`, `prevote` or `precommit`.
    pub step: &'static str,
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabel {
    /// The reason's name.
    pub reason: &'static str,
}

/// The numbers of a signer. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Connections to the node.
    pub connections: Counter,
    /// Requests that were answered.
    pub requests: Family<OutcomeLabel, Counter>,
    /// Connections that were given up by us.
    pub broken: Family<BrokenLabel, Counter>,
    /// Signatures that left.
    pub signatures: Family<StepLabel, Counter>,
    /// Requests for a signature that were refused.
    pub refusals: Family<RefusalLabel, Counter>,
    /// Whether this process may sign.
    pub holding: Gauge,
    /// The epoch that was seen last.
    pub epoch: Gauge,
    /// Heights that are left of the window.
    pub window_left: Gauge,
    /// Whether the gate is shut until a person has looked.
    pub latched: Gauge,
    /// Requests to the API server that came to nothing.
    pub api_errors: Counter,
    /// Looks at the node's chain that came to nothing.
    pub rpc_errors: Counter,
}

// === impl Counts ===

impl Counts {
    /// The requests with this outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.requests.get_or_create(&OutcomeLabel { outcome: outcome.name() }).get()
    }

    /// The connections that were given up for such a reason.
    #[must_use]
    pub fn given_up(&self, reason: &'static str) -> u64 {
        self.broken.get_or_create(&BrokenLabel { reason }).get()
    }

    /// All of it, under the names that people see.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("mainstay_gate");
        all.register("connections", "Connections to the node", self.connections.clone());
        all.register("requests", "Requests of the node, by what became of them", self.requests.clone());
        all.register("broken_connections", "Connections given up, by reason", self.broken.clone());
        all.register("signatures", "Signatures that left, by step", self.signatures.clone());
        all.register("refusals", "Requests for a signature that were refused, by reason", self.refusals.clone());
        all.register("holding", "Whether this process may sign", self.holding.clone());
        all.register("epoch", "The epoch that was seen last", self.epoch.clone());
        all.register("window_left", "Heights that are left of the window", self.window_left.clone());
        all.register("latched", "Whether nothing is signed until a person has looked", self.latched.clone());
        all.register("rpc_errors", "Looks at the node's chain that came to nothing", self.rpc_errors.clone());
        all.register("api_errors", "Requests to the API server that came to nothing", self.api_errors.clone());
        all
    }

    /// Signatures of one step.
    #[must_use]
    pub fn signed_so_far(&self, step: Step) -> u64 {
        self.signatures.get_or_create(&StepLabel { step: kind(step) }).get()
    }

    /// Refusals for one reason.
    #[must_use]
    pub fn refused_so_far(&self, why: Refusal) -> u64 {
        self.refusals.get_or_create(&RefusalLabel { reason: why.name() }).get()
    }

    pub(super) fn signed(&self, step: Step) {
        self.signatures.get_or_create(&StepLabel { step: kind(step) }).inc();
    }

    pub(super) fn refused(&self, why: Refusal) {
        self.refusals.get_or_create(&RefusalLabel { reason: why.name() }).inc();
    }

    pub(super) fn stand(&self, holding: bool, epoch: u64, left: u64, latched: bool) {
        self.holding.set(holding.into());
        self.epoch.set(i64::try_from(epoch).unwrap_or(i64::MAX));
        self.window_left.set(i64::try_from(left).unwrap_or(i64::MAX));
        self.latched.set(latched.into());
    }

    pub(super) fn answered(&self, outcome: Outcome) {
        self.requests.get_or_create(&OutcomeLabel { outcome: outcome.name() }).inc();
    }

    pub(super) fn gave_up(&self, broken: &Broken) {
        self.broken.get_or_create(&BrokenLabel { reason: broken.name() }).inc();
    }
}
