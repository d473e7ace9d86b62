//! One network: its votes, its head, and what each target may know of the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    NetworkView, ReferenceHead,
    quorum::{Ballot, ENOUGH_REFERENCES, Quorum},
    record::Record,
};
use crate::{
    policy::NetworkPlan,
    signal::{Mono, Unknown},
};

/// One of one's own nodes as a voter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter {
    /// Uid of the policy.
    pub policy: String,
    /// Uid of the pod.
    pub target: String,
}

/// One network as a quorum sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    id: String,
    stalled_after: u64,
    reference_stale_after: u64,
    /// Per reference its address and its vote.
    references: BTreeMap<String, (String, Vote)>,
    own: BTreeMap<Voter, Vote>,
    /// The head with all votes.
    whole: Record,
    /// Per own node the head without its vote.
    others: BTreeMap<Voter, Record>,
    /// A vote that counted was taken away since the last refresh.
    left: bool,
    refreshed_at: Mono,
    head: Option<ReferenceHead>,
    stalled: bool,
}

/// One voter. A probe that got no answer takes nothing back: the vote before it stands until it is stale, else a
/// reference that fails now and then would come and go all the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Vote {
    /// The newest head that was told, and when.
    head: Option<(u64, Mono)>,
    /// The newest result, and when.
    told: Result<u64, Unknown>,
    observed_at: Mono,
    stale_after: u64,
    /// When the probe last succeeded, and so bore witness.
    answered_at: Option<Mono>,
    /// Whether it counted at the last refresh.
    counted: bool,
}

/// How often a reference is asked (milliseconds): two block times, and not oftener than every five seconds.
#[must_use]
pub fn reference_every(plan: &NetworkPlan) -> u64 {
    plan.block_time.saturating_mul(2).max(5_000)
}

// === impl Vote ===

impl Vote {
    fn none(stale_after: u64) -> Self {
        let told = Err(Unknown::NotYet);
        Self { head: None, told, observed_at: Mono(0), stale_after, answered_at: None, counted: false }
    }

    /// Takes the result of a probe, unless a newer one is known.
    fn take(&mut self, told: Result<u64, Unknown>, answered: bool, observed_at: Mono) {
        if observed_at < self.observed_at {
            return;
        }
        self.head = match &told {
            Ok(head) => Some((*head, observed_at)),
            Err(Unknown::NoAnswer | Unknown::OurSide(_)) => self.head,
            // Nonsense and other chains have no vote, not even a former one.
            Err(_) => None,
        };
        self.told = told;
        self.observed_at = observed_at;
        if answered {
            self.answered_at = Some(observed_at);
        }
    }

    /// The head that is voted for, while it is fresh.
    fn fresh(&self, now: Mono) -> Option<u64> {
        self.head.filter(|(_, at)| now.since(*at) <= self.stale_after).map(|(head, _)| head)
    }

    /// Notes whether the vote counts now; returns whether that is news.
    fn recount(&mut self, now: Mono) -> bool {
        let counts = self.fresh(now).is_some();
        std::mem::replace(&mut self.counted, counts) != counts
    }

    /// The first instant at which the vote is stale.
    fn lapses_at(&self, now: Mono) -> Option<Mono> {
        self.fresh(now)?;
        self.head.map(|(_, at)| at.plus(self.stale_after).plus(1))
    }

    /// The last success, and for how long it bears witness: two intervals, where a sample lives for three.
    fn witness(&self) -> Option<(Mono, u64)> {
        self.answered_at.map(|at| (at, self.stale_after / 3 * 2))
    }
}

// === impl Chain ===

impl Chain {
    /// A network of which nothing is known yet.
    #[must_use]
    pub fn new(plan: &NetworkPlan) -> Self {
        let mut chain = Self {
            id: plan.chain_id.clone(),
            stalled_after: plan.stalled_after,
            reference_stale_after: 0,
            references: BTreeMap::new(),
            own: BTreeMap::new(),
            whole: Record::default(),
            others: BTreeMap::new(),
            left: false,
            refreshed_at: Mono(0),
            head: None,
            stalled: false,
        };
        chain.adopt(plan);
        chain
    }

    /// The plan changed. Votes of references that are still asked at the same address live on; with another chain id
    /// nothing does.
    pub fn adopt(&mut self, plan: &NetworkPlan) {
        if self.id != plan.chain_id {
            *self = Self::new(plan);
            return;
        }
        self.stalled_after = plan.stalled_after;
        self.reference_stale_after = reference_every(plan).saturating_mul(3);
        let mut before = std::mem::take(&mut self.references);
        for reference in &plan.references {
            let known = before.remove(&reference.name).filter(|(url, _)| *url == reference.url);
            let vote = known.map_or_else(|| Vote::none(0), |(_, vote)| vote);
            let vote = Vote { stale_after: self.reference_stale_after, ..vote };
            self.references.insert(reference.name.clone(), (reference.url.clone(), vote));
        }
        self.left = true;
    }

    /// A reference was asked for its head. One that is not in the plan any more is ignored.
    pub fn reference(&mut self, name: &str, result: Result<u64, Unknown>, _asked_at: Mono, observed_at: Mono) {
        if let Some((_, vote)) = self.references.get_mut(name) {
            let answered = result.is_ok();
            vote.take(result, answered, observed_at);
        }
    }

    /// An own node was asked. `reachable`: it answered correctly. `stale_after` in milliseconds.
    pub fn own(
        &mut self,
        voter: &Voter,
        head: Result<u64, Unknown>,
        reachable: bool,
        _asked_at: Mono,
        observed_at: Mono,
        stale_after: u64,
    ) {
        let vote = match self.own.get_mut(voter) {
            Some(vote) => vote,
            None => self.own.entry(voter.clone()).or_insert_with(|| Vote::none(stale_after)),
        };
        vote.stale_after = stale_after;
        vote.take(head, reachable, observed_at);
    }

    /// Targets of a policy are gone, all but those in `keep`.
    pub fn forget(&mut self, policy_uid: &str, keep: &BTreeSet<String>) {
        let stays = |voter: &Voter| voter.policy != policy_uid || keep.contains(&voter.target);
        self.left |= self.own.iter().any(|(voter, vote)| vote.counted && !stays(voter));
        self.own.retain(|voter, _| stays(voter));
        self.others.retain(|voter, _| stays(voter));
    }

    /// Counts the votes anew. To be called after every result, so that a rise is told from a vote that joined.
    /// Returns whether the network began or ceased to stand still, or a quorum came or went.
    pub fn refresh(&mut self, now: Mono) -> bool {
        let regrouped = self.regroup(now);
        let ballot = ballot(&self.references, &self.own, now);
        for (voter, vote) in &self.own {
            let quorum = ballot.count(vote.fresh(now).map(|head| (voter.policy.as_str(), head)));
            let record = match self.others.get_mut(voter) {
                Some(record) => record,
                // A node that did not vote so far: what all have seen is what the others have seen.
                None => self.others.entry(voter.clone()).or_insert_with(|| self.whole.clone()),
            };
            record.note(quorum.map(|quorum| quorum.height), regrouped, self.stalled_after, now);
        }
        let quorum = ballot.count(None);
        self.whole.note(quorum.map(|quorum| quorum.height), regrouped, self.stalled_after, now);

        let before = (self.head.is_some(), self.stalled);
        self.head = quorum.map(|quorum| quorum.with(&self.whole));
        self.refreshed_at = now;
        self.stalled = self.stalled_since(now).is_some();
        before != (self.head.is_some(), self.stalled)
    }

    /// Whether a vote that counts joined or lapsed since the last refresh.
    fn regroup(&mut self, now: Mono) -> bool {
        let mut regrouped = std::mem::take(&mut self.left);
        for (_, vote) in self.references.values_mut() {
            regrouped |= vote.recount(now);
        }
        let enough = self.references.values().filter(|(_, vote)| vote.counted).count() >= ENOUGH_REFERENCES;
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

    /// What a target may know of the others: the head without its own vote, and when another probe last succeeded.
    #[must_use]
    pub fn view(&self, subject: &Voter, now: Mono) -> NetworkView {
        let its = self.own.get(subject).and_then(|vote| vote.fresh(now));
        let quorum =
            ballot(&self.references, &self.own, now).count(its.map(|head| (subject.policy.as_str(), head)));
        let record = self.others.get(subject).unwrap_or(&self.whole);
        let others = self.own.iter().filter(|(voter, _)| *voter != subject).map(|(_, vote)| vote);
        let probes = self.references.values().map(|(_, vote)| vote).chain(others);
        let witness = probes.filter_map(Vote::witness).max_by_key(|(at, within)| (at.plus(*within), *at));
        NetworkView {
            reference: quorum.map(|quorum| quorum.with(record)),
            witness_at: witness.map(|(at, _)| at),
            witness_within: witness.map_or(0, |(_, within)| within),
        }
    }

    /// Since when the network stands still, once that has lasted for `stalledAfter`. Without a quorum it is not known
    /// to.
    #[must_use]
    pub fn stalled_since(&self, now: Mono) -> Option<Mono> {
        let since = self.whole.stands_since();
        (self.head.is_some() && now.since(since) >= self.stalled_after).then_some(since)
    }

    /// The next instant at which a refresh can change something without a new result.
    #[must_use]
    pub fn next(&self, now: Mono) -> Option<Mono> {
        let references = self.references.values().map(|(_, vote)| vote);
        let lapses = references.chain(self.own.values()).filter_map(|vote| vote.lapses_at(now));
        let stalls = self.head.map(|_| self.whole.stands_since().plus(self.stalled_after));
        lapses.chain(stalls.filter(|at| *at > now)).min()
    }

    /// The references, by name, and what each said last.
    pub fn references(&self) -> impl Iterator<Item = (&str, Result<u64, Unknown>)> {
        self.references.iter().map(|(name, (_, vote))| {
            let age = self.refreshed_at.since(vote.observed_at);
            let stale = vote.told.is_ok() && age > vote.stale_after;
            (name.as_str(), if stale { Err(Unknown::Stale(age)) } else { vote.told.clone() })
        })
    }
}

fn ballot<'a>(
    references: &BTreeMap<String, (String, Vote)>,
    own: &'a BTreeMap<Voter, Vote>,
    now: Mono,
) -> Ballot<'a> {
    let references = references.values().filter_map(|(_, vote)| vote.fresh(now)).collect();
    let own = own.iter().filter_map(|(voter, vote)| Some((voter.policy.as_str(), vote.fresh(now)?)));
    Ballot::new(references, own)
}

// === impl Quorum ===

impl Quorum {
    fn with(self, record: &Record) -> ReferenceHead {
        let Self { height, agree, of } = self;
        ReferenceHead { height, risen_at: record.risen_at.unwrap_or_default(), agree, of }
    }
}
