//! What an enemy finds round the protocol. Each test passes while the hole is open, and says what should be so instead.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay::{
    failover::{
        Activation, Boot, Epoch, Event, HandOver, Height, Holder, Phase, Pod, Record,
        gate::{Launcher, Me},
        latch::LATCH,
        orders::{Fate, Order, Wish, fate},
        step,
    },
    gate::registry::{Identity, Registry},
};
use serde_json::json;

use crate::{
    group::{GROUP, Group},
    stage::{JSON, KEY, NAMESPACE, create, get, send},
};

const INIT: [&str; 6] = ["init", "val", "-n", NAMESPACE, "--assert", "made today"];

fn offered(hand_over: HandOver) -> Record {
    let pod = Arc::new(Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() });
    let fenced = Record::adopted(Epoch(3), Activation(1), Height(100));
    let offer = Event::Offered { pod: Arc::clone(&pod), activation: Activation(2), hand_over };
    let mut record = step(&fenced, offer).0;
    record.phase = Phase::Active(Holder { pod, boot: Some(Boot(1)) });
    record.claims = 1;
    record
}

fn adopt(floor: u64) -> Order {
    Order { wish: Wish::Adopt(Height(floor)), epoch: Epoch(4), activation: Activation(9), accepted: false }
}

/// A key manager's epoch is followed by a launcher's without a person's word, though the documentation says that it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn keymanager_becomes_launcher() {
    let group = Group::new().await;
    group.patch(GROUP, &json!({"spec": {"handover": {"gate": null, "keymanager": {}}}})).await;
    let _operator = group.stage.server.operator_of_groups("one");
    let mut init = group.stage.server.mainstay(&INIT).spawn().unwrap();
    let a = group
        .until("offer", |of| matches!(&of.phase, Phase::Active(_)).then(|| of.holder().unwrap().pod.clone()))
        .await;
    let identity = Identity::new(group.stage.client_of(&a).await, KEY);
    let seen = identity.read().await.unwrap();
    let (launcher, claim) =
        Launcher::new(Me { pod: a.clone(), boot: Boot(7) }).seen(seen.record.as_ref().unwrap(), 0);
    identity.write(&seen, &claim.unwrap()).await.unwrap();
    init.wait().unwrap();
    group.patch(GROUP, &json!({"spec": {"handover": {"keymanager": null, "launcher": {"hold": "20s"}}}})).await;
    let order = group.switch(1, Some("b")).await;
    group.until("revocation", |of| matches!(of.phase, Phase::Revoking { .. }).then_some(())).await;
    let seen = identity.read().await.unwrap();
    let seal = launcher.retired().seen(seen.record.as_ref().unwrap(), 0).1.unwrap();
    identity.write(&seen, &seal).await.unwrap();
    let second = group.until("epoch 2", |of| (of.tenure.epoch.0 == 2).then(|| of.clone())).await;
    println!(
        "{order}: epoch 2 of {:?}: {:?}, adopted {:?}",
        second.holder().unwrap().pod.member,
        second.hand_over,
        second.adopted
    );
    assert_ne!(second.adopted, second.tenure.epoch, "nobody has given a word");
}

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

/// Somebody who may write policies that only observe shuts the key until an administrator adopts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn observer_punishes_the_key() {
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
    let record = group.until("punishment", |of| of.slashed.then(|| of.clone())).await;
    println!("{record:?}");
    println!("Ready: {}", group.says("Ready", "False Punished").await);
}

/// No policy watches the members: the holder's gate dies, and the group says for ever that all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn dead_gate_is_called_ready() {
    let mut group = Group::new().await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    group.kill("a");
    // Orders that nobody answers, meanwhile.
    let mut order = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder",
        "metadata": {"name": "typo", "namespace": NAMESPACE},
        "spec": {"identity": format!("{}0", &KEY[..KEY.len() - 1]), "epoch": 1, "by": "admin", "failover": {}}});
    create(&group.stage.server.client, &order).await;
    order["metadata"]["name"] = json!("x");
    tokio::time::sleep(Duration::from_secs(75)).await;
    println!("Ready: {:?}", group.says("Ready", "True Held").await);
    println!("Signing: {:?}", group.says("Signing", "True Held").await);
    let last = group.chain.last(1).unwrap();
    println!("last signature {last:?}, ceiling {:?}", group.record().await.unwrap().ceiling);
    println!("the mistyped order: {:?}", group.outcomes().await);
    // A group that is Invalid answers nothing, and does what was ordered whenever it is valid again.
    group.patch(GROUP, &json!({"spec": {"network": "nowhere"}})).await;
    group.says("Ready", "False Invalid").await;
    let order = group.switch(1, Some("b")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("while Invalid: {}", get(&group.stage.server.client, &order).await.unwrap()["status"]);
    group.patch(GROUP, &json!({"spec": {"network": "demo"}})).await;
    println!("afterwards: {:?}", group.answer(&order).await);
}

/// Another group of the namespace that names a member's set takes the latch from its pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn latch_is_taken_by_another_group() {
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
    let (_, claim) = Launcher::new(Me { pod: a.clone(), boot: Boot(7) }).seen(seen.record.as_ref().unwrap(), 0);
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
    assert!(gone.is_err() && matches!(record.phase, Phase::Revoking { .. }));
}

/// After the last epoch that the API server can store comes the last once more, and no person opens the gates again.
#[test]
fn pure_the_last_epoch_comes_twice() {
    use mainstay::api::SigningIdentityStatus;
    let last = u64::try_from(i64::MAX).unwrap();
    let stored = |record: &Record| Record::try_from(&SigningIdentityStatus::from(record)).unwrap();
    let order = |activation| Order { epoch: Epoch(last), activation: Activation(activation), ..adopt(1_000) };
    let mut record = offered(HandOver::Gate);
    for activation in [21, 22] {
        let Fate::Take(event) = fate(Some(&record), &order(activation)) else {
            panic!("refused, as it should be")
        };
        record = stored(&step(&record, event).0);
        assert_eq!((record.tenure.epoch, record.tenure.activation), (Epoch(last), Activation(activation)));
    }
}

/// An adoption that was carried out, and was not answered before the next epoch began, is told that it was not.
#[test]
fn pure_an_adoption_that_was_carried_out_is_answered_refused() {
    let record = offered(HandOver::Gate);
    let order = adopt(200);
    let Fate::Take(event) = fate(Some(&record), &order) else { panic!("not taken") };
    let adopted = step(&record, event).0;
    let pod = Arc::new(Pod { member: "b".into(), uid: "u2".into(), node: "n2".into() });
    let next = step(&adopted, Event::Offered { pod, activation: Activation(77), hand_over: HandOver::Gate }).0;
    let Fate::Refused(why) = fate(Some(&next), &order) else { panic!("answered as it should be") };
    println!("{why}");
}

/// One digit too many in `--head`: nothing signs until the chain is there, and no later word is heard. It is refused, honestly.
#[test]
fn pure_a_floor_is_never_lowered() {
    let record = offered(HandOver::Gate);
    let Fate::Take(event) = fate(Some(&record), &adopt(212_345_678)) else { panic!("not taken") };
    let typo = step(&record, event).0;
    let better = Order { epoch: typo.tenure.epoch, activation: Activation(10), ..adopt(21_234_567) };
    assert!(matches!(fate(Some(&typo), &better), Fate::Refused(_)));
}

/// A group that this build cannot read says for ever what it said last, and nobody looks after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn unreadable_group_is_left_in_the_middle() {
    let mut group = Group::new().await;
    let admin = group.stage.server.client.clone();
    // A network that admits nobody of this namespace, meanwhile.
    let network = "/apis/mainstay.dev/v1alpha1/networks/demo";
    group.patch(network, &json!({"spec": {"allowedNamespaces": ["elsewhere"]}})).await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    println!("a network that admits only `elsewhere`: {:?}", group.says("Ready", "True Held").await);
    group.patch(GROUP, &json!({"spec": {"automatic": true}})).await;
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/failovergroups.mainstay.dev";
    let mut object = get(&admin, crd).await.unwrap();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    *object.pointer_mut(spec).unwrap() = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    send(&admin, "PUT", crd, JSON, &object).await.unwrap();
    let begun = Instant::now();
    loop {
        group.patch(GROUP, &json!({"spec": {"fence": {"accept": ["SignerRefuses"]}}})).await;
        if group.get().await["spec"]["fence"].is_object() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    group.kill("a");
    group.delete_by_force("a").await;
    let order = group.switch(1, Some("b")).await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    // The watch of that moment still prunes the new field: it is the revocation's own event that cannot be read.
    println!("Ready: {:?}", group.says("Ready", "False Sealing").await);
    println!("the order: {}", get(&admin, &order).await.unwrap()["status"]);
    println!("{}", group.get().await["status"]["conditions"]);
    assert!(matches!(group.record().await.unwrap().phase, Phase::Revoking { blocked: None, .. }), "left as it is");
    assert!(!group.get().await["status"].to_string().contains("does not know the field"), "nobody is told why");
}
