//! Clients that keep asking a Service, and nodes that are cut off from their peers.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    rig::{apply, block, get, now, remediations, wait},
    stage::{LATER, SOON, Stage},
};

/// A poll of the node, and what kube-proxy and the controllers of the cluster take: a second between two rounds of rules.
pub const INTERVAL: i64 = 2_000;
pub const PROPAGATION: i64 = 1_500;

/// What the Service chooses its pods by.
pub const LABEL: &str = "mainstay.dev/in-rotation";

/// What one client saw: when it connected (milliseconds since the epoch), and who answered.
pub type Seen = (i64, Result<String, String>);

/// A client that keeps asking, each time over a new connection.
pub struct Client {
    seen: Arc<Mutex<Vec<Seen>>>,
    end: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Client {
    pub fn of(service: SocketAddr) -> Self {
        let (seen, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (mine, ends) = (Arc::clone(&seen), Arc::clone(&end));
        let task = thread::spawn(move || {
            while !ends.load(Relaxed) {
                let at = now();
                let answer = moniker(service).map_err(|error| error.to_string());
                mine.lock().expect("a lock").push((at, answer));
                thread::sleep(Duration::from_millis(10));
            }
        });
        Self { seen, end, task: Some(task) }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("a lock").clone()
    }

    /// When this node last answered a new connection, and when it first did after `since`.
    pub fn answered(&self, node: &str, since: i64) -> (Option<i64>, Option<i64>) {
        let seen = self.seen();
        let of = || seen.iter().filter(|(_, who)| who.as_deref() == Ok(node)).map(|(at, _)| *at);
        (of().next_back(), of().find(|at| *at > since))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
        drop(self.task.take().map(JoinHandle::join));
    }
}

/// Asks a node for its name over a connection of its own.
pub fn moniker(at: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /status HTTP/1.0\r\nHost: rpc\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let body: Value = serde_json::from_str(body).map_err(io::Error::other)?;
    Ok(body["result"]["node_info"]["moniker"].as_str().unwrap_or_default().to_owned())
}

/// Cuts a node off from its peers, or lets it find them again. Its RPC answers all the while.
pub fn peers(stage: &Stage, pod: &str, cut: bool) {
    for side in ["--dport", "--sport"] {
        block(&stage.namespace, pod, side, "26656", cut).expect("iptables");
    }
}

/// Rolls the full nodes out anew with a change of their template, and makes a Service that chooses by these labels; its
/// address.
pub fn service(stage: &Stage, template: &Value, selector: &Value) -> SocketAddr {
    let change = json!({"spec": {"template": template}});
    stage.kubectl(&["patch", "statefulset", "full", "-p", &change.to_string()]);
    stage.kubectl(&["rollout", "status", "statefulset", "full", "--timeout=180s"]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "rpc", "namespace": stage.namespace},
        "spec": {
            "selector": selector,
            "ports": [{"name": "rpc", "port": 26657, "targetPort": "rpc"}],
        },
    });
    apply(&service.to_string()).expect("a Service");
    let address = get(&["-n", &stage.namespace, "service", "rpc"])["spec"]["clusterIP"].clone();
    format!("{}:26657", address.as_str().unwrap_or_default()).parse().expect("an address")
}

pub fn policy(stage: &Stage) {
    stage.policy_on(
        "full-nodes",
        "FullNode",
        "Enforce",
        "{app: cometbft, role: full}",
        "{name: behind, signal: head_lag, above: 5, for: 2s, clear: {below: 2, for: 3s}}",
        "{reroute: {within: 10m, stay: 5s}, page: {}}",
        "{minHealthy: 1, warmUp: 1s}",
    );
}

/// Waits until each of the three answers behind this address.
pub fn all_three(address: SocketAddr) {
    wait("all three to serve", SOON, || {
        let who: BTreeSet<_> = (0..40).filter_map(|_| moniker(address).ok()).collect();
        (who.len() == 3).then_some(())
    })
    .expect("three nodes");
}

/// Waits until a change of rotation of a pod has succeeded after `since`, and returns its remediation.
pub fn turned(stage: &Stage, pod: &str, action: &str, since: i64) -> Value {
    wait(&format!("{action} of {pod}"), LATER, || {
        remediations(&stage.namespace).into_iter().find(|remediation| {
            remediation["spec"]["target"]["pod"] == pod
                && !remediation["spec"]["action"][action].is_null()
                && remediation["status"]["phase"] == "Succeeded"
                && remediation["spec"]["detectedAt"].as_i64().unwrap_or(0) >= since
        })
    })
    .expect("a change of rotation")
}
