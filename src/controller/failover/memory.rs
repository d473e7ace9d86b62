//! What this process remembers of a group while it leads, and would be no worse off without.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    api::FailoverGroup,
    failover::{Epoch, Phase, Record, Tenure, off},
    signal::Mono,
};

use super::{Context, Key, call::Call, keys::Whereabouts};

/// What a kubelet waits at most before it starts a container again (five minutes), and a minute in which it runs (milliseconds).
const LONGEST_BACKOFF: u64 = 360_000;
/// The state of a pod may be so old: a process claims its place before its kubelet has said that it runs (milliseconds).
const STALE: u64 = 5_000;

/// Of one group.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The tenure that was seen last.
    tenure: Option<Tenure>,
    /// Since when this process knows of its `Revoking`.
    revoking_since: Option<Mono>,
    /// Since when a container of the holder's pod is seen waiting at every look.
    waits_since: Option<Mono>,
    /// Why one did not stay up, and when that was seen last.
    not_up: Option<(String, Mono)>,
    /// Who held the place last.
    pub(super) former: Option<String>,
    /// And who held it before that.
    pub(super) before: Option<String>,
    /// Since when nobody can be seen to sign.
    pub(super) silent_since: Option<Mono>,
    /// When the chain's punishment was told first, while it is told.
    punished: Option<Mono>,
    /// What people are told of and is not over yet.
    pub(super) told: Vec<Call>,
    /// Where the key is in use, and when every signer was asked.
    pub(super) key: Whereabouts,
    pub(super) keys_asked: Option<Mono>,
    /// How many blocks may be missed, as a node told it, and when it was asked for.
    pub(super) misses: Option<u64>,
    pub(super) misses_asked: Option<Mono>,
    /// Which node the holder's pod is on, and what was seen of it.
    pub(super) machine: (String, off::Watch),
    /// Whether somebody took the latch from the holder's pod.
    pub(super) unlatched: bool,
    /// The group as it was read last: whom to call when it cannot be read any more, or is gone and its signer is not.
    pub(super) group: Option<Arc<FailoverGroup>>,
}

/// Of all.
pub type Memory = Mutex<BTreeMap<Key, Watched>>;

impl Watched {
    /// Remembers what only time tells.
    pub(super) fn note(&mut self, record: &Record, now: Mono) {
        if self.tenure != Some(record.tenure) {
            self.tenure = Some(record.tenure);
            self.revoking_since = None;
            (self.waits_since, self.not_up) = (None, None);
            self.before.clone_from(&self.former);
        }
        if let Some(holder) = record.holder() {
            self.former = Some(holder.pod.member.clone());
        }
        self.revoking_since = match record.phase {
            Phase::Revoking { .. } => self.revoking_since.or(Some(now)),
            Phase::Active(_) | Phase::Fenced(_) => None,
        };
    }

    /// Remembers why a container of the holder's pod does not run, if one does not. What a kubelet says of a pod comes a moment late.
    pub(super) fn saw_waiting(&mut self, why: &str, now: Mono) {
        if why.is_empty() {
            self.waits_since = None;
        } else if now.since(*self.waits_since.get_or_insert(now)) >= STALE {
            self.not_up = Some((why.to_owned(), now));
        }
    }

    /// Why one does not stay up: between two tries of the kubelet it runs for a moment.
    pub(super) fn waits(&self, now: Mono) -> &str {
        let recent = self.not_up.as_ref().filter(|(_, seen)| now.since(*seen) <= LONGEST_BACKOFF);
        recent.map_or("", |(why, _)| why)
    }

    /// For how long this process has known of `Revoking` (milliseconds).
    pub(super) fn revoking_for(&self, now: Mono) -> u64 {
        self.revoking_since.map_or(0, |since| now.since(since))
    }

    /// Whether a punishment was told twice: one answer may be a mistake, and what it leads to has no way back by itself.
    pub(super) fn is_punished(&mut self, told: Option<Mono>) -> bool {
        self.punished = told.map(|told| self.punished.unwrap_or(told));
        self.punished < told
    }

    /// The epoch that was seen last.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.tenure.map(|tenure| tenure.epoch)
    }
}

pub fn recall(ctx: &Context, group: &Key) -> Watched {
    all(ctx).get(group).cloned().unwrap_or_default()
}

pub fn remember(ctx: &Context, group: &Key, what: Watched) {
    all(ctx).insert(group.clone(), what);
}

/// Whoever leads no more sees no more what comes in between.
pub fn forget(ctx: &Context, group: &Key) {
    all(ctx).remove(group);
}

/// Forgets the groups that are no more, and whose signers nobody looks after.
pub fn retain(ctx: &Context, here: &BTreeSet<Key>) {
    all(ctx).retain(|group, _| here.contains(group));
}

fn all(ctx: &Context) -> MutexGuard<'_, BTreeMap<Key, Watched>> {
    // Plain data, whole whatever panicked elsewhere.
    ctx.failover.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{Activation, Epoch, Event, HandOver, Height, Pod, step};

    #[test]
    fn a_punishment_is_believed_when_it_is_told_twice() {
        let mut memory = Watched::default();
        let mut told = |at: Option<u64>| memory.is_punished(at.map(Mono));
        assert!(!told(Some(5)) && !told(Some(5)) && !told(None) && !told(Some(9)) && told(Some(11)));
    }

    #[test]
    fn a_container_that_runs_between_two_tries_does_not_stay_up() {
        let mut memory = Watched::default();
        let mut saw = |why, at| memory.saw_waiting(why, Mono(at));
        saw("CrashLoopBackOff", 1_000);
        saw("", 3_000);
        saw("CrashLoopBackOff", 8_000);
        assert_eq!(memory.waits(Mono(8_000)), "", "it may have come up meanwhile");
        memory.saw_waiting("CrashLoopBackOff", Mono(13_000));
        memory.saw_waiting("", Mono(14_000));
        assert_eq!(memory.waits(Mono(313_000)), "CrashLoopBackOff");
        assert_eq!(memory.waits(Mono(373_001)), "");
        memory.saw_waiting("CrashLoopBackOff", Mono(395_000));
        memory.saw_waiting("CrashLoopBackOff", Mono(400_000));
        memory.note(&Record::adopted(Epoch(5), Activation(1), Height(0)), Mono(401_000));
        assert_eq!(memory.waits(Mono(401_000)), "", "it was another holder's");
    }

    #[test]
    fn the_wait_begins_anew_with_every_tenure() {
        let pod = |uid: &str| Arc::new(Pod { member: "a".into(), uid: uid.into(), node: "n".into() });
        let revoking = |above: u64, uid: &str| {
            let fenced = Record::adopted(Epoch(above), Activation(above.into()), Height(0));
            let offer = Event::Offered { pod: pod(uid), activation: Activation(9), hand_over: HandOver::Gate };
            let active = step(&fenced, offer).0;
            step(&active, Event::Wanted { epoch: Epoch(above + 1) }).0
        };
        let (first, second) = (revoking(0, "u1"), revoking(1, "u2"));
        let mut memory = Watched::default();
        memory.note(&first, Mono(100));
        memory.note(&first, Mono(900));
        assert_eq!(memory.revoking_for(Mono(1_100)), 1_000);
        memory.note(&second, Mono(2_000));
        assert_eq!(memory.revoking_for(Mono(2_500)), 500);
        memory.note(&Record::adopted(Epoch(5), Activation(1), Height(0)), Mono(3_000));
        assert_eq!((memory.revoking_for(Mono(9_000)), memory.former.as_deref()), (0, Some("a")));
    }
}
