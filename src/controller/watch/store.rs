//! The cache of one kind: cheap to read, and it tells which objects changed.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{Notify, watch};

use super::{
    Invalid, Key, WatchState,
    guarded::{Guarded, Head},
    table::Table,
};
use crate::{controller::clients::CacheAge, signal::Mono};

/// The cache of one kind. Clones share it.
pub struct Store<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    kind: String,
    ages: CacheAge,
    inner: Mutex<Inner<K>>,
    ready: watch::Sender<bool>,
}

struct Inner<K> {
    table: Table<K>,
    streams: Vec<StreamStatus>,
    subscribers: Vec<Weak<Dirty>>,
}

struct StreamStatus {
    namespace: Option<String>,
    state: WatchState,
    listed: bool,
}

/// Which objects changed since the last look. Coalesced: an object that changed a thousand times is told once.
pub struct Changes {
    dirty: Arc<Dirty>,
}

#[derive(Default)]
struct Dirty {
    keys: Mutex<BTreeSet<Key>>,
    woken: Notify,
}

impl<K> Store<K> {
    pub(super) fn new(kind: String, namespaces: &[Option<String>], ages: CacheAge) -> Self {
        let streams = namespaces
            .iter()
            .map(|namespace| StreamStatus {
                namespace: namespace.clone(),
                state: WatchState::Starting,
                listed: false,
            })
            .collect();
        let inner = Mutex::new(Inner { table: Table::default(), streams, subscribers: Vec::new() });
        let ready = watch::Sender::new(namespaces.is_empty());
        Self { shared: Arc::new(Shared { kind, ages, inner, ready }) }
    }

    /// The object of that name, if there is one and it can be read. The namespace of a kind without is empty.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.inner().table.get(&Key { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Every object that can be read, by namespace and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<K>> {
        self.inner().table.list()
    }

    /// Why the object of that name cannot be read, if it cannot.
    #[must_use]
    pub fn unreadable(&self, namespace: &str, name: &str) -> Option<Arc<Invalid>> {
        self.inner().table.unreadable(&Key { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Every object that cannot.
    #[must_use]
    pub fn invalid(&self) -> Vec<Arc<Invalid>> {
        self.inner().table.invalid()
    }

    /// Whatever changes from now on; to begin with, everything there is.
    #[must_use]
    pub fn subscribe(&self) -> Changes {
        let dirty = Arc::new(Dirty::default());
        let mut inner = self.inner();
        dirty.mark(inner.table.keys().cloned());
        inner.subscribers.retain(|other| other.strong_count() > 0);
        inner.subscribers.push(Arc::downgrade(&dirty));
        Changes { dirty }
    }

    /// Waits until every stream was listed once. Before that an absent object means nothing.
    pub async fn ready(&self) {
        let mut ready = self.shared.ready.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Whether every stream was listed once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.shared.ready.borrow()
    }

    /// How it fares: the first stream that waits, else the first that has not started, else live.
    #[must_use]
    pub fn state(&self) -> WatchState {
        let inner = self.inner();
        for stream in &inner.streams {
            if let (WatchState::Waiting(why), Some(namespace)) = (&stream.state, &stream.namespace) {
                return WatchState::Waiting(format!("{} in {namespace}: {why}", self.kind()));
            }
            if let WatchState::Waiting(why) = &stream.state {
                return WatchState::Waiting(format!("{}: {why}", self.kind()));
            }
        }
        if inner.streams.iter().any(|stream| stream.state == WatchState::Starting) {
            return WatchState::Starting;
        }
        WatchState::Live
    }

    /// Age (milliseconds): how long ago the stream that is worst off gave a sign of life. `None` if one never did.
    #[must_use]
    pub fn age(&self, now: Mono) -> Option<u64> {
        self.shared.ages.age(self.kind(), now)
    }

    /// The plural of its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.shared.kind
    }

    /// Takes over an added or modified object; returns whether it was news.
    pub(super) fn apply(&self, object: Guarded<K>) -> bool {
        let key = object.head.key.clone();
        let mut inner = self.inner();
        let news = inner.table.apply(object);
        if news {
            inner.tell(&BTreeSet::from([key]));
        }
        news
    }

    /// Takes over a deletion; returns whether it was news.
    pub(super) fn remove(&self, head: &Head) -> bool {
        let mut inner = self.inner();
        let news = inner.table.remove(head);
        if news {
            inner.tell(&BTreeSet::from([head.key.clone()]));
        }
        news
    }

    /// Takes over the complete list of a stream.
    pub(super) fn replace(&self, stream: usize, list: Vec<Guarded<K>>) {
        let mut inner = self.inner();
        let Inner { table, streams, .. } = &mut *inner;
        let Some(status) = streams.get_mut(stream) else { return };
        let changed = table.replace(status.namespace.as_deref(), list);
        status.listed = true;
        let all = streams.iter().all(|stream| stream.listed);
        inner.tell(&changed);
        drop(inner);
        if all {
            self.shared.ready.send_replace(true);
        }
    }

    /// Sets how a stream fares; returns whether that is new.
    pub(super) fn set_state(&self, stream: usize, state: WatchState) -> bool {
        let mut inner = self.inner();
        let Some(status) = inner.streams.get_mut(stream) else { return false };
        let news = status.state != state;
        status.state = state;
        news
    }

    fn inner(&self) -> MutexGuard<'_, Inner<K>> {
        // Every change leaves the table whole, so a panic elsewhere does not make it wrong.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K> Inner<K> {
    fn tell(&self, keys: &BTreeSet<Key>) {
        for dirty in self.subscribers.iter().filter_map(Weak::upgrade) {
            dirty.mark(keys.iter().cloned());
        }
    }
}

impl Changes {
    /// Waits for changes and takes them: added, modified, deleted and unreadable objects alike. Cancelling it loses
    /// nothing.
    pub async fn changed(&mut self) -> Vec<Key> {
        loop {
            let woken = self.dirty.woken.notified();
            let keys = mem::take(&mut *self.dirty.keys());
            if !keys.is_empty() {
                return keys.into_iter().collect();
            }
            woken.await;
        }
    }
}

impl Dirty {
    fn mark(&self, keys: impl Iterator<Item = Key>) {
        let mut dirty = self.keys();
        dirty.extend(keys);
        if !dirty.is_empty() {
            self.woken.notify_one();
        }
    }

    fn keys(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
