//! Limits hold whatever else is going on: two policies that claim the same pods, a selector that reaches too far, a clock
//! that is wrong, and leaders that die one after the other.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    operator::{NO_REPLICAS, Operator, Passage, upstream},
    rig::{get, now, pid, remediations, signal, wait},
    stage::{SILENT, SOON, Stage},
};

const FULL: &str = "{app: cometbft, role: full}";
const LADDER: &str = "{restart: {within: 4m, attempts: 2, cooldown: 5s}, page: {}}";
/// Long enough for another removal to come, if one were to come.
const A_WHILE: Duration = Duration::from_secs(20);
/// A policy is looked at again within this time, whatever happens.
const TICK: Duration = Duration::from_secs(35);
/// Pods that come to a policy so long after it are not those that it was written for: a minute, and a slow start.
const SETTLED: Duration = Duration::from_secs(70);
const HOUR: i64 = 3_600_000;

/// One at a time, and so many in an hour.
fn guard(budget: u32) -> String {
    format!("{{minHealthy: 1, maxConcurrent: 1, warmUp: 1s, budget: [{{actions: {budget}, per: 1h}}]}}")
}

/// A policy that acts.
fn enforce(stage: &Stage, name: &str, selector: &str, guard: &str) {
    stage.policy_on(name, "FullNode", "Enforce", selector, SILENT, LADDER, guard);
}

/// Whether a policy says that another one claims its pods.
fn is_contested(stage: &Stage, policy: &str) -> bool {
    let conditions = get(&["-n", &stage.namespace, "nhp", policy])["status"]["conditions"].clone();
    let conditions = conditions.as_array().cloned().unwrap_or_default();
    conditions.iter().any(|found| found["type"] == "Conflict" && found["status"] == "True")
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn two_policies_on_one_pod_touch_nothing_until_one_of_them_comes_first() {
    let stage = Stage::new("claims");
    let both = ["one", "other"];
    for policy in both {
        enforce(&stage, policy, FULL, &guard(10));
    }
    for policy in both {
        stage.healthy(policy, 3);
    }
    stage.hang("full-1");
    for policy in both {
        let why = stage.held(policy, "full-1", "Conflict");
        assert!(why.contains("another policy claims this pod"), "{why}");
        assert!(is_contested(&stage, policy), "{policy} says so");
    }
    // Each of them looks at least once more.
    thread::sleep(TICK);
    assert_eq!(stage.removals(), Vec::new(), "a tie is nobody's turn");
    assert_eq!(remediations(&stage.namespace), Vec::<Value>::new(), "nothing was even written down");

    stage.kubectl(&["patch", "nhp", "other", "--type=merge", "-p", r#"{"spec": {"priority": 1}}"#]);
    stage.healed("full-1");
    for policy in both {
        stage.healthy(policy, 3);
    }
    // Longer than the one that comes second waits before it looks again.
    thread::sleep(TICK);
    stage.removed_one_after_the_other(&["full-1"]);
    let journal = remediations(&stage.namespace);
    let by: Vec<_> = journal.iter().map(|entry| entry["spec"]["policy"]["name"].as_str()).collect();
    assert!(by.iter().all(|policy| *policy == Some("other")), "the one that comes first acts: {by:?}");
    assert!(both.iter().all(|policy| !is_contested(&stage, policy)), "nobody wants anything any more");
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}

/// Stops the processes of all these pods within a moment.
fn hang_at_once(stage: &Stage, pods: &[String]) -> Vec<u32> {
    let stopped: Vec<u32> = pods.iter().map(|pod| pid(&stage.namespace, pod).expect("a process")).collect();
    for pid in &stopped {
        signal(*pid, "STOP").expect("a signal");
    }
    stopped
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_selector_that_suddenly_matches_ten_times_more_removes_nobody() {
    let stage = Stage::with("wide", &["--validators", "1", "--full-nodes", "11"], &[]);
    // Nothing holds it back but what this is about.
    let bold = "{minHealthy: 0, maxConcurrent: 100, warmUp: 1s, budget: [{actions: 100, per: 1h}]}";
    enforce(&stage, "mine", "{statefulset.kubernetes.io/pod-name: full-0}", bold);
    let begun = Instant::now();
    stage.healthy("mine", 1);
    stage.hang("full-0");
    stage.healed("full-0");
    let before = stage.removals();
    assert_eq!(before.len(), 1, "the pod that it was written for is helped: {before:?}");
    thread::sleep(SETTLED.saturating_sub(begun.elapsed()));

    enforce(&stage, "mine", FULL, bold);
    stage.healthy("mine", 11);
    let others: Vec<String> = (1..=10).map(|ordinal| format!("full-{ordinal}")).collect();
    let mut stopped = hang_at_once(&stage, &others);
    // The one that it was written for is well: this is no lost telemetry.
    for pod in &others {
        let why = stage.held("mine", pod, "Growth");
        assert!(why.contains("of 11 targets are new"), "{why}");
    }
    thread::sleep(A_WHILE);
    assert_eq!(stage.removals(), before, "the selector hardly means them");

    // And when that one hangs too, what all of them share is suspected.
    stopped.push(stage.hang("full-0").0);
    stage.held("mine", "full-0", "TelemetryLost");
    thread::sleep(A_WHILE);
    assert_eq!(stage.removals(), before, "suspect what they share, not each of them");
    for pid in stopped {
        signal(pid, "CONT").expect("a signal");
    }
    stage.healthy("mine", 11);
    assert_eq!(stage.removals(), before);
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}

/// Replicas of one operator, as processes of the test's own.
struct Crew {
    stage: Stage,
    passage: Passage,
    members: Vec<Operator>,
    joined: u32,
}

impl Crew {
    async fn new(name: &str) -> Self {
        let stage = Stage::with(name, &[], &NO_REPLICAS);
        let passage = Passage::open(&stage, name, upstream()).await;
        Self { stage, passage, members: Vec::new(), joined: 0 }
    }

    /// Starts one more, with more in its environment.
    fn join(&mut self, environment: &[(&str, &str)]) {
        self.joined += 1;
        let name = format!("replica-{}", self.joined);
        self.members.push(self.passage.operator_in(&name, environment));
    }

    /// Starts one whose wall clock is so many hours ahead, and waits until it leads. Its monotonic clock is right.
    fn join_astray(&mut self, hours: i64) {
        let (library, offset) = (faketime(), format!("{:+}", hours * HOUR / 1000));
        self.join(&[
            ("LD_PRELOAD", library.to_str().expect("a path")),
            ("FAKETIME", offset.as_str()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
        self.is_led();
        // The lease has the leader's own time on it, for people to read.
        let lease = get(&["-n", &self.stage.system, "lease", "mainstay"]);
        let renewed = lease["spec"]["renewTime"].as_str().unwrap_or_default();
        let renewed: jiff::Timestamp = renewed.parse().expect("a time");
        let ahead = renewed.as_millisecond() - now();
        assert!((ahead - hours * HOUR).abs() < 60_000, "its clock is {ahead} ms ahead");
    }

    /// Lets all of them end.
    fn dismiss(&mut self) {
        for member in self.members.drain(..) {
            member.end();
        }
    }

    fn leader(&self) -> Option<usize> {
        self.members.iter().position(Operator::leads)
    }

    fn is_led(&self) {
        wait("somebody to lead", SOON, || self.leader()).expect("a leader");
    }

    /// The policy of the full nodes: one at a time, and so many in an hour.
    fn enforce(&self, budget: u32) {
        enforce(&self.stage, "full-nodes", FULL, &guard(budget));
    }

    /// The two that hang are healed, each once and one after the other.
    fn two_are_healed_one_after_the_other(&self) {
        let stage = &self.stage;
        for pod in ["full-0", "full-2"] {
            stage.healed(pod);
        }
        stage.healthy("full-nodes", 3);
        stage.removed_one_after_the_other(&["full-0", "full-2"]);
        assert_eq!(stage.seats(), 0);
    }

    /// Hangs the third node, for which nothing is left of the budget.
    fn the_third_waits(&self) {
        self.stage.hang("full-1");
        self.stage.held("full-nodes", "full-1", "Budget");
        thread::sleep(A_WHILE);
        let removals = self.stage.removals();
        assert_eq!(removals.len(), 2, "two in an hour, whoever leads: {removals:?}");
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.members.iter().for_each(Operator::kill);
    }
}

/// What makes a process believe in another time, wherever Debian has it on this machine.
fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("libraries").flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|library| library.is_file()).expect("Debian's package libfaketime")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the local cluster and libfaketime: make e2e"]
async fn a_clock_one_hour_off_changes_no_limit() {
    let begun = now();
    let mut crew = Crew::new("clock").await;
    // Behind, every pod would be of the future: too young for ever.
    crew.join_astray(-1);
    crew.enforce(2);
    crew.stage.healthy("full-nodes", 3);
    crew.stage.hang("full-0");
    crew.stage.hang("full-2");
    crew.two_are_healed_one_after_the_other();

    // From there to ahead it is two hours, in which an hour's budget would be free again.
    crew.dismiss();
    crew.join_astray(1);
    crew.the_third_waits();
    crew.enforce(3);
    crew.stage.healed("full-1");
    crew.stage.healthy("full-nodes", 3);
    assert_eq!(crew.stage.removals().len(), 3, "a hung node is healed once");
    assert_eq!(crew.stage.seats(), 0);

    let actions = get(&["networkledger", &crew.stage.namespace])["spec"]["actions"].clone();
    let actions = actions.as_array().cloned().unwrap_or_default();
    let times: Vec<_> = actions.iter().filter_map(|action| action["at"].as_i64()).collect();
    assert_eq!(times.len(), 3, "{actions:?}");
    assert!(times.iter().all(|at| (begun..=now()).contains(at)), "by the API server's clock: {times:?}");
    assert_eq!(crew.stage.forbidden(), Vec::<String>::new());
    crew.dismiss();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the local cluster: make e2e"]
async fn a_leader_killed_every_five_seconds_exceeds_no_limit() {
    let mut crew = Crew::new("heirs").await;
    crew.join(&[]);
    crew.join(&[]);
    crew.is_led();
    crew.enforce(2);
    crew.stage.healthy("full-nodes", 3);
    crew.stage.hang("full-0");
    crew.stage.hang("full-2");

    // Whoever is next waits until the lease of the dead has run out; it is long enough for a few of them.
    let begun = Instant::now();
    let mut killed = 0;
    while begun.elapsed() < Duration::from_secs(90) {
        thread::sleep(Duration::from_secs(5));
        if let Some(leader) = crew.leader() {
            crew.members.swap_remove(leader).kill();
            crew.join(&[]);
            killed += 1;
        }
        assert!(crew.stage.seats() <= 1, "one at a time");
    }
    println!("{killed} leaders were killed, and {} pods removed meanwhile", crew.stage.removals().len());
    assert!(killed >= 3, "{killed} leaders were killed");

    crew.two_are_healed_one_after_the_other();
    crew.the_third_waits();
    assert_eq!(crew.stage.forbidden(), Vec::<String>::new());
}
