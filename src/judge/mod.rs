//! PURE. Is it healthy? Verdicts with evidence; one file per kind of rule.

mod verdict;

pub use verdict::{Finding, Verdict, VerdictKind};
