//! geth, anvil and EthereumJS.

use std::{fs, path::Path, time::Duration};

use mainstay::{
    judge::VerdictKind,
    plan::Step,
    signal::{Reading, Signal},
};
use serde_json::{Value, json};

use crate::{
    process::{Process, free_port, program, wait_for},
    rig::Rig,
};

pub fn anvil(port: u16, more: &[&str], dir: &Path) -> Process {
    let port = port.to_string();
    let args = ["--port", &port, "--block-time", "1", "--slots-in-an-epoch", "1", "--silent"];
    Process::start(&program("anvil"), &[&args, more].concat(), dir)
}

pub async fn rpc(port: u16, method: &str, params: Value) -> Option<Value> {
    let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let request = crate::process::http().post(format!("http://127.0.0.1:{port}")).json(&question);
    let answer = request.timeout(Duration::from_secs(3)).send().await.ok()?;
    Some(answer.json::<Value>().await.ok()?["result"].clone())
}

pub async fn answers(port: u16) {
    wait_for("an RPC", Duration::from_secs(60), async || rpc(port, "eth_chainId", json!([])).await.is_some())
        .await;
}

/// Two that start in the same second make the very same blocks, until one of them pays somebody else.
async fn go_another_way(port: u16) {
    rpc(port, "anvil_setCoinbase", json!(["0x00000000000000000000000000000000000000aa"])).await.unwrap();
}

/// A chain of blocks a second, and rules that fire in seconds instead of minutes.
pub fn network(chain: &str, references: Value) -> Value {
    json!({
        "family": "EthereumExecution", "chainId": chain, "blockTime": "1s", "stalledAfter": "30s",
        "references": references,
    })
}

pub fn quick(rules: Value) -> Value {
    json!({
        "role": "FullNode",
        "telemetry": [{"name": "rpc", "execution": {"port": "rpc"}, "every": "1s", "timeout": "2s"}],
        "rules": rules,
        "guard": {"warmUp": "1s", "progress": {"within": "15s"}, "evidenceMaxAge": "30s", "minHealthy": 0},
    })
}

fn whole(rig: &Rig, target: &str, source: &str, signal: Signal) -> u64 {
    rig.told(target, source, signal).unwrap_or_else(|why| panic!("{target} {signal:?}: {why}")) / 1_000_000
}

#[ignore = "needs geth: make chains"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn geth_tells_everything_by_its_rpc_and_by_its_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let (port, metrics) = (free_port(), free_port());
    let (at, page) = (port.to_string(), metrics.to_string());
    let args = ["--dev", "--dev.period", "1", "--http", "--http.port", &at, "--http.api", "eth,net,web3,txpool"];
    let more = [
        "--metrics",
        "--metrics.addr",
        "127.0.0.1",
        "--metrics.port",
        &page,
        "--ipcdisable",
        "--port",
        "0",
        "--authrpc.port",
        "0",
    ];
    let _geth = Process::start(&program("geth"), &[&args[..], &more].concat(), dir.path());
    answers(port).await;
    let mut policy = quick(json!([]));
    policy["telemetry"].as_array_mut().unwrap().push(json!({
        "name": "metrics", "every": "1s",
        "scrape": {"port": "metrics", "path": "/debug/metrics/prometheus", "reads": "EthereumExecution"},
    }));
    let mut rig =
        Rig::new(&network("1337", json!([])), &policy, &[("geth-0", &[("rpc", port), ("metrics", metrics)])]);
    rig.until("a few blocks", 60, |rig| rig.told("geth-0", "rpc", Signal::BlockInterval).is_ok()).await;
    assert!(whole(&rig, "geth-0", "rpc", Signal::Head) > 0);
    for signal in [Signal::Syncing, Signal::Peers, Signal::Mempool, Signal::Finalized, Signal::GasUtilisation] {
        rig.told("geth-0", "rpc", signal).unwrap_or_else(|why| panic!("{signal:?}: {why}"));
    }
    let (by_rpc, by_page) =
        (whole(&rig, "geth-0", "rpc", Signal::Head), whole(&rig, "geth-0", "metrics", Signal::Head));
    assert!(by_rpc.abs_diff(by_page) <= 3, "{by_rpc} {by_page}");
    assert!(matches!(rig.read("geth-0", Signal::SyncRate), Reading::Known(_)));
    let version = rig.polls["geth-0/rpc"].told.identity.clone().unwrap().version;
    assert!(version.starts_with("Geth/v1.15.11"), "{version}");
}

/// Two chains under one id, as two anvils make them: one genesis, and from the first block on two histories. Nobody can
/// say which is the network's, so that nobody is touched, and people are told.
#[ignore = "needs anvil: make chains"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_anvils_with_one_chain_id_have_diverged_and_nobody_is_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (free_port(), free_port());
    let _nodes = [anvil(one, &["--chain-id", "777"], dir.path()), anvil(two, &["--chain-id", "777"], dir.path())];
    answers(one).await;
    answers(two).await;
    go_another_way(two).await;
    let policy = quick(json!([
        {"name": "preset/stalled", "signal": "head", "stalled": {}, "for": "3s"},
        {"name": "preset/behind", "signal": "head_lag", "above": 3, "for": "3s"},
    ]));
    let targets: [(&str, &[(&str, u16)]); 2] = [("a-0", &[("rpc", one)]), ("b-0", &[("rpc", two)])];
    let mut rig = Rig::new(&network("777", json!([])), &policy, &targets);
    rig.until("the split to be seen", 120, |rig| rig.network().split.is_some()).await;
    let split = rig.network().split.unwrap();
    assert_eq!((split.sides.len(), split.decided), (2, false), "{split:?}");
    assert!(split.height > 0);
    // One of the two stands still: that alone would be a reason to restart it.
    rpc(two, "evm_setIntervalMining", json!([0])).await.unwrap();
    rig.until("the other to be found wanting", 60, |rig| rig.kind("b-0") == VerdictKind::Unhealthy).await;
    rig.rounds(5).await;
    assert!(rig.held("b-0").starts_with("Diverged: "), "{}", rig.held("b-0"));
    assert_eq!(rig.restarts(), 0, "{:?}", rig.proposed);
}

/// With two references on one side it is known who has left: the target is kept as it is, and a person is called.
#[ignore = "needs anvil: make chains"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_a_fork_of_its_own_is_quarantined_and_never_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, fork) = (free_port(), free_port());
    let _nodes =
        [anvil(chain, &["--chain-id", "777"], dir.path()), anvil(fork, &["--chain-id", "777"], dir.path())];
    answers(chain).await;
    answers(fork).await;
    go_another_way(fork).await;
    let reference = |name: &str| json!({"name": name, "url": format!("http://127.0.0.1:{chain}")});
    let references = json!([reference("one"), reference("two")]);
    let policy = quick(json!([]));
    let mut rig = Rig::new(&network("777", references), &policy, &[("fork-0", &[("rpc", fork)])]);
    rig.until("the fork to be found", 120, |rig| rig.verdict("fork-0").quarantined()).await;
    rig.rounds(3).await;
    let evidence = rig.verdict("fork-0").findings.remove(0).evidence;
    assert!(evidence.contains("2 of 2 others") && evidence.contains("left the network's chain"), "{evidence}");
    assert!(rig.network().split.unwrap().decided);
    assert_eq!(rig.restarts(), 0);
    assert!(rig.proposed.iter().any(|(_, step)| *step == Step::Page), "{}", rig.held("fork-0"));
}

/// The wedge of EthereumJS: its follower says that it is not syncing, has a peer, answers well, and stands still.
/// While it was merely catching up, it was left alone.
#[ignore = "needs EthereumJS: make chains"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wedge_of_ethereumjs_is_found_and_a_node_that_catches_up_is_not() {
    const SIGNER: &str = "f39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let dir = tempfile::tempdir().unwrap();
    let genesis = json!({
        "config": {
            "chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
            "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
            "berlinBlock": 0, "londonBlock": 0, "clique": {"period": 2, "epoch": 30000},
        },
        "difficulty": "0x1", "gasLimit": "0x7a1200", "nonce": "0x0", "timestamp": "0x0",
        "extraData": format!("0x{}{SIGNER}{}", "0".repeat(64), "0".repeat(130)),
        "alloc": {format!("0x{SIGNER}"): {"balance": "0x56bc75e2d63100000"}},
    });
    fs::write(dir.path().join("genesis.json"), genesis.to_string()).unwrap();
    fs::write(dir.path().join("key.txt"), KEY).unwrap();
    let (miner, follower, p2p, other) = (free_port(), free_port(), free_port(), free_port());
    let text = [miner, follower, p2p, other].map(|port| port.to_string());
    let coinbase = format!("0x{SIGNER}");
    let common = ["--gethGenesis", "genesis.json", "--rpc", "--discDns=false", "--extIP", "127.0.0.1"];
    let first = [
        "--dataDir",
        "n1",
        "--rpcPort",
        &text[0],
        "--port",
        &text[2],
        "--mine",
        "--isSingleNode",
        "--unlock",
        "key.txt",
        "--minerCoinbase",
        &coinbase,
    ];
    let _miner = Process::start(&program("ethereumjs"), &[&common[..], &first].concat(), dir.path());
    answers(miner).await;
    let mut enode = Value::Null;
    wait_for("the miner's address", Duration::from_secs(60), async || {
        enode = rpc(miner, "admin_nodeInfo", json!([])).await.unwrap_or_default()["enode"].clone();
        enode.is_string()
    })
    .await;
    // The follower has something to catch up with.
    wait_for("blocks", Duration::from_secs(90), async || {
        rpc(miner, "eth_blockNumber", json!([])).await.is_some_and(|head| head.as_str() >= Some("0x10"))
    })
    .await;
    let second =
        ["--dataDir", "n2", "--rpcPort", &text[1], "--port", &text[3], "--bootnodes", enode.as_str().unwrap()];
    let _follower = Process::start(&program("ethereumjs"), &[&common[..], &second].concat(), dir.path());
    answers(follower).await;

    let references = json!([{"name": "miner", "url": format!("http://127.0.0.1:{miner}")}]);
    let mut net = network("1337", references);
    net["blockTime"] = json!("2s");
    // Its first steps take their time: half a minute without a block was seen.
    let mut policy = quick(json!([
        {"name": "preset/stalled", "signal": "head", "stalled": {}, "for": "45s"},
        {"name": "preset/behind", "signal": "head_lag", "above": 8, "for": "60s", "clear": {"below": 3}},
    ]));
    policy["guard"]["progress"] = json!({"within": "60s"});
    let mut rig = Rig::new(&net, &policy, &[("follower-0", &[("rpc", follower)])]);
    // It catches up: the lag is large, the head rises, and nothing is done.
    rig.until("the follower to take its first blocks", 240, |rig| {
        rig.told("follower-0", "rpc", Signal::Head).is_ok_and(|head| head >= 1_000_000)
    })
    .await;
    assert_eq!(rig.restarts(), 0, "a node that catches up was to be restarted");
    rig.until("the wedge", 300, |rig| rig.kind("follower-0") == VerdictKind::Unhealthy).await;
    let verdict = rig.verdict("follower-0");
    println!("found: {}", verdict.findings[0].evidence);
    assert!(whole(&rig, "follower-0", "rpc", Signal::Peers) >= 1, "it has a peer");
    assert_eq!(whole(&rig, "follower-0", "rpc", Signal::Reachable), 1, "it answers");
    rig.until("a restart to be proposed", 120, |rig| rig.restarts() > 0).await;
}
