//! A scene for the judge, in whole seconds. Samples live for 15 s (every 5 s, timeout 2 s).

use serde_json::json;

use super::{TargetState, Verdict, VerdictKind};
use crate::api::{
    Family,
    policy::Severity::{self, Critical},
};
use crate::network::{NetworkView, ReferenceHead};
use crate::policy::{Condition, Policy, Rule, Trigger, validate};
use crate::signal::{Mono, Poll, Signal, Unknown, Value};

pub(super) const UNIT: i64 = 1_000_000;

pub(super) fn policy(rules: Vec<Rule>) -> Policy {
    let object = serde_json::from_value(json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
        "metadata": {"name": "hub", "namespace": "cosmos"},
        "spec": {"network": "hub", "role": "FullNode", "selector": {"matchLabels": {"app": "gaiad"}}},
    }));
    let preset = validate(&object.expect("a policy"), Family::CometBFT).expect("a valid policy");
    Policy { rules, ..preset }
}

pub(super) fn rule(name: &str, signal: Signal, condition: Condition, hold: u64) -> Rule {
    Rule {
        name: name.into(),
        signal,
        condition,
        trigger: Trigger::For(hold * 1000),
        clear_at: None,
        clear_for: 0,
        severity: Critical,
    }
}

pub(super) fn silent() -> Rule {
    rule("silent", Signal::Reachable, Condition::Below(UNIT), 60)
}

pub(super) fn stalled() -> Rule {
    rule("stalled", Signal::Head, Condition::Stalled, 60)
}

pub(super) fn behind() -> Rule {
    Rule {
        clear_at: Some(10 * UNIT),
        clear_for: 10_000,
        ..rule("behind", Signal::HeadLag, Condition::Above(30 * UNIT), 60)
    }
}

pub(super) fn lonely(trigger: Trigger, severity: Severity) -> Rule {
    Rule { trigger, severity, ..rule("lonely", Signal::Peers, Condition::Below(3 * UNIT), 0) }
}

/// One target on a network with other nodes that answer.
pub(super) struct Scene {
    pub(super) policy: Policy,
    pub(super) target: TargetState,
    pub(super) view: NetworkView,
    pub(super) now: u64,
}

impl Scene {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let policy = policy(rules);
        let target = TargetState::new(&policy, Mono(0));
        Self { policy, target, view: NetworkView::default(), now: 0 }.witnessed(1_000_000)
    }

    /// Something else on the network answers until then.
    pub(super) fn witnessed(mut self, until: u64) -> Self {
        self.view.witness_at = Some(Mono(until * 1000));
        self.view.witness_within = 10_000;
        self
    }

    pub(super) fn network(&mut self, height: u64) {
        let risen_at = Mono(self.now * 1000);
        self.view.reference = Some(ReferenceHead { height, risen_at, agree: 3, of: 3 });
    }

    /// A poll that was sent at `asked` and over at `observed`, judged at once.
    pub(super) fn polled(
        &mut self,
        asked: u64,
        observed: u64,
        values: &[(Signal, Result<u64, Unknown>)],
    ) -> VerdictKind {
        let values = values.iter().map(|(signal, value)| (*signal, value.clone().map(Value::Whole))).collect();
        self.target.file(
            &Poll { asked_at: Mono(asked * 1000), observed_at: Mono(observed * 1000), values, ..Poll::default() },
            0,
            15_000,
        );
        self.at(observed)
    }

    pub(super) fn head(&mut self, at: u64, head: u64) -> VerdictKind {
        self.polled(at, at, &[(Signal::Reachable, Ok(1)), (Signal::Head, Ok(head))])
    }

    pub(super) fn peers(&mut self, at: u64, peers: u64) -> VerdictKind {
        self.polled(at, at, &[(Signal::Peers, Ok(peers))])
    }

    /// Asked at `at`, given up two seconds later.
    pub(super) fn silent(&mut self, at: u64) -> VerdictKind {
        self.polled(at, at + 2, &[(Signal::Reachable, Ok(0)), (Signal::Head, Err(Unknown::NoAnswer))])
    }

    pub(super) fn at(&mut self, second: u64) -> VerdictKind {
        self.now = second;
        self.target.judge(&self.view, Mono(second * 1000));
        self.target.verdict().kind
    }

    pub(super) fn verdict(&self) -> &Verdict {
        self.target.verdict()
    }

    pub(super) fn evidence(&self) -> &str {
        &self.verdict().findings[0].evidence
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.target.next(&self.view, Mono(self.now * 1000)).map(|at| at.0)
    }
}
