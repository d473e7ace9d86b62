//! Which step is next, how long a slot rests, and when an incident is over.

use crate::{
    plan::{Decision, Guard, Step, Stop, testing::*},
    signal::Mono,
};

#[test]
fn rests_double_with_every_restart_up_to_the_longest() {
    let given = facts().with(|given| {
        let step = given.policy.ladder.restart.as_mut().expect("a restart step");
        step.attempts = 100;
    });
    // 15 min · 2^(n − 1), at most 4 h; the slot is what rests, whichever pod fills it.
    for (restarts, rest) in [(1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 240), (80, 240)] {
        let rested = |millis| {
            given
                .clone()
                .restarted(restarts, millis)
                .with(|given| given.target.uid = format!("generation-{restarts}"))
                .pod(|pod| {
                    pod.uid = format!("generation-{restarts}");
                })
        };
        let held = rested(rest * MINUTE - 1).is_held_by(Guard::Cooldown);
        assert_eq!(held.until, Some(Mono(NOW + 1)));
        rested(rest * MINUTE).is_restarted();
    }
}

#[test]
fn when_attempts_end_a_person_is_called_once() {
    let tried = facts().restarted(2, 10 * HOUR);
    let Decision::Proposed(proposal) = tried.decide() else { panic!("a page is due") };
    assert_eq!(proposal.step, Step::Page);
    tried.is_not_restarted_again();

    let paged = tried.record(|record| record.paged = true);
    let refusal = paged.refusal();
    assert_eq!((refusal.step, refusal.guard), (None, Guard::Exhausted));
    assert!(refusal.results.iter().any(|result| result.guard == Guard::Exhausted && result.held.is_some()));
    assert!(refusal.results.len() > 1, "what the other guards say is shown too");
}

#[test]
fn a_restart_that_is_held_back_for_longer_than_it_may_take_calls_a_person_once() {
    let held = |seconds| facts().healthy_others(0).unhealthy_for(seconds);
    // The preset lets a restart take ten minutes.
    held(599).is_held_by(Guard::MinHealthy);
    let Decision::Proposed(page) = held(600).decide() else { panic!("a page is due") };
    assert_eq!(page.step, Step::Page);
    assert!(page.evidence.contains("held back by MinHealthy"), "{}", page.evidence);

    // Told once, it waits on, and acts as soon as it may.
    let told = held(600).restarted(1, 10 * HOUR).record(|record| record.paged = true);
    told.is_held_by(Guard::MinHealthy);
    told.healthy_others(2).is_restarted();
    // Nobody is called by a policy that does not want to, nor for what lets go by itself.
    held(600).with(|given| given.policy.ladder.page = false).is_held_by(Guard::MinHealthy);
    facts()
        .unhealthy_for(600)
        .with(|given| given.live.stop = Stop::Stopped("drill".into()))
        .is_held_by(Guard::EmergencyStop);
}

#[test]
fn what_could_not_be_verified_is_not_tried_again() {
    let unverified = facts().restarted(1, 10 * HOUR).record(|record| record.exhausted = true);
    assert_eq!(unverified.held_by(), [Guard::Exhausted]);
    assert!(matches!(unverified.decide(), Decision::Proposed(proposal) if proposal.step == Step::Page));
}

#[test]
fn a_ladder_without_rungs_has_nothing_to_try() {
    let no_page = facts().restarted(2, 10 * HOUR).with(|given| given.policy.ladder.page = false);
    assert_eq!(no_page.refusal().guard, Guard::Exhausted);
    let only_page = facts().with(|given| given.policy.ladder.restart = None);
    assert!(matches!(only_page.decide(), Decision::Proposed(proposal) if proposal.step == Step::Page));
}

#[test]
fn long_health_ends_an_incident() {
    let tried = || facts().restarted(2, 10 * HOUR).record(|record| record.paged = true);
    tried().healthy_before(HOUR, 9 * HOUR).is_restarted();
    assert_eq!(tried().healthy_before(HOUR - 1, 9 * HOUR).refusal().guard, Guard::Exhausted);
}

#[test]
fn health_from_before_the_last_step_does_not_end_this_incident() {
    // Two days of health, then the incident in which everything was tried.
    let tried = || facts().restarted(2, 10 * HOUR).record(|record| record.paged = true);
    assert_eq!(tried().healthy_before(48 * HOUR, 60 * HOUR).refusal().guard, Guard::Exhausted);
    // The first restart of an incident rests like any other.
    facts().restarted(1, MINUTE).healthy_before(48 * HOUR, 49 * HOUR).is_held_by(Guard::Cooldown);
}

#[test]
fn a_week_without_a_step_ends_an_incident() {
    let tried = |ago| facts().restarted(2, ago).record(|record| record.paged = true);
    assert_eq!(tried(WEEK - 1).refusal().guard, Guard::Exhausted);
    tried(WEEK).is_restarted();
}

#[test]
fn a_page_needs_a_mode_and_a_verdict_and_nobody_else_who_says_so() {
    let due = || facts().restarted(2, 10 * HOUR);
    let stopped = due().with(|given| given.live.stop = Stop::Stopped("audit".into()));
    assert!(matches!(stopped.decide(), Decision::Proposed(_)), "a page disturbs nobody but a person");
    for (given, guard) in [
        (due().with(|given| given.own.schema_current = false), Guard::OldSchema),
        (due().with(|given| given.target.contested = true), Guard::Conflict),
        (due().with(|given| given.target.verdict.findings[0].observed_at = ago(HOUR)), Guard::Evidence),
    ] {
        assert_eq!(given.refusal().guard, guard);
    }
}

impl Given {
    fn is_not_restarted_again(&self) {
        assert_eq!(self.held_by(), [Guard::Exhausted]);
    }
}
