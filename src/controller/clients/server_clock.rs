//! The API server's clock, as its answers tell it.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Response, header::DATE};

use super::MonoClock;
use crate::signal::{Mono, Server};

/// A `Date` header tells whole seconds, cut off (milliseconds).
const RESOLUTION: u64 = 1_000;

/// The API server's clock: the last `Date` it sent, and how long ago that was by our monotonic clock.
///
/// It never decreases. It is behind the server's own by up to a second, because a `Date` is cut to whole seconds,
/// plus the time the answer took; never ahead of it by more than two API servers differ. All that is compared with
/// it (`creationTimestamp`, seats, budgets) is cut or measured in the same way.
#[derive(Clone, Debug, Default)]
pub struct ServerClock {
    reading: Arc<Mutex<Option<Reading>>>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    date: Server,
    at: Mono,
    /// The latest that was ever told.
    told: Server,
}

impl ServerClock {
    /// The API server's time; `None` until it first answered.
    #[must_use]
    pub fn now(&self, mono: Mono) -> Option<Server> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = reading.as_mut()?;
        reading.told = reading.told.max(reading.at(mono));
        Some(reading.told)
    }

    /// Takes over a `Date` that arrived at `at`.
    fn heard(&self, date: Server, at: Mono) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        *reading = Some(match *reading {
            None => Reading { date, at, told: date },
            // The second has merely not ended yet: what was known is more exact.
            Some(known) if date <= known.at(at) && known.at(at).since(date) <= RESOLUTION => known,
            // Ahead of what was known, or behind by more than cutting explains: the server's clock was set, or
            // another server answers. It counts from here, but what was told is not taken back.
            Some(known) => Reading { date, at, told: known.told.max(known.at(at)) },
        });
    }

    /// Listens to answers that pass.
    pub(super) fn hears<B>(&self, clock: &MonoClock) -> impl Fn(Response<B>) -> Response<B> + Clone + use<B> {
        let (server, clock) = (self.clone(), Arc::clone(clock));
        move |response| {
            if let Some(date) = response.headers().get(DATE).and_then(|date| parse(date.as_bytes())) {
                server.heard(date, clock());
            }
            response
        }
    }
}

impl Reading {
    fn at(&self, mono: Mono) -> Server {
        self.date.plus(mono.since(self.at))
    }
}

fn parse(date: &[u8]) -> Option<Server> {
    let date = jiff::fmt::rfc2822::parse(std::str::from_utf8(date).ok()?).ok()?;
    Some(Server(date.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_and_nonsense_is_not() {
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(Server(784_111_777_000)));
        assert_eq!(parse(b"yesterday"), None);
        assert_eq!(parse(&[0xff, 0xfe]), None);
    }

    #[test]
    fn it_is_unknown_before_the_first_answer_and_goes_on_between_answers() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(Mono(5)), None);
        clock.heard(Server(10_000), Mono(100));
        assert_eq!(clock.now(Mono(100)), Some(Server(10_000)));
        assert_eq!(clock.now(Mono(700)), Some(Server(10_600)));
    }

    #[test]
    fn a_second_that_has_not_ended_takes_nothing_back() {
        let clock = ServerClock::default();
        clock.heard(Server(10_000), Mono(0));
        clock.heard(Server(10_000), Mono(900));
        assert_eq!(clock.now(Mono(900)), Some(Server(10_900)));
        // The next second began just now: this is the more exact.
        clock.heard(Server(12_000), Mono(1_000));
        assert_eq!(clock.now(Mono(1_000)), Some(Server(12_000)));
    }

    #[test]
    fn a_clock_that_was_set_back_stands_still_until_it_has_caught_up() {
        let clock = ServerClock::default();
        clock.heard(Server(100_000), Mono(0));
        clock.heard(Server(90_000), Mono(10));
        assert_eq!(clock.now(Mono(10)), Some(Server(100_010)));
        assert_eq!(clock.now(Mono(5_000)), Some(Server(100_010)));
        assert_eq!(clock.now(Mono(11_010)), Some(Server(101_000)));
    }
}
