//! The record of one signing identity: who owns which heights. Every legal write of it is a compare-and-swap.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hold::Timing;

/// A height of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Height(pub u64);

impl Height {
    /// So many heights further up.
    #[must_use]
    pub const fn plus(self, heights: u64) -> Self {
        Self(self.0.saturating_add(heights))
    }
}

/// Counts the holders of an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// Drawn for every activation: tells two epochs apart that have one number, as they have after a restored backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Activation(pub u128);

/// Drawn by every process of a gate when it starts: two processes of one pod are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Boot(pub u128);

/// One activation of one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tenure {
    /// Which epoch.
    pub epoch: Epoch,
    /// Which activation of it.
    pub activation: Activation,
}

/// A pod of a member. Its uid is who it is: the twin of a pod that was deleted by force is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pod {
    /// The member of the group.
    pub member: String,
    /// The pod's uid.
    pub uid: String,
    /// The node that it runs on.
    pub node: String,
}

/// Who may sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The process in it that has claimed the place, once one has.
    pub boot: Option<Boot>,
}

/// What is held as a launcher holds it: it ends when the hold does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Held {
    /// A command, which is the signer.
    Command,
    /// The key in a key manager's client.
    Key,
    /// The identity of a validator of Solana.
    Identity,
}

/// How the place changes hands; fixed for an epoch when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandOver {
    /// The key is behind a gate, which signs inside its window only.
    Gate,
    /// A launcher starts the signer, and kills it when its hold ends.
    Launcher(Held, Timing),
    /// The key is behind a remote signer that itself refuses a second signature: only the endpoint moves.
    Label,
    /// A job of the owner's ends one epoch and begins the next.
    Job,
}

impl HandOver {
    /// Whether a process of ours claims the place. Where none does, the operator says that the holder is at work.
    #[must_use]
    pub const fn is_claimed(&self) -> bool {
        matches!(self, Self::Gate | Self::Launcher(..))
    }
}

/// Where an epoch stands. The way is one way: Active, Revoking, Fenced, and then the next epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The holder may sign inside the window that it raises.
    Active(Holder),
    /// The window is frozen; proof is wanted that the holder cannot sign above it. Never cancelled.
    Revoking {
        /// Who has held it.
        holder: Holder,
        /// What is missing, when a person has to know.
        blocked: Option<Missing>,
    },
    /// Nobody can sign any more in this epoch above its bound.
    Fenced(Proof),
}

/// Why it is known that an epoch signs nothing above its bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The signer itself refuses: its gate sealed the epoch or stopped in good order, nobody ever claimed it, or it is a
    /// remote signer that refuses by its kind.
    SignerRefuses,
    /// The window protocol: no gate signs above the frozen ceiling, whatever becomes of it.
    WindowFrozen,
    /// The kubelet saw every container of the pod end.
    KubeletConfirmed(Arc<Pod>),
    /// The platform says that the node is off.
    NodeOff(Arc<Pod>),
    /// The owner's own job says so, by its success.
    JobSucceeded,
    /// A person says so, and is logged.
    Asserted,
}

/// What holds a failover up until a person helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Missing {
    /// Nothing proves that the former holder has stopped.
    Proof,
    /// No block passes the frozen ceiling without this key, or nobody knows whether one would: only a seal helps.
    ChainNeedsUs,
}

/// Why nobody signs with a key any more, in whatever epoch, until a person has adopted its identity anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Shut {
    /// The chain has a signature that only a gate could have made, and it did not: somebody else has the key.
    Foreign,
    /// The chain has punished the key.
    Punished,
}

/// What travels with a key: what the signer of an epoch knew of its own signatures when the epoch had ended. Only where the
/// signer has such a memory in files, as Solana's validators have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Carried {
    /// The epoch at whose end that was. It says all only to the epoch right after it.
    pub epoch: Epoch,
    /// The member that has signed last.
    pub member: String,
    /// The files, by their names. None where the epoch ended without a word: only that member itself has them then.
    pub files: Vec<(String, Vec<u8>)>,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Which epoch, and which activation of it.
    pub tenure: Tenure,
    /// The last epoch that a person began: every gate that latched before it may look again.
    pub adopted: Epoch,
    /// How this epoch ends.
    pub hand_over: HandOver,
    /// Where it stands.
    pub phase: Phase,
    /// The epoch signs above this height only.
    pub floor: Height,
    /// And at this height at most.
    pub ceiling: Height,
    /// How many processes have claimed the place in this epoch.
    pub claims: u32,
    /// Whether the last of them stopped in good order, and lowered the ceiling to what was signed.
    pub lowered: bool,
    /// The highest height that the epoch can have signed, once its gate is silent in it. Binds every process.
    pub sealed: Option<Height>,
    /// Why nobody signs with the key any more, if so.
    pub shut: Option<Shut>,
    /// What travels with the key.
    pub carried: Option<Arc<Carried>>,
}

/// How far a record has come. Each legal write makes it greater, so that a record that was restored from a backup knows
/// less than it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Progress {
    epoch: Epoch,
    phase: u8,
    sealed: bool,
    claims: u32,
    lowered: bool,
    ceiling: Height,
    shut: Option<Shut>,
    blocked: Option<Missing>,
}

impl Shut {
    /// What a person is told.
    #[must_use]
    pub const fn because(self) -> &'static str {
        match self {
            Self::Foreign => {
                "somebody else has this key, for the chain has a signature of it that its gate did not make: nobody signs until \
                 a person has found the other one and adopts the identity"
            }
            Self::Punished => "the chain has punished this key: nobody signs until a person adopts the identity",
        }
    }
}

impl Record {
    /// An identity that nobody holds yet, from a person's hand: `floor` is above all that the key has ever signed.
    #[must_use]
    pub const fn adopted(epoch: Epoch, activation: Activation, floor: Height) -> Self {
        Self {
            tenure: Tenure { epoch, activation },
            adopted: epoch,
            hand_over: HandOver::Gate,
            phase: Phase::Fenced(Proof::Asserted),
            floor,
            ceiling: floor,
            claims: 0,
            lowered: false,
            sealed: None,
            shut: None,
            carried: None,
        }
    }

    /// What the signer knows that came before this epoch: nothing, where nobody knows whether it is all.
    #[must_use]
    pub fn inherited(&self) -> Option<&Carried> {
        let before = |carried: &&Carried| carried.epoch.0.checked_add(1) == Some(self.tenure.epoch.0);
        self.carried.as_deref().filter(before)
    }

    /// What travels on where nobody has signed in this epoch: what it has inherited.
    #[must_use]
    pub fn passed_on(&self) -> Option<Arc<Carried>> {
        self.inherited().map(|carried| Arc::new(Carried { epoch: self.tenure.epoch, ..carried.clone() }))
    }

    /// The highest height that this epoch can have signed, or can sign without another raise.
    #[must_use]
    pub fn bound(&self) -> Height {
        self.sealed.unwrap_or(self.ceiling).max(self.floor)
    }

    /// The lowest floor of an epoch that follows when the pod of this uid has stopped for good; none if its word is not enough.
    /// What a gate has signed is known once it is revoked: until then another process of its pod may claim the place.
    #[must_use]
    pub fn outlived(&self, uid: &str) -> Option<Height> {
        let named = self.holder().is_some_and(|holder| holder.pod.uid == uid);
        let still = self.hand_over != HandOver::Gate || !matches!(self.phase, Phase::Active(_));
        let least = if self.is_tight() { self.bound() } else { self.floor };
        (named && still).then_some(least)
    }

    /// Whether a signer that no window holds may run: neither a seal nor a proof says that it has stopped.
    #[must_use]
    pub fn may_run(&self) -> bool {
        self.hand_over != HandOver::Gate && self.holder().is_some() && self.claims > 0 && self.sealed.is_none()
    }

    /// Who holds the place, or has held it until now.
    #[must_use]
    pub const fn holder(&self) -> Option<&Holder> {
        match &self.phase {
            Phase::Active(holder) | Phase::Revoking { holder, .. } => Some(holder),
            Phase::Fenced(_) => None,
        }
    }

    /// Whether its bound is what was signed, and not only what may have been: the next epoch then waits for nothing.
    #[must_use]
    pub const fn is_tight(&self) -> bool {
        self.sealed.is_some() || self.lowered || self.claims == 0
    }

    /// Whether the next epoch may end so. Each way knows in its own place what was signed, the window or the signer, and
    /// none knows it of another: another way begins with a person's word.
    #[must_use]
    pub fn leads_to(&self, next: HandOver) -> bool {
        let begun_by_hand = self.adopted == self.tenure.epoch;
        let same = match (self.hand_over, next) {
            (HandOver::Launcher(one, _), HandOver::Launcher(other, _)) => one == other,
            (one, other) => std::mem::discriminant(&one) == std::mem::discriminant(&other),
        };
        begun_by_hand || same
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        // Without `..`: a field that is forgotten here may go back without anybody noticing.
        let Self {
            tenure,
            adopted: _,
            hand_over: _,
            phase,
            floor: _,
            ceiling,
            claims,
            lowered,
            sealed,
            shut,
            carried: _,
        } = self;
        let (rank, blocked) = match phase {
            Phase::Active(_) => (0, None),
            Phase::Revoking { blocked, .. } => (1, *blocked),
            Phase::Fenced(_) => (2, None),
        };
        Progress {
            epoch: tenure.epoch,
            phase: rank,
            sealed: sealed.is_some(),
            claims: *claims,
            lowered: *lowered,
            ceiling: *ceiling,
            shut: *shut,
            blocked,
        }
    }
}
