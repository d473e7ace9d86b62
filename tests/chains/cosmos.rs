//! wasmd, a Cosmos SDK chain with slashing and upgrades, and Hermes between two of them.

use std::{fs, path::Path, time::Duration};

use mainstay::{
    judge::VerdictKind,
    network::ReferenceHead,
    policy::{Reference, Source as Asked, SourceKind},
    signal::{Signal, Value as Told},
    telemetry::{AnySource, Client, Expected, Source, SystemClock, address::Reach},
};
use serde_json::{Value, json};

use crate::{
    process::{Process, free_port, http, program, wait_for},
    rig::Rig,
};

/// One validator of a chain.
struct Node {
    home: String,
    rpc: u16,
    rest: u16,
    grpc: u16,
    process: Option<Process>,
}

/// A chain of a block a second.
struct Chain {
    id: &'static str,
    nodes: Vec<Node>,
    dir: tempfile::TempDir,
}

impl Chain {
    /// So many validators with equal power. `edit` changes the genesis, the same for all.
    async fn start(id: &'static str, validators: usize, edit: impl Fn(&mut Value)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let count = validators.to_string();
        let init = [
            "testnet",
            "init-files",
            "--v",
            &count,
            "-o",
            "net",
            "--chain-id",
            id,
            "--keyring-backend",
            "test",
            "--single-host",
            "--commit-timeout",
            "1s",
            "--starting-ip-address",
            "127.0.0.1",
            "--node-daemon-home",
            "home",
            "--minimum-gas-prices",
            "0stake",
        ];
        Process::run(&program("wasmd"), &init, dir.path());
        let mut ids = Vec::new();
        let p2p: Vec<u16> = (0..validators).map(|_| free_port()).collect();
        for index in 0..validators {
            let home = format!("net/node{index}/home");
            let path = dir.path().join(&home).join("config/genesis.json");
            let mut genesis: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            edit(&mut genesis);
            fs::write(&path, genesis.to_string()).unwrap();
            let id = Process::run(&program("wasmd"), &["comet", "show-node-id", "--home", &home], dir.path());
            ids.push(id.trim().to_owned());
        }
        let mut chain = Self { id, nodes: Vec::new(), dir };
        for index in 0..validators {
            let peers: Vec<String> = (0..validators)
                .filter(|other| *other != index)
                .map(|other| format!("{}@127.0.0.1:{}", ids[other], p2p[other]))
                .collect();
            let home = format!("net/node{index}/home");
            let mut node = Node { home, rpc: free_port(), rest: free_port(), grpc: free_port(), process: None };
            let args = [
                "start".to_owned(),
                format!("--home={}", node.home),
                format!("--rpc.laddr=tcp://127.0.0.1:{}", node.rpc),
                format!("--p2p.laddr=tcp://127.0.0.1:{}", p2p[index]),
                format!("--api.address=tcp://127.0.0.1:{}", node.rest),
                format!("--grpc.address=127.0.0.1:{}", node.grpc),
                format!("--p2p.persistent_peers={}", peers.join(",")),
                "--rpc.pprof_laddr=".into(),
            ];
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            node.process = Some(Process::start(&program("wasmd"), &args, chain.dir.path()));
            chain.nodes.push(node);
        }
        let rest = chain.nodes[0].rest;
        wait_for("the REST API", Duration::from_secs(90), async || {
            get(rest, "/cosmos/auth/v1beta1/bech32").await.is_some()
        })
        .await;
        wait_for("a block", Duration::from_secs(60), async || chain.height().await >= 2).await;
        chain
    }

    async fn height(&self) -> u64 {
        let status = get(self.nodes[0].rpc, "/status").await.unwrap_or_default();
        status["result"]["sync_info"]["latest_block_height"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// A transaction of one of the validators, in a block.
    async fn transact(&self, node: usize, args: &[&str]) {
        let (home, at) = (&self.nodes[node].home, format!("tcp://127.0.0.1:{}", self.nodes[node].rpc));
        let from = format!("node{node}");
        let common = [
            "--home",
            home,
            "--node",
            &at,
            "--chain-id",
            self.id,
            "--keyring-backend",
            "test",
            "--from",
            &from,
            "--yes",
            "--gas",
            "500000",
            "-o",
            "json",
        ];
        let said = Process::run(&program("wasmd"), &[&["tx"][..], args, &common].concat(), self.dir.path());
        let answer: Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(answer["code"], 0, "{said}");
        let hash = answer["txhash"].as_str().unwrap().to_owned();
        let path = format!("/tx?hash=0x{hash}");
        wait_for("the transaction", Duration::from_secs(30), async || {
            get(self.nodes[node].rpc, &path).await.is_some_and(|answer| answer["result"]["height"].is_string())
        })
        .await;
    }

    fn address(&self, node: usize) -> String {
        let home = &self.nodes[node].home;
        let key = format!("node{node}");
        let args = ["keys", "show", &key, "-a", "--home", home, "--keyring-backend", "test"];
        Process::run(&program("wasmd"), &args, self.dir.path()).trim().to_owned()
    }

    fn network(&self, reference: usize) -> Value {
        let of = &self.nodes[reference];
        json!({
            "family": "CometBFT", "chainId": self.id, "blockTime": "1s", "stalledAfter": "20s",
            "references": [{
                "name": "outside", "url": format!("http://127.0.0.1:{}", of.rpc),
                "rest": format!("http://127.0.0.1:{}", of.rest),
            }],
        })
    }
}

async fn get(port: u16, path: &str) -> Option<Value> {
    let request = http().get(format!("http://127.0.0.1:{port}{path}")).timeout(Duration::from_secs(3));
    let answer = request.send().await.ok()?;
    if answer.status() != 200 {
        return None;
    }
    answer.json().await.ok()
}

fn quick(role: &str) -> Value {
    json!({
        "role": role,
        "telemetry": [{"name": "rpc", "cometbft": {"port": "rpc", "rest": "rest"}, "every": "1s", "timeout": "2s"}],
        "rules": [
            {"name": "preset/silent", "signal": "reachable", "below": 1, "for": "5s"},
            {"name": "preset/stalled", "signal": "head", "stalled": {}, "for": "5s"},
        ],
        "guard": {"warmUp": "1s", "progress": {"within": "15s"}, "minHealthy": 0},
    })
}

fn share(rig: &Rig, target: &str) -> u64 {
    rig.told(target, "rpc", Signal::MissedRatio).unwrap_or(0)
}

/// A window of 20 blocks of which half may be missed: ten blocks are the allowance, and the eleventh is jail.
#[ignore = "needs wasmd: make chains-full"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_validator_uses_up_the_chains_own_allowance_and_is_jailed() {
    let mut chain = Chain::start("slashing-1", 4, |genesis| {
        let params = &mut genesis["app_state"]["slashing"]["params"];
        params["signed_blocks_window"] = json!("20");
        params["min_signed_per_window"] = json!("0.500000000000000000");
    })
    .await;
    let ports: Vec<[(&str, u16); 2]> =
        chain.nodes.iter().map(|node| [("rpc", node.rpc), ("rest", node.rest)]).collect();
    let targets: [(&str, &[(&str, u16)]); 2] = [("val-0", &ports[0]), ("val-3", &ports[3])];
    let mut rig = Rig::new(&chain.network(1), &quick("Validator"), &targets);
    rig.until("the first signatures", 60, |rig| rig.told("val-3", "rpc", Signal::MissedBlocks).is_ok()).await;
    assert_eq!(rig.told("val-3", "rpc", Signal::Signing), Ok(1_000_000));
    assert_eq!(rig.told("val-3", "rpc", Signal::SignerAnswers), Ok(1_000_000));
    assert!(share(&rig, "val-3") <= 200_000, "{}", share(&rig, "val-3"));

    chain.nodes[3].process = None;
    let mut seen = Vec::new();
    for _ in 0..60 {
        rig.rounds(1).await;
        seen.push(share(&rig, "val-3"));
        if rig.told("val-3", "rpc", Signal::Jailed) == Ok(1_000_000) {
            break;
        }
    }
    println!("missed_ratio in millionths: {seen:?}");
    let climb: std::collections::BTreeSet<_> = seen.iter().filter(|share| **share <= 1_000_000).collect();
    assert!(climb.len() >= 5, "it climbs block by block: {seen:?}");
    assert!(climb.iter().all(|share| **share % 100_000 == 0), "in tenths: the allowance is ten blocks: {seen:?}");
    assert_eq!(rig.told("val-3", "rpc", Signal::Jailed), Ok(1_000_000), "{seen:?}");
    assert_eq!(rig.told("val-3", "rpc", Signal::Tombstoned), Ok(0));
    assert_eq!(rig.told("val-0", "rpc", Signal::Jailed), Ok(0), "the other goes on");
    // Its misses are a person's affair: quarantined, and not restarted for them.
    assert!(rig.verdict("val-3").quarantined(), "{:?}", rig.verdict("val-3"));
}

/// An upgrade that nobody has the software for: nodes halt at its height on purpose.
#[ignore = "needs wasmd: make chains-full"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_is_read_from_the_chain_and_nobody_is_touched_around_it() {
    let mut chain = Chain::start("upgrade-1", 3, |genesis| {
        let params = &mut genesis["app_state"]["gov"]["params"];
        params["voting_period"] = json!("12s");
        params["expedited_voting_period"] = json!("8s");
        params["min_deposit"] = json!([{"denom": "stake", "amount": "1"}]);
        params["expedited_min_deposit"] = json!([{"denom": "stake", "amount": "2"}]);
    })
    .await;
    let authority = get(chain.nodes[0].rest, "/cosmos/auth/v1beta1/module_accounts/gov").await.unwrap();
    let authority = authority["account"]["base_account"]["address"]
        .as_str()
        .or(authority["account"]["value"]["address"].as_str());
    let height = chain.height().await + 45;
    let proposal = json!({
        "messages": [{
            "@type": "/cosmos.upgrade.v1beta1.MsgSoftwareUpgrade",
            "authority": authority.expect("the address of gov"),
            "plan": {"name": "v2", "height": height.to_string(), "info": ""},
        }],
        "metadata": "", "deposit": "10stake", "title": "v2", "summary": "an upgrade", "expedited": false,
    });
    fs::write(chain.dir.path().join("proposal.json"), proposal.to_string()).unwrap();

    let ports: Vec<[(&str, u16); 2]> =
        chain.nodes.iter().map(|node| [("rpc", node.rpc), ("rest", node.rest)]).collect();
    let targets: [(&str, &[(&str, u16)]); 3] = [("n-0", &ports[0]), ("n-1", &ports[1]), ("n-2", &ports[2])];
    let mut rig = Rig::new(&chain.network(0), &quick("FullNode"), &targets);
    rig.rounds(2).await;
    assert_eq!(rig.network().upgrade, None);
    chain.transact(0, &["gov", "submit-proposal", "proposal.json"]).await;
    for voter in 0..3 {
        chain.transact(voter, &["gov", "vote", "1", "yes"]).await;
    }
    rig.until("the plan", 60, |rig| rig.network().upgrade.is_some()).await;
    let (plan, _) = rig.network().upgrade.unwrap();
    assert_eq!((plan.name.as_str(), plan.height), ("v2", height));
    let at = |rig: &Rig| rig.network().head.map_or(0, |head: ReferenceHead| head.height);
    rig.until("the halt", 120, |rig| at(rig) >= height - 1).await;
    rig.rounds(6).await;
    let head = at(&rig);
    assert!(head <= height, "it halts at {height}, not at {head}");
    assert!(rig.network().upgrade.unwrap().1, "the height is near");
    // One of them even goes away: it stays away, and Mainstay says why it does nothing.
    chain.nodes[2].process = None;
    rig.until("it to be found wanting", 60, |rig| rig.kind("n-2") == VerdictKind::Unhealthy).await;
    rig.rounds(4).await;
    let why = rig.held("n-2");
    println!("held: {why}");
    assert!(why.starts_with("Upgrading: ") && why.contains("v2") && why.contains(&height.to_string()), "{why}");
    assert_eq!(rig.restarts(), 0, "{:?}", rig.proposed);
}

/// The balance of a wallet, by the REST API of the network's reference.
#[ignore = "needs wasmd: make chains-full"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_is_read_from_the_chain() {
    let chain = Chain::start("wallet-1", 1, |_| {}).await;
    let address = chain.address(0);
    let kind = SourceKind::Wallet { address, denom: "stake".into(), decimals: 6 };
    let asked = Asked { name: "wallet".into(), kind, every: 10_000, timeout: 5_000 };
    let node = &chain.nodes[0];
    let references = [Reference {
        name: "outside".into(),
        url: format!("http://127.0.0.1:{}", node.rpc),
        rest: Some(format!("http://127.0.0.1:{}", node.rest)),
    }];
    let client = Client::new(Reach::Anywhere, &[]).unwrap();
    let family = mainstay::api::Family::CometBFT;
    let base = |_: &mainstay::api::policy::PortName| panic!("no target is asked");
    let mut source =
        AnySource::with(&asked, &client, family, &references, Expected::exactly("wallet-1"), &base).unwrap();
    let poll = source.poll(&SystemClock::start(), &[]).await;
    // 500 stake, of which the validator has bonded 100.
    assert_eq!(poll.values[0], (Signal::WalletBalance, Ok(Told::Micros(400_000_000))));
}

/// A real Hermes between two chains: its page of metrics and its REST API.
#[ignore = "needs wasmd and hermes: make chains-full"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hermes_between_two_chains_tells_its_workers_and_its_events() {
    let (one, two) = (Chain::start("ibc-0", 1, |_| {}).await, Chain::start("ibc-1", 1, |_| {}).await);
    let dir = tempfile::tempdir().unwrap();
    let (metrics, rest) = (free_port(), free_port());
    let chain = |of: &Chain| {
        let node = &of.nodes[0];
        format!(
            "[[chains]]\nid = '{}'\ntype = 'CosmosSdk'\nrpc_addr = 'http://127.0.0.1:{rpc}'\n\
             grpc_addr = 'http://127.0.0.1:{}'\n\
             event_source = {{ mode = 'push', url = 'ws://127.0.0.1:{rpc}/websocket', batch_delay = '200ms' }}\n\
             rpc_timeout = '10s'\naccount_prefix = 'wasm'\nkey_name = 'relayer'\nkey_store_folder = 'keys'\nstore_prefix = 'ibc'\n\
             default_gas = 1000000\nmax_gas = 10000000\ngas_price = {{ price = 0.0, denom = 'stake' }}\n\
             clock_drift = '15s'\ntrusting_period = '10days'\ntrust_threshold = '1/3'\n",
            of.id,
            node.grpc,
            rpc = node.rpc
        )
    };
    let config = format!(
        "[global]\nlog_level = 'info'\n[mode.clients]\nenabled = true\nrefresh = true\nmisbehaviour = false\n\
         [mode.connections]\nenabled = false\n[mode.channels]\nenabled = false\n[mode.packets]\nenabled = true\n\
         clear_interval = 100\nclear_on_start = true\ntx_confirmation = true\n\
         [rest]\nenabled = true\nhost = '127.0.0.1'\nport = {rest}\n\
         [telemetry]\nenabled = true\nhost = '127.0.0.1'\nport = {metrics}\n{}{}",
        chain(&one),
        chain(&two)
    );
    fs::write(dir.path().join("config.toml"), config).unwrap();
    let run = |args: &[&str]| {
        Process::run(&program("hermes"), &[&["--config", "config.toml"], args].concat(), dir.path())
    };
    for of in [&one, &two] {
        let seed = of.dir.path().join("net/node0/home/key_seed.json");
        let seed: Value = serde_json::from_str(&fs::read_to_string(seed).unwrap()).unwrap();
        let file = dir.path().join(format!("{}.txt", of.id));
        fs::write(&file, seed["secret"].as_str().unwrap()).unwrap();
        run(&["keys", "add", "--chain", of.id, "--key-name", "relayer", "--mnemonic-file", path(&file)]);
    }
    run(&[
        "create",
        "channel",
        "--a-chain",
        "ibc-0",
        "--b-chain",
        "ibc-1",
        "--a-port",
        "transfer",
        "--b-port",
        "transfer",
        "--new-client-connection",
        "--yes",
    ]);
    // Hermes has no worker for packets before it has seen one: one waits in each direction.
    for (from, to) in [("ibc-0", "ibc-1"), ("ibc-1", "ibc-0")] {
        let route =
            ["--src-chain", from, "--dst-chain", to, "--src-port", "transfer", "--src-channel", "channel-0"];
        let coins = ["--amount", "10", "--denom", "stake", "--timeout-seconds", "600"];
        run(&[&["tx", "ft-transfer"], &route[..], &coins].concat());
    }
    let _hermes = Process::start(&program("hermes"), &["--config", "config.toml", "start"], dir.path());
    let policy = json!({
        "role": "Relayer",
        "telemetry": [
            {"name": "metrics", "scrape": {"port": "metrics"}, "every": "1s", "timeout": "2s"},
            {"name": "rest", "hermes": {"port": "rest"}, "every": "1s", "timeout": "2s"},
        ],
        "guard": {"warmUp": "1s"},
    });
    let ports = [("metrics", metrics), ("rest", rest)];
    let mut rig = Rig::new(&one.network(0), &policy, &[("hermes-0", &ports)]);
    rig.until("workers", 120, |rig| {
        rig.told("hermes-0", "rest", Signal::RelayWorkers).is_ok_and(|workers| workers >= 2_000_000)
            && rig.told("hermes-0", "metrics", Signal::RelayWorkers).is_ok_and(|workers| workers >= 2_000_000)
    })
    .await;
    let verdict = rig.verdict("hermes-0");
    assert_eq!(verdict.kind, VerdictKind::Healthy, "{verdict:?}");
    for signal in [Signal::WalletBalance, Signal::RelayEventsAge] {
        rig.told("hermes-0", "metrics", signal).unwrap_or_else(|why| panic!("{signal:?}: {why}"));
    }
    // Blocks come, and with them events.
    rig.rounds(8).await;
    assert!(rig.told("hermes-0", "metrics", Signal::RelayEventsAge).unwrap() < 6_000_000);
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
