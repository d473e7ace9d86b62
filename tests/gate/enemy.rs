//! What an enemy found. Each test shows what is, not what should be.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Instant,
};

use mainstay::{
    failover::{
        Activation, Boot, Epoch, Event, Height, Phase, Pod, Record, Share,
        gate::{Latch, Me, Refusal},
        orders::{Fate, Order, Wish, fate},
    },
    gate::{
        Counts, Ruling,
        commit::Precommit,
        desk::{Desk, lock},
        diary::{Diary, Line},
        follow::look,
        keymanager::export::Exports,
        privval::message,
        store::{Slots, StoreError},
    },
};

use crate::{
    node::{Signatures, prevote},
    pieces::{Memory, Process},
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

/// 1a. "Latches everything shut": it shuts one gate. The standby is handed the place and signs beside the thief.
#[test]
fn a_foreign_signature_shuts_one_member_and_the_next_one_signs_beside_the_thief() {
    let (record, a) = holding(105);
    let thief = mainstay::gate::commit::Precommit { height: 104, round: 0, block: Some([66; 32]) };
    lock(&a.desk).found(&thief);
    a.look(&record).unwrap();
    assert_eq!(lock(&a.desk).gate().disk.latched, Some(Latch::Foreign));
    let sealed = record.record();
    // Nothing in the record says why: a gate that stopped for a thief looks like any that was sealed.
    assert!(sealed.sealed.is_some() && !sealed.slashed && matches!(sealed.phase, Phase::Active(_)));
    // A ladder (the member's node does not sign: it is unhealthy), or `mainstay failover`, as the message of `Sealed` says.
    let taken = fate(Some(&sealed), &order(Wish::Switch(None), 1));
    assert!(matches!(taken, Fate::Take(Event::Wanted { .. })), "{taken:?}");
    wanted(&record);
    found(&record, Share::Unknown, 0);
    assert!(matches!(record.record().phase, Phase::Fenced(_)));
    record.offer("b");
    let mut b = Process::new("b", 2);
    let _ = b.prevote(106, 1);
    b.look(&record).unwrap();
    // The thief signs 106 for block 66; so does this one, for block 1.
    assert_eq!(b.prevote(106, 1), Ruling::Sign);
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

/// A peer on the socket asks for more and more, and has it signed. No chain is there.
fn climbs(record: &Memory, a: &mut Process, looks: u32) -> u64 {
    let ceiling = |a: &Process| lock(&a.desk).gate().hold().unwrap().ceiling.0;
    for _ in 0..looks {
        let now = ceiling(a);
        // As far as a jump goes, a window, a step, and what is its own already.
        for height in [now + 1_000, now + 20, now + 1, now] {
            let _ = a.prevote(height, 1);
            a.look(record).unwrap();
        }
    }
    ceiling(a)
}

/// The bound on jumps is one for each look, and a peer asks for looks. So there is one for all of them.
#[test]
fn a_peer_moves_the_ceiling_no_further_than_the_chain_can_be() {
    let begun = Instant::now();
    let (record, mut a) = holding(101);
    lock(&a.desk).head(Height(101));
    let ceiling = climbs(&record, &mut a, 60);
    // The slack, a window above it, and what a chain may have made meanwhile.
    let most = |floor: u64| floor + 20 + begun.elapsed().as_secs() * 10 + 10;
    assert!((121..=most(101) + 20).contains(&ceiling), "{ceiling}");
    assert!(a.counts.refused_so_far(Refusal::Jump) > 60);
    // What it had signed up there costs this epoch, and the next one, no more than that. The chain comes by, and goes on.
    for head in (103..=ceiling + 40).step_by(5) {
        lock(&a.desk).head(Height(head));
        let _ = a.prevote(head + 1, 1);
        a.look(&record).unwrap();
    }
    lock(&a.desk).head(Height(ceiling + 42));
    assert_eq!(a.prevote(ceiling + 43, 1), Ruling::Sign);
}

/// Without the RPC the start of the hold is all that is known of the chain.
#[test]
fn a_peer_moves_the_ceiling_by_fifty_one_windows_where_no_head_is_known() {
    let begun = Instant::now();
    let (record, mut a) = holding(101);
    let ceiling = climbs(&record, &mut a, 200);
    let most = 100 + 51 * 20 + begun.elapsed().as_secs() * 10 + 10;
    assert!((1_000..=most + 20).contains(&ceiling), "{ceiling}");
    // Another process of the same epoch begins above it, and is no further than that either.
    assert_eq!(record.record().ceiling.0, ceiling);
}

/// A chain that goes on is followed, whether its head is told in time, late, or never.
#[test]
fn a_chain_that_is_where_it_says_is_slowed_by_nothing() {
    for (told, late) in [(true, 0), (true, 15), (false, 0)] {
        let (record, mut a) = holding(101);
        for height in 102..=900_u64 {
            if told {
                lock(&a.desk).head(Height(height - 1 - late.min(height - 2)));
            }
            assert_eq!(a.prevote(height, 1), Ruling::Sign, "{height} {told} {late}");
            a.look(&record).unwrap();
        }
        assert_eq!(a.counts.refused_so_far(Refusal::Jump), 0);
    }
}

/// The same through the whole gate: bytes on a socket, and the real follower that looks when it is asked to.
#[tokio::test]
async fn a_peer_that_asks_as_fast_as_it_can_gets_no_further() {
    use mainstay::gate::follow::follow;
    let record = Memory::adopted(100);
    record.offer("a");
    let gate = Process::new("a", 1);
    let (counts, stop) = (mainstay::gate::Counts::default(), tokio_util::sync::CancellationToken::new());
    let peer = async {
        let mut desk = Arc::clone(&gate.desk);
        let begun = Instant::now();
        while begun.elapsed().as_secs() < 3 {
            lock(&desk).head(Height(101));
            let highest = lock(&gate.desk).gate().hold().map_or(101, |hold| hold.ceiling.0 + 1);
            let frame = prevote(highest.try_into().unwrap(), 1).frame();
            let mut out = Vec::new();
            crate::signer().answer(crate::messages(&frame)[0], &mut desk, &mut out).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let every = std::time::Duration::from_millis(500);
    tokio::join!(follow(&gate.desk, &record, every, &counts, &stop), peer);
    let most = record.record().ceiling.0;
    assert!(most <= 101 + 20 + 20 + 1, "{most}");
}

/// A twin of the pod that is about to die has the volume open. It would write over a latch: so nobody else has it meanwhile.
#[test]
fn a_twin_on_the_volume_opens_no_latch() {
    let folder = tempfile::tempdir().unwrap();
    let start = |boot| {
        let pod = Pod { member: "a".into(), uid: "uid-a".into(), node: "n1".into() };
        let (slots, diary) = (Slots::open(folder.path())?, Diary::open(folder.path()).unwrap());
        let me = Me { pod: Arc::new(pod), boot: Boot(boot) };
        let desk = Desk::open(me, slots, diary, Counts::default(), || 0).unwrap();
        Ok::<_, StoreError>(Arc::new(Mutex::new(desk)))
    };
    let looks = |desk: &Arc<Mutex<Desk<Slots>>>, record: &Memory| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(look(desk, record)).unwrap();
    };
    let record = Memory::adopted(100);
    record.offer("a");
    let a = start(1).unwrap();
    assert!(matches!(start(7), Err(StoreError::Taken { .. })));
    Signatures::default().hear(&prevote(101, 1).frame(), &mut Arc::clone(&a)).unwrap();
    looks(&a, &record);
    lock(&a).found(&Precommit { height: 101, round: 0, block: Some([66; 32]) });
    assert_eq!(lock(&a).gate().disk.latched, Some(Latch::Foreign));
    assert!(matches!(start(7), Err(StoreError::Taken { .. })));
    drop(a);
    assert_eq!(lock(&start(3).unwrap()).gate().disk.latched, Some(Latch::Foreign), "the latch is kept");
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

/// 4. Four conflicts in a row, and the look says that all is well: the farewell says that nothing is held.
#[test]
fn a_farewell_that_lost_four_races_says_that_nothing_is_held() {
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
    assert!(runtime.block_on(look(&a.desk, &Busy(record.clone()))).is_ok());
    assert!(!record.record().lowered && !lock(&a.desk).is_idle());
    let _ = (AssertUnwindSafe(()), Signatures::default());
}
