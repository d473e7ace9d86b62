//! A guarded validator: the members `a` and `b` on a node each, one key, and what they signed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mainstay::{
    api::SigningIdentityStatus,
    failover::{PATIENCE, Phase, Record},
};

use super::{
    conformance::{self, Write, written},
    keys,
    oracle::{Crime, Line, judged, read},
    shape::Shape,
};
use crate::{
    kind::Kind,
    rig::{apply, cluster, get, kubectl, pid_of, run, state, wait},
    stage::{SOON, Stage},
};

/// How many heights a gate owns ahead of the chain.
pub const WINDOW: u64 = 12;
/// Between two blocks (milliseconds), when nobody is missing.
pub const BLOCK: u64 = 500;

/// A chain of four validators and a guarded fifth.
pub struct Group {
    pub stage: Stage,
    pub identity: String,
    pub homes: PathBuf,
    window: u64,
    pub kind: Kind,
    pub shape: Shape,
    pub said: &'static str,
}

/// A place that has changed hands.
pub struct Handed {
    /// When the former holder was revoked (milliseconds since the epoch).
    pub decided: i64,
    /// The first signature of the next one.
    pub first: Line,
    /// From one to the other (milliseconds).
    pub after: i64,
    /// Heights that nobody signed.
    pub missed: u64,
    /// The head of the former epoch's signatures, and what it could have signed.
    pub head: u64,
    pub floor: u64,
}

impl Group {
    /// Both members run, and `a` signs.
    pub fn new(name: &str, said: &'static str) -> Self {
        Self::with(name, said, &[])
    }

    /// The same, with `helm` more arguments for the chart.
    pub fn with(name: &str, said: &'static str, helm: &[&str]) -> Self {
        let group = Self::unsigned(name, said, helm);
        group.begin();
        group
    }

    /// Both members run, and nobody has begun the record.
    pub fn unsigned(name: &str, said: &'static str, helm: &[&str]) -> Self {
        Self::shaped(name, said, helm, Shape::Gated, |_, _| {})
    }

    /// The same in either shape; what is to run before the members do is given the homes and the chain's id.
    pub fn shaped(
        name: &str,
        said: &'static str,
        helm: &[&str],
        shape: Shape,
        prepare: impl FnOnce(&Path, &str),
    ) -> Self {
        let block = BLOCK.to_string();
        let kind = Kind::wanted();
        let chain = ["--kind", kind.program(), "--gated", "--full-nodes", "0", "--block-time", &block];
        let helm = [&["--set", "failover.enabled=true"], helm].concat();
        let stage = Stage::with(name, &chain, &helm);
        let homes = state().join("chains").join(&stage.namespace);
        let key = homes.join("signer/priv_validator_key.json").display().to_string();
        let identity =
            mainstay(&["identity", &key, "--chain", &stage.namespace]).expect("a name").trim().to_owned();
        let group = Self { stage, identity, homes, window: WINDOW, kind, shape, said };
        group.stage.kubectl(&["create", "secret", "generic", "signer", "--from-file", &key]);
        for member in ["a", "b"] {
            let folder = group.state(member);
            fs::create_dir_all(&folder).expect("a folder");
            std::os::unix::fs::chown(&folder, Some(65532), Some(65532)).expect("a folder of the pods' user");
        }
        apply(&group.objects()).expect("a group");
        prepare(&group.homes, &group.stage.namespace);
        for (member, node) in [("a", "node1"), ("b", "node2")] {
            apply(&group.member(member, node)).expect("a member");
        }
        wait("both members to stand by", SOON, || {
            ["a", "b"].iter().all(|member| group.stands_by(member)).then_some(())
        })
        .expect("two members");
        group
    }

    /// A gate owns so many heights ahead of the chain, from before the record is begun.
    pub fn owning(mut self, window: u64) -> Self {
        self.window = window;
        let patch = format!(r#"{{"spec":{{"window":{window}}}}}"#);
        kubectl(&["patch", "sid", &self.identity, "--type=merge", "-p", &patch]).expect("a window");
        self
    }

    /// A person begins the record; the first member signs.
    pub fn begin(&self) {
        self.init();
        self.signs("a", 0);
    }

    /// A person begins the record.
    pub fn init(&self) {
        self.order(&["init", "val", "--assert", "made a minute ago for this test"]).expect("a first record");
    }

    /// Where the gate of a member keeps what must survive, outside of its pod.
    pub fn state(&self, member: &str) -> PathBuf {
        self.homes.join("gate").join(member)
    }

    /// What a person types, as the administrator.
    pub fn order(&self, args: &[&str]) -> Result<String, String> {
        mainstay(&[args, &["--namespace", &self.stage.namespace]].concat())
    }

    /// The record as it stands.
    pub fn record(&self) -> Option<Record> {
        let object = get(&["sid", &self.identity]);
        let status: SigningIdentityStatus = serde_json::from_value(object["status"].clone()).ok()?;
        Some(Record::try_from(&status).expect("a record"))
    }

    /// Its epoch.
    pub fn epoch(&self) -> u64 {
        self.record().map_or(0, |record| record.tenure.epoch.0)
    }

    /// The process of a container of a member.
    pub fn pid(&self, member: &str, container: &str) -> u32 {
        pid_of(&self.stage.namespace, &format!("{member}-0"), container).expect("a process")
    }

    /// What all members share, where their nodes have the key.
    pub fn shared(&self) -> PathBuf {
        self.homes.join("shared")
    }

    /// What all members have signed, in the order of time.
    pub fn signatures(&self) -> Vec<Line> {
        if self.shape.has_key() {
            return keys::signatures(&self.shared());
        }
        // Those of lost volumes were put aside.
        let folders = fs::read_dir(self.homes.join("gate")).expect("a folder").flatten();
        let mut lines: Vec<Line> = folders.flat_map(|folder| read(&folder.path())).collect();
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// Every write of the record.
    pub fn writes(&self) -> Vec<Write> {
        written(&self.identity)
    }

    /// Waits for a signature of a member in an epoch after this one.
    pub fn signs(&self, member: &str, epoch: u64) -> Line {
        wait(&format!("{member} to sign after epoch {epoch}"), SOON, || {
            self.signatures().into_iter().find(|line| line.member == member && line.epoch > epoch)
        })
        .expect("a signature")
    }

    /// Waits for signatures of a process that none of these lines is of.
    pub fn signs_anew(&self, before: &[Line]) -> Line {
        wait("a new process to sign", SOON, || {
            let known = |line: &Line| before.iter().any(|of| of.boot == line.boot);
            self.signatures().into_iter().find(|line| !known(line))
        })
        .expect("a signature")
    }

    /// Waits until a member signs after this epoch, and says how long it took.
    pub fn handed(&self, member: &str, epoch: u64) -> Handed {
        let first = self.signs(member, epoch);
        let writes = self.writes();
        let revoked = |write: &&Write| {
            write.record.tenure.epoch.0 == epoch && matches!(write.record.phase, Phase::Revoking { .. })
        };
        let decided = writes.iter().find(revoked).expect("the write that revokes").at;
        let next = writes.iter().find(|write| write.record.tenure.epoch.0 == first.epoch).expect("the next epoch");
        let former =
            self.signatures().into_iter().filter(|line| line.epoch == epoch).map(|line| line.height).max();
        let head = former.unwrap_or_default();
        let after = first.at - decided;
        let next_block = if self.shape.has_key() { self.signed_block(head) } else { first.height };
        let missed = next_block.saturating_sub(head + 1);
        let floor = next.record.floor.0;
        println!(
            "{}: {member} signs {after} ms after the decision, at height {}, the last of the former epoch was {head}: \
             {missed} blocks missed (floor {floor})",
            self.said, first.height,
        );
        Handed { decided, first, after, missed, head, floor }
    }

    /// It was waited for until the chain had passed what the former epoch owned, and ten seconds at most beyond that. Where
    /// the chain was there within the ten seconds that everybody has to seal, five more are enough.
    pub fn waited_out(&self, handed: &Handed) {
        let passed = self.time(handed.floor).expect("a block at the floor");
        let patience = i64::try_from(PATIENCE).unwrap_or(i64::MAX);
        let due = (passed + 10_000).max(handed.decided + patience + 5_000);
        println!(
            "{}: the chain passed the floor {} ms after the decision, {} blocks above the last signature",
            self.said,
            passed - handed.decided,
            handed.floor.saturating_sub(handed.head),
        );
        assert!(handed.first.at <= due, "{} ms too late", handed.first.at - due);
    }

    /// Heights between the first and the last signature that nobody signed.
    pub fn holes(&self) -> Vec<u64> {
        let heights: BTreeSet<_> = self.signatures().into_iter().map(|line| line.height).collect();
        let (first, last) = (heights.first().copied().unwrap_or(1), heights.last().copied().unwrap_or(0));
        (first..=last).filter(|height| !heights.contains(height)).collect()
    }

    /// What nobody may have written into the record.
    pub fn strangers(&self) -> Vec<String> {
        conformance::strangers(&self.writes(), &conformance::operator(&self.stage.system), self.window)
    }

    /// What must never have happened.
    pub fn crimes(&self) -> Vec<Crime> {
        judged(&self.signatures(), &self.writes())
    }

    /// Nothing was written that nobody may write, asked for that nobody may have, or found by the chain. Returns how often
    /// the record was written.
    pub fn is_lawful(&self, strange: usize) -> usize {
        let writes = self.writes().len();
        let strangers = self.strangers();
        assert_eq!(strangers.len(), strange, "{strangers:#?}");
        assert_eq!(self.stage.forbidden(), Vec::<String>::new());
        assert_eq!(self.evidence(), 0, "the chain has evidence");
        writes
    }

    /// Nothing happened that must never happen: the end of every scenario.
    pub fn is_innocent(&self) {
        self.is_innocent_but(0);
    }

    /// The same where so many writes were made that nobody may make.
    pub fn is_innocent_but(&self, strange: usize) {
        // What is under way is seen, too.
        self.blocks(3);
        let signatures = self.signatures().len();
        assert_eq!(self.crimes(), []);
        let writes = self.is_lawful(strange);
        println!(
            "{}: {signatures} signatures, {writes} writes of the record, {strange} of them strange",
            self.said
        );
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for member in ["a-0", "b-0"] {
                let container = self.shape.container();
                let log = kubectl(&["-n", &self.stage.namespace, "logs", member, "-c", container, "--tail=30"]);
                eprintln!("{member}: {}", log.unwrap_or_else(|why| why));
            }
            let journal = fs::read_to_string(self.shared().join("journal"));
            drop(journal.map(|text| eprintln!("{text}")));
            drop(kubectl(&["get", "sid", &self.identity, "-o", "yaml"]).map(|text| eprintln!("{text}")));
            drop(
                kubectl(&["-n", &self.stage.namespace, "get", "sord,fog", "-o", "yaml"])
                    .map(|text| eprintln!("{text}")),
            );
        }
        if self.shape == Shape::Launched {
            self.unlatch();
        }
        let name = format!("{}-gate", self.stage.namespace);
        drop(kubectl(&["delete", "clusterrole,clusterrolebinding", &name, "--wait=false"]));
        drop(kubectl(&["delete", "sid", &self.identity, "--wait=false"]));
    }
}

/// What the program says that this test is about.
fn mainstay(args: &[&str]) -> Result<String, String> {
    let kubeconfig = cluster(&["kubeconfig"])?;
    run(Command::new(env!("CARGO_BIN_EXE_mainstay")).args(args).env("KUBECONFIG", kubeconfig.trim()), None)
}

/// What a wait may take beside the blocks that have to pass.
pub fn within(handed: &Handed, seconds: i64, blocks: u64, block: u64) {
    let most = seconds * 1000 + i64::try_from(blocks * block).unwrap_or(i64::MAX);
    assert!(handed.after <= most, "{} ms, and it may take {most}", handed.after);
}
