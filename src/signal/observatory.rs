//! One small record per (signal, source) of one target. No clock, no I/O.

use super::{Mono, Poll, Reading, Sample, Signal, Unit, Unknown, Value};

/// A head may fall by so many blocks without being doubted: chains reorganise. Ethereum's deepest reorganisation under
/// proof of stake was 7 blocks; Polygon's, the deepest of a large chain, 157. What falls deeper is believed when it is
/// seen twice.
const REORGANISATION: u64 = 160;

/// Heads of two sources that are asked at different times differ by what the chain made in between; more than this is
/// a contradiction.
const HEADS_APART: u64 = 100;

/// The latest observation of every signal of one target, per source.
///
/// Sources are ranked in the order in which the policy names them. The first that offers a signal is believed; one that
/// contradicts it makes the signal unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Observatory {
    /// Sorted by signal, then by rank.
    records: Vec<Record>,
}

/// The latest observation of one signal by one source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Record {
    signal: Signal,
    rank: u8,
    value: Result<Value, Unknown>,
    asked_at: Mono,
    observed_at: Mono,
    stale_after: u64,
    /// The greatest whole number seen, and when it was first seen.
    peak: Option<(u64, Mono)>,
    /// The sample before the newest: a whole number and when it was observed.
    before: Option<(u64, Mono)>,
    /// A height far below the peak that was seen once.
    fallen: Option<u64>,
}

/// The newest observation of a signal, known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest<'a> {
    /// The value, or why there is none.
    pub value: &'a Result<Value, Unknown>,
    /// When the request for it was sent.
    pub asked_at: Mono,
    /// When the answer was complete.
    pub observed_at: Mono,
    /// For how long it is known (milliseconds).
    pub stale_after: u64,
    /// The greatest whole number seen, and when it was first seen.
    pub peak: Option<(u64, Mono)>,
    /// The whole number before it, and when that was observed.
    pub before: Option<(u64, Mono)>,
}

impl Record {
    fn new(signal: Signal, rank: u8) -> Self {
        Self {
            signal,
            rank,
            value: Err(Unknown::NotYet),
            asked_at: Mono(0),
            observed_at: Mono(0),
            stale_after: 0,
            peak: None,
            before: None,
            fallen: None,
        }
    }

    fn take(&mut self, value: &Result<Value, Unknown>, poll: &Poll, stale_after: u64) {
        if self.observed_at > poll.observed_at {
            return;
        }
        let value = match value {
            Ok(Value::Whole(height)) if self.signal.unit() == Unit::Height => self.height(*height),
            other => other.clone(),
        };
        if let Ok(Value::Whole(now)) = value {
            if let Ok(Value::Whole(last)) = self.value {
                self.before = Some((last, self.observed_at));
            }
            if self.peak.is_none_or(|(most, _)| now > most) {
                self.peak = Some((now, poll.observed_at));
            }
        }
        self.value = value;
        self.asked_at = poll.asked_at;
        self.observed_at = poll.observed_at;
        self.stale_after = stale_after;
    }

    /// A height that fell deeper than a chain reorganises is a mistake, or another life of the node: the second such
    /// sample decides, and starts the record over.
    fn height(&mut self, now: u64) -> Result<Value, Unknown> {
        let fell_from = self.peak.map(|(most, _)| most).filter(|most| now.saturating_add(REORGANISATION) < *most);
        let Some(most) = fell_from else {
            self.fallen = None;
            return Ok(Value::Whole(now));
        };
        if self.fallen.take().is_some_and(|fallen| now >= fallen) {
            (self.peak, self.before) = (None, None);
            return Ok(Value::Whole(now));
        }
        self.fallen = Some(now);
        Err(Unknown::Invalid(format!("it fell from {most} to {now}; believed when it is seen again")))
    }

    fn offers(&self) -> bool {
        self.value != Err(Unknown::Unsupported)
    }

    /// Whether another source of the same signal says something that cannot be true as well.
    fn contradicts(&self, other: &Self) -> bool {
        let apart = self.observed_at.since(other.observed_at).max(other.observed_at.since(self.observed_at));
        if apart > self.stale_after.min(other.stale_after) {
            return false;
        }
        match (&self.value, &other.value) {
            (Ok(Value::Whole(one)), Ok(Value::Whole(two))) => match self.signal.unit() {
                Unit::Flag => one != two,
                Unit::Height => one.abs_diff(*two) > HEADS_APART,
                _ => false,
            },
            _ => false,
        }
    }

    fn latest(&self) -> Latest<'_> {
        Latest {
            value: &self.value,
            asked_at: self.asked_at,
            observed_at: self.observed_at,
            stale_after: self.stale_after,
            peak: self.peak,
            before: self.before,
        }
    }
}

impl Observatory {
    /// Files what a poll of the source of this rank told; it is known for `stale_after` milliseconds. An observation
    /// older than the one on file is dropped.
    pub fn file(&mut self, poll: &Poll, rank: u8, stale_after: u64) {
        for (signal, value) in &poll.values {
            let place = self.records.binary_search_by_key(&(*signal, rank), |record| (record.signal, record.rank));
            let place = place.unwrap_or_else(|place| {
                self.records.insert(place, Record::new(*signal, rank));
                place
            });
            self.records[place].take(value, poll, stale_after);
        }
    }

    /// Forgets what sources of this rank or a later one told: the policy has fewer now, or others.
    pub fn forget_from(&mut self, rank: u8) {
        self.records.retain(|record| record.rank < rank);
    }

    /// The newest observation of a signal by the source that is believed.
    #[must_use]
    pub fn latest(&self, signal: Signal) -> Option<Latest<'_>> {
        static DISAGREE: Result<Value, Unknown> = Err(Unknown::Disagree);
        let of = || {
            let start = self.records.partition_point(|record| record.signal < signal);
            self.records[start..].iter().take_while(move |record| record.signal == signal)
        };
        let owner = of().find(|record| record.offers()).or_else(|| of().next())?;
        let latest = owner.latest();
        // Every source has a port of its own, so that they may well differ in this.
        let contested = signal != Signal::Reachable && of().any(|other| other.contradicts(owner));
        Some(if contested { Latest { value: &DISAGREE, ..latest } } else { latest })
    }

    /// What is known of a signal now.
    #[must_use]
    pub fn read(&self, signal: Signal, now: Mono) -> Reading {
        let Some(latest) = self.latest(signal) else {
            return Reading::Unknown(Unknown::NotYet);
        };
        let age = now.since(latest.observed_at);
        match latest.value {
            _ if age > latest.stale_after => Reading::Unknown(Unknown::Stale(age)),
            Err(why) => Reading::Unknown(why.clone()),
            Ok(value) => Reading::Known(Sample {
                value: value.clone(),
                asked_at: latest.asked_at,
                observed_at: latest.observed_at,
            }),
        }
    }

    /// The newest value that the source of this rank told of a signal, whatever the others say.
    #[must_use]
    pub fn told_by(&self, signal: Signal, rank: u8, now: Mono) -> Option<Sample> {
        let place =
            self.records.binary_search_by_key(&(signal, rank), |record| (record.signal, record.rank)).ok()?;
        let Record { value, asked_at, observed_at, stale_after, .. } = &self.records[place];
        let value = value.as_ref().ok().filter(|_| now.since(*observed_at) <= *stale_after)?;
        Some(Sample { value: value.clone(), asked_at: *asked_at, observed_at: *observed_at })
    }

    /// When the signal last reached a new maximum, and that maximum. Kept while nothing is known.
    #[must_use]
    pub fn peak(&self, signal: Signal) -> Option<(u64, Mono)> {
        self.latest(signal).and_then(|latest| latest.peak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(at: u64, signal: Signal, value: Result<Value, Unknown>) -> Poll {
        Poll { asked_at: Mono(at), observed_at: Mono(at + 1), values: vec![(signal, value)], ..Poll::default() }
    }

    fn heads(of: &[(u64, u8, Result<u64, Unknown>)]) -> Observatory {
        let mut observatory = Observatory::default();
        for (at, rank, head) in of {
            observatory.file(&poll(*at, Signal::Head, head.clone().map(Value::Whole)), *rank, 100);
        }
        observatory
    }

    #[test]
    fn a_sample_is_known_until_it_is_stale() {
        assert_eq!(Observatory::default().read(Signal::Head, Mono(0)), Reading::Unknown(Unknown::NotYet));
        let observatory = heads(&[(99, 0, Ok(7))]);
        assert_eq!(observatory.read(Signal::Head, Mono(200)).whole(), Some(7));
        assert_eq!(observatory.read(Signal::Head, Mono(201)), Reading::Unknown(Unknown::Stale(101)));
    }

    #[test]
    fn each_source_can_be_heard_alone() {
        let observatory = heads(&[(0, 1, Err(Unknown::Unsupported)), (10, 2, Ok(7)), (10, 3, Ok(9_000))]);
        let told = |rank, now| observatory.told_by(Signal::Head, rank, Mono(now)).map(|sample| sample.value);
        assert_eq!(
            (told(1, 20), told(2, 20), told(3, 20)),
            (None, Some(Value::Whole(7)), Some(Value::Whole(9_000)))
        );
        assert_eq!((told(2, 112), told(4, 20)), (None, None));
    }

    #[test]
    fn a_failed_poll_hides_the_value_but_not_its_rise() {
        let observatory = heads(&[(0, 0, Ok(7)), (10, 0, Err(Unknown::NoAnswer))]);
        assert_eq!(observatory.read(Signal::Head, Mono(12)), Reading::Unknown(Unknown::NoAnswer));
        assert_eq!(observatory.peak(Signal::Head), Some((7, Mono(1))));
    }

    #[test]
    fn an_older_observation_never_replaces_a_newer_one() {
        assert_eq!(heads(&[(10, 0, Ok(9)), (5, 0, Ok(8))]).read(Signal::Head, Mono(12)).whole(), Some(9));
    }

    /// T08
    #[test]
    fn a_head_that_falls_deep_is_believed_when_it_is_seen_twice() {
        let small = heads(&[(0, 0, Ok(1000)), (10, 0, Ok(990))]);
        assert_eq!(small.read(Signal::Head, Mono(11)).whole(), Some(990));
        let once = heads(&[(0, 0, Ok(1000)), (10, 0, Ok(3))]);
        let read = once.read(Signal::Head, Mono(11));
        assert!(matches!(&read, Reading::Unknown(Unknown::Invalid(why)) if why.contains("1000 to 3")), "{read:?}");
        let back = heads(&[(0, 0, Ok(1000)), (10, 0, Ok(3)), (20, 0, Ok(1001))]);
        assert_eq!(back.read(Signal::Head, Mono(21)).whole(), Some(1001));
        let twice = heads(&[(0, 0, Ok(1000)), (10, 0, Ok(3)), (20, 0, Ok(5))]);
        assert_eq!(twice.read(Signal::Head, Mono(21)).whole(), Some(5));
        assert_eq!(twice.peak(Signal::Head), Some((5, Mono(21))));
        let falling = heads(&[(0, 0, Ok(1000)), (10, 0, Ok(300)), (20, 0, Ok(5))]);
        assert_eq!(falling.read(Signal::Head, Mono(21)).whole(), None, "it falls on");
    }

    /// T23
    #[test]
    fn the_first_source_is_believed_and_a_contradiction_is_unknown() {
        let near = heads(&[(0, 0, Ok(1000)), (5, 1, Ok(1010))]);
        assert_eq!(near.read(Signal::Head, Mono(6)).whole(), Some(1000));
        let far = heads(&[(0, 0, Ok(1000)), (5, 1, Ok(2000))]);
        assert_eq!(far.read(Signal::Head, Mono(6)), Reading::Unknown(Unknown::Disagree));
        let old = heads(&[(0, 1, Ok(2000)), (500, 0, Ok(1000))]);
        assert_eq!(old.read(Signal::Head, Mono(501)).whole(), Some(1000), "what is stale contradicts nobody");
    }

    #[test]
    fn what_the_first_source_does_not_offer_the_second_may() {
        let observatory = heads(&[(0, 0, Err(Unknown::Unsupported)), (0, 1, Ok(5))]);
        assert_eq!(observatory.read(Signal::Head, Mono(2)).whole(), Some(5));
        let broken = heads(&[(0, 0, Err(Unknown::NoAnswer)), (0, 1, Ok(5))]);
        assert_eq!(broken.read(Signal::Head, Mono(2)), Reading::Unknown(Unknown::NoAnswer));
    }
}
