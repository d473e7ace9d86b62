//! A network at work, in whole seconds: blocks of 6 s, so references are asked every 12 s and votes live for 36 s;
//! own samples live for 15 s.

use std::collections::BTreeSet;

use super::{Chain, Seen, Voter};
use crate::api::Family;
use crate::policy::{NetworkPlan, Reference};
use crate::signal::{Mono, Told, Unknown};

/// A head and nothing else.
fn seen(head: Result<u64, Unknown>, at: u64, told: &Told) -> Seen<'_> {
    let answered = head.is_ok();
    Seen { head, answered, finalized: None, skew: None, told, observed_at: Mono(at * 1000), stale_after: 15_000 }
}

fn plan(references: &[&str]) -> NetworkPlan {
    let reference =
        |name: &&str| Reference { name: (*name).into(), url: format!("https://{name}.example"), rest: None };
    NetworkPlan {
        budget: Vec::new(),
        name: "hub".into(),
        uid: "uid".into(),
        family: Family::CometBFT,
        chain_id: "hub-1".into(),
        block_time: 6_000,
        allowed_namespaces: vec![],
        references: references.iter().map(reference).collect(),
        stalled_after: 120_000,
        max_concurrent: 1,
        upgrades: true,
    }
}

fn voter(policy: &str, target: &str) -> Voter {
    Voter { policy: policy.into(), target: target.into() }
}

struct Scene(Chain);

impl Scene {
    fn new(references: &[&str]) -> Self {
        Self(Chain::new(&plan(references)))
    }

    fn reference(&mut self, name: &str, at: u64, result: Result<u64, Unknown>) -> bool {
        self.0.reference(name, &seen(result, at, &Told::default()));
        self.0.refresh(Mono(at * 1000))
    }

    fn own(&mut self, target: &str, at: u64, head: u64) -> bool {
        self.0.own(&voter("p", target), &seen(Ok(head), at, &Told::default()));
        self.0.refresh(Mono(at * 1000))
    }

    fn head(&self) -> Option<u64> {
        self.0.head().map(|head| head.height)
    }

    fn risen_at(&self) -> u64 {
        self.0.head().map_or(0, |head| head.risen_at.0 / 1000)
    }
}

#[test]
fn a_network_without_votes_has_no_head_and_is_not_stalled() {
    let mut scene = Scene::new(&[]);
    assert!(!scene.0.refresh(Mono(1_000_000)));
    assert_eq!((scene.head(), scene.0.stalled_since(Mono(1_000_000))), (None, None));
}

#[test]
fn one_liar_among_three_moves_nothing() {
    for lie in [0, 1_000_000] {
        let mut scene = Scene::new(&["a", "b", "liar"]);
        for round in 0..20 {
            scene.reference("a", round * 12, Ok(100 + round));
            scene.reference("b", round * 12, Ok(100 + round));
            scene.reference("liar", round * 12, Ok(lie));
            assert_eq!(scene.head(), Some(100 + round));
        }
        assert_eq!(scene.risen_at(), 19 * 12);
    }
}

#[test]
fn a_liar_that_rises_does_not_refute_a_halt() {
    let mut scene = Scene::new(&["a", "b", "liar"]);
    for round in 0..20 {
        scene.reference("a", round * 12, Ok(100));
        scene.reference("b", round * 12, Ok(100));
        scene.reference("liar", round * 12, Ok(100 + round));
    }
    assert_eq!((scene.head(), scene.risen_at()), (Some(100), 0));
    assert!(scene.0.stalled_since(Mono(228_000)).is_some());
}

#[test]
fn a_frozen_vote_of_two_hides_lag_but_fakes_no_halt() {
    let mut scene = Scene::new(&["good", "frozen"]);
    for round in 0..20 {
        scene.reference("good", round * 12, Ok(100 + round));
        scene.reference("frozen", round * 12, Ok(100));
    }
    assert_eq!(scene.head(), Some(100));
    assert_eq!(scene.0.stalled_since(Mono(228_000)), None, "the other one rises");
}

#[test]
fn a_network_stands_still_until_its_head_rises() {
    let mut scene = Scene::new(&["a"]);
    assert!(scene.reference("a", 0, Ok(100)), "a quorum came");
    assert!(!scene.reference("a", 12, Ok(101)));
    assert!(!scene.reference("a", 131, Ok(101)));
    assert_eq!(scene.0.next(Mono(131_000)), Some(Mono(132_000)));
    assert!(scene.0.refresh(Mono(132_000)));
    assert_eq!(scene.0.stalled_since(Mono(132_000)), Some(Mono(12_000)));
    assert!(scene.reference("a", 140, Ok(102)));
    assert_eq!(scene.0.next(Mono(140_000)), Some(Mono(176_001)), "the vote lapses");
    assert!(scene.0.refresh(Mono(176_001)), "and with it the quorum");
    assert_eq!(scene.head(), None);
}

#[test]
fn a_frozen_vote_that_lapses_is_not_a_rise() {
    let mut scene = Scene::new(&["a", "b"]);
    scene.reference("a", 0, Ok(90));
    for at in [1, 13, 25] {
        scene.reference("b", at, Ok(100));
    }
    assert_eq!(scene.head(), Some(90));
    scene.reference("b", 37, Ok(100));
    assert_eq!((scene.head(), scene.risen_at()), (Some(100), 0));
    scene.reference("b", 49, Ok(101));
    assert_eq!(scene.risen_at(), 0, "one rise alone may be a voter that came back");
    scene.reference("b", 61, Ok(102));
    assert_eq!(scene.risen_at(), 61);
}

#[test]
fn a_reference_that_fails_now_and_then_keeps_its_vote() {
    let mut scene = Scene::new(&["a"]);
    for round in 0..10 {
        scene.reference("a", round * 24, Ok(100 + round));
        assert!(!scene.reference("a", round * 24 + 12, Err(Unknown::NoAnswer)));
    }
    assert_eq!((scene.head(), scene.risen_at()), (Some(109), 216));
    assert_eq!(scene.0.references().collect::<Vec<_>>(), [("a", Err(Unknown::NoAnswer))]);
}

#[test]
fn a_reference_of_another_chain_has_no_vote() {
    let mut scene = Scene::new(&["a"]);
    scene.reference("a", 0, Ok(100));
    scene.reference("a", 12, Err(Unknown::WrongChain("osmosis-1".into())));
    assert_eq!(scene.head(), None);
    scene.reference("stranger", 12, Ok(100));
    assert_eq!(scene.head(), None);
}

#[test]
fn the_lonely_progress_of_a_subject_is_not_the_networks() {
    let mut scene = Scene::new(&[]);
    for round in 0..10 {
        scene.own("fast", round * 5, 100 + round);
        scene.own("frozen", round * 5, 100);
    }
    let reference = |target| scene.0.view(&voter("p", target), Mono(45_000)).reference.expect("a reference head");
    assert_eq!((reference("fast").height, reference("fast").risen_at), (100, Mono(0)));
    assert_eq!((reference("frozen").height, reference("frozen").risen_at), (109, Mono(45_000)));
    assert_eq!((reference("frozen").agree, reference("frozen").of), (1, 1));
}

#[test]
fn a_single_node_without_references_has_nobody_to_be_compared_with() {
    let mut scene = Scene::new(&[]);
    scene.own("only", 0, 100);
    let view = scene.0.view(&voter("p", "only"), Mono(0));
    assert_eq!((view.reference, view.witness_at), (None, None));
    assert_eq!(scene.head(), Some(100));
}

#[test]
fn a_new_pod_inherits_what_the_others_have_seen() {
    let mut scene = Scene::new(&["a"]);
    for (at, head) in [(0, 100), (12, 101), (24, 102)] {
        scene.reference("a", at, Ok(head));
    }
    let view = |scene: &Scene| scene.0.view(&voter("p", "new"), Mono(25_000)).reference.expect("a reference head");
    assert_eq!(view(&scene).risen_at, Mono(24_000));
    scene.own("new", 25, 50);
    assert_eq!((view(&scene).height, view(&scene).risen_at), (102, Mono(24_000)));
}

#[test]
fn three_references_keep_a_sick_fleet_out() {
    let mut scene = Scene::new(&["a", "b", "c"]);
    for target in 0..9 {
        let voter = voter(&format!("p{target}"), "x");
        scene.0.own(&voter, &seen(Ok(50), 0, &Told::default()));
    }
    for name in ["a", "b", "c"] {
        scene.reference(name, 0, Ok(100));
    }
    assert_eq!(scene.head(), Some(100));
}

#[test]
fn a_witness_is_anybody_but_the_subject() {
    let mut scene = Scene::new(&["a"]);
    let witness = |scene: &Scene, target| {
        let view = scene.0.view(&voter("p", target), Mono(9_000));
        (view.witness_at.map(|at| at.0), view.witness_within)
    };
    scene.own("x", 5, 100);
    assert_eq!(witness(&scene, "x"), (None, 0));
    assert_eq!(witness(&scene, "y"), (Some(5_000), 10_000), "two intervals of 5 s");
    scene.reference("a", 3, Ok(100));
    assert_eq!(witness(&scene, "x"), (Some(3_000), 24_000), "two intervals of 12 s");
    let view = scene.0.view(&voter("p", "x"), Mono(9_000));
    assert!(view.witnessed(Mono(27_000)) && !view.witnessed(Mono(27_001)));
}

#[test]
fn targets_that_are_gone_do_not_vote() {
    let mut scene = Scene::new(&[]);
    scene.own("x", 0, 100);
    scene.own("y", 0, 100);
    scene.0.forget("other", &BTreeSet::new());
    assert_eq!(scene.head(), Some(100));
    scene.0.forget("p", &BTreeSet::new());
    assert!(scene.0.refresh(Mono(1_000)));
    assert_eq!(scene.head(), None);
}

#[test]
fn a_plan_that_is_taken_over_again_as_it_was_hides_no_rise() {
    let mut scene = Scene::new(&["a", "b"]);
    for round in 0..20 {
        // The caches changed somewhere, and the plan did not.
        scene.0.adopt(&plan(&["a", "b"]));
        scene.reference("a", round * 12, Ok(100 + round));
        scene.0.adopt(&plan(&["a", "b"]));
        scene.reference("b", round * 12, Ok(100 + round));
    }
    assert_eq!((scene.head(), scene.risen_at()), (Some(119), 19 * 12));
    // A voter less is another matter.
    scene.0.adopt(&plan(&["a"]));
    scene.reference("a", 240, Ok(120));
    assert_eq!((scene.head(), scene.risen_at()), (Some(120), 19 * 12));
}

#[test]
fn a_changed_plan_keeps_the_votes_of_the_same_addresses() {
    let mut scene = Scene::new(&["a", "b"]);
    scene.reference("a", 0, Ok(100));
    scene.reference("b", 0, Ok(90));
    let mut other = plan(&["a", "b"]);
    other.references[1].url = "https://elsewhere.example".into();
    scene.0.adopt(&other);
    scene.0.refresh(Mono(1_000));
    assert_eq!((scene.head(), scene.risen_at()), (Some(100), 0), "a vote that left is not a rise");
    assert_eq!(scene.0.references().collect::<Vec<_>>(), [("a", Ok(100)), ("b", Err(Unknown::NotYet))]);
    scene.0.adopt(&NetworkPlan { chain_id: "hub-2".into(), ..other });
    scene.0.refresh(Mono(1_000));
    assert_eq!(scene.head(), None);
}
