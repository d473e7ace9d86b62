//! What a signal shows from one sample to the next: derived signals, the witness rule, and the lapse of time.

use crate::network::NetworkView;
use crate::signal::{Mono, Observatory, Reading, Sample, Signal, Unknown, Value};

/// A sample and what becomes of it by the lapse of time alone: it goes stale, and an age grows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Course {
    pub asked_at: Mono,
    pub observed_at: Mono,
    /// The sample is known for so long (milliseconds).
    pub stale_after: u64,
    pub shows: Result<Shows, Unknown>,
}

/// What a sample shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shows {
    /// This value.
    Value(Value),
    /// The time since then.
    AgeOf(Mono),
    /// This head, while the network is there.
    Heads { own: u64, network: u64 },
}

// === impl Course ===

impl Course {
    /// Before the first sample.
    pub fn not_yet(now: Mono) -> Self {
        Self { asked_at: now, observed_at: now, stale_after: 0, shows: Err(Unknown::NotYet) }
    }

    /// What the newest sample of a signal shows; `None` before the first.
    pub fn of(signal: Signal, seen: &Observatory, view: &NetworkView, stale_after: u64) -> Option<Self> {
        let source = match signal {
            Signal::HeadAge | Signal::HeadLag => Signal::Head,
            other => other,
        };
        let observed_at = seen.observed_at(source)?;
        // Read as of its own time: what time does to it is the course's affair.
        let (asked_at, shows) = match seen.read(source, observed_at, stale_after) {
            Reading::Known(sample) => (sample.asked_at, derive(signal, sample, seen, view)),
            Reading::Unknown(why) => (observed_at, Err(why)),
        };
        Some(Self { asked_at, observed_at, stale_after, shows })
    }

    /// What the newest sample of the head shows beside the network's; `None` before the first.
    pub fn of_heads(seen: &Observatory, view: &NetworkView, stale_after: u64) -> Option<Self> {
        let course = Self::of(Signal::Head, seen, view, stale_after)?;
        let shows = match (course.shows, view.reference) {
            (Ok(Shows::Value(Value::Whole(own))), Some(reference)) => {
                Ok(Shows::Heads { own, network: reference.height })
            }
            (Ok(_), _) => Err(Unknown::NoReference),
            (Err(why), _) => Err(why),
        };
        Some(Self { shows, ..course })
    }

    /// What it shows at an instant; `None`: nothing is known.
    pub fn at(&self, now: Mono) -> Option<&Shows> {
        self.shows.as_ref().ok().filter(|_| now < self.stale_at())
    }

    /// The first instant at which the sample is stale.
    pub fn stale_at(&self) -> Mono {
        self.observed_at.plus(self.stale_after).plus(1)
    }

    /// Why nothing is known; of a sample that went stale, that it did.
    pub fn unknown(&self) -> Unknown {
        self.shows.as_ref().err().cloned().unwrap_or(Unknown::Stale(self.stale_after))
    }

    /// The reading at an instant.
    pub fn reading(&self, now: Mono) -> Reading {
        let age = now.since(self.observed_at);
        match &self.shows {
            _ if age > self.stale_after => Reading::Unknown(Unknown::Stale(age)),
            Err(why) => Reading::Unknown(why.clone()),
            Ok(shows) => Reading::Known(Sample {
                value: shows.value(now),
                asked_at: self.asked_at,
                observed_at: self.observed_at,
            }),
        }
    }
}

// === impl Shows ===

impl Shows {
    /// The value at an instant.
    pub fn value(&self, now: Mono) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::AgeOf(since) => {
                Value::Micros(i64::try_from(now.since(*since)).unwrap_or(i64::MAX).saturating_mul(1000))
            }
            Self::Heads { own, .. } => Value::Whole(*own),
        }
    }
}

fn derive(signal: Signal, sample: Sample, seen: &Observatory, view: &NetworkView) -> Result<Shows, Unknown> {
    match signal {
        Signal::HeadAge => seen.peak(Signal::Head).map(|(_, at)| Shows::AgeOf(at)).ok_or(Unknown::NotYet),
        Signal::HeadLag => {
            let reference = view.reference.ok_or(Unknown::NoReference)?;
            let own = sample.value.whole().ok_or(Unknown::Unsupported)?;
            let lag = (i128::from(reference.height) - i128::from(own)) * 1_000_000;
            let most = if lag < 0 { i64::MIN } else { i64::MAX };
            Ok(Shows::Value(Value::Micros(i64::try_from(lag).unwrap_or(most))))
        }
        // Silence counts against the node only while something else on the network answered: else it may be us.
        Signal::Reachable if sample.value == Value::Whole(0) && !view.witnessed(sample.asked_at) => {
            Err(Unknown::NoWitness)
        }
        _ => Ok(Shows::Value(sample.value)),
    }
}
