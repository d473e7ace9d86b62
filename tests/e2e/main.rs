//! End to end: the installed chart on the local cluster with real chains. Each scenario has a namespace, a chain and
//! an installation of its own, so that they run side by side. `make e2e` brings the cluster up first.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]

mod rig;

use std::time::Duration;

use rig::{
    all_healthy, apply, cluster, forbidden, get, install, kubectl, now, pid, remediations, removals, signal,
    uninstall, wait,
};

const SOON: Duration = Duration::from_secs(90);
const LATER: Duration = Duration::from_secs(240);

/// One scenario's own namespace, chain and installation. Whatever happens, it is taken down at the end.
struct Stage {
    namespace: String,
    system: String,
}

impl Stage {
    fn new(name: &str) -> Self {
        let stage = Self { namespace: format!("e2e-{name}"), system: format!("e2e-{name}-system") };
        cluster(&["chain", "up", "--namespace", &stage.namespace, "--chain-id", &stage.namespace])
            .expect("a chain");
        install(&stage.system, &[&stage.namespace], false).expect("an installation");
        let namespace = &stage.namespace;
        apply(&format!(
            "apiVersion: mainstay.dev/v1alpha1
kind: Network
metadata: {{name: {namespace}}}
spec: {{family: CometBFT, chainId: {namespace}, blockTime: 1s, stalledAfter: 20s, allowedNamespaces: [{namespace}]}}"
        ))
        .expect("a network");
        stage.policy("validators", "Validator", "validator", "Observe", "{}");
        stage
    }

    fn policy(&self, name: &str, role: &str, label: &str, mode: &str, guard: &str) {
        let namespace = &self.namespace;
        apply(&format!(
            "apiVersion: mainstay.dev/v1alpha1
kind: NodeHealthPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  network: {namespace}
  role: {role}
  selector: {{matchLabels: {{app: cometbft, role: {label}}}}}
  mode: {mode}
  telemetry: [{{name: rpc, cometbft: {{port: rpc}}, every: 2s, timeout: 1s}}]
  rules:
  - {{name: preset/silent, signal: reachable, below: 1, for: 10s, clear: {{for: 5s}}}}
  remediation: {{restart: {{within: 2m, attempts: 2, cooldown: 1m}}, page: {{}}}}
  guard: {guard}"
        ))
        .expect("a policy");
    }

    fn full_nodes(&self, guard: &str) {
        self.policy("full-nodes", "FullNode", "full", "Enforce", guard);
        wait("three healthy full nodes", SOON, || all_healthy(&self.namespace, "full-nodes", 3)).expect("health");
    }

    /// Stops the process of a pod and says when.
    fn hang(&self, pod: &str) -> (u32, i64) {
        let pid = pid(&self.namespace, pod).expect("a process");
        signal(pid, "STOP").expect("a signal");
        (pid, now())
    }

    fn guard_of(&self, policy: &str, pod: &str) -> Option<String> {
        let status = get(&["-n", &self.namespace, "nhp", policy]);
        let targets = status["status"]["targets"].as_array().cloned().unwrap_or_default();
        let target = targets.into_iter().find(|target| target["pod"] == pod)?;
        target["guard"].as_str().map(str::to_owned)
    }

    fn healed(&self, pod: &str) {
        wait(&format!("{pod} to be healed"), LATER, || {
            remediations(&self.namespace).into_iter().find(|remediation| {
                remediation["spec"]["target"]["pod"] == pod
                    && remediation["status"]["phase"] == "Succeeded"
                    && remediation["metadata"]["finalizers"].is_null()
            })
        })
        .expect("healing");
    }

    fn seats(&self) -> usize {
        get(&["networkledger", &self.namespace])["spec"]["seats"].as_array().map_or(0, Vec::len)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A scenario that failed is looked at before it is gone.
        if std::thread::panicking() {
            let logs =
                kubectl(&["-n", &self.system, "logs", "-l", "app.kubernetes.io/name=mainstay", "--tail=60"]);
            let status = kubectl(&["-n", &self.namespace, "get", "pods,nhp,nrem"]);
            eprintln!("{}\n{}", logs.unwrap_or_default(), status.unwrap_or_default());
        }
        drop(uninstall(&self.system));
        drop(kubectl(&["delete", "network", &self.namespace, "--wait=false"]));
        drop(kubectl(&["delete", "networkledger", &self.namespace, "--wait=false"]));
        drop(cluster(&["chain", "down", "--namespace", &self.namespace]));
        drop(kubectl(&["delete", "namespace", &self.system, "--wait=false"]));
    }
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_hung_full_node_is_restarted_and_verified() {
    let stage = Stage::new("hung");
    stage.full_nodes("{minHealthy: 51%, warmUp: 5s}");
    let (_, stopped) = stage.hang("full-1");
    stage.healed("full-1");
    let removed = removals(&stage.system);
    assert_eq!(removed.len(), 1, "one accepted removal: {removed:?}");
    let took = removed[0].1 - stopped;
    println!("from SIGSTOP to the accepted eviction: {took} ms");
    assert!(took <= 28_000, "from SIGSTOP to the accepted eviction: {took} ms");
    assert_eq!(stage.seats(), 0);
    assert_eq!(forbidden(&stage.system), Vec::<String>::new());
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn two_of_three_heal_one_after_the_other() {
    let stage = Stage::new("two");
    stage.full_nodes("{minHealthy: 1, maxConcurrent: 1, warmUp: 5s, budget: [{actions: 10, per: 1h}]}");
    stage.hang("full-0");
    stage.hang("full-2");
    stage.healed("full-0");
    stage.healed("full-2");
    let mut lives: Vec<(i64, i64)> = remediations(&stage.namespace)
        .iter()
        .filter(|remediation| remediation["status"]["phase"] == "Succeeded")
        .map(|remediation| {
            let at = |phase: &str| {
                let timeline = remediation["status"]["timeline"].as_array().cloned().unwrap_or_default();
                let entry = timeline.into_iter().find(|entry| entry["phase"] == phase).expect(phase);
                entry["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
            };
            (at("Acting"), at("Succeeded"))
        })
        .collect();
    lives.sort_unstable();
    assert_eq!(lives.len(), 2);
    assert!(lives[0].1 <= lives[1].0, "their disruptions overlap: {lives:?}");
    assert_eq!(removals(&stage.system).len(), 2);
    assert_eq!(forbidden(&stage.system), Vec::<String>::new());
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn with_half_of_them_required_two_of_three_are_left_alone_and_the_guard_is_named() {
    let stage = Stage::new("half");
    stage.full_nodes("{minHealthy: 51%, warmUp: 5s}");
    stage.hang("full-0");
    stage.hang("full-2");
    wait("the guard to be named", SOON, || {
        let guards = [stage.guard_of("full-nodes", "full-0"), stage.guard_of("full-nodes", "full-2")];
        guards.iter().all(|guard| guard.as_deref() == Some("MinHealthy")).then_some(())
    })
    .unwrap();
    assert_eq!(removals(&stage.system), Vec::new());
    // The emergency stop holds even when the guard would not.
    kubectl(&["-n", &stage.system, "annotate", "configmap", "mainstay-stop", "mainstay.dev/stop=drill"]).unwrap();
    stage.policy("full-nodes", "FullNode", "full", "Enforce", "{minHealthy: 1, warmUp: 5s}");
    wait("the emergency stop to be named", SOON, || {
        (stage.guard_of("full-nodes", "full-0")? == "EmergencyStop").then_some(())
    })
    .unwrap();
    assert_eq!(removals(&stage.system), Vec::new());
    kubectl(&["-n", &stage.system, "annotate", "configmap", "mainstay-stop", "mainstay.dev/stop-"]).unwrap();
    stage.healed("full-0");
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_halted_chain_restarts_nobody_and_goes_on() {
    let stage = Stage::new("halt");
    stage.full_nodes("{minHealthy: 1, warmUp: 5s}");
    stage.policy("validators", "Validator", "validator", "Enforce", "{minHealthy: 1, warmUp: 5s}");
    wait("four healthy validators", SOON, || all_healthy(&stage.namespace, "validators", 4)).unwrap();
    let stopped = [stage.hang("val-0"), stage.hang("val-1")];
    let stalled = |wanted: &str| {
        let network = get(&["network", &stage.namespace]);
        let conditions = network["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|found| found["type"] == "Stalled" && found["status"] == wanted).then_some(())
    };
    wait("the network to be stalled", SOON, || stalled("True")).unwrap();
    wait("the guard to be named", SOON, || {
        (stage.guard_of("validators", "val-0")? == "NetworkStalled").then_some(())
    })
    .unwrap();
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(removals(&stage.system), Vec::new(), "nobody is restarted for a chain that stands still");
    for (pid, _) in stopped {
        signal(pid, "CONT").unwrap();
    }
    wait("the network to go on", SOON, || stalled("False")).unwrap();
    wait("four healthy validators", SOON, || all_healthy(&stage.namespace, "validators", 4)).unwrap();
    assert_eq!(removals(&stage.system), Vec::new());
    assert_eq!(forbidden(&stage.system), Vec::<String>::new());
}
