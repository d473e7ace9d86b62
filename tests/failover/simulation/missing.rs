//! Each part of the protocol that is taken away is missed: something is signed twice, and the oracle sees it.

use super::{Play, run, setting::Flaw};
use crate::mistakes::Mistake;

/// How many runs it may take.
const WITHIN: u64 = 5_000;

/// Without this part something is signed twice before long.
fn missed(flaw: Flaw) {
    let found = (0..WITHIN).find(|seed| run(*seed, Play::All(flaw), false).0.oracle.conflicts > 0);
    println!("{flaw:?}: seed {found:?} signs twice");
    assert!(found.is_some(), "in {WITHIN} runs nobody misses what {flaw:?} takes away");
}

#[test]
fn mutation_simulated_a_floor_from_the_head() {
    missed(Flaw::Of(Mistake::FloorFromTheHead));
}

#[test]
fn mutation_simulated_no_ceiling() {
    missed(Flaw::Of(Mistake::NoCeiling));
}

#[test]
fn mutation_simulated_a_ceiling_that_is_not_confirmed() {
    missed(Flaw::Of(Mistake::SignsUnconfirmed));
}

// A01.
#[test]
fn mutation_simulated_a_raise_without_the_precondition() {
    missed(Flaw::Of(Mistake::RaisesBlindly));
}

#[test]
fn mutation_simulated_a_floor_with_revoking() {
    missed(Flaw::Of(Mistake::FloorWithRevoking));
}

#[test]
#[ignore = "rare: make simulate-failover"]
fn mutation_simulated_a_raise_while_fenced() {
    missed(Flaw::Of(Mistake::RaisesWhileFenced));
}

// W10.
#[test]
fn mutation_simulated_a_start_at_the_floor() {
    missed(Flaw::Of(Mistake::StartsAtTheFloor));
}

#[test]
fn mutation_simulated_a_disk_that_is_trusted() {
    missed(Flaw::Of(Mistake::TrustsTheDisk));
}

#[test]
fn mutation_simulated_no_boot_id() {
    missed(Flaw::Of(Mistake::NoBootId));
}

#[test]
fn mutation_simulated_a_seal_before_it_is_silent() {
    missed(Flaw::Of(Mistake::SealsBeforeItIsSilent));
}

#[test]
fn mutation_simulated_a_seal_below_the_floor() {
    missed(Flaw::Of(Mistake::SealsBelowTheFloor));
}

#[test]
fn mutation_simulated_a_seal_below_the_start() {
    missed(Flaw::Of(Mistake::SealsBelowTheStart));
}

#[test]
fn mutation_simulated_a_seal_that_is_ignored() {
    missed(Flaw::Of(Mistake::IgnoresTheSeal));
}

#[test]
fn mutation_simulated_another_content() {
    missed(Flaw::Of(Mistake::SignsAnotherContent));
}

#[test]
#[ignore = "rare: make simulate-failover"]
fn mutation_simulated_a_ceiling_lowered_before_it_is_silent() {
    missed(Flaw::Of(Mistake::LowersBeforeItIsSilent));
}

#[test]
#[ignore = "rare: make simulate-failover"]
fn mutation_simulated_a_ceiling_lowered_below_the_start() {
    missed(Flaw::Of(Mistake::LowersBelowItsStart));
}

#[test]
fn mutation_simulated_a_ceiling_lowered_without_the_precondition() {
    missed(Flaw::Of(Mistake::LowersBlindly));
}

// A16: not survived, unless a person adopts the identity.
#[test]
fn mutation_simulated_a_restored_record_that_nobody_adopts() {
    missed(Flaw::NobodyAdopts);
}

#[test]
fn mutation_simulated_a_restored_record_adopted_at_the_head() {
    missed(Flaw::AdoptsAtTheHead);
}

// C06.
#[test]
fn mutation_simulated_clocks_that_count_as_exact() {
    missed(Flaw::ExactClocks);
}

#[test]
fn mutation_simulated_a_wait_for_nothing() {
    missed(Flaw::NeverWaits);
}

#[test]
#[ignore = "rare: make simulate-failover"]
fn mutation_simulated_a_hold_counted_from_the_reply() {
    missed(Flaw::CountsFromTheReply);
}

// W05.
#[test]
fn mutation_simulated_a_force_delete_as_proof() {
    missed(Flaw::TakesForceDeleteForProof);
}

// W03.
#[test]
fn mutation_simulated_silence_as_proof() {
    missed(Flaw::TakesSilenceForProof);
}

#[test]
fn mutation_simulated_a_holder_by_member() {
    missed(Flaw::HolderByMember);
}

// A12, and why only quorum reads will do: what a cache answers shuts a gate, but signs nothing twice.
#[test]
fn a_cache_that_answers_shuts_gates_and_signs_nothing_twice() {
    let mut shut = 0;
    for seed in 0..100 {
        let (run, _) = run(seed, Play::All(Flaw::ReadsFromACache), false);
        assert_eq!(run.oracle.conflicts, 0, "seed {seed}");
        assert!(run.oracle.wrong.iter().all(|wrong| wrong.contains("latched")), "{:?}", run.oracle.wrong);
        shut += u64::from(!run.oracle.wrong.is_empty());
    }
    assert!(shut > 0, "no gate noticed");
}
