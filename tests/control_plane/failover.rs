//! The whole operator at a real API server, with the rights and the policies of the chart, and no machine anywhere: the place of
//! a validator changes hands, and no height is signed twice.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use mainstay::failover::{Height, PATIENCE, Phase, Record};
use serde_json::json;

use crate::{
    group::{GROUP, Group, NAMESPACE_OF, SOON},
    stage::{KEY, MERGE, NAMESPACE, send},
    validator::Signature,
};

const INIT: [&str; 6] = ["init", "val", "-n", NAMESPACE, "--assert", "the key was made today"];
const SWITCH: [&str; 4] = ["failover", "val", "-n", NAMESPACE];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn the_place_changes_hands_as_it_is_ordered() {
    let group = Group::new().await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.says("Ready", "False NotBegun").await;
    group.refused(&SWITCH, "no record").await;

    let said = group.ordered(&INIT).await;
    assert!(said.contains("by admin") && said.contains("Done"), "{said}");
    let (first, _) = group.signs("a", 1).await;
    assert_eq!((first.floor, first.adopted.0), (Height(0), 0));
    group.says("Ready", "True Held").await;
    group.says("Signing", "True Held").await;
    // What is said of the window holds nothing up.
    let wide = group.says("WideWindow", "True NearJail").await;
    assert!(wide.contains("jails after 100 misses") && wide.contains("a window of 10 at most"), "{wide}");
    let version = async || group.get().await["metadata"]["resourceVersion"].clone();
    let before = version().await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(version().await, before, "what says nothing new is not written");
    group.refused(&INIT, "no new key").await;

    // To b, and it waits for nothing: the former holder has sealed.
    let said = group.ordered(&[&SWITCH[..], &["--to", "b"]].concat()).await;
    assert!(said.contains("b holds the place in epoch 2"), "{said}");
    let (second, height) = group.signs("b", 2).await;
    let last = group.chain.last(1).unwrap();
    assert_eq!((last.member.as_str(), Height(last.height)), ("a", second.floor), "its floor is what was signed");
    println!("switch: epoch 1 ended at {}, the first signature of epoch 2 at {height}", last.height);
    orders_that_change_nothing(&group, &second).await;

    // Two at once: the first is carried out, and the second is told who has it.
    let orders = [group.switch(2, Some("a")).await, group.switch(2, None).await];
    group.signs("a", 3).await;
    assert_eq!(group.answer(&orders[0]).await.0, "Done");
    let (outcome, why) = group.answer(&orders[1]).await;
    assert!(outcome == "Done" || why.contains("comes late"), "{outcome}: {why}");

    // A holder is restarted by a switch to itself.
    group.ordered(&[&SWITCH[..], &["--to", "a"]].concat()).await;
    let (fourth, _) = group.signs("a", 4).await;
    let adopt = |head: u64| {
        let head = head.to_string();
        let adopt = ["adopt", "val", "-n", NAMESPACE, "--head", &head, "--assert", "all are off"];
        adopt.map(ToOwned::to_owned)
    };
    let of = |epoch: &str, head: u64| [&adopt(head)[..], &["--epoch".into(), epoch.into()]].concat();
    // Who adopts a record says that it was looked at.
    let said = group.order(&adopt(1)).await;
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && why.contains("epoch 4 is Active") && why.contains("--epoch 4"), "{why}");
    let head = fourth.ceiling.0 + 1_000;
    group.ordered(&of("4", head)).await;
    let adopted = group.until("adoption", |of| (of.tenure.epoch.0 == 6).then(|| of.clone())).await;
    assert_eq!((adopted.adopted.0, adopted.floor.0), (5, head + 21));
    group.refused(&of("3", head + 1_000), "comes late").await;
    group.chain.is_innocent();
    let outcomes = group.outcomes().await;
    assert!(outcomes.iter().all(|outcome| outcome == "Done" || outcome == "Refused"), "{outcomes:?}");
}

/// What comes late, is about nobody, or about somebody who cannot go on, changes nothing; nobody is revoked for it.
async fn orders_that_change_nothing(group: &Group, second: &Record) {
    let late = group.switch(1, Some("a")).await;
    let (outcome, why) = group.answer(&late).await;
    assert!(outcome == "Refused" && why.contains("comes late"), "{outcome}: {why}");
    group.refused(&[&SWITCH[..], &["--to", "c"]].concat(), "no member c").await;
    let pod = format!("/api/v1/namespaces/{NAMESPACE}/pods/val-a-0/status");
    group.patch(&pod, &json!({"status": {"phase": "Pending"}})).await;
    group.refused(&SWITCH, "its pod is Pending").await;
    group.patch(&pod, &json!({"status": {"phase": "Running"}})).await;
    let release = ["release", "val", "-n", NAMESPACE, "--pod", "u1", "--assert", "it is off"];
    let said = group.order(&release).await;
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && why.contains("nobody waits for the pod u1: epoch 2 is Active"), "{why}");
    let now = group.record().await.unwrap();
    assert_eq!((now.tenure, &now.phase), (second.tenure, &second.phase));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_holder_that_vanishes_is_waited_for_as_long_as_it_may_sign() {
    let mut group = Group::new().await;
    group.patch(GROUP, &json!({"spec": {"automatic": true}})).await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;

    // While the emergency stop is pulled, nobody is moved.
    let stop = format!("{NAMESPACE_OF}/configmaps/mainstay-stop");
    group.patch(&stop, &json!({"metadata": {"annotations": {"mainstay.dev/stop": "a drill"}}})).await;
    group.kill("a");
    group.delete_by_force("a").await;
    group.says("Ready", "False HolderGone").await;
    group.says("Signing", "Unknown HolderGone").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let frozen = group.record().await.unwrap();
    assert_eq!((frozen.tenure.epoch.0, matches!(frozen.phase, Phase::Active(_))), (1, true));

    group.patch(&stop, &json!({"metadata": {"annotations": null}})).await;
    group.until("revocation", |of| matches!(of.phase, Phase::Revoking { .. }).then_some(())).await;
    let begun = Instant::now();
    let (second, height) = group.signs("b", 2).await;
    let waited = begun.elapsed();
    assert_eq!(second.floor, frozen.ceiling, "no gate has sealed: its window counts");
    assert!(Height(height) > frozen.ceiling);
    assert!(waited.as_millis() + 1_000 > u128::from(PATIENCE), "{waited:?}");
    println!("vanished: {waited:?} from revoked to the first signature, above {}: {height}", frozen.ceiling.0);

    // Its twin is a standby, and stays one until somebody wants more.
    let twin = group.start("a").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(group.record().await.unwrap().tenure, second.tenure);
    group.ordered(&SWITCH).await;
    let (third, _) = group.signs("a", 3).await;
    assert!(matches!(&third.phase, Phase::Active(holder) if holder.pod.uid == twin.uid));
    group.chain.is_innocent();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_twin_goes_on_by_itself_and_nobody_else_does() {
    let mut group = Group::new().await;
    let operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    // A place that hangs: nobody has claimed it, so nothing but the twin's uid tells the two apart.
    group.kill("a");
    group.delete_by_force("a").await;
    group.says("Ready", "False HolderGone").await;

    // The operator that saw who held the place is gone before the twin is there.
    drop(operator);
    group.free_the_lease().await;
    group.start("a").await;
    let _operator = group.stage.server.operator_of_groups("two");
    let (second, height) = group.signs("a", 2).await;
    assert!(Height(height) > second.floor);
    assert!(group.chain.signatures().iter().all(|of| of.member == "a"));
    group.chain.is_innocent();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_key_that_the_chain_needs_is_released_by_a_person() {
    let mut group = Group::new().await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    group.node.power.store(34, Ordering::SeqCst);
    group.kill("a");
    let order = group.switch(1, Some("b")).await;
    let why = group.says("Blocked", "True ChainNeedsUs").await;
    let uid = group.record().await.unwrap().holder().unwrap().pod.uid.clone();
    assert!(why.contains(&format!("mainstay release val -n {NAMESPACE} --pod {uid} --epoch 1")), "{why}");
    group.says("Ready", "False ChainNeedsUs").await;
    group.says("Signing", "Unknown Frozen").await;
    let blocked = group.record().await.unwrap();
    assert!(matches!(blocked.phase, Phase::Revoking { blocked: Some(_), .. }));

    let word = ["--epoch", "1", "--assert", "its machine is off"];
    let release = |uid: &str| [&["release", "val", "-n", NAMESPACE, "--pod", uid][..], &word].concat().join("\n");
    let wrong = group.order(&release("u9").split('\n').collect::<Vec<_>>()).await;
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains(&uid), "another pod");
    let said = group.ordered(&release(&uid).split('\n').collect::<Vec<_>>()).await;
    assert!(said.contains("epoch 1 is over"), "{said}");
    let (second, height) = group.signs("b", 2).await;
    assert_eq!(second.floor, blocked.ceiling);
    assert!(Height(height) > blocked.ceiling);
    assert_eq!(group.answer(&order).await.0, "Done");
    group.says("Blocked", "False Nothing").await;

    // One that the chain turns out not to need goes on by itself.
    group.kill("b");
    group.switch(2, Some("a")).await;
    group.until("lock", |of| matches!(of.phase, Phase::Revoking { blocked: Some(_), .. }).then_some(())).await;
    group.node.power.store(33, Ordering::SeqCst);
    group.until("epoch 3", |of| (of.tenure.epoch.0 == 3).then_some(())).await;
    group.chain.is_innocent();
}

/// The runbook of `ChainNeedsUs`, command by command: the machine is gone, and its volume is in a person's hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_key_that_the_chain_needs_goes_on_after_the_state_of_a_pod_that_is_gone() {
    let mut group = Group::new().await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    group.node.power.store(34, Ordering::SeqCst);
    // The last block that it signed is the chain's last, and much of its window is left.
    group.chain.needs_us.store(true, Ordering::SeqCst);
    group.kill("a");
    group.delete_by_force("a").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    group.switch(1, Some("b")).await;
    let why = group.says("Blocked", "True ChainNeedsUs").await;
    let blocked = group.record().await.unwrap();
    let uid = blocked.holder().unwrap().pod.uid.clone();
    assert!(why.contains(&format!("mainstay adopt val -n {NAMESPACE} --pod {uid} --epoch 1 --state")), "{why}");

    let last = group.chain.last(1).unwrap().height;
    assert!(Height(last) < blocked.ceiling, "some of its window is left");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("signatures.log");
    let line = |of: Signature| {
        let line = json!({"at": 1, "member": of.member, "podUid": uid, "boot": "b", "epoch": of.epoch, "activation": "c",
            "height": of.height, "round": 0, "type": "precommit", "block": null, "timestamp": 2});
        format!("{line}\n")
    };
    std::fs::write(&log, group.chain.signatures().into_iter().map(line).collect::<String>()).unwrap();
    let log = log.to_str().unwrap();
    let adopt = |uid: &str| {
        let words =
            ["adopt", "val", "-n", NAMESPACE, "--pod", uid, "--epoch", "1", "--state", log, "--assert", "burnt"];
        words.map(ToOwned::to_owned)
    };
    group.refused(&adopt("u9"), "the pod u9 does not hold it").await;
    let said = group.ordered(&adopt(&uid)).await;
    assert!(said.contains(&format!("epoch 2 has begun, above {last}")), "{said}");
    // A group that is not automatic gives the place to another member on a person's word alone.
    group.ordered(&[&SWITCH[..], &["--to", "b"]].concat()).await;
    let (third, height) = group.signs("b", 3).await;
    assert_eq!((third.floor, third.adopted.0), (Height(last), 2));
    assert!(Height(height) > third.floor && Height(height) <= blocked.ceiling, "{height}");
    group.refused(&adopt(&uid), "comes late").await;
    group.says("Blocked", "False Nothing").await;
    group.chain.is_innocent();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_member_without_a_pod_is_passed_over() {
    let mut group = Group::new().await;
    group.kill("a");
    group.delete_by_force("a").await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    let (first, _) = group.signs("b", 1).await;
    group.refused(&[&SWITCH[..], &["--to", "a"]].concat(), "no member a with a pod").await;
    group.refused(&SWITCH, "no other member has a pod").await;
    assert_eq!(group.record().await.unwrap().tenure, first.tenure, "nobody is revoked for nobody");
    let members = group.get().await["status"]["members"].clone();
    assert_eq!((&members[0]["fit"], &members[0]["message"]), (&json!(false), &json!("it has no pod")));
    assert_eq!(members[1]["fit"], true);

    // It is preferred to b, and has to be asked for all the same.
    group.start("a").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(group.record().await.unwrap().tenure, first.tenure);
    group.ordered(&SWITCH).await;
    group.signs("a", 2).await;
    group.chain.is_innocent();
}

/// What is no record is no reason to guess: nothing moves until a person vouches for everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_record_that_cannot_be_read_is_adopted_or_left_alone() {
    let group = Group::new().await;
    let _operator = group.stage.server.operator_of_groups("one");
    group.ordered(&INIT).await;
    let (first, _) = group.signs("a", 1).await;
    let own = group.stage.server.own_account();
    let status = format!("/apis/mainstay.dev/v1alpha1/signingidentities/{KEY}/status");
    let spoilt = send(&own, "PATCH", &status, MERGE, &json!({"status": {"holder": null}})).await.unwrap();
    let why = group.says("Invalid", "True BrokenRecord").await;
    assert!(why.contains("status.phase"), "{why}");
    group.says("Ready", "False BrokenRecord").await;
    group.refused(&SWITCH, "status.phase").await;
    group.refused(&INIT, "status.phase").await;
    let now = group.stage.identity().await;
    assert_eq!(now["metadata"]["resourceVersion"], spoilt["metadata"]["resourceVersion"], "nobody writes it");

    let head = (first.ceiling.0 + 1_000).to_string();
    let adopt = ["adopt", "val", "-n", NAMESPACE, "--head", &head, "--epoch", "1", "--assert", "all are off"];
    group.ordered(&adopt).await;
    let adopted = group.until("adoption", |of| (of.tenure.epoch.0 == 3).then(|| of.clone())).await;
    assert_eq!((adopted.adopted.0, adopted.floor.0), (2, first.ceiling.0 + 1_021));
    group.says("Invalid", "False Valid").await;
    group.chain.is_innocent();
}

/// C02: what one decided before it lost the lead carries the version that it read, and changes nothing after another's write.
/// Operators that are killed with every change of the record that is seen, two of them at any time, and both lead now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn operators_that_come_and_go_change_nothing() {
    const SWITCHES: u64 = 3;
    let group = Group::new().await;
    let operator = |name: u64| group.stage.server.operator_of_groups(&name.to_string());
    let (mut operators, mut names) = (vec![operator(0), operator(1)], 2);
    group.ordered(&INIT).await;
    group.signs("a", 1).await;
    for epoch in 1..=SWITCHES {
        let to = if epoch % 2 == 1 { "b" } else { "a" };
        let order = group.switch(epoch, Some(to)).await;
        let (mut before, begun) = (group.record().await.unwrap(), Instant::now());
        while before.tenure.epoch.0 <= epoch {
            let now = group.record().await.unwrap();
            let stands = |of: &Record| (of.tenure, std::mem::discriminant(&of.phase));
            if stands(&now) != stands(&before) {
                operators.clear();
                group.free_the_lease().await;
                operators.extend([operator(names), operator(names + 1)]);
                names += 2;
            } else if begun.elapsed().as_millis() % 3_000 < 100 {
                group.free_the_lease().await;
            }
            before = now;
            assert!(begun.elapsed() < SOON, "{before:?}\n{}", group.stage.server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        group.signs(to, epoch + 1).await;
        assert_eq!(group.answer(&order).await.0, "Done");
    }
    let deaths = names - 2;
    println!("operators: {deaths} were killed in {SWITCHES} switches");
    assert!(deaths >= 2 * SWITCHES, "{deaths}");
    let outcomes = group.outcomes().await;
    assert!(outcomes.iter().all(|outcome| outcome == "Done"), "{outcomes:?}");
    group.chain.is_innocent();
}
