//! The post: gives a validator the staked identity while this member holds the place, with the memory that has travelled.

use std::time::Duration;

use serde_json::Value;
use tracing::info;

pub use super::options::{Options, SolanaError};
use super::{
    admin::{Admin, Seen, Trouble},
    base58::base58,
    leave::Leaving,
    memory::{Files, Memory},
    options::public,
};
use crate::{
    failover::{Carried, Held as Kept, Record},
    gate::{
        launcher::boot_time,
        tenant::{self, Held, Stage, Tenant},
    },
};

/// Looks after the identity of a validator until told to end, or until its epoch is over and sealed.
pub async fn run(options: Options) -> Result<(), SolanaError> {
    let post = Post::new(&options)?;
    Ok(tenant::run(&options.member, post).await?)
}

/// The identity of one validator.
pub struct Post<'a> {
    pub(super) options: &'a Options,
    pub(super) admin: Admin,
    pub(super) memory: Memory,
    /// The staked identity, as the validator calls it.
    key: String,
    pub(super) stage: Stage<Leaving>,
    /// The process that was asked last to take the identity, by its start.
    pub(super) asked: Option<Value>,
    /// Whether it has not answered that: it may do it later.
    pub(super) unanswered: bool,
    /// A process had the identity that nobody gave it: nothing that it says is taken for an end.
    pub(super) haunted: bool,
    /// The last vote that was seen (a slot).
    pub(super) last: u64,
    /// What it knew when it had lost the identity.
    pub(super) left: Option<Files>,
}

impl Tenant for Post<'_> {
    const GIVER: &'static str = "a Solana validator";
    const KEPT: Kept = Kept::Identity;

    fn leaves_within(&self) -> Duration {
        Duration::from_millis(self.options.grace + self.options.settle)
    }

    fn is_out(&self) -> bool {
        matches!(self.stage, Stage::Out)
    }

    async fn act(&mut self, held: &mut Held) -> Result<(), String> {
        let now = boot_time();
        let may = held.launcher.may_run(now.saturating_add(self.options.grace));
        let done = match (&self.stage, may) {
            (Stage::Out, true) => self.begin(held).await,
            (Stage::Out, false) => self.keep_out().await,
            (Stage::In, true) => self.stay().await,
            (Stage::Leaving(_), true) => {
                // A hold that had ended by itself has come back, in the same epoch.
                self.stage = Stage::In;
                self.stay().await
            }
            (Stage::In, false) => {
                info!("the identity is taken from the validator");
                self.stage = Stage::Leaving(Leaving::since(now));
                self.take(held, now).await
            }
            (Stage::Leaving(_), false) => self.take(held, now).await,
        };
        // Whoever holds the place and cannot sign needs a person.
        held.show(matches!(self.stage, Stage::In), may && (self.haunted || matches!(self.stage, Stage::Out)));
        done
    }

    /// The memory travels in the seal.
    fn sealed(&self, mut seal: Record) -> Record {
        seal.carried = match &self.left {
            Some(files) => {
                let (epoch, member) = (seal.tenure.epoch, self.options.member.name.clone());
                Some(Carried { epoch, member, files: files.clone() }.into())
            }
            None => seal.passed_on(),
        };
        seal
    }
}

impl<'a> Post<'a> {
    /// An identity that no validator has, for all that is known.
    pub fn new(options: &'a Options) -> Result<Self, SolanaError> {
        let public = public(options)?;
        Ok(Self {
            options,
            admin: Admin::new(&options.ledger),
            memory: Memory::new(&options.ledger, public),
            key: base58(&public),
            stage: Stage::Out,
            asked: None,
            unanswered: false,
            haunted: false,
            last: 0,
            left: None,
        })
    }

    /// Whether a validator has the staked identity. One that has it from nobody is remembered.
    pub(super) fn has_it(&mut self, seen: &Seen) -> bool {
        let has_it = seen.identity == self.key;
        self.haunted |= has_it && self.asked.as_ref() != Some(&seen.born);
        has_it
    }

    pub(super) const HAUNTED: &'static str = "the validator had the staked identity from nobody here: start it with the \
         one without stake (--identity), and delete the pod, so that its end can be proven. Nothing is sealed, nor given";

    async fn begin(&mut self, held: &mut Held) -> Result<(), String> {
        let seen = self.admin.look().await.map_err(|trouble| trouble.to_string())?;
        let has_it = self.has_it(&seen);
        if self.haunted {
            // What it has voted, nobody knows.
            held.launcher.runs = true;
            return if has_it { self.put_out().await } else { Err(Self::HAUNTED.into()) };
        }
        let record = held.own().ok_or("the record is of another pod")?;
        self.last = self.bring(record)?;
        // From before the first attempt: one that was not answered may have come through.
        held.launcher.runs = true;
        self.stage = Stage::In;
        self.give(&seen).await
    }

    /// Sees to it that the ledger has the newest memory that there is, and says what its last vote was.
    fn bring(&self, record: &Record) -> Result<u64, String> {
        let (epoch, name) = (record.tenure.epoch.0, &self.options.member.name);
        let own = self.memory.read().map_err(|why| format!("the identity is not given to the validator: {why}"));
        let (tower, vouched) = (self.memory.tower(), self.memory.vouched(epoch));
        let missing = |why: &str| {
            format!(
                "the identity is not given to the validator: {why}. If you know that nobody has voted after the newest tower, put \
                 it there as {} (and its vote history beside it, in the same way)",
                vouched.display()
            )
        };
        let inherited = record.inherited();
        let files = if let Some(carried) = inherited.filter(|carried| !carried.files.is_empty()) {
            carried.files.clone()
        } else if inherited.is_some_and(|carried| carried.member == *name)
            && own.as_ref().is_ok_and(Option::is_some)
        {
            // It has ended without a word, and nobody else has signed since.
            return own?.map_or(Ok(0), |own| self.memory.last_vote(&own));
        } else if let Some(files) = self.memory.read_vouched(epoch)? {
            files
        } else {
            let who = inherited.map_or("nobody here knows who has it".to_owned(), |last| {
                format!("{} alone can have it", last.member)
            });
            return Err(missing(&format!("{} did not travel, and {who}", tower.display())));
        };
        let last = self.memory.last_vote(&files)?;
        // What cannot be read is older or newer: it is not written over.
        let here = own?.map_or(Ok(0), |own| self.memory.last_vote(&own))?;
        if here > last {
            return Err(format!(
                "the identity is not given to the validator: the tower that has come has voted for slot {last} last, and {} for {here}: \
                 somebody has voted here without holding the place",
                tower.display()
            ));
        }
        self.memory.write(&files).map_err(|error| format!("failed to write {}: {error}", tower.display()))?;
        info!(epoch, last, "the tower is in the ledger");
        Ok(last)
    }

    /// Gives it to the process that was seen.
    async fn give(&mut self, seen: &Seen) -> Result<(), String> {
        (self.asked, self.unanswered) = (Some(seen.born.clone()), true);
        let set = self.admin.set_identity(&self.options.keypair, true).await;
        self.unanswered = !matches!(set, Ok(_) | Err(Trouble::Refused { .. }));
        let now = set.map_err(|trouble| trouble.to_string())?;
        if now.identity != self.key {
            return Err(format!("the validator has taken the identity, and has {}", now.identity));
        }
        info!(last = self.last, "the validator has the staked identity");
        Ok(())
    }

    /// Sees that it is still there. A process that has started anew is without, and gets it with the tower of its own ledger.
    async fn stay(&mut self) -> Result<(), String> {
        let seen = self.admin.look().await.map_err(|trouble| trouble.to_string())?;
        let has_it = self.has_it(&seen);
        if self.haunted {
            return if has_it { self.put_out().await } else { Err(Self::HAUNTED.into()) };
        }
        let own = self.memory.read()?.ok_or_else(|| format!("{} is gone", self.memory.tower().display()))?;
        let last = self.memory.last_vote(&own)?;
        if last < self.last {
            return Err(format!(
                "{} has voted for slot {last} last, and was at {} before: it is not given the identity with an older tower",
                self.memory.tower().display(),
                self.last
            ));
        }
        self.last = last;
        if has_it { Ok(()) } else { self.give(&seen).await }
    }

    /// Nobody gave it the identity.
    async fn keep_out(&mut self) -> Result<(), String> {
        match self.admin.look().await {
            Ok(seen) if self.has_it(&seen) => self.put_out().await,
            // One that does not run, or has not started yet.
            Ok(_) | Err(Trouble::Silent(_) | Trouble::Refused { .. }) => Ok(()),
            Err(trouble) => Err(trouble.to_string()),
        }
    }

    async fn put_out(&self) -> Result<(), String> {
        self.admin.set_identity(&self.options.unstaked, false).await.map_err(|trouble| trouble.to_string())?;
        Err(Self::HAUNTED.into())
    }
}
