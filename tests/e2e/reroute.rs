//! Who serves: a node that falls behind leaves its Service, and comes back, and no client sees a failed request.

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::json;

use crate::{
    rig::{get, now, uninstall, wait},
    stage::{LATER, SOON, Stage},
    traffic::{Client, INTERVAL, LABEL, PROPAGATION, all_three, peers, policy, service, turned},
};

fn label(stage: &Stage, pod: &str) -> String {
    let pod = get(&["-n", &stage.namespace, "pod", pod]);
    pod["metadata"]["labels"][LABEL].as_str().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_node_that_falls_behind_leaves_its_service_and_comes_back_unnoticed() {
    let stage = Stage::with("reroute", &["--validators", "2", "--block-time", "500"], &[]);
    // The pods take part behind a Service that chooses by the label.
    let template = json!({"metadata": {"labels": {LABEL: "true"}}});
    let address = service(&stage, &template, &json!({"app": "cometbft", "role": "full", LABEL: "true"}));
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
    assert!(late <= INTERVAL + PROPAGATION, "{late} ms after the rule fired");
    assert_eq!(label(&stage, "full-1"), "false");

    let back = now();
    peers(&stage, "full-1", false);
    turned(&stage, "full-1", "rejoin", back);
    let again = wait("it to serve again", SOON, || client.answered("full-1", back).1).expect("an answer");
    println!("it answered again {} ms after its peers came back", again - back);
    let failed: Vec<_> = client.seen().into_iter().filter(|(_, who)| who.is_err()).collect();
    assert_eq!(failed, Vec::new(), "no request failed");
    let mut shares = BTreeMap::<String, usize>::new();
    for (_, who) in client.seen() {
        *shares.entry(who.unwrap_or_default()).or_default() += 1;
    }
    println!("answers: {shares:?}");
    drop(client);
    assert_eq!(stage.removals(), Vec::new());
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());

    // Whoever goes away leaves no label behind: a policy, and Mainstay itself.
    let begun = now();
    peers(&stage, "full-1", true);
    turned(&stage, "full-1", "reroute", begun);
    stage.kubectl(&["delete", "nhp", "full-nodes"]);
    wait("the label to go with its policy", LATER, || (label(&stage, "full-1") == "true").then_some(())).unwrap();
    policy(&stage);
    let begun = now();
    turned(&stage, "full-1", "reroute", begun);
    uninstall(&stage.system).expect("an uninstall");
    assert_eq!(label(&stage, "full-1"), "true", "nobody would bring it back later");
}
