//! What an enemy finds round the protocol. Each test passes while the hole is open, and says what should be so instead.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay::{
    failover::{
        Activation, Boot, Epoch, Event, HandOver, Height, Holder, Phase, Pod, Record, Timing,
        gate::{Launcher, Me},
        latch::LATCH,
        orders::{Fate, Order, Wish, fate},
        step,
    },
    gate::registry::{Identity, Registry},
};
use serde_json::{Value, json};

use crate::{
    group::{GROUP, Group},
    refusals::merge,
    stage::{JSON, KEY, MERGE, NAMESPACE, Stage, create, get, send, set, try_to},
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

/// The record says that 115 was signed. A stale state file says 101, and is believed: 102 to 115 are owned twice.
#[test]
fn pure_an_adoption_below_a_seal_is_taken() {
    let sealed = Record { ceiling: Height(120), sealed: Some(Height(115)), ..offered(HandOver::Gate) };
    for record in [sealed.clone(), step(&step(&sealed, Event::Wanted { epoch: Epoch(4) }).0, Event::Found {
        proof: None, share: mainstay::failover::Share::Unknown, waited: 0 }).0]
    {
        let Fate::Take(event) = fate(Some(&record), &adopt(101)) else { panic!("refused, as it should be") };
        let adopted = step(&record, event).0;
        println!("sealed at 115, adopted with 101: the next epoch signs above {}", adopted.floor.0);
        assert_eq!(adopted.floor, Height(101));
    }
    // The very same knowledge in another field is not given up.
    let lowered = Record { ceiling: Height(115), lowered: true, ..offered(HandOver::Gate) };
    assert!(matches!(fate(Some(&lowered), &adopt(101)), Fate::Refused(_)));
}

/// A launcher's epoch is bounded by time and by proof, and by no height: any floor passes.
#[test]
fn pure_an_adoption_ends_a_launchers_epoch_while_it_runs() {
    let hand_over = HandOver::Launcher(Timing { hold: 600_000, drift: 10, margin: 5_000 });
    for way in [hand_over, HandOver::Label, HandOver::Job] {
        let record = offered(way);
        let Fate::Take(event) = fate(Some(&record), &adopt(100)) else { panic!("refused, as it should be") };
        let adopted = step(&record, event).0;
        assert!(matches!(adopted.phase, Phase::Fenced(_)), "somebody else may be activated at once");
    }
}

/// The same through the commands: b is given the place in seconds, while the wait for a's hold is 35.6 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn launcher_adopted_while_it_runs() {
    let group = Group::new().await;
    group.patch(GROUP, &json!({"spec": {"automatic": true, "handover": {"gate": null, "launcher": {"hold": "10m"}}}})).await;
    let pod = format!("/api/v1/namespaces/{NAMESPACE}/pods/val-a-0");
    group.patch(&pod, &json!({"metadata": {"finalizers": [LATCH]}})).await;
    let _operator = group.stage.server.operator_of_groups("one");
    let mut init = group.stage.server.mainstay(&INIT).spawn().unwrap();
    let a = group.until("offer", |of| matches!(&of.phase, Phase::Active(_)).then(|| of.holder().unwrap().pod.clone())).await;
    let identity = Identity::new(group.stage.client_of(&a).await, KEY);
    let me = Me { pod: a.clone(), boot: Boot(7) };
    let seen = identity.read().await.unwrap();
    let (mut launcher, claim) = Launcher::new(me).seen(seen.record.as_ref().unwrap(), 0);
    let written = identity.write(&seen, &claim.unwrap()).await.unwrap().record.unwrap();
    launcher = launcher.seen(&written, 0).0;
    launcher.runs = true;
    init.wait().unwrap();
    // Its node is cut off now: it hears nothing more, and its command runs for ten minutes.
    send(&group.stage.server.client, "DELETE", &pod, JSON, &json!({"gracePeriodSeconds": 0})).await.unwrap();
    group.until("revocation", |of| matches!(of.phase, Phase::Revoking { .. }).then_some(())).await;
    let begun = Instant::now();
    let said = group.ordered(&["adopt", "val", "-n", NAMESPACE, "--head", "1", "--assert", "I believe so"]).await;
    let next = group.until("the next holder", |of| of.holder().filter(|_| of.tenure.epoch.0 > 1).map(|of| of.pod.clone())).await;
    println!("{said}{} holds the place {:?} after the order", next.member, begun.elapsed());
    println!("a's command may run still: {}", launcher.may_run(599_000));
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("what is left of the evidence: {:?}", get(&group.stage.server.client, &pod).await.map(|_| "the pod"));
    assert!(launcher.may_run(599_000) && begun.elapsed() < Duration::from_secs(30));
}

/// A key manager's epoch is followed by a launcher's without a person's word, though the documentation says that it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn keymanager_becomes_launcher() {
    let group = Group::new().await;
    group.patch(GROUP, &json!({"spec": {"handover": {"gate": null, "keymanager": {}}}})).await;
    let _operator = group.stage.server.operator_of_groups("one");
    let mut init = group.stage.server.mainstay(&INIT).spawn().unwrap();
    let a = group.until("offer", |of| matches!(&of.phase, Phase::Active(_)).then(|| of.holder().unwrap().pod.clone())).await;
    let identity = Identity::new(group.stage.client_of(&a).await, KEY);
    let seen = identity.read().await.unwrap();
    let (launcher, claim) = Launcher::new(Me { pod: a.clone(), boot: Boot(7) }).seen(seen.record.as_ref().unwrap(), 0);
    identity.write(&seen, &claim.unwrap()).await.unwrap();
    init.wait().unwrap();
    group.patch(GROUP, &json!({"spec": {"handover": {"keymanager": null, "launcher": {"hold": "20s"}}}})).await;
    let order = group.switch(1, Some("b")).await;
    group.until("revocation", |of| matches!(of.phase, Phase::Revoking { .. }).then_some(())).await;
    let seen = identity.read().await.unwrap();
    let seal = launcher.retired().seen(seen.record.as_ref().unwrap(), 0).1.unwrap();
    identity.write(&seen, &seal).await.unwrap();
    let second = group.until("epoch 2", |of| (of.tenure.epoch.0 == 2).then(|| of.clone())).await;
    println!("{order}: epoch 2 of {:?}: {:?}, adopted {:?}", second.holder().unwrap().pod.member, second.hand_over, second.adopted);
    assert_ne!(second.adopted, second.tenure.epoch, "nobody has given a word");
}

/// Rights on these, in the namespace, for the account val-a.
async fn may(group: &Group, resources: &[&str], verbs: &[&str]) -> kube::Client {
    let admin = &group.stage.server.client;
    let name = resources[0];
    create(admin, &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "rules": [{"apiGroups": ["mainstay.dev"], "resources": resources, "verbs": verbs}]})).await;
    create(admin, &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "dev", "namespace": NAMESPACE}]})).await;
    create(admin, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dev", "namespace": NAMESPACE}})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    group.stage.account("dev", None).await
}

/// Who may write a group needs no right `failover` to have its place moved; and the group says of a living pod that it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn group_writer_fails_over() {
    let group = Group::new().await;
    let dev = may(&group, &["failovergroups"], &["get", "patch"]).await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    let only_b = json!({"spec": {"members": [{"name": "b", "statefulSet": "val-b"}]}});
    send(&dev, "PATCH", GROUP, MERGE, &only_b).await.unwrap();
    let said = group.says("Ready", "False HolderGone").await;
    let pod = get(&group.stage.server.client, &format!("/api/v1/namespaces/{NAMESPACE}/pods/val-a-0")).await.unwrap();
    let before = group.chain.last(1).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = group.chain.last(1).unwrap();
    println!("said: {said}; the pod is {}; it signed {} and {}", pod["status"]["phase"], before.height, after.height);
    assert!(said.contains("a is no member of this group any more") && after.height > before.height);
    send(&dev, "PATCH", GROUP, MERGE, &json!({"spec": {"automatic": true}})).await.unwrap();
    let (second, _) = group.signs("b", 2).await;
    println!("moved without the verb: {:?}; orders: {:?}", second.phase, group.outcomes().await);
}

/// A mistyped order, and one to a group that is Invalid, are not answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn orders_that_nobody_answers() {
    let group = Group::new().await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    let mut order = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder",
        "metadata": {"name": "typo", "namespace": NAMESPACE},
        "spec": {"identity": format!("{}0", &KEY[..KEY.len() - 1]), "epoch": 1, "by": "admin", "failover": {}}});
    create(&group.stage.server.client, &order).await;
    order["metadata"]["name"] = json!("x");
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

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = set("a");
    object["metadata"]["name"] = json!("val-c");
    change(&mut object);
    object
}

fn gate(set: &mut Value) -> &mut Value {
    let first = set["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap();
    first.iter_mut().find(|one| one["name"] == "gate").unwrap()
}

fn env(value: &Value) -> Value {
    changed(|set| set["spec"]["template"]["spec"]["containers"][0]["env"] = json!([value]))
}

fn line(line: &str) -> Value {
    changed(|set| set["spec"]["template"]["spec"]["containers"][0]["args"] = json!([line]))
}

/// What the API server takes although the documentation says that it is refused, and refuses although it is right.
#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn admission_walked_round() {
    let stage = Stage::new().await;
    let admin = &stage.server.client;
    let wide = "GAIAD_CONSENSUS_DOUBLE_SIGN_CHECK_HEIGHT";
    let mut fake = Stage::pod("a", "0d2d9ab5-9b4e-4a5f-8a57-4a1f7f1f7f10");
    fake["metadata"]["ownerReferences"][0]["apiVersion"] = json!("example.org/v1");
    fake["metadata"]["labels"].as_object_mut().unwrap().remove("apps.kubernetes.io/pod-index");
    fake["metadata"]["name"] = json!("by-hand");
    let table = [
        ("a pod by hand with an owner of another StatefulSet kind", fake),
        ("env 0x5", env(&json!({"name": wide, "value": "0x5"}))),
        ("env ' 5'", env(&json!({"name": wide, "value": " 5"}))),
        ("env +5", env(&json!({"name": wide, "value": "+5"}))),
        ("env from a ConfigMap", env(&json!({"name": wide, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}))),
        ("single quotes", line("sed -i \"s/^double_sign_check_height.*/double_sign_check_height = '10'/\" x; exec n")),
        ("option in single quotes", line("exec n --consensus.double_sign_check_height '10'")),
        ("option with an escaped quote", line("exec n --consensus.double_sign_check_height=\\\"10\\\"")),
        ("a tab", line("printf 'double_sign_check_height\t=\t10' >> config.toml")),
        ("a state that climbs out", changed(|set| {
            let args = gate(set)["args"].as_array_mut().unwrap();
            let at = args.iter().position(|word| word.as_str().unwrap().starts_with("--state=")).unwrap();
            args[at] = json!("--state=/state/../gate/state");
        })),
        ("a set whose first pod is the second", changed(|set| set["spec"]["ordinals"] = json!({"start": 1}))),
        ("a set that deletes its state when it is stopped", changed(|set| {
            set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Delete", "whenDeleted": "Delete"});
        })),
        ("a second gate in a shell", changed(|set| {
            let twin = json!({"name": "twin", "image": "mainstay", "command": ["sh", "-c", "exec mainstay gate --identity x"]});
            set["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(twin);
        })),
        ("a key of the node itself beside the gate (secret mounted into the node)", changed(|set| {
            let mounts = set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap();
            mounts.push(json!({"name": "secret", "mountPath": "/home/node/config/real"}));
        })),
        ("RIGHT: a mount with a slash at its end", changed(|set| {
            let mounts = gate(set)["volumeMounts"].as_array_mut().unwrap();
            mounts.iter_mut().find(|mount| mount["name"] == "state").unwrap()["mountPath"] = json!("/state/");
        })),
        ("RIGHT: the state on /", changed(|set| {
            let args = gate(set)["args"].as_array_mut().unwrap();
            let at = args.iter().position(|word| word.as_str().unwrap().starts_with("--state=")).unwrap();
            args[at] = json!("--state=/state/");
        })),
        ("RIGHT: words after a comment", line("# double_sign_check_height must be 0; 1 would halt\nexec n --consensus.double_sign_check_height 0 --p2p.laddr tcp://0.0.0.0:1")),
        ("RIGHT: height 0 and port", line("exec n --consensus.double_sign_check_height=0 --x 1")),
    ];
    for (title, object) in table {
        println!("{title}: {}", try_to(admin, &object).await.map_or_else(|error| format!("REFUSED {error}"), |_| "taken".into()));
    }
    // The record of an epoch without a gate.
    let a = stage.start("a").await;
    let client = stage.client_of(&a).await;
    stage.operator(|_| Record::adopted(Epoch(0), Activation(1), Height(100))).await;
    let offer = |hand_over| Event::Offered { pod: Arc::new(a.clone()), activation: Activation(2), hand_over };
    for (epoch, way) in [(1, HandOver::Job), (3, HandOver::Label), (5, HandOver::Gate)] {
        let record = stage.step(offer(way)).await;
        assert_eq!(record.tenure.epoch.0, epoch);
        let tries = [
            ("claim", json!({"holder": {"bootId": "0".repeat(32)}, "claims": 1})),
            ("raise without a claim", json!({"ceiling": 1_000})),
            ("seal without a claim", json!({"sealed": 100})),
        ];
        for (title, patch) in tries {
            let mut object = stage.identity().await;
            merge(&mut object["status"], &patch);
            let path = format!("{}?dryRun=All", Stage::record_path());
            let answer = send(&client, "PUT", &path, JSON, &object).await;
            println!("{way:?} {title}: {}", answer.map_or_else(|_| "REFUSED".to_owned(), |_| "taken".into()));
        }
        stage.step(Event::Adopted { above: Epoch(epoch), floor: Height(100), activation: Activation(40 + u128::from(epoch)) }).await;
    }
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
        let Fate::Take(event) = fate(Some(&record), &order(activation)) else { panic!("refused, as it should be") };
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

/// One digit too many in `--head`: nothing signs until the chain is there, and no later word is heard, though it is answered.
#[test]
fn pure_a_floor_is_never_lowered() {
    let record = offered(HandOver::Gate);
    let Fate::Take(event) = fate(Some(&record), &adopt(212_345_678)) else { panic!("not taken") };
    let typo = step(&record, event).0;
    let better = Order { epoch: typo.tenure.epoch, activation: Activation(10), ..adopt(21_234_567) };
    let Fate::Take(event) = fate(Some(&typo), &better) else { panic!("refused, which would be honest") };
    let after = step(&typo, event).0;
    let Fate::Done(why) = fate(Some(&after), &better) else { panic!("not done") };
    println!("ordered 21234567: {why}");
    assert_eq!(after.floor, Height(212_345_678));
}
