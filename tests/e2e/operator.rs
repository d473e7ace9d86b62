//! The operator as a process of the test's own, behind the fault proxy: with the rights and the configuration that the
//! chart gives it, and killable at any request.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    proxy::{FaultProxy, Upstream},
    rig::{kubectl, signal, state},
    stage::{Stage, metrics},
};

/// What the chart is told so that it brings everything but a running operator.
pub const NO_REPLICAS: [&str; 2] = ["--set", "replicas=0"];

/// A way to the API server with faults on it, and what an operator needs to take it.
pub struct Passage {
    pub proxy: FaultProxy,
    kubeconfig: PathBuf,
    namespace: String,
    system: String,
}

impl Passage {
    /// A proxy for the operator of a stage; `name` is unique in the test.
    pub async fn open(stage: &Stage, name: &str, upstream: Upstream) -> Self {
        let token =
            kubectl(&["-n", &stage.system, "create", "token", "mainstay", "--duration=2h"]).expect("a token");
        let proxy = FaultProxy::start(upstream).await.expect("a proxy");
        let kubeconfig =
            std::env::temp_dir().join(format!("mainstay-{}-{name}-{}", stage.system, std::process::id()));
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: \"{}\"}}}}], \
             users: [{{name: u, user: {{token: \"{}\"}}}}], contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}",
            proxy.url(),
            token.trim(),
        );
        fs::write(&kubeconfig, text).expect("a kubeconfig");
        Self { proxy, kubeconfig, namespace: stage.namespace.clone(), system: stage.system.clone() }
    }

    /// Starts an operator on this way.
    pub fn operator(&self, replica: &str) -> Operator {
        self.operator_in(replica, &[])
    }

    /// The same, with more in its environment.
    pub fn operator_in(&self, replica: &str, environment: &[(&str, &str)]) -> Operator {
        // Free a moment ago, and nobody else asks for ports here.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let log = fs::File::create(self.kubeconfig.with_extension(format!("{replica}.log"))).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_mainstay"))
            .args(["run", "--namespaces", &self.namespace, "--identity", replica])
            .args(["--installation", &format!("{}/mainstay", self.system)])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("KUBECONFIG", &self.kubeconfig)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("an operator");
        Operator { child: Arc::new(Mutex::new(child)), port }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.kubeconfig));
    }
}

/// The API server of the local cluster; `with` changes how requests reach it.
pub fn upstream() -> Upstream {
    let url = kubectl(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]);
    let config = fs::read_to_string(state().join("kubeconfig")).expect("a kubeconfig");
    let config: serde_json::Value = serde_yaml::from_str(&config).expect("a kubeconfig");
    let cluster = &config["clusters"][0]["cluster"];
    let url = url.expect("a cluster");
    match cluster["certificate-authority"].as_str() {
        Some(path) => Upstream::trusting(url.trim(), fs::read(path).expect("an authority")),
        None => Upstream::unverified(url.trim()),
    }
}

/// A process that is killed when nobody needs it any more.
#[derive(Clone)]
pub struct Operator {
    child: Arc<Mutex<Child>>,
    port: u16,
}

impl Operator {
    /// Kills it as the kernel would: nothing is said, nothing is given back.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        drop(child.kill());
        drop(child.wait());
    }

    /// Asks it to end, as a kubelet does, and waits until it has: it gives its lease back.
    pub fn end(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // The number of one that has ended already may be another's by now.
        if matches!(child.try_wait(), Ok(None)) {
            drop(signal(child.id(), "TERM"));
        }
        drop(child.wait());
    }

    /// Whether it says that it leads.
    pub fn leads(&self) -> bool {
        metrics(("127.0.0.1", self.port)).is_ok_and(|text| text.lines().any(|line| line == "mainstay_leader 1"))
    }
}
