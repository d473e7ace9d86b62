//! PURE. What the chain as a whole is doing: the reference head as a quorum sees it, whether it stands still, and
//! who else on the network answered.
//!
//! **The reference head** is the lower median of fresh, chain-verified votes: sorted from high to low, the one at
//! index n/2. Each reference has one vote; own nodes have one vote per policy, the lower median of that policy's
//! fresh targets without the subject. With three or more fresh references own nodes do not vote, else a fault of the
//! whole fleet would read as a stalled chain.
//!
//! With three votes or more a single liar, frozen or far ahead, moves nothing. With two the lower one counts, so
//! that a frozen vote hides lag and fakes a stalled chain; with one there is nothing to compare it with. The first
//! errs to doing nothing; the second is good for lag only, and [`ReferenceHead::of`] says so.

mod blocks;
mod chain;
mod quorum;
mod record;
#[cfg(test)]
mod tests;
mod vote;

pub use blocks::{Comparison, Split};
pub use chain::{Chain, reference_every};
pub use vote::Seen;

use crate::signal::{Mono, Upgrade};

/// One of one's own nodes as a voter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter {
    /// Uid of the policy.
    pub policy: String,
    /// Uid of the pod.
    pub target: String,
}

/// Whose block it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Who {
    /// A reference's, by name.
    Reference(String),
    /// One of one's own nodes'.
    Own(Voter),
}

/// What a target needs to know of the rest of its network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetworkView {
    /// The network's head as the others see it; `None` without any vote but the subject's own.
    pub reference: Option<ReferenceHead>,
    /// When some other probe on this network last succeeded: the witness that a silence is not our own.
    pub witness_at: Option<Mono>,
    /// For how long that success bears witness (milliseconds): two of its own intervals.
    pub witness_within: u64,
    /// How its newest comparable block compares with the others'.
    pub block: Option<Comparison>,
    /// How its application's state compares with what the others' next header says.
    pub state: Option<Comparison>,
    /// The upgrade that the chain has planned: the target's own word first, then what most say.
    pub upgrade: Option<Upgrade>,
    /// Voters disagree about the chain, and nobody can say who is right.
    pub split: bool,
}

/// The network's head as a quorum sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReferenceHead {
    /// The height.
    pub height: u64,
    /// When the quorum was last seen to reach a new height. `Mono(0)`: not yet since we look.
    pub risen_at: Mono,
    /// Votes that have reached the height.
    pub agree: u32,
    /// Votes in all.
    pub of: u32,
}

// === impl NetworkView ===

impl NetworkView {
    /// Whether something else on the network answered around the time when a request was sent.
    #[must_use]
    pub fn witnessed(&self, asked_at: Mono) -> bool {
        self.witness_at.is_some_and(|witness_at| witness_at.plus(self.witness_within) >= asked_at)
    }
}
