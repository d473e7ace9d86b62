//! The post: follows the record for one client, gives it the key while this member holds the place, and takes it away again.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use super::options::{KeymanagerError, Options};
use super::{
    api::{Imported, Keymanager, Trouble},
    export::Exports,
    leave::Leaving,
    options::{key_of, keystore},
};
use crate::{
    failover::{Boot, HandOver, Record, gate::Launcher},
    gate::{
        counts::Counts,
        launcher::{boot_time, look},
        member::{Pages, told_to_end},
        registry::{self, Registry},
    },
};

/// How long a process that was told to end tries to take the key away and to seal.
const FAREWELL: Duration = Duration::from_secs(10);

/// Looks after the key of a client until told to end, or until its epoch is over and sealed.
pub async fn run(options: Options) -> Result<(), KeymanagerError> {
    let boot = options.member.drawn()?.boot;
    let (registry, listener) = options.member.connect().await?;
    let counts = Counts::default();
    let mut post = Post::new(&options, &registry, boot, counts.clone())?;
    let asked = told_to_end()?;
    info!(
        identity = options.member.identity,
        boot = format!("{:032x}", boot.0),
        "the gate of a key manager is up"
    );

    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
    let pages = Pages::serve(listener, &counts, &over);
    let told = stop.clone();
    tokio::spawn(async move {
        asked.await;
        told.cancel();
    });
    post.stand(&stop).await;
    over.cancel();
    pages.ended().await;
    Ok(())
}

/// Where the key is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Not in the client, for all that is known.
    Out,
    /// In the client, or on its way there.
    In,
    /// On its way out.
    Leaving(Leaving),
}

/// One process that looks after the key of one client.
pub struct Post<'a, R> {
    pub(super) options: &'a Options,
    registry: &'a R,
    pub(super) manager: Keymanager,
    /// Hexadecimal digits without `0x`.
    pub(super) key: String,
    pub(super) exports: Exports,
    pub(super) launcher: Launcher,
    record: Option<Record>,
    /// When this process had the place first (milliseconds).
    held: Option<u64>,
    /// Since when the client is without a key that it was given (milliseconds).
    missing: Option<u64>,
    pub(super) stage: Stage,
    counts: Counts,
    said: String,
}

impl<'a, R: Registry> Post<'a, R> {
    /// A process that has just started.
    pub fn new(
        options: &'a Options,
        registry: &'a R,
        boot: Boot,
        counts: Counts,
    ) -> Result<Self, KeymanagerError> {
        let key = key_of(options)?;
        Ok(Self {
            options,
            registry,
            manager: Keymanager::new(&options.keymanager, &options.token)?,
            exports: Exports::new(&options.state, &key),
            key,
            launcher: Launcher::new(options.member.me(boot)),
            record: None,
            held: None,
            missing: None,
            stage: Stage::Out,
            counts,
            said: String::new(),
        })
    }

    /// Stands at its post until it was told to end, or its epoch is over and sealed.
    pub async fn stand(&mut self, stop: &CancellationToken) {
        let mut enough = None;
        loop {
            if stop.is_cancelled() && enough.is_none() {
                info!("told to end");
                self.launcher = self.launcher.retired();
                enough = Some(Instant::now() + FAREWELL);
            }
            // What is given up in this turn is sealed in the next.
            let was_over = self.launcher.over;
            let looked = self.look().await;
            let words = match &looked {
                Ok(_) => self.act().await.err().unwrap_or_default(),
                Err(trouble) => {
                    self.counts.api_errors.inc();
                    // Also while the API server is away: a hold ends by itself.
                    let _ = self.act().await;
                    trouble.to_string()
                }
            };
            self.tell(words);
            let nothing_left = matches!(looked, Ok(false)) && matches!(self.stage, Stage::Out);
            if nothing_left && was_over {
                return;
            }
            if enough.is_some_and(|enough| Instant::now() >= enough) {
                warn!("could not seal in time: the next epoch waits for proof that this pod has ended");
                return;
            }
            tokio::select! {
                () = sleep(self.options.member.every) => {}
                () = stop.cancelled(), if enough.is_none() => {}
            }
        }
    }

    /// Looks once, and writes what the launcher wants the record to say.
    async fn look(&mut self) -> Result<bool, registry::Trouble> {
        look(self.registry, |record, sent| {
            let (next, wish) = self.launcher.seen(record, sent);
            self.launcher = next;
            self.record = Some(record.clone());
            wish
        })
        .await
    }

    /// Gives the key, takes it, or sees that it stays where it is.
    async fn act(&mut self) -> Result<(), String> {
        let now = boot_time();
        let may = self.launcher.may_run(now.saturating_add(self.options.grace));
        if may {
            self.held.get_or_insert(now);
        }
        let epoch = self.record.as_ref().map_or(0, |record| record.tenure.epoch.0);
        self.counts.stand(matches!(self.stage, Stage::In), epoch, 0, false);
        let is_due = self.held.is_some_and(|held| now.saturating_sub(held) >= self.options.silence);
        match (&self.stage, may) {
            (Stage::Out, true) if is_due => {
                // From before the first attempt: one that was not answered may have come through.
                self.launcher.runs = true;
                self.stage = Stage::In;
                self.give().await
            }
            (Stage::Out, _) => self.keep_out().await,
            (Stage::In, true) => {
                if self.manager.lists(&self.key).await.map_err(|trouble| trouble.to_string())? {
                    self.missing = None;
                    return Ok(());
                }
                // What made it forget the key may have made it forget what it has signed.
                if now.saturating_sub(*self.missing.get_or_insert(now)) < self.options.silence {
                    return Err(
                        "the client has lost the key that it was given: it gets it again after a silence".into()
                    );
                }
                self.give().await
            }
            (Stage::Leaving(_), true) => {
                // A hold that had ended by itself has come back, in the same epoch.
                self.stage = Stage::In;
                self.give().await
            }
            (Stage::In, false) => {
                info!("the key is taken from the client");
                self.stage = Stage::Leaving(Leaving::since(now));
                self.take(now).await
            }
            (Stage::Leaving(_), false) => self.take(now).await,
        }
    }

    async fn give(&self) -> Result<(), String> {
        let history = self.exports.read().map_err(|error| {
            format!("the key is not given to the client: the history on the state volume cannot be read: {error}")
        })?;
        let key = keystore(self.options).map_err(|error| error.to_string())?;
        match self.manager.import(&key, history.as_deref()).await.map_err(|trouble| trouble.to_string())? {
            Imported::Imported => info!("the key is in the client"),
            Imported::Duplicate => warn!("the key was in the client before it was given to it"),
        }
        Ok(())
    }

    /// Nobody gave it the key: it found it in its own folders.
    async fn keep_out(&self) -> Result<(), String> {
        match self.manager.lists(&self.key).await {
            Ok(false) | Err(Trouble::Silent(_)) => Ok(()),
            Ok(true) => {
                self.take_out().await?;
                Err("the client had the key although this member does not hold the place; it was deleted. Take it out \
                     of the client's own folders: two clients with one key are slashed"
                    .into())
            }
            Err(trouble) => Err(trouble.to_string()),
        }
    }

    /// Says what is new.
    fn tell(&mut self, mut words: String) {
        if words.is_empty() && self.is_of_a_gate() {
            words = "this group hands over another way: its pods run no gate of a key manager".into();
        }
        if words != self.said && !words.is_empty() {
            warn!("{words}");
        } else if words != self.said {
            info!("all is well again");
        }
        self.said = words;
    }

    fn is_of_a_gate(&self) -> bool {
        let mine =
            |record: &&Record| record.holder().is_some_and(|holder| holder.pod.uid == self.launcher.me.pod.uid);
        self.record.as_ref().filter(mine).is_some_and(|record| !matches!(record.hand_over, HandOver::Launcher(_)))
    }
}
