//! A decision is written down so that it can be made again.

use proptest::prelude::*;

use crate::{
    api::{
        HealthyShare,
        policy::{Mode, Severity},
    },
    plan::{
        Decision, Facts, Place, Rotation, ServiceFacts, Services, Step, Switch, propose,
        record::{Record, Replay, narrowed},
        testing::{Given, HOUR, MINUTE, SECOND, SLOT, facts, server_ago},
    },
    signal::Signal,
};

fn written(given: &Given) -> Option<Record> {
    match given.decide() {
        Decision::Proposed(proposal) => Some(serde_json::from_str(&proposal.record).expect("a whole record")),
        Decision::Nothing | Decision::Refused(_) => None,
    }
}

#[test]
fn a_decision_is_made_again_bit_for_bit() {
    let record = written(&facts()).expect("a proposal");
    assert_eq!(record.replay(), Replay::Same);
    let text = serde_json::to_string(&record).unwrap();
    let again = written(&Given { policy: record.policy.clone(), ledger: record.ledger.clone(), ..facts() });
    assert_eq!(again.map(|again| serde_json::to_string(&again).unwrap().len()), Some(text.len()));
}

#[test]
fn another_decision_is_noticed_and_named() {
    let record = written(&facts()).expect("a proposal");
    let differs = |change: fn(&mut Record)| {
        let mut changed = record.clone();
        change(&mut changed);
        let Replay::Differs(why) = changed.replay() else { panic!("it is the same") };
        why
    };
    assert!(differs(|record| record.policy.limits.pause = vec!["release".into()]).contains("Paused"));
    assert!(differs(|record| record.policy.ladder.restart = None).contains("would be page"));
    assert!(differs(|record| record.target.verdict.findings.clear()).contains("nothing"));
    let then =
        |record: &mut Record| record.guards[0].held = crate::plan::Held { why: "x".into(), until: None }.into();
    assert!(differs(then).contains("EmergencyStop says something else"));
}

#[test]
fn sentences_are_cut_before_anything_that_decides() {
    let given = facts().with(|given| {
        let mut finding = given.target.verdict.findings[0].clone();
        finding.evidence = "é".repeat(9_000);
        given.target.verdict.findings = vec![finding.clone(); 3];
        finding.severity = Severity::Warning;
        given.target.verdict.findings.extend(vec![finding; 60]);
    });
    let record = written(&given).expect("a record");
    assert_eq!(record.replay(), Replay::Same);
}

/// A warning alone keeps a full disk from being restarted.
#[test]
fn a_warning_that_decides_is_not_cut() {
    let given = facts().job().with(|given| {
        let mut finding = given.target.verdict.findings[0].clone();
        finding.severity = Severity::Warning;
        finding.evidence = "x".repeat(64);
        given.target.verdict.findings.extend(vec![finding.clone(); 60]);
        finding.signal = Some(Signal::DiskUsedRatio);
        given.target.verdict.findings.push(finding);
    });
    let record = written(&given).expect("a record");
    assert_eq!((record.step, record.replay()), (Step::Job, Replay::Same));
}

#[test]
fn what_does_not_fit_is_left_out_whole() {
    let crowded = facts().with(|given| {
        given.joined =
            vec![
                crate::plan::JoinedFacts { network: "x".repeat(200), known: true, moves: true, healing: false };
                100
            ];
    });
    let Decision::Proposed(proposal) = crowded.decide() else { panic!("nothing is in the way") };
    assert_eq!(proposal.record, "");
}

prop_compose! {
    /// Any situation, most of them with something in the way.
    fn situations()(
        seats in proptest::collection::vec((0..3_usize, 0..3_usize, 0..4_usize), 0..3),
        actions in proptest::collection::vec((0..48_u64, any::<bool>(), any::<bool>()), 0..5),
        restarts in 0..3_i32, last in 0..30_u64, paged: bool,
        mode in prop_oneof![3 => Just(Mode::Enforce), 1 => Just(Mode::DryRun), 1 => Just(Mode::Observe)],
        place in prop_oneof![Just(Place::Nowhere), Just(Place::In), Just(Place::Out)],
        since in 0..120_u64, others in 0..3_u32, read: bool, gate: bool, pause: bool, hand: bool,
        healthy in 0..3_u32, quarantine: bool, well: bool,
    ) -> Given {
        let given = facts().mode(mode).healthy_others(healthy).min_healthy(HealthyShare::Count(1));
        let mut given = if hand { given.by_hand() } else { given };
        for (namespace, policy, slot) in seats {
            let (namespace, policy) = (["cosmos", "osmosis", "x"][namespace], ["policy-1", "p2", "p3"][policy]);
            given = given.seat(namespace, policy, [SLOT, "gaia-1", "gaia-2", "gaia-3"][slot]);
        }
        for (hours, simulated, mine) in actions {
            given = given.acted(hours * HOUR / 2, simulated);
            if !mine {
                given.ledger.actions.last_mut().expect("one").policy = "p2".into();
            }
        }
        given = given.record(|record| {
            (record.restarts, record.paged) = (restarts, paged);
            record.last_at = server_ago(last * MINUTE);
        });
        let services = if read {
            Services::Read(vec![ServiceFacts { name: "rpc".into(), serves: true, others }])
        } else {
            Services::Unread
        };
        let switch = if gate { Switch::Gate } else { Switch::Label };
        let rotation = Rotation { switch, place, by: "policy-1".into(), since: since * SECOND, services };
        given = given.pod(|pod| pod.rotation = rotation);
        if pause {
            given.policy.limits.pause = vec!["release".into()];
        }
        if quarantine {
            given.target.verdict.findings[0].severity = Severity::Quarantine;
        }
        if well { given.verdict(crate::judge::VerdictKind::Healthy) } else { given }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the situation: the part of the ledger decides as the whole, and what was decided is decided again.
    #[test]
    fn the_record_decides_as_the_world_did(given in situations()) {
        let whole = given.as_facts();
        let part = narrowed(&whole);
        let told = |decision: Decision| match decision {
            Decision::Proposed(proposal) => format!("{:?} {:?}", proposal.step, proposal.rules),
            Decision::Refused(refusal) => format!("{refusal:?}"),
            Decision::Nothing => String::new(),
        };
        prop_assert_eq!(told(propose(&Facts { ledger: &part, ..whole.clone() })), told(propose(&whole)));
        if let Some(record) = written(&given) {
            prop_assert_eq!(record.replay(), Replay::Same);
            let later = serde_json::to_string(&record).unwrap();
            let read: Record = serde_json::from_str(&later).unwrap();
            prop_assert_eq!(read, record);
        }
    }
}
