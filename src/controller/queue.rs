//! A work queue with one entry per key: pushed twice it runs once, never twice at the same time, and a later time
//! never postpones an earlier one.
//!
//! `kube::runtime`'s own runner would want kube's store, whose watch has defects that `watch` does without.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    due: Mutex<Due<K>>,
    /// When the work that is under way began.
    begun: Mutex<BTreeMap<K, Mono>>,
    woken: Notify,
}

/// Each key once, by key and by time: thousands of keys are found without a look at all of them.
#[derive(Debug)]
struct Due<K> {
    at: BTreeMap<K, Mono>,
    order: BTreeSet<(Mono, K)>,
}

impl<K: Ord + Clone> Due<K> {
    fn push(&mut self, key: K, at: Mono) {
        if let Some(known) = self.at.get(&key).copied() {
            if known <= at {
                return;
            }
            self.order.remove(&(known, key.clone()));
        }
        self.at.insert(key.clone(), at);
        self.order.insert((at, key));
    }

    fn remove(&mut self, key: &K) {
        if let Some(at) = self.at.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let due = Due { at: BTreeMap::new(), order: BTreeSet::new() };
        Arc::new(Self { due: Mutex::new(due), begun: Mutex::default(), woken: Notify::new() })
    }

    /// Makes `key` due at `at`, unless it is due earlier already.
    pub fn push(&self, key: K, at: Mono) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.push(key, at);
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
        match due.order.iter().find(|(_, key)| !busy.contains_key(key)).cloned() {
            Some((at, key)) if at <= now => {
                due.remove(&key);
                Ok(key)
            }
            other => Err(other.map(|(at, _)| at)),
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::telemetry::SystemClock;

    // P12: ten thousand policies.
    #[tokio::test]
    async fn each_of_many_has_its_turn_before_any_has_a_second() {
        const KEYS: usize = 10_000;
        let queue = Queue::new();
        for _ in 0..3 {
            (0..KEYS).for_each(|key| queue.push(key, Mono(0)));
        }
        let (done, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        let work = {
            let (done, stop) = (Arc::clone(&done), stop.clone());
            move |key: usize| {
                let (done, stop) = (Arc::clone(&done), stop.clone());
                async move {
                    let mut done = done.lock().unwrap();
                    done.push(key);
                    if done.len() >= 2 * KEYS {
                        stop.cancel();
                    }
                    // Each asks for another turn at once.
                    Some(0)
                }
            }
        };
        run("test", Arc::clone(&queue), Arc::new(SystemClock::start()), 8, stop, work).await;
        let mut first: Vec<usize> = done.lock().unwrap()[..KEYS].to_vec();
        first.sort_unstable();
        assert_eq!(
            first,
            (0..KEYS).collect::<Vec<_>>(),
            "pushed three times, one entry each, and none comes twice"
        );
    }
}
