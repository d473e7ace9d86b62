//! Nodes that hang, and how many of them are helped at once.

use crate::{
    rig::{audit, kubectl, remediations, wait},
    stage::{SILENT, SOON, Stage},
};

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_hung_full_node_is_restarted_and_verified() {
    let stage = Stage::new("hung");
    stage.full_nodes("{minHealthy: 51%, warmUp: 5s}");
    let (_, stopped) = stage.hang("full-1");
    stage.healed("full-1");
    let removed = stage.removals();
    assert_eq!(removed.len(), 1, "one accepted removal: {removed:?}");
    let took = removed[0].1 - stopped;
    println!("from SIGSTOP to the accepted eviction: {took} ms");
    assert!(took <= 28_000, "from SIGSTOP to the accepted eviction: {took} ms");
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn two_of_three_heal_one_after_the_other() {
    let stage = Stage::new("two");
    stage.full_nodes("{minHealthy: 1, maxConcurrent: 1, warmUp: 5s, budget: [{actions: 10, per: 1h}]}");
    stage.hang("full-0");
    stage.hang("full-2");
    stage.healed("full-0");
    stage.healed("full-2");
    let mut lives: Vec<(i64, i64)> = remediations(&stage.namespace)
        .iter()
        .filter(|remediation| remediation["status"]["phase"] == "Succeeded")
        .map(|remediation| {
            let at = |phase: &str| {
                let timeline = remediation["status"]["timeline"].as_array().cloned().unwrap_or_default();
                let entry = timeline.into_iter().find(|entry| entry["phase"] == phase).expect(phase);
                entry["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
            };
            (at("Acting"), at("Succeeded"))
        })
        .collect();
    lives.sort_unstable();
    assert_eq!(lives.len(), 2);
    assert!(lives[0].1 <= lives[1].0, "their disruptions overlap: {lives:?}");
    assert_eq!(stage.removals().len(), 2);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn with_half_of_them_required_two_of_three_are_left_alone_and_the_guard_is_named() {
    let stage = Stage::new("half");
    stage.full_nodes("{minHealthy: 51%, warmUp: 5s}");
    stage.hang("full-0");
    stage.hang("full-2");
    stage.held("full-nodes", "full-0", "MinHealthy");
    stage.held("full-nodes", "full-2", "MinHealthy");
    assert_eq!(stage.removals(), Vec::new());
    // The emergency stop holds even when the guard would not.
    kubectl(&["-n", &stage.system, "annotate", "configmap", "mainstay-stop", "mainstay.dev/stop=drill"]).unwrap();
    stage.policy("full-nodes", "FullNode", "full", "Enforce", "{minHealthy: 1, warmUp: 5s}");
    let why = stage.held("full-nodes", "full-0", "EmergencyStop");
    assert!(why.contains("drill"), "{why}");
    assert_eq!(stage.removals(), Vec::new());
    kubectl(&["-n", &stage.system, "annotate", "configmap", "mainstay-stop", "mainstay.dev/stop-"]).unwrap();
    stage.healed("full-0");
}

/// The stop is pulled between the journal entry and the act: the seat is taken already, and nothing happens.
// A06: a disruption budget that allows nothing.
#[test]
#[ignore = "needs the local cluster: make e2e"]
fn what_cannot_be_taken_back_waits_for_one_more_look() {
    let stage = Stage::new("blocked");
    stage.full_nodes("{minHealthy: 1, warmUp: 5s}");
    // A disruption budget that allows nothing: a 429 is an answer, never a reason to delete.
    crate::rig::apply(&format!(
        "apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: full, namespace: {}}}
spec: {{maxUnavailable: 0, selector: {{matchLabels: {{app: cometbft, role: full}}}}}}",
        stage.namespace
    ))
    .expect("a budget");
    stage.hang("full-1");
    wait("the disruption budget to be named", SOON, || {
        let all = remediations(&stage.namespace);
        let mine = all.into_iter().find(|found| found["spec"]["target"]["pod"] == "full-1")?;
        (mine["status"]["phase"] == "Withdrawn").then_some(())
    })
    .expect("a withdrawn remediation");
    assert_eq!(stage.removals(), Vec::new());
    stage.kubectl(&["delete", "pdb", "full"]);
    stage.healed("full-1");
    assert_eq!(stage.removals().len(), 1);
}

/// A validator does not wait behind a disruption budget: it is deleted, with its own grace period.
#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_hung_validator_is_deleted_gracefully() {
    let stage = Stage::with("signer", &["--full-nodes", "1"], &[]);
    let ladder = "{restart: {within: 2m, attempts: 1, cooldown: 1m}, page: {}}";
    stage.policy_on(
        "validators",
        "Validator",
        "Enforce",
        "{app: cometbft, role: validator}",
        SILENT,
        ladder,
        "{warmUp: 5s}",
    );
    stage.policy("full-nodes", "FullNode", "full", "Observe", "{}");
    stage.healthy("validators", 4);
    stage.hang("val-2");
    stage.healed("val-2");
    assert_eq!(stage.removals().len(), 1);
    let deletes = audit(&stage.system).into_iter().filter(|line| line["verb"] == "delete").count();
    assert!(deletes > 0, "an eviction would have waited for a budget");
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}
