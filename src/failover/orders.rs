//! What becomes of an order about an identity: of a person, or of a ladder.

use super::{Activation, Epoch, Event, Height, Holder, Phase, Record, Shut, Unreadable};

/// An order that was not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// What is wanted.
    pub wish: Wish,
    /// The epoch that it was decided about.
    pub epoch: Epoch,
    /// Made of the order's uid, so that whoever carries it out twice begins one epoch.
    pub activation: Activation,
    /// Whether it was taken before, and is being carried out: only then is the epoch that followed of its making.
    pub accepted: bool,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// A new key, which has never signed.
    Init,
    /// A key that has signed, at this height at most.
    Adopt(Height),
    /// The same, and the holder's very pod has stopped for good.
    AdoptAfter {
        /// The pod's uid.
        uid: String,
        /// The highest height that it signed.
        floor: Height,
    },
    /// Another member is to go on: this one, if one is named.
    Switch(Option<String>),
    /// The pod of this uid has stopped for good.
    Release(String),
}

/// What becomes of it, as far as the record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The first record is written.
    Begin(Record),
    /// The record takes this step.
    Take(Event),
    /// It is being carried out.
    Wait,
    /// It has been.
    Done(String),
    /// It is not carried out.
    Refused(String),
}

/// What becomes of an order. An order that comes late changes nothing: what was true of one epoch says nothing of another.
#[must_use]
pub fn fate(record: Option<&Record>, order: &Order) -> Fate {
    let Some(record) = record else { return first(order) };
    let epoch = record.tenure.epoch;
    match &order.wish {
        Wish::Init | Wish::Adopt(_) | Wish::AdoptAfter { .. } if record.tenure.activation == order.activation => {
            Fate::Done(format!("epoch {} has begun, above {}", epoch.0, record.floor.0))
        }
        Wish::Init => Fate::Refused(format!("this identity has a record, of epoch {}: it is no new key", epoch.0)),
        Wish::Adopt(_) | Wish::AdoptAfter { .. } if order.epoch < epoch => late(order.epoch, epoch),
        Wish::Adopt(floor) => adopt(record, order, *floor),
        Wish::Switch(_) | Wish::Release(_) | Wish::AdoptAfter { .. } if order.epoch > epoch => {
            unborn(order.epoch, epoch)
        }
        Wish::AdoptAfter { uid, floor } => adopt_after(record, order, uid, *floor),
        Wish::Switch(_) if order.epoch == epoch => match &record.phase {
            Phase::Active(_) | Phase::Fenced(_) if record.shut.is_some() => {
                Fate::Refused(record.shut.map(Shut::because).unwrap_or_default().into())
            }
            Phase::Active(_) => Fate::Take(Event::Wanted { epoch }),
            Phase::Revoking { .. } | Phase::Fenced(_) => Fate::Wait,
        },
        Wish::Switch(_) if !order.accepted => late(order.epoch, epoch),
        Wish::Switch(to) => match &record.phase {
            Phase::Active(holder) if to.as_ref().is_some_and(|to| *to != holder.pod.member) => {
                Fate::Refused(format!("{} went on instead, in epoch {}", holder.pod.member, epoch.0))
            }
            Phase::Active(holder) if holder.boot.is_some() => {
                Fate::Done(format!("{} holds the place in epoch {}", holder.pod.member, epoch.0))
            }
            Phase::Active(_) => Fate::Wait,
            Phase::Revoking { .. } | Phase::Fenced(_) => late(order.epoch, epoch),
        },
        Wish::Release(uid) if order.epoch == epoch => match &record.phase {
            Phase::Revoking { holder, .. } if holder.pod.uid == *uid => {
                Fate::Take(Event::Released { epoch, uid: uid.clone() })
            }
            Phase::Fenced(_) => Fate::Done(format!("epoch {} is over", epoch.0)),
            Phase::Active(_) | Phase::Revoking { .. } => {
                Fate::Refused(format!("nobody waits for the pod {uid}: {}", stands(record)))
            }
        },
        Wish::Release(_) => Fate::Done(format!("epoch {} is over", order.epoch.0)),
    }
}

/// How a record stands, in the words that an order has to match.
#[must_use]
pub fn stands(record: &Record) -> String {
    let (epoch, bound) = (record.tenure.epoch.0, record.bound().0);
    match &record.phase {
        Phase::Active(Holder { pod, .. }) => {
            format!("epoch {epoch} is Active, held by {} (pod {}), up to {bound}", pod.member, pod.uid)
        }
        Phase::Revoking { holder: Holder { pod, .. }, .. } => {
            format!("epoch {epoch} is Revoking, held by {} (pod {}) until now, up to {bound}", pod.member, pod.uid)
        }
        Phase::Fenced(_) => format!("epoch {epoch} is Fenced, over at {bound}"),
    }
}

/// What becomes of an order about a record that is none. Only a person who vouches for everything begins it anew; gates that
/// remember a later epoch stay shut all the same. What a later version may have written is no damage, and says what this one
/// cannot know.
#[must_use]
pub fn mend(why: &Unreadable, order: &Order) -> Fate {
    match order.wish {
        Wish::Adopt(_) if !why.later => first(order),
        Wish::Switch(_) if order.accepted => Fate::Wait,
        Wish::Init | Wish::Adopt(_) | Wish::AdoptAfter { .. } | Wish::Switch(_) | Wish::Release(_) => {
            Fate::Refused(why.to_string())
        }
    }
}

fn first(order: &Order) -> Fate {
    match order.wish {
        Wish::Init => Fate::Begin(Record::adopted(Epoch(0), order.activation, Height(0))),
        Wish::Adopt(floor) => match order.epoch.0.checked_add(1) {
            Some(epoch) => Fate::Begin(Record::adopted(Epoch(epoch), order.activation, floor)),
            None => Fate::Refused("there is no epoch after the last".into()),
        },
        Wish::AdoptAfter { .. } => Fate::Refused("this identity has no record, which could name a pod".into()),
        Wish::Switch(_) | Wish::Release(_) => {
            Fate::Refused("this identity has no record: `mainstay init` or `mainstay adopt` begins one".into())
        }
    }
}

/// A person's word counts less than what the record lets somebody do, or says that somebody can have done.
fn adopt(record: &Record, order: &Order, floor: Height) -> Fate {
    let (bound, stands) = (record.bound(), stands(record));
    if record.may_run() {
        return Fate::Refused(format!(
            "{stands}: its signer is not known to have stopped, and no floor keeps it apart from the next one. If its pod has \
             stopped for good, name it with --pod"
        ));
    }
    if floor < bound {
        let way = match record.phase {
            Phase::Active(_) => {
                "write a floor that is no lower; `mainstay failover` ends the epoch of whoever holds it"
            }
            Phase::Revoking { .. } => {
                "write a floor that is no lower; or, if the holder's pod has stopped for good, name it with --pod, and give \
                 its state with --state"
            }
            Phase::Fenced(_) => "what an epoch can have signed stays signed: write a floor that is no lower",
        };
        return Fate::Refused(format!(
            "{stands}: so much may have been signed, and the floor is {}. {way}",
            floor.0
        ));
    }
    Fate::Take(Event::Adopted { above: order.epoch, floor, activation: order.activation })
}

/// The word that the holder's pod has stopped for good is about that pod and that epoch.
fn adopt_after(record: &Record, order: &Order, uid: &str, floor: Height) -> Fate {
    let stands = stands(record);
    let refused = |why: &str| Fate::Refused(format!("{stands}: {why}"));
    match (record.outlived(uid), record.holder()) {
        (Some(least), _) if floor < least => Fate::Refused(format!(
            "{stands}: nothing at or below {} is this epoch's to sign, and the floor is {}",
            least.0, floor.0
        )),
        (Some(_), _) => {
            let (uid, activation) = (uid.to_owned(), order.activation);
            Fate::Take(Event::AdoptedAfter { epoch: order.epoch, uid, floor, activation })
        }
        (None, None) => refused("it is too late to say what its holder has signed, its whole window counts"),
        (None, Some(holder)) if holder.pod.uid == uid => refused(
            "a process of that pod could still claim the place: `mainstay failover` first, then read its state and adopt",
        ),
        (None, Some(_)) => refused(&format!("the pod {uid} does not hold it")),
    }
}

fn late(of: Epoch, now: Epoch) -> Fate {
    Fate::Refused(format!("it was decided about epoch {}, and this is epoch {}: it comes late", of.0, now.0))
}

fn unborn(of: Epoch, now: Epoch) -> Fate {
    Fate::Refused(format!("there is no epoch {} yet, this is epoch {}", of.0, now.0))
}

#[cfg(test)]
mod tests;
