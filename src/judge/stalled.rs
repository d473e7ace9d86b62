//! `stalled`: the head does not rise although the network's head is ahead.

use super::{hold::Stance, words};
use crate::signal::Mono;

/// The network must be so many blocks ahead: one may simply be on its way.
const AHEAD: u64 = 2;

/// The head at the newest sample, and how it got there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    head: u64,
    /// Since when the head is there.
    since: Mono,
    /// When the newest sample was observed.
    observed_at: Mono,
    /// Whether the newest sample raised the head.
    rose: bool,
    network: u64,
    stance: Stance,
}

// === impl Mark ===

impl Mark {
    /// The first sample. That a head rose can only be told from the second on, so it is taken to have.
    pub fn new(head: u64, network: u64, since: Mono, observed_at: Mono) -> Self {
        Self { head, since, observed_at, rose: true, network, stance: Stance::Clear }
    }

    /// Compares a sample, or the same sample again with a newer network's head.
    ///
    /// A rise is one over the sample before, not over the greatest head ever: a node that starts over from nothing
    /// is catching up, and that is left alone.
    pub fn follow(&mut self, head: u64, network: u64, observed_at: Mono) {
        if observed_at != self.observed_at {
            self.rose = head > self.head;
            if head != self.head {
                self.since = observed_at;
            }
            self.head = head;
            self.observed_at = observed_at;
        }
        self.network = network;
        self.stance = if self.rose {
            Stance::Clear
        } else if network >= head.saturating_add(AHEAD) {
            Stance::Breach
        } else if self.stance == Stance::Clear {
            Stance::Clear
        } else {
            // The network's head fell back. That refutes the breach, but only a rise is recovery.
            Stance::Between
        };
    }

    pub fn stance(&self) -> Stance {
        self.stance
    }

    /// The sentence for people.
    pub fn sentence(&self, now: Mono) -> String {
        let Self { head, network, .. } = self;
        let stood = words::span(now.since(self.since));
        format!("head has stood at {head} for {stood} while the network went on to {network}")
    }
}
