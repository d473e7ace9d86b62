//! The everyday ones: a switch that was ordered, a gate that dies, and a machine that does.

use super::{
    frozen::{Frozen, pause},
    group::{BLOCK, Group, within},
};
use crate::rig::signal;

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover"]
fn an_ordered_switch_takes_seconds_and_misses_next_to_nothing() {
    let group = Group::new("switch", "planned switch");
    for (member, epoch) in [("b", 1), ("a", 2)] {
        group.blocks(4);
        assert_eq!(group.epoch(), epoch);
        group.order(&["failover", "val", "--to", member]).expect("a switch");
        let handed = group.handed(member, epoch);
        within(&handed, 5, 2, BLOCK);
        assert_eq!(handed.floor, handed.head, "it was sealed at what it had signed");
        assert!(handed.missed <= 2, "{} blocks missed", handed.missed);
    }
    group.is_innocent();
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover"]
fn a_gate_that_is_killed_comes_back_and_waits_for_its_own_window() {
    let group = Group::new("killed", "gate killed");
    group.blocks(4);
    let before = group.signatures();
    let ceiling = group.record().expect("a record").ceiling.0;
    signal(group.pid("a", "gate"), "KILL").expect("a signal");
    let first = group.signs_anew(&before);
    assert_eq!((first.epoch, &first.pod_uid), (1, &before[0].pod_uid), "the same pod goes on in the same epoch");
    assert!(
        first.height > ceiling,
        "{} is not above what was confirmed to the one that died: {ceiling}",
        first.height
    );
    let last =
        group.signatures().into_iter().filter(|line| line.boot == before[0].boot).map(|line| line.height).max();
    println!("gate killed: it signs again at {}, the last one was {last:?}, the ceiling {ceiling}", first.height);
    group.is_innocent();
}

// W04.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover"]
fn a_frozen_machine_is_waited_out_and_comes_back_as_nobody() {
    let group = Group::new("frozen", "node frozen");
    group.blocks(4);
    let machine = Frozen::machine(&group, "a", 1);
    let ceiling = group.record().expect("a record").ceiling.0;
    group.order(&["failover", "val", "--to", "b"]).expect("a failover");
    let handed = group.handed("b", 1);
    assert_eq!(handed.floor, ceiling, "nobody has sealed");
    group.waited_out(&handed);
    // It may still sign what it owns, and nothing else.
    machine.thaw();
    pause(10);
    let late = group.signatures().into_iter().filter(|line| line.member == "a" && line.at > handed.decided);
    println!("node frozen: the one that came back signed {} times more", late.count());
    let record = group.record().expect("a record");
    let holder = record.holder().map(|holder| holder.pod.member.as_str());
    assert_eq!((record.tenure.epoch.0, holder), (handed.first.epoch, Some("b")), "nobody has failed back");
    group.is_innocent();
}
