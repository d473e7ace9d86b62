//! One scenario's own namespace, chain and installation. Whatever happens, it is taken down at the end.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use serde_json::Value;

use crate::rig::{
    all_healthy, apply, cluster, forbidden, get, install, kubectl, now, pid, remediations, removals, signal,
    uninstall, wait,
};

/// A few polls and holds.
pub const SOON: Duration = Duration::from_secs(90);
/// A whole healing, on a busy machine.
pub const LATER: Duration = Duration::from_secs(240);

/// Scenarios run side by side, except those that touch what all of them stand on.
static MACHINE: RwLock<()> = RwLock::new(());

/// The shares of the machine.
enum Share {
    One { _guard: RwLockReadGuard<'static, ()> },
    All { _guard: RwLockWriteGuard<'static, ()> },
}

/// A scenario's stage.
pub struct Stage {
    pub namespace: String,
    pub system: String,
    /// The audit log goes back further: the same stage may have been set before.
    begun: i64,
    _share: Share,
}

impl Stage {
    /// A chain of 4 validators and 3 full nodes with an installation of its own.
    pub fn new(name: &str) -> Self {
        Self::with(name, &[], &[])
    }

    /// The same, with `chain` more arguments for the chain and `helm` more arguments for the chart.
    pub fn with(name: &str, chain: &[&str], helm: &[&str]) -> Self {
        let guard = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        Self::set(name, chain, helm, Share::One { _guard: guard })
    }

    /// The same, while no other scenario runs.
    pub fn alone(name: &str) -> Self {
        let guard = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        Self::set(name, &[], &[], Share::All { _guard: guard })
    }

    /// A namespace and an installation, and no chain: nodes of another kind come with their own network.
    pub fn bare(name: &str, helm: &[&str]) -> Self {
        let guard = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        let stage = Self::named(name, Share::One { _guard: guard });
        let namespace = &stage.namespace;
        apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"))
            .expect("a namespace");
        install(&stage.system, &[namespace], false, helm).expect("an installation");
        stage
    }

    fn named(name: &str, share: Share) -> Self {
        Self {
            namespace: format!("e2e-{name}"),
            system: format!("e2e-{name}-system"),
            begun: now(),
            _share: share,
        }
    }

    fn set(name: &str, chain: &[&str], helm: &[&str], share: Share) -> Self {
        let stage = Self::named(name, share);
        let up = ["chain", "up", "--namespace", &stage.namespace, "--chain-id", &stage.namespace];
        cluster(&[&up, chain].concat()).expect("a chain");
        install(&stage.system, &[&stage.namespace], false, helm).expect("an installation");
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

    /// A policy for the pods of one role, in its everyday form.
    pub fn policy(&self, name: &str, role: &str, label: &str, mode: &str, guard: &str) {
        let selector = format!("{{app: cometbft, role: {label}}}");
        let ladder = "{restart: {within: 2m, attempts: 2, cooldown: 1m}, page: {}}";
        self.policy_on(name, role, mode, &selector, SILENT, ladder, guard);
    }

    /// A policy in every detail that scenarios differ in.
    #[expect(clippy::too_many_arguments, reason = "one place of each in the manifest below")]
    pub fn policy_on(
        &self,
        name: &str,
        role: &str,
        mode: &str,
        selector: &str,
        when: &str,
        ladder: &str,
        guard: &str,
    ) {
        let namespace = &self.namespace;
        apply(&format!(
            "apiVersion: mainstay.dev/v1alpha1
kind: NodeHealthPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  network: {namespace}
  role: {role}
  selector: {{matchLabels: {selector}}}
  mode: {mode}
  telemetry: [{{name: rpc, cometbft: {{port: rpc}}, every: 2s, timeout: 1s}}]
  rules:
  - {when}
  remediation: {ladder}
  guard: {guard}
  notify: [test]"
        ))
        .expect("a policy");
    }

    /// The policy of the three full nodes, once all of them are known to be well.
    pub fn full_nodes(&self, guard: &str) {
        self.policy("full-nodes", "FullNode", "full", "Enforce", guard);
        self.healthy("full-nodes", 3);
    }

    /// Waits until a policy has so many targets and all of them are healthy.
    pub fn healthy(&self, policy: &str, targets: u64) {
        wait(&format!("{targets} healthy {policy}"), SOON, || all_healthy(&self.namespace, policy, targets))
            .expect("health");
    }

    /// Stops the process of a pod and says when.
    pub fn hang(&self, pod: &str) -> (u32, i64) {
        let pid = pid(&self.namespace, pod).expect("a process");
        signal(pid, "STOP").expect("a signal");
        (pid, now())
    }

    /// What a policy's status says of a pod.
    pub fn target(&self, policy: &str, pod: &str) -> Option<Value> {
        let status = get(&["-n", &self.namespace, "nhp", policy]);
        let targets = status["status"]["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().find(|target| target["pod"] == pod)
    }

    /// Waits until a guard is named for a pod, and returns its words.
    pub fn held(&self, policy: &str, pod: &str, guard: &str) -> String {
        wait(&format!("{guard} to be named for {pod}"), SOON, || {
            let target = self.target(policy, pod)?;
            (target["guard"] == guard).then(|| target["guardMessage"].as_str().unwrap_or_default().to_owned())
        })
        .expect("a guard")
    }

    /// Waits until a pod was restarted and is well again.
    pub fn healed(&self, slot: &str) {
        wait(&format!("{slot} to be healed"), LATER, || {
            remediations(&self.namespace).into_iter().find(|remediation| {
                remediation["spec"]["target"]["slot"] == slot
                    && remediation["status"]["phase"] == "Succeeded"
                    && remediation["metadata"]["finalizers"].is_null()
            })
        })
        .expect("healing");
    }

    /// Seats that are taken.
    pub fn seats(&self) -> usize {
        get(&["networkledger", &self.namespace])["spec"]["seats"].as_array().map_or(0, Vec::len)
    }

    /// The removals of pods that the API server accepted from this stage's operator: pod and time.
    pub fn removals(&self) -> Vec<(String, i64)> {
        removals(&self.system).into_iter().filter(|(_, at)| *at >= self.begun).collect()
    }

    /// These pods were removed and no others, each once, and each was back before the next one went. They are in the
    /// order of their names.
    pub fn removed_one_after_the_other(&self, pods: &[&str]) {
        let mut removals = self.removals();
        removals.sort_by_key(|(_, at)| *at);
        let mut names: Vec<_> = removals.iter().map(|(pod, _)| pod.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, pods, "{removals:?}");
        for pair in removals.windows(2) {
            let back = self.ready_at(&pair[0].0);
            assert!(back <= pair[1].1, "{} was back at {back}: {removals:?}", pair[0].0);
        }
    }

    /// When a pod that has a name now became ready (milliseconds since the epoch, whole seconds).
    fn ready_at(&self, pod: &str) -> i64 {
        let conditions = get(&["-n", &self.namespace, "pod", pod])["status"]["conditions"].clone();
        let conditions = conditions.as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").expect("a condition");
        let at: jiff::Timestamp =
            ready["lastTransitionTime"].as_str().unwrap_or_default().parse().expect("a time");
        at.as_millisecond()
    }

    /// What this stage's operator asked for and may not have: its own RBAC must be enough.
    pub fn forbidden(&self) -> Vec<String> {
        forbidden(&self.system, self.begun)
    }

    /// `kubectl` in the namespace of the chain.
    pub fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["-n", &self.namespace], args].concat()).expect("kubectl")
    }
}

/// The rule of most scenarios: a node that does not answer.
pub const SILENT: &str = "{name: preset/silent, signal: reachable, below: 1, for: 10s, clear: {for: 5s}}";

/// The metrics of one replica.
pub fn metrics(address: (&str, u16)) -> io::Result<String> {
    ask(address, "/metrics")
}

/// The body of one page over HTTP.
pub fn ask(address: (&str, u16), path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", address.0)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A scenario that failed is looked at before it is gone.
        if std::thread::panicking() {
            let logs =
                kubectl(&["-n", &self.system, "logs", "-l", "app.kubernetes.io/name=mainstay", "--tail=60"]);
            let status = kubectl(&["-n", &self.namespace, "get", "pods,nhp,nrem"]);
            let policies = kubectl(&["-n", &self.namespace, "get", "nhp", "-o", "jsonpath={.items[*].status}"]);
            for text in [logs, status, policies] {
                eprintln!("{}", text.unwrap_or_default());
            }
        }
        drop(uninstall(&self.system));
        drop(kubectl(&["delete", "network", &self.namespace, "--wait=false"]));
        drop(kubectl(&["delete", "networkledger", &self.namespace, "--wait=false"]));
        drop(cluster(&["chain", "down", "--namespace", &self.namespace]));
        // The chain's namespace went with it; one without a chain is left.
        let namespaces = [self.namespace.as_str(), &self.system];
        let delete = ["delete", "namespace", "--ignore-not-found", "--timeout=90s"];
        drop(kubectl(&[&delete[..], &namespaces].concat()));
    }
}
