//! From facts to a proposal or a refusal. Both are shown to the user.

use super::{
    Facts, Guard, GuardResult, Held, Step, all, current_record, is_to_rejoin,
    ladder::{gives_way, is_a_detour},
    next_steps, record,
};

/// What is to be done about one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is not unhealthy.
    Nothing,
    /// This step is next, and nothing holds it back.
    Proposed(Proposal),
    /// This step would be next, but a guard holds.
    Refused(Refusal),
}

/// A step that nothing holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The step.
    pub step: Step,
    /// Names of the rules that fired.
    pub rules: Vec<String>,
    /// The sentences behind the verdict.
    pub evidence: String,
    /// The facts and what every guard said, as canonical JSON.
    pub record: String,
}

/// A guard that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The step that would be next; `None` when nothing is left to try.
    pub step: Option<Step>,
    /// The first guard that held.
    pub guard: Guard,
    /// Why and until when.
    pub held: Held,
    /// What every guard said.
    pub results: Vec<GuardResult>,
}

/// Decides about one target.
#[must_use]
pub fn propose(facts: &Facts<'_>) -> Decision {
    let firing: Vec<_> = facts.target.verdict.firing().collect();
    if firing.is_empty() {
        return if is_to_rejoin(facts) { rejoin(facts) } else { Decision::Nothing };
    }
    let mut steps = next_steps(facts).into_iter();
    let Some(mut step) = steps.next() else {
        let held = Held {
            why: "everything in the ladder was tried in this incident, and a person was told".into(),
            until: None,
        };
        let mut results = all(facts, Step::Page);
        results.push(GuardResult { guard: Guard::Exhausted, held: Some(held.clone()) });
        return Decision::Refused(Refusal { step: None, guard: Guard::Exhausted, held, results });
    };
    let evidence = firing.iter().map(|finding| finding.evidence.as_str()).collect::<Vec<_>>().join("; ");
    let mut results = all(facts, step);
    let mut left = None;
    for next in steps {
        let Some((guard, _)) = first_held(&results).filter(|(guard, _)| gives_way(step, *guard, next)) else {
            break;
        };
        // A detour that leads nowhere leads back, and to no page.
        if let Some(rung) = left.take() {
            (step, results) = rung;
            break;
        }
        left = is_a_detour(step, guard).then_some((step, results));
        (step, results) = (next, all(facts, next));
    }
    if let Some((guard, held)) = first_held(&results) {
        let page = held_for_too_long(facts, step, guard).then(|| call(facts, step, guard.name(), &held.why));
        return match page.flatten() {
            Some(page) => Decision::Proposed(page),
            None => Decision::Refused(Refusal { step: Some(step), guard, held, results }),
        };
    }
    // What the guards let pass may be stopped by the cluster, again and again.
    if let Some(why) = facts.target.stopped.as_deref().filter(|_| waited_for_too_long(facts, step))
        && let Some(page) = call(facts, step, "the cluster", why)
    {
        return Decision::Proposed(page);
    }
    Decision::Proposed(Proposal {
        step,
        rules: firing.iter().map(|finding| finding.rule.clone()).collect(),
        evidence: bounded(&evidence, 1024),
        record: record::write_down(facts, step, &results),
    })
}

/// Calls a person about a step that something holds back.
fn call(facts: &Facts<'_>, step: Step, what: &str, why: &str) -> Option<Proposal> {
    let results = all(facts, Step::Page);
    if first_held(&results).is_some() {
        return None;
    }
    let firing: Vec<_> = facts.target.verdict.firing().collect();
    let evidence: Vec<_> = firing.iter().map(|finding| finding.evidence.as_str()).collect();
    let evidence = format!("{}; {} is held back by {what}: {why}", evidence.join("; "), step.name());
    Some(Proposal {
        step: Step::Page,
        rules: firing.iter().map(|finding| finding.rule.clone()).collect(),
        evidence: bounded(&evidence, 1024),
        record: record::write_down(facts, Step::Page, &results),
    })
}

/// The way back into rotation. There is nothing to be healed, and so nothing to be told but that.
fn rejoin(facts: &Facts<'_>) -> Decision {
    let step = Step::Rejoin;
    let results = all(facts, step);
    if let Some((guard, held)) = first_held(&results) {
        return Decision::Refused(Refusal { step: Some(step), guard, held, results });
    }
    Decision::Proposed(Proposal {
        step,
        rules: Vec::new(),
        evidence: "it is healthy again".into(),
        record: record::write_down(facts, step, &results),
    })
}

fn first_held(results: &[GuardResult]) -> Option<(Guard, Held)> {
    results.iter().find_map(|result| Some((result.guard, result.held.clone()?)))
}

/// Whether a person must hear that a step on a pod is held back: by a guard that will not let go by itself, or by the seats
/// of others where a failover may be next, for longer than it may take. Once in an incident; the step stays due.
fn held_for_too_long(facts: &Facts<'_>, step: Step, guard: Guard) -> bool {
    // Others give their seats back by and by, and a validator loses stake meanwhile.
    let seats = guard == Guard::MaxConcurrent && facts.policy.ladder.failover.is_some();
    (guard.needs_a_person() || seats) && waited_for_too_long(facts, step)
}

/// Whether a step is due for longer than anybody should have to wait for it, and nobody was told.
fn waited_for_too_long(facts: &Facts<'_>, step: Step) -> bool {
    let acts = matches!(step, Step::Reroute | Step::Restart | Step::Job | Step::Failover);
    let Some(patience) = facts.policy.patience().filter(|_| acts) else {
        return false;
    };
    let waited = facts.now.mono.since(facts.breach_since());
    let untold = facts.policy.ladder.page && !current_record(facts).paged;
    untold && waited >= patience
}

pub(super) fn bounded(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
