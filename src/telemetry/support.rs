//! What a node does not offer is asked for once, and again when the node's version changes.

use std::collections::BTreeSet;

use super::ask::Trouble;
use crate::signal::Unknown;

/// What is known of one node's offer.
#[derive(Clone, Debug)]
pub(super) struct Support {
    version: String,
    missing: BTreeSet<&'static str>,
    polls: u32,
}

/// The version is asked for once in so many polls, where that costs a question of its own.
const VERSION_EVERY: u32 = 60;

impl Support {
    /// Of a node that was never asked.
    pub const fn new() -> Self {
        Self { version: String::new(), missing: BTreeSet::new(), polls: 0 }
    }

    /// Whether it is time to ask for the version. After a poll that failed it is: the node may have been replaced.
    pub fn wants_version(&mut self) -> bool {
        let wants = self.polls.is_multiple_of(VERSION_EVERY);
        self.polls = self.polls.wrapping_add(1);
        wants
    }

    /// The node says which version it is.
    pub fn version(&mut self, version: &str) {
        if self.version != version {
            version.clone_into(&mut self.version);
            self.missing.clear();
        }
    }

    /// Which version it is, as far as known.
    pub fn known_version(&self) -> &str {
        &self.version
    }

    /// The poll failed.
    pub fn lost(&mut self) {
        self.polls = 0;
    }

    /// Whether there is sense in asking.
    pub fn offers(&self, method: &'static str) -> bool {
        !self.missing.contains(method)
    }

    /// Learns from an answer that something is not offered.
    pub fn learn<T>(&mut self, method: &'static str, answer: Result<T, Trouble>) -> Result<T, Trouble> {
        if matches!(answer, Err(Trouble::Unusable(Unknown::Unsupported))) {
            self.missing.insert(method);
        }
        answer
    }
}

/// Asks, unless it is known that the node does not offer it.
macro_rules! ask {
    ($support:expr, $method:literal, $question:expr) => {
        if $support.offers($method) {
            let answer = $question.await;
            $support.learn($method, answer)
        } else {
            Err($crate::telemetry::ask::Trouble::unsupported())
        }
    };
}
pub(super) use ask;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_asked_for_again_when_the_version_changes() {
        let mut support = Support::new();
        support.version("geth/1");
        assert!(support.offers("txpool_status"));
        assert!(support.learn("txpool_status", Err::<(), _>(Trouble::unsupported())).is_err());
        assert!(!support.offers("txpool_status") && support.offers("net_peerCount"));
        support.version("geth/1");
        assert!(!support.offers("txpool_status"));
        support.version("geth/2");
        assert!(support.offers("txpool_status"));
    }
}
