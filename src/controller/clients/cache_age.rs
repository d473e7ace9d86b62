//! How old the caches are: a watch that froze looks exactly like one on which nothing happens.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::signal::Mono;

/// When each stream of each kind last gave a sign of life: a list, the head of a watch's answer, or an event,
/// bookmarks among them.
#[derive(Clone, Debug, Default)]
pub struct CacheAge {
    streams: Arc<Mutex<BTreeMap<StreamKey, Option<Mono>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StreamKey {
    kind: String,
    namespace: Option<String>,
}

/// One stream's pulse. The stream counts as long as this lives.
#[derive(Debug)]
pub struct Pulse {
    ages: CacheAge,
    key: StreamKey,
}

impl CacheAge {
    /// Age (milliseconds) of the cache of a kind, by its plural such as `pods`: that of its oldest stream. `None`
    /// while nothing watches it, or a stream has never been alive.
    #[must_use]
    pub fn age(&self, kind: &str, now: Mono) -> Option<u64> {
        self.oldest(now, |key| key.kind == kind)
    }

    /// Age (milliseconds) of the cache of a kind as far as one namespace goes: a namespace that may not be read does
    /// not age the others.
    #[must_use]
    pub fn age_in(&self, kind: &str, namespace: &str, now: Mono) -> Option<u64> {
        let covers = |key: &StreamKey| key.namespace.as_deref().is_none_or(|own| own == namespace);
        self.oldest(now, |key| key.kind == kind && covers(key))
    }

    fn oldest(&self, now: Mono, wanted: impl Fn(&StreamKey) -> bool) -> Option<u64> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let mut oldest = None;
        for (_, beat) in streams.iter().filter(|(key, _)| wanted(key)) {
            let age = now.since((*beat)?);
            oldest = oldest.max(Some(age));
        }
        oldest
    }

    /// Announces a stream of a kind, in one namespace or in all.
    #[must_use]
    pub fn stream(&self, kind: &str, namespace: Option<&str>) -> Pulse {
        let key = StreamKey { kind: kind.to_owned(), namespace: namespace.map(ToOwned::to_owned) };
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), None);
        Pulse { ages: self.clone(), key }
    }
}

impl Pulse {
    /// The stream was alive at `at`.
    pub fn beat(&self, at: Mono) {
        let mut streams = self.ages.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(beat) = streams.get_mut(&self.key) {
            *beat = Some(beat.map_or(at, |known| known.max(at)));
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.ages.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_as_old_as_its_oldest_stream() {
        let ages = CacheAge::default();
        assert_eq!(ages.age("pods", Mono(0)), None);
        let (a, b) = (ages.stream("pods", Some("a")), ages.stream("pods", Some("b")));
        let other = ages.stream("networks", None);
        a.beat(Mono(100));
        assert_eq!(ages.age("pods", Mono(150)), None, "b was never alive");
        b.beat(Mono(140));
        other.beat(Mono(0));
        assert_eq!(ages.age("pods", Mono(150)), Some(50));
        assert_eq!(ages.age_in("pods", "b", Mono(150)), Some(10));
        assert_eq!(ages.age_in("networks", "b", Mono(150)), Some(150));
        drop(a);
        assert_eq!(ages.age("pods", Mono(150)), Some(10));
    }
}
