//! What a gate knows: who it is, what its disk says, and what it holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::failover::{Activation, Boot, Epoch, Height, Pod, Progress, Record, Tenure};

/// One process of a gate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gate {
    /// Who it is.
    pub me: Me,
    /// What it read from its disk when it started, with all that it has made durable since.
    pub disk: Disk,
    /// Its part in the tenure that it saw last.
    pub part: Part,
    /// Whether it is to stop in good order.
    pub stopping: bool,
}

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Me {
    /// The pod that it runs in.
    pub pod: Arc<Pod>,
    /// Drawn when it started.
    pub boot: Boot,
}

/// The part of a process in a tenure. It has one chance: two processes that kept taking the place from each other would
/// never sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// None yet.
    Idle,
    /// It wants the place, and claims it as long as nobody else has done so since.
    Bidding {
        /// In this tenure.
        tenure: Tenure,
        /// How many had claimed it before.
        claims: u32,
    },
    /// It holds the place.
    Holding(Hold),
    /// It has lost it, and does not come back in this tenure.
    Done(Tenure),
}

/// What a process may sign: above `start`, up to `ceiling`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hold {
    /// In this tenure.
    pub tenure: Tenure,
    /// No other process of this tenure can have signed above it.
    pub start: Height,
    /// No other epoch can sign up to it.
    pub ceiling: Height,
}

/// What survives the process, if the volume does. It may be lost, or rolled back: nothing is signed on its word alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Disk {
    /// What was signed last.
    pub last: Option<Entry>,
    /// Who is never to sign again.
    pub silent: Option<Key>,
    /// The record that knew most of all that were ever seen.
    pub known: Option<Known>,
    /// Why nothing is signed here until a person has adopted the identity anew.
    pub latched: Option<Latch>,
}

/// Whose an entry is. Under any other key it counts as lost: a twin of the pod may write to the same volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The tenure.
    pub tenure: Tenure,
    /// The process.
    pub boot: Boot,
}

/// The last signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Whose it is.
    pub key: Key,
    /// Where in the chain.
    pub at: Hrs,
    /// What was signed.
    pub content: Content,
}

/// Height, round and step: what is signed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hrs {
    /// The height.
    pub height: Height,
    /// The round.
    pub round: u32,
    /// The step.
    pub step: Step,
}

/// What a signature is for, in the order of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// A proposal.
    Propose,
    /// A first vote.
    Prevote,
    /// A second vote.
    Precommit,
}

/// What was asked to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Content {
    /// A digest of the sign-bytes without the timestamp.
    pub what: [u8; 32],
    /// The timestamp, in nanoseconds.
    pub when: i128,
}

/// How far the record had come that knew most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Known {
    /// How far.
    pub progress: Progress,
    /// Its epoch.
    pub epoch: Epoch,
    /// And which activation of it.
    pub activation: Activation,
}

/// Why a gate is shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Latch {
    /// The record knows less than this gate does: it was restored from a backup.
    Restored,
    /// The chain has a signature of the key that this gate did not make, where only it could have.
    Foreign,
}

/// The bounds that a gate keeps by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// How far ahead of the chain it owns heights.
    pub window: u64,
    /// A height that is further above the ceiling is nonsense: it would be owned for ever.
    pub jump: u64,
    /// The highest height that the chain can be at: a height above it is nonsense, too.
    pub reach: Height,
}

impl Gate {
    /// A process that has just started, with what its disk says.
    #[must_use]
    pub const fn new(me: Me, disk: Disk) -> Self {
        Self { me, disk, part: Part::Idle, stopping: false }
    }

    /// What it may sign, while it may.
    #[must_use]
    pub const fn hold(&self) -> Option<Hold> {
        match self.part {
            Part::Holding(hold) => Some(hold),
            Part::Idle | Part::Bidding { .. } | Part::Done(_) => None,
        }
    }

    /// Under which key it signs in a tenure.
    #[must_use]
    pub const fn key(&self, tenure: Tenure) -> Key {
        Key { tenure, boot: self.me.boot }
    }

    /// Whether it has vowed to sign nothing more in this tenure.
    #[must_use]
    pub fn is_silent(&self, tenure: Tenure) -> bool {
        self.disk.silent == Some(self.key(tenure))
    }

    /// The highest height that was signed in this tenure, if this process is the one that holds it: it signed no other
    /// than its last, and those before it nothing above its start.
    #[must_use]
    pub fn signed_at_most(&self, hold: &Hold) -> Height {
        let mine = self.disk.last.as_ref().filter(|entry| entry.key == self.key(hold.tenure));
        mine.map_or(hold.start, |entry| entry.at.height.max(hold.start))
    }
}

impl Known {
    pub(super) fn of(record: &Record) -> Self {
        let Tenure { epoch, activation } = record.tenure;
        Self { progress: record.progress(), epoch, activation }
    }

    /// Whether this record cannot have come after the one that was known.
    pub(super) fn exceeds(&self, record: &Record) -> bool {
        self.progress > record.progress()
            || self.epoch == record.tenure.epoch && self.activation != record.tenure.activation
    }
}
