//! What a simulation came to.

use std::collections::BTreeMap;

use crate::{
    api::Phase,
    judge::VerdictKind,
    plan::{Guard, Step},
};

/// What happened, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// The wall clock at the beginning (milliseconds since the epoch).
    pub begins_at: i64,
    /// For how long (milliseconds).
    pub until: u64,
    /// Per target.
    pub tracks: BTreeMap<String, Track>,
    /// Everything that changed.
    pub events: Vec<Event>,
}

/// What happened to one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// Its verdicts, and since when (milliseconds from the beginning).
    pub verdicts: Vec<(u64, VerdictKind)>,
    /// How often each step was taken.
    pub steps: BTreeMap<Step, u32>,
    /// For how long each guard was the one that held (milliseconds).
    pub held: BTreeMap<Guard, u64>,
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When (milliseconds from the beginning).
    pub at: u64,
    /// Of which target.
    pub target: String,
    /// What.
    pub what: What,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Another verdict, and why.
    Verdict(VerdictKind, String),
    /// Another guard holds a step, and why.
    Held(Guard, String),
    /// A step was decided.
    Begun(Step, i32),
    /// A step came to its end: the phase, and a sentence.
    Ended(Step, i32, Phase, String),
}

impl Story {
    /// Takes note of something.
    pub(super) fn note(&mut self, at: u64, target: &str, what: What) {
        let track = self.tracks.entry(target.to_owned()).or_default();
        match &what {
            What::Verdict(kind, _) => track.verdicts.push((at, *kind)),
            What::Ended(step, _, phase, _) if !matches!(phase, Phase::Withdrawn | Phase::Superseded) => {
                *track.steps.entry(*step).or_default() += 1;
            }
            What::Held(..) | What::Begun(..) | What::Ended(..) => {}
        }
        self.events.push(Event { at, target: target.to_owned(), what });
    }
}

impl Track {
    /// For how long (milliseconds) it had this verdict, of `until`.
    #[must_use]
    pub fn time(&self, kind: VerdictKind, until: u64) -> u64 {
        let ends = self.verdicts.iter().skip(1).map(|(at, _)| *at).chain([until]);
        let spans = self.verdicts.iter().zip(ends);
        spans.filter(|((_, of), _)| *of == kind).map(|((from, _), to)| to.saturating_sub(*from)).sum()
    }

    /// How often a step was taken.
    #[must_use]
    pub fn count(&self, step: Step) -> u32 {
        self.steps.get(&step).copied().unwrap_or(0)
    }
}
