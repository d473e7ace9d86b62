//! Each guard holds when it should, does not when it should not, and turns at its boundary.

use crate::{
    api::{
        HealthyShare,
        policy::{Mode, Severity},
    },
    judge::VerdictKind,
    plan::{Decision, Guard, NodeFacts, PodFacts, Step, Stop, WorkloadFacts, all, testing::*},
    policy::required_healthy,
    signal::Mono,
};

#[test]
fn an_unhealthy_node_among_healthy_ones_is_restarted() {
    facts().is_restarted();
}

#[test]
fn a_node_that_is_not_unhealthy_is_nobodys_business() {
    for kind in [VerdictKind::Healthy, VerdictKind::Suspect, VerdictKind::Unknown] {
        let given = facts().verdict(kind);
        assert_eq!(given.decide(), Decision::Nothing);
        assert_eq!(given.held_by(), [Guard::Evidence]);
    }
    let warned = facts().with(|given| given.target.verdict.findings[0].severity = Severity::Warning);
    assert_eq!(warned.decide(), Decision::Nothing);
    let breaching = facts().with(|given| given.target.verdict.findings[0].firing = false);
    assert_eq!(breaching.decide(), Decision::Nothing);
}

#[test]
fn a_node_that_is_catching_up_is_left_alone() {
    let held = facts()
        .with(|given| {
            given.target.syncing = true;
            given.target.head_risen_at = ago(5 * SECOND);
        })
        .is_held_by(Guard::Progress);
    assert_eq!(held.until, Some(ago(5 * SECOND).plus(20 * MINUTE)));
}

#[test]
fn one_that_claims_to_catch_up_and_gets_nowhere_is_not() {
    let stuck = |since| {
        facts().with(|given| {
            given.target.syncing = true;
            given.target.head_risen_at = ago(since);
        })
    };
    stuck(20 * MINUTE - 1).is_held_by(Guard::Progress);
    stuck(20 * MINUTE).is_restarted();
}

#[test]
fn a_new_pod_that_says_it_syncs_has_time_to_show_something() {
    let new = facts().with(|given| {
        given.target.syncing = true;
        given.target.head_risen_at = Mono(0);
        given.target.first_seen = ago(6 * MINUTE);
    });
    new.is_held_by(Guard::Progress);
}

#[test]
fn a_head_that_rose_after_the_breach_began_is_progress_and_one_before_is_not() {
    let risen = |millis| facts().with(|given| given.target.head_risen_at = ago(millis));
    risen(5 * MINUTE - 1).is_held_by(Guard::Progress);
    risen(5 * MINUTE).is_restarted();
}

#[test]
fn a_chain_that_stopped_with_the_node_restarts_nobody() {
    let risen = |millis| facts().with(|given| given.chain.risen_at = ago(millis));
    // At the breach itself is not after it.
    risen(5 * MINUTE).is_held_by(Guard::NetworkStalled);
    risen(11 * MINUTE).is_held_by(Guard::NetworkStalled);
    // The last blocks arrived after the first silent poll, and then there were no more.
    risen(30 * SECOND + 1).is_held_by(Guard::NetworkStalled);
    risen(30 * SECOND).is_restarted();
    facts().with(|given| given.chain.known = false).is_held_by(Guard::NetworkStalled);
}

#[test]
fn the_chain_must_have_moved_since_the_oldest_breach() {
    let given = facts().with(|given| {
        let mut older = given.target.verdict.findings[0].clone();
        older.breach_since = ago(12 * MINUTE);
        given.target.verdict.findings.push(older);
        given.target.head_risen_at = ago(13 * MINUTE);
    });
    assert_eq!(given.as_facts().breach_since(), ago(12 * MINUTE));
    given.is_restarted();
}

#[test]
fn old_evidence_is_no_evidence() {
    let seen = |millis| facts().with(|given| given.target.verdict.findings[0].observed_at = ago(millis));
    seen(30 * SECOND).is_restarted();
    seen(30 * SECOND + 1).is_held_by(Guard::Evidence);
}

#[test]
fn an_old_cache_is_not_believed() {
    facts().with(|given| given.own.cache_age = 60 * SECOND).is_restarted();
    facts().with(|given| given.own.cache_age = 60 * SECOND + 1).is_held_by(Guard::StaleCache);
}

#[test]
fn a_young_pod_warms_up() {
    let held = facts().pod(|pod| pod.age = 5 * MINUTE - 1).is_held_by(Guard::WarmUp);
    assert_eq!(held.until, Some(Mono(NOW + 1)));
    facts().pod(|pod| pod.age = 5 * MINUTE).is_restarted();
}

#[test]
/// T24
fn everything_broken_at_once_is_one_fault_and_not_so_many() {
    let broken = |targets, unhealthy, unknown| {
        facts()
            .min_healthy(HealthyShare::Count(0))
            .of(targets)
            .unhealthy(unhealthy)
            .unknown(unknown)
            .healthy_others(0)
    };
    broken(3, 3, 0).is_held_by(Guard::TelemetryLost);
    broken(3, 2, 0).is_restarted();
    // A target that cannot be judged does not make the others a minority.
    broken(3, 2, 1).is_held_by(Guard::TelemetryLost);
    // Nor does one that is about to be found out.
    broken(3, 2, 0).suspect(1).is_held_by(Guard::TelemetryLost);
    broken(3, 1, 0).suspect(1).is_restarted();
    // More than half unknown.
    broken(5, 1, 3).is_held_by(Guard::TelemetryLost);
    // A decision that is replayed may say anything.
    broken(3, 1, u32::MAX).suspect(1).is_held_by(Guard::TelemetryLost);
    broken(4, 1, 2).is_restarted();
    // Half of something small says little.
    broken(2, 2, 0).is_restarted();
    broken(1, 1, 0).is_restarted();
}

#[test]
fn fifty_one_percent_of_three_with_two_broken_touches_nobody() {
    facts().unhealthy(2).healthy_others(1).is_held_by(Guard::MinHealthy);
}

#[test]
fn min_healthy_one_of_three_with_two_broken_heals_one_at_a_time() {
    let two = facts().min_healthy(HealthyShare::Count(1)).unhealthy(2).healthy_others(1);
    two.is_restarted();
    let held = two.seat("cosmos", "policy-1", "gaia-1").is_held_by(Guard::MaxConcurrent);
    assert!(held.why.contains("gaia-1"), "{}", held.why);
}

// P08: percentages of small sets.
#[test]
fn a_small_set_can_always_be_helped_while_its_others_are_well() {
    let required: Vec<_> = (1..=7).map(|n| required_healthy(HealthyShare::Percent(51), n)).collect();
    assert_eq!(required, [0, 1, 2, 3, 3, 4, 4]);
    for targets in 1..=7 {
        for percent in 0..=100 {
            let given =
                facts().of(targets).healthy_others(targets - 1).min_healthy(HealthyShare::Percent(percent));
            given.is_restarted();
        }
        // One fewer than required holds.
        let required = required_healthy(HealthyShare::Percent(51), targets);
        if required > 0 {
            facts().of(targets).healthy_others(required).is_restarted();
            facts().of(targets).healthy_others(required - 1).is_held_by(Guard::MinHealthy);
        }
    }
    // A number is taken as it is.
    facts().min_healthy(HealthyShare::Count(3)).is_held_by(Guard::MinHealthy);
}

// P07: a budget of 0 is none, not without limit.
#[test]
fn an_empty_budget_means_no_automatic_action() {
    for budget in [&[(0, HOUR)][..], &[], &[(3, HOUR), (0, MINUTE)]] {
        let held = facts().budget(budget).is_held_by(Guard::Budget);
        assert_eq!(held.until, None);
    }
    let none_at_once = facts().with(|given| given.policy.limits.max_concurrent = 0);
    none_at_once.is_held_by(Guard::MaxConcurrent);
    let none_on_the_network = facts().with(|given| given.network.max_concurrent = 0);
    none_on_the_network.is_held_by(Guard::MaxConcurrent);
}

#[test]
fn a_budget_is_free_again_when_its_oldest_action_leaves_the_window() {
    let spent = |oldest| facts().budget(&[(2, HOUR)]).acted(oldest, false).acted(MINUTE, false);
    let held = spent(HOUR - SECOND).is_held_by(Guard::Budget);
    assert_eq!(held.until, Some(Mono(NOW + SECOND)));
    spent(HOUR).is_restarted();
    // Every window counts, and of too many actions so many must leave that one fits.
    let day = facts()
        .budget(&[(3, HOUR), (2, 24 * HOUR)])
        .acted(9 * HOUR, false)
        .acted(8 * HOUR, false)
        .acted(7 * HOUR, false);
    assert_eq!(day.is_held_by(Guard::Budget).until, Some(Mono(NOW + 16 * HOUR)));
}

#[test]
fn another_policys_actions_and_simulated_ones_count_for_themselves() {
    let mut given = facts().budget(&[(1, HOUR)]).acted(MINUTE, true);
    given.is_restarted();
    given.ledger.actions[0].simulated = false;
    given.ledger.actions[0].policy = "policy-2".into();
    given.is_restarted();
}

#[test]
fn a_dry_run_rests_by_its_own_steps_and_not_by_real_ones() {
    let dry = facts().mode(Mode::DryRun).budget(&[(2, HOUR)]);
    dry.is_restarted();
    dry.clone().acted(MINUTE, false).acted(MINUTE, false).is_restarted();
    dry.clone().acted(MINUTE, true).acted(MINUTE, true).is_held_by(Guard::Budget);
    let rested = dry.restarted(1, MINUTE);
    rested.is_held_by(Guard::Cooldown);
    rested.mode(Mode::Enforce).is_restarted();
}

/// What a policy would have done is judged by it: nobody is called before the last restart could have helped.
#[test]
fn a_step_that_is_only_written_down_gets_the_time_that_it_would_have_had() {
    let within = facts().policy.ladder.restart.unwrap().within;
    let tried = |mode: Mode, ago: u64| {
        let attempts = facts().policy.ladder.restart.unwrap().attempts;
        facts().mode(mode).restarted(i32::try_from(attempts).unwrap(), ago)
    };
    let pages =
        |given: Given| matches!(given.decide(), Decision::Proposed(proposal) if proposal.step == Step::Page);
    assert_eq!(tried(Mode::DryRun, within - 1).refusal().guard, Guard::Cooldown);
    assert!(pages(tried(Mode::DryRun, within)));
    assert!(pages(tried(Mode::Enforce, 1)), "it had its time before its seat was given back");
}

#[test]
fn a_hand_made_request_bypasses_the_mode_but_no_guard() {
    facts().mode(Mode::Observe).is_held_by(Guard::Mode);
    for mode in [Mode::Observe, Mode::DryRun] {
        let asked = facts().mode(mode).by_hand();
        assert!(!asked.as_facts().simulated());
        asked.is_restarted();
        asked.clone().budget(&[(0, HOUR)]).is_held_by(Guard::Budget);
        asked.clone().unhealthy(2).healthy_others(1).is_held_by(Guard::MinHealthy);
        asked.clone().pod(|pod| pod.ignored = true).is_held_by(Guard::NeverTouched);
        asked
            .clone()
            .with(|given| given.live.stop = Stop::Stopped("audit".into()))
            .is_held_by(Guard::EmergencyStop);
        asked.restarted(1, MINUTE).is_held_by(Guard::Cooldown);
    }
}

#[test]
fn some_pods_are_never_touched() {
    facts().pod(|pod| pod.ignored = true).is_held_by(Guard::NeverTouched);
    facts().pod(|pod| pod.controlled = false).is_held_by(Guard::NeverTouched);
    facts().pod(|pod| pod.protected = true).is_held_by(Guard::NeverTouched);
    facts().pod(|pod| pod.host_network = true).is_held_by(Guard::NeverTouched);
}

// W01, W02: another pod, or the same name on another node.
#[test]
fn a_pod_that_is_gone_going_or_another_is_not_the_target() {
    facts().with(|given| given.live.pod = PodFacts::Gone).is_held_by(Guard::Moved);
    facts().pod(|pod| pod.terminating = true).is_held_by(Guard::Moved);
    facts().pod(|pod| pod.uid = "pod-uid-2".into()).is_held_by(Guard::Moved);
}

// W13: a crash loop.
#[test]
fn what_others_are_at_is_theirs() {
    facts()
        .with(|given| given.live.workload = WorkloadFacts::RollingOut("revision 4".into()))
        .is_held_by(Guard::Rollout);
    facts().with(|given| given.live.node = NodeFacts::Unfit("cordoned".into())).is_held_by(Guard::NodeUnfit);
    facts().pod(|pod| pod.crash_loop = true).is_held_by(Guard::CrashLoop);
    let paused = facts().with(|given| given.policy.limits.pause = vec!["audit".into(), "move".into()]);
    assert_eq!(paused.is_held_by(Guard::Paused).why, "paused: audit; move");
    facts().with(|given| given.own.schema_current = false).is_held_by(Guard::OldSchema);
}

// P03: two policies on one pod.
#[test]
fn two_who_claim_one_thing_are_a_conflict() {
    facts().with(|given| given.target.contested = true).is_held_by(Guard::Conflict);
    facts().with(|given| given.ledger.installation = "other/mainstay".into()).is_held_by(Guard::Conflict);
    facts().with(|given| given.ledger.installation = US.into()).is_restarted();
    facts().with(|given| given.network.allowed_namespaces = vec!["other".into()]).is_held_by(Guard::Conflict);
}

#[test]
fn seats_of_policy_and_network_are_counted_apart() {
    let two = facts().with(|given| given.policy.limits.max_concurrent = 2);
    two.clone().seat("cosmos", "policy-1", "gaia-1").is_held_by(Guard::MaxConcurrent);
    let wide = two.with(|given| given.network.max_concurrent = 3);
    let one = wide.seat("cosmos", "policy-1", "gaia-1").seat("other", "policy-2", "gaia-2");
    one.is_restarted();
    one.seat("cosmos", "policy-1", "gaia-3").is_held_by(Guard::MaxConcurrent);
}

#[test]
fn a_slot_is_one_place_whichever_policy_acts_on_it() {
    let wide = facts().with(|given| {
        given.policy.limits.max_concurrent = 9;
        given.network.max_concurrent = 9;
    });
    wide.clone().seat("cosmos", "policy-2", SLOT).is_held_by(Guard::MaxConcurrent);
    wide.seat("other", "policy-3", SLOT).is_restarted();
}

#[test]
fn the_gravest_guard_is_the_refusal_and_all_are_shown() {
    let everything = facts()
        .mode(Mode::Observe)
        .budget(&[(0, HOUR)])
        .unhealthy(3)
        .healthy_others(0)
        .pod(|pod| {
            pod.ignored = true;
            pod.age = 0;
        })
        .with(|given| given.live.stop = Stop::Stopped("audit".into()));
    let refusal = everything.refusal();
    assert_eq!(refusal.guard, Guard::EmergencyStop);
    let held: Vec<_> =
        refusal.results.iter().filter(|result| result.held.is_some()).map(|result| result.guard).collect();
    assert_eq!(
        held,
        [
            Guard::EmergencyStop,
            Guard::Mode,
            Guard::NeverTouched,
            Guard::TelemetryLost,
            Guard::WarmUp,
            Guard::Budget,
            Guard::MinHealthy
        ]
    );
    assert!(
        refusal.results.is_sorted_by_key(|result| result.guard),
        "asked in the order in which they are declared"
    );
}

#[test]
fn a_record_can_always_be_read_again() {
    for (findings, length) in [(1, 80), (64, 400), (64, 40_000), (1, 200_000)] {
        let given = facts().with(|given| {
            let mut finding = given.target.verdict.findings[0].clone();
            finding.evidence = "é".repeat(length);
            let warning = |index| {
                let mut warning = finding.clone();
                warning.rule = format!("warning-{index}");
                warning.severity = Severity::Warning;
                warning
            };
            let warnings: Vec<_> = (1..findings).map(warning).collect();
            given.target.verdict.findings = vec![finding.clone()];
            given.target.verdict.findings.extend(warnings);
        });
        let Decision::Proposed(proposal) = given.decide() else { panic!("nothing is in the way") };
        assert!(proposal.record.len() <= 16_000 && proposal.evidence.len() <= 1024);
        let record: serde_json::Value = serde_json::from_str(&proposal.record).expect("whole JSON");
        assert_eq!(record["target"]["verdict"]["findings"][0]["rule"], "preset/stalled");
        let asked = all(&given.as_facts(), Step::Restart).len();
        assert_eq!(record["guards"].as_array().map(Vec::len), Some(asked));
    }
}
