//! A silence that only one replica hears.

use std::{thread, time::Duration};

use crate::{
    rig::{block, block_from, get, kubectl, wait},
    stage::{SOON, Stage},
};

const RPC: &str = "26657";
/// Long enough for a removal to come, if one were to come.
const A_WHILE: Duration = Duration::from_secs(20);
const OPERATORS: &str = "app.kubernetes.io/component=operator";

/// The pod that leads.
fn leader(stage: &Stage) -> Option<String> {
    let holder = get(&["-n", &stage.system, "lease", "mainstay"])["spec"]["holderIdentity"].clone();
    // A pod and the number of its process.
    Some(holder.as_str()?.rsplit_once('_')?.0.to_owned())
}

/// Name and address of the replica that leads, and of the other one.
fn replicas(stage: &Stage) -> Option<[(String, String); 2]> {
    let leader = leader(stage)?;
    let pods = get(&["-n", &stage.system, "pods", "-l", OPERATORS])["items"].clone();
    let mut found: Vec<(String, String)> = pods
        .as_array()?
        .iter()
        .filter_map(|pod| {
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            Some((text(&pod["metadata"]["name"])?, text(&pod["status"]["podIP"])?))
        })
        .collect();
    found.sort_by_key(|(name, _)| *name != leader);
    let found: [_; 2] = found.try_into().ok()?;
    (found[0].0 == leader).then_some(found)
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_silence_that_only_the_leader_hears_removes_nobody_and_one_that_both_hear_does() {
    let stage = Stage::new("vantage");
    stage.full_nodes("{minHealthy: 1, warmUp: 5s}");
    let [(first, address), (second, _)] =
        wait("a leader and another replica", SOON, || replicas(&stage)).expect("two replicas");

    block_from(&stage.namespace, "full-1", &address, RPC, true).expect("iptables");
    let why = stage.held("full-nodes", "full-1", "Unconfirmed");
    assert!(why.contains(&format!("replica {second} reaches it")), "{why}");
    thread::sleep(A_WHILE);
    assert_eq!(stage.removals(), Vec::new(), "the way to it is broken, and not the node");
    assert_eq!(leader(&stage), Some(first), "it led all along");
    // The node is well all the while, and is seen to be as soon as the way is there again.
    block_from(&stage.namespace, "full-1", &address, RPC, false).expect("iptables");
    stage.healthy("full-nodes", 3);
    assert_eq!(stage.removals(), Vec::new());

    // What neither of them hears is healed: the new pod has a way of its own.
    block(&stage.namespace, "full-1", "--dport", RPC, true).expect("iptables");
    stage.healed("full-1");
    stage.removed_one_after_the_other(&["full-1"]);
    stage.healthy("full-nodes", 3);
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_replica_that_is_ready_and_cannot_be_asked_holds_until_it_can_or_is_gone() {
    let stage = Stage::new("mute");
    stage.full_nodes("{minHealthy: 1, warmUp: 5s}");
    let [(_, address), (second, _)] =
        wait("a leader and another replica", SOON, || replicas(&stage)).expect("two replicas");
    block_from(&stage.system, &second, &address, "8080", true).expect("iptables");
    stage.hang("full-1");
    let why = stage.held("full-nodes", "full-1", "Unconfirmed");
    assert!(why.contains(&format!("replica {second} is ready and does not say")), "{why}");
    thread::sleep(A_WHILE);
    assert_eq!(stage.removals(), Vec::new(), "it may be the leader who is cut off");

    // The one that takes its place has a way of its own.
    kubectl(&["-n", &stage.system, "delete", "pod", &second, "--wait=false"]).expect("a pod to go");
    stage.healed("full-1");
    stage.removed_one_after_the_other(&["full-1"]);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}
