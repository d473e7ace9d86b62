//! One voter: what it told last, and for how long that counts.

use crate::signal::{Mono, Told, Unknown, Upgrade};

/// What a probe of a node told that its network wants to know.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Its head. One that is still catching up knows that this is not the network's.
    pub head: Result<u64, Unknown>,
    /// Whether it answered correctly, and so bears witness.
    pub answered: bool,
    /// The newest height that cannot be undone, as it tells.
    pub finalized: Option<u64>,
    /// Now minus the time of its latest block (millionths of a second).
    pub skew: Option<i64>,
    /// What else it told of the chain.
    pub told: &'a Told,
    /// When that was.
    pub observed_at: Mono,
    /// For how long it counts (milliseconds).
    pub stale_after: u64,
}

/// One voter. A probe that got no answer takes nothing back: the vote before it stands until it is stale, else a
/// reference that fails now and then would come and go all the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Vote {
    /// The newest head that was told, and when.
    head: Option<(u64, Mono)>,
    /// When the head last rose from one sample to the next.
    rose_at: Option<Mono>,
    /// The head, if it has just risen by as much as blocks can make it rise.
    step: Option<u64>,
    /// The newest result, and when.
    pub told: Result<u64, Unknown>,
    pub observed_at: Mono,
    pub stale_after: u64,
    finalized: Option<u64>,
    skew: Option<i64>,
    upgrade: Option<(Option<Upgrade>, Mono)>,
    /// When the probe last succeeded, and so bore witness.
    answered_at: Option<Mono>,
    /// The head that counted at the last refresh.
    pub counted: Option<u64>,
    /// Whether its block differs from that of most others: it speaks of another chain.
    pub elsewhere: bool,
}

impl Vote {
    pub fn none(stale_after: u64) -> Self {
        Self {
            head: None,
            rose_at: None,
            step: None,
            told: Err(Unknown::NotYet),
            observed_at: Mono(0),
            stale_after,
            finalized: None,
            skew: None,
            upgrade: None,
            answered_at: None,
            counted: None,
            elsewhere: false,
        }
    }

    /// Takes the result of a probe, unless a newer one is known.
    pub fn take(&mut self, seen: &Seen<'_>, block_time: u64) {
        let Seen { head, answered, finalized, skew, told, observed_at, stale_after } = seen;
        if *observed_at < self.observed_at {
            return;
        }
        self.stale_after = *stale_after;
        self.head = match head {
            Ok(head) => {
                if let Some((before, at)) = self.head.filter(|(before, _)| *head > *before) {
                    self.rose_at = Some(*observed_at);
                    // What a chain ten times as fast as announced makes meanwhile, and a handful: farther is no step, but
                    // somebody who comes back from the past.
                    let meanwhile = observed_at.since(at).saturating_mul(10) / block_time.max(1);
                    self.step = (*head - before <= meanwhile.saturating_add(20)).then_some(*head);
                }
                Some((*head, *observed_at))
            }
            Err(Unknown::NoAnswer | Unknown::OurSide(_)) => self.head,
            // Nonsense and other chains have no vote, not even a former one.
            Err(_) => None,
        };
        self.told.clone_from(head);
        self.finalized = finalized.or(self.finalized);
        self.skew = *skew;
        if let Some(upgrade) = &told.upgrade {
            self.upgrade = Some((upgrade.clone(), *observed_at));
        }
        self.observed_at = *observed_at;
        if *answered {
            self.answered_at = Some(*observed_at);
        }
    }

    /// The head, if it made a step since the last refresh.
    pub fn stepped(&self) -> Option<u64> {
        self.step
    }

    /// The refresh has seen its step.
    pub fn settle(&mut self) {
        self.step = None;
    }

    /// The head that is voted for, while it is fresh and of this chain.
    pub fn fresh(&self, now: Mono) -> Option<u64> {
        let fresh = self.head.filter(|(_, at)| now.since(*at) <= self.stale_after && !self.elsewhere);
        fresh.map(|(head, _)| head)
    }

    /// Its newest final height, while its head is fresh.
    pub fn finalized(&self, now: Mono) -> Option<u64> {
        self.fresh(now).and(self.finalized)
    }

    /// The upgrade that it says is planned. Plans live long, and so does what is known of them: ten minutes.
    pub fn upgrade(&self, now: Mono) -> Option<&Option<Upgrade>> {
        self.upgrade.as_ref().filter(|(_, at)| now.since(*at) <= 600_000).map(|(upgrade, _)| upgrade)
    }

    /// Whether its latest block is at most this old (milliseconds): then it cannot be far behind anybody.
    pub fn is_current(&self, within: u64) -> bool {
        let within = i64::try_from(within).unwrap_or(i64::MAX).saturating_mul(1000);
        self.skew.is_some_and(|skew| skew.saturating_abs() <= within)
    }

    /// Whether its own head rose within this time (milliseconds).
    pub fn rose_within(&self, now: Mono, within: u64) -> bool {
        self.fresh(now).is_some() && self.rose_at.is_some_and(|at| now.since(at) < within)
    }

    /// Notes what it votes for now; returns whether it votes and did not, or the other way round.
    pub fn recount(&mut self, now: Mono) -> bool {
        let counts = self.fresh(now);
        std::mem::replace(&mut self.counted, counts).is_some() != counts.is_some()
    }

    /// The first instant at which the vote is stale.
    pub fn lapses_at(&self, now: Mono) -> Option<Mono> {
        self.fresh(now)?;
        self.head.map(|(_, at)| at.plus(self.stale_after).plus(1))
    }

    /// The last success, and for how long it bears witness: two intervals, where a sample lives for three.
    pub fn witness(&self) -> Option<(Mono, u64)> {
        self.answered_at.map(|at| (at, self.stale_after / 3 * 2))
    }
}
