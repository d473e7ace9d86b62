//! One network: its votes, its head, and what each target may know of the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    NetworkView, ReferenceHead, Seen, Split, Voter, Who,
    blocks::Blocks,
    quorum::{Ballot, ENOUGH_REFERENCES, Quorum, lower_median},
    record::{Look, Record},
    vote::Vote,
};
use crate::{
    api::Family,
    policy::NetworkPlan,
    signal::{Mono, Unknown, Upgrade},
};

/// One network as a quorum sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    id: String,
    family: Family,
    block_time: u64,
    stalled_after: u64,
    reference_stale_after: u64,
    /// Per reference its address and its vote.
    references: BTreeMap<String, (String, Vote)>,
    own: BTreeMap<Voter, Vote>,
    blocks: Blocks,
    /// The head with all votes.
    whole: Record,
    /// Per own node the head without its vote.
    others: BTreeMap<Voter, Record>,
    /// A vote that counted was taken away since the last refresh.
    left: bool,
    refreshed_at: Mono,
    /// The votes as of the last refresh.
    ballot: Ballot,
    /// Whose probes last succeeded, as of then: the one that bears witness longest, and the longest of another node, for
    /// the first to rely on.
    witnesses: [Option<Witness>; 2],
    head: Option<ReferenceHead>,
    stalled: bool,
    upgrade: Option<Upgrade>,
    split: Option<Split>,
}

/// A probe that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Witness {
    /// Of which own node; `None`: of a reference.
    who: Option<Voter>,
    at: Mono,
    within: u64,
}

/// How often a reference is asked (milliseconds): two block times, and not oftener than every five seconds.
#[must_use]
pub fn reference_every(plan: &NetworkPlan) -> u64 {
    plan.block_time.saturating_mul(2).max(5_000)
}

impl Chain {
    /// A network of which nothing is known yet.
    #[must_use]
    pub fn new(plan: &NetworkPlan) -> Self {
        let mut chain = Self {
            id: plan.chain_id.clone(),
            family: plan.family,
            block_time: plan.block_time,
            stalled_after: plan.stalled_after,
            reference_stale_after: 0,
            references: BTreeMap::new(),
            own: BTreeMap::new(),
            blocks: Blocks::default(),
            whole: Record::default(),
            others: BTreeMap::new(),
            left: false,
            refreshed_at: Mono(0),
            ballot: Ballot::default(),
            witnesses: [None, None],
            head: None,
            stalled: false,
            upgrade: None,
            split: None,
        };
        chain.adopt(plan);
        chain
    }

    /// The plan changed. Votes of references that are still asked at the same address live on; with another chain id
    /// or family nothing does.
    pub fn adopt(&mut self, plan: &NetworkPlan) {
        if self.id != plan.chain_id || self.family != plan.family {
            *self = Self::new(plan);
            return;
        }
        self.block_time = plan.block_time;
        self.stalled_after = plan.stalled_after;
        self.reference_stale_after = reference_every(plan).saturating_mul(3);
        let mut before = std::mem::take(&mut self.references);
        let mut kept = BTreeSet::new();
        for reference in &plan.references {
            let mut vote = match before.remove(&reference.name) {
                Some((url, vote)) if url == reference.url => {
                    kept.insert(reference.name.clone());
                    vote
                }
                former => {
                    self.left |= former.is_some_and(|(_, vote)| vote.counted.is_some());
                    Vote::none(0)
                }
            };
            vote.stale_after = self.reference_stale_after;
            self.references.insert(reference.name.clone(), (reference.url.clone(), vote));
        }
        self.left |= before.values().any(|(_, vote)| vote.counted.is_some());
        self.blocks.retain(|who| match who {
            Who::Reference(name) => kept.contains(name),
            Who::Own(_) => true,
        });
    }

    /// A reference was asked. One that is not in the plan any more is ignored.
    pub fn reference(&mut self, name: &str, seen: &Seen<'_>) {
        let stale_after = self.reference_stale_after;
        if let Some((_, vote)) = self.references.get_mut(name) {
            vote.take(&Seen { stale_after, ..seen.clone() }, self.block_time);
            self.blocks.take(&Who::Reference(name.to_owned()), seen.told);
        }
    }

    /// An own node was asked.
    pub fn own(&mut self, voter: &Voter, seen: &Seen<'_>) {
        let vote = match self.own.get_mut(voter) {
            Some(vote) => vote,
            None => self.own.entry(voter.clone()).or_insert_with(|| Vote::none(seen.stale_after)),
        };
        vote.take(seen, self.block_time);
        if !seen.told.blocks.is_empty() || seen.told.state.is_some() {
            self.blocks.take(&Who::Own(voter.clone()), seen.told);
        }
    }

    /// Targets of a policy are gone, all but those in `keep`.
    pub fn forget(&mut self, policy_uid: &str, keep: &BTreeSet<String>) {
        let stays = |voter: &Voter| voter.policy != policy_uid || keep.contains(&voter.target);
        self.left |= self.own.iter().any(|(voter, vote)| vote.counted.is_some() && !stays(voter));
        self.own.retain(|voter, _| stays(voter));
        self.others.retain(|voter, _| stays(voter));
        self.blocks.retain(|who| match who {
            Who::Reference(_) => true,
            Who::Own(voter) => stays(voter),
        });
    }

    /// Whether the votes are to be counted now: after every result, but in a crowd not for each of its thousands of
    /// answers a second. A rise and a vote that joined between two counts are then taken for what is less: no rise.
    #[must_use]
    pub fn is_due(&self, now: Mono) -> bool {
        now.since(self.refreshed_at) >= u64::try_from(self.own.len()).unwrap_or(u64::MAX) / 20
    }

    /// Counts the votes anew. To be called after every result, so that a rise is told from a vote that joined.
    /// Returns whether the network began or ceased to stand still or to be split, a quorum came or went, or an upgrade
    /// was planned or is over.
    pub fn refresh(&mut self, now: Mono) -> bool {
        self.expel();
        let regrouped = self.regroup(now);
        let ballot = self.count();
        let highest = self.votes().filter_map(Vote::stepped).max();
        let look = Look { regrouped, patience: self.stalled_after, soon: self.soon(), now };
        let note = |record: &mut Record, quorum: Option<Quorum>| {
            let height = quorum.map(|quorum| quorum.height);
            record.note(height, height.is_some() && highest >= height, look);
        };
        for (voter, vote) in &self.own {
            let quorum = ballot.count(vote.counted.map(|head| (voter.policy.as_str(), head)));
            let record = match self.others.get_mut(voter) {
                Some(record) => record,
                // A node that did not vote so far: what all have seen is what the others have seen.
                None => self.others.entry(voter.clone()).or_insert_with(|| self.whole.clone()),
            };
            note(record, quorum);
        }
        let quorum = ballot.count(None);
        note(&mut self.whole, quorum);

        self.references.values_mut().for_each(|(_, vote)| vote.settle());
        self.own.values_mut().for_each(Vote::settle);

        self.ballot = ballot;
        self.witnesses = self.witnesses();

        let before = (self.head.is_some(), self.stalled, self.upgrade.clone(), self.split.is_some());
        self.head = quorum.map(|quorum| quorum.with(&self.whole));
        self.refreshed_at = now;
        self.stalled = self.stalled_since(now).is_some();
        self.upgrade = self.planned(now);
        self.split = self.blocks.split(|who| match who {
            Who::Reference(name) => name.clone(),
            Who::Own(voter) => voter.target.clone(),
        });
        self.ask(now);
        before != (self.head.is_some(), self.stalled, self.upgrade.clone(), self.split.is_some())
    }

    /// Within this time (milliseconds) a chain that goes on rises again: several blocks and polls, and half of `stalledAfter`.
    fn soon(&self) -> u64 {
        let polls = self.votes().filter_map(|vote| vote.counted.and(Some(vote.stale_after))).max().unwrap_or(0);
        polls.max(self.block_time.saturating_mul(5)).max(self.stalled_after / 2)
    }

    /// A reference whose block most others do not have speaks of another chain, whatever it calls it.
    fn expel(&mut self) {
        for (name, (_, vote)) in &mut self.references {
            let compared = self.blocks.block(&Who::Reference(name.clone()));
            vote.elsewhere = compared.is_some_and(|compared| compared.differs());
        }
    }

    /// Decides at which heights the voters are compared next.
    fn ask(&mut self, now: Mono) {
        let Some(head) = self.head else { return };
        let finalized = lower_median(self.votes().filter_map(|vote| vote.finalized(now)).collect());
        let (last, lowest) = match self.family {
            // Consensus clients tell their finalized checkpoints unasked.
            Family::EthereumConsensus | Family::Other => return,
            // A block with its commit is final, and the next header tells what the application made of it.
            Family::CometBFT => {
                (head.height.saturating_sub(2), self.votes().filter_map(|vote| vote.fresh(now)).min())
            }
            Family::EthereumExecution => (finalized.unwrap_or(head.height.saturating_sub(64)), None),
            Family::Substrate | Family::Solana => (finalized.unwrap_or(head.height.saturating_sub(32)), None),
        };
        // One comparison in half a minute.
        let spacing = 30_000 / self.block_time.max(1);
        self.blocks.ask(last.min(head.height), spacing, lowest);
    }

    /// The upgrade that most of those who can tell say is planned.
    fn planned(&self, now: Mono) -> Option<Upgrade> {
        let mut plans = BTreeMap::<Option<(u64, &str)>, usize>::new();
        for plan in self.votes().filter_map(|vote| vote.upgrade(now)) {
            *plans.entry(plan.as_ref().map(|plan| (plan.height, plan.name.as_str()))).or_default() += 1;
        }
        // Of two opinions with as many votes the one that holds still counts.
        let (plan, _) = plans.into_iter().max_by_key(|(plan, votes)| (*votes, plan.is_some()))?;
        plan.map(|(height, name)| Upgrade { name: name.to_owned(), height })
    }

    /// Whether a vote that counts joined or lapsed since the last refresh.
    fn regroup(&mut self, now: Mono) -> bool {
        let mut regrouped = std::mem::take(&mut self.left);
        for (_, vote) in self.references.values_mut() {
            regrouped |= vote.recount(now);
        }
        let enough =
            self.references.values().filter(|(_, vote)| vote.counted.is_some()).count() >= ENOUGH_REFERENCES;
        for vote in self.own.values_mut() {
            regrouped |= vote.recount(now) && !enough;
        }
        regrouped
    }

    /// The head with all votes, as of the last refresh.
    #[must_use]
    pub fn head(&self) -> Option<ReferenceHead> {
        self.head
    }

    /// Heights at which every voter should tell its block.
    #[must_use]
    pub fn asks(&self) -> &[u64] {
        self.blocks.asked()
    }

    /// The upgrade that the chain has planned, as of the last refresh.
    #[must_use]
    pub fn upgrade(&self) -> Option<&Upgrade> {
        self.upgrade.as_ref()
    }

    /// Two chains under one name, as of the last refresh.
    #[must_use]
    pub fn split(&self) -> Option<&Split> {
        self.split.as_ref()
    }

    fn votes(&self) -> impl Iterator<Item = &Vote> {
        self.references.values().map(|(_, vote)| vote).chain(self.own.values())
    }

    /// The fresh votes, as noted by `regroup`.
    fn count(&self) -> Ballot {
        let references = self.references.values().filter_map(|(_, vote)| vote.counted).collect();
        let own = self.own.iter().filter_map(|(voter, vote)| Some((voter.policy.as_str(), vote.counted?)));
        Ballot::new(references, own)
    }

    fn witnesses(&self) -> [Option<Witness>; 2] {
        let references = self.references.values().map(|(_, vote)| (None, vote));
        let own = self.own.iter().map(|(voter, vote)| (Some(voter), vote));
        let told = references.chain(own).filter_map(|(who, vote)| vote.witness().map(|told| (who, told)));
        let (mut first, mut second) = (None, None);
        let lasts = |(at, within): (Mono, u64)| (at.plus(within), at);
        for (who, told) in told {
            let beats =
                |other: &Option<(_, (Mono, u64))>| other.is_none_or(|(_, other)| lasts(told) > lasts(other));
            if beats(&first) {
                second = first.replace((who, told));
            } else if beats(&second) {
                second = Some((who, told));
            }
        }
        [first, second].map(|best| best.map(|(who, (at, within))| Witness { who: who.cloned(), at, within }))
    }

    /// What a target may know of the others: the head without its own vote, and when another probe last succeeded; as of
    /// the last refresh.
    #[must_use]
    pub fn view(&self, subject: &Voter, now: Mono) -> NetworkView {
        let own = self.own.get(subject);
        let its = own.and_then(|vote| vote.counted);
        let quorum = self.ballot.count(its.map(|head| (subject.policy.as_str(), head)));
        let record = self.others.get(subject).unwrap_or(&self.whole);
        let witness = self.witnesses.iter().flatten().find(|witness| witness.who.as_ref() != Some(subject));
        let mut reference = quorum.map(|quorum| quorum.with(record));
        if let (Some(reference), Some(its), Some(vote)) = (&mut reference, its, own) {
            reference.height = self.plausible(reference.height, its, vote);
        }
        let who = Who::Own(subject.clone());
        NetworkView {
            reference,
            witness_at: witness.map(|witness| witness.at),
            witness_within: witness.map_or(0, |witness| witness.within),
            block: self.blocks.block(&who),
            state: self.blocks.state(&who),
            upgrade: own
                .and_then(|vote| vote.upgrade(now))
                .and_then(Clone::clone)
                .or_else(|| self.upgrade.clone()),
            split: self.split.as_ref().is_some_and(|split| !split.decided),
        }
    }

    /// A node whose newest block is no older than three block times cannot be far behind: a head that says so is a
    /// liar's, and counts as the node's own. Far: more than a chain ten times as fast as announced makes meanwhile.
    fn plausible(&self, reference: u64, its: u64, vote: &Vote) -> u64 {
        let within = self.block_time.saturating_mul(3).max(10_000);
        let most = within.saturating_mul(10) / self.block_time.max(1);
        if vote.is_current(within) && reference > its.saturating_add(most) { its } else { reference }
    }

    /// Since when the network stands still, once that has lasted for `stalledAfter`. Without a quorum it is not known
    /// to; and of fewer than three votes one that stands still may be the one that is broken.
    #[must_use]
    pub fn stalled_since(&self, now: Mono) -> Option<Mono> {
        let since = self.whole.stands_since();
        let head = self.head.filter(|_| now.since(since) >= self.stalled_after)?;
        let refuted = head.of < 3 && self.votes().any(|vote| vote.rose_within(now, self.stalled_after));
        (!refuted).then_some(since)
    }

    /// The next instant at which a refresh can change something without a new result.
    #[must_use]
    pub fn next(&self, now: Mono) -> Option<Mono> {
        let lapses = self.votes().filter_map(|vote| vote.lapses_at(now));
        let stalls = self.head.map(|_| self.whole.stands_since().plus(self.stalled_after));
        lapses.chain(stalls.filter(|at| *at > now)).min()
    }

    /// The references, by name, and what each said last.
    pub fn references(&self) -> impl Iterator<Item = (&str, Result<u64, Unknown>)> {
        self.references.iter().map(|(name, (_, vote))| {
            let age = self.refreshed_at.since(vote.observed_at);
            let told = match &vote.told {
                Ok(_) if vote.elsewhere => {
                    Err(Unknown::Invalid("its block differs from that of most others: it has no vote".into()))
                }
                Ok(_) if age > vote.stale_after => Err(Unknown::Stale(age)),
                told => told.clone(),
            };
            (name.as_str(), told)
        })
    }
}

// === impl Quorum ===

impl Quorum {
    fn with(self, record: &Record) -> ReferenceHead {
        let Self { height, agree, of } = self;
        ReferenceHead { height, risen_at: record.risen_at.unwrap_or_default(), agree, of }
    }
}
