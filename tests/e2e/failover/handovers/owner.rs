//! The owner's own job moves a real validator: it says whom the key belongs to, and whether the former holder has stopped.

use std::fs;

use mainstay::failover::Proof;

use super::super::{
    frozen::{Frozen, pause},
    group::{BLOCK, Group, within},
    keys::{Watch, furnish},
    shape::Shape,
};
use crate::{
    rig::{apply, wait},
    sink::Sink,
    stage::SOON,
};

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn the_owner_s_job_moves_a_validator_and_what_it_cannot_show_blocks() {
    let sink = Sink::listen();
    let helm = ["--set", "jobs.enabled=true", "--set-json", &sink.values()];
    let watch = Watch::over("e2e-owned");
    let group = Group::shaped("owned", "job", &helm, Shape::Owned, furnish);
    let cron_job = group.filled(include_str!("job.yaml")).replace("@namespace", &group.stage.namespace);
    apply(&cron_job).expect("a CronJob");
    group.begin();
    group.blocks(4);

    // It succeeds, which is the owner's word.
    group.order(&["failover", "val", "--to", "b"]).expect("a switch");
    let handed = group.handed("b", 1);
    within(&handed, 30, 2, BLOCK);
    assert_eq!(group.proof(1), Some(Proof::JobSucceeded), "its success is the proof");
    group.blocks(4);

    // The holder hangs: nobody can show that it will not go on, so the job fails, and a person is called.
    let machine = Frozen::container(&group, "b", "node");
    group.order(&["failover", "val", "--to", "a", "--no-wait"]).expect("an order");
    let missing = group.blocked();
    println!("job: {missing}");
    assert!(missing.contains("the owner's job does not say so"), "{missing}");
    let alert = format!("\"failover/{}/2/Proof\"", group.identity);
    wait("a person to be called", SOON, || sink.alerts().contains(&alert).then_some(())).expect("a page");
    pause(10);
    assert_eq!(group.epoch(), 2, "nobody goes on");

    // What that person sees, and says.
    machine.thaw();
    let runs = group.shared().join("runs-b");
    wait("the node to end", SOON, || (!runs.exists()).then_some(())).expect("its end");
    let pod = group.pod("b")["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let word =
        ["release", "val", "--pod", &pod, "--epoch", "2", "--assert", "its node has ended, and may not start"];
    group.order(&word).expect("a release");
    group.handed("a", 2);
    assert_eq!(group.proof(2), Some(Proof::Asserted));
    let jobs = fs::read_to_string(group.shared().join("jobs")).expect("what the jobs were told");
    let told: Vec<_> = jobs.lines().map(|line| line.rsplit_once(' ').unwrap_or_default()).collect();
    let expected = [
        "activate 1 from= to=a",
        "revoke 1 from=a to=b",
        "activate 2 from=a to=b",
        "revoke 2 from=b to=a",
        "activate 3 from=b to=a",
    ];
    assert_eq!(told, expected.map(|line| (line, group.identity.as_str())), "each part once");
    group.is_innocent_with(&watch);
}
