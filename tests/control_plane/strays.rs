//! Orders that cannot be carried out by anybody, at a real API server: each is answered, and says why.

use serde_json::json;

use crate::{
    group::Group,
    stage::{KEY, NAMESPACE, collection, create},
};

/// Orders a failover of this identity; where the order is.
async fn order(group: &Group, identity: &str) -> String {
    let order = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder",
        "metadata": {"generateName": "stray-", "namespace": NAMESPACE},
        "spec": {"identity": identity, "epoch": 1, "by": "admin", "failover": {}}});
    let order = create(&group.stage.server.client, &order).await;
    format!("{}/{}", collection(&order), order["metadata"]["name"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn nobody_who_orders_waits_without_a_word() {
    let group = Group::new().await;
    let lost = format!("demo-1.{}", "3".repeat(64));
    let of = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "FailoverGroup",
        "metadata": {"name": "lost", "namespace": NAMESPACE},
        "spec": {"network": "demo", "identity": lost, "handover": {"gate": {}},
            "members": [{"name": "c", "statefulSet": "val-c"}, {"name": "d", "statefulSet": "val-d"}]}});
    create(&group.stage.server.client, &of).await;
    let mistyped = KEY.replace("d75a", "d75b");
    let orders = [order(&group, &mistyped).await, order(&group, &lost).await];
    let _operator = group.stage.server.operator_of_groups("one");

    let (outcome, why) = group.answer(&orders[0]).await;
    assert_eq!(outcome, "Refused");
    assert!(
        why.contains(&format!("has the identity {mistyped}")) && why.contains(&format!("val has {KEY}")),
        "{why}"
    );
    let (outcome, why) = group.answer(&orders[1]).await;
    assert_eq!(outcome, "Refused");
    assert!(why.contains("the group lost is Invalid") && why.contains("there is no SigningIdentity"), "{why}");

    // One that comes later, too, and what is right is carried out meanwhile.
    let later = order(&group, &mistyped).await;
    group.ordered(&["init", "val", "-n", NAMESPACE, "--assert", "the key was made today"]).await;
    group.signs("a", 1).await;
    assert_eq!(group.answer(&later).await.0, "Refused");
}
