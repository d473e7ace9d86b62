//! A launcher starts a real validator with its key, and ends it.

use std::time::Duration;

use mainstay::failover::{Phase, Proof};

use super::super::{
    frozen::{Frozen, pause},
    group::{BLOCK, Group, within},
    keys::{Watch, furnish},
    shape::Shape,
};
use crate::{
    rig::{pid_component, signal, wait},
    sink::Sink,
    stage::{LATER, SOON},
};

/// How long an operator waits beside a proof where the hold is 20 s (milliseconds).
const WAIT: i64 = 25_000;

/// A chain of four validators, and a fifth that a launcher starts at `a`.
fn launched(name: &str, said: &'static str, helm: &[&str]) -> (Group, Watch) {
    let watch = Watch::over(&format!("e2e-{name}"));
    let group = Group::shaped(name, said, helm, Shape::Launched, furnish);
    group.begin();
    (group, watch)
}

/// Orders a switch, and waits for no more than that. Its kubelet lets a container rest that has ended, and nobody who rests
/// is fit.
fn order(group: &Group, to: &str) {
    wait(&format!("{to} to stand by"), LATER, || {
        group.pod(to)["status"]["containerStatuses"][0]["state"]["running"].is_object().then_some(())
    })
    .expect("a standby");
    group.order(&["failover", "val", "--to", to, "--no-wait"]).expect("an order");
}

/// Waits until a person is called about the first epoch, for this reason.
fn calls(sink: &Sink, group: &Group, reason: &str, within: Duration) {
    let alert = format!("\"failover/{}/1/{reason}\"", group.identity);
    wait("a person to be called", within, || sink.alerts().contains(&alert).then_some(())).expect("a page");
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_launched_validator_is_moved_there_and_back() {
    let (group, watch) = launched("launched", "launcher", &[]);
    for (member, epoch) in [("b", 1), ("a", 2)] {
        group.blocks(4);
        wait("its place", SOON, || (group.epoch() == epoch).then_some(())).expect("an epoch");
        order(&group, member);
        let handed = group.handed(member, epoch);
        // A node has to stop, and another one to start and to catch up.
        within(&handed, 30, 2, BLOCK);
        let fenced = group.proof(epoch);
        assert_eq!(fenced, Some(Proof::SignerRefuses), "its own launcher saw the node end");
    }
    group.is_innocent_with(&watch);
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_frozen_machine_blocks_until_its_launcher_has_seen_the_node_end() {
    let sink = Sink::listen();
    let (group, watch) = launched("unproven", "launcher frozen", &["--set-json", &sink.values()]);
    group.blocks(4);
    let kubelet = Frozen::process(pid_component("kubelet-1"));
    let machine = Frozen::container(&group, "a", "node");
    order(&group, "b");
    let missing = group.blocked();
    println!("launcher frozen: {missing}");
    assert!(missing.contains("its pod is not being deleted"), "{missing}");
    calls(&sink, &group, "Proof", SOON);
    // Far beyond the hold: time alone is never enough.
    pause(15);
    assert_eq!(group.epoch(), 1);
    let signers: Vec<_> = watch.seen().alone.into_keys().collect();
    assert_eq!(signers, [("a".into(), "1".into())], "nobody went on");

    let thawed = machine.thaw();
    let handed = group.handed("b", 1);
    println!("launcher frozen: b signs {} ms after the machine went on", handed.first.at - thawed);
    kubelet.thaw();
    assert!(handed.after > WAIT, "{} ms", handed.after);
    assert_eq!(group.proof(1), Some(Proof::SignerRefuses), "sealed");
    let late = group.signatures().into_iter().filter(|line| line.epoch == 1 && line.at > thawed).count();
    println!("launcher frozen: the one that came back signed {late} times before it was ended");
    wait("that person to be told that it is over", SOON, || sink.is_over()).expect("an end");
    group.is_innocent_with(&watch);
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_pod_that_is_deleted_by_force_is_kept_until_its_end_is_proven() {
    let (group, watch) = launched("latched", "launcher deleted by force", &[]);
    group.blocks(4);
    let uid = |member: &str| group.pod(member)["metadata"]["uid"].clone();
    let delete = |member: &str| {
        let (former, pod) = (uid(member), format!("{member}-0"));
        // It would wait for the latch.
        group.stage.kubectl(&["delete", "pod", &pod, "--force", "--grace-period=0", "--wait=false"]);
        former
    };

    // Its kubelet hangs, so nobody tells the orphan; its launcher learns it from the record, and seals.
    let kubelet = Frozen::process(pid_component("kubelet-1"));
    let former = delete("a");
    wait("the orphan's epoch to be over", SOON, || (group.proof(1) == Some(Proof::SignerRefuses)).then_some(()))
        .expect("a seal");
    let twin = wait("its twin", SOON, || {
        let pod = group.pod("a");
        (pod["metadata"]["uid"].is_string() && pod["metadata"]["uid"] != former).then_some(pod)
    });
    let made: jiff::Timestamp = twin.expect("another pod")["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .expect("a time");
    let over = group
        .writes()
        .into_iter()
        .find(|write| matches!(write.record.phase, Phase::Fenced(_)) && write.record.tenure.epoch.0 == 1);
    // Of the twin whole seconds are known.
    assert!(
        over.is_some_and(|over| over.at < made.as_millisecond() + 1_000),
        "the twin came before the end was known"
    );
    kubelet.thaw();
    let handed = group.handed("a", 1);
    println!("launcher deleted by force: its orphan sealed; its twin signs after {} ms", handed.after);

    // Everything of it is frozen, and its kubelet is not: the kubelet's word, and the wait.
    group.blocks(4);
    order(&group, "b");
    group.handed("b", 2);
    group.blocks(4);
    let machine = Frozen::container(&group, "b", "node");
    let former = delete("b");
    let kept = group.pod("b")["metadata"].clone();
    assert!(kept["uid"] == former && kept["deletionTimestamp"].is_string(), "still in sight: {kept}");
    order(&group, "a");
    let handed = group.handed("a", 3);
    let found = group.proof(3);
    println!("launcher deleted by force: a frozen one was ended by its kubelet, after {} ms", handed.after);
    assert!(matches!(&found, Some(Proof::KubeletConfirmed(pod)) if former == pod.uid.as_str()), "{found:?}");
    assert!(handed.after >= WAIT, "{} ms", handed.after);
    wait("the latch to open", SOON, || (uid("b") != former).then_some(())).expect("another pod");
    drop(machine);
    group.is_innocent_with(&watch);
}

/// It was killed, and with it all that ran in its container, which nobody but the kubelet knows. The next process of the pod says so and
/// does not stay up.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_launcher_that_is_killed_is_told_and_followed_once_its_pod_has_ended() {
    let sink = Sink::listen();
    let (group, watch) = launched("lost", "launcher killed", &["--set-json", &sink.values()]);
    group.blocks(4);
    signal(group.pid("a", "node"), "KILL").expect("a signal");
    let why = wait("the group to say so", LATER, || {
        let [_, reason, message] = group.says("Ready");
        (reason == "NotUp").then_some(message)
    })
    .expect("a condition");
    println!("launcher killed: {why}");
    calls(&sink, &group, "Silent", LATER);
    assert_eq!((group.epoch(), group.proof(1)), (1, None), "nobody goes on for what nobody has seen end");

    group.stage.kubectl(&["delete", "pod", "a-0", "--wait=false"]);
    let handed = group.handed("a", 1);
    let found = group.proof(1);
    assert!(matches!(&found, Some(Proof::KubeletConfirmed(_))), "{found:?}");
    assert!(handed.after >= WAIT, "{} ms", handed.after);
    group.is_innocent_with(&watch);
}
