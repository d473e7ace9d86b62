//! The log of every signature that left, kept outside the pods, and what it must never show.

use std::collections::BTreeMap;

use mainstay::failover::{
    Epoch, Height, Missing, Phase, Proof, Record, Tenure,
    gate::{Ask, Content, Key, Step},
};

/// Why the place was to change hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A person ordered it.
    Ordered,
    /// The process that held it is no more, or none ever claimed it.
    Dead,
    StandsStill,
    /// From the API server.
    CutOff,
    /// Its node is far behind the chain.
    Behind,
    /// Its pod was replaced, or deleted by force.
    PodGone,
    /// Its gate is latched.
    Shut,
    /// Telemetry was false.
    FalseAlarm,
    /// Anything else, such as an API server that is away.
    Silent,
}

/// A failover that came to a signature.
#[derive(Clone, Debug)]
pub struct Failover {
    pub cause: Cause,
    /// The name of what ended the epoch before.
    pub proof: &'static str,
    /// From `Revoking` to the first signature of the next holder: milliseconds, and blocks.
    pub time: u64,
    pub blocks: u64,
}

/// A failover that is under way.
#[derive(Clone, Copy, Debug)]
struct Under {
    epoch: Epoch,
    since: u64,
    head: u64,
    cause: Cause,
    proof: &'static str,
}

#[derive(Clone, Debug, Default)]
struct AtHeight {
    owner: Option<Key>,
    signed: Vec<(u32, Step, Content)>,
}

/// What was seen of a run.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    log: Vec<AtHeight>,
    ranges: BTreeMap<Tenure, (Height, Height)>,
    under: Option<Under>,
    /// What must never be.
    pub wrong: Vec<String>,
    pub conflicts: u64,
    pub signatures: u64,
    pub failovers: u64,
    /// Before the next holder signed, another one was wanted, or a person adopted the identity.
    pub overtaken: u64,
    pub blocked: BTreeMap<Missing, u64>,
    pub done: Vec<Failover>,
    /// The last signature of the newest epoch: when, of which tenure, at which height.
    pub last: Option<(u64, Tenure, Height)>,
}

impl Oracle {
    /// A signature leaves.
    pub fn signature(&mut self, now: u64, head: u64, key: Key, ask: &Ask) {
        let (at, content) = (ask.at, ask.content);
        let Some(index) = usize::try_from(at.height.0).ok().filter(|index| *index < 100_000) else {
            self.wrong.push(format!("{now} ms: height {} is signed", at.height.0));
            return;
        };
        if self.log.len() <= index {
            self.log.resize(index + 1, AtHeight::default());
        }
        let height = &mut self.log[index];
        let mut twice = false;
        match height.signed.iter().find(|(round, step, _)| (*round, *step) == (at.round, at.step)) {
            Some((.., other)) => twice = *other != content,
            None => height.signed.push((at.round, at.step, content)),
        }
        let owner = *height.owner.get_or_insert(key);
        if twice {
            self.conflicts += 1;
            self.wrong.push(format!("{now} ms: {at:?} has two contents, of {owner:?} and {key:?}"));
        } else if owner != key {
            self.wrong.push(format!("{now} ms: height {index} is signed by {owner:?} and {key:?}"));
        }
        let range = self.ranges.entry(key.tenure).or_insert((at.height, at.height));
        *range = (range.0.min(at.height), range.1.max(at.height));
        self.signatures += 1;
        self.signs(now, head, key.tenure, at.height);
    }

    /// Somebody signs, or a command that signs begins to run.
    pub fn signs(&mut self, now: u64, head: u64, tenure: Tenure, height: Height) {
        // What is signed of an epoch that is over says nothing about the next.
        if self.last.is_none_or(|(_, of, _)| of.epoch <= tenure.epoch) {
            self.last = Some((now, tenure, height));
        }
        if let Some(under) = self.under.take_if(|under| tenure.epoch > under.epoch) {
            let Under { cause, proof, .. } = under;
            self.done.push(Failover { cause, proof, time: now - under.since, blocks: head - under.head });
        }
    }

    /// The highest height that was signed in a tenure.
    pub fn last_of(&self, tenure: Tenure) -> Height {
        self.ranges.get(&tenure).map_or(Height(0), |(_, last)| *last)
    }

    /// Whether the chain has what it needs of us for a block.
    pub fn has_voted(&self, height: u64, round: u32) -> bool {
        let all = usize::try_from(height).ok().and_then(|index| self.log.get(index));
        let voted = |step| {
            let of = |(its, of, content): &(u32, Step, Content)| {
                (*its, *of) == (round, step) && content.what != [0; 32]
            };
            all.is_some_and(|all| all.signed.iter().any(of))
        };
        voted(Step::Prevote) && voted(Step::Precommit)
    }

    /// The record is written.
    pub fn written(&mut self, now: u64, head: u64, old: &Record, new: &Record, cause: Option<Cause>) {
        if new.progress() <= old.progress() {
            self.wrong.push(format!("{now} ms: a write makes the record know less: {old:?}, {new:?}"));
        }
        if new.adopted > old.adopted {
            self.adopted();
            return;
        }
        let blocked = |record: &Record| {
            if let Phase::Revoking { blocked, .. } = record.phase { blocked } else { None }
        };
        if let (None, Some(why)) = (blocked(old), blocked(new)) {
            *self.blocked.entry(why).or_default() += 1;
        }
        match (&old.phase, &new.phase) {
            (Phase::Active(_), Phase::Revoking { .. }) => {
                self.failovers += 1;
                self.overtaken += u64::from(self.under.is_some());
                let epoch = old.tenure.epoch;
                let cause = cause.expect("somebody wants it");
                self.under = Some(Under { epoch, since: now, head, cause, proof: "" });
            }
            (Phase::Revoking { .. }, Phase::Fenced(proof)) => {
                self.under.iter_mut().for_each(|under| under.proof = name(proof));
            }
            _ => {}
        }
    }

    /// A person begins anew.
    pub fn adopted(&mut self) {
        self.overtaken += u64::from(self.under.take().is_some());
    }

    /// Epochs own ranges, and none is inside of another.
    pub fn ends(&mut self) {
        let mut ranges: Vec<_> = self.ranges.iter().map(|(tenure, range)| (*range, *tenure)).collect();
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            if pair[0].0.1 >= pair[1].0.0 {
                self.wrong.push(format!("the heights of {:?} and {:?} overlap", pair[0], pair[1]));
            }
        }
    }
}

const fn name(proof: &Proof) -> &'static str {
    match proof {
        Proof::SignerRefuses => "SignerRefuses",
        Proof::WindowFrozen => "WindowFrozen",
        Proof::KubeletConfirmed(_) => "KubeletConfirmed",
        Proof::NodeOff(_) => "NodeOff",
        Proof::JobSucceeded => "JobSucceeded",
        Proof::Asserted => "Asserted",
    }
}
