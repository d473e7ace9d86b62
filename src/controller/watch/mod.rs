//! Long-lived watches of one kind each, and the caches they feed.
//!
//! kube's own `watcher` does without three things that are needed here: it never lists again when the *start* of a
//! watch is refused, its backoff starts anew with each list, and the cache keeps the old version of an object that
//! cannot be read any more. So this is a loop of its own over kube's requests: list, watch, and again from the start
//! whenever anything is in doubt.

mod guarded;
mod store;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

pub use store::{Changes, Store};

use super::clients::{CacheAge, MonoClock};

pub use crate::world::Key;

/// A kind that can be watched.
pub trait Kind: DeserializeOwned + Send + Sync + 'static {
    /// The type that says where the API server has it: the kind itself, but for slim views of a larger one.
    type Served: Resource<DynamicType = ()>;
}

impl<K> Kind for K
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static,
{
    type Served = Self;
}

/// An object that the API server has and that is not what its type says. It hurts only itself, and what was known of
/// it before does not count any more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Invalid {
    /// Which.
    pub key: Key,
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// Its generation; 0 if the kind has none.
    pub generation: i64,
    /// Why it cannot be read.
    pub why: String,
    /// What its status shows now.
    pub conditions: Vec<Condition>,
}

/// Where to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere; also for kinds without a namespace.
    All,
    /// In these namespaces, each by a stream of its own.
    Namespaces(Vec<String>),
}

/// How a stream fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// Nothing was heard yet.
    Starting,
    /// The cache follows the API server.
    Live,
    /// It does not, for this reason: no permission, no such kind in the cluster, no answer…
    Waiting(String),
}

/// What happens on a stream, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// A complete list was read.
    Listed,
    /// A watch was started.
    Started,
    /// An event was taken over.
    Applied,
    /// An event was older than what is known, or said the same.
    Stale,
    /// An object could not be read.
    Invalid,
    /// The stream was silent for too long and was torn down.
    Frozen,
    /// A list or a watch failed.
    Failed,
}

impl Happening {
    /// A static label for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Started => "started",
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Invalid => "invalid",
            Self::Frozen => "frozen",
            Self::Failed => "failed",
        }
    }
}

/// Counts what happens on the streams of a kind, which is given by its plural.
pub trait Counters: Send + Sync {
    /// It happened once more.
    fn count(&self, kind: &str, what: Happening);
}

/// Counts nothing.
impl Counters for () {
    fn count(&self, _kind: &str, _what: Happening) {}
}

/// What a watch needs besides its kind and scope.
#[derive(Clone)]
pub struct WatchEnv {
    /// A client without retry and without a limit on silence: `Clients::watcher`.
    pub client: Client,
    /// Where signs of life are told.
    pub cache_age: CacheAge,
    /// This process's monotonic clock.
    pub clock: MonoClock,
    /// Counts what happens.
    pub counters: Arc<dyn Counters>,
}

/// Watches a kind: the cache, and the future that feeds it as long as it is polled. That future never ends.
pub fn watch<K: Kind>(env: &WatchEnv, scope: &Scope) -> (Store<K>, impl Future<Output = ()> + Send + use<K>) {
    let namespaces: Vec<Option<String>> = match scope {
        Scope::All => vec![None],
        Scope::Namespaces(names) => {
            let mut names = names.clone();
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(Some).collect()
        }
    };
    let store = Store::new(kind::<K>(), &namespaces, env.cache_age.clone());
    let streams: Vec<_> = namespaces
        .into_iter()
        .enumerate()
        .map(|(index, namespace)| stream::Stream::new(env, &store, index, namespace.as_deref()).run())
        .collect();
    (store, async move {
        futures::future::join_all(streams).await;
    })
}

/// The plural of a kind, by which it is counted and its age is asked for.
fn kind<K: Kind>() -> String {
    K::Served::plural(&()).into_owned()
}
