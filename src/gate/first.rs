//! PURE. Before the first signature of a hold the commits of the node's chain are read: of somebody else who has the key the gate
//! would learn only after it has signed beside them. It waits for that, and not for long: a node whose RPC is away or hangs
//! keeps nobody from signing.

use crate::failover::Tenure;

/// So long the first signature waits for a node that does not tell its commits (milliseconds). Meanwhile votes are refused.
pub const PATIENCE: u64 = 2_000;

/// What a look at the node's chain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// All commits that there are of this hold were read.
    Read(Tenure),
    /// There is no hold to read them of, or some are still to come: its window has yet to catch up with the node.
    Unread,
    /// The node does not answer, or not as one of this chain does.
    Away,
}

/// Whether the first signature of a hold waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct First {
    /// What the last look came to; none before the first one.
    last: Option<Look>,
    /// The hold whose commits were read.
    read: Option<Tenure>,
    /// In which hold a signature was asked for first, and when.
    asked: Option<(Tenure, u64)>,
}

impl First {
    /// Somebody has looked.
    pub const fn looked(&mut self, look: Look) {
        self.last = Some(look);
        if let Look::Read(tenure) = look {
            self.read = Some(tenure);
        }
    }

    /// Whether all was read that there was of this hold.
    #[must_use]
    pub fn is_read(&self, tenure: Tenure) -> bool {
        self.read == Some(tenure)
    }

    /// Whether a signature that is asked for in this hold has to wait.
    pub fn waits(&mut self, tenure: Tenure, now: u64) -> bool {
        if self.is_read(tenure) || self.last == Some(Look::Away) {
            return false;
        }
        let (_, since) = *self.asked.insert(self.asked.filter(|(of, _)| *of == tenure).unwrap_or((tenure, now)));
        now.saturating_sub(since) < PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{Activation, Epoch};

    fn tenure(epoch: u64) -> Tenure {
        Tenure { epoch: Epoch(epoch), activation: Activation(epoch.into()) }
    }

    #[test]
    fn it_waits_until_the_commits_of_this_very_hold_were_read() {
        let mut first = First::default();
        assert!(first.waits(tenure(1), 10));
        first.looked(Look::Unread);
        assert!(first.waits(tenure(1), 11));
        first.looked(Look::Read(tenure(1)));
        assert!(!first.waits(tenure(1), 12));
        // What fails later is no reason to wait again, and what was read of one hold says nothing of the next.
        first.looked(Look::Unread);
        assert!(!first.waits(tenure(1), 13) && first.waits(tenure(2), 14));
    }

    #[test]
    fn it_waits_for_no_node_that_is_away_and_for_none_for_ever() {
        let mut first = First::default();
        first.looked(Look::Away);
        assert!(!first.waits(tenure(1), 10));
        first.looked(Look::Unread);
        // From the first question on, however long ago the hold began.
        assert!(first.waits(tenure(1), 50_000));
        assert!(first.waits(tenure(1), 50_000 + PATIENCE - 1));
        assert!(!first.waits(tenure(1), 50_000 + PATIENCE));
        assert!(!first.waits(tenure(1), 90_000));
        assert!(first.waits(tenure(2), 90_000));
    }
}
