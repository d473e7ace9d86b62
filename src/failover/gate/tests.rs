use std::sync::Arc;

use super::*;
use crate::failover::{self, Activation, Boot, Epoch, HandOver, Height, Holder, Phase, Pod, Record, Shut};

const LIMITS: Limits = Limits { window: 20, jump: 1_000, reach: Height(u64::MAX) };

fn me(boot: u128) -> Me {
    let pod = Pod { member: "val-0".into(), uid: "u1".into(), node: "n1".into() };
    Me { pod: Arc::new(pod), boot: Boot(boot) }
}

fn active() -> Record {
    let offer = failover::Event::Offered { pod: me(0).pod, activation: Activation(7), hand_over: HandOver::Gate };
    failover::step(&Record::adopted(Epoch(0), Activation(1), Height(100)), offer).0
}

fn sees(gate: &Gate, record: &Record, asked: u64) -> (Gate, Option<Record>) {
    let event = Event::Seen { record: record.clone(), asked: Height(asked) };
    let (gate, acts) = step(gate, &event, &LIMITS);
    let put = acts.into_iter().find_map(|act| if let Act::Put(next) = act { Some(next) } else { None });
    (gate, put)
}

/// A gate whose writes all arrive.
fn settle(mut gate: Gate, mut record: Record, asked: u64) -> (Gate, Record) {
    while let (next, Some(put)) = sees(&gate, &record, asked) {
        (gate, record) = (next, put);
    }
    let (gate, _) = sees(&gate, &record, asked);
    (gate, record)
}

/// It holds 100 to 121.
fn holding() -> (Gate, Record) {
    settle(Gate::new(me(1), Disk::default()), active(), 101)
}

fn asks(gate: &Gate, height: u64, round: u32, step: Step, what: u8, when: i128) -> (Gate, Answer) {
    let at = Hrs { height: Height(height), round, step };
    let ask = Ask { at, content: Content { what: [what; 32], when } };
    decide(gate, &Request::Sign(ask), &LIMITS)
}

fn refuses(gate: &Gate, height: u64, round: u32, step: Step, why: Refusal) {
    assert_eq!(asks(gate, height, round, step, 9, 9).1, Answer::Refuse(why));
}

#[test]
fn it_claims_raises_and_signs_inside_its_window() {
    let (gate, record) = holding();
    assert_eq!((record.claims, record.ceiling), (1, Height(121)));
    refuses(&gate, 100, 0, Step::Prevote, Refusal::BelowWindow);
    refuses(&gate, 122, 0, Step::Prevote, Refusal::AboveWindow);
    refuses(&gate, 1 << 62, 0, Step::Prevote, Refusal::Jump);
    assert_eq!(asks(&gate, 121, 0, Step::Prevote, 1, 1).1, Answer::Sign);
}

#[test]
fn a_standby_says_who_it_is_and_refuses_the_rest() {
    let standby = Gate::new(me(2), Disk::default());
    assert_eq!(decide(&standby, &Request::PubKey, &LIMITS).1, Answer::PubKey);
    assert_eq!(decide(&standby, &Request::Ping, &LIMITS).1, Answer::Pong);
    refuses(&standby, 101, 0, Step::Prevote, Refusal::NotHolder);
}

#[test]
fn what_was_signed_is_repeated_and_nothing_else_in_its_place() {
    let (gate, _) = holding();
    let (gate, answer) = asks(&gate, 105, 1, Step::Prevote, 1, 50);
    assert_eq!(answer, Answer::Sign);
    assert_eq!(asks(&gate, 105, 1, Step::Prevote, 1, 50).1, Answer::Repeat);
    assert_eq!(asks(&gate, 105, 1, Step::Prevote, 1, 51).1, Answer::Repeat, "of a vote, with another time");
    refuses(&gate, 105, 1, Step::Prevote, Refusal::Conflict);
    refuses(&gate, 105, 1, Step::Propose, Refusal::Behind);
    refuses(&gate, 105, 0, Step::Precommit, Refusal::Behind);
    refuses(&gate, 104, 9, Step::Precommit, Refusal::Behind);
    assert_eq!(asks(&gate, 105, 1, Step::Precommit, 2, 50).1, Answer::Sign);
    assert_eq!(asks(&gate, 105, 2, Step::Propose, 2, 50).1, Answer::Sign);
}

#[test]
fn a_proposal_with_another_time_is_another() {
    let (gate, _) = asks(&holding().0, 105, 0, Step::Propose, 1, 50);
    assert_eq!(asks(&gate, 105, 0, Step::Propose, 1, 50).1, Answer::Repeat);
    assert_eq!(asks(&gate, 105, 0, Step::Propose, 1, 51).1, Answer::Refuse(Refusal::Conflict));
}

#[test]
fn the_window_is_raised_when_half_of_it_is_left_and_never_to_nonsense() {
    let (gate, record) = holding();
    assert_eq!(sees(&gate, &record, 110).1, None);
    assert_eq!(sees(&gate, &record, 111).1.expect("a raise").ceiling, Height(131));
    assert_eq!(sees(&gate, &record, 1 << 62).1, None);
}

#[test]
fn the_window_is_raised_for_no_height_that_the_chain_cannot_be_at() {
    let (gate, record) = holding();
    let reach = |reach| Limits { reach: Height(reach), ..LIMITS };
    let put = |asked, limits: &Limits| {
        let event = Event::Seen { record: record.clone(), asked: Height(asked) };
        step(&gate, &event, limits)
            .1
            .into_iter()
            .find_map(|act| if let Act::Put(next) = act { Some(next) } else { None })
    };
    // Each is inside of the window, or a step above it.
    for asked in [115, 121, 122, 200] {
        assert_eq!(put(asked, &reach(asked - 1)), None, "{asked}");
        assert_eq!(put(asked, &reach(asked)).expect("a raise").ceiling, Height(asked + 20));
    }
    let answer = |height, limits: &Limits| {
        let at = Hrs { height: Height(height), round: 0, step: Step::Prevote };
        let ask = Ask { at, content: Content { what: [1; 32], when: 1 } };
        decide(&gate, &Request::Sign(ask), limits).1
    };
    assert_eq!(answer(122, &reach(121)), Answer::Refuse(Refusal::Jump));
    assert_eq!(answer(122, &reach(122)), Answer::Refuse(Refusal::AboveWindow));
    // What it owns it signs: a head that was told too late slows nobody.
    assert_eq!(answer(121, &reach(0)), Answer::Sign);
}

#[test]
fn a_process_starts_where_the_one_before_may_have_ended() {
    let (gate, record) = holding();
    let (old, _) = asks(&gate, 103, 0, Step::Prevote, 1, 1);
    let (young, record) = settle(Gate::new(me(2), old.disk.clone()), record, 104);
    assert_eq!(young.hold().expect("the place").start, Height(121));
    let (old, put) = sees(&old, &record, 104);
    assert_eq!((old.hold(), put), (None, None), "the orphan is out, and does not come back");
}

#[test]
fn an_orderly_stop_leaves_nothing_to_wait_for() {
    let (gate, record) = holding();
    let (gate, _) = asks(&gate, 103, 0, Step::Prevote, 1, 1);
    let (gate, record) = settle(step(&gate, &Event::Stop, &LIMITS).0, record, 104);
    assert_eq!((record.ceiling, record.lowered), (Height(103), true));
    refuses(&gate, 104, 0, Step::Prevote, Refusal::Silent);
    let (young, record) = settle(Gate::new(me(2), Disk::default()), record, 104);
    assert_eq!(asks(&young, 104, 0, Step::Prevote, 1, 1).1, Answer::Sign);
    assert!(!record.lowered, "what the next one signs is not known yet");
}

#[test]
fn a_revoked_gate_vows_first_and_seals_then() {
    let (gate, record) = holding();
    let (gate, _) = asks(&gate, 103, 0, Step::Prevote, 1, 1);
    let (record, _) = failover::step(&record, failover::Event::Wanted { epoch: Epoch(1) });
    let (gate, acts) = step(&gate, &Event::Seen { record, asked: Height(104) }, &LIMITS);
    let [Act::Persist, Act::Put(put)] = &acts[..] else { panic!("{acts:?}") };
    assert_eq!(put.sealed, Some(Height(103)));
    assert!(matches!(put.phase, Phase::Revoking { .. }));
    refuses(&gate, 104, 0, Step::Prevote, Refusal::Silent);
}

#[test]
fn a_record_that_knows_less_shuts_every_gate_until_a_person_adopts_it() {
    let old = active();
    let (gate, record) = holding();
    let (gate, acts) = step(&gate, &Event::Seen { record: old.clone(), asked: Height(104) }, &LIMITS);
    assert_eq!(acts, [Act::Persist, Act::Page(Latch::Restored)]);
    refuses(&gate, 104, 0, Step::Prevote, Refusal::Latched);
    assert_eq!(sees(&gate, &record, 104).1, None, "also when it comes back");
    let adopted = failover::Event::Adopted { above: Epoch(1), floor: Height(200), activation: Activation(9) };
    let (gate, _) = sees(&gate, &failover::step(&old, adopted).0, 104);
    assert_eq!(gate.disk.latched, None);
}

#[test]
fn another_activation_of_the_same_epoch_is_a_restored_record() {
    let (gate, record) = holding();
    let mut other = Record { claims: 9, ..record };
    other.tenure.activation = Activation(8);
    let (gate, _) = sees(&gate, &other, 104);
    assert_eq!(gate.disk.latched, Some(Latch::Restored));
}

#[test]
fn a_foreign_signature_shuts_the_gate_and_seals_its_epoch() {
    let (gate, record) = holding();
    let (gate, acts) = step(&gate, &Event::ForeignSignature, &LIMITS);
    assert_eq!(acts, [Act::Persist, Act::Page(Latch::Foreign)]);
    let sealed = sees(&gate, &record, 104).1.expect("a seal");
    assert_eq!((sealed.sealed, sealed.shut), (Some(Height(100)), Some(Shut::Foreign)));
}

/// It may show when another member holds the place already: whoever else has the key has it still.
#[test]
fn a_foreign_signature_shuts_the_record_whoever_holds_it() {
    let (gate, record) = holding();
    let pod = Arc::new(Pod { member: "val-1".into(), uid: "u2".into(), node: "n2".into() });
    let holder = Holder { pod, boot: Some(Boot(77)) };
    let mut next = Record { phase: Phase::Active(holder), ..record };
    next.tenure.epoch = Epoch(next.tenure.epoch.0 + 1);
    let (gate, put) = sees(&gate, &next, 104);
    assert_eq!(put, None);
    let (gate, _) = step(&gate, &Event::ForeignSignature, &LIMITS);
    let (gate, put) = sees(&gate, &next, 104);
    let shut = Record { shut: Some(Shut::Foreign), ..next.clone() };
    assert_eq!(put, Some(shut.clone()), "and nothing else");
    assert_eq!(sees(&gate, &shut, 104).1, None);
    let punished = Record { shut: Some(Shut::Punished), ..next };
    assert_eq!(sees(&gate, &punished, 104).1, None, "which is more");
}
