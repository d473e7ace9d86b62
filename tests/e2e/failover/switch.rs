//! The place changes hands.

use std::time::Duration;

use super::members::Members;
use crate::{
    rig::{now, pid, signal, wait},
    stage::SOON,
};

/// Milliseconds that two blocks take, on a machine that does other things.
const TWO_BLOCKS: i64 = 3_000;

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_planned_switch_takes_seconds_and_a_holder_that_vanishes_is_waited_out() {
    let members = Members::new("failover");
    let stage = &members.stage;

    // A planned switch: sealed, handed over, signed by the next one.
    let begun = now();
    println!("{}", members.order(&["failover", "--to", "b"]));
    let first = members.signing("b", begun);
    println!("planned switch: b signed height {} after {} ms", first.height, first.at - begun);
    assert!(first.at - begun <= 5_000 + TWO_BLOCKS, "{} ms", first.at - begun);
    let record = members.record();
    assert_eq!((record["phase"].as_str(), record["holder"]["member"].as_str()), (Some("Active"), Some("b")));
    members.judge();

    // The gate is killed: its successor in the same pod goes on, above all that may have been signed.
    let (before, gate) = (members.record(), pid_of_gate(stage, "member-b-0"));
    let begun = now();
    signal(gate, "KILL").expect("a signal");
    let again = members.signing_by_another(&first, begun);
    println!("gate killed: the next process signed height {} after {} ms", again.height, again.at - begun);
    assert_eq!(members.record()["epoch"], before["epoch"], "a restart of the gate is no new epoch");
    members.judge();

    // The pod is deleted by force: its twin is somebody else, and nothing is known of the old one.
    let begun = now();
    stage.kubectl(&["delete", "pod", "member-b-0", "--force", "--grace-period=0"]);
    let next = wait("somebody to sign in a new epoch", SOON, || {
        let lines = members.lines().into_iter().filter(|line| line.at > begun && line.epoch > again.epoch);
        lines.min_by_key(|line| line.at)
    })
    .unwrap_or_else(|why| panic!("{why}: {}\n{}", members.record(), members.logs()));
    println!("pod deleted by force: {} signed height {} after {} ms", next.member, next.height, next.at - begun);
    members.judge();
    assert_eq!(stage.forbidden(), Vec::<String>::new());
    std::thread::sleep(Duration::from_secs(5));
    members.judge();
}

/// The process of a gate, as the machine numbers it.
fn pid_of_gate(stage: &crate::stage::Stage, pod: &str) -> u32 {
    let node = pid(&stage.namespace, pod).expect("a process");
    let own = std::fs::read_to_string(format!("/proc/{node}/cgroup")).unwrap_or_default();
    // The gate is the other container of the pod: its cgroup has the same parent.
    let parent =
        own.trim().rsplit_once("::").map(|(_, path)| path.rsplit_once('/').map_or(path, |(parent, _)| parent));
    let parent = parent.expect("a cgroup").to_owned();
    for process in std::fs::read_dir("/proc").expect("processes").flatten() {
        let Some(other) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{other}/{file}")).unwrap_or_default();
        if read("cgroup").contains(&parent) && read("cmdline").contains("--identity") {
            return other;
        }
    }
    panic!("no gate beside {node} in {parent}")
}
