//! A real wedge that comes back after every restart: the follower of EthereumJS 0.10.5. It takes the first blocks and
//! stands still, has a peer, and answers.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    people::journal,
    rig::{apply, get, run, state, wait},
    sink::Sink,
    stage::{LATER, Stage},
    traffic::{LABEL, turned},
};

const SIGNER: &str = "f39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const RPC: u16 = 8545;
/// How long the first rest is. The node wedges again in less, so that it is the rest that holds the next restart back.
const COOLDOWN: i64 = 150_000;
/// The whole ladder: a start, a wedge, its rule and a rest for every rung.
const LADDER: Duration = Duration::from_secs(900);

/// A chain whose only signer makes a block every two seconds.
fn genesis() -> Value {
    json!({
        "config": {
            "chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
            "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
            "berlinBlock": 0, "londonBlock": 0, "clique": {"period": 2, "epoch": 30000},
        },
        "difficulty": "0x1", "gasLimit": "0x7a1200", "nonce": "0x0", "timestamp": "0x0",
        "extraData": format!("0x{}{SIGNER}{}", "0".repeat(64), "0".repeat(130)),
        "alloc": {format!("0x{SIGNER}"): {"balance": "0x56bc75e2d63100000"}},
    })
}

/// One node of EthereumJS that serves behind the label and forgets everything when its pod is made anew.
fn node(role: &str, more: &[&str]) -> Value {
    let common = [
        "/node_modules/@ethereumjs/client/dist/esm/bin/cli.js",
        "--gethGenesis=/chain/genesis.json",
        "--dataDir=/data",
        "--rpc",
        "--rpcAddr=0.0.0.0",
        "--discDns=false",
        "--extIP=$(IP)",
    ];
    let args = [&common, more].concat();
    let labels = json!({"app": "ethereumjs", "role": role, LABEL: "true"});
    let volume = |name: &str| json!({"name": name, "mountPath": format!("/{name}")});
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": role},
        "spec": {
            "replicas": 1, "serviceName": role,
            "selector": {"matchLabels": {"app": "ethereumjs", "role": role}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
                    "containers": [{
                        "name": "node", "image": "mainstay.test/ethereumjs:dev", "imagePullPolicy": "Never",
                        "args": args,
                        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                        "ports": [{"name": "rpc", "containerPort": RPC}],
                        "volumeMounts": [volume("chain"), volume("data")],
                    }],
                    "volumes": [{"name": "chain", "configMap": {"name": "chain"}}, {"name": "data", "emptyDir": {}}],
                },
            },
        },
    })
}

fn service(name: &str, selector: &Value) -> Value {
    let ports = json!([{"name": "rpc", "port": RPC, "targetPort": "rpc"}]);
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": selector, "ports": ports},
    })
}

/// Applies objects of the stage's namespace.
fn bring(stage: &Stage, mut items: Vec<Value>) {
    for item in &mut items {
        item["metadata"]["namespace"] = stage.namespace.clone().into();
    }
    apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).expect("objects");
}

/// Asks a node something over its RPC.
fn ask(at: SocketAddr, method: &str) -> io::Result<Value> {
    let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).to_string();
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let length = question.len();
    write!(
        stream,
        "POST / HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{question}"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let answer: Value = serde_json::from_str(body).map_err(io::Error::other)?;
    Ok(answer["result"].clone())
}

/// Waits until the node at this address is at a height.
fn has_blocks(at: SocketAddr, height: u64) {
    wait(&format!("block {height} of {at}"), LATER, || {
        let head = ask(at, "eth_blockNumber").ok()?;
        let head = u64::from_str_radix(head.as_str()?.trim_start_matches("0x"), 16).ok()?;
        (head >= height).then_some(())
    })
    .expect("blocks");
}

fn address(host: &Value) -> Option<SocketAddr> {
    Some(SocketAddr::new(host.as_str()?.parse().ok()?, RPC))
}

/// The miner, its chain, and the Service that everybody serves behind; the miner's address.
fn chain(stage: &Stage) -> SocketAddr {
    let coinbase = format!("--minerCoinbase=0x{SIGNER}");
    let files = json!({"genesis.json": genesis().to_string(), "key.txt": KEY});
    bring(
        stage,
        vec![
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "chain"}, "data": files}),
            service("rpc", &json!({"app": "ethereumjs", LABEL: "true"})),
            service("miner", &json!({"app": "ethereumjs", "role": "miner"})),
            node("miner", &["--mine", "--isSingleNode", "--unlock=/chain/key.txt", &coinbase]),
        ],
    );
    let of_service = get(&["-n", &stage.namespace, "service", "miner"])["spec"]["clusterIP"].clone();
    address(&of_service).expect("the address of a Service")
}

/// The network as the miner tells of it, and the policy of its follower.
fn rules(stage: &Stage, miner: SocketAddr) {
    let namespace = &stage.namespace;
    let network = json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "Network", "metadata": {"name": namespace},
        "spec": {
            "family": "EthereumExecution", "chainId": "1337", "blockTime": "2s", "stalledAfter": "1m",
            "allowedNamespaces": [namespace],
            "references": [{"name": "miner", "url": format!("http://{miner}")}],
        },
    });
    apply(&network.to_string()).expect("a network");
    let cooldown = format!("{}s", COOLDOWN / 1_000);
    let policy = json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy", "metadata": {"name": "follower"},
        "spec": {
            "network": namespace, "role": "FullNode", "mode": "Enforce", "notify": ["test"],
            "selector": {"matchLabels": {"app": "ethereumjs", "role": "follower"}},
            "telemetry": [{"name": "rpc", "execution": {"port": "rpc"}, "every": "2s", "timeout": "2s"}],
            // Its first steps take their time: half a minute without a block was seen.
            "rules": [{"name": "preset/stalled", "signal": "head", "stalled": {}, "for": "45s"}],
            "remediation": {
                "reroute": {"within": "30s", "attempts": 1, "stay": "5s"},
                "restart": {
                    "within": "60s", "attempts": 2, "cooldown": cooldown, "backoff": {"factor": 2, "max": "1h"},
                },
                "page": {},
            },
            "guard": {
                "warmUp": "1s", "progress": {"within": "1m"}, "budget": [{"actions": 10, "per": "1h"}],
            },
        },
    });
    bring(stage, vec![policy]);
}

/// What was done about the follower, in its order.
fn steps(stage: &Stage) -> Vec<String> {
    let actions = journal(stage, "follower-0").into_iter().map(|of| of["spec"]["action"].clone());
    let names = actions.filter_map(|action| Some(action.as_object()?.keys().next()?.clone()));
    names.collect()
}

/// `mainstay explain`, of the policy as it stands.
fn explained(stage: &Stage) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.env("KUBECONFIG", state().join("kubeconfig"));
    run(command.args(["explain", "nhp/follower", "-n", &stage.namespace]), None).expect("an explanation")
}

#[test]
#[ignore = "needs the local cluster, EthereumJS and ten minutes: make e2e-full"]
fn a_wedge_that_comes_back_after_every_restart_ends_with_a_person() {
    let sink = Sink::listen();
    let stage = Stage::bare("ethereumjs", &["--set-json", &sink.values()]);
    let miner = chain(&stage);
    // The follower has something to catch up with.
    has_blocks(miner, 16);
    rules(&stage, miner);
    let enode = ask(miner, "admin_nodeInfo").expect("an answer")["enode"].clone();
    let bootnodes = format!("--bootnodes={}", enode.as_str().expect("the miner's address among nodes"));
    bring(&stage, vec![node("follower", &[&bootnodes])]);

    // While it takes its first blocks, it is left alone.
    let pod = || get(&["-n", &stage.namespace, "pod", "follower-0"]);
    let follower = wait("an address", LATER, || address(&pod()["status"]["podIP"])).expect("a pod");
    has_blocks(follower, 1);
    assert_eq!(steps(&stage), Vec::<String>::new());

    // It stands still: first nobody is sent to it any more, and then it is made anew.
    turned(&stage, "follower-0", "reroute", 0);
    assert_eq!(pod()["metadata"]["labels"][LABEL], "false");
    assert_eq!(stage.removals(), Vec::new());
    let story = wait("a rest", LATER, || {
        Some(explained(&stage)).filter(|story| story.contains("resting after restart 1 of 2"))
    });
    let story = story.expect("a rest between two restarts");
    assert!(story.contains("next: restart"), "{story}");
    println!("{story}");
    wait("a page", LADDER, || (!sink.alerts().is_empty()).then_some(())).expect("a page");
    let ladder = ["reroute", "restart", "restart", "page"];
    assert_eq!(steps(&stage), ladder);
    let removed: Vec<_> = stage.removals().into_iter().map(|(_, at)| at).collect();
    assert_eq!(removed.len(), 2, "every attempt and no more: {removed:?}");
    let rest = removed[1] - removed[0];
    println!("the second restart came {rest} ms after the first");
    // The rest counts from the removal as the operator saw it.
    assert!(rest >= COOLDOWN - 2_000, "{rest} ms");
    let pods: BTreeSet<_> =
        journal(&stage, "follower-0").iter().map(|of| of["spec"]["target"]["uid"].to_string()).collect();
    assert_eq!(pods.len(), 3, "it wedged in every one of its pods: {pods:?}");

    // There it stops: what did not help twice is not tried again, and nobody is called twice.
    thread::sleep(Duration::from_secs(75));
    assert_eq!(steps(&stage), ladder);
    assert_eq!(stage.removals().len(), 2);
    assert_eq!(sink.alerts().len(), 1, "one page: {:?}", sink.heard("page"));
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
    let story = explained(&stage);
    println!("{story}");
    for words in [
        "follower-0  Unhealthy",
        "head has stood at",
        "in this incident: 1 times out of rotation, 2 restarts, a person was called",
        "attempt 1 reroute: Succeeded",
        "attempt 2 restart: ",
        "attempt 3 restart: ",
        "attempt 4 page: Succeeded",
        "next: nothing is left to try",
    ] {
        assert!(story.contains(words), "{words}: {story}");
    }
}
