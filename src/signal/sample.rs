//! Samples and readings.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Mono, Signal, Told};

/// A value in its signal's unit, exact.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// A whole number: heights, counts, flags.
    Whole(u64),
    /// Millionths of the unit: seconds, differences that may be negative.
    Micros(i64),
    /// Words.
    Text(String),
}

/// A value with the time it was observed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// The value.
    pub value: Value,
    /// When the request for it was sent: a breach begins here.
    pub asked_at: Mono,
    /// When the answer was complete, or the attempt was given up.
    pub observed_at: Mono,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum Unknown {
    /// Nothing was observed yet.
    #[error("not observed yet")]
    NotYet,
    /// The last observation is too old (milliseconds).
    #[error("last observed {} ago", Seconds(*.0))]
    Stale(u64),
    /// The endpoint did not answer, so what only an answer could tell is not known.
    #[error("no answer")]
    NoAnswer,
    /// The answer made no sense.
    #[error("unusable answer: {0}")]
    Invalid(String),
    /// The node belongs to another chain.
    #[error("answers for chain {0}")]
    WrongChain(String),
    /// The node does not offer this.
    #[error("not offered by this node")]
    Unsupported,
    /// Our own side failed.
    #[error("could not ask: {0}")]
    OurSide(String),
    /// Silence without anything else on the network that answered: it may be us.
    #[error("silent, but so is everything else that could bear witness")]
    NoWitness,
    /// There is no quorum for the network's head.
    #[error("the network's head is not known")]
    NoReference,
    /// Two sources of this signal contradict each other.
    #[error("two sources of it contradict each other")]
    Disagree,
}

/// What is known of a signal now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reading {
    /// A fresh sample.
    Known(Sample),
    /// No fresh sample, and why.
    Unknown(Unknown),
}

/// What one poll of one source told about one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// When the request was sent.
    pub asked_at: Mono,
    /// When the answer was complete, or the attempt was given up.
    pub observed_at: Mono,
    /// A value or a reason for each signal the source offers.
    pub values: Vec<(Signal, Result<Value, Unknown>)>,
    /// What it told about the chain.
    pub told: Told,
}

/// Milliseconds, for people.
struct Seconds(u64);

// === impl Poll ===

impl Poll {
    /// What it told of a signal.
    #[must_use]
    pub fn value(&self, signal: Signal) -> Option<&Result<Value, Unknown>> {
        self.values.iter().find(|(known, _)| *known == signal).map(|(_, value)| value)
    }

    /// The whole number that it told of a signal, if it is known.
    #[must_use]
    pub fn whole(&self, signal: Signal) -> Option<u64> {
        self.value(signal)?.as_ref().ok()?.whole()
    }
}

// === impl Value ===

impl Value {
    /// A length of time in milliseconds as a value in seconds.
    #[must_use]
    pub fn of_millis(millis: u64) -> Self {
        Self::Micros(i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// So many blocks, or whatever else a difference counts.
    #[must_use]
    pub fn of_whole(count: u64) -> Self {
        Self::Micros(i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    }

    /// The value in millionths of its unit; `None` for words.
    #[must_use]
    pub fn micros(&self) -> Option<i128> {
        match self {
            Self::Whole(value) => Some(i128::from(*value) * 1_000_000),
            Self::Micros(value) => Some(i128::from(*value)),
            Self::Text(_) => None,
        }
    }

    /// The whole number; `None` for the rest.
    #[must_use]
    pub fn whole(&self) -> Option<u64> {
        match self {
            Self::Whole(value) => Some(*value),
            Self::Micros(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Micros(value) => {
                let sign = if *value < 0 { "-" } else { "" };
                let (whole, millis) = (value.unsigned_abs() / 1_000_000, value.unsigned_abs() % 1_000_000 / 1000);
                if millis == 0 {
                    write!(f, "{sign}{whole}")
                } else {
                    write!(f, "{sign}{whole}.{}", format!("{millis:03}").trim_end_matches('0'))
                }
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

// === impl Reading ===

impl Reading {
    /// The sample, if there is one.
    #[must_use]
    pub fn known(&self) -> Option<&Sample> {
        match self {
            Self::Known(sample) => Some(sample),
            Self::Unknown(_) => None,
        }
    }

    /// The whole number that is known, if any.
    #[must_use]
    pub fn whole(&self) -> Option<u64> {
        self.known().and_then(|sample| sample.value.whole())
    }
}

// === impl Seconds ===

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} s", self.0 / 1000, self.0 % 1000 / 100)
    }
}
