//! The controls: the way it is done by hand, without a fence, without a floor, and without both. The same oracle has to cry, or it
//! says nothing elsewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use mainstay::gate::{
    Arbiter, Counts, Key, ProposalRequest, Ruling, Signer, VoteRequest, dial,
    diary::Diary,
    encoding::to_hex,
    privval::{BlockId, Place, Step, Timestamp},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    frozen::Frozen,
    group::Group,
    oracle::{Crime, Line, conflicts},
    shape::Shape,
};
use crate::{
    rig::{apply, now, pid_component, wait},
    stage::{LATER, SOON},
};

/// On a chain that punishes, the key is gone within so many turns of its proposers. Two votes of one round count only where a
/// peer hears both of them in that round, and then a proposer has to take the evidence along: the first turn seldom brings
/// that, and ten leave it time.
const TURNS: u64 = 10;
/// Four validators, and the one that signs twice.
const PROPOSERS: u64 = 5;

/// Who may sign, and from where on.
#[derive(Clone, Default)]
struct Leave {
    signs: Arc<AtomicBool>,
    /// Above this height only.
    floor: Arc<AtomicU64>,
}

/// Signs whatever is later than what it signed itself, as `CometBFT` with a key file does. It knows of nobody else.
struct Plain {
    member: &'static str,
    leave: Leave,
    last: Option<Place>,
    diary: Diary,
}

impl Plain {
    fn rule(&mut self, place: Place, block: &BlockId<'_>, time: Timestamp) -> Ruling {
        let Leave { signs, floor } = &self.leave;
        let may = signs.load(Ordering::Relaxed) && place.height > floor.load(Ordering::Relaxed);
        if !may || self.last.is_some_and(|last| place <= last) {
            return Ruling::Refuse("no".into());
        }
        self.last = Some(place);
        let line = Line {
            at: now(),
            member: self.member.into(),
            pod_uid: String::new(),
            boot: self.member.into(),
            epoch: 0,
            activation: String::new(),
            height: place.height,
            round: place.round,
            kind: match place.step {
                Step::Propose => "proposal",
                Step::Prevote => "prevote",
                Step::Precommit => "precommit",
            }
            .into(),
            block: (!block.is_nil()).then(|| to_hex(block.hash)),
            timestamp: i128::from(time.seconds()) * 1_000_000_000 + i128::from(time.nanos()),
        };
        self.diary.add(&line).expect("a line");
        Ruling::Sign
    }
}

impl Arbiter for Plain {
    fn vote(&mut self, request: &VoteRequest<'_>) -> Ruling {
        self.rule(request.place, &request.vote.block, request.vote.time)
    }

    fn proposal(&mut self, request: &ProposalRequest<'_>) -> Ruling {
        self.rule(request.place, &request.proposal.block, request.proposal.time)
    }
}

// === impl Leave ===

impl Leave {
    fn let_loose(&self, floor: u64) {
        self.floor.store(floor, Ordering::Relaxed);
        self.signs.store(true, Ordering::Relaxed);
    }

    fn stop(&self) {
        self.signs.store(false, Ordering::Relaxed);
    }
}

/// A signer beside each node, in this very process.
struct Signers {
    stop: CancellationToken,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Signers {
    fn start(&mut self, folder: PathBuf, chain: String, key: &Path, member: &'static str, leave: &Leave) {
        let signer = Signer::new(chain, Key::read(key).expect("a key"));
        let diary = Diary::open(&folder).expect("a log");
        let mut plain = Plain { member, leave: leave.clone(), last: None, diary };
        let stop = self.stop.clone();
        self.threads.push(thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let socket = folder.join("privval.sock");
            runtime.block_on(dial(&socket, &signer, &mut plain, &Counts::default(), &stop));
        }));
    }
}

impl Drop for Signers {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// What it earns to do it by hand.
pub struct Earned {
    /// When the other one was let loose (milliseconds since the epoch).
    pub decided: i64,
    /// From then to the first crime that the oracle sees (milliseconds).
    pub after: i64,
    /// Places in which two blocks were signed: what a chain punishes.
    pub conflicts: usize,
    /// Heights at which two signed.
    pub shared: usize,
    /// What the chain itself holds against the key. It tells of few.
    pub evidence: usize,
    /// From then until the chain had punished the key for ever, where it does (milliseconds).
    pub tombstoned: Option<i64>,
    /// Everything that was signed.
    pub lines: Vec<Line>,
}

/// Two members with plain signers, of which the first signs.
struct Rig {
    group: Group,
    first: Leave,
    second: Leave,
    _signers: Signers,
}

// === impl Rig ===

impl Rig {
    fn new(name: &str, said: &'static str) -> Self {
        let mut signers = Signers { stop: CancellationToken::new(), threads: Vec::new() };
        let (first, second) = (Leave::default(), Leave::default());
        first.let_loose(0);
        let group = Group::shaped(name, said, &[], Shape::Plain, |homes, chain| {
            let key = homes.join("signer/priv_validator_key.json");
            for (member, leave) in [("a", &first), ("b", &second)] {
                signers.start(homes.join("gate").join(member), chain.to_owned(), &key, member, leave);
            }
        });
        wait("a to sign", SOON, || (group.signatures().len() > 6).then_some(())).expect("signatures");
        assert_eq!(conflicts(&group.signatures()), [], "one signer is no trouble");
        Self { group, first, second, _signers: signers }
    }

    /// Places in which two blocks were signed, and heights at which two signed.
    fn crimes(&self) -> (Vec<Crime>, Vec<Crime>) {
        let (owners, mut places): (Vec<_>, Vec<_>) = conflicts(&self.group.signatures())
            .into_iter()
            .partition(|crime| matches!(crime, Crime::TwoOwners { .. }));
        // One block at two times is none of them.
        places.retain(|crime| {
            let Crime::Conflict { said, .. } = crime else { return false };
            said.iter().map(|(block, _)| block).collect::<BTreeSet<_>>().len() > 1
        });
        (places, owners)
    }

    /// The key is dead for ever, on a chain that punishes.
    fn tombstoned(&self) {
        let punished = wait("the chain to tombstone somebody", LATER, || {
            Some(self.group.tombstoned()).filter(|tombstoned| !tombstoned.is_empty())
        });
        let key = fs::read_to_string(self.group.homes.join("signer/priv_validator_key.json")).expect("a key");
        let key: Value = serde_json::from_str(&key).expect("a key");
        let address = key["address"].as_str().expect("an address").to_owned();
        assert_eq!(punished.expect("a punishment"), [address]);
    }

    /// What the chain has punished is told by the members' nodes, and nobody signs with it any more.
    fn is_shut(&self) {
        let namespace = &self.group.stage.namespace;
        self.group.order(&["init", "val", "--assert", "for this test"]).expect("a record");
        apply(&format!(
            "apiVersion: mainstay.dev/v1alpha1
kind: NodeHealthPolicy
metadata: {{name: keys, namespace: {namespace}}}
spec:
  network: {namespace}
  role: Validator
  selector: {{matchLabels: {{role: gated}}}}
  mode: Observe
  telemetry: [{{name: rpc, cometbft: {{port: rpc, rest: rest}}, every: 2s, timeout: 1s}}]"
        ))
        .expect("a policy");
        wait("the record to be shut", LATER, || {
            self.group.record().filter(|record| record.shut == Some(mainstay::failover::Shut::Punished))
        })
        .expect("a seal");
        println!("naive: the record says that the chain has punished the key");
    }
}

/// The holder's node does not answer any more: its pod is deleted by force, and the other one is let loose.
pub fn by_hand(name: &str) -> Earned {
    let rig = Rig::new(name, "naive");
    let kubelet = Frozen::process(pid_component("kubelet-1"));
    let deleted = rig.group.stage.kubectl(&["delete", "pod", "a-0", "--force", "--grace-period=0"]);
    println!("naive: {}", deleted.trim());
    let loose = rig.group.blocks(0);
    let decided = now();
    rig.second.let_loose(0);
    let cried = wait("the oracle to cry", SOON, || {
        Some(rig.crimes()).filter(|(blocks, owners)| !blocks.is_empty() && !owners.is_empty())
    });
    let after = now() - decided;
    // As long as both sign.
    let convicted = rig.group.convicts(loose);
    println!("naive: let loose at {loose}, the chain has evidence {} blocks later", convicted - loose);
    let mut tombstoned = None;
    if rig.group.kind.rest().is_some() {
        assert!(convicted <= loose + TURNS * PROPOSERS, "{} blocks", convicted - loose);
        rig.tombstoned();
        let after = *tombstoned.insert(now() - decided);
        println!("naive: the chain has tombstoned its validator after {after} ms");
        rig.is_shut();
    }
    kubelet.thaw();
    let (blocks, owners) = cried.expect("a crime");
    println!(
        "naive: after {after} ms the oracle has {} places with two blocks, such as {:?}, and {} with two owners",
        blocks.len(),
        blocks[0],
        owners.len()
    );
    // What was under way is told, too: the chain tells of few.
    thread::sleep(Duration::from_secs(5));
    let evidence = rig.group.evidence();
    println!("naive: the chain itself has {evidence} pieces of evidence");
    Earned {
        decided,
        after,
        conflicts: blocks.len(),
        shared: owners.len(),
        evidence,
        tombstoned,
        lines: rig.group.signatures(),
    }
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover"]
fn without_a_fence_the_same_oracle_cries() {
    let earned = by_hand("naive");
    assert!(earned.conflicts > 0 && earned.shared > 0 && earned.evidence > 0);
}

/// The former holder is known to have stopped, which is all that many ask for. Its standby hung meanwhile, and now goes
/// through the heights that it missed.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover"]
fn with_a_fence_and_without_a_floor_it_cries_too() {
    let rig = Rig::new("floorless", "no floor");
    let standby = Frozen::process(rig.group.pid("b", "node"));
    rig.group.blocks(20);
    rig.first.stop();
    // What was asked before is answered.
    thread::sleep(Duration::from_secs(1));
    let head = rig.group.signatures().last().map(|line| line.height);
    assert_eq!(conflicts(&rig.group.signatures()), []);
    rig.second.let_loose(0);
    standby.thaw();
    let (_, owners) =
        wait("the oracle to cry", SOON, || Some(rig.crimes()).filter(|(_, owners)| !owners.is_empty()))
            .expect("a crime");
    thread::sleep(Duration::from_secs(3));
    let crimes = conflicts(&rig.group.signatures());
    println!(
        "no floor: the former holder had signed up to {head:?}; such as {:?}, {} crimes in all",
        owners[0],
        crimes.len()
    );
}

/// The head of the chain is looked at, and nothing at or below it is signed again. But the former holder only looks dead.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover"]
fn with_a_floor_and_without_a_fence_it_cries_too() {
    let rig = Rig::new("fenceless", "no fence");
    let floor = rig.group.blocks(4);
    rig.second.let_loose(floor);
    let (_, owners) =
        wait("the oracle to cry", SOON, || Some(rig.crimes()).filter(|(_, owners)| !owners.is_empty()))
            .expect("a crime");
    thread::sleep(Duration::from_secs(3));
    let (blocks, lines) = (rig.crimes().0, rig.group.signatures());
    let lowest = lines.iter().filter(|line| line.member == "b").map(|line| line.height).min();
    println!("no fence: above the floor {floor} such as {:?}; {} places with two blocks", owners[0], blocks.len());
    assert!(lowest > Some(floor), "the floor was kept: {lowest:?}");
}
