//! What happens to the record: operators that die in between, a standby that is behind, and a copy of last week.

use serde_json::Value;

use super::{
    conformance::operator,
    frozen::{Frozen, pause},
    group::{BLOCK, Group, within},
};
use crate::{
    operator::{NO_REPLICAS, Operator, Passage, upstream},
    proxy::{Fault, Matcher, Verb, request},
    rig::{get, kubectl, now, run_with, wait},
    stage::SOON,
};

/// Makes an operator look after groups.
const FAILOVER: [(&str, &str); 1] = [("MAINSTAY_FAILOVER", "true")];

/// Two operators of one installation, each with a lease of its own without knowing it.
struct Rivals {
    other: String,
    passages: Vec<Passage>,
    operators: Vec<Operator>,
}

impl Rivals {
    async fn of(group: &Group) -> Self {
        let stage = &group.stage;
        let other = format!("{}-other", stage.system);
        kubectl(&["create", "namespace", &other]).expect("a namespace");
        let user = format!("{}:mainstay", stage.system);
        let allow = ["--verb=get,create,update", "--resource=leases.coordination.k8s.io"];
        kubectl(&[&["-n", &other, "create", "role", "lease"][..], &allow[..]].concat()).expect("a role");
        kubectl(&["-n", &other, "create", "rolebinding", "lease", "--role=lease", "--serviceaccount", &user])
            .expect("a binding");
        let leases = |namespace: &str| format!("/namespaces/{namespace}/leases");
        let passages = vec![
            Passage::open(stage, "one", upstream()).await,
            Passage::open(stage, "two", upstream().redirecting(&leases(&stage.system), &leases(&other))).await,
        ];
        let operators = passages.iter().map(|passage| passage.operator_in("first", &FAILOVER)).collect();
        let rivals = Self { other, passages, operators };
        rivals.both_lead();
        rivals
    }

    fn both_lead(&self) {
        wait("both to believe that they lead", SOON, || self.operators.iter().all(Operator::leads).then_some(()))
            .expect("two leaders");
    }

    /// One of them dies with this write, as soon as it has taken effect.
    fn doom(&self, which: usize, write: Matcher) {
        let doomed = self.operators[which].clone();
        let proxy = &self.passages[which].proxy;
        proxy.on_kill(move || {
            let doomed = doomed.clone();
            async move { doomed.kill() }
        });
        proxy.on(write, Fault::KillAfter);
    }

    /// How many of them have died right after this write, which the API server took.
    fn died_of(&self, write: &Matcher) -> usize {
        let taken = write.clone().faulted().that(|record| record.upstream == Some(200));
        self.passages.iter().filter(|passage| passage.proxy.count(&taken) > 0).count()
    }

    /// Whoever has died is back; who has not is no longer doomed.
    fn again(&mut self, run: usize) -> usize {
        let mut dead = 0;
        for (passage, operator) in self.passages.iter().zip(&mut self.operators) {
            passage.proxy.clear();
            if !operator.leads() {
                operator.kill();
                *operator = passage.operator_in(&format!("run-{run}"), &FAILOVER);
                dead += 1;
            }
        }
        self.both_lead();
        dead
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        self.operators.iter().for_each(Operator::kill);
        drop(kubectl(&["delete", "namespace", &self.other, "--wait=false"]));
    }
}

/// What an operator writes of a failover: what that does, the phase, and how many epochs later.
const WRITES: [(&str, &str, u64); 3] =
    [("revokes", "Revoking", 0), ("fences", "Fenced", 0), ("offers the next epoch", "Active", 1)];

/// The write of the record that says this.
fn writes(phase: &'static str, epoch: u64) -> Matcher {
    let write = request().verb(Verb::Update).resource("signingidentities").subresource("status");
    write.that(move |record| {
        let object: Value = serde_json::from_slice(&record.body).unwrap_or_default();
        object["status"]["phase"] == phase && object["status"]["epoch"] == epoch
    })
}

// A01, A08.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
async fn two_operators_that_die_with_any_write_change_nothing() {
    let group = Group::unsigned("operators", "operators killed", &NO_REPLICAS);
    let mut rivals = Rivals::of(&group).await;
    group.begin();
    for (run, (does, phase, later)) in WRITES.into_iter().enumerate() {
        let epoch = group.epoch();
        let to = if run % 2 == 0 { "b" } else { "a" };
        // Nobody knows which of them is quicker.
        let write = writes(phase, epoch + later);
        for which in [0, 1] {
            rivals.doom(which, write.clone());
        }
        group.order(&["failover", "val", "--to", to, "--no-wait"]).expect("an order");
        wait("an operator to die", SOON, || (rivals.died_of(&write) > 0).then_some(())).expect("a death");
        // Both may die of it, the second one with a write that comes too late: others come.
        pause(3);
        let (took, dead) = (rivals.died_of(&write), rivals.again(run));
        println!(
            "operators killed: {dead} died with the write that {does}, {took} of them when it had taken effect"
        );
        assert!((1..=dead).contains(&took), "{took} of {dead}");
        group.handed(to, epoch);
        group.blocks(2);
    }
    group.is_innocent();
}

// W09.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_standby_that_is_behind_is_refused_and_if_nobody_knows_replays_without_signing() {
    let group = Group::new("behind", "standby behind");
    group.stage.policy("members", "Validator", "gated", "Observe", "{}");
    group.stage.healthy("members", 2);
    let node = Frozen::process(group.pid("b", "node"));
    wait("b to be unhealthy", SOON, || {
        let target = group.stage.target("members", "b-0")?;
        (target["verdict"] == "Unhealthy").then_some(())
    })
    .expect("a verdict");
    let refused = group.order(&["failover", "val", "--to", "b"]).expect_err("a refusal");
    println!("standby behind: {refused}");
    assert_eq!(group.epoch(), 1, "nobody was revoked for somebody who cannot go on");

    // Without a policy nobody knows: it gets the place, and its node catches up from far below the floor.
    group.stage.kubectl(&["delete", "nhp", "members"]);
    group.blocks(10);
    let begun = group.signatures();
    let order = wait("the order to be taken", SOON, || group.order(&["failover", "val", "--to", "b"]).ok());
    println!("standby behind: {}", order.expect("an order"));
    pause(5);
    node.thaw();
    let handed = group.handed("b", 1);
    let last = begun.iter().map(|line| line.height).max().unwrap_or_default();
    assert!(handed.first.height > last && handed.first.height > handed.floor);
    group.is_innocent();
}

// A16.
#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_record_of_an_older_copy_shuts_every_gate_until_it_is_adopted() {
    let group = Group::new("restored", "record restored");
    group.blocks(4);
    let copy = get(&["sid", &group.identity])["status"].clone();
    group.order(&["failover", "val", "--to", "b"]).expect("a switch");
    within(&group.handed("b", 1), 5, 2, BLOCK);
    group.blocks(4);
    restore(&group, &copy);
    pause(3);
    let (since, before) = (now(), group.signatures());
    pause(10);
    let late: Vec<_> = group.signatures().into_iter().filter(|line| line.at > since).collect();
    assert_eq!(late, [], "nobody signs on the word of a copy");
    for member in ["a-0", "b-0"] {
        let log = group.stage.kubectl(&["logs", member, "-c", "gate"]);
        assert!(log.contains("latched: the record knows less"), "{member}: {log}");
    }
    // By the runbook: the highest height and the highest epoch that any log has.
    let (head, epoch) = (group.blocks(0), before.iter().map(|line| line.epoch).max().unwrap_or_default());
    let adopted = group.order(&[
        "adopt",
        "val",
        "--head",
        &head.to_string(),
        "--epoch",
        &epoch.to_string(),
        "--assert",
        "both logs were read",
    ]);
    println!("record restored: {}", adopted.expect("an adoption"));
    let first = wait("somebody to sign", SOON, || group.signatures().into_iter().find(|line| line.epoch > epoch));
    let first = first.expect("a signature");
    println!("record restored: {} signs again at {}, the head was {head}", first.member, first.height);
    assert!(first.height > head);
    group.is_innocent_but(1);
}

/// What a restored backup does, whatever admission control says.
fn restore(group: &Group, status: &Value) {
    let user = operator(&group.stage.system);
    wait("the copy to be put back", SOON, || {
        // A gate may write in between.
        let mut object = get(&["sid", &group.identity]);
        object["status"] = status.clone();
        run_with(&["replace", "--subresource=status", "--as", &user, "-f", "-"], &object.to_string()).ok()
    })
    .expect("a copy");
}
