//! Two members, their volumes and the API server, in a world where nothing holds: machines lose power within a write, volumes
//! are rolled back and rot, processes outlive their pods, answers of the API server are lost and writes arrive late. The
//! nodes ask for whatever comes to their mind. What all gates ever signed is looked at from outside.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex},
};

use mainstay::{
    failover::{Boot, Pod, Tenure, gate::Me},
    gate::{
        Counts,
        desk::{Desk, lock},
        diary::Diary,
        follow::look,
    },
};
use tempfile::TempDir;

use crate::{
    dice::Dice,
    node::{Ask, KINDS, Signatures},
    server::{Server, Without},
    volume::{Handle, Volume},
};

/// A process that lives.
struct Life {
    desk: Arc<Mutex<Desk<Handle>>>,
    handle: Handle,
    member: usize,
    /// Which of all processes, also where boot ids do not tell.
    number: u64,
}

/// The end of a process whose disk fails.
struct Death;

struct World {
    random: Dice,
    server: Server,
    volumes: [Volume; 2],
    lives: Vec<Life>,
    signatures: Signatures,
    /// Who signed at a height: nobody else ever does.
    owners: BTreeMap<u64, (Tenure, u64)>,
    boots: u64,
    head: u64,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
    deaths: u32,
}

impl World {
    fn new(seed: u64, without: Without) -> Self {
        let mut random = Dice(seed);
        let server = Server::new(Dice(random.roll()), without);
        let mut world = Self {
            random,
            server,
            volumes: [(); 2].map(|()| match without {
                Without::Durability => Volume::lying(),
                _ => Volume::default(),
            }),
            lives: Vec::new(),
            signatures: Signatures::default(),
            owners: BTreeMap::new(),
            boots: 0,
            head: 100,
            folder: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            deaths: 0,
        };
        for member in [0, 1] {
            world.pod(member);
            world.start(member);
        }
        world
    }

    /// A new pod of a member. The one before is forgotten, and whoever lives in it is not.
    fn pod(&self, member: usize) {
        let mut inside = self.server.0.lock().unwrap();
        let uid = format!("uid-{}", inside.pods.len());
        let pod = Pod { member: ["a", "b"][member].into(), uid, node: "n1".into() };
        inside.pods.push(Arc::new(pod));
    }

    /// A process in the newest pod of a member.
    fn start(&mut self, member: usize) {
        self.boots += 1;
        let inside = self.server.0.lock().unwrap();
        let name = ["a", "b"][member];
        let pod = Arc::clone(inside.pods.iter().rfind(|pod| pod.member == name).unwrap());
        let boot = if inside.without == Without::BootIds { 7 } else { self.boots };
        drop(inside);
        let (handle, diary) = (self.volumes[member].handle(), Diary::open(self.folder.path()).unwrap());
        let me = Me { pod, boot: Boot(boot.into()) };
        let desk = Desk::open(me, handle.clone(), diary, Counts::default(), || 0).unwrap();
        let desk = Arc::new(Mutex::new(desk.dying(|_| resume_unwind(Box::new(Death)))));
        self.lives.push(Life { desk, handle, member, number: self.boots });
    }

    /// Does something with a process, which may die of it.
    fn with<T>(&mut self, which: usize, work: impl FnOnce(&mut Self, &Life) -> T) {
        let life = self.lives.swap_remove(which);
        match catch_unwind(AssertUnwindSafe(|| work(self, &life))) {
            Ok(_) => self.lives.push(life),
            Err(end) if end.is::<Death>() => {
                self.deaths += 1;
                let power = self.random.one_in(2);
                self.volumes[life.member].died(power, &mut self.random);
                if power {
                    // The machine goes, and all that run on it.
                    self.lives.retain(|other| other.member != life.member);
                }
            }
            Err(wrong) => resume_unwind(wrong),
        }
    }

    fn any(&mut self) -> Option<usize> {
        let many = self.lives.len() as u64;
        (many > 0).then(|| usize::try_from(self.random.below(many)).unwrap())
    }

    fn look(&mut self, which: usize) {
        let server = self.server.clone();
        self.with(which, |world, life| drop(world.runtime.block_on(look(&life.desk, &server))));
    }

    fn ask(&mut self, which: usize, ask: &Ask) {
        self.with(which, |world, life| {
            let (signed, _) = world.signatures.hear(&ask.frame(), &mut Arc::clone(&life.desk)).unwrap();
            if signed > 0 {
                let owner = (lock(&life.desk).gate().hold().unwrap().tenure, life.number);
                let first = world.owners.entry(ask.height.unsigned_abs()).or_insert(owner);
                assert_eq!(*first, owner, "two owners of {}", ask.height);
            }
        });
    }

    fn nonsense(&mut self) -> Ask {
        let near = self.head + self.random.below(3);
        let height = match self.random.below(12) {
            0 => self.random.below(near),
            1 => near + self.random.below(600),
            2 => self.random.roll() >> 2,
            _ => near,
        };
        Ask {
            kind: KINDS[usize::try_from(self.random.below(3)).unwrap()],
            height: height.try_into().unwrap(),
            round: i32::try_from(self.random.below(2)).unwrap(),
            block: Some(u8::try_from(self.random.below(3)).unwrap()),
            seconds: self.random.below(3).try_into().unwrap(),
        }
    }

    fn turn(&mut self) {
        let member = usize::try_from(self.random.below(2)).unwrap();
        match self.random.below(100) {
            0..25 => {
                if let Some(which) = self.any() {
                    self.look(which);
                }
            }
            25..72 => {
                if let Some(which) = self.any() {
                    let ask = self.nonsense();
                    self.ask(which, &ask);
                }
            }
            72..85 => self.head += 1 + self.random.below(2),
            85..88 => {
                if let Some(which) = self.any() {
                    let fuse = self.random.below(4) + 1;
                    self.lives[which].handle.fail_after(fuse);
                }
            }
            88 => {
                if let Some(which) = self.any() {
                    self.with(which, |_, life| lock(&life.desk).stop());
                }
            }
            // Killed, and nothing that was written is lost by that.
            89 => {
                if let Some(which) = self.any() {
                    drop(self.lives.swap_remove(which));
                }
            }
            90 => self.volumes[member].roll_back(&mut self.random),
            91 => self.volumes[member].rot(&mut self.random),
            92 => self.pod(member),
            _ if self.lives.len() < 4 => self.start(member),
            _ => {}
        }
    }

    /// Everything is well again: a new pod signs, without anybody's help but the operator's.
    fn recover(&mut self) {
        self.lives.clear();
        self.pod(0);
        let mut inside = self.server.0.lock().unwrap();
        inside.calm = true;
        let (before, uid) = (inside.record().tenure.epoch, inside.pods.last().unwrap().uid.clone());
        while inside.record().tenure.epoch == before
            || inside.record().holder().is_none_or(|holder| holder.pod.uid != uid)
        {
            inside.operate();
        }
        let height = (inside.record().floor.0 + 1).try_into().unwrap();
        drop(inside);
        self.start(0);
        for round in 0..3 {
            self.ask(0, &Ask { kind: KINDS[0], height, round, block: Some(9), seconds: 1 });
            self.look(0);
        }
        let last = self.signatures.places().last().map(|place| i64::try_from(place.height).unwrap());
        assert_eq!(last, Some(height), "the key is bricked");
    }
}

/// One world from beginning to end; how much was signed in it, and how many died.
fn live(seed: u64, without: Without) -> (usize, u32) {
    let mut world = World::new(seed, without);
    for _ in 0..400 {
        world.turn();
    }
    world.recover();
    (world.signatures.places().len(), world.deaths)
}

fn seeds(usual: u64) -> u64 {
    std::env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn in_no_storm_anything_is_signed_twice() {
    let (mut signed, mut deaths) = (0, 0);
    let runs = seeds(150);
    for seed in 0..runs {
        let world = catch_unwind(|| live(seed, Without::Nothing)).unwrap_or_else(|_| panic!("seed {seed}"));
        (signed, deaths) = (signed + world.0, deaths + world.1);
    }
    println!("{runs} storms: {signed} signatures, {deaths} deaths within a write");
    assert!(signed as u64 > 5 * runs && u64::from(deaths) > runs, "{signed} signatures, {deaths} deaths");
}

/// The eyes that saw nothing above see what there is to see.
#[test]
fn a_rule_that_is_left_out_is_noticed() {
    for without in [Without::BootIds, Without::CompareAndSwap] {
        let twice = |seed| {
            let end = catch_unwind(|| live(seed, without)).err();
            let words = end.and_then(|end| end.downcast::<String>().ok());
            words.is_some_and(|words| words.contains("two owners") || words.contains("signed twice"))
        };
        assert!((0..300).any(twice), "{without:?}");
    }
}

/// A signature that leaves before it is durable, and a seal: no other process signs on the word of a disk, for a boot id is drawn
/// anew and what was claimed by another is left alone. So what is made durable saves heights; it is boot ids that save the key.
#[test]
fn a_disk_that_keeps_nothing_costs_heights_and_no_key() {
    let signed: usize = (0..seeds(150)).map(|seed| live(seed, Without::Durability).0).sum();
    assert!(signed > 100, "{signed} signatures");
}
