//! The ledger protocol under a model checker: two operators that both believe they lead, over the very functions that
//! production runs. Every order of their steps is tried, with every process killed at any moment, answers lost, and one
//! request that arrives later than anybody expects.
//!
//! Each way to break the protocol is a test that expects a counterexample: a model that finds nothing wrong with a ledger
//! without compare-and-swap would prove nothing.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]

mod system;

use stateright::{Checker, Model};
use system::{Mistake, System};

/// Checks a system to its end, and returns the names of the properties that it breaks.
fn broken(system: System) -> Vec<&'static str> {
    let (name, began) = (format!("{:?} {:?}", system.mistake, system.limits), std::time::Instant::now());
    let checker = system.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} of them unique, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        began.elapsed().as_secs_f64()
    );
    let mut found: Vec<_> = checker.discoveries().into_keys().collect();
    let healed = found.iter().position(|name| *name == system::HEALS).map(|index| found.remove(index));
    assert!(healed.is_some() || !found.is_empty(), "nobody is ever helped: the model stands still");
    found.sort_unstable();
    found
}

// C01, C02, C05: two that act, one that lost its lease between deciding and writing, one that slept.
#[test]
fn two_operators_never_exceed_a_limit() {
    let mut systems = vec![System::one_at_a_time(), System::one_action(), System::two_on_one()];
    if std::env::var("MODEL").is_ok_and(|how| how == "wide") {
        systems.push(System::wide());
    }
    for system in systems {
        assert_eq!(broken(system), Vec::<&str>::new());
    }
}

/// A mistake, and which promise it breaks.
fn breaks(system: System, mistake: Mistake, promise: &str) {
    let broken = broken(System { mistake, ..system });
    assert!(broken.contains(&promise), "{mistake:?} breaks {broken:?}");
}

#[test]
fn mutation_a_ledger_without_compare_and_swap() {
    breaks(System::one_at_a_time(), Mistake::WritesTheLedgerBlindly, system::AT_ONCE);
    breaks(System::one_action(), Mistake::WritesTheLedgerBlindly, system::BUDGET);
}

#[test]
fn mutation_a_journal_without_compare_and_swap() {
    breaks(System::two_on_one(), Mistake::WritesTheJournalBlindly, system::TRUTH);
}

#[test]
fn mutation_an_unknown_outcome_taken_for_a_refusal() {
    breaks(System::one_at_a_time(), Mistake::TakesUnknownForRefused, system::TRUTH);
}

#[test]
fn mutation_a_budget_given_back_after_the_act() {
    breaks(System::one_action(), Mistake::GivesTheBudgetBack, system::BUDGET);
}

#[test]
fn mutation_a_seat_reclaimed_on_its_deadline_alone() {
    breaks(System::one_at_a_time(), Mistake::ReclaimsOnTheDeadline, system::AT_ONCE);
}

#[test]
fn mutation_no_seat_at_all() {
    breaks(System::one_at_a_time(), Mistake::TakesNoSeat, system::AT_ONCE);
}
