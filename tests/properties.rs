//! What must hold of the pure rooms whatever happens, tried on random histories. Times are milliseconds: samples
//! live for 15 ms.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]

use mainstay::{
    api::{
        Family,
        policy::Severity::{self, Critical, Warning},
    },
    judge::{TargetState, VerdictKind},
    network::{Chain, NetworkView, ReferenceHead, Seen, Voter},
    policy::{Condition, NetworkPlan, Policy, Reference, Rule, Trigger, validate},
    signal::{Mono, Poll, Signal, Told as Facts, Unknown, Value},
};
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

const STALE_AFTER: u64 = 15;

fn policy(rules: Vec<Rule>) -> Policy {
    let object = serde_json::from_value(json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
        "metadata": {"name": "hub", "namespace": "cosmos"},
        "spec": {"network": "hub", "role": "FullNode", "selector": {"matchLabels": {"app": "gaiad"}}},
    }));
    let mut policy = validate(&object.expect("a policy"), Family::CometBFT).expect("a valid policy");
    policy.sources[0].every = STALE_AFTER / 3;
    policy.sources[0].timeout = 2;
    Policy { rules, ..policy }
}

fn rule(signal: Signal, condition: Condition, trigger: Trigger) -> Rule {
    Rule { name: "rule".into(), signal, condition, trigger, clear_at: None, clear_for: 0, severity: Critical }
}

// === histories ===

/// What one poll tells, `gap` milliseconds after the one before.
#[derive(Clone, Debug)]
struct Told {
    gap: u64,
    values: Vec<(Signal, Result<u64, Unknown>)>,
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let condition = prop_oneof![
        Just((Signal::Reachable, Condition::Below(1_000_000), None)),
        (1..4_i64, 0..3_i64).prop_map(|(below, more)| {
            (Signal::Peers, Condition::Below(below * 1_000_000), Some((below + more) * 1_000_000))
        }),
        (0..4_i64).prop_map(|above| (Signal::HeadLag, Condition::Above(above * 1_000_000), None)),
        (1..30_i64, 0..9_i64).prop_map(|(above, less)| {
            (Signal::HeadAge, Condition::Above(above * 1_000), Some((above - less) * 1_000))
        }),
        (1..9_i64).prop_map(|below| (Signal::HeadAge, Condition::Below(below * 900), None)),
        Just((Signal::Head, Condition::Stalled, None)),
        Just((Signal::Peers, Condition::Absent, None)),
    ];
    let trigger = prop_oneof![
        (0..25_u64).prop_map(Trigger::For),
        (1..4_u32, 0..4_u32).prop_map(|(samples, more)| Trigger::Samples { samples, of: samples + more }),
    ];
    (condition, trigger, 0..12_u64, prop_oneof![3 => Just(Critical), 1 => Just(Warning)]).prop_map(
        |((signal, condition, clear_at), trigger, clear_for, severity)| {
            let severity: Severity = if condition == Condition::Absent { Warning } else { severity };
            Rule { clear_at, clear_for, severity, ..rule(signal, condition, trigger) }
        },
    )
}

fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(any_rule(), 1..5).prop_map(|mut rules| {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("rule-{index}");
        }
        rules
    })
}

fn value(most: u64) -> impl Strategy<Value = Result<u64, Unknown>> {
    prop_oneof![4 => (0..most).prop_map(Ok), 1 => Just(Err(Unknown::NoAnswer))]
}

fn any_history() -> impl Strategy<Value = Vec<Told>> {
    let told = (1..22_u64, value(2), value(9), value(5)).prop_map(|(gap, reachable, head, peers)| Told {
        gap,
        values: vec![(Signal::Reachable, reachable), (Signal::Head, head), (Signal::Peers, peers)],
    });
    prop::collection::vec(told, 0..15)
}

fn view(height: Option<u64>, witness: bool) -> NetworkView {
    NetworkView {
        reference: height.map(|height| ReferenceHead { height, risen_at: Mono(0), agree: 3, of: 3 }),
        witness_at: witness.then_some(Mono(1_000)),
        witness_within: 10,
        ..NetworkView::default()
    }
}

fn any_view() -> impl Strategy<Value = NetworkView> {
    (prop::option::weighted(0.8, 5..9_u64), prop::bool::weighted(0.8))
        .prop_map(|(height, witness)| view(height, witness))
}

/// The polls with their times, and the end of the history.
fn polls(history: &[Told]) -> (Vec<Poll>, u64) {
    let mut now = 0;
    let polls = history.iter().map(|told| {
        now += told.gap;
        let values = told.values.iter().map(|(signal, value)| (*signal, value.clone().map(Value::Whole)));
        Poll {
            asked_at: Mono(now - told.gap.min(2)),
            observed_at: Mono(now),
            values: values.collect(),
            ..Poll::default()
        }
    });
    let polls = polls.collect();
    (polls, now + 60)
}

/// Lives through a history. `wakes` says whether to judge at an instant at which nothing is told. Returns the state
/// at the end, and the verdict's kind as it was held at every instant.
fn live(
    policy: &Policy,
    view: &NetworkView,
    history: &[Told],
    mut wakes: impl FnMut(&TargetState, Mono) -> bool,
) -> (TargetState, Vec<VerdictKind>) {
    let (polls, end) = polls(history);
    let mut polls = polls.into_iter().peekable();
    let mut target = TargetState::new(policy, Mono(0));
    target.judge(view, Mono(0));
    let mut kinds = Vec::new();
    for now in (1..=end).map(Mono) {
        let told = polls.next_if(|poll| poll.observed_at == now);
        let wake = wakes(&target, now);
        if let Some(poll) = &told {
            target.file(poll, 0, STALE_AFTER);
        }
        if wake || told.is_some() || now.0 == end {
            target.judge(view, now);
        }
        kinds.push(target.verdict().kind);
    }
    (target, kinds)
}

// === judge ===

proptest! {
    #[test]
    fn judging_more_often_changes_nothing(
        rules in any_rules(), history in any_history(), view in any_view(), wakes in any::<u64>(),
    ) {
        let policy = policy(rules);
        let (always, _) = live(&policy, &view, &history, |_, _| true);
        let (seldom, _) = live(&policy, &view, &history, |_, _| false);
        let (sometimes, _) = live(&policy, &view, &history, |_, now| wakes >> (now.0 % 64) & 1 == 1);
        prop_assert_eq!(&always, &seldom);
        prop_assert_eq!(&always, &sometimes);
    }

    #[test]
    fn nothing_changes_before_the_next_instant(
        rules in any_rules(), history in any_history(), view in any_view(),
    ) {
        let policy = policy(rules);
        let mut last = Mono(0);
        let (_, in_time) = live(&policy, &view, &history, |target, now| {
            let due = target.next(&view, last).is_some_and(|at| at <= now);
            last = now;
            due
        });
        let (_, always) = live(&policy, &view, &history, |_, _| true);
        prop_assert_eq!(in_time, always);
    }

    #[test]
    fn after_judging_the_next_instant_lies_ahead(
        rules in any_rules(), history in any_history(), view in any_view(),
    ) {
        let policy = policy(rules);
        live(&policy, &view, &history, |target, now| {
            let judged = Mono(now.0 - 1);
            let mut target = target.clone();
            target.judge(&view, judged);
            assert!(target.next(&view, judged).is_none_or(|at| at > judged));
            false
        });
    }

    #[test]
    fn what_is_not_known_is_never_unhealthy(rules in any_rules(), history in any_history(), view in any_view()) {
        let mut history = history;
        for (_, value) in history.iter_mut().flat_map(|told| &mut told.values) {
            *value = Err(Unknown::NoAnswer);
        }
        let (_, kinds) = live(&policy(rules), &view, &history, |_, _| true);
        prop_assert!(!kinds.iter().any(|kind| matches!(kind, VerdictKind::Unhealthy | VerdictKind::Suspect)));
    }

    #[test]
    fn without_a_witness_silence_is_never_unhealthy(history in any_history(), hold in 0..25_u64) {
        let rules = vec![rule(Signal::Reachable, Condition::Below(1_000_000), Trigger::For(hold))];
        let (_, kinds) = live(&policy(rules), &view(Some(5), false), &history, |_, _| true);
        prop_assert!(!kinds.contains(&VerdictKind::Unhealthy));
    }

    /// Samples come every 5 ms and at most two in a row tell nothing, so that nothing is ever forgotten.
    #[test]
    fn n_of_m_is_what_a_naive_count_says(
        samples in 1..=64_u32, more in 0..=63_u32, told in prop::collection::vec(prop::option::weighted(0.8, any::<bool>()), 1..150),
    ) {
        let of = (samples + more).min(64);
        let policy = policy(vec![rule(Signal::Peers, Condition::Below(1_000_000), Trigger::Samples { samples, of })]);
        let view = NetworkView::default();
        let mut target = TargetState::new(&policy, Mono(0));
        let (mut known, mut missing) = (Vec::new(), 0);
        for (told, now) in told.into_iter().zip((5..).step_by(5).map(Mono)) {
            missing = if told.is_none() { missing + 1 } else { 0 };
            let told = if missing > 2 { Some(false) } else { told };
            missing %= 3;
            known.extend(told);
            let value = told.map(|breaches| Value::Whole(u64::from(!breaches))).ok_or(Unknown::NoAnswer);
            let poll = Poll { asked_at: now, observed_at: now, values: vec![(Signal::Peers, value)], ..Poll::default() };
            target.file(&poll, 0, STALE_AFTER);
            target.judge(&view, now);
            let breaches = known.iter().rev().take(of as usize).filter(|breaches| **breaches).count();
            prop_assert_eq!(target.verdict().kind == VerdictKind::Unhealthy, breaches >= samples as usize);
        }
    }

    #[test]
    fn unknown_pauses_a_hold_as_a_naive_clock_says(
        hold in 0..40_u64, history in prop::collection::vec((1..22_u64, prop::option::of(any::<bool>())), 0..15),
    ) {
        let policy = policy(vec![rule(Signal::Peers, Condition::Below(1_000_000), Trigger::For(hold))]);
        let history: Vec<_> = history.into_iter().map(|(gap, told)| {
            let value = told.map(|breaches| u64::from(!breaches)).ok_or(Unknown::NoAnswer);
            Told { gap, values: vec![(Signal::Peers, value)] }
        }).collect();
        let (polls, end) = polls(&history);
        let polls: Vec<_> = polls.into_iter().map(|poll| Poll { asked_at: poll.observed_at, ..poll }).collect();
        let view = NetworkView::default();
        let mut target = TargetState::new(&policy, Mono(0));
        let mut naive = Naive::default();
        for now in 1..=end {
            let newest = polls.iter().rev().find(|poll| poll.observed_at.0 <= now);
            let known = newest.filter(|poll| now - poll.observed_at.0 <= STALE_AFTER);
            let breaches = known.and_then(|poll| poll.values[0].1.as_ref().ok()).map(|value| *value == Value::Whole(0));
            naive.tick(breaches, hold);
            if let Some(poll) = newest.filter(|poll| poll.observed_at.0 == now) {
                target.file(poll, 0, STALE_AFTER);
            }
            target.judge(&view, Mono(now));
            prop_assert_eq!(target.verdict().kind == VerdictKind::Unhealthy, naive.firing, "at {} ms", now);
        }
    }
}

/// A hold as one would count it by hand, millisecond by millisecond.
#[derive(Default)]
struct Naive {
    before: Option<bool>,
    unknown_for: u64,
    breached_for: Option<u64>,
    firing: bool,
}

impl Naive {
    fn tick(&mut self, breaches: Option<bool>, hold: u64) {
        match self.before {
            Some(true) => self.breached_for = self.breached_for.map(|millis| millis + 1),
            None => self.unknown_for += 1,
            Some(false) => {}
        }
        if breaches.is_some() || self.before.is_some() {
            self.unknown_for = 0;
        }
        let forgotten = breaches.is_none() && self.unknown_for >= STALE_AFTER;
        if breaches == Some(false) || forgotten {
            self.breached_for = None;
            self.firing = false;
        } else if breaches == Some(true) {
            self.firing |= *self.breached_for.get_or_insert(0) >= hold;
        }
        self.before = breaches;
    }
}

// === network ===

fn chain(references: usize) -> Chain {
    let reference =
        |index| Reference { name: format!("r{index}"), url: format!("https://r{index}.example"), rest: None };
    Chain::new(&NetworkPlan {
        budget: Vec::new(),
        name: "hub".into(),
        uid: "uid".into(),
        family: Family::CometBFT,
        chain_id: "hub-1".into(),
        block_time: 6_000,
        allowed_namespaces: vec![],
        references: (0..references).map(reference).collect(),
        stalled_after: 120_000,
        max_concurrent: 1,
        upgrades: true,
    })
}

/// A head and nothing else.
fn seen(head: Result<u64, Unknown>, at: Mono) -> Seen<'static> {
    static NOTHING: LazyLock<Facts> = LazyLock::new(Facts::default);
    Seen {
        answered: head.is_ok(),
        head,
        finalized: None,
        skew: None,
        told: &NOTHING,
        observed_at: at,
        stale_after: 15_000,
    }
}

fn voter(policy: usize) -> Voter {
    Voter { policy: format!("p{policy}"), target: "x".into() }
}

proptest! {
    /// The liar is a reference or an own node, whichever comes first in the order of votes.
    #[test]
    fn one_liar_among_three_or_more_never_moves_the_head_out_of_the_honest_range(
        honest in prop::collection::vec(100..110_u64, 2..7), lie in any::<u64>(), references in 0..7_usize,
    ) {
        let votes: Vec<_> = std::iter::once(lie).chain(honest.iter().copied()).collect();
        let references = references.min(votes.len());
        // From three references on, own nodes do not vote: then all votes must be references to be three.
        let references = if references >= 3 { votes.len() } else { references };
        let mut chain = chain(references);
        for (index, head) in votes.iter().enumerate() {
            if index < references {
                chain.reference(&format!("r{index}"), &seen(Ok(*head), Mono(1)));
            } else {
                chain.own(&voter(index), &seen(Ok(*head), Mono(1)));
            }
        }
        chain.refresh(Mono(1));
        let head = chain.head().map(|head| head.height);
        let (least, most) = (honest.iter().min().copied(), honest.iter().max().copied());
        prop_assert!(head >= least && head <= most, "{:?} of {:?}", head, votes);
    }

    /// However one liar jumps about and falls silent, a halted chain is never seen to rise.
    #[test]
    fn one_liar_never_makes_a_halted_chain_rise(lies in prop::collection::vec(prop::option::of(90..120_u64), 1..60)) {
        let mut chain = chain(3);
        for (lie, now) in lies.into_iter().zip((0..).step_by(12_000).map(Mono)) {
            for (name, result) in [("r0", Ok(100)), ("r1", Ok(100)), ("r2", lie.ok_or(Unknown::NoAnswer))] {
                chain.reference(name, &seen(result, now));
                chain.refresh(now);
            }
            prop_assert_eq!(chain.head().map(|head| (head.height, head.risen_at)), Some((100, Mono(0))));
        }
    }

    /// What a subject sees is what a network without it would see.
    #[test]
    fn a_subject_has_no_say_in_what_it_is_compared_with(
        heads in prop::collection::vec((0..3_usize, 0..20_u64), 1..9), references in prop::collection::vec(0..20_u64, 0..5),
    ) {
        let vote = |skip: Option<usize>| {
            let mut chain = chain(references.len());
            for (index, head) in references.iter().enumerate() {
                chain.reference(&format!("r{index}"), &seen(Ok(*head), Mono(1)));
            }
            for (index, (policy, head)) in heads.iter().enumerate().filter(|(index, _)| Some(*index) != skip) {
                let voter = Voter { policy: policy.to_string(), target: index.to_string() };
                chain.own(&voter, &seen(Ok(*head), Mono(1)));
            }
            chain.refresh(Mono(1));
            chain
        };
        let whole = vote(None);
        for (index, (policy, _)) in heads.iter().enumerate() {
            let subject = Voter { policy: policy.to_string(), target: index.to_string() };
            prop_assert_eq!(whole.view(&subject, Mono(1)).reference, vote(Some(index)).head());
        }
    }
}
