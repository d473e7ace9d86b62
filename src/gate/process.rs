//! The whole process of a gate.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    failover::split,
    telemetry::{BuildError, Client, address::Reach},
};

use super::{
    answer::Signer,
    chain::Chain,
    counts::Counts,
    desk::Desk,
    dial::dial,
    diary::Diary,
    encoding::to_hex,
    follow::follow,
    key::{Key, KeyError},
    member::{Member, Pages, StartError, told_to_end},
    store::{Slots, StoreError},
};

/// How a gate is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose it is.
    pub member: Member,
    /// The key file.
    pub key: PathBuf,
    /// The folder of what must survive.
    pub state: PathBuf,
    /// The socket that the node listens on.
    pub socket: PathBuf,
    /// The node's RPC.
    pub rpc: String,
}

/// Why a gate cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// No usable key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The name of the identity is none.
    #[error(
        "the identity {0} is no CHAIN_ID.PUBLIC_KEY with 64 hexadecimal digits in lower case: it is the name of the \
         SigningIdentity of this key"
    )]
    Name(String),
    /// The identity is another key's.
    #[error("the key {path} has the public half {public}, and the identity is {identity}: this is another key", path = path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// Its public half.
        public: String,
        /// The identity.
        identity: String,
    },
    /// Nothing can be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be kept.
    #[error("failed to use the state folder {}: {error}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The node cannot be asked.
    #[error(transparent)]
    Client(#[from] BuildError),
    /// It cannot begin.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// How often the node is asked for its head.
const HEAD: Duration = Duration::from_secs(1);
/// How long a process waits for the one before it on the volume, whose container is told to end or is about to be found dead.
const DYING: Duration = Duration::from_secs(60);
/// How often it looks whether that has ended.
const AGAIN: Duration = Duration::from_millis(100);

/// Runs a gate until it is told to end.
pub async fn run(options: Options) -> Result<(), GateError> {
    let key = Key::read(&options.key)?;
    let chain = chain_of(&options, &key)?;
    let member = &options.member;
    let me = member.drawn()?;
    let boot = me.boot;
    let counts = Counts::default();
    let unusable = |error| GateError::State { path: options.state.clone(), error };
    let mut told = std::pin::pin!(told_to_end()?);
    // First of all: what is read before it is this process's alone may be another's a moment later.
    let slots = tokio::select! {
        slots = alone(&options.state, DYING) => slots?,
        () = &mut told => return Ok(()),
    };
    let diary = Diary::open(&options.state).map_err(unusable)?;
    let desk = Desk::open(me, slots, diary, counts.clone(), wall).map_err(unusable)?;
    let desk = Arc::new(Mutex::new(desk));

    let (registry, listener) = member.connect().await?;
    info!(identity = member.identity, boot = format!("{:032x}", boot.0), "the gate is up");

    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
    // Loopback, which the operator's probes never ask.
    let client = Client::new(Reach::Anywhere, &[])?;
    let mut own = Chain::new(client, &options.rpc, &chain, *key.public());
    let signer = Signer::new(chain, key);
    let mut arbiter = Arc::clone(&desk);
    let pages = Pages::serve(listener, &counts, &over);
    // The node is answered until the very end: without an answer it would freeze.
    let (answers, record) = (dial(&options.socket, &signer, &mut arbiter, &counts, &over), async {
        follow(&desk, &registry, member.every, &counts, &stop).await;
        over.cancel();
    });
    let signals = async {
        told.as_mut().await;
        info!("ending: the rest of the window is given back");
        stop.cancel();
    };
    tokio::join!(answers, record, signals, own.watch(&desk, HEAD, &counts, &over));
    pages.ended().await;
    Ok(())
}

/// The slots in `folder`, once no other process has them. A container may start while the one before it still dies.
pub async fn alone(folder: &Path, patience: Duration) -> Result<Slots, StoreError> {
    let begun = Instant::now();
    let mut said = false;
    loop {
        let taken = match Slots::open(folder) {
            Err(taken @ StoreError::Taken { .. }) if begun.elapsed() < patience => taken,
            opened => return opened,
        };
        if !said {
            warn!("{taken}; waiting for it, for up to {} s", patience.as_secs());
        }
        said = true;
        sleep(AGAIN).await;
    }
}

/// The chain that an identity is of, if it is of this key.
fn chain_of(options: &Options, key: &Key) -> Result<String, GateError> {
    let identity = &options.member.identity;
    let (chain, public) = split(identity).ok_or_else(|| GateError::Name(identity.clone()))?;
    let own = to_hex(key.public()).to_ascii_lowercase();
    if own != public {
        let (path, identity) = (options.key.clone(), identity.clone());
        return Err(GateError::OtherKey { path, public: own, identity });
    }
    Ok(chain.into_owned())
}

/// This machine's time, for the diary (milliseconds since the epoch).
#[expect(clippy::disallowed_methods, reason = "for people: nothing is decided by it")]
fn wall() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Whether a folder is one that goes with the pod: what must survive would not.
#[must_use]
pub fn is_in_memory(folder: &Path) -> bool {
    matches!(medium(folder).as_str(), "tmpfs" | "ramfs" | "overlay")
}

/// The kind of file system that a folder is on, as the kernel calls it.
#[must_use]
pub fn medium(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut best = ("", "");
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        if let (Some(at), Some(kind)) = (words.next(), words.next())
            && folder.starts_with(at)
            && at.len() >= best.0.len()
        {
            best = (at, kind);
        }
    }
    best.1.to_owned()
}
