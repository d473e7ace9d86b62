//! Nodes whose port answers with anything but an answer.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    rig::{apply, get, launcher, pid, wait},
    stage::{SILENT, SOON, Stage, metrics},
};

const MODES: [&str; 6] = ["html", "error", "missing", "huge", "drip", "nested"];
const EVERY: u64 = 2;

/// Programs in the network of a pod; they end with their standard input.
struct Liars(Vec<Child>);

impl Liars {
    /// One liar per way of lying, each behind the port of a pod of its own.
    fn start(stage: &Stage) -> Self {
        apply(&format!(
            "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: liar, namespace: {}}}
spec:
  replicas: {}
  podManagementPolicy: Parallel
  serviceName: liar
  selector: {{matchLabels: {{app: liar}}}}
  template:
    metadata: {{labels: {{app: liar}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {{name: node, image: mainstay.test/pause:1, imagePullPolicy: Never, ports: [{{name: rpc, containerPort: 26657}}]}}",
            stage.namespace,
            MODES.len(),
        ))
        .expect("pods for the liars");
        stage.kubectl(&["rollout", "status", "statefulset/liar", "--timeout=60s"]);
        let program = launcher().with_file_name("liar");
        let start = |(index, mode): (usize, &&str)| {
            let pod = format!("liar-{index}");
            let pid = pid(&stage.namespace, &pod).expect("a process").to_string();
            let mut command = Command::new("nsenter");
            command.args(["--net", "--target", &pid]).arg(&program).arg(mode).stdin(Stdio::piped());
            command.spawn().expect("a liar")
        };
        Self(MODES.iter().enumerate().map(start).collect())
    }
}

impl Drop for Liars {
    fn drop(&mut self) {
        for mut child in self.0.drain(..) {
            drop(child.stdin.take());
            drop(child.wait());
        }
    }
}

/// How many polls of one result the operator's two replicas have counted, together.
fn polls(stage: &Stage, result: &str) -> u64 {
    let pods = get(&["-n", &stage.system, "pods", "-l", "app.kubernetes.io/name=mainstay"]);
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let count = |pod: &Value| {
        let text = metrics((pod["status"]["podIP"].as_str().unwrap_or_default(), 8080)).expect("metrics");
        let lines = text.lines().filter(|line| line.starts_with("mainstay_polls_total") && line.contains(result));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    pods.iter().map(count).sum()
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_node_that_answers_with_garbage_costs_only_its_own_verdict() {
    let stage = Stage::new("garbage");
    let _liars = Liars::start(&stage);
    let ladder = "{restart: {within: 2m, attempts: 2, cooldown: 1m}, page: {}}";
    stage.policy_on("liars", "FullNode", "Enforce", "{app: liar}", SILENT, ladder, "{warmUp: 1s}");
    stage.full_nodes("{minHealthy: 1, warmUp: 5s}");
    stage.healthy("validators", 4);
    wait("every liar to be unknown", SOON, || {
        let counts = get(&["-n", &stage.namespace, "nhp", "liars"])["status"]["counts"].clone();
        (counts["unknown"] == 6).then_some(())
    })
    .expect("six unknown targets");
    for (index, mode) in MODES.iter().enumerate() {
        let target = stage.target("liars", &format!("liar-{index}")).expect("a target");
        println!("{mode}: {}", target["evidence"]);
        assert!(!target["evidence"].as_str().unwrap_or_default().is_empty(), "{mode}: {target}");
    }

    // One Unknown a poll, and everybody else is asked as often as ever.
    let before = [polls(&stage, "unknown"), polls(&stage, "answered")];
    let seconds = 20;
    thread::sleep(Duration::from_secs(seconds));
    let after = [polls(&stage, "unknown"), polls(&stage, "answered")];
    let expected = 2 * seconds / EVERY;
    let (unknown, answered) = (after[0] - before[0], after[1] - before[1]);
    println!("in {seconds} s by two replicas: {unknown} polls unknown, {answered} answered");
    assert!(unknown <= 6 * (expected + 4) && unknown >= 6 * expected / 2, "{unknown} of {}", 6 * expected);
    assert!(answered >= 7 * expected * 3 / 4, "{answered} of {}", 7 * expected);

    let (_, stopped) = stage.hang("full-1");
    stage.healed("full-1");
    let removed = stage.removals();
    assert_eq!(removed.len(), 1, "no liar is touched: {removed:?}");
    assert_eq!(removed[0].0, "full-1");
    assert!(removed[0].1 - stopped <= 28_000, "{} ms", removed[0].1 - stopped);
    let pods = get(&["-n", &stage.system, "pods", "-l", "app.kubernetes.io/name=mainstay"]);
    for pod in pods["items"].as_array().expect("pods") {
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "the operator lives on");
    }
}
