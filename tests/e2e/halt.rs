//! A chain that stands still as a whole.

use std::{thread, time::Duration};

use crate::{
    rig::{block, get, signal, wait},
    sink::Sink,
    stage::{SOON, Stage},
};

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_halted_chain_restarts_nobody_tells_once_and_goes_on() {
    let sink = Sink::listen();
    let stage = Stage::with("halt", &[], &["--set-json", &sink.values()]);
    stage.full_nodes("{minHealthy: 1, warmUp: 5s}");
    stage.policy("validators", "Validator", "validator", "Enforce", "{minHealthy: 1, warmUp: 5s}");
    stage.healthy("validators", 4);
    let stopped = [stage.hang("val-0"), stage.hang("val-1")];
    let stalled = |wanted: &str| {
        let network = get(&["network", &stage.namespace]);
        let conditions = network["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|found| found["type"] == "Stalled" && found["status"] == wanted).then_some(())
    };
    wait("the network to be stalled", SOON, || stalled("True")).unwrap();
    stage.held("validators", "val-0", "NetworkStalled");
    thread::sleep(Duration::from_secs(20));
    assert_eq!(stage.removals(), Vec::new(), "nobody is restarted for a chain that stands still");
    for (pid, _) in stopped {
        signal(pid, "CONT").unwrap();
    }
    wait("the network to go on", SOON, || stalled("False")).unwrap();
    stage.healthy("validators", 4);
    assert_eq!(stage.removals(), Vec::new());

    wait("the alert to be over", SOON, || sink.is_over()).unwrap();
    let pages = sink.heard("page");
    assert_eq!(sink.alerts().len(), 1, "one alert: {pages:?}");
    assert_eq!(pages[0]["state"], "firing");
    assert!(pages[0]["title"].as_str().unwrap().contains("stands still"), "{pages:?}");

    // What was learnt in the standstill is no evidence afterwards, and a node that hangs now is helped.
    stage.hang("full-1");
    stage.healed("full-1");
    assert_eq!(stage.removals().len(), 1);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn everything_broken_at_once_restarts_nobody_and_calls_somebody_once() {
    let sink = Sink::listen();
    let stage = Stage::with("blind", &[], &["--set-json", &sink.values()]);
    stage.full_nodes("{minHealthy: 0, maxConcurrent: 3, warmUp: 5s}");
    let stopped = [stage.hang("full-0"), stage.hang("full-1"), stage.hang("full-2")];
    stage.held("full-nodes", "full-0", "TelemetryLost");
    wait("a page", SOON, || (!sink.heard("page").is_empty()).then_some(())).unwrap();
    assert_eq!(stage.removals(), Vec::new(), "suspect what they share, not each of them");
    for (pid, _) in stopped {
        signal(pid, "CONT").unwrap();
    }
    stage.healthy("full-nodes", 3);
    wait("the page to be over", SOON, || sink.is_over()).unwrap();
    assert_eq!(sink.alerts().len(), 1, "one page: {:?}", sink.heard("page"));
    assert_eq!(stage.removals(), Vec::new());
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_cut_between_us_and_all_nodes_restarts_nobody_and_everything_resumes() {
    let sink = Sink::listen();
    let stage = Stage::with("cut", &[], &["--set-json", &sink.values()]);
    stage.full_nodes("{minHealthy: 0, maxConcurrent: 3, warmUp: 5s}");
    let all = ["full-0", "full-1", "full-2", "val-0", "val-1", "val-2", "val-3"];
    for pod in all {
        block(&stage.namespace, pod, "--dport", "26657", true).expect("iptables");
    }
    wait("a page", SOON, || (!sink.heard("page").is_empty()).then_some(())).unwrap();
    thread::sleep(Duration::from_secs(20));
    assert_eq!(stage.removals(), Vec::new(), "what cannot be seen is not touched");
    for pod in all {
        block(&stage.namespace, pod, "--dport", "26657", false).expect("iptables");
    }
    stage.healthy("full-nodes", 3);
    wait("the page to be over", SOON, || sink.is_over()).unwrap();
    assert_eq!(sink.alerts().len(), 2, "one alert of each policy: {:?}", sink.heard("page"));
    stage.hang("full-1");
    stage.healed("full-1");
    assert_eq!(stage.removals().len(), 1, "and a node that hangs now is helped");
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}
