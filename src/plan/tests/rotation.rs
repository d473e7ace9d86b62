//! Who serves: out of rotation, and back.

use super::step_of;
use crate::{
    api::{
        NetworkLedgerSpec, SeatStep,
        policy::{Mode, Severity},
    },
    judge::VerdictKind,
    plan::{
        Decision, Guard, Place, Rotation, ServiceFacts, Services, Step, Switch, all,
        ledger::{self, Ask},
        testing::{Given, HOUR, MINUTE, SECOND, SERVER, SLOT, US, facts, remediation},
    },
    policy::RerouteStep,
    signal::Server,
};

const STEP: RerouteStep =
    RerouteStep { within: MINUTE, attempts: 3, stay: 30 * SECOND, quarantine_the_last: false };

fn service(name: &str, others: u32) -> ServiceFacts {
    ServiceFacts { name: name.into(), serves: true, others }
}

/// An unhealthy full node that takes part, in the Service `rpc` with two others.
fn serving() -> Given {
    facts().pod(|pod| {
        pod.rotation = Rotation {
            switch: Switch::Label,
            place: Place::In,
            by: String::new(),
            since: 10 * HOUR,
            services: Services::Read(vec![service("rpc", 2)]),
        };
    })
}

/// One that we took out so long ago.
fn out(millis: u64) -> Given {
    serving().pod(|pod| {
        pod.rotation.place = Place::Out;
        pod.rotation.by = "policy-1".into();
        pod.rotation.since = millis;
    })
}

fn held(given: &Given, step: Step) -> Vec<Guard> {
    all(&given.as_facts(), step).into_iter().filter(|said| said.held.is_some()).map(|said| said.guard).collect()
}

#[test]
fn the_preset_re_routes_full_nodes_and_nobody_who_signs() {
    assert_eq!(facts().policy.ladder.reroute, Some(STEP));
    let preset = crate::policy::preset(crate::api::Family::CometBFT, crate::api::policy::Role::Validator);
    assert_eq!(preset.ladder.reroute, None);
}

#[test]
fn the_gentlest_step_comes_first_and_only_for_who_takes_part() {
    assert_eq!(step_of(&serving()), Some(Step::Reroute));
    assert_eq!(step_of(&facts()), Some(Step::Restart), "no label: Mainstay does not choose for it");
    let without = serving().with(|given| given.policy.ladder.reroute = None);
    assert_eq!(step_of(&without), Some(Step::Restart));
}

#[test]
fn a_node_that_catches_up_or_is_young_leaves_its_services_all_the_same() {
    let catching_up = serving().with(|given| {
        given.target.syncing = true;
        given.target.head_risen_at = given.now.mono;
    });
    assert_eq!(step_of(&catching_up), Some(Step::Reroute), "no client should read old blocks");
    assert_eq!(step_of(&serving().pod(|pod| pod.age = SECOND)), Some(Step::Reroute));
}

#[test]
fn a_target_out_of_rotation_may_get_well_by_itself_before_it_is_restarted() {
    let soon = out(20 * SECOND);
    assert_eq!(soon.is_held_by(Guard::Rerouted).until, Some(soon.now.mono.plus(40 * SECOND)));
    assert_eq!(step_of(&out(60 * SECOND)), Some(Step::Restart));
    let no_restart = out(20 * SECOND).with(|given| given.policy.ladder.restart = None);
    assert_eq!(no_restart.refusal().guard, Guard::Rerouted, "nor is anybody called yet");
    // Somebody else's label is no reason to wait.
    let theirs = soon.pod(|pod| pod.rotation.by = "another".into());
    assert_eq!(step_of(&theirs), Some(Step::Restart));
}

#[test]
fn the_last_pod_of_a_service_stays_and_is_helped_in_place() {
    let last = serving().pod(|pod| {
        pod.rotation.services = Services::Read(vec![service("archive", 3), service("rpc", 0)]);
    });
    assert_eq!(held(&last, Step::Reroute), [Guard::Rotation]);
    assert_eq!(step_of(&last), Some(Step::Restart), "what cannot be re-routed can still be restarted");
    let none = serving().pod(|pod| pod.rotation.services = Services::Read(Vec::new()));
    assert_eq!(held(&none, Step::Reroute), [Guard::Rotation]);
}

/// The same, by its readiness gate.
fn gated(given: Given) -> Given {
    given.pod(|pod| pod.rotation.switch = Switch::Gate)
}

#[test]
fn a_pod_with_a_readiness_gate_is_decided_about_as_one_with_the_label() {
    assert_eq!(step_of(&gated(serving())), Some(Step::Reroute));
    let last = serving().pod(|pod| pod.rotation.services = Services::Read(vec![service("rpc", 0)]));
    assert_eq!(held(&gated(last), Step::Reroute), [Guard::Rotation]);
    assert_eq!(gated(out(20 * SECOND)).refusal().guard, Guard::Rerouted);
    assert_eq!(step_of(&gated(out(MINUTE).verdict(VerdictKind::Healthy))), Some(Step::Rejoin));
    let theirs = out(MINUTE).verdict(VerdictKind::Healthy).pod(|pod| pod.rotation.by = String::new());
    assert_eq!(gated(theirs).decide(), Decision::Nothing, "whoever shut the gate opens it");
    let unnoticed = gated(serving()).pod(|pod| pod.rotation.services = Services::Read(Vec::new()));
    let said = all(&unnoticed.as_facts(), Step::Reroute);
    let why = said.into_iter().find_map(|said| said.held).expect("a reason").why;
    assert!(why.contains("readiness gate"), "{why}");
}

#[test]
fn a_decision_that_was_written_down_before_there_were_gates_is_read_as_one_about_a_label() {
    let before = serde_json::json!({"place": "in", "by": "", "since": 5, "services": "unread"});
    let rotation: Rotation = serde_json::from_value(before).unwrap();
    assert_eq!((rotation.switch, rotation.place), (Switch::Label, Place::In));
}

#[test]
fn quarantine_takes_out_and_pages_and_takes_the_last_only_by_choice() {
    let forked =
        |given: Given| given.with(|given| given.target.verdict.findings[0].severity = Severity::Quarantine);
    assert_eq!(step_of(&forked(serving())), Some(Step::Reroute));
    assert_eq!(step_of(&forked(out(SECOND))), Some(Step::Page), "no restart mends it, and no time");
    let last = || forked(serving()).pod(|pod| pod.rotation.services = Services::Read(vec![service("rpc", 0)]));
    assert_eq!(step_of(&last()), Some(Step::Page));
    let chosen = last().with(|given| {
        given.policy.ladder.reroute = Some(RerouteStep { quarantine_the_last: true, ..STEP });
    });
    assert_eq!(step_of(&chosen), Some(Step::Reroute));
}

#[test]
fn what_is_suspect_as_a_whole_empties_no_service() {
    let all_of_them = serving().unhealthy(3).healthy_others(0);
    assert!(held(&all_of_them, Step::Reroute).contains(&Guard::TelemetryLost));
    assert_eq!(step_of(&all_of_them), None);
}

#[test]
fn who_is_well_comes_back_after_a_while_even_under_a_pause() {
    let well = |millis| {
        out(millis).verdict(VerdictKind::Healthy).with(|given| {
            given.policy.limits.pause = vec!["release".into()];
        })
    };
    assert_eq!(step_of(&well(MINUTE)), Some(Step::Rejoin));
    let soon = well(10 * SECOND).refusal();
    assert_eq!((soon.step, soon.guard), (Some(Step::Rejoin), Guard::Rotation));
    for kind in [VerdictKind::Unknown, VerdictKind::Suspect] {
        assert_eq!(out(HOUR).verdict(kind).decide(), Decision::Nothing, "{kind:?}");
    }
    let theirs = well(MINUTE).pod(|pod| pod.rotation.by = "another".into());
    assert_eq!(theirs.decide(), Decision::Nothing, "whoever took it out brings it back");
}

#[test]
fn nothing_goes_to_and_fro() {
    let back = serving().pod(|pod| {
        pod.rotation.by = "policy-1".into();
        pod.rotation.since = 10 * SECOND;
    });
    assert_eq!(held(&back, Step::Reroute), [Guard::Rotation]);
    let often = serving().record(|record| {
        record.reroutes = 3;
        record.last_at = SERVER - 1;
    });
    assert_eq!(step_of(&often), Some(Step::Restart), "three times in one incident are enough");
}

#[test]
fn a_dry_run_writes_the_step_down_once_and_goes_on() {
    let dry = serving().mode(Mode::DryRun);
    assert_eq!(step_of(&dry), Some(Step::Reroute));
    let taken = ledger::take(&dry.ledger, &ask(&dry, "r1", 1, Step::Reroute)).unwrap();
    assert_eq!(taken.seats, []);
    let again = ledger::take(&taken, &ask(&dry, "r1", 1, Step::Reroute)).unwrap();
    assert_eq!(again, taken, "written down twice, counted once");
    let after = dry.with(|given| given.ledger = taken);
    assert_eq!(step_of(&after), None, "it gets the time that it would have had to help");
    let later = after.with(|given| given.ledger.slots[0].last_at -= 3_600_000);
    assert_eq!(step_of(&later), Some(Step::Restart));
}

fn ask<'a>(given: &'a Given, uid: &str, attempt: i32, step: Step) -> Ask<'a> {
    Ask {
        installation: US,
        policy: &given.policy,
        network_max: given.network.max_concurrent,
        network_budget: &[],
        remediation: remediation(uid),
        slot: SLOT,
        attempt,
        step,
        services: vec!["rpc".into()],
        simulated: given.as_facts().simulated(),
        long_health: None,
        deadline: Server(SERVER + 60_000),
        now: Server(SERVER),
    }
}

fn refused(ledger: &NetworkLedgerSpec, ask: &Ask<'_>) -> Option<Guard> {
    ledger::take(ledger, ask).err().map(|refused| refused.guard)
}

#[test]
fn one_change_at_a_time_in_a_service_and_restarts_do_not_wait_for_it() {
    let given = serving();
    let first = ask(&given, "r1", 1, Step::Reroute);
    let taken = ledger::take(&given.ledger, &first).unwrap();
    assert_eq!((taken.seats[0].step, taken.actions.len()), (SeatStep::Reroute, 0), "it counts against no budget");
    assert_eq!(ledger::take(&taken, &first).unwrap(), taken, "an answer was lost");
    let other = Ask { slot: "gaia-1", ..ask(&given, "r2", 1, Step::Reroute) };
    assert_eq!(refused(&taken, &other), Some(Guard::MaxConcurrent));
    let restart = Ask { step: Step::Restart, ..other.clone() };
    assert!(ledger::take(&taken, &restart).is_ok());
    assert_eq!(refused(&taken, &Ask { slot: SLOT, ..restart }), Some(Guard::MaxConcurrent), "one thing at a time");
    let freed = ledger::release(&taken, &first.claim(), true, false);
    assert!(ledger::take(&freed, &other).is_ok());
}

#[test]
fn what_was_not_done_does_not_count() {
    let given = serving();
    let mut record = given.ledger.clone();
    for attempt in 1..=3 {
        let asked = ask(&given, &format!("r{attempt}"), attempt, Step::Reroute);
        record = ledger::take(&record, &asked).unwrap();
        record = ledger::release(&record, &asked.claim(), true, false);
    }
    let fourth = ask(&given, "r4", 4, Step::Reroute);
    assert_eq!(refused(&record, &fourth), Some(Guard::Exhausted));
    // The way back is always free, and is not counted.
    let back = ask(&given, "r5", 5, Step::Rejoin);
    let taken = ledger::take(&record, &back).unwrap();
    assert_eq!(taken.slots[0].reroutes, 3);
    let last = ask(&given, "r3", 3, Step::Reroute);
    let seated = ledger::take(&given.ledger, &last).unwrap();
    let given_back = ledger::release(&seated, &last.claim(), false, false);
    assert_eq!((given_back.slots[0].reroutes, given_back.seats.len()), (0, 0));
}

#[test]
fn the_endpoints_agree_or_say_which_does_not() {
    let rotation = serving().as_facts().live.pod.clone();
    let crate::plan::PodFacts::Present(pod) = rotation else { panic!("a pod") };
    assert_eq!(pod.rotation.disagrees(Step::Reroute).map(|service| service.name.as_str()), Some("rpc"));
    assert_eq!(pod.rotation.disagrees(Step::Rejoin), None);
}
