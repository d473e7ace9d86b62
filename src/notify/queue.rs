//! One sink's queue: retries with growing waits, until the door opens or time is up.

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep_until, timeout_at},
};

use super::{Delivery, Notice, Receipt, count};
use crate::serve::Metrics;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where notices leave the process.
pub(super) trait Door: Send + Sync + 'static {
    /// One attempt, bounded in time and size.
    fn post(&self, notice: &Notice) -> impl Future<Output = Outcome> + Send;
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The sink took it.
    Delivered,
    /// Not now: again, but not before the time that the sink named.
    Later { why: String, not_before: Option<Duration> },
    /// Never: the same words will be refused again.
    Refused { why: String },
}

/// One notice on its way to one sink.
pub(super) struct Job {
    notice: Arc<Notice>,
    receipt: Arc<Receipt>,
    give_up_at: Instant,
    next_try: Instant,
    tries: u32,
    why: String,
    _seat: OwnedSemaphorePermit,
}

impl Job {
    pub(super) fn new(
        notice: Arc<Notice>,
        receipt: Arc<Receipt>,
        give_up_at: Instant,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        let why = "its turn never came".to_owned();
        Self { notice, receipt, give_up_at, next_try: Instant::now(), tries: 0, why, _seat: seat }
    }
}

/// The desk of one sink.
struct Desk<D> {
    name: String,
    kind: &'static str,
    door: D,
    metrics: Metrics,
    dice: RandomState,
    /// In order of arrival.
    jobs: Vec<Job>,
    /// The sink asked for quiet until then.
    quiet_until: Instant,
}

/// Serves one sink until nobody can send any more and all is delivered or given up.
pub(super) async fn run(
    name: String,
    kind: &'static str,
    door: impl Door,
    mut arrivals: mpsc::UnboundedReceiver<Job>,
    metrics: Metrics,
) {
    let (dice, quiet_until) = (RandomState::new(), Instant::now());
    let mut desk = Desk { name, kind, door, metrics, dice, jobs: Vec::new(), quiet_until };
    loop {
        let Some((index, due)) = desk.next() else {
            match arrivals.recv().await {
                Some(job) => desk.jobs.push(job),
                None => return,
            }
            continue;
        };
        tokio::select! {
            biased;
            () = sleep_until(due) => desk.attempt(index).await,
            Some(job) = arrivals.recv() => desk.jobs.push(job),
        }
    }
}

// === impl Desk ===

impl<D: Door> Desk<D> {
    /// The job to try next, and when. A failing notice steps aside for others, but within one key the order holds:
    /// a resolved notice never overtakes its page.
    fn next(&self) -> Option<(usize, Instant)> {
        let first_of_its_key = |index: usize| {
            let key = &self.jobs[index].notice.dedupe_key;
            !self.jobs[..index].iter().any(|earlier| earlier.notice.dedupe_key == *key)
        };
        (0..self.jobs.len())
            .filter(|index| first_of_its_key(*index))
            .map(|index| (index, self.jobs[index].next_try.max(self.quiet_until).min(self.jobs[index].give_up_at)))
            .min_by_key(|(_, due)| *due)
    }

    async fn attempt(&mut self, index: usize) {
        let job = &mut self.jobs[index];
        if Instant::now() >= job.give_up_at {
            return self.give_up(index);
        }
        let attempt = timeout_at(job.give_up_at, self.door.post(&job.notice)).await;
        match attempt.unwrap_or_else(|_| Outcome::Refused { why: "no answer in time".to_owned() }) {
            Outcome::Delivered => {
                let job = self.jobs.remove(index);
                count(&self.metrics, self.kind, "delivered");
                job.receipt.answer(Delivery::Delivered);
            }
            Outcome::Later { why, not_before } => {
                job.tries += 1;
                job.why = why;
                let now = Instant::now();
                job.next_try = now + wait(job.tries, self.dice.hash_one((now, job.tries)));
                if let Some(quiet) = not_before {
                    // Nothing waits past its own end, so a longer silence need not be remembered.
                    self.quiet_until = now + quiet.min(super::GIVE_UP_AFTER);
                }
            }
            Outcome::Refused { why } => {
                job.why = why;
                self.give_up(index);
            }
        }
    }

    fn give_up(&mut self, index: usize) {
        let job = self.jobs.remove(index);
        count(&self.metrics, self.kind, "gave_up");
        tracing::warn!(sink = %self.name, key = %job.notice.dedupe_key, why = %job.why, "failed to deliver a notice");
        job.receipt.fail(&self.name, &job.why);
    }
}

/// Doubles from a second to a minute; between half of that and all of it, by chance.
fn wait(tries: u32, dice: u64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(6)).min(LONGEST_WAIT);
    let half = u64::try_from(whole.as_millis() / 2).unwrap_or(u64::MAX);
    Duration::from_millis(half + dice % (half + 1))
}
