//! One poll of a node, start to end.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use mainstay::{
    api::{Family, policy::PortName},
    policy::{self, COMETBFT, SourceKind},
    signal::{Signal, Unknown, Value},
    telemetry::{AnySource, Source, Target},
};

use crate::{
    CHAIN, ERROR, STATUS, client, clock,
    hostile::{Act, Server, answer, healthy, ok},
    node, of,
};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_healthy_node_tells_everything_over_one_connection() {
    let server = Server::healthy().await;
    let poll = node(server.address, LONG).poll(&clock(), &[]).await;
    assert_eq!(poll.values.iter().map(|(signal, _)| *signal).collect::<Vec<_>>(), COMETBFT);
    assert_eq!(of(&poll, Signal::Reachable), &Ok(Value::Whole(1)));
    assert!(matches!(of(&poll, Signal::RpcLatency), Ok(Value::Micros(1..=20_000_000))));
    assert_eq!(of(&poll, Signal::Head), &Ok(Value::Whole(1_262_196)));
    assert_eq!(of(&poll, Signal::BlockTimeSkew), &Ok(Value::Micros(2_499_238)));
    assert_eq!(of(&poll, Signal::Syncing), &Ok(Value::Whole(0)));
    assert_eq!(of(&poll, Signal::Peers), &Ok(Value::Whole(1)));
    assert_eq!(of(&poll, Signal::Signing), &Ok(Value::Whole(0)));
    assert!(poll.asked_at <= poll.observed_at);
    assert_eq!(server.connections.load(SeqCst), 1);
}

/// T02: a slow answer counts, and is dated by its own arrival. Peers that never come cost only themselves.
#[tokio::test]
async fn hung_peers_cost_neither_the_head_nor_its_date() {
    let server = Server::start(|path| if path == "/net_info" { Act::Hang } else { healthy(path) }).await;
    let (clock, before) = (clock(), std::time::Instant::now());
    let poll = node(server.address, 4 * SHORT).poll(&clock, &[]).await;
    assert!(before.elapsed() >= 4 * SHORT);
    assert_eq!(of(&poll, Signal::Head), &Ok(Value::Whole(1_262_196)));
    assert_eq!(of(&poll, Signal::Peers), &Err(Unknown::NoAnswer));
    assert!(poll.observed_at.since(poll.asked_at) < 2_000, "{poll:?}");
}

#[tokio::test]
async fn peers_that_make_no_sense_cost_only_themselves() {
    for peers in [ok("{}"), ok("{\"result\":{\"n_peers\":\"-1\"}}"), answer(500, ERROR), ok("<html>")] {
        let act = Act::Say(peers);
        let server =
            Server::start(move |path| if path == "/net_info" { act.clone() } else { healthy(path) }).await;
        let poll = node(server.address, LONG).poll(&clock(), &[]).await;
        assert_eq!(of(&poll, Signal::Reachable), &Ok(Value::Whole(1)));
        assert!(matches!(of(&poll, Signal::Peers), Err(Unknown::Invalid(_))), "{poll:?}");
    }
}

#[tokio::test]
async fn a_node_of_another_chain_is_not_judged_at_all() {
    let server = Server::start(|_| Act::Say(ok(STATUS.replace(CHAIN, "osmosis-1")))).await;
    let poll = node(server.address, LONG).poll(&clock(), &[]).await;
    for signal in COMETBFT.iter().copied() {
        assert_eq!(of(&poll, signal), &Err(Unknown::WrongChain("osmosis-1".into())));
    }
}

#[tokio::test]
async fn a_policys_source_asks_the_declared_port_or_says_why_not() {
    let server = Server::healthy().await;
    let ports = [(Some("rpc".to_owned()), server.address.port())];
    let target = Target {
        ip: server.address.ip(),
        ports: &ports,
        chain_id: CHAIN,
        family: Family::CometBFT,
        references: &[],
    };
    let source = |port: &str| policy::Source {
        name: "rpc".into(),
        kind: SourceKind::CometBft { port: PortName::Name(port.into()), rest: None },
        every: 5_000,
        timeout: 20_000,
    };
    let poll = AnySource::at(target, &source("rpc"), &client()).unwrap().poll(&clock(), &[]).await;
    assert_eq!(of(&poll, Signal::Head), &Ok(Value::Whole(1_262_196)));
    let poll = AnySource::at(target, &source("http"), &client()).unwrap().poll(&clock(), &[]).await;
    for signal in COMETBFT.iter().copied() {
        assert!(
            matches!(of(&poll, signal), Err(Unknown::OurSide(why)) if why.contains("no container port \"http\""))
        );
    }
}
