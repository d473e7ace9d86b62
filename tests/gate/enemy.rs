//! What an enemy found. Each test shows what is, not what should be.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use mainstay::{
    failover::{
        Activation, Epoch, Event, Height, Record, Share,
        gate::{Latch, Part},
        orders::{Fate, Order, Wish, fate},
    },
    gate::{Ruling, desk::lock, diary::Line, follow::look, keymanager::export::Exports, privval::message},
};

use crate::{
    node::{Signatures, prevote},
    pieces::{Disk, Memory, Process},
};

fn order(wish: Wish, epoch: u64) -> Order {
    Order { wish, epoch: Epoch(epoch), activation: Activation(9_999), accepted: false }
}

fn wanted(record: &Memory) {
    record.step(Event::Wanted { epoch: record.record().tenure.epoch });
}

fn found(record: &Memory, share: Share, waited: u64) {
    record.step(Event::Found { proof: None, share, waited });
}

/// A holds 100 to 121, and has signed 101 to `signed`.
fn holding(signed: u64) -> (Memory, Process) {
    let record = Memory::adopted(100);
    record.offer("a");
    let mut a = Process::new("a", 1);
    let _ = a.prevote(101, 1);
    a.look(&record).unwrap();
    for height in 101..=signed {
        assert_eq!(a.prevote(height, 1), Ruling::Sign, "{height}");
    }
    (record, a)
}

/// 1b. `mainstay adopt --head H` writes H + window. A gate whose node works on H + 1 owns H + 1 + window.
#[test]
fn a_floor_of_head_and_window_is_one_below_what_a_gate_may_sign() {
    const WINDOW: u64 = 20;
    let (record, mut a) = holding(101);
    let backup = record.record();
    // The chain goes to 120: the node works on 121, and the ceiling follows.
    for height in 102..=120 {
        assert_eq!(a.prevote(height, 1), Ruling::Sign);
        a.look(&record).unwrap();
    }
    let head = 120;
    let _ = a.vote(head + 1, 0, message::PREVOTE, 1, 5);
    for _ in 0..3 {
        a.look(&record).unwrap();
    }
    // Half a window: the ceiling lags. Walk until a raise is made exactly now.
    let mut height = head + 1;
    while record.record().ceiling.0 != height + WINDOW {
        height += 1;
        let _ = a.prevote(height, 1);
        a.look(&record).unwrap();
    }
    let (head, ceiling) = (height - 1, record.record().ceiling.0);
    assert_eq!(ceiling, head + 1 + WINDOW);
    // a is cut off. The API server's data are restored, and a person adopts: `mainstay adopt --head HEAD`.
    record.put(backup);
    let floor = head + WINDOW;
    let Fate::Take(event) = fate(Some(&record.record()), &order(Wish::Adopt(Height(floor)), 1)) else { panic!() };
    record.step(event);
    record.offer("b");
    let mut b = Process::new("b", 2);
    let _ = b.prevote(floor + 1, 2);
    b.look(&record).unwrap();
    b.look(&record).unwrap();
    assert_eq!(b.prevote(floor + 1, 2), Ruling::Sign);
    assert_eq!(a.prevote(floor + 1, 1), Ruling::Sign, "the same height, another block");
}

/// 2b. The bound on jumps is one for each look, and a peer asks for looks. Nothing but the socket is needed: no RPC.
#[test]
fn a_peer_moves_the_ceiling_as_far_as_it_likes_and_a_person_cannot_move_it_back() {
    let (record, mut a) = holding(101);
    let begun = Instant::now();
    // The follower looks at most each 50 ms. Three seconds of that.
    for _ in 0..60 {
        let highest = lock(&a.desk).gate().hold().unwrap().ceiling.0 + 1_000;
        let _ = a.prevote(highest, 1);
        a.look(&record).unwrap();
    }
    let ceiling = record.record().ceiling.0;
    println!("60 looks, {:?}: the ceiling went from 121 to {ceiling}", begun.elapsed());
    assert!(ceiling > 60_000);
    // One signature up there, and this process signs nothing below it either.
    assert_eq!(a.prevote(ceiling, 1), Ruling::Sign);
    assert!(matches!(a.prevote(102, 1), Ruling::Refuse(_)));
    // A planned switch seals up there.
    wanted(&record);
    a.look(&record).unwrap();
    found(&record, Share::Small, 0);
    record.offer("b");
    let now = record.record();
    assert_eq!(now.floor, Height(ceiling));
    // "In the worst case until a person adopts the identity again": refused.
    let adopt = |record: &Record| fate(Some(record), &order(Wish::Adopt(Height(200)), record.tenure.epoch.0));
    let Fate::Refused(why) = adopt(&now) else { panic!("taken") };
    println!("{why}");
    // And after an end of that epoch it is refused still.
    wanted(&record);
    found(&record, Share::Small, u64::MAX);
    assert!(matches!(adopt(&record.record()), Fate::Refused(_)));
}

/// The same through the whole gate: bytes on a socket, and the real follower that looks when it is asked to.
#[tokio::test]
async fn how_fast_a_peer_moves_the_ceiling() {
    use mainstay::gate::follow::follow;
    let record = Memory::adopted(100);
    record.offer("a");
    let gate = Process::new("a", 1);
    let (counts, stop) = (mainstay::gate::Counts::default(), tokio_util::sync::CancellationToken::new());
    let peer = async {
        let mut desk = Arc::clone(&gate.desk);
        let begun = Instant::now();
        while begun.elapsed().as_secs() < 5 {
            let highest = lock(&gate.desk).gate().hold().map_or(101, |hold| hold.ceiling.0 + 1_000);
            let frame = prevote(highest.try_into().unwrap(), 1).frame();
            let mut out = Vec::new();
            crate::signer().answer(crate::messages(&frame)[0], &mut desk, &mut out).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let every = std::time::Duration::from_millis(500);
    tokio::join!(follow(&gate.desk, &record, every, &counts, &stop), peer);
    let most = lock(&gate.desk).gate().hold().unwrap().ceiling.0;
    println!("5 s: the ceiling was at {most}, {} heights a second", (most - 100) / 5);
    assert!(most > 10_000);
}

/// 3a. A latch on the disk is gone when a twin that had the volume open before writes to it.
#[test]
fn a_twin_on_the_volume_opens_a_latch() {
    let (disk, folder) = (Disk::default(), Arc::new(tempfile::tempdir().unwrap()));
    let record = Memory::adopted(100);
    record.offer("a");
    // A twin that is about to die, and has the volume open.
    let twin = Process::start("b", 7, &disk, &folder);
    let mut a = Process::start("a", 1, &disk, &folder);
    let _ = a.prevote(101, 1);
    a.look(&record).unwrap();
    assert_eq!(a.prevote(101, 1), Ruling::Sign);
    lock(&a.desk).found(&mainstay::gate::commit::Precommit { height: 101, round: 0, block: Some([66; 32]) });
    a.look(&record).unwrap();
    assert_eq!(lock(&a.desk).gate().disk.latched, Some(Latch::Foreign));
    drop(a);
    // Its writes have lower numbers, but go where the newest is.
    for _ in 0..2 {
        twin.look(&record).unwrap();
        wanted(&record);
        twin.look(&record).unwrap();
        found(&record, Share::Small, u64::MAX);
        twin.look(&record).unwrap();
        record.offer("a");
        twin.look(&record).unwrap();
    }
    let next = Process::start("a", 3, &disk, &folder);
    assert_eq!(lock(&next.desk).gate().disk.latched, None, "the latch is lost");
    let _ = lock(&next.desk).gate().part == Part::Idle;
}

/// 3b. "Weeks of signatures": how many blocks two files of 64 MiB are.
#[test]
fn the_diary_keeps_days() {
    let line = Line {
        at: 1_790_000_000_000,
        member: "a".into(),
        pod_uid: "c0a8f1d2-1111-4222-8333-444455556666".into(),
        boot: "0".repeat(32),
        epoch: 12,
        activation: "0".repeat(32),
        height: 25_000_000,
        round: 0,
        kind: "precommit".into(),
        block: Some("A".repeat(64)),
        timestamp: 1_790_000_000_000_000_000,
    };
    let line = serde_json::to_vec(&line).unwrap().len() + 1;
    let blocks = u32::try_from(64 * 1024 * 1024 / (2 * line)).unwrap();
    println!(
        "{line} bytes a line; one file is {blocks} blocks: {:.1} days at 6 s, {:.1} hours at 0.5 s",
        f64::from(blocks) * 6.0 / 86_400.0,
        f64::from(blocks) * 0.5 / 3_600.0
    );
}

/// 1d. A client that has lost its history, and knows the key: what it exported replaced what was kept. Mended.
#[test]
fn an_empty_history_replaces_none() {
    let folder = tempfile::tempdir().unwrap();
    let exports = Exports::new(folder.path(), "ab");
    let of = |blocks: &str| {
        format!(
            r#"{{"metadata":{{"interchange_format_version":"5","genesis_validators_root":"0x00"}},"data":[{{"pubkey":"0xab","signed_blocks":[{blocks}],"signed_attestations":[]}}]}}"#
        )
    };
    let full = of(r#"{"slot":"81952"}"#);
    exports.keep(&full).unwrap();
    exports.keep(&of("")).unwrap();
    assert_eq!(exports.read().unwrap(), Some(full), "slot 81952");
}

/// Four conflicts in a row are no farewell.
#[test]
fn a_farewell_that_lost_four_races_is_tried_again() {
    struct Busy(Memory);
    impl mainstay::gate::registry::Registry for Busy {
        async fn read(&self) -> Result<mainstay::gate::registry::Seen, mainstay::gate::registry::Trouble> {
            self.0.read().await
        }
        async fn write(
            &self,
            _: &mainstay::gate::registry::Seen,
            _: &Record,
        ) -> Result<mainstay::gate::registry::Seen, mainstay::gate::registry::Trouble> {
            Err(mainstay::gate::registry::Trouble::Conflict)
        }
    }
    let (record, a) = holding(101);
    lock(&a.desk).stop();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let looked = runtime.block_on(look(&a.desk, &Busy(record.clone())));
    assert!(matches!(looked, Err(mainstay::gate::registry::Trouble::Conflict)));
    assert!(!record.record().lowered && !lock(&a.desk).is_idle());
    let _ = (AssertUnwindSafe(()), Signatures::default());
}
