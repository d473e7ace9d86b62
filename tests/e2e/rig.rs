//! Drives the local cluster from outside, with its own launcher and `kubectl`: what a person would type.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The launcher of the local cluster, built beside the running test or example.
pub fn launcher() -> PathBuf {
    if let Some(path) = std::env::var_os("MAINSTAY_CLUSTER") {
        return path.into();
    }
    let me = std::env::current_exe().expect("the path of this program");
    let profile = me.parent().and_then(Path::parent).expect("a target folder");
    profile.join("examples/cluster")
}

/// Runs the launcher and returns what it printed.
pub fn cluster(args: &[&str]) -> Result<String, String> {
    run(Command::new(launcher()).args(args), None)
}

/// Runs `kubectl` as the administrator.
pub fn kubectl(args: &[&str]) -> Result<String, String> {
    cluster(&[&["kubectl"], args].concat())
}

/// Runs `kubectl get … -o json`.
pub fn get(args: &[&str]) -> Value {
    let text = kubectl(&[&["get", "-o", "json"], args].concat()).unwrap_or_else(|_| "{}".into());
    serde_json::from_str(&text).unwrap_or_default()
}

/// Applies a manifest.
pub fn apply(manifest: &str) -> Result<String, String> {
    run_with(&["apply", "-f", "-"], manifest)
}

/// Runs `kubectl` with something to read.
pub fn run_with(args: &[&str], input: &str) -> Result<String, String> {
    run(Command::new(launcher()).arg("kubectl").args(args), Some(input))
}

/// Installs or upgrades the chart as `mainstay` in `system`, looking after `namespaces` (empty: all of them), with
/// `more` arguments for Helm.
pub fn install(system: &str, namespaces: &[&str], crds: bool, more: &[&str]) -> Result<(), String> {
    let helm = cluster(&["tool", "helm"])?;
    let kubeconfig = cluster(&["kubeconfig"])?;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/mainstay");
    let mut command = Command::new(helm.trim());
    command.env("KUBECONFIG", kubeconfig.trim()).args(["upgrade", "--install", "mainstay"]).arg(chart).args([
        "--namespace",
        system,
        "--create-namespace",
        "--set",
        "image.repository=mainstay,image.tag=dev,image.pullPolicy=Never",
        "--set",
        &format!("crds.install={crds}"),
    ]);
    if !namespaces.is_empty() {
        command.args(["--set", &format!("namespaces={{{}}}", namespaces.join(","))]);
    }
    run(command.args(more), None)?;
    kubectl(&["-n", system, "rollout", "status", "deployment/mainstay", "--timeout=90s"]).map(drop)
}

/// Uninstalls the chart, its hook included.
pub fn uninstall(system: &str) -> Result<String, String> {
    let helm = cluster(&["tool", "helm"])?;
    let kubeconfig = cluster(&["kubeconfig"])?;
    let mut command = Command::new(helm.trim());
    command.env("KUBECONFIG", kubeconfig.trim()).args(["uninstall", "mainstay", "--namespace", system, "--wait"]);
    run(&mut command, None)
}

/// The process of a pod's container, as the machine numbers it.
pub fn pid(namespace: &str, pod: &str) -> Result<u32, String> {
    let text = cluster(&["pid", "--namespace", namespace, pod])?;
    text.trim().parse().map_err(|_| format!("no pid of {pod}: {text}"))
}

/// The process of one container of a pod, also of a sidecar.
pub fn pid_of(namespace: &str, pod: &str, container: &str) -> Result<u32, String> {
    let text = cluster(&["pid", "--namespace", namespace, "--container", container, pod])?;
    text.trim().parse().map_err(|_| format!("no pid of {container} of {pod}: {text}"))
}

/// The process of a component of the cluster.
pub fn pid_component(name: &str) -> u32 {
    let text = cluster(&["pid", "--component", name]).expect("a component");
    text.trim().parse().expect("a number")
}

/// Drops what arrives at a pod with this TCP port on a side (`--dport`, `--sport`), or lets it through again. Its process
/// notices nothing else.
pub fn block(namespace: &str, pod: &str, side: &str, port: &str, blocked: bool) -> Result<(), String> {
    filter(namespace, pod, "INPUT", blocked, &[side, port])
}

/// The same for what a pod sends to this port, of anybody.
pub fn block_to(namespace: &str, pod: &str, port: &str, blocked: bool) -> Result<(), String> {
    filter(namespace, pod, "OUTPUT", blocked, &["--dport", port])
}

/// The same for what comes from one address to this port. A pod that is made anew knows nothing of it.
pub fn block_from(namespace: &str, pod: &str, source: &str, port: &str, blocked: bool) -> Result<(), String> {
    filter(namespace, pod, "INPUT", blocked, &["--dport", port, "-s", source])
}

fn filter(namespace: &str, pod: &str, chain: &str, blocked: bool, what: &[&str]) -> Result<(), String> {
    let pid = pid(namespace, pod)?.to_string();
    let action = if blocked { "-A" } else { "-D" };
    let rule = [&[chain, "-p", "tcp"], what, &["-j", "DROP"]].concat();
    run(Command::new("nsenter").args(["-t", &pid, "-n", "iptables", action]).args(rule), None).map(drop)
}

/// Sends a signal to a process that this test found itself.
pub fn signal(pid: u32, name: &str) -> Result<(), String> {
    run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]), None).map(drop)
}

/// Asks until it is so, and says what was waited for if it never is.
pub fn wait<T>(what: &str, most: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask() {
            return Ok(found);
        }
        if begun.elapsed() > most {
            return Err(format!("waited {} s for {what}", most.as_secs()));
        }
        // Each question starts a process; more of them would be load of our own making.
        thread::sleep(Duration::from_secs(2));
    }
}

/// Whether every target of a policy is healthy, and there are so many.
pub fn all_healthy(namespace: &str, policy: &str, targets: u64) -> Option<()> {
    let counts = get(&["-n", namespace, "nhp", policy])["status"]["counts"].clone();
    (counts["targets"] == targets && counts["healthy"] == targets).then_some(())
}

/// The remediations of a namespace.
pub fn remediations(namespace: &str) -> Vec<Value> {
    get(&["-n", namespace, "nrem"])["items"].as_array().cloned().unwrap_or_default()
}

/// Where the cluster keeps its state.
pub fn state() -> PathBuf {
    let kubeconfig = cluster(&["kubeconfig"]).expect("a cluster");
    Path::new(kubeconfig.trim()).parent().expect("a folder").to_owned()
}

/// The address of the API server.
pub fn server() -> SocketAddr {
    let url = kubectl(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"])
        .expect("a cluster");
    url.trim().trim_start_matches("https://").parse().expect("an address and a port")
}

/// The audit log's lines about the operators in the namespaces whose name begins like this.
pub fn audit(system: &str) -> Vec<Value> {
    let log = state().join("audit.log");
    let user = format!("system:serviceaccount:{system}");
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().filter(|line| line.contains(&user));
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let theirs = |line: &Value| {
        let name = line["user"]["username"].as_str().unwrap_or_default();
        name.starts_with(&user) && name.ends_with(":mainstay")
    };
    lines.filter(theirs).collect()
}

/// The removals of pods that the API server accepted from one operator: pod and time (milliseconds since the epoch).
pub fn removals(system: &str) -> Vec<(String, i64)> {
    let accepted = |line: &&Value| {
        let object = &line["objectRef"];
        let eviction = line["verb"] == "create" && object["subresource"] == "eviction";
        let delete = line["verb"] == "delete" && object["resource"] == "pods";
        let code = line["responseStatus"]["code"].as_u64().unwrap_or(0);
        (eviction || delete) && (200..300).contains(&code)
    };
    let lines = audit(system);
    let removals = lines
        .iter()
        .filter(accepted)
        .map(|line| (line["objectRef"]["name"].as_str().unwrap_or_default().to_owned(), time(line)));
    removals.collect()
}

/// When a line of the audit log was written (milliseconds since the epoch).
pub fn time(line: &Value) -> i64 {
    let at: jiff::Timestamp = line["stageTimestamp"].as_str().unwrap_or_default().parse().unwrap_or_default();
    at.as_millisecond()
}

/// What the operator asked for since then (milliseconds since the epoch) and may not have.
pub fn forbidden(system: &str, since: i64) -> Vec<String> {
    let lines = audit(system);
    let forbidden = lines.iter().filter(|line| line["responseStatus"]["code"] == 403 && time(line) >= since);
    forbidden.map(|line| format!("{} {}", line["verb"], line["requestURI"])).collect()
}

/// Now, in milliseconds since the epoch: the API server runs on this machine.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Runs a program, with something to read, and returns what it printed; what it complained of if it failed.
pub fn run(command: &mut Command, input: Option<&str>) -> Result<String, String> {
    let name = format!("{command:?}");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("failed to start {name}: {error}"))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).map_err(|error| format!("failed to write to {name}: {error}"))?;
    }
    let output = child.wait_with_output().map_err(|error| format!("failed to run {name}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
