//! The pod of a Solana validator with its gate.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay::{
    failover::{Boot, Carried, Event, Held, Proof, Share},
    gate::{
        Counts,
        member::{Member, StartError},
        solana::post::{Options, Post},
        tenant::stand,
    },
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    container::Container,
    records::Records,
    validator::{Shared, Validator, at, begin, staked, tower_of, unstaked},
};

/// A pod: a validator and the files of its gate.
pub struct Site {
    pub validator: Shared,
    pub container: Container,
    pub options: Options,
    pub counts: Counts,
    // Last: the validator's program is in it.
    _folder: TempDir,
}

impl Site {
    /// The pod of a member, whose validator has no tower.
    pub fn new(member: &str) -> Self {
        Self::as_started(member, false)
    }

    pub fn as_started(member: &str, starts_staked: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["ledger", "state"] {
            fs::create_dir(path(name)).unwrap();
        }
        staked().write(&path("staked.json"));
        unstaked().write(&path("unstaked.json"));
        let (validator, container) = begin(&folder, &path("ledger"));
        at(&validator).starts_staked = starts_staked;
        let options = Options {
            member: Member {
                identity: identity(),
                name: member.into(),
                pod_uid: format!("u-{member}"),
                node: "n".into(),
                listen: "127.0.0.1:0".into(),
                every: Duration::from_millis(50),
            },
            ledger: path("ledger"),
            keypair: path("staked.json"),
            unstaked: path("unstaked.json"),
            state: path("state"),
            program: container.name.clone(),
            settle: 400,
            grace: 1_000,
        };
        Self { validator, container, options, counts: Counts::default(), _folder: folder }
    }

    /// One that holds the place, with a tower of its own that a person vouches for.
    pub fn at_work() -> (Self, Records) {
        let (site, records) = (Self::new("a"), Records::offered_to(Held::Identity, "u-a"));
        site.vouch(1, &[5]);
        (site, records)
    }

    pub fn vouch(&self, epoch: u64, slots: &[u64]) {
        let name = format!("tower-1_9-{}.bin.for-epoch-{epoch}", staked().name());
        fs::write(self.options.ledger.join(name), staked().tower(slots)).unwrap();
    }

    pub fn tower(&self) -> PathBuf {
        tower_of(&self.options.ledger)
    }

    /// Runs the gate beside what the test does with the rest of the world; whether it has ended by itself by then.
    pub async fn with(&self, records: &Records, test: impl AsyncFnOnce()) -> bool {
        let mut post = Post::new(&self.options).unwrap();
        let stop = CancellationToken::new();
        tokio::select! {
            _ = stand(&self.options.member, records, Boot(7), self.counts.clone(), &mut post, &stop) => true,
            () = test() => false,
        }
    }

    /// Runs a process of the gate that is told to end when the test is over; how it ended.
    pub async fn told_to_end(
        &self,
        records: &Records,
        boot: Boot,
        test: impl AsyncFnOnce(),
    ) -> Result<(), StartError> {
        let mut post = Post::new(&self.options).unwrap();
        let stop = CancellationToken::new();
        let tells = async {
            test().await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = stand(&self.options.member, records, boot, self.counts.clone(), &mut post, &stop) => ended,
            () = tells => unreachable!("it waits for ever"),
        }
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Validator) -> bool) {
        let begun = Instant::now();
        while !holds(&at(&self.validator)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn gets_it(&self) {
        self.until("the identity comes", |it| it.identity == staked().name()).await;
        moments(2).await;
    }

    pub async fn loses_it(&self) {
        self.until("the identity goes", |it| it.identity == unstaked().name()).await;
    }

    pub fn vote(&self, slots: &[u64]) {
        for slot in slots {
            assert!(at(&self.validator).vote(*slot), "it votes for {slot}");
        }
    }

    pub fn was_given(&self) -> bool {
        at(&self.validator).calls.contains(&"staked.json, true".to_owned())
    }
}

pub fn identity() -> String {
    let digits = mainstay::gate::encoding::to_hex(&staked().public()).to_ascii_lowercase();
    format!("5eykt4usfv8p8njdtreypvzkozrkqckkc.{digits}")
}

pub async fn moments(count: u64) {
    tokio::time::sleep(Duration::from_millis(count * 100)).await;
}

pub async fn for_ever() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

pub fn carried(records: &Records) -> Arc<Carried> {
    records.record().carried.expect("something travels")
}

/// Ends an epoch by its seal, and offers the next.
pub fn go_on(records: &Records, to: &str) {
    records.step(Event::Found { proof: None, share: Share::Small, waited: 0 });
    records.offer_to(to, &format!("u-{to}"));
}

/// Ends an epoch by the end of its pod.
pub fn vanish(records: &Records, to: &str) {
    records.revoke();
    let holder = records.record().holder().unwrap().pod.clone();
    let proof = Some(Proof::KubeletConfirmed(holder));
    records.step(Event::Found { proof, share: Share::Small, waited: u64::MAX });
    records.offer_to(to, &format!("u-{to}"));
}
