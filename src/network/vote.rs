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

/// A voter that has told lower heads than once for so long (milliseconds) lives on another chain of the name: a development
/// network that was made anew. Until then nothing that it tells is a new block.
const MADE_ANEW: u64 = 600_000;

/// One voter. A probe that got no answer takes nothing back: the vote before it stands until it is stale, else a
/// reference that fails now and then would come and go all the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Vote {
    /// The newest head that was told, and when.
    head: Option<(u64, Mono)>,
    /// The highest head that it ever told, and since when it has told lower ones.
    peak: (u64, Option<Mono>),
    /// When the head last rose from one sample to the next, to where it had never been.
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
            peak: (0, None),
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
                // Who was there before makes no block by coming back, however short the way.
                let new = self.climbs(*head, *observed_at);
                if let Some((before, at)) = self.head.filter(|(before, _)| new && *head > *before) {
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

    /// Notes a head; returns whether it is higher than any before.
    fn climbs(&mut self, head: u64, at: Mono) -> bool {
        let (peak, below_since) = self.peak;
        if head >= peak {
            self.peak = (head, None);
            return head > peak;
        }
        let since = below_since.unwrap_or(at);
        self.peak = if at.since(since) > MADE_ANEW { (head, None) } else { (peak, Some(since)) };
        false
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(vote: &mut Vote, second: u64, head: u64) -> Option<u64> {
        let told = Told::default();
        let seen = Seen {
            head: Ok(head),
            answered: true,
            finalized: None,
            skew: None,
            told: &told,
            observed_at: Mono(second * 1000),
            stale_after: 6_000,
        };
        vote.settle();
        vote.take(&seen, 2_000);
        vote.stepped()
    }

    #[test]
    fn who_comes_back_to_where_it_was_makes_no_block() {
        let mut vote = Vote::none(6_000);
        assert_eq!(told(&mut vote, 0, 1_027), None);
        assert_eq!(told(&mut vote, 2, 1_028), Some(1_028));
        assert_eq!(told(&mut vote, 4, 1_000), None, "a backend that lags behind the one before");
        assert_eq!(told(&mut vote, 54, 1_028), None, "and the one before again");
        assert_eq!(told(&mut vote, 56, 1_029), Some(1_029));
    }

    #[test]
    fn a_network_that_is_made_anew_is_believed_after_a_while() {
        let mut vote = Vote::none(6_000);
        told(&mut vote, 0, 5_000);
        let steps = (1..=400).filter(|step| told(&mut vote, step * 2, *step).is_some()).count();
        assert!((90..=100).contains(&steps), "{steps}");
    }
}
