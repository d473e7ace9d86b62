//! Mode `Approve`: whose word counts, for what, and for how long.

use crate::{
    api::policy::Mode,
    plan::{APPROVAL_AT_MOST, Approval, Asked, Decision, Guard, Step, approval, testing::*},
    signal::Server,
};

fn asks() -> Given {
    facts().mode(Mode::Approve)
}

fn said(given: &Given, step: Step, by: &[(&str, u64)]) -> Approval {
    let rules = ["preset/stalled".to_owned()];
    said_of(given, &Asked { step, generation: 1, rules: &rules, requested_by: "mainstay" }, by)
}

fn said_of(given: &Given, asked: &Asked<'_>, by: &[(&str, u64)]) -> Approval {
    let word = |(who, ago): &(&str, u64)| super::super::Given {
        approver: (*who).into(),
        at: Server(server_ago(*ago)),
        yes: !who.starts_with("not "),
    };
    approval(&given.as_facts(), asked, &by.iter().map(word).collect::<Vec<_>>())
}

#[test]
fn a_step_is_proposed_and_not_only_written_down() {
    let given = asks();
    assert!(!given.as_facts().simulated());
    given.is_restarted();
}

#[test]
fn only_what_does_something_to_a_pod_is_asked_about() {
    for step in [Step::Reroute, Step::Restart, Step::Job, Step::Failover] {
        assert!(matches!(said(&asks(), step, &[]), Approval::Wanted(_)), "{step:?}");
    }
    for step in [Step::Rejoin, Step::Page] {
        assert_eq!(said(&asks(), step, &[]), Approval::NotNeeded, "{step:?}");
    }
    assert_eq!(said(&facts(), Step::Restart, &[]), Approval::NotNeeded);
}

#[test]
fn each_counts_once_and_only_for_a_while() {
    let two = asks().with(|given| given.policy.limits.approvals = 2);
    assert_eq!(said(&asks(), Step::Restart, &[("ann", 0)]), Approval::Given);
    assert_eq!(said(&two, Step::Restart, &[("ann", 0), ("ben", MINUTE)]), Approval::Given);
    for few in [&[("ann", 0), ("ann", MINUTE)][..], &[("ann", 0), ("ben", APPROVAL_AT_MOST)]] {
        let Approval::Wanted(so_far) = said(&two, Step::Restart, few) else { panic!("{few:?}") };
        assert_eq!(so_far, "1 of 2 approvals given, by ann");
    }
}

#[test]
fn one_no_is_a_no() {
    let Approval::Rejected(why) = said(&asks(), Step::Restart, &[("ann", 0), ("not ben", 0)]) else { panic!() };
    assert_eq!(why, "not ben has said no");
}

#[test]
fn nobody_approves_what_they_asked_for() {
    let given = asks().by_hand();
    let asked = Asked { step: Step::Restart, generation: 1, rules: &[], requested_by: "ann" };
    assert!(matches!(said_of(&given, &asked, &[("ann", 0)]), Approval::Wanted(_)));
    assert_eq!(said_of(&given, &asked, &[("ann", 0), ("ben", 0)]), Approval::Given);
}

#[test]
fn what_was_asked_is_void_once_it_is_not_what_would_be_done() {
    let rules = ["preset/stalled".to_owned()];
    let asked = Asked { step: Step::Restart, generation: 1, rules: &rules, requested_by: "mainstay" };
    let given = asks();
    let yes = [("ann", 0)];
    assert_eq!(said_of(&given, &asked, &yes), Approval::Given);
    let edited = given.clone().with(|given| given.policy.generation = 2);
    assert!(matches!(said_of(&edited, &asked, &yes), Approval::Void(_)));
    let other = given.with(|given| given.target.verdict.findings[0].rule = "preset/silent".into());
    assert!(matches!(said_of(&other, &asked, &yes), Approval::Void(_)));
}

#[test]
fn where_anybody_may_write_any_name_nothing_is_asked_and_nothing_done() {
    let open = asks().with(|given| given.own.approvals_guarded = false);
    open.is_held_by(Guard::Approval);
    let late = open.clone().unhealthy_for(600);
    assert!(matches!(late.decide(), Decision::Proposed(proposal) if proposal.step == Step::Page));
    facts().with(|given| given.own.approvals_guarded = false).is_restarted();
}
