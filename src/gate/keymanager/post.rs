//! The post: follows the record for one client, gives it the key while this member holds the place, and takes it away again.

use std::time::Duration;

use tracing::{info, warn};

pub use super::options::{KeymanagerError, Options};
use super::{
    api::{Imported, Keymanager, Trouble},
    export::Exports,
    leave::Leaving,
    options::{key_of, keystore},
};
use crate::{
    failover::Held as Kept,
    gate::{
        launcher::boot_time,
        tenant::{self, Held, Stage, Tenant},
    },
};

/// Looks after the key of a client until told to end, or until its epoch is over and sealed.
pub async fn run(options: Options) -> Result<(), KeymanagerError> {
    let post = Post::new(&options)?;
    Ok(tenant::run(&options.member, post).await?)
}

/// The key of one client.
pub struct Post<'a> {
    pub(super) options: &'a Options,
    pub(super) manager: Keymanager,
    /// Hexadecimal digits without `0x`.
    pub(super) key: String,
    pub(super) exports: Exports,
    /// When this process had the place first (milliseconds).
    held: Option<u64>,
    /// Since when the client is without a key that it was given (milliseconds).
    missing: Option<u64>,
    pub(super) stage: Stage<Leaving>,
}

impl Tenant for Post<'_> {
    const GIVER: &'static str = "a key manager";
    const KEPT: Kept = Kept::Key;

    fn leaves_within(&self) -> Duration {
        Duration::from_millis(self.options.grace + self.options.settle)
    }

    fn is_out(&self) -> bool {
        matches!(self.stage, Stage::Out)
    }

    /// Gives the key, takes it, or sees that it stays where it is.
    async fn act(&mut self, held: &mut Held) -> Result<(), String> {
        let now = boot_time();
        let may = held.launcher.may_run(now.saturating_add(self.options.grace));
        if may {
            self.held.get_or_insert(now);
        }
        held.show(matches!(self.stage, Stage::In), false);
        let is_due = self.held.is_some_and(|held| now.saturating_sub(held) >= self.options.silence);
        match (&self.stage, may) {
            (Stage::Out, true) if is_due => {
                // From before the first attempt: one that was not answered may have come through.
                held.launcher.runs = true;
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
                self.take(held, now).await
            }
            (Stage::Leaving(_), false) => self.take(held, now).await,
        }
    }
}

impl<'a> Post<'a> {
    /// A key that no client has, for all that is known.
    pub fn new(options: &'a Options) -> Result<Self, KeymanagerError> {
        let key = key_of(options)?;
        Ok(Self {
            options,
            manager: Keymanager::new(&options.keymanager, &options.token)?,
            exports: Exports::new(&options.state, &key),
            key,
            held: None,
            missing: None,
            stage: Stage::Out,
        })
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
}
