use std::sync::Arc;

use super::*;

fn pod(uid: &str) -> Arc<Pod> {
    Arc::new(Pod { member: "val-0".into(), uid: uid.into(), node: "n1".into() })
}

fn offer(uid: &str, hand_over: HandOver) -> Event {
    Event::Offered { pod: pod(uid), activation: Activation(7), hand_over }
}

/// An epoch that has raised its window to 20 and signed nobody knows what.
fn active(hand_over: HandOver) -> Record {
    let (mut record, _) = step(&Record::adopted(Epoch(0), Activation(1), Height(10)), offer("u1", hand_over));
    (record.ceiling, record.claims) = (Height(20), 1);
    record
}

fn revoking(hand_over: HandOver) -> Record {
    step(&active(hand_over), Event::Wanted { epoch: Epoch(1) }).0
}

fn found(proof: Option<Proof>, share: Share, waited: u64) -> Event {
    Event::Found { proof, share, waited }
}

const LAUNCHER: HandOver = HandOver::Launcher(Held::Command, Timing { hold: 10_000, drift: 0, margin: 1_000 });

#[test]
fn the_next_epoch_owns_what_is_above_the_frozen_ceiling() {
    let (fenced, effects) = step(&revoking(HandOver::Gate), found(None, Share::Small, 60_000));
    assert_eq!(fenced.phase, Phase::Fenced(Proof::WindowFrozen));
    assert_eq!(effects, [Effect::Choose]);
    let (next, _) = step(&fenced, offer("u2", HandOver::Gate));
    assert_eq!((next.tenure.epoch, next.floor, next.ceiling), (Epoch(2), Height(20), Height(20)));
}

#[test]
fn a_seal_is_worth_the_rest_of_the_window_and_waits_for_nothing() {
    let mut record = revoking(HandOver::Gate);
    record.sealed = Some(Height(12));
    let (fenced, _) = step(&record, found(None, Share::Third, 0));
    assert_eq!(fenced.phase, Phase::Fenced(Proof::SignerRefuses));
    assert_eq!(step(&fenced, offer("u2", HandOver::Gate)).0.floor, Height(12));
}

#[test]
fn a_seal_below_the_floor_is_the_floor() {
    let record = Record { sealed: Some(Height(3)), ..active(HandOver::Gate) };
    assert_eq!(record.bound(), Height(10));
}

#[test]
fn a_gate_gets_its_chance_to_seal() {
    let record = revoking(HandOver::Gate);
    assert_eq!(step(&record, found(None, Share::Small, 9_999)).0, record);
}

#[test]
fn a_chain_that_needs_us_waits_for_a_seal_or_a_person() {
    for share in [Share::Third, Share::Unknown] {
        let (blocked, effects) = step(&revoking(HandOver::Gate), found(None, share, 60_000));
        assert!(matches!(blocked.phase, Phase::Revoking { blocked: Some(Missing::ChainNeedsUs), .. }));
        assert_eq!(effects[0], Effect::Page(Missing::ChainNeedsUs));
        let released = Event::Released { epoch: Epoch(1), uid: "u1".into() };
        assert_eq!(step(&blocked, released).0.phase, Phase::Fenced(Proof::Asserted));
    }
}

#[test]
fn a_release_names_the_epoch_and_the_pod() {
    let record = revoking(LAUNCHER);
    for (epoch, uid) in [(0, "u1"), (2, "u1"), (1, "u2")] {
        let event = Event::Released { epoch: Epoch(epoch), uid: uid.into() };
        assert_eq!(step(&record, event).0, record);
    }
}

#[test]
fn a_launcher_takes_proof_about_this_pod_and_the_wait() {
    let record = revoking(LAUNCHER);
    let ends = |proof, waited| step(&record, found(Some(proof), Share::Small, waited)).0.phase;
    let is_fenced = |phase: &Phase| matches!(phase, Phase::Fenced(_));
    assert!(is_fenced(&ends(Proof::KubeletConfirmed(pod("u1")), 11_000)));
    assert!(is_fenced(&ends(Proof::NodeOff(pod("u1")), 11_000)));
    assert!(!is_fenced(&ends(Proof::KubeletConfirmed(pod("u1")), 10_999)));
    assert!(!is_fenced(&ends(Proof::KubeletConfirmed(pod("twin")), 60_000)));
    assert!(!is_fenced(&ends(Proof::WindowFrozen, 60_000)));
    assert!(!is_fenced(&ends(Proof::SignerRefuses, 60_000)));
    let (blocked, _) = step(&record, found(None, Share::Small, 60_000));
    assert!(matches!(blocked.phase, Phase::Revoking { blocked: Some(Missing::Proof), .. }));
}

#[test]
fn nothing_but_proof_ends_revoking_and_nothing_cancels_it() {
    let record = revoking(HandOver::Gate);
    for event in [Event::Resumed, Event::Wanted { epoch: Epoch(1) }, offer("u1", HandOver::Gate)] {
        assert_eq!(step(&record, event).0, record);
    }
}

#[test]
fn an_order_for_another_epoch_ends_nothing() {
    let record = active(HandOver::Gate);
    for epoch in [0, 2] {
        assert_eq!(step(&record, Event::Wanted { epoch: Epoch(epoch) }).0, record);
    }
}

#[test]
fn a_punished_key_is_not_activated_until_a_person_adopts_it() {
    let (fenced, _) = step(&revoking(HandOver::Gate), found(None, Share::Small, 60_000));
    let (slashed, effects) = step(&fenced, Event::Shut(Shut::Punished));
    assert!(effects.is_empty());
    assert_eq!(step(&slashed, offer("u2", HandOver::Gate)).0, slashed);
    let adopted = Event::Adopted { above: Epoch(9), floor: Height(500), activation: Activation(3) };
    let (adopted, _) = step(&slashed, adopted);
    assert_eq!((adopted.tenure.epoch, adopted.adopted, adopted.floor), (Epoch(10), Epoch(10), Height(500)));
    assert_eq!(step(&adopted, offer("u2", HandOver::Gate)).0.floor, Height(500));
}

#[test]
fn there_is_no_epoch_after_the_last() {
    let record = Record::adopted(Epoch(u64::MAX), Activation(1), Height(1));
    assert_eq!(step(&record, offer("u2", HandOver::Gate)).0, record);
}

#[test]
fn a_remote_signer_refuses_by_itself_once_its_endpoint_was_taken_away() {
    let record = revoking(HandOver::Label);
    for proof in [None, Some(Proof::KubeletConfirmed(pod("u1"))), Some(Proof::Asserted)] {
        assert_eq!(step(&record, found(proof, Share::Third, 900_000)).0, record, "its endpoint is there");
    }
    let (fenced, effects) = step(&record, found(Some(Proof::SignerRefuses), Share::Third, 0));
    assert_eq!((&fenced.phase, effects), (&Phase::Fenced(Proof::SignerRefuses), vec![Effect::Choose]));
    // A gate takes no such word, and knows nothing of what that signer has signed.
    assert_eq!(step(&revoking(HandOver::Gate), found(Some(Proof::SignerRefuses), Share::Third, 0)).0.sealed, None);
    assert_eq!(step(&fenced, offer("u2", HandOver::Gate)).0, fenced);
    assert_eq!(step(&fenced, offer("u2", HandOver::Label)).0.tenure.epoch, Epoch(2));
}

#[test]
fn only_a_person_begins_an_epoch_that_ends_another_way() {
    let ways = [HandOver::Gate, LAUNCHER, HandOver::Label, HandOver::Job];
    for former in ways {
        let released = Event::Released { epoch: Epoch(1), uid: "u1".into() };
        let fenced = step(&revoking(former), released).0;
        for next in ways {
            assert_eq!(step(&fenced, offer("u2", next)).0 != fenced, former == next, "{former:?} {next:?}");
        }
        let word = Event::Adopted { above: Epoch(1), floor: Height(500), activation: Activation(9) };
        let adopted = step(&fenced, word).0;
        for next in ways {
            assert_eq!(step(&adopted, offer("u2", next)).0.hand_over, next);
        }
    }
    let other = HandOver::Launcher(Held::Command, Timing { hold: 20_000, drift: 0, margin: 1_000 });
    let released = Event::Released { epoch: Epoch(1), uid: "u1".into() };
    assert_eq!(step(&step(&revoking(LAUNCHER), released).0, offer("u2", other)).0.hand_over, other);
}

#[test]
fn the_word_of_the_owner_s_job_is_taken_and_nothing_less() {
    let record = revoking(HandOver::Job);
    for proof in [None, Some(Proof::SignerRefuses), Some(Proof::NodeOff(pod("u1")))] {
        assert_eq!(step(&record, found(proof, Share::Small, 900_000)).0, record);
    }
    let (blocked, effects) = step(&record, Event::Unproven { epoch: Epoch(1) });
    let Phase::Revoking { blocked: Some(Missing::Proof), .. } = blocked.phase else { panic!("{blocked:?}") };
    assert!(effects.contains(&Effect::Page(Missing::Proof)));
    assert_eq!(step(&record, Event::Unproven { epoch: Epoch(2) }).0, record, "of another epoch");
    assert!(matches!(
        step(&revoking(LAUNCHER), Event::Unproven { epoch: Epoch(1) }).0.phase,
        Phase::Revoking { blocked: None, .. }
    ));
    // Late, and true all the same.
    let (fenced, _) = step(&blocked, found(Some(Proof::JobSucceeded), Share::Unknown, 0));
    assert_eq!(fenced.phase, Phase::Fenced(Proof::JobSucceeded));
    // Nobody else takes it.
    for other in [HandOver::Gate, LAUNCHER, HandOver::Label] {
        let record = revoking(other);
        let (next, _) = step(&record, found(Some(Proof::JobSucceeded), Share::Third, 900_000));
        assert!(!matches!(next.phase, Phase::Fenced(_)), "{other:?}");
    }
}

#[test]
fn a_holder_that_no_process_claims_for_is_said_to_be_at_work() {
    let begun = Event::Begun { epoch: Epoch(1) };
    for (way, claims) in [(HandOver::Label, 1), (HandOver::Job, 1), (HandOver::Gate, 0), (LAUNCHER, 0)] {
        let (active, _) = step(&Record::adopted(Epoch(0), Activation(1), Height(10)), offer("u1", way));
        assert_eq!(step(&active, Event::Begun { epoch: Epoch(0) }).0, active);
        let next = step(&active, begun.clone()).0;
        assert_eq!((next.claims, next.holder().unwrap().boot.is_some()), (claims, claims == 1), "{way:?}");
        assert!(next.progress() >= active.progress());
        assert_eq!(step(&next, begun.clone()).0, next);
    }
}

/// A memory of the epoch, of val-0.
fn memory(epoch: u64) -> Carried {
    Carried { epoch: Epoch(epoch), member: "val-0".into(), files: vec![("tower".into(), vec![1])] }
}

#[test]
fn a_memory_travels_in_a_seal_and_counts_for_the_next_epoch_only() {
    let mut record = revoking(LAUNCHER);
    (record.sealed, record.carried) = (Some(Height(10)), Some(Arc::new(memory(1))));
    let (fenced, _) = step(&record, found(None, Share::Small, 0));
    let (next, _) = step(&fenced, offer("u2", LAUNCHER));
    assert_eq!(next.inherited(), Some(&memory(1)));

    // Nobody has claimed the place: what there was goes on, as of this epoch.
    let wanted = Event::Wanted { epoch: Epoch(2) };
    let (fenced, _) = step(&step(&next, wanted.clone()).0, found(None, Share::Small, 0));
    assert_eq!(fenced.carried.as_deref(), Some(&memory(2)));
    assert_eq!(step(&fenced, offer("u3", LAUNCHER)).0.inherited(), Some(&memory(2)));

    // A seal without a word about it: what is there is too old.
    let sealed = Record { claims: 1, sealed: Some(Height(10)), ..next.clone() };
    let (fenced, _) = step(&step(&sealed, wanted).0, found(None, Share::Small, 0));
    let (next, _) = step(&fenced, offer("u3", LAUNCHER));
    assert_eq!((next.inherited(), next.passed_on()), (None, None));
}

#[test]
fn without_a_seal_only_the_last_member_knows_what_it_has_signed() {
    let mut record = revoking(LAUNCHER);
    record.carried = Some(Arc::new(memory(0)));
    let only = Carried { files: Vec::new(), ..memory(1) };
    let proof = Proof::KubeletConfirmed(pod("u1"));
    let (fenced, _) = step(&record, found(Some(proof), Share::Small, u64::MAX));
    assert_eq!(fenced.carried.as_deref(), Some(&only));
    assert_eq!(step(&fenced, offer("u2", LAUNCHER)).0.inherited(), Some(&only));
    let (released, _) = step(&record, Event::Released { epoch: Epoch(1), uid: "u1".into() });
    assert_eq!(released.carried.as_deref(), Some(&only));
    // Nor does a person know who adopts the identity, nor an epoch that is kept in another way.
    let adopted = Event::Adopted { above: Epoch(1), floor: Height(30), activation: Activation(9) };
    assert_eq!(step(&record, adopted).0.carried, None);
    let gated = Record { hand_over: HandOver::Gate, ..record };
    assert_eq!(step(&gated, found(None, Share::Small, 60_000)).0.carried, None);
}
