//! People change their minds in the middle: a policy is paused, edited or deleted, its namespace goes away. What is under
//! way reaches its nearest safe point, and nothing is left behind.

use std::time::Duration;

use serde_json::Value;

use crate::{
    life::under_way,
    rig::{get, kubectl, remediations, wait},
    stage::{LATER, SOON, Stage},
};

const GUARD: &str = "{minHealthy: 0, warmUp: 5s, budget: [{actions: 10, per: 1h}]}";

/// Waits until nothing of Mainstay's holds anything: no finalizer, no seat.
fn nothing_is_left(stage: &Stage) {
    wait("everything to be let go", LATER, || {
        let free = |of: &Value| of["metadata"]["finalizers"].is_null() && of["status"]["phase"] != "Pending";
        (remediations(&stage.namespace).iter().all(free) && stage.seats() == 0).then_some(())
    })
    .expect("nothing left");
}

/// How the last remediation of a pod's slot ended.
fn end(stage: &Stage, slot: &str) -> String {
    let mut all = remediations(&stage.namespace);
    all.retain(|of| of["spec"]["target"]["slot"] == slot);
    all.sort_by_key(|of| of["spec"]["attempt"].as_i64());
    let last = all.pop().unwrap_or_default();
    last["status"]["phase"].as_str().unwrap_or_default().to_owned()
}

// P09, P10, W16: deleted, edited and paused in the middle.
#[test]
#[ignore = "needs the local cluster: make e2e"]
fn whoever_changes_their_mind_finds_nothing_half_done() {
    let stage = Stage::new("edits");
    stage.full_nodes(GUARD);
    let patch = |spec: &str| stage.kubectl(&["patch", "nhp", "full-nodes", "--type=merge", "-p", spec]);

    // Paused before the act: nothing happens, and it goes on when the pause ends.
    patch(r#"{"spec": {"guard": {"pause": ["drill"]}}}"#);
    stage.hang("full-1");
    let why = stage.held("full-nodes", "full-1", "Paused");
    assert!(why.contains("drill"), "{why}");
    assert_eq!(stage.removals(), Vec::new());
    patch(r#"{"spec": {"guard": {"pause": []}}}"#);
    under_way(&stage, "full-1");

    // Paused and edited after the act: what is under way ends by what it began with.
    patch(r#"{"spec": {"guard": {"pause": ["too late"]}, "remediation": {"restart": {"within": "15s"}}}}"#);
    stage.healed("full-1");
    nothing_is_left(&stage);
    assert_eq!(stage.removals().len(), 1);
    patch(r#"{"spec": {"guard": {"pause": []}, "remediation": {"restart": {"within": "2m"}}}}"#);
    stage.healthy("full-nodes", 3);

    // Deleted after the act: nobody watches the target any more, and its remediation says so.
    stage.hang("full-2");
    under_way(&stage, "full-2");
    stage.kubectl(&["delete", "nhp", "full-nodes"]);
    nothing_is_left(&stage);
    assert!(["Succeeded", "Failed", "Withdrawn"].contains(&end(&stage, "full-2").as_str()));
    assert_eq!(stage.removals().len(), 2);
    wait("the pod to be back", SOON, || {
        let pod = get(&["-n", &stage.namespace, "pod", "full-2"]);
        (pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()).then_some(())
    })
    .expect("a pod");
    stage.full_nodes(GUARD);

    // The namespace goes away in the middle: neither it nor the ledger keeps anything.
    stage.hang("full-0");
    under_way(&stage, "full-0");
    kubectl(&["delete", "namespace", &stage.namespace, "--wait=false"]).expect("a deletion");
    wait("the namespace to be gone", Duration::from_secs(180), || {
        kubectl(&["get", "namespace", &stage.namespace]).is_err().then_some(())
    })
    .expect("a namespace that goes");
    wait("the seat to be given back", LATER, || (stage.seats() == 0).then_some(())).expect("no seat");
    assert_eq!(stage.removals().len(), 3);
}
