//! What an enemy has tried, and what comes of it. Where a hole is left, its test says so.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use mainstay::{
    failover::{
        Activation, Boot, Epoch, Height, Pod, Record, above_head,
        gate::{Latch, Me, Refusal},
        orders::{Fate, Order, Wish, fate},
    },
    gate::{
        Counts, Ruling,
        commit::Precommit,
        desk::{Desk, lock},
        diary::Diary,
        follow::{give_back, look},
        keymanager::export::Exports,
        registry::{Registry, Seen, Trouble},
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

/// The API server's data are restored while the holder is cut off, at the moment at which it owns most: its node works on the
/// height after the head, and its ceiling is a window above that. What `mainstay adopt --head` writes is above all of it.
#[test]
fn a_floor_above_the_head_is_above_all_that_a_gate_may_sign() {
    const WINDOW: u64 = 20;
    let (record, mut a) = holding(101);
    let backup = record.record();
    let mut height = 101;
    while height < 121 || record.record().ceiling.0 != height + WINDOW {
        height += 1;
        let _ = a.prevote(height, 1);
        a.look(&record).unwrap();
    }
    let head = height - 1;
    record.put(backup);
    let floor = above_head(Height(head), WINDOW, Some(&record.record()));
    let Fate::Take(event) = fate(Some(&record.record()), &order(Wish::Adopt(floor), 1)) else { panic!() };
    record.step(event);
    record.offer("b");
    let mut b = Process::new("b", 2);
    let _ = b.prevote(floor.0 + 1, 2);
    b.look(&record).unwrap();
    assert_eq!(b.prevote(floor.0 + 1, 2), Ruling::Sign);
    assert!(matches!(b.prevote(floor.0, 2), Ruling::Refuse(_)));
    // It knows nothing of all that, and signs all that it was ever confirmed.
    assert_eq!(a.prevote(floor.0, 1), Ruling::Sign);
    assert!(matches!(a.prevote(floor.0 + 1, 1), Ruling::Refuse(_)), "the same height");
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

/// A client that has lost its history, and knows the key, exports nothing: that replaces nothing.
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

/// An API server at which somebody else writes first, so many times.
struct Busy(Memory, AtomicU32);

impl Registry for Busy {
    async fn read(&self) -> Result<Seen, Trouble> {
        self.0.read().await
    }

    async fn write(&self, seen: &Seen, record: &Record) -> Result<Seen, Trouble> {
        if self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(Trouble::Conflict);
        }
        self.0.write(seen, record).await
    }
}

/// Four conflicts in a row are the end of a look, and no reason to say that all is given back.
#[tokio::test]
async fn a_farewell_that_loses_four_races_goes_on() {
    let within = Duration::from_millis(500);
    for (races, won) in [(0, true), (4, true), (9, true), (u32::MAX, false)] {
        let (record, a) = tokio::task::spawn_blocking(|| holding(101)).await.unwrap();
        lock(&a.desk).stop();
        let busy = Busy(record.clone(), AtomicU32::new(races));
        assert_eq!(give_back(&a.desk, &busy, within).await, won, "{races}");
        let record = record.record();
        assert_eq!((record.lowered, record.ceiling.0), if won { (true, 101) } else { (false, 121) }, "{races}");
    }
}
