//! Failing a signer over, under a model checker: two members, two operators that nobody leads, over the very functions
//! that production runs. Every order of their steps is tried, with processes killed and paused at any moment, writes lost
//! and late, volumes lost and rolled back, orphans, twins, and telemetry that lies.
//!
//! Each way to break the protocol is a test that expects a counterexample: a model that finds nothing wrong with a floor
//! taken from the chain's head would prove nothing.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]

#[path = "../dice.rs"]
mod dice;
mod happens;
mod launcher;
mod mistakes;
mod recovery;
mod simulation;
mod system;
mod world;

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use mistakes::Mistake;
use stateright::{Checker, HasDiscoveries, Model};
use system::System;
use world::{Restores, Scope};

/// How many states all checks of this process have come to so far: those tried, and those that differ.
static STATES: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// Fewer different states than this in all that runs with every build: it is to stay a matter of seconds. Wide checks say
/// that they are by `MODEL=wide`.
const MOST: usize = 2_000_000;

/// Adds the states of one check, and says them and the sum.
fn count<M: Model>(checker: &impl Checker<M>) -> String
where
    M::State: std::hash::Hash,
{
    let (tried, unique) = (checker.state_count(), checker.unique_state_count());
    let all = STATES[0].fetch_add(tried, Relaxed) + tried;
    let all_unique = STATES[1].fetch_add(unique, Relaxed) + unique;
    let wide = std::env::var("MODEL").is_ok_and(|model| model == "wide");
    assert!(wide || all_unique < MOST, "{all_unique} different states, too many for every build");
    format!("{tried} states, {unique} of them unique (in all {all}, {all_unique} of them unique)")
}

/// What is tried first: what is near, or what comes next. Of mistakes any one is as good, and mostly comes soon.
#[derive(Clone, Copy)]
enum Search {
    Wide,
    Deep,
}

/// Checks a system to its end, and returns the names of the promises that it breaks.
fn broken(system: System, until: &HasDiscoveries, search: Search) -> Vec<&'static str> {
    let (name, began) = (system.to_string(), Instant::now());
    let told = matches!(until, HasDiscoveries::All);
    let checker = system.checker().finish_when(until.clone());
    match search {
        Search::Wide => found(&name, began, &checker.threads(2).spawn_bfs().join(), told),
        Search::Deep => found(&name, began, &checker.spawn_dfs().join(), told),
    }
}

/// What a check has found; told in steps where it should be nothing.
fn found(name: &str, began: Instant, checker: &impl Checker<System>, told: bool) -> Vec<&'static str> {
    println!("{name}: {}, {} deep, {:.1} s", count(checker), checker.max_depth(), began.elapsed().as_secs_f64());
    if told {
        for (name, path) in checker.discoveries().into_iter().filter(|(name, _)| *name != system::HANDS_OVER) {
            println!("{name} is broken by {:#?}", path.into_actions());
        }
    }
    let mut found: Vec<_> = checker.discoveries().into_keys().collect();
    let moved = found.iter().position(|name| *name == system::HANDS_OVER).map(|index| found.remove(index));
    assert!(moved.is_some() || !found.is_empty(), "nobody ever takes over: the model stands still");
    found.sort_unstable();
    found
}

/// Every state that can be reached keeps every promise.
fn holds(scope: Scope) {
    is_sound(System::of(scope));
}

/// And from every one of them there is a way on.
fn recovers(scope: Scope) {
    is_sound(System { recovers: true, ..System::of(scope) });
}

fn is_sound(system: System) {
    assert_eq!(broken(system, &HasDiscoveries::All, Search::Wide), Vec::<&str>::new());
}

/// A mistake, and which promise it breaks.
fn breaks(scope: Scope, mistake: Mistake, promise: &'static str) {
    let broken =
        broken(System { mistake, ..System::of(scope) }, &HasDiscoveries::AllOf([promise].into()), Search::Deep);
    assert!(broken.contains(&promise), "{mistake:?} breaks {broken:?}");
}

/// The write that a mistake is about takes its time.
const LATE: Scope = Scope { writes: 1, ..Scope::SMALL };
/// One process after the other in one pod.
const RESTARTS: Scope = Scope { boots: 3, ..Scope::SMALL };
/// The state volume comes back, as it was or as it once was.
const DISKS: Scope = Scope { disks: true, losses: 1, ..Scope::SMALL };
/// A process is told to stop.
const STOPS: Scope = Scope { stops: 1, boots: 3, writes: 1, ..Scope::SMALL };
/// A gate is shown a signature that it did not make.
const FOREIGN: Scope = Scope { foreign: 1, ..Scope::SMALL };

/// The record, or a process, comes back from a backup; gates remember what they saw.
const RESTORED: Scope = Scope { disks: true, memory: true, restores: Restores::RecordThatAllKnow, ..Scope::SMALL };

// C01 to C03, C05, W03 to W05, W09, W10, A01, A08: two that act, killed, late, paused, whose writes lose or are taken without
// an answer; a twin, a lagging standby. Lost volumes and a third process are in the wide one.
#[test]
fn nothing_is_signed_twice() {
    let scopes = [
        Scope::SMALL,
        Scope { writes: 2, slow_operators: true, shares: true, ..Scope::SMALL },
        Scope { twins: 1, ..Scope::SMALL },
        Scope { steps: 2, ..Scope::SMALL },
        Scope { memory: true, ..Scope::SMALL },
        Scope { slashes: true, ..Scope::SMALL },
        Scope { disks: true, ..Scope::SMALL },
        Scope { stops: 1, ..Scope::SMALL },
    ];
    scopes.into_iter().for_each(holds);
}

#[test]
#[ignore = "wide: make model-failover"]
fn wide_nothing_is_signed_twice() {
    let scopes = [
        DISKS,
        STOPS,
        Scope { slashes: true, foreign: 1, stops: 1, ..Scope::SMALL },
        Scope { epochs: 3, boots: 3, ..Scope::SMALL },
        Scope { boots: 3, writes: 2, slow_operators: true, ..Scope::SMALL },
        Scope { epochs: 3, heights: 3, boots: 3, ..Scope::SMALL },
        Scope { epochs: 3, boots: 3, twins: 1, stops: 1, ..Scope::SMALL },
        Scope { heights: 3, window: 2, boots: 3, ..Scope::SMALL },
        Scope { heights: 4, window: 2, boots: 3, ..Scope::SMALL },
    ];
    scopes.into_iter().for_each(holds);
}

#[test]
fn from_every_state_somebody_can_sign_again() {
    let scopes = [
        FOREIGN,
        Scope { stops: 1, ..Scope::SMALL },
        Scope { shares: true, ..Scope::SMALL },
        Scope { slashes: true, ..Scope::SMALL },
    ];
    scopes.into_iter().for_each(recovers);
}

#[test]
#[ignore = "wide: make model-failover"]
fn wide_from_every_state_somebody_can_sign_again() {
    [DISKS, LATE, RESTARTS, Scope { twins: 1, ..Scope::SMALL }].into_iter().for_each(recovers);
}

// A16: not survived, and what makes it less likely: the latch helps where whoever knows more is within reach.
#[test]
fn not_survived_a_record_restored_while_somebody_does_not_know_better() {
    let scope = Scope { restores: Restores::Record, ..RESTORED };
    breaks(scope, Mistake::None, system::ONCE);
}

#[test]
#[ignore = "wide: make model-failover"]
fn wide_a_record_restored_before_gates_that_all_know_better_is_latched() {
    holds(RESTORED);
}

#[test]
fn mutation_a_gate_that_never_latches() {
    breaks(RESTORED, Mistake::NeverLatches, system::ONCE);
}

// Nothing that a process can look at says that it is a copy.
#[test]
fn not_survived_a_process_restored_with_its_memory() {
    breaks(Scope { restores: Restores::Process, ..RESTORED }, Mistake::None, system::ONCE);
}

/// And a person adopts it before anybody looks.
const ADOPTED: Scope = Scope { epochs: 3, restores: Restores::RecordThenAdopted, ..Scope::SMALL };

#[test]
#[ignore = "wide: make model-failover"]
fn wide_a_restored_record_that_is_adopted_above_all_that_gates_remember_is_safe() {
    holds(ADOPTED);
}

#[test]
fn mutation_a_restored_record_adopted_at_the_head() {
    let system = System { mistake: Mistake::AdoptsAtTheHead, ..System::of(ADOPTED) };
    // The shortest way to it is found soonest here.
    assert!(broken(system, &HasDiscoveries::AllOf([system::ONCE].into()), Search::Wide).contains(&system::ONCE));
}

#[test]
#[ignore = "wide: make model-failover"]
fn wide_mutation_a_restored_record_adopted_a_window_above_the_head() {
    let system = System { mistake: Mistake::AdoptsAWindowAboveTheHead, ..System::of(ADOPTED) };
    assert!(broken(system, &HasDiscoveries::AllOf([system::ONCE].into()), Search::Wide).contains(&system::ONCE));
}

/// The chain needs the key, and a person adopts it after the holder's pod.
const BURIED: Scope = Scope { epochs: 3, boots: 3, buries: true, ..Scope::SMALL };

#[test]
fn an_identity_that_is_adopted_after_a_pod_that_has_stopped_is_signed_once() {
    holds(Scope { boots: 2, ..BURIED });
}

#[test]
#[ignore = "wide: make model-failover"]
fn wide_an_identity_that_is_adopted_after_a_pod_that_has_stopped_is_signed_once() {
    [BURIED, Scope { writes: 1, slow_operators: true, disks: true, ..BURIED }].into_iter().for_each(holds);
}

#[test]
fn mutation_an_adoption_after_a_pod_that_runs() {
    breaks(BURIED, Mistake::AdoptsAfterAPodThatRuns, system::ONCE);
}

#[test]
fn mutation_an_adoption_after_a_pod_that_is_not_named() {
    breaks(BURIED, Mistake::AdoptsAfterAnyPod, system::ONCE);
}

#[test]
fn mutation_a_floor_taken_from_the_head_of_the_chain() {
    breaks(Scope::SMALL, Mistake::FloorFromTheHead, system::ONCE);
}

#[test]
fn mutation_signing_up_to_a_ceiling_that_is_not_confirmed() {
    breaks(LATE, Mistake::SignsUnconfirmed, system::ONCE);
}

#[test]
fn mutation_no_ceiling() {
    breaks(Scope::SMALL, Mistake::NoCeiling, system::ONCE);
}

#[test]
fn mutation_raising_without_the_precondition() {
    breaks(LATE, Mistake::RaisesBlindly, system::ONCE);
}

#[test]
fn mutation_a_floor_taken_with_revoking_while_a_raise_is_still_allowed() {
    breaks(Scope::SMALL, Mistake::FloorWithRevoking, system::ONCE);
}

#[test]
fn mutation_raising_while_fenced() {
    breaks(Scope::SMALL, Mistake::RaisesWhileFenced, system::ONCE);
}

#[test]
fn mutation_lost_state_that_starts_at_the_floor() {
    breaks(Scope::SMALL, Mistake::StartsAtTheFloor, system::ONCE);
}

#[test]
fn mutation_rolled_back_state_that_is_trusted() {
    breaks(DISKS, Mistake::TrustsTheDisk, system::ONCE);
}

#[test]
fn mutation_no_boot_id() {
    breaks(Scope::SMALL, Mistake::NoBootId, system::ONCE);
}

#[test]
fn mutation_a_seal_written_before_the_gate_is_silent() {
    breaks(LATE, Mistake::SealsBeforeItIsSilent, system::ONCE);
}

#[test]
fn mutation_a_seal_below_the_floor() {
    breaks(RESTARTS, Mistake::SealsBelowTheFloor, system::ONCE);
    breaks(RESTARTS, Mistake::SealsBelowTheStart, system::ONCE);
}

#[test]
fn mutation_a_seal_ignored_after_lost_state() {
    breaks(FOREIGN, Mistake::IgnoresTheSeal, system::ONCE);
}

#[test]
fn mutation_a_foreign_signature_that_shuts_one_gate() {
    breaks(FOREIGN, Mistake::ShutsOneGate, system::SHUT);
}

#[test]
fn mutation_another_content_at_the_same_height() {
    breaks(Scope::SMALL, Mistake::SignsAnotherContent, system::ONCE);
}

#[test]
fn mutation_a_ceiling_lowered_before_the_gate_is_silent() {
    breaks(STOPS, Mistake::LowersBeforeItIsSilent, system::ONCE);
}

#[test]
fn mutation_a_ceiling_lowered_below_the_start() {
    breaks(STOPS, Mistake::LowersBelowItsStart, system::ONCE);
}

#[test]
fn mutation_a_ceiling_lowered_without_the_precondition() {
    breaks(STOPS, Mistake::LowersBlindly, system::ONCE);
}

/// Silent in memory, and nothing of it on the disk: nothing is found, because by the boot id no other process needs to know.
#[test]
fn a_seal_that_never_reaches_the_disk_breaks_nothing() {
    let scope = Scope { disks: true, writes: 1, ..Scope::SMALL };
    let system = System { mistake: Mistake::SealsBeforeItIsDurable, ..System::of(scope) };
    assert_eq!(broken(system, &HasDiscoveries::All, Search::Wide), Vec::<&str>::new());
}
