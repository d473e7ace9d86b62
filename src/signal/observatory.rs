//! One small fixed-size record per (target, signal). No clock, no I/O.

use super::{Mono, Poll, Reading, SIGNALS, Sample, Signal, Unknown, Value};

/// The latest observation of every signal of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Observatory {
    records: [Option<Record>; SIGNALS.len()],
}

/// The latest observation of one signal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Record {
    value: Result<Value, Unknown>,
    asked_at: Mono,
    observed_at: Mono,
    /// The greatest whole number seen, and when it was first seen.
    peak: Option<(u64, Mono)>,
}

impl Observatory {
    /// Files what a poll told. An observation older than the one on file is dropped.
    pub fn file(&mut self, poll: &Poll) {
        for (signal, value) in &poll.values {
            let record = &mut self.records[signal.slot()];
            let before = record.as_ref().and_then(|record| record.peak);
            if record.as_ref().is_some_and(|record| record.observed_at > poll.observed_at) {
                continue;
            }
            let peak = match (value, before) {
                (Ok(Value::Whole(now)), Some((most, _))) if *now <= most => before,
                (Ok(Value::Whole(now)), _) => Some((*now, poll.observed_at)),
                _ => before,
            };
            *record = Some(Record {
                value: value.clone(),
                asked_at: poll.asked_at,
                observed_at: poll.observed_at,
                peak,
            });
        }
    }

    /// What is known of a signal now. A sample older than `stale_after` (milliseconds) is not known.
    #[must_use]
    pub fn read(&self, signal: Signal, now: Mono, stale_after: u64) -> Reading {
        let Some(record) = &self.records[signal.slot()] else {
            return Reading::Unknown(Unknown::NotYet);
        };
        let age = now.since(record.observed_at);
        match &record.value {
            _ if age > stale_after => Reading::Unknown(Unknown::Stale(age)),
            Err(why) => Reading::Unknown(why.clone()),
            Ok(value) => Reading::Known(Sample {
                value: value.clone(),
                asked_at: record.asked_at,
                observed_at: record.observed_at,
            }),
        }
    }

    /// When the signal last reached a new maximum, and that maximum. Kept while nothing is known.
    #[must_use]
    pub fn peak(&self, signal: Signal) -> Option<(u64, Mono)> {
        self.records[signal.slot()].as_ref().and_then(|record| record.peak)
    }

    /// When the signal was last observed at all, known or not.
    #[must_use]
    pub fn observed_at(&self, signal: Signal) -> Option<Mono> {
        self.records[signal.slot()].as_ref().map(|record| record.observed_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(at: u64, signal: Signal, value: Result<Value, Unknown>) -> Poll {
        Poll { asked_at: Mono(at), observed_at: Mono(at + 1), values: vec![(signal, value)] }
    }

    #[test]
    fn a_sample_is_known_until_it_is_stale() {
        let mut observatory = Observatory::default();
        assert_eq!(observatory.read(Signal::Head, Mono(0), 10), Reading::Unknown(Unknown::NotYet));
        observatory.file(&poll(99, Signal::Head, Ok(Value::Whole(7))));
        assert_eq!(observatory.read(Signal::Head, Mono(110), 10).whole(), Some(7));
        assert_eq!(observatory.read(Signal::Head, Mono(111), 10), Reading::Unknown(Unknown::Stale(11)));
    }

    #[test]
    fn a_failed_poll_hides_the_value_but_not_its_rise() {
        let mut observatory = Observatory::default();
        observatory.file(&poll(0, Signal::Head, Ok(Value::Whole(7))));
        observatory.file(&poll(10, Signal::Head, Err(Unknown::NoAnswer)));
        assert_eq!(observatory.read(Signal::Head, Mono(12), 100), Reading::Unknown(Unknown::NoAnswer));
        assert_eq!(observatory.peak(Signal::Head), Some((7, Mono(1))));
    }

    #[test]
    fn an_older_observation_never_replaces_a_newer_one() {
        let mut observatory = Observatory::default();
        observatory.file(&poll(10, Signal::Head, Ok(Value::Whole(9))));
        observatory.file(&poll(5, Signal::Head, Ok(Value::Whole(8))));
        assert_eq!(observatory.read(Signal::Head, Mono(12), 100).whole(), Some(9));
    }
}
