//! Restarts that do not help.

use std::{thread, time::Duration};

use crate::{
    rig::{apply, get, remediations, wait},
    sink::Sink,
    stage::{LATER, SILENT, Stage},
};

/// A pod in which nothing ever answers.
fn deaf(namespace: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: deaf, namespace: {namespace}}}
spec:
  replicas: 1
  serviceName: deaf
  selector: {{matchLabels: {{app: deaf}}}}
  template:
    metadata: {{labels: {{app: deaf}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {{name: node, image: mainstay.test/pause:1, imagePullPolicy: Never, ports: [{{name: rpc, containerPort: 26657}}]}}"
    )
}

// W12: a restart that does not help.
#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_restart_that_does_not_help_is_tried_less_and_less_and_then_a_person_is_told_once() {
    let sink = Sink::listen();
    let stage = Stage::with("hopeless", &["--full-nodes", "1"], &["--set-json", &sink.values()]);
    stage.policy("full-nodes", "FullNode", "full", "Observe", "{}");
    stage.healthy("full-nodes", 1);
    apply(&deaf(&stage.namespace)).expect("a deaf node");
    let ladder = "{restart: {within: 15s, attempts: 3, cooldown: 30s, backoff: {factor: 2, max: 1h}}, page: {}}";
    let guard = "{warmUp: 1s, budget: [{actions: 10, per: 1h}]}";
    stage.policy_on("deaf", "FullNode", "Enforce", "{app: deaf}", SILENT, ladder, guard);
    let pages = || sink.heard("page");
    wait("a page", LATER, || (!pages().is_empty()).then_some(())).expect("a page");

    let removed: Vec<_> = stage.removals().into_iter().map(|(_, at)| at).collect();
    assert_eq!(removed.len(), 3, "every attempt and no more: {removed:?}");
    // A rest lasts from seat to seat, 30 s and then 60 s; the removals follow those by a moment each.
    let rests = [removed[1] - removed[0], removed[2] - removed[1]];
    assert!(rests[0] >= 28_000 && rests[1] >= 58_000, "rests grow across generations of the pod: {rests:?}");
    let restarts: Vec<_> = remediations(&stage.namespace)
        .into_iter()
        .filter(|found| !found["spec"]["action"]["restart"].is_null())
        .collect();
    assert_eq!(restarts.len(), 3);
    assert!(restarts.iter().all(|found| found["status"]["phase"] == "Failed"), "{restarts:?}");

    // It stays like that: no loop, no second page.
    thread::sleep(Duration::from_secs(75));
    assert_eq!(stage.removals().len(), 3);
    let keys: std::collections::BTreeSet<_> =
        pages().iter().map(|notice| notice["dedupeKey"].to_string()).collect();
    assert_eq!(keys.len(), 1, "one page: {:?}", pages());
    let record = get(&["networkledger", &stage.namespace])["spec"]["slots"][0].clone();
    assert_eq!((record["slot"].as_str(), record["restarts"].as_i64()), (Some("deaf-0"), Some(3)), "{record}");
    assert_eq!(record["paged"], true);
    assert_eq!(stage.seats(), 0);
}
