//! The control: the way it is done by hand, without a fence. The same oracle has to cry, or it says nothing elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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

/// Signs whatever is later than what it signed itself, as `CometBFT` with a key file does. It knows of nobody else.
struct Plain {
    member: &'static str,
    signs: Arc<AtomicBool>,
    last: Option<Place>,
    diary: Diary,
}

impl Plain {
    fn rule(&mut self, place: Place, block: &BlockId<'_>, time: Timestamp) -> Ruling {
        if !self.signs.load(Ordering::Relaxed) || self.last.is_some_and(|last| place <= last) {
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

/// A signer beside each node, in this very process.
struct Signers {
    stop: CancellationToken,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Signers {
    fn start(
        &mut self,
        folder: PathBuf,
        chain: String,
        key: &Path,
        member: &'static str,
        signs: &Arc<AtomicBool>,
    ) {
        let signer = Signer::new(chain, Key::read(key).expect("a key"));
        let diary = Diary::open(&folder).expect("a log");
        let mut plain = Plain { member, signs: Arc::clone(signs), last: None, diary };
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
    /// Everything that was signed.
    pub lines: Vec<Line>,
}

/// Two members with plain signers, of which the first signs.
struct Rig {
    group: Group,
    first: Arc<AtomicBool>,
    second: Arc<AtomicBool>,
    _signers: Signers,
}

// === impl Rig ===

impl Rig {
    fn new(name: &str, said: &'static str) -> Self {
        let mut signers = Signers { stop: CancellationToken::new(), threads: Vec::new() };
        let (first, second) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let group = Group::shaped(name, said, &[], Shape::Plain, |homes, chain| {
            let key = homes.join("signer/priv_validator_key.json");
            for (member, signs) in [("a", &first), ("b", &second)] {
                signers.start(homes.join("gate").join(member), chain.to_owned(), &key, member, signs);
            }
        });
        wait("a to sign", SOON, || (group.signatures().len() > 6).then_some(())).expect("signatures");
        assert_eq!(conflicts(&group.signatures()), [], "one signer is no trouble");
        Self { group, first, second, _signers: signers }
    }

    /// Places in which two blocks were signed, and heights at which two signed.
    fn crimes(&self) -> (Vec<Crime>, Vec<Crime>) {
        conflicts(&self.group.signatures()).into_iter().partition(|crime| {
            matches!(crime, Crime::Conflict { said, .. } if said.iter().any(|(block, _)| Some(block) != said.first().map(|(block, _)| block)))
        })
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
    let decided = now();
    rig.second.store(true, Ordering::Relaxed);
    let cried = wait("the oracle to cry", SOON, || {
        Some(rig.crimes()).filter(|(blocks, owners)| !blocks.is_empty() && !owners.is_empty())
    });
    let after = now() - decided;
    // As long as both sign.
    if rig.group.kind.rest().is_some() {
        rig.tombstoned();
        println!("naive: the chain has tombstoned its validator after {} ms", now() - decided);
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
    // It is for the record only: the chain tells of few.
    thread::sleep(Duration::from_secs(5));
    let evidence = rig.group.evidence();
    println!("naive: the chain itself has {evidence} pieces of evidence");
    Earned {
        decided,
        after,
        conflicts: blocks.len(),
        shared: owners.len(),
        evidence,
        lines: rig.group.signatures(),
    }
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover"]
fn without_a_fence_the_same_oracle_cries() {
    let earned = by_hand("naive");
    assert!(earned.conflicts > 0 && earned.shared > 0);
}

/// The former holder is known to have stopped, which is all that many ask for. Its standby hung meanwhile, and now goes
/// through the heights that it missed.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover"]
fn with_a_fence_and_without_a_floor_it_cries_too() {
    let rig = Rig::new("floorless", "no floor");
    let standby = Frozen::process(rig.group.pid("b", "node"));
    rig.group.blocks(20);
    rig.first.store(false, Ordering::Relaxed);
    // What was asked before is answered.
    thread::sleep(Duration::from_secs(1));
    let head = rig.group.signatures().last().map(|line| line.height);
    assert_eq!(rig.crimes(), (Vec::new(), Vec::new()));
    rig.second.store(true, Ordering::Relaxed);
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
