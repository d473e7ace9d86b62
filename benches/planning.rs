//! From a breach to what is to be done: ten thousand targets of one policy, five hundred of which breach in the same
//! second. Judged is what the operator does in one look at the policy: freeze the world, decide about every target, and
//! count what would be written.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]

use std::{
    env, fs,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay::{
    api::{Network, NetworkLedgerSpec, NodeHealthPolicy, RemediationRef},
    plan::{Decision, Hours, OwnFacts, ledger, propose},
    policy::{validate, validate_network},
    signal::{Mono, Now, Poll, Server, Signal, Value, Wall},
    world::{Key, PodView, Round, TargetKey, World},
};
use serde_json::json;

const TARGETS: usize = 10_000;
const BREACHING: usize = 500;
const BOUND: Duration = Duration::from_millis(50);
const SECOND: u64 = 1_000;
const BASE: i64 = 1_800_000_000_000;

fn main() -> ExitCode {
    let (mut world, keys) = world();
    // Ten minutes of health, then some stand still while the chain goes on.
    let mut filing = Duration::ZERO;
    let mut files = 0_u32;
    for second in (0..=1500).step_by(6) {
        let now = Mono(second * SECOND);
        for (index, key) in keys.iter().enumerate() {
            let stuck = index % (TARGETS / BREACHING) == 7;
            let height = 1_000 + if stuck { second.min(600) } else { second } / 6;
            let begun = Instant::now();
            world.file(key, "rpc", &poll(height, now), now);
            filing += begun.elapsed();
            files += 1;
        }
        world.tick(now);
    }
    let now = Now { mono: Mono(1500 * SECOND), wall: Wall(BASE + 1_500_000), server: Server(BASE + 1_500_000) };
    let mut times = Vec::new();
    let (mut breaching, mut proposed, mut most) = (0, 0, 0);
    for _ in 0..50 {
        let begun = Instant::now();
        let snapshot = world.snapshot(&keys[0].policy, now.mono, now.server).unwrap();
        let own = OwnFacts { cache_age: 0, schema_current: true, approvals_guarded: true };
        let hours = Hours::of(&snapshot.policy, now);
        let mut round = Round::new(&snapshot, "m/m", NetworkLedgerSpec::default(), hours, own, now);
        (breaching, proposed) = (0, 0);
        for target in &snapshot.targets {
            breaching += usize::from(target.facts.verdict.firing().next().is_some());
            if let Decision::Proposed(proposal) = propose(&round.facts(target, &target.live)) {
                proposed += 1;
                let slot = &target.facts.slot;
                let remediation =
                    RemediationRef { namespace: "cosmos".into(), name: slot.clone(), uid: slot.clone() };
                round.seat(ledger::expected(&snapshot.policy, slot, proposal.step, remediation));
            }
        }
        most = snapshot.policy.limits.max_concurrent.max(snapshot.network.max_concurrent);
        times.push(begun.elapsed());
    }
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("mainstay {}, load {}", env!("CARGO_PKG_VERSION"), load.split(' ').next().unwrap_or("?"));
    println!(
        "{TARGETS} targets, {breaching} breaching: planned in {median:.1?} (median of {}), {worst:.1?} at worst",
        times.len()
    );
    println!("written: {proposed} remediations, of {most} at once");
    println!("an answer filed and judged in {:.1?}", filing / files);
    let right = breaching == BREACHING && proposed > 0 && proposed <= most as usize && median <= BOUND;
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn world() -> (World, Vec<TargetKey>) {
    let network: Network = serde_json::from_value(json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "Network", "metadata": {"name": "hub", "uid": "hub"},
        "spec": {"family": "CometBFT", "chainId": "hub-1", "blockTime": "6s", "allowedNamespaces": ["cosmos"]},
    }))
    .unwrap();
    let network = validate_network(&network).unwrap();
    let policy: NodeHealthPolicy = serde_json::from_value(json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
        "metadata": {"name": "rpc", "namespace": "cosmos", "uid": "p", "generation": 1},
        "spec": {
            "network": "hub", "role": "FullNode", "mode": "Enforce", "selector": {"matchLabels": {"app": "node"}},
            "telemetry": [{"name": "rpc", "cometbft": {"port": 26657}, "every": "6s", "timeout": "1s"}],
        },
    }))
    .unwrap();
    let policy = validate(&policy, network.family).unwrap();
    let pods: Vec<Arc<PodView>> = (0..TARGETS).map(|index| Arc::new(pod(index))).collect();
    let mut world = World::default();
    world.sync(vec![network], vec![policy], &pods, Mono(0), Mono(0));
    let policy = Key { namespace: "cosmos".into(), name: "rpc".into() };
    let keys = pods.iter().map(|pod| TargetKey { policy: policy.clone(), uid: pod.uid.clone() });
    (world, keys.collect())
}

fn pod(index: usize) -> PodView {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("node-{index}"), "namespace": "cosmos", "uid": format!("uid-{index}"),
            "labels": {"app": "node"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "node", "uid": "s", "controller": true}],
        },
        "spec": {"containers": [], "nodeName": format!("machine-{}", index % 100)},
        "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap()
}

fn poll(height: u64, at: Mono) -> Poll {
    let known = |value: u64| Ok(Value::Whole(value));
    Poll {
        asked_at: at,
        observed_at: at,
        values: vec![
            (Signal::Reachable, known(1)),
            (Signal::Head, known(height)),
            (Signal::Syncing, known(0)),
            (Signal::Peers, known(20)),
        ],
        ..Poll::default()
    }
}
