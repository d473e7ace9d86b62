//! Counting votes: what one liar cannot move.

use std::collections::BTreeMap;

/// So many fresh references make own nodes superfluous as voters.
pub(super) const ENOUGH_REFERENCES: usize = 3;

/// The fresh votes of one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ballot {
    references: Vec<u64>,
    /// Per policy the heads of its targets, from high to low.
    policies: BTreeMap<String, Vec<u64>>,
}

/// The outcome of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quorum {
    pub height: u64,
    pub agree: u32,
    pub of: u32,
}

/// The lower median: sorted from high to low, the one at index n/2.
pub(super) fn lower_median(mut heads: Vec<u64>) -> Option<u64> {
    heads.sort_unstable_by(|a, b| b.cmp(a));
    heads.get(heads.len() / 2).copied()
}

/// The lower median of heads sorted from high to low after one `head` among them is taken out.
fn lower_median_without(sorted: &[u64], head: u64) -> Option<u64> {
    let middle = sorted.len().checked_sub(1)? / 2;
    let gone = sorted.partition_point(|other| *other > head);
    sorted.get(if gone <= middle { middle + 1 } else { middle }).copied()
}

// === impl Ballot ===

impl Ballot {
    pub fn new<'a>(references: Vec<u64>, own: impl Iterator<Item = (&'a str, u64)>) -> Self {
        let mut policies = BTreeMap::<String, Vec<_>>::new();
        if references.len() < ENOUGH_REFERENCES {
            for (policy, head) in own {
                match policies.get_mut(policy) {
                    Some(heads) => heads.push(head),
                    None => drop(policies.insert(policy.to_owned(), vec![head])),
                }
            }
        }
        for heads in policies.values_mut() {
            heads.sort_unstable_by(|a, b| b.cmp(a));
        }
        Self { references, policies }
    }

    /// The outcome without the vote of a subject, given as its policy and head; `None`: everybody votes.
    pub fn count(&self, subject: Option<(&str, u64)>) -> Option<Quorum> {
        let own = self.policies.iter().filter_map(|(policy, heads)| match subject {
            Some((its, head)) if its == *policy => lower_median_without(heads, head),
            _ => heads.get(heads.len() / 2).copied(),
        });
        let votes: Vec<u64> = self.references.iter().copied().chain(own).collect();
        let count = |votes: usize| u32::try_from(votes).unwrap_or(u32::MAX);
        let of = count(votes.len());
        let height = lower_median(votes.clone())?;
        let agree = count(votes.iter().filter(|vote| **vote >= height).count());
        Some(Quorum { height, agree, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(references: &[u64]) -> Option<u64> {
        Ballot::new(references.to_vec(), std::iter::empty()).count(None).map(|quorum| quorum.height)
    }

    #[test]
    fn the_lower_of_two_counts_and_of_four_the_third() {
        assert_eq!(head(&[]), None);
        assert_eq!(head(&[7]), Some(7));
        assert_eq!(head(&[9, 7]), Some(7));
        assert_eq!(head(&[7, 9, 8]), Some(8));
        assert_eq!(head(&[7, 9, 8, 10]), Some(8));
    }

    #[test]
    fn one_liar_among_three_moves_nothing() {
        for lie in [0, 99, 100, 101, u64::MAX] {
            assert_eq!(head(&[100, lie, 100]), Some(100), "{lie}");
        }
    }

    #[test]
    fn a_policy_has_one_vote_however_many_targets_it_has() {
        let own = [("a", 50), ("a", 50), ("a", 50), ("b", 100)];
        let quorum = Ballot::new(vec![100], own.into_iter()).count(None);
        assert_eq!(quorum, Some(Quorum { height: 100, agree: 2, of: 3 }));
    }

    #[test]
    fn taking_one_head_out_is_the_same_as_voting_without_it() {
        let all = [9, 7, 7, 5, 3];
        for size in 0..=all.len() {
            for gone in 0..size {
                let sorted = &all[..size];
                let mut rest = sorted.to_vec();
                rest.remove(gone);
                assert_eq!(lower_median_without(sorted, sorted[gone]), lower_median(rest));
            }
        }
    }

    #[test]
    fn three_references_outvote_own_nodes_by_keeping_them_out() {
        let own = [("a", 1), ("b", 1), ("c", 1), ("d", 1)];
        let quorum = Ballot::new(vec![100, 100, 100], own.into_iter()).count(None);
        assert_eq!(quorum, Some(Quorum { height: 100, agree: 3, of: 3 }));
    }
}
