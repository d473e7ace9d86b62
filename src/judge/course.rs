//! What a signal shows from one sample to the next: derived signals, the witness rule, and the lapse of time.

use crate::network::{Comparison, NetworkView};
use crate::signal::{Latest, Mono, Observatory, Reading, Sample, Signal, Unknown, Value};

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
    /// How the node's block compares with the network's.
    Compared(Comparison),
}

// === impl Course ===

impl Course {
    /// Before the first sample.
    pub fn not_yet(now: Mono) -> Self {
        Self { asked_at: now, observed_at: now, stale_after: 0, shows: Err(Unknown::NotYet) }
    }

    /// What the newest sample of a signal shows; `None` before the first.
    pub fn of(signal: Signal, seen: &Observatory, view: &NetworkView) -> Option<Self> {
        let latest = seen.latest(if signal.is_derived() { Signal::Head } else { signal })?;
        let Latest { value, asked_at, observed_at, stale_after, .. } = latest;
        let (asked_at, shows) = match value {
            Ok(value) => (asked_at, derive(signal, value, &latest, view)),
            Err(why) => (observed_at, Err(why.clone())),
        };
        Some(Self { asked_at, observed_at, stale_after, shows })
    }

    /// How the node's blocks compare with the network's; `None` before the first head. Blocks do not change any more,
    /// so the comparison is as fresh as the node's last answer.
    pub fn of_blocks(signal: Signal, seen: &Observatory, view: &NetworkView) -> Option<Self> {
        let course = Self::of(Signal::Head, seen, view)?;
        let compared = if signal == Signal::AppHash { view.state } else { view.block };
        let shows = match course.shows {
            Ok(_) => compared.map(Shows::Compared).ok_or(Unknown::NoReference),
            Err(why) => Err(why),
        };
        Some(Self { shows, ..course })
    }

    /// What the newest sample of the head shows beside the network's; `None` before the first.
    pub fn of_heads(seen: &Observatory, view: &NetworkView) -> Option<Self> {
        let course = Self::of(Signal::Head, seen, view)?;
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
            Self::AgeOf(since) => Value::of_millis(now.since(*since)),
            Self::Heads { own, .. } => Value::Whole(*own),
            Self::Compared(comparison) => Value::Whole(u64::from(comparison.differs())),
        }
    }
}

fn derive(signal: Signal, value: &Value, latest: &Latest<'_>, view: &NetworkView) -> Result<Shows, Unknown> {
    match signal {
        Signal::HeadAge => latest.peak.map(|(_, at)| Shows::AgeOf(at)).ok_or(Unknown::NotYet),
        Signal::SyncRate => {
            let own = value.whole().ok_or(Unknown::Unsupported)?;
            let (before, at) = latest.before.ok_or(Unknown::NotYet)?;
            let millis = i128::from(latest.observed_at.since(at)).max(1);
            let rate = (i128::from(own) - i128::from(before)) * 1_000_000_000 / millis;
            i64::try_from(rate).map(|rate| Shows::Value(Value::Micros(rate))).map_err(|_| Unknown::NotYet)
        }
        Signal::HeadLag => {
            let reference = view.reference.ok_or(Unknown::NoReference)?;
            let own = value.whole().ok_or(Unknown::Unsupported)?;
            let lag = (i128::from(reference.height) - i128::from(own)) * 1_000_000;
            let most = if lag < 0 { i64::MIN } else { i64::MAX };
            Ok(Shows::Value(Value::Micros(i64::try_from(lag).unwrap_or(most))))
        }
        // Silence counts against the node only while something else on the network answered: else it may be us.
        Signal::Reachable if *value == Value::Whole(0) && !view.witnessed(latest.asked_at) => {
            Err(Unknown::NoWitness)
        }
        _ => Ok(Shows::Value(value.clone())),
    }
}
