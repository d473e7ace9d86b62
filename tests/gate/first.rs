//! Before the first signature of a hold the chain is read, if its node tells it in time.

use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay::{
    failover::gate::{Latch, Refusal},
    gate::{Ruling, chain::Chain, commit::Precommit, desk::lock, follow::follow},
    telemetry::{Client, address::Reach},
};
use tokio_util::sync::CancellationToken;

use crate::{
    CHAIN,
    chain::{Rpc, commit},
    key,
    pieces::{Memory, Process},
};

/// A gate whose chain somebody looks at. Its node works on this height, and the place is its own above 100.
fn holding(asks: u64) -> (Process, Memory) {
    let record = Memory::adopted(100);
    record.offer("a");
    let mut gate = Process::new("a", 1);
    lock(&gate.desk).watched();
    let _ = gate.prevote(asks, 1);
    gate.look(&record).unwrap();
    (gate, record)
}

/// Somebody else has the key, and has signed at this height.
fn thief(rpc: &Rpc, height: u64) {
    let theirs = Precommit { height, round: 0, block: Some([66; 32]) };
    rpc.commits.lock().unwrap().push(commit(&key(), &theirs, theirs.block));
}

#[test]
fn who_signs_beside_it_is_seen_before_its_first_signature() {
    let (mut gate, record) = holding(111);
    assert_eq!(record.record().ceiling.0, 131);
    let rpc = Rpc::default();
    thief(&rpc, 105);
    gate.refuses(111, "read first");
    rpc.look(&mut rpc.chain(), &gate, 110).unwrap();
    assert_eq!(lock(&gate.desk).gate().disk.latched, Some(Latch::Foreign));
    gate.refuses(111, "latched");
    assert!(gate.lines().is_empty(), "it has signed nothing beside them");
    gate.look(&record).unwrap();
    assert_eq!(record.record().sealed.map(|height| height.0), Some(100));
}

#[test]
fn what_is_read_once_is_not_waited_for_again() {
    let (mut gate, record) = holding(111);
    let rpc = Rpc::default();
    let mut chain = rpc.chain();
    gate.refuses(111, "read first");
    gate.refuses(111, "read first");
    assert_eq!(gate.counts.refused_so_far(Refusal::Unread), 2);
    rpc.look(&mut chain, &gate, 110).unwrap();
    assert_eq!(gate.prevote(111, 1), Ruling::Sign);
    // In this hold a thief is found a block late; the node may go away.
    lock(&gate.desk).looked(mainstay::gate::first::Look::Unread);
    assert_eq!(gate.prevote(112, 1), Ruling::Sign);
    thief(&rpc, 113);
    rpc.look(&mut chain, &gate, 114).unwrap();
    assert_eq!(lock(&gate.desk).gate().disk.latched, Some(Latch::Foreign));
    gate.look(&record).unwrap();
}

/// What it gains above its start is read as well: the window comes after the place.
#[test]
fn a_window_that_is_below_the_chain_is_not_read_before_it_is_there() {
    let (mut gate, record) = holding(0);
    assert_eq!(record.record().ceiling.0, 100);
    let rpc = Rpc::default();
    let mut chain = rpc.chain();
    thief(&rpc, 150);
    rpc.look(&mut chain, &gate, 200).unwrap();
    gate.refuses(201, "above the window");
    gate.look(&record).unwrap();
    gate.refuses(201, "read first");
    rpc.look(&mut chain, &gate, 200).unwrap();
    gate.refuses(201, "latched");
}

/// It answers before it takes part, and takes part within a moment: what it has is read on its way, and nothing waits for the rest.
#[test]
fn a_node_that_catches_up_is_read_on_its_way() {
    let (gate, _) = holding(111);
    let rpc = Rpc::default();
    let mut chain = rpc.chain();
    rpc.look(&mut chain, &gate, 103).unwrap();
    let tenure = lock(&gate.desk).gate().hold().unwrap().tenure;
    assert!(lock(&gate.desk).is_read(tenure));
    let (mut gate, _) = holding(111);
    let mut chain = rpc.chain();
    thief(&rpc, 105);
    rpc.look(&mut chain, &gate, 103).unwrap();
    rpc.look(&mut chain, &gate, 110).unwrap();
    gate.refuses(111, "latched");
}

/// How long the first signature takes from the first question on, with the RPC at this address.
async fn first_signature(url: &str) -> Duration {
    let record = Memory::adopted(100);
    record.offer("a");
    let mut gate = Process::new("a", 1);
    let client = Client::new(Reach::Anywhere, &[]).unwrap();
    let mut chain = Chain::new(client, url, CHAIN, *key().public());
    let (desk, counts, stop) = (Arc::clone(&gate.desk), gate.counts.clone(), CancellationToken::new());
    let node = async {
        let begun = Instant::now();
        let mut height = 101;
        // Another height each time: a refusal is never asked for again.
        while gate.prevote(height, 1) != Ruling::Sign {
            assert!(begun.elapsed() < Duration::from_secs(20));
            height += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
        begun.elapsed()
    };
    let every = Duration::from_millis(500);
    let ((), (), took) = tokio::join!(
        follow(&desk, &record, every, &counts, &stop),
        chain.watch(&desk, Duration::from_secs(1), &counts, &stop),
        node
    );
    took
}

#[tokio::test]
async fn a_node_that_hangs_is_waited_for_and_not_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let took = first_signature(&url).await;
    assert!(took >= Duration::from_millis(1_500), "{took:?}");
    assert!(took < Duration::from_millis(3_500), "{took:?}");
}

#[tokio::test]
async fn a_node_that_is_away_is_not_waited_for() {
    let took = first_signature("http://127.0.0.1:1").await;
    assert!(took < Duration::from_millis(1_500), "{took:?}");
}
