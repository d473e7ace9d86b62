//! The judge at work, in whole seconds.

use super::{VerdictKind, testing::*};
use crate::api::policy::Severity::{Critical, Warning};
use crate::policy::{Condition, Rule, Trigger};
use crate::signal::{Mono, Poll, Signal, Unknown, Value};

use VerdictKind::{Healthy, Suspect, Unhealthy, Unknown as NotKnown};

#[test]
fn a_target_of_which_nothing_was_observed_is_unknown() {
    let mut scene = Scene::new(vec![silent()]);
    assert_eq!(scene.verdict().unknown, "not observed yet");
    assert_eq!(scene.at(100), NotKnown);
    assert_eq!(scene.verdict().unknown, "silent cannot be judged: reachable is unknown: not observed yet");
    assert_eq!(scene.target.healthy_since(), None);
}

#[test]
fn a_node_that_is_catching_up_has_not_stalled() {
    let mut scene = Scene::new(vec![stalled()]);
    scene.network(80_000);
    for at in (0..300).step_by(5) {
        assert_eq!(scene.head(at, at * 10), Healthy, "at {at} s");
    }
    assert_eq!(scene.target.healthy_since(), Some(Mono(0)));
}

#[test]
fn a_node_that_started_over_from_nothing_is_catching_up_too() {
    let mut scene = Scene::new(vec![stalled()]);
    scene.network(80_000);
    scene.head(0, 79_999);
    assert_eq!(scene.head(5, 10), NotKnown, "a head that falls so deep is doubted once");
    assert_eq!(scene.head(10, 20), Suspect);
    assert_eq!(scene.head(15, 30), Healthy);
}

#[test]
fn a_head_that_stands_while_the_network_goes_on_fires() {
    let mut scene = Scene::new(vec![stalled()]);
    scene.network(81_204);
    assert_eq!(scene.head(0, 81_204), Healthy);
    assert_eq!(scene.head(4, 81_204), Healthy);
    scene.network(81_206);
    assert_eq!(scene.head(9, 81_204), Suspect);
    assert_eq!(scene.evidence(), "head has stood at 81204 for 9 s while the network went on to 81206");
    for at in (14..69).step_by(5) {
        scene.network(81_206 + at);
        assert_eq!(scene.head(at, 81_204), Suspect);
    }
    assert_eq!(scene.next(), Some(69_000));
    assert_eq!(scene.at(69), Unhealthy);
    assert_eq!(scene.evidence(), "head has stood at 81204 for 69 s while the network went on to 81270");
    assert_eq!(scene.verdict().findings[0].breach_since, Mono(9_000));
    assert_eq!(scene.head(74, 81_205), Healthy);
}

#[test]
fn a_head_that_stands_with_its_network_is_healthy() {
    let mut scene = Scene::new(vec![stalled()]);
    scene.network(101);
    for at in (0..600).step_by(5) {
        assert_eq!(scene.head(at, 100), Healthy);
    }
}

#[test]
fn when_the_network_goes_on_after_a_long_halt_the_hold_begins_only_then() {
    let mut scene = Scene::new(vec![stalled()]);
    scene.network(100);
    for at in (0..600).step_by(5) {
        scene.head(at, 100);
    }
    scene.network(102);
    assert_eq!(scene.at(597), Suspect);
    assert_eq!(scene.verdict().findings[0].breach_since, Mono(595_000));
}

#[test]
fn only_a_rise_ends_a_stall_that_fires() {
    let mut scene = Scene::new(vec![Rule { trigger: Trigger::For(0), ..stalled() }]);
    scene.network(110);
    scene.head(0, 100);
    assert_eq!(scene.head(5, 100), Unhealthy);
    scene.network(100);
    assert_eq!(scene.head(10, 100), Unhealthy, "the network's head fell back");
    assert_eq!(scene.head(15, 101), Healthy);
    scene.network(101);
    assert_eq!(scene.head(20, 101), Healthy);
}

#[test]
fn without_a_reference_a_stall_cannot_be_judged() {
    let mut scene = Scene::new(vec![stalled()]);
    scene.head(0, 100);
    assert_eq!(scene.head(5, 100), NotKnown);
    assert_eq!(
        scene.verdict().unknown,
        "stalled cannot be judged: head is unknown: the network's head is not known"
    );
}

#[test]
fn a_hung_node_is_known_to_be_unhealthy() {
    let mut scene = Scene::new(vec![silent(), stalled(), behind()]);
    scene.network(100);
    assert_eq!(scene.head(0, 100), Healthy);
    for at in (5..65).step_by(5) {
        assert_eq!(scene.silent(at), Suspect);
    }
    assert_eq!(scene.at(65), Unhealthy);
    assert_eq!(scene.evidence(), "reachable is 0 (below 1) for 60 s: its own port does not answer");
    let finding = &scene.verdict().findings[0];
    assert_eq!((finding.breach_since, finding.observed_at), (Mono(5_000), Mono(62_000)));
}

#[test]
fn silence_without_a_witness_may_be_our_own() {
    let mut scene = Scene::new(vec![silent()]).witnessed(0);
    scene.head(0, 100);
    assert_eq!(scene.silent(10), Suspect, "the witness answered within two intervals");
    assert_eq!(scene.silent(15), Suspect, "a breach is remembered while samples would live");
    assert_eq!(scene.target.read(Signal::Reachable, &scene.view, Mono(17_000)).known(), None);
    for at in (20..300).step_by(5) {
        scene.silent(at);
    }
    assert_eq!(scene.at(300), NotKnown);
}

#[test]
fn garbage_is_no_silence() {
    let mut scene = Scene::new(vec![silent()]);
    for at in (0..300).step_by(5) {
        let garbage = Err(Unknown::Invalid("not JSON".into()));
        assert_eq!(scene.polled(at, at, &[(Signal::Reachable, garbage)]), NotKnown);
    }
}

#[test]
fn a_hold_ends_by_timer_and_counts_from_the_request() {
    let mut scene = Scene::new(vec![Rule { trigger: Trigger::For(10_000), ..silent() }]);
    scene.silent(5);
    assert_eq!(scene.next(), Some(15_000));
    assert_eq!(scene.at(14), Suspect);
    assert_eq!(scene.at(30), Unhealthy, "judged late");
    assert_eq!(scene.verdict().since, Mono(15_000), "as if it had been judged in time");
}

#[test]
fn what_is_not_known_pauses_a_hold_and_does_not_count() {
    let mut scene = Scene::new(vec![silent()]);
    for at in (0..30).step_by(5) {
        scene.silent(at);
    }
    scene.polled(30, 32, &[(Signal::Reachable, Err(Unknown::OurSide("no route".into())))]);
    scene.polled(35, 42, &[(Signal::Reachable, Ok(0))]);
    for at in (45..65).step_by(5) {
        scene.silent(at);
    }
    assert_eq!(scene.at(69), Suspect);
    assert_eq!(scene.at(70), Unhealthy);
}

#[test]
fn what_was_not_known_for_long_is_forgotten() {
    let mut scene = Scene::new(vec![silent()]);
    scene.silent(0);
    let ours = || Err(Unknown::OurSide("no route".into()));
    assert_eq!(scene.polled(5, 5, &[(Signal::Reachable, ours())]), Suspect);
    assert_eq!(scene.polled(10, 10, &[(Signal::Reachable, ours())]), Suspect);
    assert_eq!(scene.next(), Some(20_000));
    assert_eq!(scene.at(20), NotKnown);
    scene.silent(25);
    assert_eq!(scene.verdict().findings[0].breach_since, Mono(25_000));
}

#[test]
fn a_firing_rule_outlives_its_readings_only_as_long_as_a_sample_would() {
    let mut scene = Scene::new(vec![Rule { trigger: Trigger::For(0), ..silent() }]);
    assert_eq!(scene.silent(0), Unhealthy);
    assert_eq!(scene.at(17), Unhealthy);
    assert_eq!(scene.at(32), Unhealthy, "stale, but not for long");
    assert_eq!(scene.next(), Some(32_001));
    assert_eq!(scene.at(33), NotKnown);
    assert_eq!(scene.verdict().findings, []);
    assert_eq!(scene.verdict().unknown, "silent cannot be judged: reachable is unknown: last observed 15.0 s ago");
}

#[test]
fn it_is_harder_to_recover_than_to_stay_healthy() {
    let mut scene = Scene::new(vec![Rule { trigger: Trigger::For(0), ..behind() }]);
    scene.network(140);
    assert_eq!(scene.head(0, 110), Healthy, "30 behind is not above 30");
    scene.network(141);
    assert_eq!(scene.at(1), Unhealthy);
    assert_eq!(scene.evidence(), "head_lag is 31 (above 30)");
    assert_eq!(scene.head(5, 120), Unhealthy, "21 behind is not below 10");
    assert_eq!(scene.head(10, 131), Unhealthy, "good, but only just");
    assert_eq!(scene.head(15, 130), Unhealthy, "a break");
    assert_eq!(scene.head(20, 141), Unhealthy);
    assert_eq!(scene.next(), Some(30_000));
    assert_eq!(scene.at(30), Healthy);
    assert_eq!(scene.target.healthy_since(), Some(Mono(30_000)));
}

#[test]
fn numbers_freeze_at_the_transition_but_freshness_does_not() {
    let mut scene = Scene::new(vec![behind()]);
    scene.network(140);
    scene.head(0, 100);
    scene.network(200);
    scene.head(5, 100);
    let finding = &scene.verdict().findings[0];
    assert_eq!((finding.evidence.as_str(), finding.observed_at), ("head_lag is 40 (above 30)", Mono(5_000)));
}

#[test]
fn a_flaky_node_fires_when_n_of_the_last_m_samples_breach() {
    let mut scene = Scene::new(vec![lonely(Trigger::Samples { samples: 3, of: 5 }, Critical)]);
    let kinds: Vec<_> =
        [1, 9, 1, 9, 1, 9, 9, 1].into_iter().zip(0..).map(|(peers, at)| scene.peers(at * 5, peers)).collect();
    assert_eq!(kinds, [Suspect, Healthy, Suspect, Healthy, Unhealthy, Healthy, Healthy, Suspect]);
}

#[test]
fn judging_a_sample_twice_counts_it_once() {
    let mut scene = Scene::new(vec![lonely(Trigger::Samples { samples: 2, of: 3 }, Critical)]);
    scene.peers(0, 1);
    assert_eq!(scene.at(1), Suspect);
    assert_eq!(scene.at(2), Suspect);
    assert_eq!(scene.peers(5, 1), Unhealthy);
    assert_eq!(scene.evidence(), "peers was below 3 in 2 of the last 3 samples, now 1");
}

#[test]
fn a_warning_is_told_and_leaves_the_target_healthy() {
    let mut scene = Scene::new(vec![lonely(Trigger::For(0), Warning), silent()]);
    scene.head(0, 100);
    assert_eq!(scene.peers(0, 2), Healthy);
    assert_eq!(scene.evidence(), "peers is 2 (below 3)");
    scene.silent(5);
    let order: Vec<_> = scene.verdict().findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(order, ["silent", "lonely"], "gravest first");
}

#[test]
fn absence_is_told() {
    let absent = Rule { severity: Warning, ..rule("blind", Signal::Peers, Condition::Absent, 30) };
    let mut scene = Scene::new(vec![absent]);
    assert_eq!(scene.at(29), Healthy);
    assert_eq!(scene.evidence(), "peers is not known: not observed yet");
    scene.at(30);
    assert_eq!(scene.evidence(), "peers has not been known for 30 s: not observed yet");
    scene.peers(31, 9);
    assert_eq!(scene.verdict().findings, []);
    assert_eq!(scene.next(), Some(46_001), "the sample goes stale");
    scene.at(50);
    assert_eq!(scene.verdict().findings[0].breach_since, Mono(46_001));
}

#[test]
fn head_age_grows_by_itself_and_fires_without_a_sample() {
    let mut scene = Scene::new(vec![rule("old", Signal::HeadAge, Condition::Above(8 * UNIT), 2)]);
    assert_eq!(scene.head(0, 100), Healthy);
    assert_eq!(scene.head(5, 100), Healthy);
    assert_eq!(scene.at(8), Healthy);
    assert_eq!(scene.at(9), Suspect);
    assert_eq!(scene.verdict().since, Mono(8_001));
    assert_eq!(scene.next(), Some(10_001));
    assert_eq!(scene.at(11), Unhealthy);
    assert_eq!(scene.head(12, 101), Healthy);
}

#[test]
fn derived_signals_are_as_unknown_as_the_head() {
    let mut scene = Scene::new(vec![]);
    let read = |scene: &Scene, signal, at| scene.target.read(signal, &scene.view, Mono(at)).clone();
    scene.head(1, 100);
    assert_eq!(read(&scene, Signal::HeadLag, 1_000), crate::signal::Reading::Unknown(Unknown::NoReference));
    scene.network(90);
    let value = |reading: crate::signal::Reading| reading.known().map(|sample| sample.value.clone());
    assert_eq!(value(read(&scene, Signal::HeadLag, 1_000)), Some(Value::Micros(-10 * UNIT)), "ahead");
    assert_eq!(value(read(&scene, Signal::HeadAge, 4_500)), Some(Value::Micros(3_500_000)));
    assert_eq!(read(&scene, Signal::HeadAge, 20_000), crate::signal::Reading::Unknown(Unknown::Stale(19_000)));
    scene.silent(5);
    for signal in [Signal::Head, Signal::HeadAge, Signal::HeadLag] {
        assert_eq!(read(&scene, signal, 7_000), crate::signal::Reading::Unknown(Unknown::NoAnswer));
    }
}

#[test]
fn a_changed_policy_keeps_the_memory_of_rules_that_stayed_as_they_were() {
    let mut scene = Scene::new(vec![silent(), lonely(Trigger::For(0), Critical)]);
    scene.polled(0, 2, &[(Signal::Reachable, Ok(0)), (Signal::Peers, Ok(9))]);
    scene.policy.rules = vec![stalled(), silent(), lonely(Trigger::For(0), Warning)];
    scene.target.adopt(&scene.policy, Mono(3_000));
    assert_eq!(scene.at(3), Suspect);
    assert_eq!(scene.verdict().findings[0].breach_since, Mono(0));
    scene.policy.rules = vec![Rule { trigger: Trigger::For(5_000), ..silent() }];
    scene.target.adopt(&scene.policy, Mono(4_000));
    assert_eq!(scene.at(4), Suspect);
    assert_eq!(scene.verdict().findings[0].breach_since, Mono(0), "the sample is still there");
    assert_eq!(scene.at(5), Unhealthy);
}

#[test]
fn only_a_change_of_kind_or_of_firing_rules_is_a_change() {
    let mut scene = Scene::new(vec![silent()]);
    let change = |scene: &mut Scene, at: u64| scene.target.judge(&scene.view, Mono(at * 1000));
    let poll = |scene: &mut Scene, at: u64, up: u64| {
        let values = vec![(Signal::Reachable, Ok(Value::Whole(up)))];
        scene.target.file(
            &Poll { asked_at: Mono(at * 1000), observed_at: Mono(at * 1000), values, ..Poll::default() },
            0,
            15_000,
        );
        change(scene, at)
    };
    assert!(!change(&mut scene, 0));
    assert!(poll(&mut scene, 5, 1));
    assert!(!poll(&mut scene, 10, 1));
    assert!(poll(&mut scene, 15, 0));
    assert!(!poll(&mut scene, 20, 0));
}

/// T25
#[test]
fn a_source_that_flaps_with_every_sample_never_fires() {
    let mut scene = Scene::new(vec![silent()]);
    for at in (0..600).step_by(5) {
        let kind = if at % 10 == 0 { scene.silent(at) } else { scene.head(at, 100 + at) };
        assert_ne!(kind, Unhealthy, "at {at} s");
    }
}

#[test]
fn a_rule_of_the_preset_on_what_a_node_does_not_offer_does_not_apply_to_it() {
    let deaf = |name: &str| rule(name, Signal::RelayEventsAge, Condition::Above(300 * UNIT), 0);
    let told = [(Signal::Reachable, Ok(1)), (Signal::RelayEventsAge, Err(Unknown::Unsupported))];
    let mut preset = Scene::new(vec![silent(), deaf("preset/deaf")]);
    assert_eq!(preset.polled(0, 0, &told), Healthy);
    let mut own = Scene::new(vec![silent(), deaf("deaf")]);
    assert_eq!(own.polled(0, 0, &told), NotKnown, "somebody wrote it, and should hear that it says nothing");
}
