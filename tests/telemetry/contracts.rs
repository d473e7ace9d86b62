//! What every kind of source makes of honest answers: recorded ones, and transcribed ones where the software cannot be
//! had here. Source and version stand in each file.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use mainstay::{
    api::{Family, policy::PortName},
    policy::{Pick, Reference, Source as Asked, SourceKind},
    signal::{Hash, Poll, Signal, Unknown, Value, Wall},
    telemetry::{AnySource, Client, Clock, Expected, Source, SystemClock},
};
use serde::Deserialize;

use crate::{
    NET_INFO, STATUS, client,
    hostile::{Act, Server, answer, ok},
    of,
};

const LONG: Duration = Duration::from_secs(20);
pub const PORT: PortName = PortName::Number(1);

/// Answers of one software, by path or method.
#[derive(Deserialize)]
pub struct Book {
    #[expect(dead_code, reason = "for people")]
    source: String,
    answers: BTreeMap<String, serde_json::Value>,
}

/// A wall clock that stands.
struct At(SystemClock, Wall);

impl Clock for At {
    fn mono(&self) -> mainstay::signal::Mono {
        self.0.mono()
    }

    fn wall(&self) -> Wall {
        self.1
    }
}

/// Every kind of source that asks a target, to the extent that one endpoint serves them all.
pub fn kinds() -> Vec<SourceKind> {
    let pick = |signal, at: &str| Pick { signal, at: at.into(), labels: Vec::new(), combine: None };
    vec![
        SourceKind::CometBft { port: PORT, rest: None },
        SourceKind::Execution(PORT),
        SourceKind::Consensus(PORT),
        SourceKind::Substrate(PORT),
        SourceKind::Solana {
            port: PORT,
            vote_account: Some("3ZT31jkAGhUaw8jsy4bTknwBMP8i4Eueh52By4zXcsVw".into()),
        },
        SourceKind::Web3Signer(PORT),
        SourceKind::Hermes(PORT),
        SourceKind::Chainlink(PORT),
        SourceKind::Scrape {
            port: PORT,
            path: "/metrics".into(),
            reads: Some(mainstay::api::policy::Exporter::Hermes),
            picks: Vec::new(),
        },
        SourceKind::HttpJson { port: PORT, path: "/x".into(), picks: vec![pick(Signal::Head, "/height")] },
    ]
}

/// A source at an address, of any chain unless one is named.
pub fn source(kind: &SourceKind, address: SocketAddr, timeout: Duration, chain: Option<&str>) -> AnySource {
    through(&client(), kind, address, timeout, chain)
}

pub fn through(
    client: &Client,
    kind: &SourceKind,
    address: SocketAddr,
    timeout: Duration,
    chain: Option<&str>,
) -> AnySource {
    let millis = u64::try_from(timeout.as_millis()).unwrap();
    let asked = Asked { name: "x".into(), kind: kind.clone(), every: 5_000, timeout: millis };
    let chain = chain.map_or_else(Expected::any, Expected::exactly);
    let base = |_: &PortName| Ok(format!("http://{address}"));
    AnySource::with(&asked, client, Family::Other, &[], chain, &base).unwrap()
}

pub fn book(text: &str) -> Arc<Book> {
    Arc::new(serde_json::from_str(text).unwrap())
}

impl Book {
    /// The bare answer, if there is one.
    pub fn answer(&self, question: &str) -> Option<String> {
        let path = question.split('?').next().unwrap_or_default();
        let method = question.split(' ').next().unwrap_or_default();
        let found = self.answers.get(question).or(self.answers.get(path)).or(self.answers.get(method));
        found.map(|found| found.as_str().map_or_else(|| found.to_string(), str::to_owned))
    }

    pub fn act(&self, question: &str) -> Act {
        match self.answer(question) {
            Some(body) => Act::Say(ok(body)),
            None if question.starts_with('/') => Act::Say(answer(404, "{\"code\":404}")),
            None => {
                Act::Say(ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#))
            }
        }
    }
}

async fn polled(text: &str, kind: SourceKind, chain: &str, wall: i64, asks: &[u64]) -> (Poll, usize) {
    let book = book(text);
    let server = Server::start(move |question| book.act(question)).await;
    let mut source = source(&kind, server.address, LONG, Some(chain));
    let clock = At(SystemClock::start(), Wall(wall));
    source.poll(&clock, asks).await;
    let before = server.requests.lock().unwrap().len();
    let poll = source.poll(&clock, asks).await;
    let cost = server.requests.lock().unwrap().len() - before;
    (poll, cost)
}

fn whole(poll: &Poll, signal: Signal) -> u64 {
    of(poll, signal).as_ref().unwrap_or_else(|why| panic!("{signal:?}: {why}")).whole().unwrap()
}

fn micros(poll: &Poll, signal: Signal) -> i64 {
    match of(poll, signal) {
        Ok(Value::Micros(micros)) => *micros,
        other => panic!("{signal:?}: {other:?}"),
    }
}

#[tokio::test]
async fn geth_is_understood() {
    let text = include_str!("execution/geth.json");
    let (poll, cost) = polled(text, SourceKind::Execution(PORT), "1337", 1_900_000_000_000, &[2]).await;
    assert!(whole(&poll, Signal::Head) > 90);
    assert_eq!((whole(&poll, Signal::Syncing), whole(&poll, Signal::Peers)), (0, 0));
    assert!(micros(&poll, Signal::FinalityLag) >= 0);
    assert_eq!(poll.told.identity.unwrap().version, "Geth/v1.15.11-stable/linux-amd64/go1.26.8");
    assert_eq!(cost, 6, "requests in a poll");
}

#[tokio::test]
async fn a_method_that_anvil_does_not_have_is_asked_for_once() {
    let book = book(include_str!("execution/anvil.json"));
    let server = Server::start(move |question| book.act(question)).await;
    let mut source = source(&SourceKind::Execution(PORT), server.address, LONG, Some("31337"));
    for _ in 0..3 {
        let poll = source.poll(&At(SystemClock::start(), Wall(1_900_000_000_000)), &[]).await;
        assert_eq!(of(&poll, Signal::Peers), &Err(Unknown::Unsupported));
        assert_eq!(whole(&poll, Signal::Reachable), 1);
    }
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.iter().filter(|request| request.contains("net_peerCount")).count(), 1);
}

#[tokio::test]
async fn a_block_that_is_asked_for_is_told_once() {
    let book = book(include_str!("execution/anvil.json"));
    let server = Server::start(move |question| book.act(question)).await;
    let mut source = source(&SourceKind::Execution(PORT), server.address, LONG, None);
    let clock = At(SystemClock::start(), Wall(1_900_000_000_000));
    let first = source.poll(&clock, &[2, 999_999_999]).await;
    assert_eq!(first.told.blocks.iter().map(|block| block.height).collect::<Vec<_>>(), [2]);
    assert_eq!(source.poll(&clock, &[2]).await.told.blocks, []);
}

#[tokio::test]
async fn the_beacon_api_is_understood() {
    let text = include_str!("consensus/lighthouse.json");
    // Twelve seconds after the head's slot.
    let wall = (1_606_824_023 + 9_000_001 * 12) * 1000;
    for chain in ["mainnet", "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"] {
        let (poll, cost) = polled(text, SourceKind::Consensus(PORT), chain, wall, &[]).await;
        assert_eq!((whole(&poll, Signal::Head), whole(&poll, Signal::Peers)), (9_000_000, 56));
        assert_eq!(micros(&poll, Signal::BlockTimeSkew), 12_000_000);
        assert_eq!((whole(&poll, Signal::Finalized), micros(&poll, Signal::FinalityLag)), (281_248, 2_000_000));
        assert_eq!(poll.told.blocks[0].height, 281_248);
        assert_eq!(cost, 4, "requests in a poll");
    }
    let (poll, _) = polled(text, SourceKind::Consensus(PORT), "hoodi", wall, &[]).await;
    assert_eq!(of(&poll, Signal::Head), &Err(Unknown::WrongChain("mainnet".into())));
}

#[tokio::test]
async fn substrate_is_understood() {
    let text = include_str!("substrate/polkadot.json");
    let genesis = "0x91b171bb158e2d3848fa23a9f1c25182fb8e20313b2c1eb49219da7a70ce90c3";
    for chain in ["Polkadot", genesis] {
        let (poll, cost) = polled(text, SourceKind::Substrate(PORT), chain, 0, &[21_999_990]).await;
        assert_eq!((whole(&poll, Signal::Head), whole(&poll, Signal::Finalized)), (22_000_000, 21_999_997));
        assert_eq!((whole(&poll, Signal::Peers), whole(&poll, Signal::Mempool)), (42, 2));
        assert_eq!(micros(&poll, Signal::FinalityLag), 3_000_000);
        assert_eq!(cost, 6, "requests in a poll");
    }
}

#[tokio::test]
async fn solana_is_understood() {
    let kind = SourceKind::Solana {
        port: PORT,
        vote_account: Some("3ZT31jkAGhUaw8jsy4bTknwBMP8i4Eueh52By4zXcsVw".into()),
    };
    let chain = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";
    let text = include_str!("solana/agave.json");
    let (poll, cost) = polled(text, kind.clone(), chain, 1_714_560_342_000, &[]).await;
    assert_eq!((whole(&poll, Signal::Head), whole(&poll, Signal::Finalized)), (302_000_100, 302_000_068));
    assert_eq!(
        (whole(&poll, Signal::Syncing), whole(&poll, Signal::Jailed), whole(&poll, Signal::Signing)),
        (0, 0, 1)
    );
    assert_eq!(
        (micros(&poll, Signal::TxThroughput), micros(&poll, Signal::BlockTimeSkew)),
        (2_100_000_000, 12_000_000)
    );
    assert_eq!(cost, 6, "requests in a poll");
    let behind = text.replace(
        r#"{"jsonrpc": "2.0", "id": 1, "result": "ok"}"#,
        r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "Node is behind by 42 slots", "data": {"numSlotsBehind": 42}}}"#,
    );
    let (poll, _) = polled(&behind, kind, chain, 1_714_560_342_000, &[]).await;
    assert_eq!(whole(&poll, Signal::Syncing), 1);
}

#[tokio::test]
async fn services_are_understood() {
    let (poll, _) = polled(include_str!("services/hermes.json"), SourceKind::Hermes(PORT), "", 0, &[]).await;
    assert_eq!((whole(&poll, Signal::Reachable), whole(&poll, Signal::RelayWorkers)), (1, 2));
    let (poll, _) =
        polled(include_str!("services/web3signer.json"), SourceKind::Web3Signer(PORT), "", 0, &[]).await;
    assert_eq!((whole(&poll, Signal::Reachable), whole(&poll, Signal::SignerAnswers)), (1, 1));
    let (poll, _) = polled(include_str!("services/chainlink.json"), SourceKind::Chainlink(PORT), "", 0, &[]).await;
    assert_eq!(whole(&poll, mainstay::policy::FAILING_CHECKS), 1);
}

/// The node of the recording as a validator, its REST API behind the same door.
#[tokio::test]
async fn a_validator_of_the_sdk_tells_what_the_chain_holds_of_it() {
    let book = book(include_str!("cometbft/cosmos.json"));
    let signing = STATUS.replace("\"voting_power\":\"0\"", "\"voting_power\":\"12\"");
    let server = Server::start(move |question| match question {
        "/status" => Act::Say(ok(&signing)),
        "/net_info" => Act::Say(ok(NET_INFO)),
        of if of.starts_with("/cosmos/slashing/v1beta1/signing_infos/cosmosvalcons1") => Act::Say(ok(
            r#"{"val_signing_info":{"address":"x","start_height":"0","index_offset":"2068","jailed_until":"2019-08-01T12:00:00Z","tombstoned":false,"missed_blocks_counter":"4750"}}"#,
        )),
        other => book.act(other),
    })
    .await;
    let kind = SourceKind::CometBft { port: PORT, rest: Some(PORT) };
    let mut source = source(&kind, server.address, LONG, Some("cosmoshub-2"));
    let clock = At(SystemClock::start(), crate::WALL);
    let poll = source.poll(&clock, &[1_262_195]).await;
    assert_eq!((whole(&poll, Signal::MissedBlocks), micros(&poll, Signal::MissedRatio)), (4750, 500_000));
    assert_eq!((whole(&poll, Signal::Jailed), whole(&poll, Signal::Tombstoned)), (1, 0));
    assert_eq!((whole(&poll, Signal::Mempool), whole(&poll, Signal::Round)), (82, 2));
    assert_eq!(
        (micros(&poll, Signal::BlockInterval), micros(&poll, Signal::TxThroughput)),
        (6_000_000, 9_000_000)
    );
    assert_eq!(whole(&poll, Signal::SignerAnswers), 1);
    let told = &poll.told;
    assert_eq!(told.upgrade.clone().unwrap().unwrap().height, 1_262_300);
    assert_eq!((told.blocks[0].height, told.state.unwrap().height), (1_262_195, 1_262_196));
    assert_eq!(told.state.unwrap().hash.short(), "c871483c…");
    assert_eq!(
        told.blocks[0].hash,
        Hash::of_hex("112BC173FD838FB68EB43476816CD7B4C6661B6884A9E357B417EE957E1CF8F7").unwrap()
    );
}

/// A node whose remote signer keeps silent: the RPC answers, and the state of consensus is held.
#[tokio::test]
async fn a_signer_that_keeps_silent_is_told_from_a_node_that_does() {
    let signing = STATUS.replace("\"voting_power\":\"0\"", "\"voting_power\":\"12\"");
    let server = Server::start(move |question| match question {
        "/status" => Act::Say(ok(&signing)),
        "/consensus_state" => Act::Hang,
        other => crate::hostile::healthy(other),
    })
    .await;
    let mut source = crate::node(server.address, Duration::from_millis(1500));
    let poll = source.poll(&crate::clock(), &[]).await;
    assert_eq!((whole(&poll, Signal::Reachable), whole(&poll, Signal::SignerAnswers)), (1, 0));
}

/// A feed and a wallet are read through the network's references, in their order.
#[tokio::test]
async fn what_the_chain_says_is_asked_of_the_references() {
    let words = |updated: u64| format!("0x{:064x}{:064x}{:064x}{updated:064x}{:064x}", 7, 123, 1, 7);
    let feed = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, words(1_714_560_000));
    let latest = r#"{"jsonrpc":"2.0","id":1,"result":{"number":"0x10","hash":"0xaa","timestamp":"0x66321af8","gasLimit":"0x1","gasUsed":"0x0","transactions":[]}}"#;
    let server = Server::start(move |question| {
        Act::Say(ok(match question.split(' ').next().unwrap() {
            "eth_chainId" => r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#.to_owned(),
            "eth_getBlockByNumber" => latest.to_owned(),
            "eth_call" => feed.clone(),
            "eth_getBalance" => r#"{"jsonrpc":"2.0","id":1,"result":"0x14d1120d7b160000"}"#.to_owned(),
            other => panic!("{other}"),
        }))
    })
    .await;
    let reference = |name: &str, url: String| Reference { name: name.into(), url, rest: None };
    let references = [reference("dead", "http://127.0.0.1:1".into()), reference("good", server.url(""))];
    let of_kind = |kind| {
        let asked = Asked { name: "x".into(), kind, every: 20_000, timeout: 5_000 };
        let base = |_: &PortName| panic!("no target is asked");
        let family = Family::EthereumExecution;
        AnySource::with(&asked, &client(), family, &references, Expected::exactly("1"), &base).unwrap()
    };
    let clock = At(SystemClock::start(), Wall(0));
    let contract = format!("0x{}", "5".repeat(40));
    let poll = of_kind(SourceKind::Feed { contract, heartbeat: 3_600_000 }).poll(&clock, &[]).await;
    // 0x66321af8 is 1714559736: before the update, so that the feed is as fresh as can be.
    assert_eq!((micros(&poll, Signal::FeedAge), micros(&poll, Signal::FeedOverdue)), (0, 0));
    let wallet = SourceKind::Wallet { address: "0x1".into(), denom: String::new(), decimals: 18 };
    let poll = of_kind(wallet).poll(&clock, &[]).await;
    assert_eq!(micros(&poll, Signal::WalletBalance), 1_500_000);
    assert_eq!(of(&poll, Signal::WalletRunway), &Err(Unknown::NotYet));
}
