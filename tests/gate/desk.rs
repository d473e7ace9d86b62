//! A whole gate without a cluster: whose heights are whose, and what a disk may forget.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use mainstay::{
    failover::{Activation, Epoch, Event, Height},
    gate::{
        Ruling,
        desk::lock,
        privval::{Timestamp, canonical, message},
    },
};

use crate::pieces::{Disk, Leaves, Memory, Process, found, revoke};

#[test]
fn the_place_changes_hands_and_heights_belong_to_one() {
    let record = Memory::adopted(100);
    let (mut a, mut b) = (Process::new("a", 1), Process::new("b", 2));
    a.look(&record).unwrap();
    a.refuses(101, "another member");
    record.offer("a");
    for one in [&a, &b] {
        one.look(&record).unwrap();
    }
    // It was asked for 101 before, so that its first window reaches beyond that.
    assert_eq!(a.prevote(101, 1), Ruling::Sign);
    b.refuses(101, "another member");
    for height in 102..=115 {
        a.look(&record).unwrap();
        assert_eq!(a.prevote(height, 1), Ruling::Sign, "{height}");
    }
    revoke(&record);
    a.look(&record).unwrap();
    a.refuses(116, "another member");
    assert_eq!(record.record().sealed, Some(Height(115)));
    found(&record, 0);
    record.offer("b");
    b.look(&record).unwrap();
    b.refuses(115, "below the window");
    b.look(&record).unwrap();
    assert_eq!(b.prevote(116, 2), Ruling::Sign);
    a.look(&record).unwrap();
    a.refuses(117, "another member");
    let (of_a, of_b) = (a.lines(), b.lines());
    assert_eq!((of_a.len(), of_a.last().unwrap().height, of_b[0].height), (15, 115, 116));
    assert!(of_a.iter().all(|line| line.epoch == 1) && of_b[0].epoch == 2);
}

#[test]
fn without_the_api_server_it_signs_to_its_ceiling_and_no_further() {
    let record = Memory::adopted(100);
    record.offer("a");
    let mut a = Process::new("a", 1);
    a.refuses(101, "another member");
    a.look(&record).unwrap();
    record.answers(false);
    let ceiling = record.record().ceiling.0;
    assert_eq!(ceiling, 121);
    for height in 101..=ceiling {
        assert!(a.look(&record).is_err());
        assert_eq!(a.prevote(height, 1), Ruling::Sign);
    }
    a.refuses(ceiling + 1, "above the window");
    record.answers(true);
    a.look(&record).unwrap();
    assert_eq!(a.prevote(ceiling + 1, 1), Ruling::Sign);
}

#[test]
fn what_was_signed_is_signed_again_with_the_time_of_then() {
    let record = Memory::adopted(100);
    record.offer("a");
    let mut a = Process::new("a", 1);
    a.refuses(101, "another member");
    a.look(&record).unwrap();
    assert_eq!(a.vote(105, 1, message::PREVOTE, 1, 50), Ruling::Sign);
    let Ruling::SignAgain(then) = a.vote(105, 1, message::PREVOTE, 1, 51) else { panic!("not again") };
    let read = canonical::Signed::read(&then).unwrap();
    assert_eq!((read.place.height, read.time), (105, Timestamp::new(50, 0).unwrap()));
    let Ruling::Refuse(why) = a.vote(105, 1, message::PREVOTE, 2, 50) else { panic!("signed twice") };
    assert!(why.contains("something else"), "{why}");
    assert_eq!(a.lines().len(), 1);
}

/// A node asks for 2^62, then goes on as if nothing had been. The window is not moved there, and nothing is bricked.
#[test]
fn a_height_from_nowhere_moves_nothing() {
    let record = Memory::adopted(100);
    record.offer("a");
    let mut a = Process::new("a", 1);
    a.refuses(1 << 62, "another member");
    a.refuses(101, "another member");
    a.look(&record).unwrap();
    a.refuses(1 << 62, "far above");
    a.look(&record).unwrap();
    assert_eq!(record.record().ceiling, Height(121));
    assert_eq!(a.prevote(101, 1), Ruling::Sign);
    for _ in 0..1_000_000 {
        let Ruling::Refuse(_) = a.prevote(1 << 62, 1) else { panic!("signed") };
    }
    a.look(&record).unwrap();
    assert_eq!((record.record().ceiling, a.lines().len()), (Height(121), 1));
    assert_eq!(a.prevote(102, 1), Ruling::Sign);
    assert_eq!(a.counts.refused_so_far(mainstay::failover::gate::Refusal::Jump), 1_000_001);
}

#[test]
fn a_record_that_was_restored_shuts_it_until_it_is_adopted() {
    let record = Memory::adopted(100);
    record.offer("a");
    let before = record.record();
    let mut a = Process::new("a", 1);
    a.refuses(101, "another member");
    a.look(&record).unwrap();
    assert_eq!(a.prevote(101, 1), Ruling::Sign);
    record.put(before);
    a.look(&record).unwrap();
    a.refuses(102, "latched");
    assert_eq!(a.counts.latched.get(), 1);
    record.step(Event::Adopted { above: Epoch(1), floor: Height(200), activation: Activation(77) });
    record.offer("a");
    a.look(&record).unwrap();
    a.refuses(201, "above the window");
    a.look(&record).unwrap();
    assert_eq!(a.prevote(201, 1), Ruling::Sign);
}

/// The disk fails at every operation of a life, in each way; the process dies, and another one goes on with what is left,
/// with a node that has forgotten everything and asks for other blocks. Nobody ever sees two signatures for one place.
#[test]
fn whatever_the_disk_forgets_nothing_is_signed_twice() {
    let mut deaths = 0;
    for leaves in [Leaves::Nothing, Leaves::Half, Leaves::All] {
        for fails_at in 1..120 {
            let record = Memory::adopted(100);
            record.offer("a");
            let (disk, folder) = (Disk::failing(fails_at, leaves), Arc::new(tempfile::tempdir().unwrap()));
            let mut signed = BTreeMap::<(u64, u32, i32), u8>::new();
            for boot in 1..=3 {
                let mut a = Process::start("a", boot.into(), &disk, &folder);
                let life = catch_unwind(AssertUnwindSafe(|| {
                    for height in 101..140 {
                        for kind in [message::PREVOTE, message::PRECOMMIT] {
                            a.look(&record).unwrap();
                            if a.vote(height, 0, kind, boot, 1_000) == Ruling::Sign {
                                let other = signed.insert((height, 0, kind), boot);
                                assert_eq!(other, None, "{height} twice, {leaves:?} at {fails_at}");
                            }
                        }
                    }
                }));
                deaths += u32::from(life.is_err());
                if let Err(why) = life {
                    let why = why.downcast_ref::<String>().expect("words");
                    assert!(why.starts_with("dies: "), "{why}");
                }
            }
            assert!(!signed.is_empty());
        }
    }
    assert!(deaths >= 3 * 100, "{deaths} deaths");
}

#[test]
fn a_disk_that_is_rolled_back_makes_it_wait_and_not_lie() {
    let record = Memory::adopted(100);
    record.offer("a");
    let (disk, folder) = (Disk::default(), Arc::new(tempfile::tempdir().unwrap()));
    let mut a = Process::start("a", 1, &disk, &folder);
    a.refuses(101, "another member");
    a.look(&record).unwrap();
    assert_eq!(a.prevote(101, 1), Ruling::Sign);
    let snapshot = disk.durable();
    for height in 102..=110 {
        assert_eq!(a.prevote(height, 1), Ruling::Sign);
    }
    disk.roll_back(snapshot);
    let mut again = Process::start("a", 2, &disk, &folder);
    again.refuses(103, "another member");
    again.look(&record).unwrap();
    again.refuses(105, "below the window");
    again.refuses(121, "below the window");
    again.look(&record).unwrap();
    assert_eq!(again.prevote(122, 2), Ruling::Sign);
    assert!(lock(&again.desk).gate().hold().is_some());
}
