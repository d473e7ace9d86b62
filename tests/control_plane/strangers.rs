//! What a group does where somebody else wrote something that is not so, and what it says of itself when nobody looks.

use std::time::{Duration, Instant};

use mainstay::{
    failover::{
        Boot, Held, Phase,
        gate::{Launcher, Me},
        latch::LATCH,
    },
    gate::registry::{Identity, Registry},
};
use serde_json::{Value, json};

use crate::{
    group::{GROUP, Group, SOON},
    stage::{JSON, KEY, NAMESPACE, create, get, send},
};

const INIT: [&str; 6] = ["init", "val", "-n", NAMESPACE, "--assert", "made today"];

/// Rights on these, in the namespace, for the account val-a.
async fn may(group: &Group, resources: &[&str], verbs: &[&str]) -> kube::Client {
    let admin = &group.stage.server.client;
    let name = resources[0];
    create(
        admin,
        &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "rules": [{"apiGroups": ["mainstay.dev"], "resources": resources, "verbs": verbs}]}),
    )
    .await;
    create(
        admin,
        &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "dev", "namespace": NAMESPACE}]}),
    )
    .await;
    create(admin, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dev", "namespace": NAMESPACE}})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    group.stage.account("dev", None).await
}

/// Somebody who may write policies that only observe says by a source of their own that the key is punished: it is not heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn an_observer_does_not_punish_the_key() {
    let group = Group::new().await;
    let dev = may(&group, &["nodehealthpolicies"], &["create"]).await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    group.node.power.store(1, std::sync::atomic::Ordering::SeqCst);
    let policy = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
        "metadata": {"name": "just-looking", "namespace": NAMESPACE},
        "spec": {"network": "demo", "role": "FullNode", "selector": {"matchLabels": {"app": "val"}}, "mode": "Observe",
            "telemetry": [{"name": "mine", "httpJson": {"port": "rpc", "path": "/anything"},
                "signals": [{"signal": "tombstoned", "pointer": "/result/validators/0/voting_power"}]}]}});
    let path = format!("/apis/mainstay.dev/v1alpha1/namespaces/{NAMESPACE}/nodehealthpolicies");
    send(&dev, "POST", &path, JSON, &policy).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(group.record().await.unwrap().shut.is_none(), "nobody but the chain punishes a key");
}

/// No policy watches the members: the holder's gate dies, and the group says so all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_dead_gate_is_not_called_ready() {
    let mut group = Group::new().await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    group.kill("a");
    tokio::time::sleep(Duration::from_secs(75)).await;
    let why = group.says("Ready", "False Passed").await;
    assert!(why.contains("the gate of a"), "{why}");
    group.says("Signing", "False Passed").await;

    // Its identity is made anew, as `kubectl replace --force` does: what was signed is forgotten, and nobody calls that a beginning.
    let admin = &group.stage.server.client;
    let identity = group.stage.identity().await;
    let path = format!("/apis/mainstay.dev/v1alpha1/signingidentities/{KEY}");
    send(admin, "DELETE", &path, JSON, &json!({})).await.unwrap();
    let anew = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity", "metadata": {"name": KEY},
        "spec": identity["spec"]});
    create(admin, &anew).await;
    let why = group.says("Ready", "False RecordGone").await;
    assert!(why.contains("a held the place"), "{why}");
}

/// Another group of the namespace that names a member's set leaves the latch on its pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_latch_is_not_taken_by_another_group() {
    let group = Group::new().await;
    let admin = &group.stage.server.client;
    group
        .patch(
            GROUP,
            &json!({"spec": {"automatic": true, "handover": {"gate": null, "launcher": {"hold": "10m"}}}}),
        )
        .await;
    let pod = format!("/api/v1/namespaces/{NAMESPACE}/pods/val-a-0");
    group.patch(&pod, &json!({"metadata": {"finalizers": [LATCH]}})).await;
    let _operator = group.stage.server.operator_of_groups("one");
    let mut init = group.stage.server.mainstay(&INIT).spawn().unwrap();
    let a = group
        .until("offer", |of| matches!(&of.phase, Phase::Active(_)).then(|| of.holder().unwrap().pod.clone()))
        .await;
    let identity = Identity::new(group.stage.client_of(&a).await, KEY);
    let seen = identity.read().await.unwrap();
    let (_, claim) =
        Launcher::new(Me { pod: a.clone(), boot: Boot(7) }, Held::Command).seen(seen.record.as_ref().unwrap(), 0);
    identity.write(&seen, &claim.unwrap()).await.unwrap();
    init.wait().unwrap();
    let other = format!("demo-1.{}", "ab".repeat(32));
    create(
        admin,
        &json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity", "metadata": {"name": other},
        "spec": {"network": "demo", "namespace": NAMESPACE, "group": "other"}}),
    )
    .await;
    create(
        admin,
        &json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "FailoverGroup",
        "metadata": {"name": "other", "namespace": NAMESPACE},
        "spec": {"network": "demo", "identity": other, "members": [{"name": "x", "statefulSet": "val-a"}],
            "handover": {"launcher": {}}}}),
    )
    .await;
    send(admin, "DELETE", &pod, JSON, &json!({"gracePeriodSeconds": 0})).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let record = group.record().await.unwrap();
    let gone = get(admin, &pod).await;
    println!("val: {:?}; its pod: {}", record.phase, gone.as_ref().map_or_else(String::clone, |_| "there".into()));
    assert!(gone.is_ok() && matches!(record.phase, Phase::Revoking { .. }), "the evidence stays");
}

fn is_unreadable(group: &Value) -> bool {
    let conditions = group["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| one["type"] == "Invalid" && one["reason"] == "Unreadable")
}

/// A group that this build cannot read says so, and keeps in its status who held the place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn an_unreadable_group_says_so_in_the_middle_of_a_failover() {
    let mut group = Group::new().await;
    let admin = group.stage.server.client.clone();
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    // A network that admits nobody of this namespace, meanwhile.
    let network = "/apis/mainstay.dev/v1alpha1/networks/demo";
    let admits = group.stage.server.client.clone();
    let before = get(&admits, network).await.unwrap()["spec"]["allowedNamespaces"].clone();
    group.patch(network, &json!({"spec": {"allowedNamespaces": ["elsewhere"]}})).await;
    let why = group.says("Ready", "False Invalid").await;
    assert!(why.contains("does not admit the namespace validator"), "{why}");
    group.patch(network, &json!({"spec": {"allowedNamespaces": before}})).await;
    group.says("Ready", "True Held").await;
    group.patch(GROUP, &json!({"spec": {"automatic": true}})).await;
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/failovergroups.mainstay.dev";
    let mut object = get(&admin, crd).await.unwrap();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    *object.pointer_mut(spec).unwrap() = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    send(&admin, "PUT", crd, JSON, &object).await.unwrap();
    let begun = Instant::now();
    // The definition takes effect by and by, and who watches is told of the field with a change that comes afterwards.
    while !is_unreadable(&group.get().await) {
        let now = format!("{:?}", begun.elapsed());
        let odd =
            json!({"metadata": {"annotations": {"now": now}}, "spec": {"fence": {"accept": ["SignerRefuses"]}}});
        group.patch(GROUP, &odd).await;
        assert!(begun.elapsed() < SOON, "it is read all the same");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    group.kill("a");
    group.delete_by_force("a").await;
    let order = group.switch(1, Some("b")).await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    let why = group.says("Ready", "False Invalid").await;
    assert!(why.contains("does not know the field"), "{why}");
    group.says("Invalid", "True Unreadable").await;
    // Nothing is done by a group that nobody can read, and whoever ordered something is told so.
    let (outcome, why) = group.answer(&order).await;
    assert!(outcome == "Refused" && why.contains("val cannot be read"), "{outcome}: {why}");
    let record = group.record().await.unwrap();
    assert!(record.tenure.epoch.0 == 1 && matches!(record.phase, Phase::Active(_)), "{record:?}");
    assert_eq!(group.get().await["status"]["holder"], "a", "who held the place stays in sight");
}
