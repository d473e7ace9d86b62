//! A signing identity that this build cannot read, at a real API server: it concerns its own group, and nobody else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    group::{Group, SOON},
    stage::{MERGE, NAMESPACE, collection, create, get, send},
};

const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/signingidentities.mainstay.dev";

/// Lets identities be anything, as a future version of the definition might.
async fn loosen(group: &Group) {
    let admin = &group.stage.server.client;
    let mut definition = get(admin, DEFINITION).await.unwrap();
    for part in ["spec", "status"] {
        let place = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}");
        *definition.pointer_mut(&place).unwrap() =
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    send(admin, "PUT", DEFINITION, "application/json", &definition).await.unwrap();
    // By and by.
    tokio::time::sleep(Duration::from_secs(3)).await;
}

/// A group of its own, and its identity with one change.
async fn another(group: &Group, name: &str, digit: char, change: impl FnOnce(&mut Value)) -> String {
    let admin = &group.stage.server.client;
    let identity = format!("demo-1.{}", digit.to_string().repeat(64));
    let mut object = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity",
        "metadata": {"name": identity},
        "spec": {"network": "demo", "namespace": NAMESPACE, "group": name, "window": 20}});
    change(&mut object);
    create(admin, &object).await;
    let of = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "FailoverGroup",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"network": "demo", "identity": identity, "handover": {"gate": {}},
            "members": [{"name": "c", "statefulSet": "val-c"}, {"name": "d", "statefulSet": "val-d"}]}});
    create(admin, &of).await;
    identity
}

async fn is_invalid(group: &Group, name: &str, reason: &str, words: &str) {
    let path = format!("/apis/mainstay.dev/v1alpha1/namespaces/{NAMESPACE}/failovergroups/{name}");
    let begun = Instant::now();
    loop {
        let found = get(&group.stage.server.client, &path).await.unwrap();
        let all = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let invalid = all.into_iter().find(|of| of["type"] == "Invalid").unwrap_or_default();
        let says = invalid["message"].as_str().unwrap_or_default();
        if invalid["status"] == "True" && invalid["reason"] == reason && says.contains(words) {
            return;
        }
        assert!(begun.elapsed() < SOON, "{name}: {invalid}\n{}", group.stage.server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

// P11, of identities.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn an_identity_that_cannot_be_read_concerns_its_own_group() {
    let group = Group::new().await;
    loosen(&group).await;
    another(&group, "wide", '1', |object| object["spec"]["window"] = json!("many")).await;
    let odd = another(&group, "odd", '2', |_| ()).await;
    let status = json!({"status": {"phase": "Sometimes", "epoch": 1, "activation": "0".repeat(32), "adopted": 0,
        "handover": "Gate", "floor": 0, "ceiling": 0, "claims": 0, "lowered": false}});
    let path = format!("/apis/mainstay.dev/v1alpha1/signingidentities/{odd}/status");
    let own = group.stage.server.own_account();
    let spoilt = send(&own, "PATCH", &path, MERGE, &status).await.unwrap();
    let _operator = group.stage.server.operator_of_groups("one");
    is_invalid(&group, "wide", "Unreadable", "spec.window").await;
    is_invalid(&group, "odd", "LaterRecord", "status.phase").await;
    // What a later version may have written is adopted by no earlier one.
    let adopt = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder",
        "metadata": {"generateName": "odd-", "namespace": NAMESPACE},
        "spec": {"identity": odd, "epoch": 1, "by": "admin", "adopt": {"floor": 500, "assertion": "all are off"}}});
    let adopt = create(&group.stage.server.client, &adopt).await;
    let adopt = format!("{}/{}", collection(&adopt), adopt["metadata"]["name"].as_str().unwrap());
    let (outcome, why) = group.answer(&adopt).await;
    assert!(outcome == "Refused" && why.contains("upgrade this one"), "{outcome}: {why}");

    group.ordered(&["init", "val", "-n", NAMESPACE, "--assert", "the key was made today"]).await;
    group.signs("a", 1).await;
    group.ordered(&["failover", "val", "-n", NAMESPACE, "--to", "b"]).await;
    group.signs("b", 2).await;
    group.says("Invalid", "False Valid").await;
    let now = get(&group.stage.server.client, &path).await.unwrap();
    assert_eq!(now["metadata"]["resourceVersion"], spoilt["metadata"]["resourceVersion"], "nobody writes it");
    group.chain.is_innocent();
}
