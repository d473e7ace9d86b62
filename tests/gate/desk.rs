//! A whole gate without a cluster: its desk, a record in memory that is written by compare-and-swap, and a disk that
//! forgets.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use mainstay::{
    api::SigningIdentitySpec,
    failover::{self, Activation, Boot, Epoch, Event, HandOver, Height, Pod, Record, Share, gate::Me},
    gate::{
        Arbiter, Counts, Ruling, VoteRequest,
        desk::{Desk, lock},
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

    fn refuses(&mut self, height: u64, words: &str) {
        let Ruling::Refuse(why) = self.prevote(height, 9) else { panic!("signed {height}") };
        assert!(why.contains(words), "{height}: {why}");
    }

    pub fn lines(&self) -> Vec<mainstay::gate::diary::Line> {
        let text = std::fs::read_to_string(self.folder.path().join("signatures.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn revoke(record: &Memory) {
    record.step(Event::Wanted { epoch: record.record().tenure.epoch });
}

fn found(record: &Memory, waited: u64) {
    record.step(Event::Found { proof: None, share: Share::Small, waited });
}

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
    let snapshot = disk.0.lock().unwrap().durable.clone();
    for height in 102..=110 {
        assert_eq!(a.prevote(height, 1), Ruling::Sign);
    }
    disk.0.lock().unwrap().durable = snapshot;
    let mut again = Process::start("a", 2, &disk, &folder);
    again.refuses(103, "another member");
    again.look(&record).unwrap();
    again.refuses(105, "below the window");
    again.refuses(121, "below the window");
    again.look(&record).unwrap();
    assert_eq!(again.prevote(122, 2), Ruling::Sign);
    assert!(lock(&again.desk).gate().hold().is_some());
}
