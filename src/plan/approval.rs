//! Mode `Approve`: whether people have said that a step may be taken.

use std::collections::BTreeSet;

use super::{Facts, Step};
use crate::{api::policy::Mode, signal::Server};

/// An approval is void after this time (milliseconds), and so is the question.
pub const APPROVAL_AT_MOST: u64 = 900_000;

/// What was asked: it is part of the remediation and never changes.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The step.
    pub step: Step,
    /// The generation of the policy that it was decided on.
    pub generation: i64,
    /// Names of the rules that fired; a person who asks by hand names none.
    pub rules: &'a [String],
    /// Who asked.
    pub requested_by: &'a str,
}

/// One person's word. That it is that person's is for admission control to see to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Given {
    /// Who.
    pub approver: String,
    /// When, by the API server's clock.
    pub at: Server,
    /// Whether it is a yes.
    pub yes: bool,
}

/// Whether people have said that a step may be taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Approval {
    /// Nobody is to be asked.
    NotNeeded,
    /// Enough have.
    Given,
    /// Not yet, and who has.
    Wanted(String),
    /// Somebody has said no.
    Rejected(String),
    /// What they were asked is not what would be done any more.
    Void(String),
}

/// What the people who were asked have said, on the facts of now.
#[must_use]
pub fn approval(facts: &Facts<'_>, asked: &Asked<'_>, given: &[Given]) -> Approval {
    let policy = facts.policy;
    if policy.mode != Mode::Approve || !asked.step.needs_approval() {
        return Approval::NotNeeded;
    }
    if policy.generation != asked.generation {
        return Approval::Void("the policy was changed since this was written down".into());
    }
    let then: BTreeSet<&str> = asked.rules.iter().map(String::as_str).collect();
    let now: BTreeSet<&str> = facts.target.verdict.firing().map(|finding| finding.rule.as_str()).collect();
    if !facts.target.by_hand && then != now {
        return Approval::Void("other rules fire than when this was written down".into());
    }
    let fresh = |given: &&Given| facts.now.server.since(given.at) < APPROVAL_AT_MOST;
    if let Some(no) = given.iter().find(|given| !given.yes) {
        return Approval::Rejected(format!("{} has said no", no.approver));
    }
    let others = |given: &&Given| given.approver != asked.requested_by;
    let who: BTreeSet<&str> =
        given.iter().filter(fresh).filter(others).map(|given| given.approver.as_str()).collect();
    let required = policy.limits.approvals.max(1);
    if u32::try_from(who.len()).is_ok_and(|count| count >= required) {
        return Approval::Given;
    }
    let so_far =
        if who.is_empty() { String::new() } else { format!(", by {}", Vec::from_iter(who.clone()).join(", ")) };
    Approval::Wanted(format!("{} of {required} approvals given{so_far}", who.len()))
}
