//! What the judge keeps of one target.

use std::cmp::Reverse;

use super::{Finding, Verdict, VerdictKind, course::Course, hold::Phase, rule::RuleState};
use crate::api::policy::Severity;
use crate::network::NetworkView;
use crate::policy::Policy;
use crate::signal::{Mono, Observatory, Poll, Reading, Signal, Unknown};

/// What the judge keeps of one target: one pod uid under one policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetState {
    /// The latest observation of every signal.
    pub observatory: Observatory,
    rules: Vec<RuleState>,
    verdict: Verdict,
    /// The instant up to which the past has been judged.
    judged_at: Mono,
}

// === impl TargetState ===

impl TargetState {
    /// A target of which nothing was observed yet.
    #[must_use]
    pub fn new(policy: &Policy, now: Mono) -> Self {
        Self {
            observatory: Observatory::default(),
            rules: policy.rules.iter().map(|rule| RuleState::new(rule, now)).collect(),
            verdict: Verdict {
                kind: VerdictKind::Unknown,
                since: now,
                findings: Vec::new(),
                unknown: Unknown::NotYet.to_string(),
            },
            judged_at: now,
        }
    }

    /// The policy changed. What was remembered for rules that are as they were lives on; the others start anew.
    pub fn adopt(&mut self, policy: &Policy, now: Mono) {
        let mut before = std::mem::take(&mut self.rules);
        self.rules = Vec::with_capacity(policy.rules.len());
        for rule in &policy.rules {
            let known = before.iter().position(|state| state.rule() == rule);
            self.rules.push(known.map_or_else(|| RuleState::new(rule, now), |index| before.swap_remove(index)));
        }
        self.judged_at = self.judged_at.max(now);
    }

    /// Files what a poll told. Judge after each: a window of samples counts those that were judged.
    ///
    /// `rank`: the place of the source among those of the policy; `stale_after` (milliseconds): for how long its
    /// samples are known.
    pub fn file(&mut self, poll: &Poll, rank: u8, stale_after: u64) {
        self.observatory.file(poll, rank, stale_after);
    }

    /// Judges everything up to now. Returns whether the verdict's kind changed, or which rules breach or fire.
    pub fn judge(&mut self, view: &NetworkView, now: Mono) -> bool {
        let before = self.outline();
        let mut arrivals: Vec<_> = self.rules.iter().map(|rule| rule.look(&self.observatory, view, now)).collect();
        while let Some(at) = self.next_event(&arrivals).filter(|at| *at <= now) {
            for (rule, arrival) in self.rules.iter_mut().zip(&mut arrivals) {
                let arrived = arrival.take_if(|(from, _)| *from <= at).map(|(_, course)| course);
                rule.advance(arrived, at);
            }
            self.judged_at = at;
            self.conclude(at);
        }
        self.judged_at = self.judged_at.max(now);
        self.conclude(now);
        self.report();
        before != self.outline()
    }

    /// What is held of the target, as of the last judgement.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The next instant at which judging again can change something although nothing new is told. Not before `now`;
    /// `now` itself when something is told that was not judged yet.
    #[must_use]
    pub fn next(&self, view: &NetworkView, now: Mono) -> Option<Mono> {
        let look = |rule: &RuleState| rule.look(&self.observatory, view, now);
        let arrivals: Vec<_> = self.rules.iter().map(look).collect();
        self.next_event(&arrivals).map(|at| at.max(now))
    }

    /// Since when the target has been healthy without a break; `None` while it is not.
    #[must_use]
    pub fn healthy_since(&self) -> Option<Mono> {
        (self.verdict.kind == VerdictKind::Healthy).then_some(self.verdict.since)
    }

    /// What is known of a signal now. Derived signals are computed, and a silence without a witness is not known.
    #[must_use]
    pub fn read(&self, signal: Signal, view: &NetworkView, now: Mono) -> Reading {
        super::rule::read(signal, &self.observatory, view, now)
    }

    /// When the next thing happens: something that was told takes effect, or time brings a change.
    fn next_event(&self, arrivals: &[Option<(Mono, Course)>]) -> Option<Mono> {
        let told = arrivals.iter().flatten().map(|(from, _)| *from);
        let due = self.rules.iter().filter_map(|rule| rule.next(self.judged_at));
        told.chain(due).min().map(|at| at.max(self.judged_at))
    }

    /// The verdict in one word, and since when.
    fn conclude(&mut self, at: Mono) {
        let critical = || self.rules.iter().filter(|state| state.rule().severity >= Severity::Critical);
        // That nobody can say whether a node is on a fork of its own is no reason to doubt the rest.
        let blind = |state: &RuleState| state.rule().severity == Severity::Critical && state.blind();
        let kind = if critical().any(|state| matches!(state.phase(), Phase::Firing { .. })) {
            VerdictKind::Unhealthy
        } else if critical().any(|state| matches!(state.phase(), Phase::Breaching { .. })) {
            VerdictKind::Suspect
        } else if self.rules.iter().any(blind) {
            VerdictKind::Unknown
        } else {
            VerdictKind::Healthy
        };
        if kind != self.verdict.kind {
            self.verdict.kind = kind;
            self.verdict.since = at;
        }
    }

    /// The evidence for the verdict.
    fn report(&mut self) {
        let mut findings: Vec<Finding> = self.rules.iter().filter_map(RuleState::finding).collect();
        findings.sort_by(|a, b| (Reverse(a.severity), &a.rule).cmp(&(Reverse(b.severity), &b.rule)));
        self.verdict.findings = findings;
        self.verdict.unknown.clear();
        if self.verdict.kind == VerdictKind::Unknown {
            let blind = |state: &&RuleState| state.rule().severity == Severity::Critical && state.blind();
            if let Some(state) = self.rules.iter().find(blind) {
                self.verdict.unknown = format!("{} cannot be judged: {}", state.rule().name, state.blindness());
            }
        }
    }

    fn outline(&self) -> (VerdictKind, Vec<(String, bool)>) {
        let findings = self.verdict.findings.iter();
        (self.verdict.kind, findings.map(|finding| (finding.rule.clone(), finding.firing)).collect())
    }
}
