//! How long a hung node stays hung: `make bench`. Twenty times a full node of a real chain is stopped on the local
//! cluster, and the API server's audit log says when its removal was accepted. Prints every run and the distribution,
//! holds the operator's own histogram against this clock, and fails when either is out of bounds.

#![allow(clippy::disallowed_methods)]

#[expect(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../tests/e2e/rig.rs"]
mod rig;

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::ExitCode,
    thread,
    time::Duration,
};

use rig::{
    all_healthy, apply, cluster, get, install, kubectl, now, pid, remediations, removals, signal, uninstall, wait,
};
use serde_json::Value;

const NAMESPACE: &str = "bench";
const SYSTEM: &str = "bench-system";
const RUNS: usize = 20;
/// Seconds within which 95 of 100 removals must be accepted: a poll, a hold of 10 s, a timeout, and the act.
const BUDGET: f64 = 14.0;
/// How far apart (seconds) the two clocks' means may be: the breach begins when the first request that it breaks is
/// sent, from one timeout before the stop to one interval after it.
const APART: std::ops::RangeInclusive<f64> = -1.5..=3.0;
const LONG: Duration = Duration::from_secs(180);

/// One run, in seconds since the stop.
struct Run {
    victim: String,
    removed: f64,
    healthy: f64,
}

fn main() -> ExitCode {
    let result = bench();
    drop(uninstall(SYSTEM));
    drop(kubectl(&["delete", "network,networkledger", NAMESPACE]));
    drop(cluster(&["chain", "down", "--namespace", NAMESPACE]));
    drop(kubectl(&["delete", "namespace", SYSTEM, "--wait=false"]));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the bench failed: {why}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), String> {
    cluster(&["chain", "up", "--namespace", NAMESPACE, "--chain-id", NAMESPACE])?;
    install(SYSTEM, &[NAMESPACE], false, &[])?;
    apply(MANIFESTS)?;
    let begun = now();
    let mut runs = Vec::new();
    for index in 0..RUNS {
        let victim = format!("full-{}", index % 3);
        let run = run(victim, begun)?;
        println!(
            "{:>3}  {}  removal accepted {:>5.1} s   healthy {:>5.1} s",
            index + 1,
            run.victim,
            run.removed,
            run.healthy
        );
        runs.push(run);
    }
    report(&runs)
}

fn run(victim: String, begun: i64) -> Result<Run, String> {
    wait("three healthy full nodes", LONG, || all_healthy(NAMESPACE, "full-nodes", 3))?;
    // Not in step with the polls.
    thread::sleep(Duration::from_millis(u64::try_from(now()).unwrap_or(0) * 7 % 2_000));
    let earlier = removals(SYSTEM).iter().filter(|(_, at)| *at >= begun).count();
    signal(pid(NAMESPACE, &victim)?, "STOP")?;
    let stopped = now();
    let removed = wait("the removal", LONG, || {
        removals(SYSTEM).into_iter().filter(|(_, at)| *at >= begun).nth(earlier).map(|(_, at)| at)
    })?;
    let healthy = wait("the healing", LONG, || {
        remediations(NAMESPACE).iter().filter(|found| found["spec"]["target"]["pod"] == victim).find_map(|found| {
            let timeline = found["status"]["timeline"].as_array()?;
            let end = timeline.iter().find(|entry| entry["phase"] == "Succeeded")?;
            let at: jiff::Timestamp = end["at"].as_str()?.parse().ok()?;
            (at.as_millisecond() > removed).then_some(at.as_millisecond())
        })
    })?;
    Ok(Run { victim, removed: seconds(removed - stopped), healthy: seconds(healthy - stopped) })
}

fn report(runs: &[Run]) -> Result<(), String> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let version = kubectl(&["version", "-o", "json"]).unwrap_or_default();
    let version: Value = serde_json::from_str(&version).unwrap_or_default();
    let image = get(&["-n", NAMESPACE, "statefulset", "full"])["spec"]["template"]["spec"].clone();
    println!(
        "\nmainstay {}, Kubernetes {}, {}",
        env!("CARGO_PKG_VERSION"),
        version["serverVersion"]["gitVersion"],
        image["containers"][0]["image"]
    );
    println!("{cores} cores, load {}", load.trim());
    println!(
        "polls every 2 s with a timeout of 1 s, hold 10 s; grace period {} s, which a stopped process uses up whole",
        image["terminationGracePeriodSeconds"]
    );
    let removed = distribution("SIGSTOP to accepted removal", runs.iter().map(|run| run.removed).collect());
    distribution("SIGSTOP to healthy again", runs.iter().map(|run| run.healthy).collect());

    let (count, sum) = histogram()?;
    let mean = runs.iter().map(|run| run.removed).sum::<f64>() / count_of(runs.len());
    let own = sum / count.max(1.0);
    println!(
        "{:<28} {count} removals, mean {own:.2} s after the breach; by this clock {mean:.2} s after the stop",
        "the operator's histogram"
    );
    if (count - count_of(runs.len())).abs() > 0.5 {
        return Err(format!("the histogram counts {count} removals, this clock {}", runs.len()));
    }
    if !APART.contains(&(mean - own)) {
        return Err(format!("the two clocks are {:.2} s apart, outside {APART:?}", mean - own));
    }
    if removed > BUDGET {
        return Err(format!("p95 is {removed:.1} s, more than {BUDGET} s"));
    }
    Ok(())
}

/// Prints a distribution and returns its 95th percentile (nearest rank).
fn distribution(what: &str, mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
    println!("{what:<28} min {:.1}  median {:.1}  p95 {:.1}  max {:.1} s", rank(0), rank(50), rank(95), rank(100));
    rank(95)
}

/// Count and sum (seconds) of the stage `acted`, over the replicas: only the one that led has any.
fn histogram() -> Result<(f64, f64), String> {
    let pods = get(&["-n", SYSTEM, "pods", "-l", "app.kubernetes.io/name=mainstay"]);
    let (mut count, mut sum) = (0.0, 0.0);
    for pod in pods["items"].as_array().into_iter().flatten() {
        let text =
            metrics(pod["status"]["podIP"].as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name) && line.contains("stage=\"acted\""));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
        };
        count += value("mainstay_heal_seconds_count");
        sum += value("mainstay_heal_seconds_sum");
    }
    Ok((count, sum))
}

fn metrics(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address, 8080))?;
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[expect(clippy::cast_precision_loss, reason = "minutes of milliseconds")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn count_of(runs: usize) -> f64 {
    runs as f64
}

const MANIFESTS: &str = "apiVersion: mainstay.dev/v1alpha1
kind: Network
metadata: {name: bench}
spec: {family: CometBFT, chainId: bench, blockTime: 1s, stalledAfter: 20s, allowedNamespaces: [bench]}
---
apiVersion: mainstay.dev/v1alpha1
kind: NodeHealthPolicy
metadata: {name: validators, namespace: bench}
spec:
  network: bench
  role: Validator
  selector: {matchLabels: {app: cometbft, role: validator}}
  mode: Observe
  telemetry: [{name: rpc, cometbft: {port: rpc}, every: 2s, timeout: 1s}]
---
apiVersion: mainstay.dev/v1alpha1
kind: NodeHealthPolicy
metadata: {name: full-nodes, namespace: bench}
spec:
  network: bench
  role: FullNode
  selector: {matchLabels: {app: cometbft, role: full}}
  mode: Enforce
  telemetry: [{name: rpc, cometbft: {port: rpc}, every: 2s, timeout: 1s}]
  rules: [{name: preset/silent, signal: reachable, below: 1, for: 10s, clear: {for: 5s}}]
  remediation: {restart: {within: 2m, attempts: 2, cooldown: 1s}, page: {}}
  guard: {minHealthy: 1, warmUp: 1s, newIncidentAfter: 5s, budget: [{actions: 100, per: 1h}]}
";
