//! What is counted. The labels are closed sets.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use super::{answer::Outcome, frame::Broken};

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

/// The numbers of a signer. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Connections to the node.
    pub connections: Counter,
    /// Requests that were answered.
    pub requests: Family<OutcomeLabel, Counter>,
    /// Connections that were given up by us.
    pub broken: Family<BrokenLabel, Counter>,
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

    pub(super) fn answered(&self, outcome: Outcome) {
        self.requests.get_or_create(&OutcomeLabel { outcome: outcome.name() }).inc();
    }

    pub(super) fn gave_up(&self, broken: &Broken) {
        self.broken.get_or_create(&BrokenLabel { reason: broken.name() }).inc();
    }
}
