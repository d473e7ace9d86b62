//! The rooms' promises as sentences.

mod approval;
mod causes;
mod failover;
mod guards;
mod job;
mod ladder;
mod limits;
mod record;
mod rotation;
mod vantage;

use crate::{
    api::policy::Severity,
    plan::{
        Decision, Step,
        ledger::Ask,
        testing::{Given, HOUR, SERVER, SLOT, US, remediation},
    },
    signal::{Server, Signal},
};

/// The step that nothing holds back, if there is one.
fn step_of(given: &Given) -> Option<Step> {
    match given.decide() {
        Decision::Proposed(proposal) => Some(proposal.step),
        Decision::Refused(_) | Decision::Nothing => None,
    }
}

/// A warning about this signal besides.
fn and(given: Given, signal: Signal) -> Given {
    given.with(|given| {
        let mut finding = given.target.verdict.findings[0].clone();
        (finding.rule, finding.signal, finding.severity) = ("also".into(), Some(signal), Severity::Warning);
        given.target.verdict.findings.push(finding);
    })
}

/// Asks for a seat of an hour.
fn ask<'a>(given: &'a Given, step: Step, uid: &str, attempt: i32) -> Ask<'a> {
    Ask {
        installation: US,
        policy: &given.policy,
        network_max: 1,
        network_budget: &[],
        remediation: remediation(uid),
        slot: SLOT,
        attempt,
        step,
        services: Vec::new(),
        simulated: false,
        long_health: None,
        deadline: Server(SERVER).plus(HOUR),
        now: Server(SERVER),
    }
}
