//! What a list or an event does to the cache. No I/O: lists and events in, changed keys out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    Invalid, Key,
    guarded::{Guarded, Head},
};

/// How many deleted objects are remembered, so that a late event does not bring one back.
const GRAVES: usize = 256;

/// The objects of one kind.
pub(super) struct Table<K> {
    entries: BTreeMap<Key, Entry<K>>,
    graves: VecDeque<String>,
}

struct Entry<K> {
    uid: String,
    version: String,
    object: Result<Arc<K>, Arc<Invalid>>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), graves: VecDeque::new() }
    }
}

impl<K> Table<K> {
    /// The object, unless it cannot be read.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.entries.get(key)?.object.as_ref().ok().map(Arc::clone)
    }

    /// Why the object of that name cannot be read, if it cannot.
    pub fn unreadable(&self, key: &Key) -> Option<Arc<Invalid>> {
        self.entries.get(key)?.object.as_ref().err().map(Arc::clone)
    }

    /// All that can be read, by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.entries.values().filter_map(|entry| entry.object.as_ref().ok()).map(Arc::clone).collect()
    }

    /// All that cannot be read.
    pub fn invalid(&self) -> Vec<Arc<Invalid>> {
        self.entries.values().filter_map(|entry| entry.object.as_ref().err()).map(Arc::clone).collect()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.keys()
    }

    /// An object was added or modified. What cannot be read replaces the version that could: acting on what somebody
    /// has just changed would be acting on nothing. Returns whether it was news.
    pub fn apply(&mut self, event: Guarded<K>) -> bool {
        let Head { key, uid, version } = &event.head;
        // A uid never comes back: this event is older than the deletion.
        if self.graves.contains(uid) {
            return false;
        }
        if self.entries.get(key).is_some_and(|known| !is_newer(version, &known.version)) {
            return false;
        }
        self.insert(event);
        true
    }

    /// An object was deleted. Returns whether it was news.
    pub fn remove(&mut self, head: &Head) -> bool {
        if !self.graves.contains(&head.uid) {
            self.graves.truncate(GRAVES - 1);
            self.graves.push_front(head.uid.clone());
        }
        // Another object of that name may be there by now.
        let same = self.entries.get(&head.key).is_some_and(|known| known.uid == head.uid);
        if same {
            self.entries.remove(&head.key);
        }
        same
    }

    /// A list of one namespace, or of all of them, says what is there. It is always believed, even if its versions
    /// went back: then etcd was restored, and what was known is what never happened. Returns what changed.
    pub fn replace(&mut self, namespace: Option<&str>, list: Vec<Guarded<K>>) -> BTreeSet<Key> {
        self.graves.clear();
        let within = |key: &Key| namespace.is_none_or(|namespace| key.namespace == namespace);
        let listed: BTreeSet<_> = list.iter().map(|object| object.head.key.clone()).collect();
        let gone = |key: &&Key| within(key) && !listed.contains(*key);
        let mut changed: BTreeSet<_> = self.entries.keys().filter(gone).cloned().collect();
        for key in &changed {
            self.entries.remove(key);
        }
        for object in list {
            let Head { key, uid, version } = &object.head;
            let same = self.entries.get(key).is_some_and(|known| known.uid == *uid && known.version == *version);
            if !same {
                changed.insert(key.clone());
                self.insert(object);
            }
        }
        changed
    }

    fn insert(&mut self, object: Guarded<K>) {
        let Guarded { head: Head { key, uid, version }, object } = object;
        self.entries.insert(key, Entry { uid, version, object });
    }
}

/// Whether a version is newer. Versions are numbers of one etcd; where they are not, nothing can be said, and the
/// later word counts.
pub(super) fn is_newer(version: &str, known: &str) -> bool {
    match (version.parse::<u64>(), known.parse::<u64>()) {
        (Ok(version), Ok(known)) => version > known,
        _ => version != known,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(name: &str, uid: &str, version: &str) -> Guarded<String> {
        let key = Key { namespace: "a".into(), name: name.into() };
        let head = Head { key, uid: uid.into(), version: version.into() };
        Guarded { head, object: Ok(Arc::new(format!("{name}@{version}"))) }
    }

    fn broken(name: &str, uid: &str, version: &str) -> Guarded<String> {
        let Guarded { head, .. } = object(name, uid, version);
        let (key, uid, resource_version) = (head.key.clone(), head.uid.clone(), head.version.clone());
        let why = "nonsense".into();
        Guarded {
            head,
            object: Err(Arc::new(Invalid {
                key,
                uid,
                resource_version,
                generation: 1,
                why,
                conditions: Vec::new(),
            })),
        }
    }

    fn names(table: &Table<String>) -> Vec<String> {
        table.list().iter().map(|object| String::clone(object)).collect()
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let mut table = Table::default();
        assert!(table.apply(object("val-0", "u1", "9")));
        assert!(table.apply(object("val-0", "u1", "10")));
        assert!(!table.apply(object("val-0", "u1", "9")));
        assert!(!table.apply(object("val-0", "u1", "10")));
        assert!(table.apply(object("val-0", "u2", "12")));
        assert!(!table.apply(object("val-0", "u1", "11")), "a former pod of that name");
        assert_eq!(names(&table), ["val-0@12"]);
    }

    #[test]
    fn versions_that_are_no_numbers_are_taken_as_they_come() {
        let mut table = Table::default();
        assert!(table.apply(object("val-0", "u1", "b")));
        assert!(table.apply(object("val-0", "u1", "a")));
        assert!(!table.apply(object("val-0", "u1", "a")));
        assert_eq!(names(&table), ["val-0@a"]);
    }

    #[test]
    fn what_was_deleted_stays_deleted() {
        let mut table = Table::default();
        table.apply(object("val-0", "u1", "5"));
        assert!(table.remove(&object("val-0", "u1", "7").head));
        assert!(!table.apply(object("val-0", "u1", "6")), "a late event");
        assert!(table.apply(object("val-0", "u2", "8")));
        assert!(!table.remove(&object("val-0", "u1", "7").head), "the same deletion once more");
        assert_eq!(names(&table), ["val-0@8"]);
    }

    #[test]
    fn the_memory_of_the_dead_is_bounded() {
        let mut table: Table<String> = Table::default();
        for n in 0..1_000 {
            table.remove(&object("a", &format!("u{n}"), "1").head);
        }
        assert_eq!(table.graves.len(), GRAVES);
        assert!(!table.apply(object("a", "u999", "1")));
    }

    #[test]
    fn an_object_that_cannot_be_read_replaces_the_version_that_could() {
        let mut table = Table::default();
        table.apply(object("policy", "u1", "5"));
        table.apply(object("other", "u2", "5"));
        assert!(table.apply(broken("policy", "u1", "6")));
        assert_eq!(names(&table), ["other@5"]);
        assert_eq!(table.invalid().len(), 1);
        assert_eq!((table.invalid()[0].why.as_str(), table.invalid()[0].uid.as_str()), ("nonsense", "u1"));
        assert!(table.apply(object("policy", "u1", "7")), "somebody mended it");
        assert!(table.invalid().is_empty());
    }

    #[test]
    fn a_list_removes_what_is_gone_from_its_own_namespace_only() {
        let mut table = Table::default();
        table.apply(object("val-0", "u1", "5"));
        table.apply(object("val-1", "u2", "5"));
        let mut elsewhere = object("val-9", "u9", "5");
        elsewhere.head.key.namespace = "b".into();
        table.apply(elsewhere);
        let changed = table.replace(Some("a"), vec![object("val-0", "u1", "5"), object("val-2", "u3", "6")]);
        let changed: Vec<_> = changed.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(changed, ["val-1", "val-2"]);
        assert_eq!(names(&table), ["val-0@5", "val-2@6", "val-9@5"]);
        assert_eq!(table.replace(None, Vec::new()).len(), 3);
    }

    #[test]
    fn a_list_from_before_is_believed() {
        let mut table = Table::default();
        table.apply(object("val-0", "u1", "900"));
        table.remove(&object("val-1", "u2", "901").head);
        table.replace(Some("a"), vec![object("val-0", "u1", "100"), object("val-1", "u2", "99")]);
        assert_eq!(names(&table), ["val-0@100", "val-1@99"]);
        assert!(table.apply(object("val-1", "u2", "101")));
    }

    #[derive(Clone, Debug)]
    enum Happened {
        Applied(&'static str, u32, u32),
        Removed(&'static str, u32, u32),
    }

    /// What really happened: objects of three names are made, changed and deleted, one version after the other.
    fn history(choices: &[(usize, bool)]) -> Vec<Happened> {
        let mut alive = [None; 3];
        let mut history = Vec::new();
        for (version, (which, remove)) in (1..).zip(choices) {
            let name = ["a", "b", "c"][*which];
            let uid = alive[*which].unwrap_or(version);
            if *remove && alive[*which].is_some() {
                history.push(Happened::Removed(name, uid, version));
                alive[*which] = None;
            } else {
                history.push(Happened::Applied(name, uid, version));
                alive[*which] = Some(uid);
            }
        }
        history
    }

    fn told(events: &[Happened]) -> Vec<String> {
        let mut table = Table::default();
        for event in events {
            match event {
                Happened::Applied(name, uid, version) => {
                    table.apply(object(name, &uid.to_string(), &version.to_string()));
                }
                Happened::Removed(name, uid, version) => {
                    table.remove(&object(name, &uid.to_string(), &version.to_string()).head);
                }
            }
        }
        names(&table)
    }

    proptest! {
        #[test]
        fn in_whatever_order_and_however_often_events_come_the_end_is_the_same(
            (history, told_as) in prop::collection::vec((0..3_usize, prop::bool::ANY), 1..24).prop_flat_map(|choices| {
                let history = history(&choices);
                let twice = [history.clone(), history.clone()].concat();
                (Just(history), Just(twice).prop_shuffle())
            })
        ) {
            prop_assert_eq!(told(&history), told(&told_as));
        }
    }
}
