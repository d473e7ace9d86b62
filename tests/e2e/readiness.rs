//! Who serves, the other way: by a readiness gate, behind a Service that knows nothing of Mainstay.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    rig::{get, now, uninstall, wait},
    stage::{SOON, Stage},
    traffic::{Client, INTERVAL, PROPAGATION, all_three, peers, policy, service, turned},
};

const GATE: &str = "mainstay.dev/in-rotation";
/// The kubelet is one more who has to notice.
const KUBELET: i64 = 1_000;

/// A condition of a pod.
fn condition(stage: &Stage, pod: &str, of: &str) -> Value {
    let pod = get(&["-n", &stage.namespace, "pod", pod]);
    let all = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|condition| condition["type"] == of).unwrap_or_default()
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_node_leaves_a_plain_service_by_its_readiness_gate_and_comes_back_unnoticed() {
    let chain = ["--validators", "2", "--block-time", "500"];
    let stage = Stage::with("gate", &chain, &["--set", "rotation.readinessGate=true"]);
    // No policy speaks of these pods yet: they are let in all the same, or the rollout would never end.
    let template = json!({"spec": {"readinessGates": [{"conditionType": GATE}]}});
    let address = service(&stage, &template, &json!({"app": "cometbft", "role": "full"}));
    assert_eq!(condition(&stage, "full-0", GATE)["status"], "True");
    policy(&stage);
    stage.healthy("full-nodes", 3);
    all_three(address);

    let client = Client::of(address);
    let begun = now();
    peers(&stage, "full-1", true);
    let out = turned(&stage, "full-1", "reroute", begun);
    thread::sleep(Duration::from_secs(5));
    let fired = out["spec"]["detectedAt"].as_i64().expect("a time");
    let (last, _) = client.answered("full-1", 0);
    let late = last.expect("it served before") - fired;
    println!("the last new connection came {late} ms after the rule fired");
    assert!(late <= INTERVAL + PROPAGATION + KUBELET, "{late} ms after the rule fired");
    let shut = condition(&stage, "full-1", GATE);
    assert_eq!((&shut["status"], &shut["reason"]), (&json!("False"), &json!("OutOfRotation")));
    assert_eq!(condition(&stage, "full-1", "ContainersReady")["status"], "True", "the kubelet's word stays");
    assert_eq!(condition(&stage, "full-1", "Ready")["status"], "False");

    let back = now();
    peers(&stage, "full-1", false);
    turned(&stage, "full-1", "rejoin", back);
    let again = wait("it to serve again", SOON, || client.answered("full-1", back).1).expect("an answer");
    println!("it answered again {} ms after its peers came back", again - back);
    let failed: Vec<_> = client.seen().into_iter().filter(|(_, who)| who.is_err()).collect();
    assert_eq!(failed, Vec::new(), "no request failed");
    drop(client);
    assert_eq!(stage.removals(), Vec::new());
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());

    // A pod that is made anew is let in, whatever its former self had come to.
    let begun = now();
    peers(&stage, "full-1", true);
    turned(&stage, "full-1", "reroute", begun);
    stage.kubectl(&["delete", "pod", "full-1", "--grace-period=1"]);
    wait("the new pod to be let in", SOON, || {
        (condition(&stage, "full-1", GATE)["status"] == "True").then_some(())
    })
    .expect("an open gate");

    // And Mainstay leaves no gate shut behind it.
    let begun = now();
    peers(&stage, "full-2", true);
    turned(&stage, "full-2", "reroute", begun);
    uninstall(&stage.system).expect("an uninstall");
    assert_eq!(condition(&stage, "full-2", GATE)["status"], "True", "nobody would open it later");
}
