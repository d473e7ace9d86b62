//! A gate without a cluster: its desk, a record in memory that is written by compare-and-swap, and a disk that forgets.

use std::{
    io,
    sync::{Arc, Mutex},
};

use mainstay::{
    api::SigningIdentitySpec,
    failover::{self, Activation, Boot, Epoch, Event, HandOver, Height, Pod, Record, Share, gate::Me},
    gate::{
        Arbiter, Counts, Ruling, VoteRequest,
        desk::Desk,
        diary::Diary,
        follow::look,
        privval::{BlockId, PartSetHeader, Place, Step, Timestamp, Vote, canonical, message},
        registry::{Registry, Seen, Trouble},
        store::Medium,
    },
};
use tempfile::TempDir;

use crate::CHAIN;

/// The API server.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<(u64, Option<Record>, bool)>>);

impl Memory {
    pub fn adopted(floor: u64) -> Self {
        let record = Record::adopted(Epoch(0), Activation(1), Height(floor));
        Self(Arc::new(Mutex::new((1, Some(record), true))))
    }

    pub fn record(&self) -> Record {
        self.0.lock().unwrap().1.clone().unwrap()
    }

    /// Whether it answers.
    pub fn answers(&self, answers: bool) {
        self.0.lock().unwrap().2 = answers;
    }

    /// What the operator does.
    pub fn step(&self, event: Event) {
        let mut state = self.0.lock().unwrap();
        let (next, _) = failover::step(state.1.as_ref().unwrap(), event);
        (state.0, state.1) = (state.0 + 1, Some(next));
    }

    pub fn offer(&self, pod: &str) {
        let activation = Activation(u128::from(self.record().tenure.epoch.0) + 100);
        self.step(Event::Offered { pod: pod_of(pod), activation, hand_over: HandOver::Gate });
    }

    pub fn put(&self, record: Record) {
        let mut state = self.0.lock().unwrap();
        (state.0, state.1) = (state.0 + 1, Some(record));
    }
}

impl Registry for Memory {
    async fn read(&self) -> Result<Seen, Trouble> {
        let (version, record, answers) = self.0.lock().unwrap().clone();
        if !answers {
            return Err(Trouble::Failed("nobody answers".into()));
        }
        let spec =
            SigningIdentitySpec { network: "n".into(), namespace: "ns".into(), group: "g".into(), window: 20 };
        Ok(Seen { version: version.to_string(), spec, record })
    }

    async fn write(&self, seen: &Seen, record: &Record) -> Result<Seen, Trouble> {
        {
            let mut state = self.0.lock().unwrap();
            if state.0.to_string() != seen.version {
                return Err(Trouble::Conflict);
            }
            (state.0, state.1) = (state.0 + 1, Some(record.clone()));
        }
        self.read().await
    }
}

/// A disk: what is durable, and what is only written. It fails at its `fails_at`th operation, and leaves behind what
/// `leaves` says.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    durable: Vec<u8>,
    written: Vec<u8>,
    operations: u32,
    fails_at: Option<u32>,
    leaves: Leaves,
}

/// What is left of what was written and not made durable when the machine dies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Leaves {
    #[default]
    Nothing,
    Half,
    All,
}

impl Disk {
    pub fn failing(fails_at: u32, leaves: Leaves) -> Self {
        Self(Arc::new(Mutex::new(Inside { fails_at: Some(fails_at), leaves, ..Inside::default() })))
    }

    /// What is durable now.
    pub fn durable(&self) -> Vec<u8> {
        self.0.lock().unwrap().durable.clone()
    }

    /// Makes it what it was then.
    pub fn roll_back(&self, durable: Vec<u8>) {
        self.0.lock().unwrap().durable = durable;
    }

    fn operate(&self) -> io::Result<std::sync::MutexGuard<'_, Inside>> {
        let mut inside = self.0.lock().unwrap();
        inside.operations += 1;
        if inside.fails_at == Some(inside.operations) {
            let (durable, written) = (inside.durable.clone(), inside.written.clone());
            inside.durable = match inside.leaves {
                Leaves::Nothing => durable,
                Leaves::All => written,
                Leaves::Half => {
                    // Of every slot the first bytes are new, and the rest is as it was.
                    let mut torn = written;
                    for (at, byte) in torn.iter_mut().enumerate().filter(|(at, _)| at % 4096 >= 300) {
                        *byte = durable.get(at).copied().unwrap_or(0);
                    }
                    torn
                }
            };
            let durable = inside.durable.clone();
            inside.written = durable;
            return Err(io::Error::other("the disk is gone"));
        }
        Ok(inside)
    }
}

impl Medium for Disk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut inside = self.0.lock().unwrap();
        let durable = inside.durable.clone();
        inside.written = durable;
        Ok(inside.durable.clone())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(at).unwrap();
        // A write that fails may have come half as far.
        let end = at + bytes.len();
        {
            let mut inside = self.0.lock().unwrap();
            let length = inside.written.len().max(end);
            inside.written.resize(length, 0);
            inside.written[at..end].copy_from_slice(bytes);
        }
        self.operate().map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inside = self.operate()?;
        let written = inside.written.clone();
        inside.durable = written;
        Ok(())
    }
}

fn pod_of(name: &str) -> Arc<Pod> {
    Arc::new(Pod { member: name.into(), uid: format!("uid-{name}"), node: "n1".into() })
}

/// One process of a member.
pub struct Process {
    pub desk: Arc<Mutex<Desk<Disk>>>,
    pub counts: Counts,
    pub folder: Arc<TempDir>,
}

impl Process {
    pub fn start(member: &str, boot: u128, medium: &Disk, folder: &Arc<TempDir>) -> Self {
        let counts = Counts::default();
        let me = Me { pod: pod_of(member), boot: Boot(boot) };
        let diary = Diary::open(folder.path()).unwrap();
        let desk = Desk::open(me, medium.clone(), diary, counts.clone(), || 0).unwrap();
        let desk = Arc::new(Mutex::new(desk.dying(|error| panic!("dies: {error}"))));
        Self { desk, counts, folder: Arc::clone(folder) }
    }

    pub fn new(member: &str, boot: u128) -> Self {
        Self::start(member, boot, &Disk::default(), &Arc::new(tempfile::tempdir().unwrap()))
    }

    /// One look at the record.
    pub fn look(&self, record: &Memory) -> Result<(), Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(look(&self.desk, record))
    }

    /// What its node is answered when it asks for a vote for a block of such bytes.
    pub fn vote(&mut self, height: u64, round: u32, kind: i32, block: u8, seconds: i64) -> Ruling {
        let hash = [block; 32];
        let vote = Vote {
            kind,
            height: height.try_into().unwrap(),
            round: round.try_into().unwrap(),
            block: BlockId { hash: &hash, parts: PartSetHeader { total: 1, hash: &hash } },
            time: Timestamp::new(seconds, 0).unwrap(),
            address: &[],
            index: 0,
            signature: &[],
            extension: &[],
            extension_signature: &[],
        };
        let step = if kind == message::PREVOTE { Step::Prevote } else { Step::Precommit };
        let sign_bytes = canonical::vote(CHAIN, &vote);
        let place = Place { height, round, step };
        self.desk.vote(&VoteRequest { place, vote: &vote, sign_bytes: &sign_bytes })
    }

    pub fn prevote(&mut self, height: u64, block: u8) -> Ruling {
        self.vote(height, 0, message::PREVOTE, block, 1_000)
    }

    pub fn refuses(&mut self, height: u64, words: &str) {
        let Ruling::Refuse(why) = self.prevote(height, 9) else { panic!("signed {height}") };
        assert!(why.contains(words), "{height}: {why}");
    }

    pub fn lines(&self) -> Vec<mainstay::gate::diary::Line> {
        let text = std::fs::read_to_string(self.folder.path().join("signatures.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub fn revoke(record: &Memory) {
    record.step(Event::Wanted { epoch: record.record().tenure.epoch });
}

pub fn found(record: &Memory, waited: u64) {
    record.step(Event::Found { proof: None, share: Share::Small, waited });
}
