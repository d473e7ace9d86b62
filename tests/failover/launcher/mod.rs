//! Launchers, which keep signers apart by time and proof.

mod machine;
mod system;

use stateright::{Checker, HasDiscoveries, Model};
use system::{ALONE, EXACT, Launchers, Mistake, TAKES_OVER};

fn check(system: Launchers) -> bool {
    let checker = system.checker();
    if system.mistake == Mistake::None {
        alone(system, &checker.threads(2).spawn_bfs().join())
    } else {
        // Any way to the mistake will do.
        alone(system, &checker.finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join())
    }
}

fn alone(system: Launchers, checker: &impl Checker<Launchers>) -> bool {
    println!("{system:?}: {}", crate::count(checker));
    let found = checker.discovery(ALONE);
    let alone = found.is_none();
    if let Some(path) = found.filter(|_| system.mistake == Mistake::None) {
        println!("{ALONE} is broken by {:#?}", path.into_actions());
    }
    assert!(!alone || checker.discovery(TAKES_OVER).is_some(), "nobody ever takes over");
    alone
}

const TWO: Launchers =
    Launchers { mistake: Mistake::None, drift: 0, pace: EXACT, processes: 2, operators: 1, taints: None };

// C01, C03, C04: whoever starts anew begins its wait anew, and there may be two of them.
#[test]
fn commands_never_run_side_by_side() {
    assert!(check(TWO));
}

#[test]
#[ignore = "wide: make model-failover"]
fn wide_commands_never_run_side_by_side() {
    assert!(check(Launchers { operators: 2, ..TWO }));
    assert!(check(Launchers { drift: 1, ..TWO }));
    assert!(check(Launchers { processes: 3, ..TWO }));
}

// C06: of a launcher and an operator, one slow and the other fast.
#[test]
#[ignore = "wide: make model-failover"]
fn wide_commands_never_run_side_by_side_by_clocks_of_another_pace() {
    for pace in [[2, 4], [4, 2], [2, 2], [4, 4]] {
        assert!(check(Launchers { pace, ..TWO }));
    }
}

fn breaks(system: Launchers, mistake: Mistake) {
    assert!(!check(Launchers { mistake, ..system }), "{mistake:?} breaks nothing");
}

#[test]
fn mutation_a_wait_one_shorter_than_the_hold() {
    breaks(TWO, Mistake::WaitsOneLess);
}

// C06.
#[test]
fn mutation_a_wait_one_shorter_than_the_hold_and_the_drift() {
    breaks(Launchers { drift: 1, ..TWO }, Mistake::WaitsOneLess);
}

// C06.
#[test]
#[ignore = "wide: make model-failover"]
fn wide_mutation_a_wait_one_shorter_than_clocks_of_another_pace_need() {
    breaks(Launchers { pace: [2, 4], ..TWO }, Mistake::WaitsOneLess);
}

#[test]
fn mutation_a_deadline_counted_from_the_reply() {
    breaks(TWO, Mistake::CountsFromTheReply);
}

// W05.
#[test]
fn mutation_a_force_delete_taken_for_proof() {
    breaks(TWO, Mistake::TakesForceDeleteForProof);
}

#[test]
fn mutation_a_seal_before_the_command_has_ended() {
    breaks(TWO, Mistake::SealsBeforeTheEnd);
}

#[test]
fn mutation_a_launcher_that_comes_back_after_its_seal() {
    breaks(TWO, Mistake::ComesBackAfterItsSeal);
}

#[test]
fn mutation_a_holder_that_is_a_member_instead_of_a_pod() {
    breaks(Launchers { processes: 3, ..TWO }, Mistake::HolderByMember);
}

/// Two, of which the first's machine may go off; said to be off already, or not.
const fn of_a_machine(tainted: bool) -> Launchers {
    Launchers { taints: Some(tainted), ..TWO }
}

#[test]
fn a_machine_that_was_said_to_be_off_before_is_no_reason_to_run_two() {
    assert!(check(of_a_machine(true)));
}

#[test]
#[ignore = "wide: make model-failover"]
fn wide_a_machine_that_is_off_is_no_reason_to_run_two() {
    assert!(check(of_a_machine(false)));
}

#[test]
#[ignore = "wide: make model-failover"]
fn wide_mutation_a_taint_that_a_renewed_lease_does_not_spoil() {
    breaks(of_a_machine(false), Mistake::IgnoresTheLease);
}

#[test]
fn mutation_a_taint_that_was_there_before_anybody_looked() {
    breaks(of_a_machine(true), Mistake::TrustsAnOldTaint);
}

/// Nothing that the API server has could tell the two apart.
#[test]
#[ignore = "wide: make model-failover"]
fn wide_not_survived_a_machine_that_stands_still_and_is_said_to_be_off() {
    breaks(of_a_machine(false), Mistake::TaintedWhileItStands);
}
