//! A key that is not where it should be, at a real API server: it is said, and nobody is moved.

use std::sync::atomic::Ordering;

use mainstay::failover::Phase;
use serde_json::json;

use crate::{
    group::{GROUP, Group},
    stage::{NAMESPACE, get},
};

const INIT: [&str; 6] = ["init", "val", "-n", NAMESPACE, "--assert", "the key was made today"];
const SWITCH: [&str; 4] = ["failover", "val", "-n", NAMESPACE];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_key_that_is_not_that_of_its_group_holds_everybody_up() {
    let mut group = Group::new().await;
    group.patch(GROUP, &json!({"spec": {"automatic": true}})).await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    group.says("DuplicateKey", "False OnlyHere").await;
    group.says("Ready", "True Held").await;

    group.node.other_key.store(true, Ordering::SeqCst);
    let why = group.says("DuplicateKey", "True OtherKey").await;
    assert!(
        why.contains("the member a") && why.contains("the member b") && why.contains(&"07".repeat(32)),
        "{why}"
    );
    group.says("Ready", "False DuplicateKey").await;
    group.says("Signing", "True Held").await;
    group.refused(&SWITCH, "another key than the group's").await;
    let events = format!("/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events");
    let events = get(&group.stage.server.client, &events).await.unwrap();
    let told = events["items"].as_array().unwrap().iter().filter(|event| event["reason"] == "DuplicateKey");
    assert_eq!(told.count(), 1, "{events}");

    // Who has another key does not go on.
    group.kill("a");
    group.delete_by_force("a").await;
    group.says("Ready", "False NobodyFit").await;
    let record = group.record().await.unwrap();
    assert!(record.tenure.epoch.0 == 1 && matches!(record.phase, Phase::Fenced(_)), "{record:?}");

    group.node.other_key.store(false, Ordering::SeqCst);
    group.signs("b", 2).await;
    group.says("DuplicateKey", "False OnlyHere").await;
    group.chain.is_innocent();
}
