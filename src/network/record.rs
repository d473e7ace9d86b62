//! When a head last rose, and what does not count as a rise.

use crate::signal::Mono;

/// The running record of one quorum's head.
///
/// A rise is a new maximum that the same voters brought about. When a vote joins or lapses, the head may jump
/// although no node made a block: such a maximum is noted, but it is no rise. Nor is one alone: a node that stood still
/// and is back at the head of a halted chain rises as well, once. A chain that goes on rises again soon after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Record {
    /// The greatest head seen.
    most: Option<u64>,
    /// When the same voters last brought it about that `most` rose.
    pub risen_at: Option<Mono>,
    /// The last maximum that the same voters brought about, whether or not another came soon enough to make it a rise.
    climbed_at: Option<Mono>,
    /// When `most` was last set, whatever brought it about.
    noted_at: Mono,
    /// Since when the head has been below `most` without a break.
    below_since: Option<Mono>,
    /// Whether there was a head at the last look.
    present: bool,
}

/// What a look is like, for every record of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// A vote joined or lapsed since the look before.
    pub regrouped: bool,
    /// A head that stayed below the record for so long (milliseconds) means that the record was a liar's, or another life
    /// of the chain (a development network that was made anew); the record then starts over.
    pub patience: u64,
    /// Within this time (milliseconds) a chain that goes on rises again.
    pub soon: u64,
    /// When it is.
    pub now: Mono,
}

// === impl Record ===

impl Record {
    /// Takes note of the head. `stepped`: a voter made a step that blocks can make; one that only came back from the past
    /// made none.
    pub fn note(&mut self, head: Option<u64>, stepped: bool, look: Look) {
        let Look { regrouped, patience, soon, now } = look;
        let returned = !self.present;
        self.present = head.is_some();
        let Some(head) = head else {
            self.below_since = None;
            return;
        };
        if returned {
            self.noted_at = now;
        }
        match self.most {
            Some(most) if head == most => self.below_since = None,
            Some(most) if head < most => {
                let since = *self.below_since.get_or_insert(now);
                if now.since(since) >= patience {
                    *self = Self { most: Some(head), noted_at: now, below_since: None, ..*self };
                }
            }
            before => {
                self.most = Some(head);
                self.below_since = None;
                self.noted_at = now;
                if before.is_some() && !regrouped && !returned && stepped {
                    if self.climbed_at.is_some_and(|before| now.since(before) <= soon) {
                        self.risen_at = Some(now);
                    }
                    self.climbed_at = Some(now);
                }
            }
        }
    }

    /// Since when the head has stood, as far as we know.
    pub fn stands_since(&self) -> Mono {
        self.noted_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: u64) -> Look {
        Look { regrouped: false, patience: 100, soon: 50, now: Mono(at) }
    }

    fn seen(looks: &[(u64, Option<u64>, bool)]) -> Record {
        let mut record = Record::default();
        for (at, head, regrouped) in looks {
            record.note(*head, true, Look { regrouped: *regrouped, ..look(*at) });
        }
        record
    }

    #[test]
    fn the_first_sight_of_a_head_is_not_a_rise() {
        let record = seen(&[(5, Some(100), true)]);
        assert_eq!((record.risen_at, record.stands_since()), (None, Mono(5)));
    }

    #[test]
    fn only_a_new_maximum_is_a_rise() {
        let record = seen(&[
            (5, Some(100), true),
            (6, Some(101), false),
            (7, Some(102), false),
            (8, Some(99), true),
            (9, Some(102), false),
        ]);
        assert_eq!(record.risen_at, Some(Mono(7)));
    }

    #[test]
    fn one_rise_alone_is_a_node_that_came_back() {
        let halted = [(5, Some(100), true), (6, Some(101), false), (7, Some(102), false), (90, Some(109), false)];
        assert_eq!(seen(&halted).risen_at, Some(Mono(7)));
        let goes_on = [&halted[..], &[(92, Some(110), false)]].concat();
        assert_eq!(seen(&goes_on).risen_at, Some(Mono(92)));
    }

    #[test]
    fn a_jump_by_a_vote_that_joined_or_lapsed_is_not_a_rise() {
        let record = seen(&[(5, Some(90), true), (6, Some(100), true)]);
        assert_eq!((record.risen_at, record.stands_since()), (None, Mono(6)));
    }

    #[test]
    fn a_voter_that_comes_back_from_the_past_makes_no_block() {
        let mut record = Record::default();
        for (at, head) in [(0, 999), (1, 1000), (2, 1001)] {
            record.note(Some(head), true, look(at));
        }
        record.note(Some(1060), false, look(4));
        assert_eq!((record.risen_at, record.stands_since()), (Some(Mono(2)), Mono(4)));
        record.note(Some(1061), true, look(5));
        assert_eq!(record.risen_at, Some(Mono(5)), "the next block is one");
    }

    #[test]
    fn a_quorum_that_was_lost_and_returns_has_not_risen() {
        let record = seen(&[(5, Some(90), true), (6, None, true), (7, Some(100), true)]);
        assert_eq!((record.risen_at, record.stands_since()), (None, Mono(7)));
    }

    #[test]
    fn a_record_that_is_never_reached_again_starts_over() {
        let liar = [(5, Some(100), true), (6, Some(9_999), false), (7, Some(101), false), (107, Some(110), false)];
        assert_eq!(seen(&liar).risen_at, None);
        let recovered = [&liar[..], &[(108, Some(111), false), (109, Some(112), false)]].concat();
        assert_eq!(seen(&recovered).risen_at, Some(Mono(109)));
    }
}
