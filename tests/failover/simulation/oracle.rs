//! The log of every signature that left, kept outside the pods, and what it must never show.

use std::collections::BTreeMap;

use mainstay::failover::{
    Epoch, Height, Missing, Phase, Record, Tenure,
    gate::{Ask, Content, Key, Step},
};

/// How a failover came about, and what the next holder had to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A person asked for it, and the former holder gave back what it held.
    Planned,
    /// The bound was what was signed.
    Sealed,
    /// The rest of the former holder's window.
    Window,
    /// A launcher's place.
    Launched,
}

/// A failover that is under way.
#[derive(Clone, Copy, Debug)]
struct Under {
    epoch: Epoch,
    since: u64,
    head: u64,
    planned: bool,
    kind: Kind,
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
    pub times: Vec<(Kind, u64, u64)>,
    /// The last signature: when, of which tenure, at which height.
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
        self.last = Some((now, tenure, height));
        if let Some(under) = self.under.take_if(|under| tenure.epoch > under.epoch) {
            self.times.push((under.kind, now - under.since, head - under.head));
        }
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
    pub fn written(&mut self, now: u64, head: u64, old: &Record, new: &Record, planned: bool) {
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
                self.under = Some(Under { epoch, since: now, head, planned, kind: Kind::Window });
            }
            (Phase::Revoking { .. }, Phase::Fenced(_)) => {
                if let Some(under) = &mut self.under {
                    under.kind = match old.hand_over {
                        mainstay::failover::HandOver::Launcher(_) => Kind::Launched,
                        mainstay::failover::HandOver::Gate if !old.is_tight() => Kind::Window,
                        mainstay::failover::HandOver::Gate if under.planned => Kind::Planned,
                        mainstay::failover::HandOver::Gate => Kind::Sealed,
                    };
                }
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
