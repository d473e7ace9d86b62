//! A silence is confirmed from elsewhere before anything is done about it.

use crate::{
    plan::{
        Decision, Guard, Place, Rotation, Said, ServiceFacts, Services, Step, Vantage, guards_of,
        record::{Record, Replay},
        testing::*,
    },
    signal::{Signal, Testimony},
};

const REACHES: Result<Testimony, &str> = Ok(Testimony::Reaches { age: 500 });
const SILENT: Result<Testimony, &str> = Ok(Testimony::Silent { age: 500 });

fn silent() -> Given {
    facts().with(|given| {
        given.target.verdict.findings[0].signal = Some(Signal::Reachable);
        given.policy.limits.evidence_max_age = 30 * SECOND;
    })
}

fn unknown(why: &str) -> Testimony {
    Testimony::Unknown { why: why.into() }
}

/// What the others say of it, in the order of the replicas `m-2`, `m-3`…
fn others(given: Given, told: &[Result<Testimony, &str>]) -> Given {
    let said = told.iter().enumerate().map(|(index, told)| Said {
        replica: format!("m-{}", index + 2),
        told: told.clone().map_err(str::to_owned),
    });
    let vantage = Vantage::Asked(said.collect());
    given.with(|given| given.live.vantage = vantage)
}

#[test]
fn a_silence_that_another_replica_hears_too_is_acted_on() {
    silent().is_restarted();
    others(silent(), &[SILENT]).is_restarted();
    // One confirms it, and the other has just begun to look.
    others(silent(), &[Ok(unknown("not observed yet")), SILENT]).is_restarted();
}

#[test]
fn one_replica_has_one_vantage_point() {
    others(silent(), &[]).is_restarted();
}

#[test]
fn a_silence_that_is_only_ours_is_nobodys_fault_but_ours() {
    for told in [&[REACHES][..], &[SILENT, REACHES], &[Err("no answer in time"), REACHES]] {
        let held = others(silent(), told).is_held_by(Guard::Unconfirmed);
        let replica = format!("m-{}", told.len() + 1);
        assert_eq!(held.why, format!("replica {replica} reaches it: suspect the way from here to there"));
    }
}

#[test]
fn a_replica_that_is_ready_and_says_nothing_may_be_one_that_we_cannot_reach() {
    for told in [&[Err("no answer in time")][..], &[SILENT, Err("no answer in time")]] {
        let held = others(silent(), told).is_held_by(Guard::Unconfirmed);
        assert!(held.why.contains("(no answer in time): our own network may be what is broken"), "{}", held.why);
    }
}

#[test]
fn who_does_not_know_confirms_nothing() {
    let held = others(silent(), &[Ok(unknown("not observed yet"))]).is_held_by(Guard::Unconfirmed);
    assert_eq!(held.why, "no other replica confirms its silence: m-2: not observed yet");
    let seen = |age| others(silent(), &[Ok(Testimony::Silent { age })]);
    seen(30 * SECOND).is_restarted();
    let held = seen(30 * SECOND + 1).is_held_by(Guard::Unconfirmed);
    assert!(held.why.ends_with("m-2: what it saw is too old"), "{}", held.why);
}

#[test]
fn who_cannot_be_found_cannot_be_asked() {
    let lost = silent().with(|given| given.live.vantage = Vantage::Unfound("403: forbidden".into()));
    let held = lost.is_held_by(Guard::Unconfirmed);
    assert!(held.why.ends_with("403: forbidden"), "{}", held.why);
}

#[test]
fn what_is_no_silence_needs_nobody_else() {
    for told in [REACHES, Err("no answer in time"), Ok(unknown("not observed yet"))] {
        others(facts(), &[told]).is_restarted();
    }
    let old = silent().with(|given| given.target.verdict.findings[0].signal = None);
    others(old, &[REACHES]).is_restarted();
    // Beside something else that fires, a silence is still one: who cannot see it could not see it get well.
    let both = silent().with(|given| {
        let mut stalled = given.target.verdict.findings[0].clone();
        stalled.signal = Some(Signal::Head);
        given.target.verdict.findings.insert(0, stalled);
    });
    others(both, &[REACHES]).is_held_by(Guard::Unconfirmed);
    // One that only breaches does not count.
    let breaching = facts().with(|given| {
        let mut silent = given.target.verdict.findings[0].clone();
        (silent.signal, silent.firing) = (Some(Signal::Reachable), false);
        given.target.verdict.findings.push(silent);
    });
    others(breaching, &[REACHES]).is_restarted();
}

#[test]
fn whatever_is_done_to_a_pod_is_held_and_a_page_is_not() {
    for step in Step::ALL {
        let does_something = matches!(step, Step::Reroute | Step::Restart | Step::Job | Step::Failover);
        assert_eq!(guards_of(step).contains(&Guard::Unconfirmed), does_something, "{step:?}");
        assert_eq!(others(silent(), &[REACHES]).holding(step).contains(&Guard::Unconfirmed), does_something);
    }
}

#[test]
fn a_pod_that_others_reach_goes_on_serving() {
    let serving = silent().pod(|pod| {
        let services = Services::Read(vec![ServiceFacts { name: "rpc".into(), serves: true, others: 2 }]);
        pod.rotation =
            Rotation { place: Place::In, by: String::new(), since: 10 * HOUR, services, ..Rotation::default() };
    });
    let confirmed = others(serving.clone(), &[SILENT]).decide();
    assert!(matches!(confirmed, Decision::Proposed(proposal) if proposal.step == Step::Reroute));
    let refused = others(serving, &[REACHES]).refusal();
    assert_eq!(
        (refused.step, refused.guard),
        (Some(Step::Reroute), Guard::Unconfirmed),
        "nor is it restarted instead"
    );
}

#[test]
fn a_person_is_called_when_it_goes_on_whatever_step_is_due() {
    let late = || {
        others(silent().unhealthy_for(600), &[REACHES]).with(|given| {
            given.target.verdict.findings[0].signal = Some(Signal::Reachable);
        })
    };
    let serving = late().pod(|pod| pod.rotation.place = Place::In);
    for (given, step) in [(late(), "restart"), (serving.clone(), "reroute")] {
        let Decision::Proposed(page) = given.decide() else { panic!("a page is due: {:?}", given.decide()) };
        assert_eq!(page.step, Step::Page);
        assert!(
            page.evidence.contains(&format!("{step} is held back by Unconfirmed: replica m-2")),
            "{}",
            page.evidence
        );
        let told = given.record(|record| (record.paged, record.last_at) = (true, server_ago(MINUTE)));
        assert_eq!(told.refusal().guard, Guard::Unconfirmed);
    }
    // A ladder that only re-routes waits for as long as that may take.
    let gentle = serving.with(|given| given.policy.ladder.restart = None).unhealthy_for(60).with(|given| {
        given.target.verdict.findings[0].signal = Some(Signal::Reachable);
    });
    assert!(matches!(gentle.decide(), Decision::Proposed(proposal) if proposal.step == Step::Page));
}

#[test]
fn a_decision_says_who_confirmed_it_and_old_ones_said_nothing_of_that() {
    let Decision::Proposed(proposal) = others(silent(), &[SILENT]).decide() else {
        panic!("nothing is in the way")
    };
    let record: Record = serde_json::from_str(&proposal.record).unwrap();
    assert_eq!(record.replay(), Replay::Same);
    assert!(matches!(&record.live.vantage, Vantage::Asked(said) if said[0].replica == "m-2"));

    let mut old: serde_json::Value = serde_json::from_str(&proposal.record).unwrap();
    old["live"].as_object_mut().unwrap().remove("vantage");
    old["guards"].as_array_mut().unwrap().retain(|said| said["guard"] != "Unconfirmed");
    let old: Record = serde_json::from_value(old).unwrap();
    assert_eq!((&old.live.vantage, old.replay()), (&Vantage::Unread, Replay::Same));
}
