//! The operator is killed at each step between journal and verification.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::Value;

use crate::{
    operator::{NO_REPLICAS, Operator, Passage, upstream},
    proxy::{Fault, Matcher, Record, Verb, request},
    rig::{kubectl, remediations, wait},
    stage::{LATER, SILENT, Stage},
};

const LADDER: &str = "{restart: {within: 2m, attempts: 2, cooldown: 5s}, page: {}}";
const GUARD: &str = "{minHealthy: 1, warmUp: 1s, budget: [{actions: 10, per: 1h}]}";

/// One write of a healing: what it is, and the how-manieth of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    verb: Verb,
    resource: String,
    subresource: Option<String>,
    nth: usize,
}

impl Step {
    fn matcher(&self) -> Matcher {
        let matcher = request().verb(self.verb).resource(&self.resource);
        let matcher = match &self.subresource {
            Some(subresource) => matcher.subresource(subresource),
            None => matcher,
        };
        matcher.nth(self.nth)
    }

    fn name(&self) -> String {
        let part = self.subresource.as_ref().map(|part| format!("/{part}")).unwrap_or_default();
        format!("{:?} {}{part} #{}", self.verb, self.resource, self.nth)
    }
}

/// A chain whose nodes hang in turn, and an operator that is killed in turn.
struct Sweep {
    stage: Stage,
    passage: Passage,
    operator: Operator,
    run: AtomicUsize,
}

impl Sweep {
    async fn new(name: &str) -> Self {
        let stage = Stage::with(name, &[], &NO_REPLICAS);
        let passage = Passage::open(&stage, "crash", upstream()).await;
        let operator = passage.operator("first");
        Self { stage, passage, operator, run: AtomicUsize::new(0) }
    }

    /// A policy of its own for each run: what was tried in the last one does not count. Returns run and victim.
    fn prepare(&self) -> (String, String) {
        let run = self.run.fetch_add(1, Ordering::Relaxed);
        if run > 0 {
            self.stage.kubectl(&["delete", "nhp", &format!("run-{}", run - 1)]);
        }
        let policy = format!("run-{run}");
        let selector = "{app: cometbft, role: full}";
        self.stage.policy_on(&policy, "FullNode", "Enforce", selector, SILENT, LADDER, GUARD);
        self.stage.healthy(&policy, 3);
        (policy, format!("full-{}", run % 3))
    }

    /// The writes of a healing without a fault, from the journal entry to the end.
    fn steps(&self) -> Vec<Step> {
        let (policy, victim) = self.prepare();
        let before = self.passage.proxy.log().len();
        self.heal(&policy, &victim);
        let writes: Vec<Record> = self.passage.proxy.log().split_off(before).into_iter().filter(is_step).collect();
        let mut steps: Vec<Step> = Vec::new();
        for Record { call, .. } in writes {
            let same = |step: &&Step| {
                (step.verb, &step.resource, &step.subresource) == (call.verb, &call.resource, &call.subresource)
            };
            let nth = steps.iter().filter(same).count() + 1;
            steps.push(Step { verb: call.verb, resource: call.resource, subresource: call.subresource, nth });
        }
        steps
    }

    /// Hangs a victim and sees its healing through.
    fn heal(&self, policy: &str, victim: &str) {
        self.stage.hang(victim);
        self.is_healed(policy, victim);
    }

    fn is_healed(&self, policy: &str, victim: &str) {
        let mine = || {
            let all = remediations(&self.stage.namespace);
            all.into_iter().filter(|found| found["spec"]["policy"]["name"] == policy).collect::<Vec<Value>>()
        };
        wait(&format!("{victim} to be healed"), LATER, || {
            let all = mine();
            let ended = |found: &Value| {
                let phase = found["status"]["phase"].as_str().unwrap_or_default();
                ["Succeeded", "Withdrawn"].contains(&phase) && found["metadata"]["finalizers"].is_null()
            };
            let healed = all.iter().any(|found| found["status"]["phase"] == "Succeeded");
            (healed && all.iter().all(ended)).then_some(())
        })
        .unwrap_or_else(|why| panic!("{why}: {:#?}", mine()));
        wait("the seat to be free", Duration::from_secs(20), || (self.stage.seats() == 0).then_some(()))
            .expect("a free seat");
    }

    /// Kills the operator at one step of a healing; the next one ends what it finds.
    async fn survive(&mut self, step: &Step, fault: Fault) {
        let (policy, victim) = self.prepare();
        let removed = self.stage.removals().len();
        let uid = self.uid(&victim);
        let (name, kills) = (fault.name(), fault.kills());
        let doomed = self.operator.clone();
        self.passage.proxy.on_kill(move || {
            let doomed = doomed.clone();
            async move { doomed.kill() }
        });
        let before = self.passage.proxy.log().len();
        self.passage.proxy.on(step.matcher(), fault);
        self.stage.hang(&victim);
        let fired = request().faulted().that(move |record| record.k > before);
        self.passage
            .proxy
            .wait_for(fired, Duration::from_secs(90))
            .await
            .unwrap_or_else(|error| panic!("{name} at {}: {error}", step.name()));
        if kills {
            self.operator = self.passage.operator(&policy);
        }
        self.is_healed(&policy, &victim);
        let removals: Vec<_> = self.stage.removals().split_off(removed);
        let pods: BTreeSet<_> = removals.iter().map(|(pod, _)| pod.as_str()).collect();
        assert_eq!(pods, BTreeSet::from([victim.as_str()]), "{name} at {}", step.name());
        assert_eq!(removals.len(), 1, "one removal: {name} at {}: {removals:?}", step.name());
        assert_ne!(self.uid(&victim), uid, "it was removed: {name} at {}", step.name());
        println!("{name:>11} at {}: healed, one removal", step.name());
    }

    /// Pulls the emergency stop when the seat is taken and the act is next: it does not happen.
    fn stop_in_time(&self, seat: &Step) {
        let (policy, victim) = self.prepare();
        let removed = self.stage.removals().len();
        let annotate = |stop: &'static str, system: String| {
            kubectl(&["-n", &system, "annotate", "configmap", "mainstay-stop", stop]).expect("a switch");
        };
        // Nobody is killed: the proxy lets nothing pass while this runs, which makes it that very moment.
        let system = self.stage.system.clone();
        self.passage.proxy.on_kill(move || {
            let system = system.clone();
            async move { annotate("mainstay.dev/stop=drill", system) }
        });
        self.passage.proxy.on(seat.matcher(), Fault::KillAfter);
        self.stage.hang(&victim);
        wait("the attempt to be withdrawn", LATER, || {
            remediations(&self.stage.namespace)
                .into_iter()
                .find(|found| found["spec"]["policy"]["name"] == policy && found["status"]["phase"] == "Withdrawn")
        })
        .map(|found| assert_eq!(found["status"]["reason"], "EmergencyStop", "{found}"))
        .expect("a withdrawn attempt");
        self.stage.held(&policy, &victim, "EmergencyStop");
        assert_eq!(self.stage.removals().len(), removed, "it did not happen");
        annotate("mainstay.dev/stop-", self.stage.system.clone());
        self.is_healed(&policy, &victim);
        assert_eq!(self.stage.removals().len(), removed + 1);
    }

    fn uid(&self, pod: &str) -> String {
        self.stage.kubectl(&["get", "pod", pod, "-o", "jsonpath={.metadata.uid}"])
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.operator.kill();
    }
}

/// The writes that a healing is made of: journal, seat, act. Status of policies and Events only tell of it.
fn is_step(record: &Record) -> bool {
    let writes = matches!(record.call.verb, Verb::Create | Verb::Update | Verb::Patch | Verb::Delete);
    let part = record.call.subresource.as_deref();
    writes
        && match record.call.resource.as_str() {
            "noderemediations" | "networkledgers" => true,
            "pods" => part == Some("eviction") || record.call.verb == Verb::Delete,
            _ => false,
        }
}

/// What a healing writes, in order: the sweep is as wide as this list.
fn is_whole(steps: &[Step]) {
    let names: Vec<_> = steps.iter().map(Step::name).collect();
    assert_eq!(
        names,
        [
            "Create noderemediations #1",
            "Update networkledgers #1",
            "Update noderemediations/status #1",
            "Create pods/eviction #1",
            "Update noderemediations/status #2",
            "Update noderemediations/status #3",
            "Update networkledgers #2",
            "Patch noderemediations #1",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the local cluster: make e2e"]
async fn killed_around_the_act_the_next_one_ends_it_and_repeats_nothing() {
    let mut sweep = Sweep::new("crash").await;
    let steps = sweep.steps();
    is_whole(&steps);
    for (index, fault) in [
        (0, Fault::KillAfter),
        (3, Fault::KillBefore),
        (3, Fault::KillAfter),
        (3, Fault::LostAnswer),
        (4, Fault::KillAfter),
    ] {
        sweep.survive(&steps[index], fault).await;
    }
    sweep.stop_in_time(&steps[1]);
}

// C03: killed around each request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the local cluster and a quarter of an hour: make e2e-full"]
async fn killed_at_every_step_the_next_one_ends_it_and_repeats_nothing() {
    let mut sweep = Sweep::new("sweep").await;
    let steps = sweep.steps();
    is_whole(&steps);
    for step in &steps {
        for fault in [Fault::KillBefore, Fault::KillAfter, Fault::LostAnswer] {
            sweep.survive(step, fault).await;
        }
    }
}
