//! The state machine of a signing identity.

use std::sync::Arc;

use super::{
    Activation, Boot, Carried, Epoch, HandOver, Height, Holder, Missing, Phase, Pod, Proof, Record, Shut, Tenure,
};

/// For how long a gate is given the chance to seal before its window is taken as proof (milliseconds). A seal makes the
/// failover wait for nothing; safety does not rest on this.
pub const PATIENCE: u64 = 10_000;

/// What happened, or was found out. What it says may be false or old, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The record was read after a start, or after an answer that never came.
    Resumed,
    /// The place must change hands, also to the same member: that is how a holder is restarted.
    Wanted {
        /// The epoch that this was decided about: an order that arrives late ends no other one.
        epoch: Epoch,
    },
    /// The former holder was looked at. `proof` must be true: it is what everything rests on.
    Found {
        /// What shows that it has stopped.
        proof: Option<Proof>,
        /// How much the chain needs this key.
        share: Share,
        /// For how long this very process has known of `Revoking`, by its monotonic clock (milliseconds).
        waited: u64,
    },
    /// A person says that the pod has stopped for good, and names it.
    Released {
        /// The epoch.
        epoch: Epoch,
        /// The pod's uid.
        uid: String,
    },
    /// This member is the best to go on.
    Offered {
        /// Its pod.
        pod: Arc<Pod>,
        /// Drawn for this activation.
        activation: Activation,
        /// How its epoch will end.
        hand_over: HandOver,
    },
    /// The holder is at work, where no process of ours claims its place: the endpoint is its own, or the owner's job has
    /// activated it.
    Begun {
        /// The epoch.
        epoch: Epoch,
    },
    /// The owner's job, which was to prove that the former holder has stopped, has failed or is late.
    Unproven {
        /// The epoch.
        epoch: Epoch,
    },
    /// Nobody may sign with this key any more.
    Shut(Shut),
    /// A person vouches that no process with this key runs anywhere, and that it never signed above the floor. The only
    /// way on after the record itself was restored from a backup, or the key was shut.
    Adopted {
        /// The highest epoch that any gate, log or person remembers.
        above: Epoch,
        /// Above all that it can have signed: [`super::above_head`].
        floor: Height,
        /// Drawn for this.
        activation: Activation,
    },
    /// A person vouches that the holder's very pod has stopped for good, and that it never signed above the floor. The only
    /// way on where no block passes its ceiling without this key.
    AdoptedAfter {
        /// The epoch.
        epoch: Epoch,
        /// The pod's uid.
        uid: String,
        /// The highest height that it signed.
        floor: Height,
        /// Drawn for this.
        activation: Activation,
    },
}

/// How much of the voting power is this key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// Less than a third: the chain passes any ceiling without us.
    Small,
    /// A third or more.
    Third,
    /// Nobody can tell.
    Unknown,
}

/// What is to be done once the record stands as returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// See that the holder signs: answered by `Wanted` if it does not.
    Follow,
    /// Look for proof that this holder has stopped: answered by `Found`.
    Prove(Holder),
    /// Call a person, once for an epoch and a reason.
    Page(Missing),
    /// Find the member that goes on: answered by `Offered`.
    Choose,
}

/// One step. If the returned record differs from the one that was read, it is written with the resourceVersion of that
/// reading, and the effects wait for the write; if the write fails, the record is read again and the event is forgotten.
///
/// Nothing moves a place back by itself: a former holder that is well again stays a standby until somebody wants more.
#[must_use]
pub fn step(record: &Record, event: Event) -> (Record, Vec<Effect>) {
    let mut next = record.clone();
    match (&record.phase, event) {
        (Phase::Active(holder), Event::Wanted { epoch }) if epoch == record.tenure.epoch => {
            next.phase = Phase::Revoking { holder: holder.clone(), blocked: None };
        }
        (Phase::Revoking { holder, .. }, Event::Found { proof, share, waited }) => {
            match fence(record, holder, proof, share, waited) {
                Finding::Proven(proof) => {
                    next.carried = left(record, holder);
                    next.phase = Phase::Fenced(proof);
                }
                Finding::Wait => {}
                Finding::Blocked(why) => {
                    next.phase = Phase::Revoking { holder: holder.clone(), blocked: Some(why) };
                }
            }
        }
        (Phase::Revoking { holder, .. }, Event::Released { epoch, uid })
            if epoch == record.tenure.epoch && uid == holder.pod.uid =>
        {
            next.carried = left(record, holder);
            next.phase = Phase::Fenced(Proof::Asserted);
        }
        (Phase::Active(holder), Event::Begun { epoch })
            if epoch == record.tenure.epoch && !record.hand_over.is_claimed() && holder.boot.is_none() =>
        {
            next.phase = Phase::Active(Holder { boot: Some(Boot(record.tenure.activation.0)), ..holder.clone() });
            next.claims = 1;
        }
        (Phase::Revoking { holder, .. }, Event::Unproven { epoch })
            if epoch == record.tenure.epoch && record.hand_over == HandOver::Job =>
        {
            next.phase = Phase::Revoking { holder: holder.clone(), blocked: Some(Missing::Proof) };
        }
        (Phase::Fenced(_), Event::Offered { pod, activation, hand_over })
            if record.shut.is_none() && record.leads_to(hand_over) =>
        {
            if let Some(epoch) = after(record.tenure.epoch) {
                next = activate(record, Tenure { epoch, activation }, pod, hand_over);
            }
        }
        (_, Event::Shut(why)) => next.shut = next.shut.max(Some(why)),
        // A person's word about an earlier epoch says nothing about what was signed since.
        (_, Event::Adopted { above, .. }) if above < record.tenure.epoch => {}
        (_, Event::Adopted { above, floor, activation }) => {
            if let Some(epoch) = after(above) {
                next = Record::adopted(epoch, activation, floor.max(record.bound()));
            }
        }
        (_, Event::AdoptedAfter { epoch, uid, floor, activation }) if epoch == record.tenure.epoch => {
            if let (Some(least), Some(epoch)) = (record.outlived(&uid), after(epoch)) {
                next = Record::adopted(epoch, activation, floor.max(least));
            }
        }
        // Late, false, or about another epoch: the record knows better.
        (_, _) => {}
    }
    let effects = due(&next);
    (next, effects)
}

/// What is to be done while the record stands so: the same whoever comes to it, and however often.
fn due(record: &Record) -> Vec<Effect> {
    match &record.phase {
        Phase::Active(_) => vec![Effect::Follow],
        Phase::Revoking { holder, blocked: None } => vec![Effect::Prove(holder.clone())],
        Phase::Revoking { holder, blocked: Some(why) } => vec![Effect::Page(*why), Effect::Prove(holder.clone())],
        Phase::Fenced(_) if record.shut.is_some() => Vec::new(),
        Phase::Fenced(_) => vec![Effect::Choose],
    }
}

enum Finding {
    Proven(Proof),
    Wait,
    Blocked(Missing),
}

/// Whether the epoch is over for good.
fn fence(record: &Record, holder: &Holder, proof: Option<Proof>, share: Share, waited: u64) -> Finding {
    match record.hand_over {
        HandOver::Gate if record.is_tight() => Finding::Proven(Proof::SignerRefuses),
        HandOver::Gate if waited < PATIENCE => Finding::Wait,
        HandOver::Gate => match share {
            Share::Small => Finding::Proven(Proof::WindowFrozen),
            Share::Third | Share::Unknown => Finding::Blocked(Missing::ChainNeedsUs),
        },
        // Its own process has seen the command end, or none ever had the place.
        HandOver::Launcher(..) if record.sealed.is_some() || record.claims == 0 => {
            Finding::Proven(Proof::SignerRefuses)
        }
        // The proof does not cover an orphan of the container runtime, and the wait does not cover a machine that was
        // paused: it takes both.
        HandOver::Launcher(_, timing) if waited < timing.wait() => Finding::Wait,
        HandOver::Launcher(..) => match proof {
            Some(proof) if proves(&proof, holder) => Finding::Proven(proof),
            Some(_) | None => Finding::Blocked(Missing::Proof),
        },
        // The signer keeps two signatures apart whatever we do. That the endpoint was taken away first spares it the questions.
        HandOver::Label if proof == Some(Proof::SignerRefuses) => Finding::Proven(Proof::SignerRefuses),
        HandOver::Job if proof == Some(Proof::JobSucceeded) => Finding::Proven(Proof::JobSucceeded),
        HandOver::Label | HandOver::Job => Finding::Wait,
    }
}

/// Whether a proof is about this very pod, and of a kind that ends an epoch without a gate.
fn proves(proof: &Proof, holder: &Holder) -> bool {
    match proof {
        Proof::KubeletConfirmed(pod) | Proof::NodeOff(pod) => *pod == holder.pod,
        Proof::SignerRefuses | Proof::WindowFrozen | Proof::JobSucceeded | Proof::Asserted => false,
    }
}

/// What an epoch that has ended leaves to the next one. Its own process said so with its seal; where nobody has signed it is what
/// was there before; else only its member has it.
fn left(record: &Record, holder: &Holder) -> Option<Arc<Carried>> {
    match record.hand_over {
        HandOver::Launcher(..) if record.sealed.is_some() => record.carried.clone(),
        HandOver::Launcher(..) if record.claims == 0 => record.passed_on(),
        HandOver::Launcher(..) => {
            let (epoch, member) = (record.tenure.epoch, holder.pod.member.clone());
            Some(Arc::new(Carried { epoch, member, files: Vec::new() }))
        }
        HandOver::Gate | HandOver::Label | HandOver::Job => None,
    }
}

/// The next epoch owns what is above all that the last one can have signed, and nothing yet.
fn activate(record: &Record, tenure: Tenure, pod: Arc<Pod>, hand_over: HandOver) -> Record {
    let floor = record.bound();
    Record {
        tenure,
        adopted: record.adopted,
        hand_over,
        phase: Phase::Active(Holder { pod, boot: None }),
        floor,
        ceiling: floor,
        claims: 0,
        lowered: false,
        sealed: None,
        shut: record.shut,
        carried: record.carried.clone(),
    }
}

/// The epoch that follows; there is none after the last, rather than the last once more.
fn after(epoch: Epoch) -> Option<Epoch> {
    epoch.0.checked_add(1).map(Epoch)
}
