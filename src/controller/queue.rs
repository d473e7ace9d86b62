//! A work queue with one entry per key: pushed twice it runs once, never twice at the same time, and a later time
//! never postpones an earlier one.
//!
//! `kube::runtime`'s own runner would want kube's store, whose watch has defects that `watch` does without.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::signal::Mono;
use crate::telemetry::Clock;

/// Keys and when each is due.
#[derive(Debug)]
pub struct Queue<K> {
    due: Mutex<BTreeMap<K, Mono>>,
    /// When the work that is under way began.
    begun: Mutex<BTreeMap<K, Mono>>,
    woken: Notify,
}

impl<K: Ord + Clone> Queue<K> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { due: Mutex::default(), begun: Mutex::default(), woken: Notify::new() })
    }

    /// Makes `key` due at `at`, unless it is due earlier already.
    pub fn push(&self, key: K, at: Mono) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.entry(key).and_modify(|known| *known = at.min(*known)).or_insert(at);
        drop(due);
        self.woken.notify_one();
    }

    /// For how long (milliseconds) the oldest work is under way; 0 when none is.
    pub fn oldest(&self, now: Mono) -> u64 {
        self.begun().values().map(|begun| now.since(*begun)).max().unwrap_or(0)
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<K, Mono>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a key that is due and not `busy`; else says when the next one will be.
    fn pop(&self, now: Mono, busy: &BTreeMap<K, tokio::task::Id>) -> Result<K, Option<Mono>> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = due
            .iter()
            .filter(|(key, _)| !busy.contains_key(*key))
            .min_by_key(|(_, at)| **at)
            .map(|(key, at)| (key.clone(), *at));
        match next {
            Some((key, at)) if at <= now => {
                due.remove(&key);
                Ok(key)
            }
            other => Err(other.map(|(_, at)| at)),
        }
    }
}

/// Runs `work` on every key that becomes due, at most `concurrency` at once and one at a time per key, until `stop`;
/// then waits for those under way. `work` says when it wants to be called again (milliseconds), if at all. A panic
/// costs that one call: it is logged, and the key comes back later.
pub async fn run<K, W, F>(
    name: &'static str,
    queue: Arc<Queue<K>>,
    clock: Arc<dyn Clock>,
    concurrency: usize,
    stop: CancellationToken,
    work: W,
) where
    K: Ord + Clone + Send + std::fmt::Debug + 'static,
    W: Fn(K) -> F,
    F: Future<Output = Option<u64>> + Send + 'static,
{
    const AFTER_PANIC: u64 = 30_000;
    let mut running = JoinSet::new();
    let mut busy: BTreeMap<K, tokio::task::Id> = BTreeMap::new();
    loop {
        let mut wait = None;
        while running.len() < concurrency && !stop.is_cancelled() {
            match queue.pop(clock.mono(), &busy) {
                Ok(key) => {
                    queue.begun().insert(key.clone(), clock.mono());
                    let task = running.spawn(work(key.clone()));
                    busy.insert(key, task.id());
                }
                Err(next) => {
                    wait = next;
                    break;
                }
            }
        }
        if stop.is_cancelled() && running.is_empty() {
            return;
        }
        let sleep = wait.map_or(60_000, |at| at.since(clock.mono()).max(1));
        tokio::select! {
            Some(done) = running.join_next_with_id() => {
                let (id, again) = match done {
                    Ok((id, again)) => (id, again),
                    Err(error) => {
                        tracing::error!(controller = name, %error, "a reconcile ended by panic");
                        (error.id(), Some(AFTER_PANIC))
                    }
                };
                let key = busy.iter().find(|(_, task)| **task == id).map(|(key, _)| key.clone());
                if let Some(key) = key {
                    busy.remove(&key);
                    queue.begun().remove(&key);
                    if let Some(again) = again {
                        queue.push(key, clock.mono().plus(again));
                    }
                }
            }
            () = queue.woken.notified() => {}
            () = stop.cancelled(), if !stop.is_cancelled() => {}
            () = tokio::time::sleep(std::time::Duration::from_millis(sleep)) => {}
        }
    }
}
