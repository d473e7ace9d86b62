//! What the node's RPC says, recorded and made up.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use mainstay::{
    failover::{
        Activation, Epoch, Event, Height, Phase, Record, Share, Shut,
        gate::{Latch, Refusal},
        orders::{Fate, Order, Wish, fate},
    },
    gate::{
        Key, Ruling,
        chain::{Chain, Unseen},
        commit::{self, Nothing, Precommit},
        desk::lock,
        privval::{BlockId, PartSetHeader, Timestamp, Vote, canonical, message::PRECOMMIT},
    },
    telemetry::Client,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    CHAIN, key,
    node::{Ask, Signatures, prevote},
    pieces::{Memory, Process},
};

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().chain([0, 0].iter()).take(3).fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        for digit in 0..4 {
            let known = digit <= chunk.len();
            text.push(if known { char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]) } else { '=' });
        }
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    mainstay::gate::encoding::to_hex(bytes)
}

/// A commit in which `key` has voted for the block, or for nil, or for another block than the commit says.
pub fn commit(key: &Key, precommit: &Precommit, signed_block: Option<[u8; 32]>) -> Value {
    let hash = precommit.block.unwrap_or([1; 32]);
    let block = signed_block
        .as_ref()
        .map_or_else(BlockId::default, |hash| BlockId { hash, parts: PartSetHeader { total: 1, hash } });
    let (height, round) = (precommit.height.try_into().unwrap(), precommit.round.try_into().unwrap());
    let time = Timestamp::new(1_700_000_000, 120_000_000).unwrap();
    let vote = Vote { kind: PRECOMMIT, height, round, block, time, ..Vote::default() };
    let signature = base64(&key.sign(&canonical::vote(CHAIN, &vote)));
    let address = hex(&Sha256::digest(key.public())[..20]);
    let flag = if precommit.block.is_some() { 2 } else { 3 };
    json!({"jsonrpc": "2.0", "id": -1, "result": {"signed_header": {"header": {}, "commit": {
        "height": precommit.height.to_string(), "round": precommit.round,
        "block_id": {"hash": hex(&hash), "parts": {"total": 1, "hash": hex(&hash)}},
        "signatures": [
            {"block_id_flag": 1, "validator_address": "", "timestamp": "0001-01-01T00:00:00Z", "signature": null},
            {"block_id_flag": flag, "validator_address": address, "timestamp": "2023-11-14T22:13:20.12Z",
             "signature": signature},
        ],
    }}, "canonical": true}})
}

fn read(answer: &Value) -> Result<Option<Precommit>, Nothing> {
    commit::precommit(CHAIN, key().public(), answer.to_string().as_bytes())
}

const BLOCK: Precommit = Precommit { height: 110, round: 1, block: Some([7; 32]) };
const NO_BLOCK: Precommit = Precommit { block: None, ..BLOCK };

#[test]
fn a_signature_is_believed_when_it_is_one() {
    let key = key();
    for precommit in [BLOCK, NO_BLOCK] {
        assert_eq!(read(&commit(&key, &precommit, precommit.block)), Ok(Some(precommit)));
        // It is of another height, or another block than the commit is of.
        let forged = Err(Nothing::NoSignature(110));
        assert_eq!(read(&commit(&key, &precommit, Some([8; 32]))), forged);
        let mut moved = commit(&key, &precommit, precommit.block);
        moved["result"]["signed_header"]["commit"]["height"] = "111".into();
        assert_eq!(read(&moved), Err(Nothing::NoSignature(111)));
    }
    let mut absent = commit(&key, &BLOCK, BLOCK.block);
    absent["result"]["signed_header"]["commit"]["signatures"][1]["block_id_flag"] = 1.into();
    assert_eq!(read(&absent), Ok(None));
    let other = "other".repeat(8);
    absent["result"]["signed_header"]["commit"]["signatures"][1]["validator_address"] = other.into();
    assert_eq!(read(&absent), Ok(None));
}

#[test]
fn what_is_no_commit_says_nothing() {
    for text in ["", "{}", "[]", r#"{"error": {"code": -32603, "message": "height 5 is not available"}}"#] {
        assert!(matches!(commit::precommit(CHAIN, key().public(), text.as_bytes()), Err(Nothing::Missing(_))));
        assert!(matches!(commit::head(CHAIN, text.as_bytes()), Err(Nothing::Missing(_))));
    }
    // Each value spoiled in each of these ways.
    let whole = commit(&key(), &BLOCK, BLOCK.block);
    let pointers = [
        "height",
        "round",
        "block_id/hash",
        "block_id/parts/hash",
        "block_id/parts/total",
        "signatures/1/timestamp",
        "signatures/1/signature",
        "signatures/1/block_id_flag",
    ];
    for pointer in pointers {
        for value in [json!(null), json!("-1"), json!(-1), json!("zz"), json!([]), json!("9".repeat(40))] {
            let mut spoiled = whole.clone();
            *spoiled.pointer_mut(&format!("/result/signed_header/commit/{pointer}")).unwrap() = value.clone();
            assert!(read(&spoiled).is_err(), "{pointer} {value}");
        }
    }
}

#[test]
fn the_status_of_a_real_node_is_read() {
    let status = include_bytes!("../telemetry/cometbft/status.json");
    let network: Value = serde_json::from_slice(status).unwrap();
    let network = network["result"]["node_info"]["network"].as_str().unwrap();
    assert!(commit::head(network, status).unwrap() > 0);
    assert_eq!(commit::head(CHAIN, status), Err(Nothing::OtherChain(network.into())));
}

/// A node's RPC: its head, and the commits that are not empty.
#[derive(Clone, Default)]
pub struct Rpc {
    pub head: Arc<AtomicU64>,
    pub commits: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Rpc {
    pub fn chain(&self) -> Chain {
        let Self { head, commits, asked } = self.clone();
        let canned = move |url: &str, _: &[u8]| {
            asked.lock().unwrap().push(url.to_owned());
            let answer = match url.split_once("height=") {
                None => json!({"result": {"node_info": {"network": CHAIN}, "sync_info": {
                    "latest_block_height": head.load(Ordering::Relaxed).to_string()}}}),
                Some((_, height)) => {
                    let commits = commits.lock().unwrap();
                    let of = |commit: &&Value| commit["result"]["signed_header"]["commit"]["height"] == height;
                    commits.iter().find(of).cloned().unwrap_or_else(|| json!({"error": "not available"}))
                }
            };
            (200, answer.to_string().into_bytes())
        };
        Chain::new(Client::canned(Arc::new(canned)).unwrap(), "http://127.0.0.1:1/", CHAIN, *key().public())
    }

    pub fn look(&self, chain: &mut Chain, gate: &Process, head: u64) -> Result<(), Unseen> {
        self.head.store(head, Ordering::Relaxed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(chain.look(&gate.desk))
    }
}

/// A gate that may sign 101 to 121.
fn holder() -> (Process, Memory, Signatures) {
    let record = Memory::adopted(100);
    record.offer("a");
    let (gate, mut signatures) = (Process::new("a", 1), Signatures::default());
    signatures.hear(&prevote(101, 9).frame(), &mut Arc::clone(&gate.desk)).unwrap();
    gate.look(&record).unwrap();
    (gate, record, signatures)
}

#[test]
fn its_own_signatures_and_those_of_others_windows_shut_nothing() {
    let (gate, record, mut signatures) = holder();
    let (rpc, key) = (Rpc::default(), key());
    let mut chain = rpc.chain();
    for height in 101..=120 {
        let ask = Ask { kind: PRECOMMIT, ..prevote(height, 7) };
        assert_eq!(signatures.hear(&ask.frame(), &mut Arc::clone(&gate.desk)).unwrap(), (1, 0));
        let own = Precommit { height: height.unsigned_abs(), round: 0, block: Some([7; 32]) };
        rpc.commits.lock().unwrap().push(commit(&key, &own, own.block));
    }
    // The one before signed below the window; the one after may sign above it.
    for height in [99, 100, 122, 130] {
        let other = Precommit { height, ..BLOCK };
        rpc.commits.lock().unwrap().push(commit(&key, &other, other.block));
    }
    for head in [100, 119, 140, 140, 140] {
        rpc.look(&mut chain, &gate, head).unwrap();
    }
    assert_eq!(lock(&gate.desk).gate().disk.latched, None);
    // Each once, and none that is none of its business.
    let asked: Vec<_> = rpc.asked.lock().unwrap().iter().filter(|url| url.contains("height=")).cloned().collect();
    let expected: Vec<_> =
        (101..=121).map(|height| format!("http://127.0.0.1:1/commit?height={height}")).collect();
    assert_eq!(asked, expected);
    gate.look(&record).unwrap();
    assert_eq!(signatures.hear(&prevote(121, 1).frame(), &mut Arc::clone(&gate.desk)).unwrap(), (1, 0));
}

#[test]
fn a_signature_that_it_did_not_make_shuts_it_and_seals_the_epoch() {
    for foreign in [BLOCK, NO_BLOCK, Precommit { round: 0, ..BLOCK }, Precommit { round: 0, ..NO_BLOCK }] {
        let (gate, record, mut signatures) = holder();
        let mut desk = Arc::clone(&gate.desk);
        // It has signed at this height itself, in another round or for another block.
        let own = Ask { kind: PRECOMMIT, ..prevote(110, 9) };
        assert_eq!(signatures.hear(&own.frame(), &mut desk).unwrap(), (1, 0));
        let rpc = Rpc::default();
        rpc.commits.lock().unwrap().push(commit(&key(), &foreign, foreign.block));
        let mut chain = rpc.chain();
        rpc.look(&mut chain, &gate, 110).unwrap();
        assert_eq!(
            lock(&gate.desk).gate().disk.latched,
            None,
            "the head's own commit is not part of the chain yet"
        );
        rpc.look(&mut chain, &gate, 111).unwrap();
        assert_eq!(lock(&gate.desk).gate().disk.latched, Some(Latch::Foreign));
        assert_eq!(signatures.hear(&prevote(112, 1).frame(), &mut desk).unwrap(), (0, 1));
        assert_eq!(gate.counts.refused_so_far(Refusal::Latched), 1);
        gate.look(&record).unwrap();
        let shut = record.record();
        assert_eq!((shut.sealed.map(|height| height.0), shut.shut), (Some(110), Some(Shut::Foreign)));
        // Neither a person nor the operator has another member sign beside whoever has the key.
        let (wish, epoch) = (Wish::Switch(None), shut.tenure.epoch);
        let order = Order { wish, epoch, activation: Activation(9), accepted: false };
        assert!(
            matches!(fate(Some(&shut), &order), Fate::Refused(why) if why.contains("somebody else has this key"))
        );
        record.step(Event::Wanted { epoch });
        record.step(Event::Found { proof: None, share: Share::Unknown, waited: 0 });
        record.offer("b");
        assert!(matches!(record.record().phase, Phase::Fenced(_)), "no other epoch begins");
    }
}

/// What a stranger signed may be seen when the place has changed hands already.
#[test]
fn a_signature_that_shows_after_a_switch_shuts_the_next_holder_too() {
    let (a, record, mut signatures) = holder();
    let own = Ask { kind: PRECOMMIT, ..prevote(110, 9) };
    assert_eq!(signatures.hear(&own.frame(), &mut Arc::clone(&a.desk)).unwrap(), (1, 0));
    let rpc = Rpc::default();
    let mut chain = rpc.chain();
    rpc.look(&mut chain, &a, 105).unwrap();
    record.step(Event::Wanted { epoch: record.record().tenure.epoch });
    a.look(&record).unwrap();
    record.step(Event::Found { proof: None, share: Share::Unknown, waited: 0 });
    record.offer("b");
    let mut b = Process::new("b", 2);
    let _ = b.prevote(111, 1);
    b.look(&record).unwrap();
    a.look(&record).unwrap();
    assert_eq!(b.prevote(111, 1), Ruling::Sign);
    // Its own, then one above its seal, which is the next holder's, then a stranger's.
    let ours = Precommit { height: 110, round: 0, block: Some([9; 32]) };
    let theirs = Precommit { height: 111, ..BLOCK };
    for one in [&ours, &theirs] {
        rpc.commits.lock().unwrap().push(commit(&key(), one, one.block));
    }
    rpc.look(&mut chain, &a, 113).unwrap();
    a.look(&record).unwrap();
    assert_eq!(record.record().shut, None);
    let mut chain = rpc.chain();
    rpc.commits.lock().unwrap()[0] = commit(&key(), &BLOCK, BLOCK.block);
    rpc.look(&mut chain, &a, 114).unwrap();
    a.look(&record).unwrap();
    assert_eq!(record.record().shut, Some(Shut::Foreign));
    b.look(&record).unwrap();
    assert_ne!(b.prevote(112, 1), Ruling::Sign);
    assert_eq!(record.record().sealed.map(|height| height.0), Some(111));
}

/// A person has adopted the identity below what it once owned: what others sign there is theirs.
#[test]
fn what_it_owned_before_an_adoption_is_no_more_its_own() {
    let (a, record, _) = holder();
    let backup = record.record();
    let mut old = backup.clone();
    old.claims = 0;
    record.put(old);
    a.look(&record).unwrap();
    assert_eq!(lock(&a.desk).gate().disk.latched, Some(Latch::Restored));
    let above = backup.tenure.epoch;
    record.put(Record::adopted(Epoch(above.0 + 1), Activation(77), Height(110)));
    record.offer("b");
    a.look(&record).unwrap();
    assert_eq!(lock(&a.desk).gate().disk.latched, None, "the adoption opens it");
    let rpc = Rpc::default();
    let theirs = Precommit { height: 111, ..BLOCK };
    rpc.commits.lock().unwrap().push(commit(&key(), &theirs, theirs.block));
    rpc.look(&mut rpc.chain(), &a, 113).unwrap();
    a.look(&record).unwrap();
    assert_eq!((lock(&a.desk).gate().disk.latched, record.record().shut), (None, None));
}

/// A record of yesterday: the chain went on without anybody who signs. The node's own chain says that the height is true.
#[test]
fn a_chain_that_went_far_is_followed_in_steps() {
    let (gate, record, mut signatures) = holder();
    let (rpc, mut desk) = (Rpc::default(), Arc::clone(&gate.desk));
    let mut chain = rpc.chain();
    for _ in 0..3 {
        assert_eq!(signatures.hear(&prevote(14_501, 1).frame(), &mut desk).unwrap(), (0, 1));
        gate.look(&record).unwrap();
    }
    assert_eq!(record.record().ceiling.0, 121, "nobody knows whether the chain is there");
    rpc.look(&mut chain, &gate, 14_500).unwrap();
    let mut before = 121;
    while record.record().ceiling.0 < 14_501 {
        assert_eq!(signatures.hear(&prevote(14_501, 1).frame(), &mut desk).unwrap(), (0, 1));
        gate.look(&record).unwrap();
        let ceiling = record.record().ceiling.0;
        assert!(ceiling > before && ceiling <= 14_521, "{ceiling}");
        before = ceiling;
    }
    assert_eq!(signatures.hear(&prevote(14_501, 1).frame(), &mut desk).unwrap(), (1, 0));
    // And 2^62 is not there.
    assert_eq!(signatures.hear(&prevote(1 << 62, 1).frame(), &mut desk).unwrap(), (0, 1));
    gate.look(&record).unwrap();
    assert_eq!(record.record().ceiling.0, before);
}

#[test]
fn a_node_that_does_not_answer_or_is_of_another_chain_changes_nothing() {
    let (gate, _, _) = holder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers: [(u16, &[u8]); 3] = [
        (500, b"no"),
        (200, br#"{"result": {"node_info": {"network": "x"}, "sync_info": {"latest_block_height": "9"}}}"#),
        (200, &[0xff; 100]),
    ];
    for (status, body) in answers {
        let client = Client::canned(Arc::new(move |_, _| (status, body.to_vec()))).unwrap();
        let mut chain = Chain::new(client, "http://127.0.0.1:1", CHAIN, *key().public());
        assert!(matches!(runtime.block_on(chain.look(&gate.desk)), Err(Unseen::Nothing(_))));
    }
    let client = Client::new(mainstay::telemetry::address::Reach::Anywhere, &[]).unwrap();
    let mut chain = Chain::new(client, "http://127.0.0.1:1", CHAIN, *key().public());
    assert!(matches!(runtime.block_on(chain.look(&gate.desk)), Err(Unseen::Failed(_))));
}
