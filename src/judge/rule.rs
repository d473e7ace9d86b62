//! One rule over one target: what it sees, what that means, and what it remembers.

use super::{
    absent,
    course::{Course, Shows},
    hold::{Hold, News, Phase, Stance},
    stalled::Mark,
    threshold,
    verdict::Finding,
};
use crate::network::NetworkView;
use crate::policy::{Condition, Rule, Trigger};
use crate::signal::{Mono, Observatory, Signal, Unknown};

/// One rule over one target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RuleState {
    rule: Rule,
    course: Course,
    /// For `stalled`: where the head is.
    mark: Option<Mark>,
    hold: Hold,
    /// The sentence of the breach; its numbers are those of when it began, then of when it fired.
    evidence: String,
    /// When the newest sample behind the breach was observed.
    evidence_at: Mono,
}

// === impl RuleState ===

impl RuleState {
    pub fn new(rule: &Rule, now: Mono) -> Self {
        let mut state = Self {
            rule: rule.clone(),
            course: Course::not_yet(now),
            mark: None,
            hold: Hold::new(now),
            evidence: String::new(),
            evidence_at: now,
        };
        state.advance(None, now);
        state
    }

    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    pub fn phase(&self) -> Phase {
        self.hold.phase()
    }

    /// Whether the rule cannot be judged although it should be. A rule of the preset on what this node's software does
    /// not offer does not apply to it; one that somebody wrote does.
    pub fn blind(&self) -> bool {
        let offered = self.course.shows != Err(Unknown::Unsupported);
        self.hold.stance() == Stance::Unknown && (offered || !self.rule.name.starts_with("preset/"))
    }

    /// Why the rule cannot be judged, in one sentence.
    pub fn blindness(&self) -> String {
        format!("{} is unknown: {}", self.rule.signal.name(), self.course.unknown())
    }

    /// What there is to see now, if that is not what was seen at the last judgement; and since when.
    pub fn look(&self, seen: &Observatory, view: &NetworkView, now: Mono) -> Option<(Mono, Course)> {
        let course = match self.rule.condition {
            Condition::Stalled => Course::of_heads(seen, view),
            Condition::Diverged => Course::of_blocks(self.rule.signal, seen, view),
            Condition::Above(_) | Condition::Below(_) | Condition::Absent => {
                Course::of(self.rule.signal, seen, view)
            }
        };
        let course = course.filter(|course| *course != self.course)?;
        let new_sample = course.observed_at != self.course.observed_at;
        Some((if new_sample { course.observed_at } else { now }, course))
    }

    /// The next instant after `after` at which something changes while one sees the same.
    pub fn next(&self, after: Mono) -> Option<Mono> {
        let shows = self.course.shows.as_ref().ok();
        let stale = shows.map(|_| self.course.stale_at());
        let since = shows.and_then(|shows| match shows {
            Shows::AgeOf(since) => Some(*since),
            Shows::Value(_) | Shows::Heads { .. } | Shows::Compared(_) => None,
        });
        let passes = since.into_iter().flat_map(|since| threshold::passes(&self.rule, since));
        let turns = passes.chain(stale).filter(|at| *at > after);
        turns.chain(self.hold.next(&self.rule, self.course.stale_after)).min()
    }

    /// Goes on to an instant, at which something new may be seen.
    pub fn advance(&mut self, arrival: Option<Course>, now: Mono) {
        // A breach that a sample shows began when the sample was asked for; one that time brings begins now.
        let began = arrival.as_ref().map_or(now, |course| course.asked_at);
        if let Some(course) = arrival {
            self.course = course;
            self.follow_heads();
        }
        let reading = self.stance(now);
        if let (Trigger::Samples { of, .. }, true) = (self.rule.trigger, reading != Stance::Unknown) {
            self.hold.count(self.course.observed_at, reading == Stance::Breach, of);
        }
        let news = self.hold.step(&self.rule, reading, began, self.course.stale_after, now);
        if matches!(self.hold.stance(), Stance::Breach | Stance::Between) {
            self.evidence_at = self.course.observed_at;
        }
        match self.hold.phase() {
            Phase::Calm => self.evidence.clear(),
            Phase::Breaching { since, .. } | Phase::Firing { since } => {
                if let Some(news) = news {
                    self.evidence = self.sentence(news, since, now);
                }
            }
        }
    }

    /// What there is to tell of the rule, if it breaches or fires.
    pub fn finding(&self) -> Option<Finding> {
        let (breach_since, firing) = match self.hold.phase() {
            Phase::Calm => return None,
            Phase::Breaching { since, .. } => (since, false),
            Phase::Firing { since } => (since, true),
        };
        Some(Finding {
            rule: self.rule.name.clone(),
            signal: Some(self.rule.signal),
            severity: self.rule.severity,
            firing,
            breach_since,
            observed_at: self.evidence_at,
            evidence: self.evidence.clone(),
        })
    }

    fn follow_heads(&mut self) {
        let Ok(Shows::Heads { own, network }) = self.course.shows else {
            return;
        };
        let observed_at = self.course.observed_at;
        match &mut self.mark {
            Some(mark) => mark.follow(own, network, observed_at),
            mark => *mark = Some(Mark::new(own, network, observed_at, observed_at)),
        }
    }

    fn stance(&self, now: Mono) -> Stance {
        let shows = self.course.at(now);
        match (self.rule.condition, shows) {
            (Condition::Absent, shows) => absent::stance(shows.is_some()),
            (Condition::Stalled, Some(_)) => self.mark.as_ref().map_or(Stance::Unknown, Mark::stance),
            (Condition::Diverged, Some(Shows::Compared(comparison))) => {
                if comparison.differs() {
                    Stance::Breach
                } else {
                    Stance::Clear
                }
            }
            (Condition::Diverged, Some(_)) | (_, None) => Stance::Unknown,
            (Condition::Above(_) | Condition::Below(_), Some(shows)) => {
                threshold::stance(&self.rule, &shows.value(now))
            }
        }
    }

    fn sentence(&self, news: News, since: Mono, now: Mono) -> String {
        let lasted = (news == News::Fired).then(|| now.since(since));
        match (self.rule.condition, &self.course.shows, &self.mark) {
            (Condition::Above(_) | Condition::Below(_), Ok(shows), _) => {
                threshold::sentence(&self.rule, &shows.value(now), lasted, self.hold.breaches())
            }
            (Condition::Stalled, _, Some(mark)) => mark.sentence(now),
            (Condition::Diverged, Ok(Shows::Compared(comparison)), _) => {
                comparison.sentence(self.rule.signal.name())
            }
            _ => absent::sentence(self.rule.signal, &self.course.unknown(), lasted),
        }
    }
}

/// The reading of any signal of a target, derived ones and the witness rule included.
#[must_use]
pub fn read(signal: Signal, seen: &Observatory, view: &NetworkView, now: Mono) -> crate::signal::Reading {
    let course = Course::of(signal, seen, view);
    course.unwrap_or_else(|| Course::not_yet(now)).reading(now)
}
