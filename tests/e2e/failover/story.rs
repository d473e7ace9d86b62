//! What `make demo-failover` tells: a validator's machine is lost while its process signs on, and the same without a fence.

use std::{fs, path::Path, thread, time::Duration};

use mainstay::failover::Phase;

use super::{
    frozen::{Frozen, pause},
    group::Group,
    naive::by_hand,
    oracle::ranges,
    picture::{Panel, draw},
};
use crate::{
    rig::{block, block_to, kubectl, launcher, now, pid_component, remediations, wait},
    stage::{LATER, SILENT},
};

/// Heights that its gate owns ahead: at half a second each, it signs for half a minute without anybody.
const WIDE: u64 = 60;

// W03.
#[test]
#[ignore = "needs the local cluster of two nodes: make demo-failover"]
fn a_machine_is_lost_while_its_validator_signs_on() {
    let group = Group::unsigned("story", "fenced", &[]).owning(WIDE);
    let punishes = if group.kind.rest().is_some() { " that punishes" } else { "" };
    say(&format!(
        "a chain{punishes} of four validators, and a guarded fifth: one key, two members, on a node each"
    ));
    group.begin();
    group.stage.kubectl(&["patch", "fog", "val", "--type=merge", "-p", r#"{"spec":{"automatic":true}}"#]);
    let ladder = "{failover: {group: val, within: 3m}, page: {}}";
    group.stage.policy_on("members", "Validator", "Enforce", "{role: gated}", SILENT, ladder, "{warmUp: 1s}");
    group.stage.healthy("members", 2);
    group.blocks(8);

    say(
        "the machine of a is lost: its kubelet hangs, nobody reaches it, and its gate no longer reaches the API server;",
    );
    say("but its node still has its peers, and its process signs on");
    let (kubelet, lost) = (Frozen::process(pid_component("kubelet-1")), now());
    cut(&group, true);
    tell(&group, lost);
    let handed = group.handed("b", 1);
    let first = handed.first.clone();
    say(&format!(
        "b signs height {}, {:.1} s after the decision; a had signed up to {}, and owned up to {}",
        first.height,
        seconds(handed.after),
        handed.head,
        handed.floor,
    ));
    group.waited_out(&handed);
    group.blocks(10);

    say("the machine comes back: its gate learns that its epoch is over");
    cut(&group, false);
    kubelet.thaw();
    pause(10);
    let lines = group.signatures();
    println!("\n  epoch  member  first height  last height  (from the logs of both gates)");
    for ((epoch, _, member), (low, high)) in ranges(&lines) {
        println!("  {epoch:>5}  {member:>6}  {low:>12}  {high:>11}");
    }
    group.is_innocent();
    let fenced = format!(
        "with Mainstay: no height is signed by two; b signs {:.1} s after the decision",
        seconds(handed.after)
    );
    say(&fenced);
    drop(group);

    say("and now without a fence, by hand: the pod is deleted by force, and the standby is let loose");
    let earned = by_hand("story-naive");
    assert!(earned.conflicts > 0 && earned.shared > 0, "the oracle would say nothing above either");
    let end = earned.tombstoned.map(|after| format!(", after {:.1} s the key is tombstoned", seconds(after)));
    let naive = format!(
        "by hand: two blocks at one place after {:.1} s{}",
        seconds(earned.after),
        end.unwrap_or_default()
    );
    say(&format!(
        "{naive}; places with two blocks: {}, heights signed by two: {}, evidence on the chain: {}",
        earned.conflicts, earned.shared, earned.evidence,
    ));

    let panels = [
        Panel {
            title: fenced,
            lines: &lines,
            instants: vec![
                (lost, "lost".into()),
                (handed.decided, "decided".into()),
                (first.at, "b signs".into()),
            ],
            heights: vec![(handed.floor, format!("a owns up to {}", handed.floor))],
            since: lost - 5_000,
        },
        Panel {
            title: naive,
            lines: &earned.lines,
            instants: vec![(earned.decided, "let loose".into())],
            heights: Vec::new(),
            since: earned.decided - 5_000,
        },
    ];
    // The folder of everything that is built: beside `debug/examples/`.
    let file = launcher().ancestors().nth(3).unwrap_or(Path::new(".")).join("failover.svg");
    fs::write(&file, draw(&panels)).expect("a picture");
    println!("\nThe picture:  {}\nRemove it:    make down", file.display());
}

/// Takes the pod of `a` off the network, but for its node's peers; or puts it back.
fn cut(group: &Group, cut: bool) {
    let namespace = &group.stage.namespace;
    block(namespace, "a-0", "--dport", "26657", cut).expect("iptables");
    for port in ["443", "6443"] {
        block_to(namespace, "a-0", port, cut).expect("iptables");
    }
}

/// Says what changes until the next epoch has begun.
fn tell(group: &Group, since: i64) {
    let mut told = Vec::new();
    wait("the next epoch", LATER, || {
        let record = group.record().expect("a record");
        let (epoch, signed) = (record.tenure.epoch.0, group.signatures().iter().map(|line| line.height).max());
        let ordered = remediations(&group.stage.namespace).len();
        let place = match &record.phase {
            Phase::Active(holder) => format!("epoch {epoch} is {}'s", holder.pod.member),
            Phase::Revoking { .. } => {
                format!("epoch {epoch} is revoked: its ceiling stands at {}", record.ceiling.0)
            }
            Phase::Fenced(_) => {
                format!(
                    "epoch {epoch} is over: nothing at or below {} is ever signed again",
                    record.sealed.unwrap_or(record.ceiling).0
                )
            }
        };
        let now_said = (ordered, place.clone());
        if told.last() != Some(&now_said) {
            let order = if ordered > 0 { "; the policy has ordered a failover" } else { "" };
            say(&format!(
                "+{:>5.1} s  {place}; signed so far: {}{order}",
                seconds(now() - since),
                signed.unwrap_or_default()
            ));
            told.push(now_said);
        }
        (epoch > 1 && matches!(record.phase, Phase::Active(_))).then_some(())
    })
    .unwrap_or_else(|why| panic!("{why}: {:?}", kubectl(&["get", "nrem,sord,fog", "-A"])));
    thread::sleep(Duration::from_secs(1));
}

fn say(what: &str) {
    println!("— {what}");
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
