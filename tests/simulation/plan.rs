//! What breaks in a run, and when.

use super::toy::{Condition, FAULTS_END, TICK};
use crate::dice::Dice;

impl Dice {
    /// A span within the time of faults.
    pub fn span(&mut self, longest: u64) -> Span {
        let from = self.below(FAULTS_END - 60_000);
        Span(from, (from + TICK + self.below(longest)).min(FAULTS_END))
    }
}

/// From and until (milliseconds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(pub u64, pub u64);

impl Span {
    pub fn has(self, at: u64) -> bool {
        (self.0..self.1).contains(&at)
    }

    /// Whether it has been so for longer than anybody may act on an older look.
    pub fn lasts(self, at: u64, slack: u64) -> bool {
        self.has(at) && at - self.0 > slack
    }
}

/// What breaks beside single nodes.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub breaks: Vec<(u64, usize, Condition, u32)>,
    /// Telemetry of all is cut.
    pub cut: Span,
    /// The way to this one node is, and another replica has a way of its own.
    pub blind: (usize, Span),
    /// The chain stands still.
    pub halt: Span,
    /// The reference lies, or stands still.
    pub liar: Span,
    pub frozen: Span,
    pub stop: Span,
    pub pause: Span,
    pub observe: Span,
    pub rollout: Span,
    pub cordon: Span,
    pub closed: Span,
    /// The caches hear nothing.
    pub deaf: Span,
    /// No operator runs.
    pub asleep: Span,
    /// Both operators act as if they led.
    pub two_leaders: bool,
    /// Our clock is off (milliseconds).
    pub skew: i64,
    /// Once in so many an operator dies, an answer is lost.
    pub deaths: u64,
    pub losses: u64,
}
