//! How long it takes until the next one signs, over many hand-overs of one validator.

use super::{
    frozen::{Frozen, pause},
    group::{BLOCK, Group, within},
};
use crate::stage::ask;

/// Hand-overs of each kind, unless `ROUNDS` says otherwise.
const ROUNDS: usize = 20;

/// What goes wrong with the holder before its place is taken.
#[derive(Clone, Copy, Debug)]
enum What {
    /// Nothing: a person orders it.
    Planned,
    /// Its node hangs; the gate beside it lives.
    Hung,
    /// Node and gate stand still, as on a machine that is lost.
    Lost,
}

#[test]
#[ignore = "needs the local cluster of two nodes: make measure-failover"]
fn from_the_decision_to_the_next_signature() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let group = Group::new("times", "hand-over");
    for what in [What::Planned, What::Hung, What::Lost] {
        let mut taken = Vec::new();
        for _ in 0..rounds {
            taken.push(round(&group, what));
        }
        report(what, &mut taken);
    }
    let version = ask((&group.validator(), 26657), "/status").unwrap_or_default();
    let version =
        version.split("\"version\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("unknown");
    println!("CometBFT {version}, a block each {BLOCK} ms; load at the beginning {}", load.trim());
    group.is_innocent();
}

/// One hand-over, to whoever does not hold the place.
fn round(group: &Group, what: What) -> (i64, u64) {
    group.blocks(4);
    let record = group.record().expect("a record");
    let (epoch, holder) = (record.tenure.epoch.0, record.holder().expect("a holder").pod.member.clone());
    let (from, to) = if holder == "a" { ("a", "b") } else { ("b", "a") };
    let frozen: Vec<_> = match what {
        What::Planned => Vec::new(),
        What::Hung => vec!["node"],
        What::Lost => vec!["node", "gate"],
    };
    let frozen: Vec<_> = frozen.into_iter().map(|of| Frozen::process(group.pid(from, of))).collect();
    group.order(&["failover", "val", "--to", to, "--no-wait"]).expect("a failover");
    let handed = group.handed(to, epoch);
    match what {
        What::Planned => within(&handed, 5, 2, BLOCK),
        What::Hung => within(&handed, 10, 2, BLOCK),
        What::Lost => group.waited_out(&handed),
    }
    for process in frozen {
        process.thaw();
    }
    pause(if matches!(what, What::Planned) { 0 } else { 4 });
    (handed.after, handed.missed)
}

fn report(what: What, taken: &mut [(i64, u64)]) {
    taken.sort_unstable();
    let at = |percent: usize| taken[(taken.len() - 1) * percent / 100].0;
    let missed: u64 = taken.iter().map(|(_, missed)| missed).sum();
    println!("| {what:?} | {} | {} | {} | {} | {} | {missed} |", taken.len(), at(0), at(50), at(90), at(100));
}
