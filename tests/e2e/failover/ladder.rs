//! The ladder of a policy has another member sign.

use serde_json::Value;

use super::members::Members;
use crate::{
    rig::{get, remediations, signal, wait},
    stage::{LATER, Stage},
};

/// Ten seconds, and two blocks on a machine that does other things.
const MOST: i64 = 13_000;

/// Why what was done was done.
fn decisions(stage: &Stage) -> String {
    stage.kubectl(&["get", "nrem", "-o", "jsonpath={.items[*].spec.decision}"])
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_holder_that_hangs_is_followed_by_its_standby_and_nobody_is_restarted() {
    let members = Members::new("ladder");
    let stage = &members.stage;
    members.policy("Enforce", "{failover: {group: gated, within: 2m}, page: {}}");
    stage.healthy("members", 2);

    // Its node hangs; the gate beside it lives, and seals.
    let next = members.record()["epoch"].as_i64().expect("an epoch") + 1;
    let (node, hung) = stage.hang("member-a-0");
    let first = members.signing("b", hung);
    let over = wait("the failover to be over", LATER, || {
        let found =
            remediations(&stage.namespace).into_iter().find(|one| !one["spec"]["action"]["failover"].is_null())?;
        found["metadata"]["finalizers"].is_null().then_some(found)
    })
    .unwrap_or_else(|why| panic!("{why}: {}", decisions(stage)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&over["metadata"]["name"]);
    let decided: jiff::Timestamp = text(&over["metadata"]["creationTimestamp"]).parse().expect("a time");
    let took = first.at - decided.as_millisecond();
    println!(
        "hung node: decided after {} ms; b signed height {} after {took} ms more",
        decided.as_millisecond() - hung,
        first.height,
    );
    assert!(took <= MOST, "{took} ms from the decision to the first signature");
    assert_eq!(
        (text(&over["status"]["phase"]), text(&over["status"]["reason"])),
        ("Succeeded".into(), "HandedOver".into())
    );
    assert_eq!(over["spec"]["target"]["pod"], "member-a-0");

    // One order, in Mainstay's name, under the name of its journal entry.
    let orders = get(&["-n", &stage.namespace, "signingorders"])["items"].as_array().cloned().unwrap_or_default();
    let orders: Vec<_> = orders.iter().filter(|order| !order["spec"]["failover"].is_null()).collect();
    assert_eq!(orders.len(), 1, "{orders:#?}");
    assert_eq!((text(&orders[0]["metadata"]["name"]), text(&orders[0]["spec"]["by"])), (name, "mainstay".into()));
    assert_eq!(orders[0]["status"]["outcome"], "Done");

    // One member less to go on: a person hears of it, once. What is wrong with the one that does not sign is no reason to
    // move the key again.
    let paged =
        || remediations(&stage.namespace).iter().filter(|one| !one["spec"]["action"]["page"].is_null()).count();
    wait("a person to be called", LATER, || (paged() == 1).then_some(())).expect("a page");
    signal(node, "CONT").expect("a signal");
    stage.healthy("members", 2);
    members.blocks(10);
    let record = members.record();
    assert_eq!(
        (record["epoch"].as_i64(), record["holder"]["member"].as_str()),
        (Some(next), Some("b")),
        "it stays there"
    );
    assert_eq!(paged(), 1);

    // W11: both hang. Nobody is fit, so the key stays where it is, and a person is called.
    let nodes = ["member-a-0", "member-b-0"].map(|pod| stage.hang(pod).0);
    let refused = wait("the order to be refused", LATER, || {
        let of_b =
            |one: &Value| one["spec"]["target"]["pod"] == "member-b-0" && one["status"]["phase"] == "Failed";
        remediations(&stage.namespace).into_iter().find(of_b)
    })
    .expect("a refusal");
    println!("both hung: {}", refused["status"]);
    assert_eq!(refused["status"]["reason"], "OrderRefused");
    wait("a person to be called for both", LATER, || (paged() == 2).then_some(())).expect("a page");
    for node in nodes {
        signal(node, "CONT").expect("a signal");
    }
    stage.healthy("members", 2);
    members.blocks(10);
    assert_eq!(members.record()["epoch"].as_i64(), Some(next), "to and fro");
    assert_eq!(stage.removals(), [], "nobody was restarted");
    assert_eq!(stage.forbidden(), Vec::<String>::new());
    members.judge();
}
