//! The post: follows the record for one command, says to its keeper until when it may run, and seals when it has ended.

use std::{cell::RefCell, env, ffi::OsString, io, process::Stdio, time::Duration};

use rustix::process::Signal;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    boot_time,
    keeper::Word,
    look,
    place::{PlaceError, Placement},
    strays,
};
use crate::{
    failover::{HandOver, Held, Record, gate::Launcher},
    gate::{
        counts::Counts,
        member::{Member, Pages, StartError},
        registry::{Registry, Trouble},
    },
};

/// After a write: what it led to is seen at once.
const SOON: Duration = Duration::from_millis(20);
/// How long a process that was told to end tries to seal, after its command has ended.
const FAREWELL: Duration = Duration::from_secs(5);
/// A keeper that is so late with the end of its command (milliseconds) is killed itself, and the command with it.
const LATE: u64 = 1_000;
/// A keeper that takes no word for so long will be late.
const WORD: Duration = Duration::from_millis(100);
/// The code of a command that cannot be started.
const NO_COMMAND: u8 = 126;

/// How a launcher is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose it is.
    pub member: Member,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Its key, if it is to be placed.
    pub key: Option<Placement>,
    /// How long before the end of its hold the command is asked to stop (milliseconds).
    pub grace: u64,
}

/// Why a launcher cannot run.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The key cannot be where it should.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It cannot begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The kernel refused.
    #[error("failed to be told of signals and ends of processes: {0}")]
    Kernel(io::Error),
}

/// Runs a launcher until its command has ended, and returns its code.
pub async fn run(options: Options) -> Result<u8, LaunchError> {
    if let Some(key) = &options.key {
        key.check()?;
        // What a process before left that was killed.
        key.wipe()?;
    }
    strays::adopt().map_err(LaunchError::Kernel)?;
    let me = options.member.drawn()?;
    let (registry, listener) = options.member.connect().await?;
    let signals = signals().map_err(LaunchError::Kernel)?;
    info!(identity = options.member.identity, boot = format!("{:032x}", me.boot.0), "the launcher is up");

    let (counts, over) = (Counts::default(), CancellationToken::new());
    let pages = Pages::serve(listener, &counts, &over);
    let launcher = RefCell::new(Launcher::new(me, Held::Command));
    let post = Post { options: &options, registry: &registry, launcher, record: RefCell::default(), counts };
    let code = post.stand(signals).await;
    over.cancel();
    pages.ended().await;
    Ok(code?)
}

/// Signals that concern the command: its end, or something between it and whoever sends it.
fn signals() -> io::Result<mpsc::Receiver<Word>> {
    let (says, heard) = mpsc::channel(8);
    let kinds = [
        (SignalKind::terminate(), Word::End),
        (SignalKind::interrupt(), Word::End),
        (SignalKind::hangup(), Word::Signal(Signal::HUP.as_raw())),
        (SignalKind::quit(), Word::Signal(Signal::QUIT.as_raw())),
        (SignalKind::user_defined1(), Word::Signal(Signal::USR1.as_raw())),
        (SignalKind::user_defined2(), Word::Signal(Signal::USR2.as_raw())),
    ];
    for (kind, word) in kinds {
        let (mut signal, says) = (signal(kind)?, says.clone());
        tokio::spawn(async move { while signal.recv().await.is_some() && says.send(word).await.is_ok() {} });
    }
    Ok(heard)
}

/// One process of a launcher.
struct Post<'a, R> {
    options: &'a Options,
    registry: &'a R,
    launcher: RefCell<Launcher>,
    /// As it was seen last.
    record: RefCell<Option<Record>>,
    counts: Counts,
}

enum Happened {
    Asked(Word),
    Ended(u8),
    /// The record was seen; whether something was written.
    Looked(Result<bool, Trouble>),
    /// The keeper has not kept the time.
    Late,
    /// Told to end, and the API server does not answer.
    Enough,
}

impl<R: Registry> Post<'_, R> {
    /// Stands at its post until its command has ended and that is written, or it was told to end. The code of its command.
    async fn stand(&self, mut signals: mpsc::Receiver<Word>) -> Result<u8, StartError> {
        let (mut keeper, mut code, mut pause): (Option<Keeper>, u8, _) = (None, 0, Duration::ZERO);
        let (mut told, mut enough, mut said) = (false, None, String::new());
        loop {
            let look = async {
                sleep(pause).await;
                self.look().await
            };
            let late = keeper.as_ref().map(|keeper| keeper.until.saturating_add(LATE));
            let happened = tokio::select! {
                biased;
                Some(word) = signals.recv() => Happened::Asked(word),
                code = ended(keeper.as_mut()) => Happened::Ended(code),
                () = reached(late) => Happened::Late,
                () = until(enough) => Happened::Enough,
                looked = look => Happened::Looked(looked),
            };
            pause = match happened {
                Happened::Asked(word) => {
                    if word == Word::End {
                        info!("told to end");
                        told = true;
                        self.retire();
                    } else if let Some(keeper) = keeper.as_mut() {
                        keeper.say(word).await;
                    }
                    Duration::ZERO
                }
                Happened::Ended(with) => {
                    keeper = None;
                    code = with;
                    self.reaped(code);
                    Duration::ZERO
                }
                Happened::Late => {
                    warn!("the keeper does not end its command in time: both are killed");
                    if let Some(keeper) = keeper.as_mut() {
                        let _ = keeper.child.start_kill();
                        keeper.until = u64::MAX;
                    }
                    Duration::ZERO
                }
                Happened::Enough => {
                    warn!("could not seal in time: the next epoch waits for proof that this pod has ended");
                    return Ok(code);
                }
                Happened::Looked(looked) => {
                    let wrote = self.tell(looked, &mut said);
                    if wrote == Some(false) && keeper.is_none() && self.launcher.borrow().over {
                        return Ok(code);
                    }
                    if wrote == Some(false) && keeper.is_none() && self.is_lost() {
                        return Err(StartError::Lost);
                    }
                    if wrote == Some(true) { SOON } else { self.options.member.every }
                }
            };
            if let Err(error) = self.act(&mut keeper).await {
                warn!(%error, "the command cannot be started");
                code = NO_COMMAND;
                self.reaped(code);
            }
            if told && keeper.is_none() {
                enough.get_or_insert_with(|| Instant::now() + FAREWELL);
            }
        }
    }

    /// Looks once, and writes what the launcher wants the record to say. What it has decided holds before it is written.
    async fn look(&self) -> Result<bool, Trouble> {
        look(self.registry, |record, sent| {
            let (next, wish) = self.launcher.borrow().seen(record, sent);
            self.launcher.replace(next);
            self.record.replace(Some(record.clone()));
            wish
        })
        .await
    }

    /// Starts the command, goes on with it, or ends it, as the launcher may.
    async fn act(&self, keeper: &mut Option<Keeper>) -> io::Result<()> {
        let launcher = self.launcher.borrow().clone();
        let until = launcher.until.filter(|_| launcher.may_run(boot_time()));
        match (keeper.as_mut(), until) {
            (None, Some(until)) => {
                self.launcher.borrow_mut().runs = true;
                let mut started = self.start(until)?;
                started.say(Word::Until(until)).await;
                *keeper = Some(started);
            }
            (Some(keeper), Some(until)) if until > keeper.until => {
                keeper.until = until;
                keeper.say(Word::Until(until)).await;
            }
            // Lost or given up. A hold that ends by itself the keeper sees by itself.
            (Some(keeper), None) if launcher.over || launcher.until.is_none() => keeper.say(Word::End).await,
            (Some(_) | None, _) => {}
        }
        let epoch = self.record.borrow().as_ref().map_or(0, |record| record.tenure.epoch.0);
        self.counts.stand(self.launcher.borrow().runs, epoch, 0, false);
        Ok(())
    }

    fn start(&self, until: u64) -> io::Result<Keeper> {
        let record = self.record.borrow();
        let record = record.as_ref().ok_or_else(|| io::Error::other("nobody has seen a record"))?;
        let HandOver::Launcher(Held::Command, timing) = record.hand_over else {
            return Err(io::Error::other("the record hands over in another way"));
        };
        let mut command = Command::new(env::current_exe()?);
        command.arg("keep").arg("--grace").arg(self.options.grace.min(timing.hold / 2).to_string());
        if let Some(Placement { from, to }) = &self.options.key {
            command.arg("--key-from").arg(from).arg("--key-to").arg(to);
        }
        command.arg("--").args(&self.options.command);
        command.env("MAINSTAY_EPOCH", record.tenure.epoch.0.to_string());
        command.env("MAINSTAY_FLOOR", record.floor.0.to_string());
        // A group of its own: what a terminal sends to ours is passed on once, by us.
        let mut child = command.stdin(Stdio::piped()).process_group(0).spawn()?;
        info!(epoch = record.tenure.epoch.0, floor = record.floor.0, "the command is started");
        let ears = child.stdin.take().ok_or_else(|| io::Error::other("the keeper has no ears"))?;
        Ok(Keeper { child, ears, until })
    }

    /// The command has ended. It is started once: its successor is a new process, in a new epoch.
    fn reaped(&self, code: u8) {
        // If the keeper was killed, not all of it may have ended.
        strays::end_all();
        if let Some(Err(error)) = self.options.key.as_ref().map(Placement::wipe) {
            warn!("{error}");
        }
        self.launcher.borrow_mut().runs = false;
        self.retire();
        info!(code, "the command has ended");
    }

    fn retire(&self) {
        let retired = self.launcher.borrow().retired();
        self.launcher.replace(retired);
    }

    /// Says what is new about the record. Whether something was written; nothing if it could not be seen.
    fn tell(&self, looked: Result<bool, Trouble>, said: &mut String) -> Option<bool> {
        let (words, wrote) = match looked {
            Ok(wrote) => (self.odd().to_owned(), Some(wrote)),
            Err(trouble) => {
                self.counts.api_errors.inc();
                (trouble.to_string(), None)
            }
        };
        if words != *said && !words.is_empty() {
            warn!("{words}");
        } else if words != *said {
            info!("all is well again");
        }
        *said = words;
        wrote
    }

    /// What a person should know of the record.
    fn odd(&self) -> &'static str {
        let (record, launcher) = (self.record.borrow(), self.launcher.borrow());
        let Some(record) = record.as_ref() else { return "nobody has begun a record of this identity" };
        let holder = record.holder().filter(|holder| holder.pod.uid == launcher.me.pod.uid);
        if holder.is_some() && !matches!(record.hand_over, HandOver::Launcher(Held::Command, _)) {
            "this group hands over in another way: its pods run no command behind `mainstay gate ... --`"
        } else {
            ""
        }
    }

    fn is_lost(&self) -> bool {
        self.record.borrow().as_ref().is_some_and(|record| self.launcher.borrow().is_lost(record))
    }
}

/// A keeper and its command.
struct Keeper {
    child: Child,
    ears: ChildStdin,
    /// What it was told last.
    until: u64,
}

impl Keeper {
    async fn say(&mut self, word: Word) {
        // One that has ended is heard of, and one that hears nothing is late.
        let _ = timeout(WORD, self.ears.write_all(word.line().as_bytes())).await;
    }
}

async fn ended(keeper: Option<&mut Keeper>) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let Some(keeper) = keeper else { return std::future::pending().await };
    let status = keeper.child.wait().await;
    let code = status.ok().and_then(|status| status.code().or_else(|| Some(128 + status.signal()?)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

async fn reached(instant: Option<u64>) {
    match instant {
        Some(instant) => sleep(Duration::from_millis(instant.saturating_sub(boot_time()))).await,
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
