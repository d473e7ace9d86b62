//! The queue's patience, under paused time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, advance, sleep};

use super::{counted, page};
use crate::{
    config::Heartbeat,
    notify::{
        Delivery, GIVE_UP_AFTER, Mailbox, Notice, Notifier, QUEUE, heartbeat,
        queue::{Door, Outcome},
    },
    serve::Metrics,
};

/// Answers as scripted, then delivers; remembers what it was asked and when.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Outcome>>>,
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
    hangs: Arc<AtomicBool>,
}

impl Door for Script {
    async fn post(&self, notice: &Notice) -> Outcome {
        self.asked.lock().unwrap().push((notice.dedupe_key.clone(), Instant::now()));
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.answers.lock().unwrap().pop_front().unwrap_or(Outcome::Delivered)
    }
}

impl Script {
    fn then(self, outcome: Outcome) -> Self {
        self.answers.lock().unwrap().push_back(outcome);
        self
    }
    fn keys(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(key, _)| key.clone()).collect()
    }
    fn notifier(&self) -> Notifier {
        notifier([("a", self)])
    }
}

fn notifier<const N: usize>(doors: [(&str, &Script); N]) -> Notifier {
    let metrics = Metrics::default();
    let open =
        |(name, door): (&str, &Script)| (name.to_owned(), Mailbox::open(name, "webhook", door.clone(), &metrics));
    let sinks: BTreeMap<_, _> = doors.into_iter().map(open).collect();
    Notifier { sinks: Arc::new(sinks), metrics }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn later(after: Option<u64>) -> Outcome {
    Outcome::Later { why: "busy".into(), not_before: after.map(Duration::from_secs) }
}

fn refused() -> Outcome {
    Outcome::Refused { why: "nonsense".into() }
}

#[tokio::test(start_paused = true)]
async fn a_busy_sink_is_asked_again_with_growing_waits() {
    let door = (0..8).fold(Script::default(), |door, _| door.then(later(None)));
    let notifier = door.notifier();
    assert_eq!(notifier.send(&names(&["a"]), page("k")).await, Ok(Delivery::Delivered));
    let asked: Vec<_> = door.asked.lock().unwrap().iter().map(|(_, at)| *at).collect();
    assert_eq!(asked.len(), 9);
    for (pair, longest) in asked.windows(2).zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        let (wait, longest) = (pair[1] - pair[0], Duration::from_secs(longest) + Duration::from_millis(1));
        assert!(longest / 2 <= wait + Duration::from_millis(1) && wait <= longest, "{wait:?} of {longest:?}");
    }
    assert_eq!(counted(&notifier.metrics, "webhook", "delivered"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_asks_for_quiet_gets_it_for_all_notices() {
    let door = Script::default().then(later(Some(90)));
    let notifier = door.notifier();
    let first = notifier.send(&names(&["a"]), page("k1"));
    sleep(Duration::from_secs(1)).await;
    let second = notifier.send(&names(&["a"]), page("k2"));
    let start = Instant::now();
    assert_eq!((first.await, second.await), (Ok(Delivery::Delivered), Ok(Delivery::Delivered)));
    assert!(start.elapsed() >= Duration::from_secs(89), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_is_given_up_after_ten_minutes() {
    let door = Script::default();
    door.hangs.store(true, Ordering::Relaxed);
    let notifier = door.notifier();
    let start = Instant::now();
    let delivery = notifier.send(&names(&["a"]), page("k")).await;
    assert_eq!(delivery, Ok(Delivery::GaveUp { why: "a: no answer in time".into() }));
    assert!(start.elapsed() >= GIVE_UP_AFTER && start.elapsed() < GIVE_UP_AFTER + Duration::from_secs(1));
    assert_eq!(counted(&notifier.metrics, "webhook", "gave_up"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_longer_than_our_patience_is_given_up_with_the_sinks_words() {
    let notifier = Script::default().then(later(Some(u64::MAX))).notifier();
    let delivery = notifier.send(&names(&["a"]), page("k")).await;
    assert_eq!(delivery, Ok(Delivery::GaveUp { why: "a: busy".into() }));
}

#[tokio::test(start_paused = true)]
async fn a_refused_notice_is_not_repeated_and_blocks_nobody() {
    let door = Script::default().then(refused());
    let notifier = door.notifier();
    let first = notifier.send(&names(&["a"]), page("k1"));
    let second = notifier.send(&names(&["a"]), page("k2"));
    assert_eq!(first.await, Ok(Delivery::GaveUp { why: "a: nonsense".into() }));
    assert_eq!(second.await, Ok(Delivery::Delivered));
    assert_eq!(door.keys(), ["k1", "k2"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_notice_lets_others_pass_but_keeps_the_order_of_its_key() {
    let door = Script::default().then(later(None));
    let notifier = door.notifier();
    let sent = ["k1", "k1", "k2"].map(|key| notifier.send(&names(&["a"]), page(key)));
    for delivery in sent {
        assert_eq!(delivery.await, Ok(Delivery::Delivered));
    }
    assert_eq!(door.keys(), ["k1", "k2", "k1", "k1"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_gives_up_at_once() {
    let door = Script::default();
    door.hangs.store(true, Ordering::Relaxed);
    let notifier = door.notifier();
    let waiting: Vec<_> = (0..QUEUE).map(|_| notifier.send(&names(&["a"]), page("k"))).collect();
    let mut one_too_many = notifier.send(&names(&["a"]), page("k"));
    assert_eq!(one_too_many.try_recv(), Ok(Delivery::GaveUp { why: "a: its queue is full".into() }));
    assert_eq!(counted(&notifier.metrics, "webhook", "queue_full"), 1);
    for delivery in waiting {
        assert!(matches!(delivery.await, Ok(Delivery::GaveUp { .. })));
    }
    notifier.idle().await;
}

#[tokio::test(start_paused = true)]
async fn one_sink_that_takes_it_is_enough() {
    let (good, bad) = (Script::default(), Script::default().then(refused()).then(refused()));
    let notifier = notifier([("good", &good), ("bad", &bad)]);
    let both = notifier.send(&names(&["bad", "good", "unknown"]), page("k")).await;
    assert_eq!(both, Ok(Delivery::Delivered));
    notifier.idle().await;
    let neither = notifier.send(&names(&["unknown", "bad"]), page("k")).await;
    let why = "unknown: no such sink is configured; bad: nonsense".to_owned();
    assert_eq!(neither, Ok(Delivery::GaveUp { why }));
}

#[tokio::test(start_paused = true)]
async fn without_a_known_sink_there_is_none() {
    let notifier = Script::default().notifier();
    assert_eq!(notifier.send(&[], page("k")).await, Ok(Delivery::NoSink));
    assert_eq!(notifier.send(&names(&["unknown"]), page("k")).await, Ok(Delivery::NoSink));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_delays_no_other() {
    let (good, stuck) = (Script::default(), Script::default());
    stuck.hangs.store(true, Ordering::Relaxed);
    let notifier = notifier([("good", &good), ("stuck", &stuck)]);
    let start = Instant::now();
    assert_eq!(notifier.send(&names(&["stuck", "good"]), page("k")).await, Ok(Delivery::Delivered));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[test]
fn long_words_are_cut_between_characters() {
    let notice = Notice { title: "é".repeat(200), text: "x".repeat(10_000), ..page("k") }.bounded();
    assert_eq!((notice.title.len(), notice.text.len()), (256, 4096));
}

#[tokio::test(start_paused = true)]
async fn a_blind_operator_falls_silent() {
    let door = Script::default();
    let notifier = door.notifier();
    let metrics = notifier.metrics.clone();
    // 0: sees, 1: blind, 2: hangs.
    let sight = Arc::new(AtomicU32::new(0));
    let alive = {
        let sight = Arc::clone(&sight);
        move || {
            let sight = sight.load(Ordering::Relaxed);
            async move {
                match sight {
                    0 => Ok(()),
                    1 => Err("no pod watch for 5 min".to_owned()),
                    _ => std::future::pending().await,
                }
            }
        }
    };
    let config = Heartbeat { every: Duration::from_secs(60), sinks: names(&["a"]) };
    let task = tokio::spawn(heartbeat(notifier, config, "ns/mainstay".into(), alive));
    sleep(Duration::from_secs(130)).await;
    assert_eq!(door.keys(), ["heartbeat/ns/mainstay"; 3]);
    assert!(metrics.heartbeat.get() > 1.7e9);
    for blind in [1, 2] {
        sight.store(blind, Ordering::Relaxed);
        sleep(Duration::from_secs(600)).await;
        assert_eq!(door.keys().len(), 3);
    }
    sight.store(0, Ordering::Relaxed);
    sleep(Duration::from_secs(130)).await;
    assert!(door.keys().len() > 3);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_late_heartbeat_is_not_sent() {
    let door = Script::default();
    door.hangs.store(true, Ordering::Relaxed);
    let notifier = door.notifier();
    let metrics = notifier.metrics.clone();
    let config = Heartbeat { every: Duration::from_secs(60), sinks: names(&["a"]) };
    let task = tokio::spawn(heartbeat(notifier, config, "a".into(), || async { Ok(()) }));
    tokio::task::yield_now().await;
    advance(Duration::from_secs(59)).await;
    assert_eq!(counted(&metrics, "webhook", "gave_up"), 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(counted(&metrics, "webhook", "gave_up"), 1, "after one period, not after ten minutes");
    assert!(metrics.heartbeat.get().abs() < f64::EPSILON);
    task.abort();
}
