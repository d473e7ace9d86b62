//! Two operators that both believe they lead, and caches that are minutes old.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    operator::{NO_REPLICAS, Operator, Passage, upstream},
    proxy::Lists,
    rig::{kubectl, wait},
    stage::{LATER, SILENT, SOON, Stage},
};

const LADDER: &str = "{restart: {within: 4m, attempts: 2, cooldown: 5s}, page: {}}";
const GUARD: &str = "{minHealthy: 1, maxConcurrent: 1, warmUp: 1s, budget: [{actions: 10, per: 1h}]}";

/// Two operators of one installation, each with a lease of its own without knowing it.
struct Rivals {
    stage: Stage,
    other: String,
    passages: [Passage; 2],
    operators: [Operator; 2],
}

impl Rivals {
    async fn new(name: &str) -> Self {
        let stage = Stage::with(name, &[], &NO_REPLICAS);
        let other = format!("{}-other", stage.system);
        kubectl(&["create", "namespace", &other]).expect("a namespace");
        let user = format!("{}:mainstay", stage.system);
        let allow = ["--verb=get,create,update", "--resource=leases.coordination.k8s.io"];
        kubectl(&[&["-n", &other, "create", "role", "lease"][..], &allow[..]].concat()).expect("a role");
        kubectl(&["-n", &other, "create", "rolebinding", "lease", "--role=lease", "--serviceaccount", &user])
            .expect("a binding");
        let leases = |namespace: &str| format!("/namespaces/{namespace}/leases");
        let passages = [
            Passage::open(&stage, "one", upstream()).await,
            Passage::open(&stage, "two", upstream().redirecting(&leases(&stage.system), &leases(&other))).await,
        ];
        let operators = [passages[0].operator("one"), passages[1].operator("two")];
        let rivals = Self { stage, other, passages, operators };
        wait("both to believe that they lead", SOON, || rivals.both_lead().then_some(())).expect("two leaders");
        let selector = "{app: cometbft, role: full}";
        rivals.stage.policy_on("full-nodes", "FullNode", "Enforce", selector, SILENT, LADDER, GUARD);
        rivals.stage.healthy("full-nodes", 3);
        rivals
    }

    fn both_lead(&self) -> bool {
        self.operators.iter().all(Operator::leads)
    }

    /// Both victims were removed once, the second when the first was back, and everything is well and free.
    fn healed_one_after_the_other(&self) {
        wait("both to be removed", LATER, || (self.stage.removals().len() >= 2).then_some(()))
            .expect("two removals");
        wait("the seats to be free", LATER, || (self.stage.seats() == 0).then_some(())).expect("free seats");
        self.stage.healthy("full-nodes", 3);
        self.stage.removed_one_after_the_other(&["full-0", "full-2"]);
        assert!(self.both_lead(), "they led all along");
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        self.operators.iter().for_each(Operator::kill);
        drop(kubectl(&["delete", "namespace", &self.other, "--wait=false"]));
    }
}

// C01: two that act at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the local cluster: make e2e"]
async fn two_that_both_believe_they_lead_heal_one_node_after_the_other() {
    let rivals = Rivals::new("rivals").await;
    rivals.stage.hang("full-0");
    rivals.stage.hang("full-2");
    rivals.healed_one_after_the_other();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the local cluster: make e2e"]
async fn caches_that_are_minutes_old_harm_nobody() {
    let rivals = Rivals::new("stale").await;
    // Watches say nothing, and who lists anew is told the past.
    for passage in &rivals.passages {
        passage.proxy.freeze("pods", Lists::Stale);
    }
    // One that the caches do not know: it was made anew behind their back.
    rivals.stage.kubectl(&["delete", "pod", "full-2", "--grace-period=1"]);
    sleep(Duration::from_secs(130)).await;
    let known = rivals.stage.removals();
    assert_eq!(known, Vec::new(), "a pod that the cache has not seen is not ours to judge");
    rivals.stage.hang("full-0");
    rivals.stage.hang("full-2");
    sleep(Duration::from_secs(30)).await;
    for passage in &rivals.passages {
        passage.proxy.thaw("pods");
    }
    rivals.healed_one_after_the_other();
}
