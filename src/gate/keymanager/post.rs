//! The post: follows the record for one client, gives it the key while this member holds the place, and takes it away again.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{
    api::{Deleted, Imported, Keymanager, Keystore, Trouble},
    client::{Process, end, lives, processes},
    export::Exports,
};
use crate::{
    failover::{
        Boot, HandOver, Pod, Record,
        gate::{Launcher, Me},
        split,
    },
    gate::{
        counts::Counts,
        launcher::boot_time,
        page,
        process::draw,
        registry::{self, Identity, Registry},
    },
    serve::{self, ServeError},
};

/// How long a process that was told to end tries to take the key away and to seal.
const FAREWELL: Duration = Duration::from_secs(10);

/// How the key of a client is looked after.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the `SigningIdentity`.
    pub identity: String,
    /// The member of the group that this is.
    pub member: String,
    /// The uid of the pod.
    pub pod_uid: String,
    /// The node that it runs on.
    pub node: String,
    /// Where health and metrics are served.
    pub listen: String,
    /// How often the record is read.
    pub every: Duration,
    /// The client's key manager.
    pub keymanager: String,
    /// What opens it.
    pub token: PathBuf,
    /// The key store (EIP-2335).
    pub keystore: PathBuf,
    /// What unlocks that.
    pub password: PathBuf,
    /// The folder of what must survive.
    pub state: PathBuf,
    /// Name of the client's program. Without it nothing can be shown to have ended.
    pub client: Option<String>,
    /// How long nobody signs between two members (milliseconds): every duty that the former one had is past then.
    pub silence: u64,
    /// For how long a new process of the client must not list the key before it counts as wiped (milliseconds).
    pub settle: u64,
    /// How long before the end of its hold the key is taken away (milliseconds).
    pub grace: u64,
}

/// Why a key cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub enum KeymanagerError {
    /// A file cannot be read.
    #[error("failed to read {}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The key store is of another key.
    #[error("the key store {} has the public key {public}, and the identity is {identity}: this is another key", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// Its public half; empty if it names none.
        public: String,
        /// The identity.
        identity: String,
    },
    /// No HTTP client.
    #[error("failed to make the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// No cluster.
    #[error("failed to set up a client of the API server: {0}; a gate runs in a pod with a service account")]
    Cluster(#[from] kube::Error),
    /// No configuration of one.
    #[error("failed to find the API server: {0}; a gate runs in a pod with a service account")]
    Config(#[from] kube::config::InferConfigError),
    /// Nobody can ask.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system has no dice.
    #[error("failed to draw a random number")]
    Dice,
    /// Signals cannot be heard.
    #[error("failed to listen for signals: {0}")]
    Signals(io::Error),
}

/// Looks after the key of a client until told to end, or until its epoch is over and sealed.
pub async fn run(options: Options) -> Result<(), KeymanagerError> {
    let boot = Boot(draw().ok_or(KeymanagerError::Dice)?);
    let config = kube::Config::infer().await?;
    let registry = Identity::new(kube::Client::try_from(config)?, &options.identity);
    let counts = Counts::default();
    let mut post = Post::new(&options, &registry, boot, counts.clone())?;
    let listener = serve::listen(&options.listen).await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(KeymanagerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(KeymanagerError::Signals)?;
    info!(identity = options.identity, boot = format!("{:032x}", boot.0), "the gate of a key manager is up");

    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
    let ended = over.clone();
    let pages =
        tokio::spawn(serve::serve(listener, page::router(&counts), async move { ended.cancelled().await }));
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    post.stand(&stop).await;
    over.cancel();
    if let Ok(Err(error)) = pages.await {
        warn!(%error, "the page of metrics had ended before");
    }
    Ok(())
}

/// Where the key is.
#[derive(Debug)]
enum Stage {
    /// Not in the client, for all that is known.
    Out,
    /// In the client, or on its way there.
    In,
    /// On its way out.
    Leaving(Leaving),
}

#[derive(Debug, Default)]
struct Leaving {
    /// Since when (milliseconds).
    since: u64,
    /// The processes that were there when the client said that it had deleted the key, once it has.
    before: Option<Vec<Process>>,
    /// Since when a new process does not list the key (milliseconds).
    without: Option<u64>,
    /// A new process had the key again: nothing that it says is taken for an end.
    haunted: bool,
}

/// One process that looks after the key of one client.
pub struct Post<'a, R> {
    options: &'a Options,
    registry: &'a R,
    manager: Keymanager,
    /// Hexadecimal digits without `0x`.
    key: String,
    exports: Exports,
    launcher: Launcher,
    record: Option<Record>,
    /// When this process had the place first (milliseconds).
    held: Option<u64>,
    /// Since when the client is without a key that it was given (milliseconds).
    missing: Option<u64>,
    stage: Stage,
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
        let (member, uid, node) = (options.member.clone(), options.pod_uid.clone(), options.node.clone());
        let me = Me { pod: Arc::new(Pod { member, uid, node }), boot };
        let key = key_of(options)?;
        Ok(Self {
            options,
            registry,
            manager: Keymanager::new(&options.keymanager, &options.token)?,
            exports: Exports::new(&options.state, &key),
            key,
            launcher: Launcher::new(me),
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
            if nothing_left && self.launcher.over {
                return;
            }
            if enough.is_some_and(|enough| Instant::now() >= enough) {
                warn!("could not seal in time: the next epoch waits for proof that this pod has ended");
                return;
            }
            tokio::select! {
                () = sleep(self.options.every) => {}
                () = stop.cancelled(), if enough.is_none() => {}
            }
        }
    }

    /// Looks once, and writes what the launcher wants the record to say.
    async fn look(&mut self) -> Result<bool, registry::Trouble> {
        // Before the question: whoever counts from the answer counts the time that it was under way as well.
        let sent = boot_time();
        let seen = self.registry.read().await?;
        let Some(record) = seen.record.clone() else { return Ok(false) };
        let (next, wish) = self.launcher.seen(&record, sent);
        self.launcher = next;
        self.record = Some(record);
        let Some(wish) = wish else { return Ok(false) };
        match self.registry.write(&seen, &wish).await {
            Ok(_) | Err(registry::Trouble::Conflict) => Ok(true),
            Err(trouble) => Err(trouble),
        }
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
                self.stage = Stage::Leaving(Leaving { since: now, ..Leaving::default() });
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
                self.delete().await?;
                Err("the client had the key although this member does not hold the place; it was deleted. Take it out \
                     of the client's own folders: two clients with one key are slashed"
                    .into())
            }
            Err(trouble) => Err(trouble.to_string()),
        }
    }

    /// Deletes the key, and keeps what the client knows of its signatures before anything else.
    async fn delete(&self) -> Result<(), String> {
        match self.manager.delete(&self.key).await.map_err(|trouble| trouble.to_string())? {
            Deleted::Known(history) => self
                .exports
                .keep(&history)
                .map_err(|error| format!("the history of the key cannot be kept, so nothing has ended: {error}")),
            Deleted::NotFound => Ok(()),
        }
    }

    /// Takes the key from the client, ends the client, and looks at the one that comes next.
    async fn take(&mut self, now: u64) -> Result<(), String> {
        let Stage::Leaving(mut leaving) = std::mem::replace(&mut self.stage, Stage::Out) else { return Ok(()) };
        let taken = self.leave(&mut leaving, now).await;
        if matches!(taken, Ok(true)) {
            info!("a new process of the client has no key: this epoch signs no more");
            self.launcher.runs = false;
            self.launcher = self.launcher.retired();
            return Ok(());
        }
        self.stage = Stage::Leaving(leaving);
        taken.map(drop)
    }

    /// Whether it is shown that the client has lost the key for good.
    async fn leave(&self, leaving: &mut Leaving, now: u64) -> Result<bool, String> {
        let late = now.saturating_sub(leaving.since) >= self.options.grace;
        let running = self.options.client.as_deref().map(processes).transpose();
        let running = running.map_err(|error| format!("failed to see the client's processes: {error}"))?;
        let Some(running) = running else {
            self.delete().await?;
            return Err("the key is deleted, and nobody shows that the client has lost it for good: name its program with \
                        --client, or delete the pod"
                .into());
        };
        let Some(before) = leaving.before.clone() else {
            if let Err(why) = self.delete().await {
                // It does not answer, or not well: it is ended all the same.
                if late {
                    for one in running {
                        let _ = end(one, true);
                    }
                }
                return Err(why);
            }
            // Those that answered, and whatever else is there: all of them may have the key in memory.
            leaving.before = Some(processes_or(self.options.client.as_deref(), running));
            return Ok(false);
        };
        if leaving.haunted {
            self.delete().await?;
            return Err("the client finds the key again when it starts: take it out of its own folders. Nothing is sealed: \
                        delete the pod, so that its end can be proven"
                .into());
        }
        if before.is_empty() {
            return Err(
                "the client answers, and no process of its name is seen: share the process namespace of the pod \
                        (shareProcessNamespace), and name its program with --client"
                    .into(),
            );
        }
        let alive: Vec<_> = before.iter().copied().filter(|one| lives(*one)).collect();
        if !alive.is_empty() {
            for one in alive {
                end(one, late).map_err(|error| format!("failed to end the client: {error}"))?;
            }
            return Ok(false);
        }
        if running.is_empty() {
            return Ok(false);
        }
        match self.manager.lists(&self.key).await {
            Ok(true) => {
                leaving.haunted = true;
                Ok(false)
            }
            Ok(false) => {
                let without = *leaving.without.get_or_insert(now);
                Ok(now.saturating_sub(without) >= self.options.settle)
            }
            Err(Trouble::Silent(_)) => {
                leaving.without = None;
                Ok(false)
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

/// The processes of a client now, or as they were a moment ago.
fn processes_or(client: Option<&str>, before: Vec<Process>) -> Vec<Process> {
    let now = client.and_then(|name| processes(name).ok()).unwrap_or_default();
    let others = before.into_iter().filter(|one| !now.contains(one)).collect::<Vec<_>>();
    now.into_iter().chain(others).collect()
}

fn text(path: &Path) -> Result<Zeroizing<String>, KeymanagerError> {
    let read = fs::read_to_string(path).map(Zeroizing::new);
    read.map_err(|error| KeymanagerError::File { path: path.to_owned(), error })
}

fn keystore(options: &Options) -> Result<Keystore, KeymanagerError> {
    let password = text(&options.password)?;
    let password = Zeroizing::new(password.trim_end_matches(['\r', '\n']).to_owned());
    Ok(Keystore { json: text(&options.keystore)?, password })
}

/// The public half that the key store names, which is the identity's.
fn key_of(options: &Options) -> Result<String, KeymanagerError> {
    let json = text(&options.keystore)?;
    let store: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    let public = store["pubkey"].as_str().unwrap_or_default().to_ascii_lowercase();
    let public = public.strip_prefix("0x").unwrap_or(&public).to_owned();
    match split(&options.identity) {
        Some((_, key)) if key == public => Ok(public),
        _ => Err(KeymanagerError::OtherKey {
            path: options.keystore.clone(),
            public,
            identity: options.identity.clone(),
        }),
    }
}
