//! Blocks side by side: who follows another chain than the rest.
//!
//! Compared are blocks that cannot be undone any more, at heights that every voter is asked for: the same few for all,
//! so that a comparison costs one request per voter and half a minute. A voter that is far behind is compared at a
//! height of its own, and a node that stands still also by its application's state: the header after it says what the
//! others made of the same blocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::signal::{AppState, Block, Hash, Told};

use super::Who;

/// Blocks that are remembered of each voter.
const REMEMBERED: usize = 16;
/// The newest common heights are asked for, so that a voter that is a little late can still answer.
const CHECKPOINTS: u64 = 3;
/// Heights that are asked for beside them.
const MOST_OTHERS: usize = 4;

/// How a node's block compares with the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// They are one.
    Same {
        /// The height.
        height: u64,
    },
    /// They are two.
    Differs {
        /// The height.
        height: u64,
        /// The node's hash.
        own: Hash,
        /// The others'.
        theirs: Hash,
        /// How many of the others have it.
        agree: u32,
        /// How many others there are.
        of: u32,
    },
}

/// Two or more chains under one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// The height at which they are compared.
    pub height: u64,
    /// The hashes, those with the most voters first, and who has them.
    pub sides: Vec<(Hash, Vec<String>)>,
    /// Whether most of them agree, so that it is known who has left the chain.
    pub decided: bool,
}

/// The blocks of all voters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Blocks {
    known: BTreeMap<Who, Known>,
    /// Heights that are asked for, in ascending order.
    asked: Vec<u64>,
    /// How many voters have which block at a height.
    hashes: Tally,
    /// How many voters have which application hash in the header at a height.
    app_hashes: Tally,
}

/// Votes for hashes, by height: kept as blocks come and go, so that comparing one voter does not mean asking all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Tally(BTreeMap<u64, BTreeMap<Hash, u32>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Known {
    blocks: VecDeque<Block>,
    /// The application's state, and whether the one before was the same.
    state: Option<(AppState, bool)>,
}

// === impl Comparison ===

impl Comparison {
    /// Whether they are two.
    #[must_use]
    pub const fn differs(&self) -> bool {
        matches!(self, Self::Differs { .. })
    }

    /// The sentence for people.
    #[must_use]
    pub fn sentence(&self, name: &str) -> String {
        match self {
            Self::Same { height } => format!("{name} at height {height} is the network's"),
            Self::Differs { height, own, theirs, agree, of } => format!(
                "{name} at height {height} is {}, but {agree} of {of} others have {}: it has left the network's chain",
                own.short(),
                theirs.short()
            ),
        }
    }
}

// === impl Known ===

impl Tally {
    fn add(&mut self, height: u64, hash: Hash) {
        *self.0.entry(height).or_default().entry(hash).or_default() += 1;
    }

    fn remove(&mut self, height: u64, hash: Hash) {
        let Some(votes) = self.0.get_mut(&height) else { return };
        if let Some(count) = votes.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                votes.remove(&hash);
            }
        }
        if votes.is_empty() {
            self.0.remove(&height);
        }
    }

    /// The votes at a height without one of them.
    fn without(&self, height: u64, own: Option<Hash>) -> impl Iterator<Item = (Hash, u32)> + Clone {
        let votes = self.0.get(&height).into_iter().flatten();
        votes
            .map(move |(hash, votes)| (*hash, votes - u32::from(own == Some(*hash))))
            .filter(|(_, votes)| *votes > 0)
    }
}

impl Known {
    /// Takes what was told; returns the blocks that came and those that went.
    fn take(&mut self, told: &Told) -> (Vec<Block>, Vec<Block>) {
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for block in &told.blocks {
            came.push(*block);
            let place = self.blocks.iter().position(|known| known.height >= block.height);
            match place {
                Some(index) if self.blocks[index].height == block.height => {
                    went.push(std::mem::replace(&mut self.blocks[index], *block));
                }
                Some(index) => self.blocks.insert(index, *block),
                None => self.blocks.push_back(*block),
            }
            if self.blocks.len() > REMEMBERED {
                went.extend(self.blocks.pop_front());
            }
        }
        if let Some(state) = told.state {
            let rests = self.state.is_some_and(|(before, _)| before == state);
            self.state = Some((state, rests));
        }
        (came, went)
    }

    fn at(&self, height: u64) -> Option<&Block> {
        self.blocks.iter().find(|block| block.height == height)
    }
}

// === impl Blocks ===

impl Blocks {
    pub fn take(&mut self, who: &Who, told: &Told) {
        if told.blocks.is_empty() && told.state.is_none() {
            return;
        }
        let (came, went) = match self.known.get_mut(who) {
            Some(known) => known.take(told),
            None => self.known.entry(who.clone()).or_default().take(told),
        };
        for block in came {
            self.hashes.add(block.height, block.hash);
            block.app_hash.into_iter().for_each(|hash| self.app_hashes.add(block.height, hash));
        }
        for block in went {
            self.discount(&block);
        }
    }

    fn discount(&mut self, block: &Block) {
        self.hashes.remove(block.height, block.hash);
        block.app_hash.into_iter().for_each(|hash| self.app_hashes.remove(block.height, hash));
    }

    /// Forgets voters that are gone.
    pub fn retain(&mut self, stays: impl Fn(&Who) -> bool) {
        let gone: Vec<Who> = self.known.keys().filter(|who| !stays(who)).cloned().collect();
        for who in gone {
            let known = self.known.remove(&who).unwrap_or_default();
            known.blocks.iter().for_each(|block| self.discount(block));
        }
    }

    /// Decides which heights are asked for. `last`: the newest height that cannot be undone; `spacing`: blocks from
    /// one common height to the next; `lowest`: the lowest head of all voters.
    pub fn ask(&mut self, last: u64, spacing: u64, lowest: Option<u64>) {
        let spacing = spacing.max(1);
        let newest = last / spacing * spacing;
        let common = (0..CHECKPOINTS).filter_map(|back| newest.checked_sub(back * spacing));
        let oldest = newest.saturating_sub((CHECKPOINTS - 1) * spacing);
        let behind = lowest.map(|head| head / spacing * spacing).filter(|height| *height < oldest);
        let states = self.known.values().filter_map(|known| known.state).filter(|(_, rests)| *rests);
        let after = states.map(|(state, _)| state.height + 1).filter(|height| *height <= last);
        let others: BTreeSet<u64> = behind.into_iter().chain(after).collect();
        let asked: BTreeSet<u64> =
            common.chain(others.into_iter().take(MOST_OTHERS)).filter(|height| *height > 0).collect();
        self.asked = asked.into_iter().collect();
    }

    pub fn asked(&self) -> &[u64] {
        &self.asked
    }

    /// How the newest block of `who` that can be compared does compare.
    pub fn block(&self, who: &Who) -> Option<Comparison> {
        let known = self.known.get(who)?;
        known.blocks.iter().rev().find_map(|block| {
            compare(block.height, block.hash, self.hashes.without(block.height, Some(block.hash)))
        })
    }

    /// How the application's state of `who` compares with what the next header says of it.
    pub fn state(&self, who: &Who) -> Option<Comparison> {
        let known = self.known.get(who)?;
        let (state, _) = known.state?;
        let next = state.height + 1;
        let own = known.at(next).and_then(|block| block.app_hash);
        compare(state.height, state.hash, self.app_hashes.without(next, own))
    }

    /// The newest height at which voters disagree; `None` where the newest height that two have told is one.
    pub fn split(&self, name: impl Fn(&Who) -> String) -> Option<Split> {
        let told_by_two = |(_, votes): &(&u64, &BTreeMap<Hash, u32>)| votes.values().sum::<u32>() >= 2;
        let (height, votes) = self.hashes.0.iter().rev().find(told_by_two)?;
        if votes.len() == 1 {
            return None;
        }
        let mut sides = BTreeMap::<Hash, Vec<String>>::new();
        for (who, known) in &self.known {
            if let Some(block) = known.at(*height) {
                sides.entry(block.hash).or_default().push(name(who));
            }
        }
        let votes: usize = sides.values().map(Vec::len).sum();
        let mut sides: Vec<_> = sides.into_iter().collect();
        sides.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(a.0.cmp(&b.0)));
        let decided = sides[0].1.len() >= 2 && sides[0].1.len() * 2 > votes;
        Some(Split { height: *height, sides, decided })
    }
}

/// Two or more others that agree, and are most of them, say what the network has.
fn compare(height: u64, own: Hash, theirs: impl Iterator<Item = (Hash, u32)> + Clone) -> Option<Comparison> {
    let of: u32 = theirs.clone().map(|(_, votes)| votes).sum();
    let (theirs, agree) = theirs.max_by_key(|(_, votes)| *votes)?;
    if agree < 2 || agree * 2 <= of {
        return None;
    }
    Some(if own == theirs {
        Comparison::Same { height }
    } else {
        Comparison::Differs { height, own, theirs, agree, of }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Who {
        Who::Reference(name.into())
    }

    fn block(height: u64, hash: u8) -> Block {
        Block { height, hash: Hash::of_bytes(&[hash]).unwrap(), app_hash: Hash::of_bytes(&[hash, 1]) }
    }

    fn told(blocks: &[(u64, u8)]) -> Told {
        Told { blocks: blocks.iter().map(|(height, hash)| block(*height, *hash)).collect(), ..Told::default() }
    }

    #[test]
    fn one_of_four_that_differs_has_left() {
        let mut blocks = Blocks::default();
        for (name, hash) in [("a", 1), ("b", 1), ("c", 1), ("d", 2)] {
            blocks.take(&who(name), &told(&[(10, hash)]));
        }
        assert_eq!(blocks.block(&who("a")), Some(Comparison::Same { height: 10 }));
        let left = blocks.block(&who("d")).unwrap();
        assert!(left.differs());
        assert_eq!(
            left.sentence("block_hash"),
            "block_hash at height 10 is 02000000…, but 3 of 3 others have 01000000…: it has left the network's chain"
        );
        let split = blocks.split(|who| format!("{who:?}")).unwrap();
        assert_eq!((split.height, split.decided, split.sides.len()), (10, true, 2));
    }

    #[test]
    fn of_two_nobody_can_say_which_has_left() {
        let mut blocks = Blocks::default();
        blocks.take(&who("a"), &told(&[(10, 1)]));
        blocks.take(&who("b"), &told(&[(10, 2)]));
        assert_eq!((blocks.block(&who("a")), blocks.block(&who("b"))), (None, None));
        assert!(!blocks.split(|_| String::new()).unwrap().decided);
    }

    #[test]
    fn a_node_that_came_back_is_compared_at_the_newest_height() {
        let mut blocks = Blocks::default();
        for name in ["a", "b"] {
            blocks.take(&who(name), &told(&[(10, 1), (20, 3)]));
        }
        blocks.take(&who("c"), &told(&[(10, 2)]));
        assert!(blocks.block(&who("c")).unwrap().differs());
        blocks.take(&who("c"), &told(&[(20, 3)]));
        assert_eq!(blocks.block(&who("c")), Some(Comparison::Same { height: 20 }));
        assert_eq!(blocks.split(|_| String::new()), None);
    }

    #[test]
    fn a_state_that_the_next_header_contradicts_is_corrupt() {
        let mut blocks = Blocks::default();
        let state = |byte| Told {
            state: Some(AppState { height: 9, hash: Hash::of_bytes(&[byte, 1]).unwrap() }),
            ..Told::default()
        };
        blocks.take(&who("c"), &state(2));
        blocks.ask(100, 10, None);
        assert_eq!(blocks.asked(), [80, 90, 100], "a state that was just reached may still move on");
        blocks.take(&who("c"), &state(2));
        blocks.ask(100, 10, None);
        assert_eq!(blocks.asked(), [10, 80, 90, 100]);
        for name in ["a", "b"] {
            blocks.take(&who(name), &told(&[(10, 1)]));
        }
        assert!(blocks.state(&who("c")).unwrap().differs());
    }

    #[test]
    fn one_that_is_far_behind_is_compared_where_it_is() {
        let mut blocks = Blocks::default();
        blocks.ask(1000, 10, Some(123));
        assert_eq!(blocks.asked(), [120, 980, 990, 1000]);
        blocks.ask(15, 10, Some(3));
        assert_eq!(blocks.asked(), [10]);
    }
}
