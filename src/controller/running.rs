//! Tasks that run for as long as they are wanted.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::Hash,
};

use tokio_util::sync::CancellationToken;

/// Running tasks, each by what it is for, with what ends it.
#[derive(Debug)]
pub struct Running<K>(HashMap<K, CancellationToken>);

impl<K> Default for Running<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Running<K> {
    /// Ends what is not wanted any more, and starts what is new. Everything ends with `stop`.
    pub fn follow(
        &mut self,
        wanted: HashSet<K>,
        stop: &CancellationToken,
        mut start: impl FnMut(K, CancellationToken),
    ) {
        self.0.retain(|key, running| {
            let keep = wanted.contains(key);
            if !keep {
                running.cancel();
            }
            keep
        });
        for key in wanted {
            if let Entry::Vacant(entry) = self.0.entry(key) {
                let running = stop.child_token();
                start(entry.key().clone(), running.clone());
                entry.insert(running);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_runs_and_the_rest_ends() {
        let (stop, mut running, mut started) = (CancellationToken::new(), Running::default(), Vec::new());
        running.follow([1, 2].into(), &stop, |key, token| started.push((key, token)));
        running.follow([2, 3].into(), &stop, |key, token| started.push((key, token)));
        let ended = |of: i32| started.iter().find(|(key, _)| *key == of).map(|(_, token)| token.is_cancelled());
        assert_eq!((started.len(), ended(1), ended(2), ended(3)), (3, Some(true), Some(false), Some(false)));
        stop.cancel();
        assert_eq!((ended(2), ended(3)), (Some(true), Some(true)));
    }
}
