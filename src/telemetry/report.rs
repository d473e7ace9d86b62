//! What one poll tells, while it is being put together.

use std::time::Duration;

use super::{ask::Trouble, clock::Clock};
use crate::signal::{Mono, Poll, Signal, Told, Unknown, Value};

/// What one poll tells, while it is being put together.
pub(super) struct Report<'a> {
    signals: &'a [Signal],
    asked_at: Mono,
    observed_at: Mono,
    values: Vec<(Signal, Result<Value, Unknown>)>,
    pub told: Told,
}

impl<'a> Report<'a> {
    /// A poll that begins now. In the end it has a value or a reason for each of `signals`.
    pub fn begin(signals: &'a [Signal], clock: &dyn Clock) -> Self {
        let now = clock.mono();
        Self {
            signals,
            asked_at: now,
            observed_at: now,
            values: Vec::with_capacity(signals.len()),
            told: Told::default(),
        }
    }

    /// The first answer came: everything is dated by it, so that slower questions after it make nothing look fresher
    /// than it is.
    pub fn answered(&mut self, latency: Duration, clock: &dyn Clock) {
        self.observed_at = clock.mono();
        self.set(Signal::Reachable, Value::Whole(1));
        self.set(Signal::RpcLatency, micros(latency));
    }

    /// What was asked for is known now, or known not to be.
    pub fn seen(&mut self, clock: &dyn Clock) {
        self.observed_at = clock.mono();
    }

    /// A value.
    pub fn set(&mut self, signal: Signal, value: Value) {
        self.put(signal, Ok(value));
    }

    /// A value, or why there is none. The first that is put counts.
    pub fn put(&mut self, signal: Signal, value: Result<Value, Unknown>) {
        if self.signals.contains(&signal) && self.values.iter().all(|(known, _)| *known != signal) {
            self.values.push((signal, value));
        }
    }

    /// A value made of an answer, or why there is none.
    pub fn tell<T>(&mut self, signal: Signal, answer: Result<T, Trouble>, value: impl FnOnce(T) -> Value) {
        self.put(signal, answer.map(value).map_err(|trouble| trouble.unknown()));
    }

    /// Nothing else is known, for this reason.
    pub fn rest(&mut self, why: &Unknown) {
        for signal in self.signals {
            self.put(*signal, Err(why.clone()));
        }
    }

    /// The first question already failed: only silence speaks against the target.
    pub fn failed(mut self, trouble: &Trouble, clock: &dyn Clock) -> Poll {
        self.observed_at = clock.mono();
        if trouble.is_silence() {
            self.set(Signal::Reachable, Value::Whole(0));
        }
        self.rest(&trouble.unknown());
        self.end()
    }

    /// The target could not be asked at all.
    pub fn unasked(mut self, why: &Unknown) -> Poll {
        self.rest(why);
        self.end()
    }

    /// The poll. What nothing was said of, the node does not offer.
    pub fn end(mut self) -> Poll {
        self.rest(&Unknown::Unsupported);
        let place = |signal: &Signal| self.signals.iter().position(|known| known == signal);
        self.values.sort_by_key(|(signal, _)| place(signal));
        Poll { asked_at: self.asked_at, observed_at: self.observed_at, values: self.values, told: self.told }
    }
}

/// A length of time as a value in seconds.
pub(super) fn micros(time: Duration) -> Value {
    Value::Micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

/// 1 or 0.
pub(super) fn flag(holds: bool) -> Value {
    Value::Whole(u64::from(holds))
}
