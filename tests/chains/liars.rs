//! References that lie: no verdict of an honest node changes.

use std::sync::Mutex;

use mainstay::judge::VerdictKind;
use serde_json::{Value, json};

use crate::{
    ethereum::{answers, anvil, network, quick},
    process::free_port,
    proxy::liar,
    rig::Rig,
};

/// An honest anvil under a policy, with these references; for a while its verdict is Healthy, and stays so.
async fn stays_healthy(node: u16, references: Value, what: &str) {
    let policy = quick(json!([
        {"name": "preset/stalled", "signal": "head", "stalled": {}, "for": "3s"},
        {"name": "preset/behind", "signal": "head_lag", "above": 5, "for": "3s"},
        {"name": "preset/lagging", "signal": "head_lag", "above": 3, "for": "2s", "severity": "Warning"},
    ]));
    let mut rig = Rig::new(&network("31337", references), &policy, &[("node-0", &[("rpc", node)])]);
    rig.until("a verdict", 20, |rig| rig.kind("node-0") == VerdictKind::Healthy).await;
    for _ in 0..15 {
        rig.rounds(1).await;
        let verdict = rig.verdict("node-0");
        assert_eq!(verdict.kind, VerdictKind::Healthy, "{what}: {verdict:?}");
        assert!(verdict.findings.is_empty(), "{what}: {verdict:?}");
    }
    assert!(rig.proposed.is_empty(), "{what}: {:?}", rig.proposed);
}

fn url(name: &str, address: impl std::fmt::Display) -> Value {
    json!({"name": name, "url": format!("http://{address}")})
}

/// Every number of a block and every height, a million higher.
fn far_ahead(question: &str, honest: String) -> String {
    let Ok(mut answer) = serde_json::from_str::<Value>(&honest) else { return honest };
    if question == "eth_getBlockByNumber"
        && let Some(text) = answer["result"]["number"].as_str()
    {
        let number = u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        answer["result"]["number"] = json!(format!("{:#x}", number + 1_000_000));
    }
    answer.to_string()
}

#[ignore = "needs anvil: make chains"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_that_lie_freeze_or_belong_elsewhere_change_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let (node, foreign) = (free_port(), free_port());
    let more = ["--chain-id", "31337"];
    let _nodes = [anvil(node, &more, dir.path()), anvil(foreign, &["--chain-id", "5"], dir.path())];
    answers(node).await;
    answers(foreign).await;
    let base = format!("http://127.0.0.1:{node}");
    let good = || format!("127.0.0.1:{node}");

    let ahead = liar(base.clone(), far_ahead).await;
    stays_healthy(node, json!([url("liar", ahead)]), "the only reference is a million ahead").await;
    let with_honest = json!([url("good", good()), url("other", good()), url("liar", ahead)]);
    stays_healthy(node, with_honest, "one of three is a million ahead").await;

    let first = Mutex::new(None::<String>);
    let frozen = liar(base.clone(), move |question, honest| {
        if question != "eth_getBlockByNumber" {
            return honest;
        }
        first.lock().unwrap().get_or_insert(honest).clone()
    })
    .await;
    stays_healthy(node, json!([url("frozen", frozen)]), "the only reference is frozen").await;
    stays_healthy(node, json!([url("good", good()), url("frozen", frozen)]), "one of two is frozen").await;

    let other = format!("127.0.0.1:{foreign}");
    stays_healthy(node, json!([url("foreign", &other), url("good", good())]), "a reference of another chain")
        .await;
    let garbage = liar(base.clone(), |_, _| "<html>502</html>".into()).await;
    stays_healthy(node, json!([url("garbage", garbage), url("good", good())]), "a reference of garbage").await;
    // Its hashes are not the chain's: it loses its vote, and the node keeps its good name.
    let forked = liar(base, |question, honest| {
        let Ok(mut answer) = serde_json::from_str::<Value>(&honest) else { return honest };
        if question == "eth_getBlockByNumber" && answer["result"].is_object() {
            answer["result"]["hash"] = json!(format!("0x{}", "e".repeat(64)));
        }
        answer.to_string()
    })
    .await;
    let three = json!([url("good", good()), url("other", good()), url("forked", forked)]);
    stays_healthy(node, three, "a reference on a fork").await;
}
