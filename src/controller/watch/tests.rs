use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    api::Network,
    effect::fake::{Answer, Fake, Line},
    signal::Mono,
};

const PATH: &str = "/apis/mainstay.dev/v1alpha1/networks";

#[derive(Default)]
struct Counts(Mutex<BTreeMap<Happening, u32>>);

impl Counters for Counts {
    fn count(&self, kind: &str, what: Happening) {
        assert_eq!(kind, "networks");
        *self.0.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// A watch under way in paused time.
struct Rig {
    store: Store<Network>,
    fake: Arc<Fake>,
    counts: Arc<Counts>,
    clock: MonoClock,
    task: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let (client, fake) = Fake::answering(answers);
        let origin = tokio::time::Instant::now();
        let clock: MonoClock =
            Arc::new(move || Mono(u64::try_from((tokio::time::Instant::now() - origin).as_millis()).unwrap()));
        let counts = Arc::new(Counts::default());
        let env = WatchEnv {
            client,
            cache_age: CacheAge::default(),
            clock: Arc::clone(&clock),
            counters: Arc::clone(&counts) as _,
        };
        let (store, run) = watch::<Network>(&env, &Scope::All);
        Self { store, fake, counts, clock, task: tokio::spawn(run) }
    }

    async fn after(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Name and version of what is known.
    fn known(&self) -> Vec<String> {
        let known = self.store.list();
        known.iter().map(|network| format!("{}@{}", name(network), version(network))).collect()
    }

    /// What was asked: "LIST", or "WATCH" with the version from which.
    fn asked(&self) -> Vec<String> {
        let asked = |query: &str| match query.split_once("&resourceVersion=") {
            Some((query, version)) if query.starts_with("watch=true") => format!("WATCH {version}"),
            _ => "LIST".to_owned(),
        };
        self.fake.requests().iter().map(|request| asked(request.query())).collect()
    }

    fn count(&self, what: Happening) -> u32 {
        self.counts.0.lock().unwrap().get(&what).copied().unwrap_or(0)
    }

    fn age(&self) -> Option<u64> {
        self.store.age((self.clock)())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(network: &Network) -> &str {
    network.metadata.name.as_deref().unwrap_or_default()
}

fn version(network: &Network) -> &str {
    network.metadata.resource_version.as_deref().unwrap_or_default()
}

fn network(name: &str, version: u32) -> Value {
    json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "Network",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": version.to_string()},
        "spec": {"family": "CometBFT", "chainId": "hub-1", "blockTime": "6s"},
    })
}

fn broken(name: &str, version: u32) -> Value {
    let mut network = network(name, version);
    network["spec"]["blockTime"] = json!("soon");
    network
}

fn list(version: u32, items: &[Value]) -> Answer {
    Answer::json(
        200,
        json!({"kind": "NetworkList", "apiVersion": "mainstay.dev/v1alpha1",
        "metadata": {"resourceVersion": version.to_string()}, "items": items}),
    )
}

fn bookmark(version: u32) -> Line {
    let metadata = json!({"resourceVersion": version.to_string()});
    Line::event(
        "BOOKMARK",
        &json!({"kind": "Network", "apiVersion": "mainstay.dev/v1alpha1", "metadata": metadata}),
    )
}

fn expired() -> Line {
    Line::event(
        "ERROR",
        &json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version"}),
    )
}

/// What the server does when nothing happens.
fn idle() -> Answer {
    Answer::Watch(vec![Line::Pause(25_000)])
}

#[tokio::test(start_paused = true)]
async fn it_lists_by_pages_and_then_watches() {
    let page = json!({"kind": "NetworkList", "apiVersion": "v1", "metadata": {"continue": "more"},
        "items": [network("a", 1)]});
    let events = Answer::Watch(vec![
        Line::event("ADDED", &network("c", 11)),
        Line::event("MODIFIED", &network("a", 12)),
        Line::event("DELETED", &network("b", 13)),
        bookmark(20),
        Line::Pause(25_000),
    ]);
    let rig = Rig::new([Answer::json(200, page), list(10, &[network("b", 2)]), events, idle()]);
    assert_eq!((rig.store.is_ready(), rig.store.state(), rig.age()), (false, WatchState::Starting, None));
    rig.store.ready().await;
    rig.after(1).await;
    assert_eq!(rig.known(), ["a@12", "c@11"]);
    assert_eq!(rig.store.state(), WatchState::Live);
    let requests = rig.fake.requests();
    assert_eq!(requests[0].uri.path(), PATH);
    assert_eq!((requests[0].query(), requests[1].query()), ("limit=500", "limit=500&continue=more"));
    assert_eq!(requests[2].query(), "watch=true&timeoutSeconds=25&allowWatchBookmarks=true&resourceVersion=10");
    rig.after(30).await;
    assert_eq!(rig.asked(), ["LIST", "LIST", "WATCH 10", "WATCH 20"], "it goes on from the bookmark");
    assert_eq!((rig.count(Happening::Listed), rig.count(Happening::Failed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_idle_cache_stays_young() {
    let rig = Rig::new([list(10, &[]), idle(), idle(), idle(), idle()]);
    for _ in 0..90 {
        rig.after(1).await;
        assert!(rig.age().unwrap() <= 26_000);
    }
}

#[tokio::test(start_paused = true)]
async fn subscribers_hear_of_every_change_once() {
    let (first, second) = (network("a", 11), network("a", 12));
    let events = vec![Line::Pause(5_000), Line::event("MODIFIED", &first), Line::event("MODIFIED", &second)];
    let rig = Rig::new([list(10, &[network("a", 1), network("b", 1)]), Answer::Watch(events)]);
    let mut changes = rig.store.subscribe();
    let names = |keys: Vec<Key>| keys.into_iter().map(|key| key.to_string()).collect::<Vec<_>>();
    assert_eq!(names(changes.changed().await), ["a", "b"]);
    rig.after(6).await;
    assert_eq!(names(changes.changed().await), ["a"]);
    assert!(tokio::time::timeout(Duration::from_secs(1), changes.changed()).await.is_err());
    assert_eq!(names(rig.store.subscribe().changed().await), ["a", "b"], "a late subscriber hears of all");
}

#[tokio::test(start_paused = true)]
async fn an_older_version_is_ignored() {
    let events = vec![Line::event("MODIFIED", &network("a", 15)), Line::event("MODIFIED", &network("a", 12))];
    let rig = Rig::new([list(10, &[network("a", 1)]), Answer::Watch(events), idle()]);
    rig.after(5).await;
    assert_eq!(rig.known(), ["a@15"]);
    assert_eq!(rig.count(Happening::Stale), 1);
    assert_eq!(rig.asked().last().unwrap(), "WATCH 15");
}

#[tokio::test(start_paused = true)]
async fn one_object_that_cannot_be_read_hurts_only_itself() {
    let listed = list(10, &[broken("a", 1), network("b", 2), network("c", 3)]);
    let events = vec![Line::event("MODIFIED", &broken("c", 11)), Line::Pause(20_000)];
    let rig = Rig::new([listed, Answer::Watch(events)]);
    rig.store.ready().await;
    rig.after(1).await;
    assert_eq!(rig.known(), ["b@2"], "the old version of c is not acted on");
    let invalid: Vec<_> = rig.store.invalid().iter().map(|invalid| invalid.key.to_string()).collect();
    assert_eq!(invalid, ["a", "c"]);
    assert!(rig.store.invalid()[0].why.contains("soon"), "{}", rig.store.invalid()[0].why);
    assert_eq!((rig.store.state(), rig.count(Happening::Invalid)), (WatchState::Live, 2));
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_in_the_stream_leads_to_a_new_list() {
    let rig = Rig::new([
        list(10, &[network("a", 1), network("b", 1)]),
        Answer::Watch(vec![expired()]),
        list(50, &[network("a", 40)]),
        idle(),
    ]);
    rig.after(5).await;
    assert_eq!(rig.known(), ["a@40"]);
    assert_eq!(rig.asked(), ["LIST", "WATCH 10", "LIST", "WATCH 50"]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_always_expires_does_not_make_it_run_hot() {
    let round = || [list(10, &[network("a", 1)]), Answer::Watch(vec![expired()])];
    let rig = Rig::new((0..200).flat_map(|_| round()));
    rig.after(60).await;
    let first = rig.asked().len();
    assert!(first < 24, "{first} requests in the first minute");
    rig.after(300).await;
    assert!(rig.asked().len() - first <= 2 * 21, "{} requests in 300 s", rig.asked().len() - first);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_may_not_start_leads_to_a_new_list() {
    for refusal in [Answer::status(410, "Expired"), Answer::status(504, "Timeout"), Answer::Reset] {
        let rig = Rig::new([
            list(10, &[network("a", 1)]),
            refusal,
            list(50, &[network("a", 40)]),
            Answer::Watch(vec![Line::Pause(25_000)]),
        ]);
        rig.after(2).await;
        assert_eq!((rig.known(), rig.store.state()), (vec!["a@40".to_owned()], WatchState::Live));
        assert_eq!(rig.asked(), ["LIST", "WATCH 10", "LIST", "WATCH 50"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_stream_is_torn_down_and_built_anew() {
    let frozen = Answer::Watch(vec![Line::event("MODIFIED", &network("a", 11)), Line::Freeze]);
    let rig = Rig::new([list(10, &[network("a", 1)]), frozen, list(50, &[network("a", 40)]), idle()]);
    rig.after(29).await;
    assert_eq!((rig.known(), rig.age()), (vec!["a@11".to_owned()], Some(29_000)));
    rig.after(2).await;
    assert_eq!((rig.known(), rig.count(Happening::Frozen)), (vec!["a@40".to_owned()], 1));
    assert!(rig.age().unwrap() < 2_000);
}

#[tokio::test(start_paused = true)]
async fn a_start_or_a_list_that_hangs_does_not_hold_it_up() {
    let rig = Rig::new([Answer::Hang, list(10, &[]), Answer::Hang, list(50, &[network("a", 40)]), idle()]);
    rig.after(70).await;
    assert_eq!(rig.known(), ["a@40"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_goes_on_from_where_it_was() {
    let breaks = Answer::Watch(vec![Line::event("MODIFIED", &network("a", 11)), Line::Break]);
    let rig = Rig::new([list(10, &[network("a", 1)]), breaks, idle()]);
    rig.after(5).await;
    assert_eq!(rig.asked(), ["LIST", "WATCH 10", "WATCH 11"]);
    assert_eq!((rig.store.state(), rig.count(Happening::Failed)), (WatchState::Live, 1));
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_counted_and_read_again_from_the_start() {
    let garbage = Answer::Watch(vec![Line::Text("{\"type\":\"ADDED\",\"object\":7}".into())]);
    let truncated = Answer::Watch(vec![Line::Text("{\"type\":\"ADDED\",\"obj".into()), Line::Pause(25_000)]);
    let rig = Rig::new([
        Answer::text(200, "{"),
        list(10, &[]),
        garbage,
        list(50, &[network("a", 40)]),
        truncated,
        idle(),
    ]);
    rig.after(40).await;
    assert_eq!(rig.known(), ["a@40"]);
    assert_eq!(rig.asked(), ["LIST", "LIST", "WATCH 10", "LIST", "WATCH 50", "WATCH 50"]);
}

#[tokio::test(start_paused = true)]
async fn without_permission_or_crd_it_waits_and_says_so() {
    let refusals = [
        (Answer::status(403, "Forbidden"), "networks: failed to list: 403 message of 403 (the operator lacks the"),
        (Answer::text(404, "404 page not found"), "networks: failed to list: 404 404 page not found (is the CRD"),
    ];
    for (refusal, expected) in refusals {
        let rig = Rig::new(std::iter::repeat_n(refusal, 1_000));
        rig.after(300).await;
        let WatchState::Waiting(why) = rig.store.state() else { panic!("{:?}", rig.store.state()) };
        assert!(why.starts_with(expected), "{why}");
        assert_eq!((rig.store.is_ready(), rig.age()), (false, None));
        assert!(rig.asked().len() < 30, "{} requests in 300 s", rig.asked().len());
    }
}

#[tokio::test(start_paused = true)]
async fn permission_that_comes_later_is_enough() {
    let rig = Rig::new([Answer::status(403, "Forbidden"), list(10, &[network("a", 1)]), idle()]);
    rig.store.ready().await;
    rig.after(1).await;
    assert_eq!((rig.known(), rig.store.state()), (vec!["a@1".to_owned()], WatchState::Live));
}

#[tokio::test(start_paused = true)]
async fn it_waits_as_long_as_it_is_asked_to() {
    let busy = Answer::detailed(429, "TooManyRequests", json!({"retryAfterSeconds": 20}));
    let rig = Rig::new([busy, list(10, &[]), idle()]);
    rig.after(19).await;
    assert_eq!(rig.asked().len(), 1);
    rig.after(2).await;
    assert_eq!(rig.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_restored_etcd_is_believed() {
    let rig = Rig::new([
        list(900, &[network("a", 880), network("b", 890)]),
        Answer::Watch(vec![Line::Freeze]),
        list(100, &[network("a", 80)]),
        Answer::Watch(vec![Line::event("MODIFIED", &network("a", 101)), Line::Pause(25_000)]),
    ]);
    rig.after(35).await;
    assert_eq!(rig.known(), ["a@101"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_lost_is_lost_for_minutes_only() {
    let rig = Rig::new([list(10, &[])].into_iter().chain(std::iter::repeat_n(idle(), 100)));
    rig.after(599).await;
    assert_eq!((rig.count(Happening::Failed), &rig.asked()[1..].contains(&"LIST".into())), (0, &false));
    rig.after(330).await;
    assert!(rig.asked()[1..].contains(&"LIST".into()));
}

#[tokio::test(start_paused = true)]
async fn several_namespaces_feed_one_store() {
    let pod = |namespace: &str| json!({"metadata": {"namespace": namespace, "name": "val-0", "uid": namespace, "resourceVersion": "1"}});
    let (client, fake) = Fake::answering([list(10, &[pod("a")]), Answer::status(403, "Forbidden")]);
    let env =
        WatchEnv { client, cache_age: CacheAge::default(), clock: Arc::new(|| Mono(7)), counters: Arc::new(()) };
    let scope = Scope::Namespaces(vec!["b".into(), "a".into(), "b".into()]);
    let (store, run) = watch::<crate::world::PodView>(&env, &scope);
    let task = tokio::spawn(run);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut paths: Vec<_> = fake.requests().iter().map(|request| request.uri.path().to_owned()).collect();
    paths.truncate(2);
    assert_eq!(paths, ["/api/v1/namespaces/a/pods", "/api/v1/namespaces/b/pods"]);
    assert_eq!(store.get("a", "val-0").map(|pod| pod.uid.clone()).as_deref(), Some("a"));
    assert!(!store.is_ready());
    let WatchState::Waiting(why) = store.state() else { panic!("{:?}", store.state()) };
    assert!(why.starts_with("pods in b: failed to list: 403"), "{why}");
    assert_eq!((store.age(Mono(9)), env.cache_age.age_in("pods", "a", Mono(9))), (None, Some(2)));
    task.abort();
}
