//! What a client has only while its member holds the place, in a gate that runs no command: a key, an identity. When it may be there is
//! what a launcher decides of its command (`failover::gate::launch`); how it is given and taken is the [`Tenant`]'s.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    counts::Counts,
    launcher::look,
    member::{Member, Pages, StartError, told_to_end},
    registry::{self, Registry},
};
use crate::failover::{Boot, HandOver, Held as Kept, Record, gate::Launcher};

/// How long a process that was told to end tries to seal, after what it takes to take it away.
const FAREWELL: Duration = Duration::from_secs(10);

/// Something that is given to a client and taken away again.
pub trait Tenant {
    /// What gives and takes it, in words.
    const GIVER: &'static str;
    /// What it is.
    const KEPT: Kept;

    /// How long it takes to take it away, when all goes well.
    fn leaves_within(&self) -> Duration;

    /// Gives it, takes it, or sees that it stays where it is; or says what a person should know. It is asked again and again.
    fn act(&mut self, held: &mut Held) -> impl Future<Output = Result<(), String>>;

    /// Whether the client is without it, for all that is known.
    fn is_out(&self) -> bool;

    /// What a seal says beside the height.
    fn sealed(&self, seal: Record) -> Record {
        seal
    }
}

/// Where it is. `L` is how far it is on its way out.
#[derive(Debug)]
pub enum Stage<L> {
    /// Not with the client, for all that is known.
    Out,
    /// With it, or on its way there.
    In,
    /// On its way out.
    Leaving(L),
}

/// What is known of the place.
#[derive(Debug)]
pub struct Held {
    /// When it may be there.
    pub launcher: Launcher,
    /// The record, as it was seen last.
    pub record: Option<Record>,
    /// What is shown.
    pub counts: Counts,
}

impl Held {
    /// Shows whether it is there.
    pub fn show(&self, is_there: bool, needs_help: bool) {
        let epoch = self.record.as_ref().map_or(0, |record| record.tenure.epoch.0);
        self.counts.stand(is_there, epoch, 0, needs_help);
    }

    /// The record that names this pod as holder.
    #[must_use]
    pub fn own(&self) -> Option<&Record> {
        let mine =
            |record: &&Record| record.holder().is_some_and(|holder| holder.pod.uid == self.launcher.me.pod.uid);
        self.record.as_ref().filter(mine)
    }
}

/// Looks after a tenant until told to end, or until its epoch is over and sealed.
pub async fn run<T: Tenant>(member: &Member, mut tenant: T) -> Result<(), StartError> {
    let boot = member.drawn()?.boot;
    let (registry, listener) = member.connect().await?;
    let counts = Counts::default();
    let asked = told_to_end()?;
    info!(identity = member.identity, boot = format!("{:032x}", boot.0), "the gate of {} is up", T::GIVER);

    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
    let pages = Pages::serve(listener, &counts, &over);
    let told = stop.clone();
    tokio::spawn(async move {
        asked.await;
        told.cancel();
    });
    let ended = stand(member, &registry, boot, counts, &mut tenant, &stop).await;
    over.cancel();
    pages.ended().await;
    ended
}

/// Stands at its post until it was told to end, or its epoch is over and sealed; or until it is clear that its pod is lost.
pub async fn stand<R: Registry, T: Tenant>(
    member: &Member,
    registry: &R,
    boot: Boot,
    counts: Counts,
    tenant: &mut T,
    stop: &CancellationToken,
) -> Result<(), StartError> {
    let mut held = Held { launcher: Launcher::new(member.me(boot), T::KEPT), record: None, counts };
    let (mut enough, mut said) = (None, String::new());
    loop {
        if stop.is_cancelled() && enough.is_none() {
            info!("told to end");
            held.launcher = held.launcher.retired();
            enough = Some(Instant::now() + tenant.leaves_within() + FAREWELL);
        }
        // What is given up in this turn is sealed in the next.
        let was_over = held.launcher.over && tenant.is_out();
        let looked = see(registry, &mut held, tenant).await;
        let words = match &looked {
            Ok(_) => tenant.act(&mut held).await.err().unwrap_or_default(),
            Err(trouble) => {
                held.counts.api_errors.inc();
                // Also while the API server is away: a hold ends by itself.
                let _ = tenant.act(&mut held).await;
                trouble.to_string()
            }
        };
        let is_calm = words.is_empty() && tenant.is_out();
        tell::<T>(&held, words, &mut said);
        if matches!(looked, Ok(false)) && was_over {
            return Ok(());
        }
        if is_calm && held.record.as_ref().is_some_and(|record| held.launcher.is_lost(record)) {
            return Err(StartError::Lost);
        }
        if enough.is_some_and(|enough| Instant::now() >= enough) {
            warn!("could not seal in time: the next epoch waits for proof that this pod has ended");
            return Ok(());
        }
        tokio::select! {
            () = sleep(member.every) => {}
            () = stop.cancelled(), if enough.is_none() => {}
        }
    }
}

/// Looks once, and writes what the launcher wants the record to say.
async fn see<R: Registry, T: Tenant>(
    registry: &R,
    held: &mut Held,
    tenant: &T,
) -> Result<bool, registry::Trouble> {
    look(registry, |record, sent| {
        let (next, wish) = held.launcher.seen(record, sent);
        held.launcher = next;
        held.record = Some(record.clone());
        wish.map(|wish| if wish.sealed.is_some() { tenant.sealed(wish) } else { wish })
    })
    .await
}

/// Says what is new.
fn tell<T: Tenant>(held: &Held, mut words: String, said: &mut String) {
    let in_this_way = |record: &Record| matches!(record.hand_over, HandOver::Launcher(kept, _) if kept == T::KEPT);
    if words.is_empty() && held.own().is_some_and(|record| !in_this_way(record)) {
        words = format!("this group hands over another way: its pods run no gate of {}", T::GIVER);
    }
    if words != *said && !words.is_empty() {
        warn!("{words}");
    } else if words != *said {
        info!("all is well again");
    }
    *said = words;
}
