use std::sync::Arc;

use super::*;
use crate::failover::{Boot, HandOver, Held, Pod, Proof, Share, Timing, step};

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
    let why = Unreadable { field: "holder".into(), why: "is missing".into(), later: false };
    let Fate::Begin(record) = mend(&why, &order(Wish::Adopt(Height(500)), 4)) else { panic!("no beginning") };
    assert_eq!((record.tenure.epoch, record.adopted, record.floor), (Epoch(5), Epoch(5), Height(500)));
    for wish in [Wish::Init, Wish::Switch(None), Wish::Release("u1".into()), after("u1", 500)] {
        assert_eq!(mend(&why, &order(wish, 4)), Fate::Refused(why.to_string()));
    }
    let under_way = Order { accepted: true, ..order(Wish::Switch(None), 4) };
    assert_eq!(mend(&why, &under_way), Fate::Wait);
}

#[test]
fn what_a_later_version_may_have_written_is_adopted_by_no_earlier_one() {
    let why = Unreadable { field: "phase".into(), why: "unknown variant `Shared`".into(), later: true };
    let Fate::Refused(said) = mend(&why, &order(Wish::Adopt(Height(500)), 4)) else { panic!("not refused") };
    assert!(said.contains("upgrade this one") && said.contains("deletes the SigningIdentity"), "{said}");
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

/// What may have been signed stays signed, whatever ended the epoch.
#[test]
fn an_adoption_is_never_below_what_may_have_been_signed() {
    for proof in [Proof::WindowFrozen, Proof::Asserted, Proof::SignerRefuses] {
        let fenced = Record { phase: Phase::Fenced(proof), ..active() };
        refused(Some(&fenced), Wish::Adopt(Height(119)), 4, "over at 120");
        assert!(matches!(fate(Some(&fenced), &order(Wish::Adopt(Height(120)), 4)), Fate::Take(_)));
    }
    let sealed = Record { sealed: Some(Height(115)), ..active() };
    refused(Some(&sealed), Wish::Adopt(Height(114)), 4, "up to 115");
    let Fate::Take(event) = fate(Some(&sealed), &order(Wish::Adopt(Height(115)), 4)) else { panic!("refused") };
    assert_eq!(step(&sealed, event).0.floor, Height(115));
}

fn after(uid: &str, floor: u64) -> Wish {
    Wish::AdoptAfter { uid: uid.into(), floor: Height(floor) }
}

/// No block passes the ceiling, and the machine is gone: what its log says counts, and no height less than its own.
#[test]
fn a_chain_that_needs_us_goes_on_after_the_last_height_of_a_pod_that_is_gone() {
    let revoking = step(&active(), Event::Wanted { epoch: Epoch(4) }).0;
    let needed = Event::Found { proof: None, share: Share::Third, waited: u64::MAX };
    let blocked = step(&revoking, needed).0;
    assert!(matches!(blocked.phase, Phase::Revoking { blocked: Some(_), .. }));
    refused(Some(&blocked), Wish::Adopt(Height(105)), 4, "name it with --pod");
    for record in [&revoking, &blocked] {
        let Fate::Take(event) = fate(Some(record), &order(after("u1", 105), 4)) else { panic!("refused") };
        let adopted = step(record, event).0;
        assert_eq!((adopted.tenure.epoch, adopted.adopted, adopted.floor), (Epoch(5), Epoch(5), Height(105)));
        assert!(matches!(fate(Some(&adopted), &order(after("u1", 105), 4)), Fate::Done(_)));
    }
}

#[test]
fn the_word_about_a_pod_is_about_that_pod_while_it_is_waited_for() {
    let active = active();
    let revoking = step(&active, Event::Wanted { epoch: Epoch(4) }).0;
    refused(Some(&revoking), after("u2", 105), 4, "held by a (pod u1) until now");
    refused(Some(&revoking), after("u1", 99), 4, "nothing at or below 100");
    refused(Some(&revoking), after("u1", 105), 3, "comes late");
    refused(Some(&revoking), after("u1", 105), 5, "no epoch 5 yet");
    refused(Some(&active), after("u1", 105), 4, "`mainstay failover` first");
    let released = step(&revoking, Event::Released { epoch: Epoch(4), uid: "u1".into() }).0;
    refused(Some(&released), after("u1", 105), 4, "too late");
    refused(None, after("u1", 105), 4, "no record");
    // The machine keeps it too, whoever asks.
    for (record, epoch, uid) in
        [(&active, 4, "u1"), (&revoking, 4, "u2"), (&revoking, 3, "u1"), (&released, 4, "u1")]
    {
        let (uid, floor, activation) = (uid.to_owned(), Height(105), Activation(9));
        let event = Event::AdoptedAfter { epoch: Epoch(epoch), uid, floor, activation };
        assert_eq!(step(record, event).0, *record);
    }
    let low =
        Event::AdoptedAfter { epoch: Epoch(4), uid: "u1".into(), floor: Height(9), activation: Activation(9) };
    assert_eq!(step(&revoking, low).0.floor, Height(100));
    // The gate's own word counts more than what a person read of it.
    let sealed = Record { sealed: Some(Height(110)), ..revoking };
    refused(Some(&sealed), after("u1", 109), 4, "nothing at or below 110");
}

/// No height keeps two commands apart.
#[test]
fn an_adoption_waits_for_the_end_of_a_signer_that_no_window_holds() {
    let launcher = HandOver::Launcher(Held::Command, Timing { hold: 30_000, drift: 10, margin: 5_000 });
    for hand_over in [launcher, HandOver::Label, HandOver::Job] {
        let active = Record { hand_over, floor: Height(100), ceiling: Height(100), ..active() };
        let revoking = step(&active, Event::Wanted { epoch: Epoch(4) }).0;
        for record in [&active, &revoking] {
            refused(Some(record), Wish::Adopt(Height(500)), 4, "not known to have stopped");
            refused(Some(record), after("u2", 500), 4, "does not hold it");
            for ended in
                [Record { sealed: Some(Height(100)), ..record.clone() }, Record { claims: 0, ..record.clone() }]
            {
                assert!(matches!(fate(Some(&ended), &order(Wish::Adopt(Height(500)), 4)), Fate::Take(_)));
            }
            let Fate::Take(event) = fate(Some(record), &order(after("u1", 500), 4)) else { panic!("refused") };
            assert_eq!(step(record, event).0.floor, Height(500));
        }
        let released = step(&revoking, Event::Released { epoch: Epoch(4), uid: "u1".into() }).0;
        assert!(matches!(fate(Some(&released), &order(Wish::Adopt(Height(500)), 4)), Fate::Take(_)));
    }
}

#[test]
fn a_release_names_the_pod_that_is_waited_for() {
    let record = active();
    refused(Some(&record), Wish::Release("u1".into()), 4, "nobody waits");
    let revoking = step(&record, Event::Wanted { epoch: Epoch(4) }).0;
    refused(Some(&revoking), Wish::Release("u2".into()), 4, "held by a (pod u1) until now");
    let event = Event::Released { epoch: Epoch(4), uid: "u1".into() };
    assert_eq!(fate(Some(&revoking), &order(Wish::Release("u1".into()), 4)), Fate::Take(event));
}
