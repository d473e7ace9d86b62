//! A page on its way to people. The notifier tries for ten minutes, and a sink that refuses is asked no more; what a failover waits
//! for may last longer. So a page that nobody took is sent again, until somebody takes it or its reason has ended; and one that
//! somebody took, before it expires there, which would look like an end.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::{
    notify::{Delivery, Notice, State},
    signal::Mono,
};

/// How long after the first page that nobody took (milliseconds); doubled each time.
const FIRST_WAIT: u64 = 30_000;
/// And at most so long.
const LONGEST_WAIT: u64 = 600_000;

/// A page, and how far it has come.
#[derive(Clone, Debug)]
pub struct Call {
    notice: Notice,
    way: Way,
    tries: u32,
}

#[derive(Clone, Debug)]
enum Way {
    /// It is to be sent, not before then.
    Waits(Mono),
    /// The notifier has it.
    Sent(Arc<Mutex<oneshot::Receiver<Delivery>>>),
    /// A sink has it, and is told again then.
    Taken(Mono),
}

impl Call {
    /// A page that was not sent yet.
    pub const fn new(notice: Notice) -> Self {
        Self { notice, way: Way::Waits(Mono(0)), tries: 0 }
    }

    /// What it is about.
    pub fn key(&self) -> &str {
        &self.notice.dedupe_key
    }

    /// It is still so, in these words. When it began stays.
    pub fn goes_on(&mut self, notice: Notice) {
        self.notice = Notice { starts_at: self.notice.starts_at, ..notice };
    }

    /// Sends it, if it was not sent yet, or it is time again.
    pub fn push(&mut self, now: Mono, send: impl FnOnce(Notice) -> oneshot::Receiver<Delivery>) {
        if let Way::Sent(answer) = &self.way {
            let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
            match answer {
                Err(TryRecvError::Empty) => {}
                Ok(Delivery::Delivered) => {
                    self.tries = 0;
                    self.way = Way::Taken(Mono(now.0.saturating_add(lasts(&self.notice.state) / 2)));
                }
                // A sink may still be configured, or named.
                Ok(Delivery::GaveUp { .. } | Delivery::NoSink) | Err(TryRecvError::Closed) => {
                    let wait = FIRST_WAIT << self.tries.saturating_sub(1).min(5);
                    self.way = Way::Waits(Mono(now.0.saturating_add(wait.min(LONGEST_WAIT))));
                }
            }
        }
        if let Way::Waits(until) | Way::Taken(until) = self.way
            && until <= now
        {
            self.tries += 1;
            self.way = Way::Sent(Arc::new(Mutex::new(send(self.notice.clone()))));
        }
    }

    /// What is said when it is over.
    pub fn over(self, at: Timestamp) -> Notice {
        Notice { state: State::Resolved { at }, ..self.notice }
    }
}

/// For how long a sink believes it (milliseconds).
fn lasts(state: &State) -> u64 {
    match state {
        State::Firing { expires_after } => u64::try_from(expires_after.as_millis()).unwrap_or(u64::MAX),
        State::Resolved { .. } => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::notify::Severity;

    /// What becomes of each page in turn; when each was sent, looked at every ten seconds for an hour.
    fn sent(deliveries: Vec<Delivery>) -> Vec<u64> {
        sent_within(3_600, deliveries)
    }

    fn sent_within(seconds: u64, deliveries: Vec<Delivery>) -> Vec<u64> {
        let notice = Notice {
            dedupe_key: "k".into(),
            severity: Severity::Page,
            state: State::Firing { expires_after: Notice::DAY },
            title: String::new(),
            text: String::new(),
            labels: BTreeMap::new(),
            starts_at: Timestamp::UNIX_EPOCH,
        };
        let (mut call, mut deliveries, mut at) = (Call::new(notice), deliveries.into_iter(), Vec::new());
        for now in (0..=seconds).step_by(10) {
            call.push(Mono(now * 1_000), |_| {
                at.push(now);
                let (answer, delivery) = oneshot::channel();
                if let Some(told) = deliveries.next() {
                    answer.send(told).unwrap();
                } else {
                    // It is under way for ever.
                    std::mem::forget(answer);
                }
                delivery
            });
        }
        at
    }

    #[test]
    fn a_page_is_sent_again_before_it_expires_where_it_was_taken() {
        let day = 86_400;
        let taken = sent_within(2 * day, (0..9).map(|_| Delivery::Delivered).collect());
        // It is seen a look later that somebody took it.
        assert_eq!(taken, [0, 43_210, 86_420, 129_630, 172_840][..taken.len()]);
        assert!(taken.windows(2).all(|two| two[1] - two[0] < day) && taken.len() == 4);
    }

    #[test]
    fn a_page_that_nobody_took_is_sent_again_until_somebody_does() {
        let gave_up = || Delivery::GaveUp { why: "oncall: 503".into() };
        assert_eq!(sent(vec![Delivery::Delivered]), [0]);
        assert_eq!(sent(vec![]), [0], "the notifier still tries");
        // It is seen a look later that nobody took it.
        assert_eq!(sent(vec![gave_up(), Delivery::NoSink, gave_up(), Delivery::Delivered]), [0, 40, 110, 240]);
        let never = sent((0..100).map(|_| gave_up()).collect());
        assert_eq!(never[..6], [0, 40, 110, 240, 490, 980]);
        assert!(never[6..].windows(2).all(|two| two[1] - two[0] == 610), "{never:?}");
    }
}
