//! PURE. Is it healthy? Verdicts with evidence; one file per kind of rule.
//!
//! What a rule sees is a [`course::Course`]: a sample and what becomes of it by the lapse of time alone. At every
//! instant it takes one of four [`hold::Stance`]s to the rule; [`hold::Hold`] remembers how long, and says when the
//! rule fires and when that is over. Nothing depends on how often one judges: between two judgements the past is run
//! through instant by instant, so that every hold ends and every sample goes stale exactly when it should.

mod absent;
mod course;
mod hold;
mod rule;
mod stalled;
mod target;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod threshold;
mod verdict;
mod words;

pub use rule::read;
pub use target::TargetState;
pub use verdict::{Finding, Verdict, VerdictKind};
