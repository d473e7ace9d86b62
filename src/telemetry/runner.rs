//! Polls every source of every target at its own pace, and lets none of them disturb the others.

use std::{
    any::Any,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{clock::Clock, source::Source, text::excerpt};
use crate::signal::{Mono, Poll, Unknown};

/// How many polls may be under way at once, over all targets. Each costs a socket and at most one answer in memory.
pub const SIMULTANEOUS_POLLS: usize = 256;

/// Heights at which the nodes of a network are compared; they change as its head rises.
pub type Asks = watch::Receiver<Arc<[u64]>>;

/// One source of one target.
#[derive(Debug)]
pub struct Probe<K, S> {
    /// Whom the polls are about. Its hash decides when within the interval the source is asked, so it should also
    /// name the source if a target has several.
    pub key: K,
    /// Who is asked.
    pub source: S,
    /// How often.
    pub every: Duration,
    /// Heights at which it should tell its block.
    pub asks: Asks,
}

/// What all probes share.
pub struct Runner<K> {
    clock: Arc<dyn Clock>,
    out: mpsc::Sender<(K, Poll)>,
    permits: Arc<Semaphore>,
}

// === impl Runner ===

impl<K: Clone + Hash + Send + Sync + 'static> Runner<K> {
    /// A runner that sends what it learns to `out`, and keeps at most `simultaneous` polls under way.
    ///
    /// When `out` is full the probes wait: samples carry the time they were observed, so a late one is known as late.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, out: mpsc::Sender<(K, Poll)>, simultaneous: usize) -> Self {
        Self { clock, out, permits: Arc::new(Semaphore::new(simultaneous)) }
    }

    /// Polls until `stop`, or until nobody listens any more. To be spawned by the caller, one task per probe.
    ///
    /// At most one poll is under way; ticks that pass meanwhile are skipped, not made up for. A poll that panics is
    /// one failed poll.
    pub fn run<S: Source + 'static>(
        &self,
        mut probe: Probe<K, S>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (clock, out, permits) = (Arc::clone(&self.clock), self.out.clone(), Arc::clone(&self.permits));
        async move {
            stop.run_until_cancelled(async {
                let every = u64::try_from(probe.every.as_millis()).unwrap_or(u64::MAX).max(1);
                let phase = phase(&probe.key, every);
                loop {
                    tokio::time::sleep(Duration::from_millis(until_next(clock.mono(), every, phase))).await;
                    // The target's deadline starts in the poll: a queue on our side is not its silence.
                    let Ok(permit) = permits.acquire().await else { return };
                    let asks = Arc::clone(&probe.asks.borrow());
                    let poll = guarded(&mut probe.source, clock.as_ref(), &asks).await;
                    drop(permit);
                    if out.send((probe.key.clone(), poll)).await.is_err() {
                        return;
                    }
                }
            })
            .await;
        }
    }
}

/// One poll; a panic in it becomes a failure on our side.
async fn guarded<S: Source>(source: &mut S, clock: &dyn Clock, asks: &[u64]) -> Poll {
    let asked_at = clock.mono();
    match AssertUnwindSafe(source.poll(clock, asks)).catch_unwind().await {
        Ok(poll) => poll,
        Err(panic) => {
            let why = Unknown::OurSide(format!("the probe panicked: {}", message(panic.as_ref())));
            let values = source.signals().iter().map(|signal| (*signal, Err(why.clone()))).collect();
            Poll { asked_at, observed_at: clock.mono(), values, ..Poll::default() }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    excerpt(text.unwrap_or("no message").as_bytes())
}

/// Where in its interval a probe is at home: spread evenly over the probes, and the same whenever it is asked for. There
/// are a hundred such places, so that a thousand probes wake this process a hundred times in an interval and not a
/// thousand times: most of the cost of a small poll is the waking.
fn phase<K: Hash>(key: &K, every: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let apart = (every / 100).max(1);
    hasher.finish() % every / apart * apart
}

/// Milliseconds until the next instant that lies `phase` after a multiple of `every`; at least 1, at most `every`.
fn until_next(now: Mono, every: u64, phase: u64) -> u64 {
    let since = (now.0 % every + every - phase % every) % every;
    every - since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_tick_is_always_ahead() {
        assert_eq!(until_next(Mono(0), 1000, 0), 1000);
        assert_eq!(until_next(Mono(0), 1000, 250), 250);
        assert_eq!(until_next(Mono(249), 1000, 250), 1);
        assert_eq!(until_next(Mono(250), 1000, 250), 1000);
        assert_eq!(until_next(Mono(7_777), 1000, 250), 473);
        assert_eq!(until_next(Mono(5), 1, 0), 1);
    }

    #[test]
    fn a_thousand_targets_do_not_fire_at_once() {
        let mut tenths = [0; 10];
        for target in 0..1000 {
            tenths[usize::try_from(phase(&format!("val-{target}"), 1000) / 100).unwrap()] += 1;
        }
        assert!(tenths.into_iter().all(|fired| (50..=150).contains(&fired)), "{tenths:?}");
    }
}
