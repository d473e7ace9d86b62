//! Machines that stop, and come back when nobody expects them.

use std::fs;

use mainstay::failover::{PATIENCE, Phase};

use super::{
    frozen::{Frozen, pause},
    group::{BLOCK, Group, within},
};
use crate::{
    rig::{pid_component, signal, wait},
    stage::SOON,
};

/// The gate of `a` is frozen, and its epoch is ended meanwhile: it knows nothing of that.
fn revoked_while_it_stands(group: &Group) -> Frozen {
    let gate = Frozen::gate(group, "a");
    group.order(&["failover", "val", "--to", "b", "--no-wait"]).expect("a failover");
    wait("the former holder to be revoked", SOON, || {
        group.record().filter(|record| matches!(record.phase, Phase::Revoking { .. }))
    })
    .expect("the record");
    gate
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_frozen_gate_that_wakes_in_the_middle_seals() {
    let group = Group::new("thawed", "gate thawed in the middle");
    group.blocks(4);
    let gate = revoked_while_it_stands(&group);
    gate.thaw();
    let handed = group.handed("b", 1);
    assert!(handed.after < i64::try_from(PATIENCE).expect("a time"), "it was not waited for: {} ms", handed.after);
    assert_eq!(handed.floor, handed.head, "sealed at what it had signed");
    group.is_innocent();
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_gate_that_was_frozen_for_a_minute_signs_nothing_of_the_next_epoch() {
    let group = Group::new("minute", "gate frozen for a minute");
    group.blocks(4);
    let gate = Frozen::gate(&group, "a");
    pause(20);
    group.order(&["failover", "val", "--to", "b"]).expect("a failover");
    let handed = group.handed("b", 1);
    group.waited_out(&handed);
    pause(30);
    let thawed = gate.thaw();
    pause(10);
    let late = group.signatures().into_iter().filter(|line| line.member == "a" && line.at > thawed);
    println!("gate frozen for a minute: it signed {} times after it woke", late.count());
    group.is_innocent();
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_killed_kubelet_changes_nothing() {
    let group = Group::new("kubelet", "kubelet killed");
    group.blocks(4);
    signal(pid_component("kubelet-1"), "KILL").expect("a signal");
    group.blocks(10);
    let lines = group.signatures();
    assert!(lines.iter().all(|line| line.epoch == 1 && line.boot == lines[0].boot), "the same process all along");
    assert_eq!(group.holes(), Vec::<u64>::new());
    group.order(&["failover", "val", "--to", "b"]).expect("a switch");
    within(&group.handed("b", 1), 5, 2, BLOCK);
    group.is_innocent();
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn while_the_api_server_is_away_it_signs_inside_its_window_and_goes_on_afterwards() {
    let group = Group::new("outage", "API server away");
    group.blocks(4);
    let server = Frozen::process(pid_component("kube-apiserver"));
    // A request that was answered just now may still be under way.
    let gone = pause(2);
    pause(118);
    let lines = group.signatures();
    let last = lines.iter().max_by_key(|line| line.height).expect("a signature").clone();
    let during = lines.iter().filter(|line| line.at > gone).map(|line| line.height);
    let during = during.collect::<std::collections::BTreeSet<_>>().len();
    let back = server.thaw();
    let ceiling = wait("the record", SOON, || group.record()).expect("a record").ceiling.0;
    assert!(during >= 3, "{during} heights were signed without it");
    assert!(last.at < gone + 60_000, "it stops where its window ends");
    let first = wait("it to sign again", SOON, || group.signatures().into_iter().find(|line| line.at > back));
    let first = first.expect("a signature");
    println!(
        "API server away: {during} heights signed without it, up to {}; {} ms after it is back it signs {} (ceiling then {ceiling})",
        last.height,
        first.at - back,
        first.height
    );
    assert_eq!(first.boot, last.boot, "the same process");
    assert!(first.at - back < 20_000);
    group.is_innocent();
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_killed_container_runtime_takes_its_gate_along_and_the_next_process_waits_for_its_window() {
    let group = Group::new("runtime", "containerd killed");
    group.blocks(4);
    let (before, gate) = (group.signatures(), group.pid("a", "gate"));
    let ceiling = group.record().expect("a record").ceiling.0;
    // The shim that holds the pod's containers dies with it: nothing of the runtime knows of them any more.
    let shim = parent(gate);
    for pid in [pid_component("containerd-1"), shim] {
        signal(pid, "KILL").expect("a signal");
    }
    let first = group.signs_anew(&before);
    let last = group.signatures().iter().filter(|line| line.boot == before[0].boot).map(|line| line.height).max();
    println!(
        "containerd killed: another process signs at {}, the last one was {last:?}, the ceiling then {ceiling}",
        first.height
    );
    assert_eq!((first.epoch, &first.pod_uid), (1, &before[0].pod_uid), "the same pod");
    group.order(&["failover", "val", "--to", "b"]).expect("a switch");
    within(&group.handed("b", 1), 5, 2, BLOCK);
    group.is_innocent();
}

/// The process that began this one.
fn parent(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    line.trim().parse().expect("a number")
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn while_the_api_server_is_away_in_the_middle_who_was_revoked_signs_only_what_it_owns() {
    let group = Group::new("middle", "API server away in the middle");
    group.blocks(4);
    let gate = revoked_while_it_stands(&group);
    let server = Frozen::process(pid_component("kube-apiserver"));
    // It wakes, and nobody tells it that it was revoked.
    let thawed = gate.thaw();
    pause(120);
    let during = group.signatures().into_iter().filter(|line| line.at > thawed);
    let during: std::collections::BTreeSet<_> = during.map(|line| line.height).collect();
    let back = server.thaw();
    let handed = group.handed("b", 1);
    println!(
        "API server away in the middle: the revoked one signed {} heights meanwhile, up to {:?}; the next one signs {} ms after \
         it is back",
        during.len(),
        during.last(),
        handed.first.at - back,
    );
    assert!(!during.is_empty(), "it does not know that it was revoked");
    assert!(during.last().is_some_and(|last| *last <= handed.floor), "{during:?} beyond {}", handed.floor);
    assert!(handed.first.at - back < 20_000);
    group.is_innocent();
}

// W05.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_pod_that_is_deleted_by_force_leaves_an_orphan_that_seals() {
    let group = Group::new("orphan", "pod deleted by force");
    group.blocks(4);
    let before = group.signatures();
    let kubelet = Frozen::process(pid_component("kubelet-1"));
    group.stage.kubectl(&["delete", "pod", "a-0", "--force", "--grace-period=0"]);
    wait("the orphan's epoch to be over", SOON, || {
        group.record().filter(|record| record.tenure.epoch.0 > 1 || matches!(record.phase, Phase::Fenced(_)))
    })
    .expect("the end of an epoch");
    kubelet.thaw();
    let handed = group.handed("a", 1);
    assert_ne!(handed.first.pod_uid, before[0].pod_uid, "its twin is somebody else");
    group.is_innocent();
}

// W10.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn who_has_lost_its_state_waits_for_the_rest_of_its_window() {
    let group = Group::new("lost", "state volume lost");
    group.blocks(4);
    let gate = Frozen::gate(&group, "a");
    let before = group.signatures();
    let ceiling = group.record().expect("a record").ceiling.0;
    // The log is the test's own: it is put aside, and everything of the gate is gone.
    let (state, aside) = (group.state("a"), group.state("a-lost"));
    fs::create_dir_all(&aside).expect("a folder");
    for entry in fs::read_dir(&state).expect("a state").flatten() {
        let path = entry.path();
        if path.ends_with("signatures.log") {
            fs::rename(&path, aside.join("signatures.log")).expect("a log");
        } else {
            fs::remove_file(&path).expect("a file");
        }
    }
    gate.kill();
    let first = group.signs_anew(&before);
    let last = before.iter().map(|line| line.height).max();
    println!(
        "state volume lost: signs again at {}, the last one was {last:?}, the ceiling {ceiling}",
        first.height
    );
    assert!(first.height > ceiling, "{} is not above {ceiling}", first.height);
    assert_eq!(first.epoch, 1);
    group.is_innocent();
}
