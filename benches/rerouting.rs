//! How long new connections still reach a node after a rule has fired: `make measure-reroute`. Full nodes of real chains are
//! cut off from their peers, one at a time in each of a few Services, while clients keep asking through kube-proxy. Prints
//! every round and the distribution, and fails when a request failed or one of a hundred connections came too late.

#![allow(clippy::disallowed_methods)]

#[expect(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../tests/e2e/rig.rs"]
mod rig;
#[expect(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../tests/e2e/stage.rs"]
mod stage;
#[expect(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../tests/e2e/traffic.rs"]
mod traffic;

use std::{env, net::SocketAddr, process::ExitCode, thread, time::Duration};

use rig::{kubectl, now, wait};
use serde_json::{Value, json};
use stage::{SOON, Stage};
use traffic::{Client, INTERVAL, LABEL, PROPAGATION, all_three, peers, service, turned};

/// Chains side by side, each with a Service and a client of its own.
const CHAINS: usize = 4;
/// Rounds on each.
const ROUNDS: usize = 26;

/// One round, in milliseconds.
struct Round {
    /// From the cut to the rule.
    noticed: i64,
    /// From the rule to the last new connection that the node answered; negative if that came before.
    late: i64,
    /// From the end of the cut to the first new connection that it answered again.
    back: i64,
}

fn main() -> ExitCode {
    let rounds = env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let chains: Vec<_> = (0..CHAINS).map(|chain| thread::spawn(move || measure(chain, rounds))).collect();
    let (mut all, mut asked, mut failed) = (Vec::new(), 0, Vec::new());
    let mut complete = true;
    for chain in chains {
        let Ok((rounds, seen)) = chain.join() else {
            complete = false;
            continue;
        };
        all.extend(rounds);
        asked += seen.len();
        failed.extend(seen.into_iter().filter_map(|(at, who)| Some((at, who.err()?))));
    }
    let late = report(&all, asked);
    for (at, why) in &failed {
        println!("failed at {at}: {why}");
    }
    println!("{asked} requests, {} of them failed", failed.len());
    if complete && failed.is_empty() && late.is_some_and(|late| late <= INTERVAL + PROPAGATION) {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "failed: more than {} ms after the rule, a failed request, or a broken round",
        INTERVAL + PROPAGATION
    );
    ExitCode::FAILURE
}

/// All rounds of one chain, and all that its client saw.
fn measure(chain: usize, rounds: usize) -> (Vec<Round>, Vec<traffic::Seen>) {
    let name = format!("measure-{chain}");
    let stage = Stage::with(&name, &["--validators", "2", "--block-time", "500"], &[]);
    let template = json!({"metadata": {"labels": {LABEL: "true"}}});
    let address = service(&stage, &template, &json!({"app": "cometbft", "role": "full", LABEL: "true"}));
    stage.policy_on(
        "full-nodes",
        "FullNode",
        "Enforce",
        "{app: cometbft, role: full}",
        "{name: behind, signal: head_lag, above: 5, for: 2s, clear: {below: 2, for: 3s}}",
        "{reroute: {within: 10m, stay: 5s}, page: {}}",
        "{minHealthy: 1, warmUp: 1s, newIncidentAfter: 4s}",
    );
    stage.healthy("full-nodes", 3);
    all_three(address);
    let client = Client::of(address);
    let mut done = Vec::new();
    for index in 0..rounds {
        let node = format!("full-{}", index % 3);
        let round = round(&stage, &client, address, &node);
        println!(
            "{name} {:>3}  {node}  rule after {:>6} ms   last connection {:>5} ms later   back after {:>6} ms",
            index + 1,
            round.noticed,
            round.late,
            round.back
        );
        done.push(round);
    }
    let seen = client.seen();
    (done, seen)
}

fn round(stage: &Stage, client: &Client, address: SocketAddr, node: &str) -> Round {
    stage.healthy("full-nodes", 3);
    all_three(address);
    // A new incident, and not in step with the polls.
    thread::sleep(Duration::from_millis(6_000 + u64::try_from(now()).unwrap_or(0) * 7 % 2_000));
    let cut = now();
    peers(stage, node, true);
    let out = turned(stage, node, "reroute", cut);
    let fired = out["spec"]["detectedAt"].as_i64().expect("a time");
    thread::sleep(Duration::from_secs(5));
    let (last, _) = client.answered(node, 0);
    let healed = now();
    peers(stage, node, false);
    turned(stage, node, "rejoin", healed);
    let back = wait("it to serve again", SOON, || client.answered(node, healed).1).expect("an answer");
    Round { noticed: fired - cut, late: last.expect("it served before") - fired, back: back - healed }
}

/// Prints the distributions, and returns the 99th percentile of what counts.
fn report(rounds: &[Round], asked: usize) -> Option<i64> {
    if rounds.is_empty() || asked == 0 {
        return None;
    }
    let version = kubectl(&["version", "-o", "json"]).unwrap_or_default();
    let version: Value = serde_json::from_str(&version).unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    println!(
        "\nmainstay {}, Kubernetes and kube-proxy {}; {cores} cores, load {}",
        env!("CARGO_PKG_VERSION"),
        version["serverVersion"]["gitVersion"],
        load.trim()
    );
    println!(
        "{} rounds on {CHAINS} chains; polls every 2 s, hold 2 s; a client connects anew 10 ms after each answer",
        rounds.len()
    );
    distribution("cut to rule", rounds.iter().map(|round| round.noticed).collect());
    distribution("end of cut to service", rounds.iter().map(|round| round.back).collect());
    Some(distribution("rule to last connection", rounds.iter().map(|round| round.late).collect()))
}

/// Prints a distribution and returns its 99th percentile (nearest rank).
fn distribution(what: &str, mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    let rank = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
    println!("{what:<26} min {}  median {}  p99 {}  max {} ms", rank(0), rank(50), rank(99), rank(100));
    rank(99)
}
