//! `above` and `below`: a reading on the wrong side of a number.

use super::{hold::Stance, words};
use crate::policy::{Condition, Rule, Trigger};
use crate::signal::{Mono, Signal, Value};

/// What a value means to the rule. What is not a number means nothing.
pub(super) fn stance(rule: &Rule, value: &Value) -> Stance {
    let Some(value) = value.micros() else {
        return Stance::Unknown;
    };
    let (breaches, clears) = match rule.condition {
        Condition::Above(above) => (value > above.into(), value <= rule.clear_at.unwrap_or(above).into()),
        Condition::Below(below) => (value < below.into(), value >= rule.clear_at.unwrap_or(below).into()),
        Condition::Stalled | Condition::Absent | Condition::Diverged => (false, true),
    };
    match (breaches, clears) {
        (true, _) => Stance::Breach,
        (false, false) => Stance::Between,
        (false, true) => Stance::Clear,
    }
}

/// The instants around which an age that grows from `since` passes one of the rule's numbers.
pub(super) fn passes(rule: &Rule, since: Mono) -> impl Iterator<Item = Mono> {
    let (Condition::Above(limit) | Condition::Below(limit)) = rule.condition else {
        return None.into_iter().chain(None).flat_map(around(since));
    };
    Some(limit).into_iter().chain(rule.clear_at).flat_map(around(since))
}

/// The last millisecond at which the age is at most `limit` millionths of a second, and the one after.
fn around(since: Mono) -> impl Fn(i64) -> [Mono; 2] {
    move |limit| {
        let at = since.plus(u64::try_from(limit / 1000).unwrap_or(0));
        [at, at.plus(1)]
    }
}

/// The sentence for people. `lasted` (milliseconds): how long the breach has lasted when it begins to fire; `breaches`:
/// how many of the last samples breached.
pub(super) fn sentence(rule: &Rule, value: &Value, lasted: Option<u64>, breaches: u32) -> String {
    let (side, limit) = match rule.condition {
        Condition::Above(above) => ("above", above),
        Condition::Below(below) => ("below", below),
        Condition::Stalled | Condition::Absent | Condition::Diverged => return String::new(),
    };
    let signal = rule.signal;
    let limit = words::amount(signal, &Value::Micros(limit));
    let value = words::amount(signal, value);
    let mut sentence = match (rule.trigger, lasted) {
        (Trigger::Samples { of, .. }, Some(_)) => {
            format!("{} was {side} {limit} in {breaches} of the last {of} samples, now {value}", signal.name())
        }
        (Trigger::For(1..), Some(lasted)) => {
            format!("{} is {value} ({side} {limit}) for {}", signal.name(), words::span(lasted))
        }
        _ => format!("{} is {value} ({side} {limit})", signal.name()),
    };
    if signal == Signal::Reachable && side == "below" {
        sentence.push_str(": its own port does not answer");
    }
    sentence
}
