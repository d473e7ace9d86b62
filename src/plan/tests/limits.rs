//! Limits in time and in number: budgets, storms, windows, what is ill together, and what is new.

use crate::{
    api::policy::Role,
    plan::{
        Decision, Guard, Hours, JoinedFacts, Step,
        budget::stands_for,
        ledger::{self, Ask},
        testing::{Given, HOUR, MINUTE, SECOND, SERVER, SLOT, US, ago, facts, remediation, server_ago},
    },
    policy::{BudgetLimit, StormLimit},
    signal::{Mono, Server},
};

/// An action on another slot so long ago.
fn acted_on(given: Given, slot: &str, millis_ago: u64) -> Given {
    given
        .acted(millis_ago, false)
        .with(|given| given.ledger.actions.last_mut().expect("one").slot = stands_for(slot))
}

fn restart_refused(given: &Given) -> Option<Guard> {
    let ask = Ask {
        installation: US,
        policy: &given.policy,
        network_max: given.network.max_concurrent,
        network_budget: &given.network.budget,
        remediation: remediation("r"),
        slot: SLOT,
        attempt: 1,
        step: Step::Restart,
        services: Vec::new(),
        simulated: false,
        long_health: None,
        deadline: Server(SERVER + 60_000),
        now: Server(SERVER),
    };
    ledger::take(&given.ledger, &ask).err().map(|refused| refused.guard)
}

/// P: the guard holds, and so does the ledger, whoever asks it.
fn is_held_twice(given: &Given, guard: Guard) -> Option<Mono> {
    let held = given.is_held_by(guard);
    assert_eq!(restart_refused(given), Some(guard), "the ledger says the same, by compare-and-swap");
    held.until
}

#[test]
fn one_target_has_a_budget_of_its_own() {
    let of_target = |given: Given| {
        given.budget(&[(10, HOUR)]).with(|given| {
            given.policy.limits.budget_per_target = vec![BudgetLimit { actions: 1, per: HOUR }];
            given.policy.limits.storm = None;
        })
    };
    acted_on(of_target(facts()), "gaia-1", MINUTE).is_restarted();
    let mine = acted_on(of_target(facts()), SLOT, 20 * MINUTE);
    assert_eq!(is_held_twice(&mine, Guard::Budget), Some(mine.now.mono.plus(40 * MINUTE)));
    acted_on(of_target(facts()), SLOT, HOUR).is_restarted();
}

// W15: one budget over policies and namespaces.
#[test]
fn a_network_has_a_budget_over_all_its_policies() {
    let of_network = |millis: u64| {
        facts().budget(&[(10, HOUR)]).acted(millis, false).with(|given| {
            given.network.budget = vec![BudgetLimit { actions: 1, per: HOUR }];
            given.ledger.actions[0].policy = "another".into();
        })
    };
    is_held_twice(&of_network(HOUR - 1), Guard::Budget);
    of_network(HOUR).is_restarted();
    assert_eq!(restart_refused(&of_network(HOUR)), None);
}

#[test]
fn many_targets_in_a_short_time_are_a_storm_and_it_passes() {
    let storm = |last: u64| {
        let given = facts().budget(&[(100, HOUR)]).with(|given| {
            given.policy.limits.storm = Some(StormLimit { targets: 3, per: 10 * MINUTE, cooldown: 30 * MINUTE });
        });
        let given = acted_on(given, "gaia-1", last + 9 * MINUTE);
        acted_on(acted_on(given, "gaia-2", last + 5 * MINUTE), "gaia-3", last)
    };
    assert_eq!(is_held_twice(&storm(MINUTE), Guard::Storm), Some(storm(MINUTE).now.mono.plus(29 * MINUTE)));
    is_held_twice(&storm(30 * MINUTE - 1), Guard::Storm);
    storm(30 * MINUTE).is_restarted();
    // The same target three times is no storm, nor are three within a longer time.
    let same =
        storm(MINUTE).with(|given| given.ledger.actions.iter_mut().for_each(|of| of.slot = stands_for("gaia-1")));
    same.is_restarted();
    let slow = storm(MINUTE).with(|given| given.ledger.actions[0].at = server_ago(20 * MINUTE));
    slow.is_restarted();
    storm(MINUTE).with(|given| given.policy.limits.storm = None).is_restarted();
}

#[test]
fn a_window_holds_what_disturbs_and_lets_a_person_be_called() {
    let hours = Hours { closed: Some("a window denies it: release hour".into()), until: Some(Mono(7)) };
    let held = facts().with(|given| given.hours = hours.clone());
    assert_eq!(held.is_held_by(Guard::Window).until, Some(Mono(7)));
    let page = held.with(|given| given.policy.ladder.restart = None);
    assert!(matches!(page.decide(), Decision::Proposed(proposal) if proposal.step == Step::Page));
}

#[test]
fn what_is_ill_on_one_node_alone_is_that_nodes_affair() {
    let together = |here: u32, unhealthy: u32, elsewhere: u32| {
        facts().of(6).healthy_others(4).unhealthy(unhealthy).with(|given| {
            given.fleet.unhealthy_here = here;
            given.fleet.well_elsewhere = elsewhere;
        })
    };
    let held = together(2, 2, 3).is_held_by(Guard::Correlated);
    assert!(held.why.contains("suspect the node"), "{}", held.why);
    together(1, 1, 3).is_restarted();
    together(1, 2, 3).is_restarted();
    together(2, 2, 0).is_restarted();
}

#[test]
fn what_is_ill_in_one_zone_alone_where_nothing_is_well_is_the_zone_s_affair() {
    let in_zone = |ill: u32, well: u32, anywhere: u32| {
        facts().of(9).healthy_others(6).unhealthy(anywhere).with(|given| {
            (given.fleet.unhealthy_in_zone, given.fleet.well_in_zone) = (ill, well);
        })
    };
    let held = in_zone(3, 0, 3).is_held_by(Guard::Correlated);
    assert!(held.why.contains("suspect the zone"), "{}", held.why);
    in_zone(2, 1, 2).is_restarted();
    in_zone(2, 0, 3).is_restarted();
    in_zone(0, 0, 2).is_restarted();
    in_zone(1, 0, 1).is_restarted();
}

// P02: a selector that suddenly matches ten times more.
#[test]
fn a_selector_that_suddenly_matches_far_more_is_looked_at_first() {
    let new =
        |new: u32, of: u32| facts().of(of).healthy_others(of - 1).with(|given| given.fleet.new_targets = new);
    new(27, 30).is_held_by(Guard::Growth);
    new(15, 30).is_restarted();
    new(2, 3).is_restarted();
}

#[test]
fn a_relayer_waits_while_the_node_behind_it_is_healed() {
    let relayer = || facts().with(|given| given.policy.role = Role::Relayer);
    relayer().is_restarted();
    let seated =
        relayer().seat("cosmos", "rpc-nodes", "gaia-0-rpc").with(|given| given.network.max_concurrent = 2);
    seated.is_held_by(Guard::Dependency);
    let joined = |healing| JoinedFacts { network: "osmosis".into(), known: true, moves: true, healing };
    relayer().with(|given| given.joined = vec![joined(false)]).is_restarted();
    relayer().with(|given| given.joined = vec![joined(true)]).is_held_by(Guard::Dependency);
    // A node does not wait for its neighbour: that is what maxConcurrent is for.
    facts().seat("cosmos", "rpc-nodes", "other").with(|given| given.network.max_concurrent = 2).is_restarted();
}

#[test]
fn the_windows_of_a_policy_are_resolved_by_the_clock_of_the_api_server() {
    let schedule = crate::api::policy::Schedule {
        cron: "0 * * * *".into(),
        duration: crate::api::Duration::from_millis(30 * MINUTE),
        time_zone: "UTC".into(),
    };
    let window = crate::api::policy::Window { deny: Some(schedule), allow: None, reason: String::new() };
    let mut given = facts();
    given.policy.limits.windows = vec![crate::policy::Window::of(&window, "x").unwrap()];
    // The clock of the builders stands at a full hour.
    let hours = Hours::of(&given.policy, given.now);
    assert!(hours.closed.is_some());
    assert_eq!(hours.until, Some(given.now.mono.plus(30 * MINUTE)));
    given.now.wall.0 += i64::try_from(30 * MINUTE).unwrap();
    assert!(Hours::of(&given.policy, given.now).closed.is_some(), "our own clock may be wrong");
    given.now.server.0 += i64::try_from(30 * MINUTE).unwrap();
    assert_eq!(Hours::of(&given.policy, given.now), Hours::default());
    assert!(ago(SECOND) < given.now.mono);
}
