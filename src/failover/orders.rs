//! What becomes of an order about an identity: of a person, or of a ladder.

use super::{Activation, Epoch, Event, Height, Phase, Proof, Record, Unreadable};

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
        Wish::Init | Wish::Adopt(_) if record.tenure.activation == order.activation => {
            Fate::Done(format!("epoch {} has begun, above {}", epoch.0, record.floor.0))
        }
        Wish::Init => Fate::Refused(format!("this identity has a record, of epoch {}: it is no new key", epoch.0)),
        Wish::Adopt(_) if order.epoch < epoch => late(order.epoch, epoch),
        Wish::Adopt(floor) => adopt(record, order, *floor),
        Wish::Switch(_) | Wish::Release(_) if order.epoch > epoch => unborn(order.epoch, epoch),
        Wish::Switch(_) if order.epoch == epoch => match &record.phase {
            Phase::Active(_) if record.slashed => Fate::Refused("the chain has punished this key".into()),
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
            Phase::Active(_) | Phase::Revoking { .. } => Fate::Refused(format!(
                "nobody waits for the pod {uid} in epoch {}: `kubectl get sid` shows who holds the place",
                epoch.0
            )),
        },
        Wish::Release(_) => Fate::Done(format!("epoch {} is over", order.epoch.0)),
    }
}

/// What becomes of an order about a record that is none. Only a person who vouches for everything begins it anew; gates that
/// remember a later epoch stay shut all the same.
#[must_use]
pub fn mend(why: &Unreadable, order: &Order) -> Fate {
    match order.wish {
        Wish::Adopt(_) => first(order),
        Wish::Switch(_) if order.accepted => Fate::Wait,
        Wish::Init | Wish::Switch(_) | Wish::Release(_) => Fate::Refused(why.to_string()),
    }
}

fn first(order: &Order) -> Fate {
    match order.wish {
        Wish::Init => Fate::Begin(Record::adopted(Epoch(0), order.activation, Height(0))),
        Wish::Adopt(floor) => match order.epoch.0.checked_add(1) {
            Some(epoch) => Fate::Begin(Record::adopted(Epoch(epoch), order.activation, floor)),
            None => Fate::Refused("there is no epoch after the last".into()),
        },
        Wish::Switch(_) | Wish::Release(_) => {
            Fate::Refused("this identity has no record: `mainstay init` or `mainstay adopt` begins one".into())
        }
    }
}

/// A person's word counts more than what the record knows, and less than what it still lets somebody do.
fn adopt(record: &Record, order: &Order, floor: Height) -> Fate {
    let bound = record.bound();
    // A frozen window lets its holder sign up to the ceiling, whoever goes on.
    let over = matches!(&record.phase, Phase::Fenced(proof) if *proof != Proof::WindowFrozen);
    let open = !over && record.sealed.is_none();
    if open && floor < bound {
        return Fate::Refused(format!(
            "the holder may sign up to {} as long as it is not known to have stopped: write a floor that is no lower, \
             or have it stopped and released first",
            bound.0
        ));
    }
    Fate::Take(Event::Adopted { above: order.epoch, floor, activation: order.activation })
}

fn late(of: Epoch, now: Epoch) -> Fate {
    Fate::Refused(format!("it was decided about epoch {}, and this is epoch {}: it comes late", of.0, now.0))
}

fn unborn(of: Epoch, now: Epoch) -> Fate {
    Fate::Refused(format!("there is no epoch {} yet, this is epoch {}", of.0, now.0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::failover::{Boot, HandOver, Holder, Pod, step};

    fn order(wish: Wish, epoch: u64) -> Order {
        Order { wish, epoch: Epoch(epoch), activation: Activation(9), accepted: false }
    }

    /// Epoch 4 of `u1`, which may sign up to 120.
    fn active() -> Record {
        let pod = Arc::new(Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() });
        let fenced = Record::adopted(Epoch(3), Activation(1), Height(100));
        let offer = Event::Offered { pod: Arc::clone(&pod), activation: Activation(2), hand_over: HandOver::Gate };
        let mut record = step(&fenced, offer).0;
        record.phase = Phase::Active(Holder { pod, boot: Some(Boot(1)) });
        (record.claims, record.ceiling) = (1, Height(120));
        record
    }

    fn refused(record: Option<&Record>, wish: Wish, epoch: u64, words: &str) {
        let Fate::Refused(why) = fate(record, &order(wish, epoch)) else { panic!("not refused") };
        assert!(why.contains(words), "{why}");
    }

    #[test]
    fn a_new_key_begins_once() {
        let Fate::Begin(record) = fate(None, &order(Wish::Init, 0)) else { panic!("no beginning") };
        assert_eq!((record.floor, record.tenure.epoch), (Height(0), Epoch(0)));
        assert!(matches!(fate(Some(&record), &order(Wish::Init, 0)), Fate::Done(_)), "the same order twice");
        refused(Some(&active()), Wish::Init, 0, "no new key");
        refused(None, Wish::Switch(None), 0, "no record");
    }

    #[test]
    fn what_is_no_record_is_adopted_or_nothing() {
        let why = Unreadable { field: "holder".into(), why: "is missing".into() };
        let Fate::Begin(record) = mend(&why, &order(Wish::Adopt(Height(500)), 4)) else { panic!("no beginning") };
        assert_eq!((record.tenure.epoch, record.adopted, record.floor), (Epoch(5), Epoch(5), Height(500)));
        for wish in [Wish::Init, Wish::Switch(None), Wish::Release("u1".into())] {
            assert_eq!(mend(&why, &order(wish, 4)), Fate::Refused(why.to_string()));
        }
        let under_way = Order { accepted: true, ..order(Wish::Switch(None), 4) };
        assert_eq!(mend(&why, &under_way), Fate::Wait);
    }

    /// The floor of an old word would be below what was signed since.
    #[test]
    fn an_adoption_counts_once_and_never_late() {
        let record = active();
        refused(Some(&record), Wish::Adopt(Height(500)), 3, "comes late");
        refused(Some(&record), Wish::Adopt(Height(119)), 4, "up to 120");
        let order = order(Wish::Adopt(Height(120)), 4);
        let Fate::Take(event) = fate(Some(&record), &order) else { panic!("not taken") };
        let adopted = step(&record, event).0;
        assert_eq!((adopted.tenure.epoch, adopted.floor), (Epoch(5), Height(120)));
        assert!(matches!(fate(Some(&adopted), &order), Fate::Done(_)));
        let late = Event::Adopted { above: Epoch(4), floor: Height(120), activation: Activation(9) };
        assert_eq!(step(&adopted, late).0, adopted);
    }

    #[test]
    fn a_switch_is_about_the_epoch_of_now() {
        let record = active();
        refused(Some(&record), Wish::Switch(None), 5, "no epoch 5 yet");
        refused(Some(&record), Wish::Switch(None), 3, "comes late");
        let Fate::Take(event) = fate(Some(&record), &order(Wish::Switch(None), 4)) else { panic!("not taken") };
        let revoking = step(&record, event).0;
        assert_eq!(fate(Some(&revoking), &order(Wish::Switch(None), 4)), Fate::Wait);
    }

    #[test]
    fn a_switch_is_over_when_somebody_holds_the_place() {
        let mut record = active();
        let was = |to: Option<&str>| {
            let order = order(Wish::Switch(to.map(Into::into)), 3);
            Order { accepted: true, ..order }
        };
        assert!(matches!(fate(Some(&record), &was(Some("a"))), Fate::Done(_)));
        assert!(matches!(fate(Some(&record), &was(None)), Fate::Done(_)));
        let Fate::Refused(why) = fate(Some(&record), &was(Some("b"))) else { panic!("a is not b") };
        assert!(why.contains("a went on instead"), "{why}");
        let Phase::Active(holder) = &mut record.phase else { panic!("not active") };
        holder.boot = None;
        assert_eq!(fate(Some(&record), &was(Some("a"))), Fate::Wait);
    }

    /// Whoever is not known to have stopped may still sign up to the ceiling.
    #[test]
    fn an_adoption_is_above_a_frozen_window() {
        let frozen = Record { phase: Phase::Fenced(Proof::WindowFrozen), ..active() };
        refused(Some(&frozen), Wish::Adopt(Height(119)), 4, "up to 120");
        assert!(matches!(fate(Some(&frozen), &order(Wish::Adopt(Height(120)), 4)), Fate::Take(_)));
        let released = Record { phase: Phase::Fenced(Proof::Asserted), ..active() };
        assert!(matches!(fate(Some(&released), &order(Wish::Adopt(Height(101)), 4)), Fate::Take(_)));
    }

    #[test]
    fn a_release_names_the_pod_that_is_waited_for() {
        let record = active();
        refused(Some(&record), Wish::Release("u1".into()), 4, "nobody waits");
        let revoking = step(&record, Event::Wanted { epoch: Epoch(4) }).0;
        refused(Some(&revoking), Wish::Release("u2".into()), 4, "nobody waits");
        let event = Event::Released { epoch: Epoch(4), uid: "u1".into() };
        assert_eq!(fate(Some(&revoking), &order(Wish::Release("u1".into()), 4)), Fate::Take(event));
    }
}
