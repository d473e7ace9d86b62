//! Tells people: pages and notices to named sinks, and a heartbeat that falls silent when Mainstay goes blind.
//!
//! Never on the path of an action: [`Notifier::send`] returns at once, and what became of the notice can be awaited
//! or ignored. Each sink has a bounded queue of its own, so a sink that hangs delays nobody else. Delivery is at
//! least once; the dedupe key makes one page of several deliveries.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    config::Sink,
    serve::{Metrics, NoticeResult},
};

mod heartbeat;
mod http;
mod queue;
mod wire;

pub use heartbeat::heartbeat;
pub use http::{DoorError, client};

/// Notices that wait at one sink; more are given up at once.
const QUEUE: usize = 64;
/// A notice that found no open door for so long is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
const MAX_TITLE: usize = 256;
const MAX_TEXT: usize = 4096;

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One key, one page: equal keys are one matter, however often they are sent.
    pub dedupe_key: String,
    /// How loud.
    pub severity: Severity,
    /// Whether it still is so.
    pub state: State,
    /// One line. Cut at 256 bytes.
    pub title: String,
    /// What was seen, done and refused, and why. Cut at 4096 bytes.
    pub text: String,
    /// What it is about: network, namespace, policy, target. The same from the first to the last notice of a key.
    pub labels: BTreeMap<String, String>,
    /// When it began (wall clock).
    pub starts_at: Timestamp,
}

/// How loud a notice is. A resolved notice has the severity of what it resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Wakes somebody.
    Page,
    /// Is read in the morning.
    Notify,
    /// Says that Mainstay sees; its absence should wake somebody.
    Heartbeat,
}

/// Whether the matter of a notice is still so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is. Receivers with a notion of expiry may take it as over after this time without another word.
    Firing {
        /// Counted from the delivery.
        expires_after: Duration,
    },
    /// It is over.
    Resolved {
        /// Since when (wall clock).
        at: Timestamp,
    },
}

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At least one of the named sinks took it.
    Delivered,
    /// None of them did.
    GaveUp {
        /// What each sink said.
        why: String,
    },
    /// None of the names is a configured sink, or there were none.
    NoSink,
}

/// Hands notices to sinks. Cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    sinks: Arc<BTreeMap<String, Mailbox>>,
    metrics: Metrics,
}

struct Mailbox {
    kind: &'static str,
    queue: mpsc::UnboundedSender<queue::Job>,
    seats: Arc<Semaphore>,
}

/// Collects what the sinks of one notice say: the first success is the answer, else all the failures together once
/// the last of them is dropped.
#[derive(Debug)]
struct Receipt {
    answer: Mutex<Option<oneshot::Sender<Delivery>>>,
    failures: Mutex<Vec<String>>,
}

// === impl Notice ===

impl Notice {
    /// How long a page or a notice fires at a receiver that hears nothing more.
    pub const DAY: Duration = Duration::from_secs(24 * 3600);

    fn bounded(mut self) -> Self {
        cut(&mut self.title, MAX_TITLE);
        cut(&mut self.text, MAX_TEXT);
        self
    }
}

// === impl Notifier ===

impl Notifier {
    /// Opens one queue per sink. Must be called within a tokio runtime.
    pub fn new(sinks: &BTreeMap<String, Sink>, metrics: Metrics) -> Result<Self, DoorError> {
        let client = client(sinks.values())?;
        let open = |(name, sink): (&String, &Sink)| {
            let door = http::HttpDoor::new(client.clone(), sink);
            (name.clone(), Mailbox::open(name, http::kind(sink), door, &metrics))
        };
        Ok(Self { sinks: Arc::new(sinks.iter().map(open).collect()), metrics })
    }

    /// Hands `notice` to every sink in `names` and returns at once. The receiver learns what became of it within ten
    /// minutes; dropping it changes nothing.
    #[must_use = "await it to learn the outcome, or drop it"]
    pub fn send(&self, names: &[String], notice: Notice) -> oneshot::Receiver<Delivery> {
        self.send_within(names, notice, GIVE_UP_AFTER)
    }

    /// Waits until nothing is under way any more. A shutdown bounds it with a timeout of its own.
    pub async fn idle(&self) {
        for mailbox in self.sinks.values() {
            // The semaphore is never closed.
            let _all = mailbox.seats.acquire_many(u32::try_from(QUEUE).unwrap_or(u32::MAX)).await;
        }
    }

    fn send_within(&self, names: &[String], notice: Notice, patience: Duration) -> oneshot::Receiver<Delivery> {
        let (answer, delivery) = oneshot::channel();
        let receipt = Arc::new(Receipt { answer: Mutex::new(Some(answer)), failures: Mutex::default() });
        if !names.iter().any(|name| self.sinks.contains_key(name)) {
            receipt.answer(Delivery::NoSink);
            return delivery;
        }
        let notice = Arc::new(notice.bounded());
        let give_up_at = Instant::now() + patience;
        for name in names {
            let Some(mailbox) = self.sinks.get(name) else {
                receipt.fail(name, "no such sink is configured");
                continue;
            };
            let Ok(seat) = Arc::clone(&mailbox.seats).try_acquire_owned() else {
                count(&self.metrics, mailbox.kind, "queue_full");
                receipt.fail(name, "its queue is full");
                continue;
            };
            let job = queue::Job::new(Arc::clone(&notice), Arc::clone(&receipt), give_up_at, seat);
            // Fails only when the sink's task is gone; the receipt in the job then says so by being dropped.
            drop(mailbox.queue.send(job));
        }
        delivery
    }
}

impl Mailbox {
    fn open(name: &str, kind: &'static str, door: impl queue::Door, metrics: &Metrics) -> Self {
        let (queue, jobs) = mpsc::unbounded_channel();
        tokio::spawn(queue::run(name.to_owned(), kind, door, jobs, metrics.clone()));
        Self { kind, queue, seats: Arc::new(Semaphore::new(QUEUE)) }
    }
}

/// Cuts `text` to `most` bytes or the few less that end a character.
fn cut(text: &mut String, most: usize) {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
}

fn count(metrics: &Metrics, sink_kind: &'static str, result: &'static str) {
    metrics.notices.get_or_create(&NoticeResult { sink_kind, result }).inc();
}

// === impl Receipt ===

impl Receipt {
    fn answer(&self, delivery: Delivery) {
        if let Some(answer) = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody needs to listen.
            drop(answer.send(delivery));
        }
    }

    fn fail(&self, sink: &str, why: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{sink}: {why}"));
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let failures = std::mem::take(self.failures.get_mut().unwrap_or_else(PoisonError::into_inner));
        let why = if failures.is_empty() { "the sink's task is gone".to_owned() } else { failures.join("; ") };
        self.answer(Delivery::GaveUp { why });
    }
}

#[cfg(test)]
mod tests;
