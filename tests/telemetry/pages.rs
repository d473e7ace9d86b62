//! Pages of metrics: real ones, and ones that lie.

use std::time::Duration;

use mainstay::{
    api::policy::{Combine, Exporter, PortName},
    policy::{Pick, SourceKind},
    signal::{Poll, Signal, Unknown, Value},
    telemetry::Source,
};

use crate::{
    clock, contracts,
    hostile::{Act, Server, ok},
    of,
};

const LONG: Duration = Duration::from_secs(20);

async fn page(text: impl AsRef<[u8]>, reads: Option<Exporter>, picks: Vec<Pick>) -> Poll {
    let body = ok(text);
    let server = Server::start(move |_| Act::Say(body.clone())).await;
    let kind = SourceKind::Scrape { port: PortName::Number(1), path: "/metrics".into(), reads, picks };
    contracts::source(&kind, server.address, LONG, None).poll(&clock(), &[]).await
}

fn pick(signal: Signal, metric: &str) -> Pick {
    Pick { signal, at: metric.into(), labels: Vec::new(), combine: None }
}

fn invalid(poll: &Poll, signal: Signal) -> String {
    match of(poll, signal) {
        Err(Unknown::Invalid(why)) => why.clone(),
        other => panic!("{signal:?}: {other:?}"),
    }
}

#[tokio::test]
async fn geths_own_page_is_understood() {
    let poll = page(include_str!("metrics/geth.txt"), Some(Exporter::EthereumExecution), vec![]).await;
    assert!(of(&poll, Signal::Head).as_ref().unwrap().whole().unwrap() > 90);
    assert_eq!(of(&poll, Signal::Peers), &Ok(Value::Whole(0)));
    assert_eq!(of(&poll, Signal::Mempool), &Ok(Value::Whole(0)));
    assert_eq!(of(&poll, Signal::Syncing), &Err(Unknown::Unsupported));
}

#[tokio::test]
async fn hermes_page_is_understood() {
    let poll = page(include_str!("metrics/hermes.txt"), Some(Exporter::Hermes), vec![]).await;
    assert_eq!(of(&poll, Signal::RelayWorkers), &Ok(Value::Whole(2)));
    assert_eq!(of(&poll, Signal::RelayBacklog), &Ok(Value::Whole(5)), "the sum over channels");
    assert_eq!(of(&poll, Signal::WalletBalance), &Ok(Value::Micros(12_250_000)), "the poorest");
    assert_eq!(of(&poll, Signal::RelayEventsAge), &Ok(Value::Micros(0)));
}

/// A series as text, and what a policy that picks `x` makes of it.
async fn picked(text: &str, combine: Option<Combine>) -> Poll {
    page(text, None, vec![Pick { combine, ..pick(Signal::Peers, "x") }]).await
}

#[tokio::test]
async fn t05_nan_is_neither_zero_nor_a_breach() {
    assert_eq!(invalid(&picked("x NaN\n", None).await, Signal::Peers), "x: NaN");
}

#[tokio::test]
async fn t06_infinity_is_never_compared() {
    for value in ["+Inf", "-Inf", "inf"] {
        let poll = picked(&format!("x {value}\n"), None).await;
        assert!(invalid(&poll, Signal::Peers).contains("not finite"), "{value}");
    }
}

#[tokio::test]
async fn t07_a_count_below_nothing_is_invalid() {
    assert!(invalid(&picked("x -1\n", None).await, Signal::Peers).contains("negative"));
}

#[tokio::test]
async fn t09_an_empty_page_is_neither_health_nor_illness() {
    assert!(invalid(&picked("", None).await, Signal::Reachable).contains("empty"));
    assert_eq!(of(&picked("y 1\n", None).await, Signal::Peers), &Err(Unknown::Unsupported));
}

#[tokio::test]
async fn t10_many_series_where_one_is_expected_hold() {
    let many = "x{a=\"1\"} 1\nx{a=\"2\"} 2\n";
    assert!(invalid(&picked(many, None).await, Signal::Peers).contains("2 series"));
    for (combine, expected) in [(Combine::Sum, 3), (Combine::Min, 1), (Combine::Max, 2)] {
        assert_eq!(of(&picked(many, Some(combine)).await, Signal::Peers), &Ok(Value::Whole(expected)));
    }
    let named = Pick { labels: vec![("a".into(), "2".into())], ..pick(Signal::Peers, "x") };
    assert_eq!(of(&page(many, None, vec![named]).await, Signal::Peers), &Ok(Value::Whole(2)));
}

#[tokio::test]
async fn t11_a_series_that_contradicts_itself_holds() {
    let poll = picked("x{a=\"1\"} 1\nx{a=\"1\"} 2\n", Some(Combine::Sum)).await;
    assert!(invalid(&poll, Signal::Peers).contains("twice"));
    let same = picked("x{a=\"1\"} 1\nx{a=\"1\"} 1\n", None).await;
    assert_eq!(of(&same, Signal::Peers), &Ok(Value::Whole(1)));
}

#[tokio::test]
async fn t12_a_page_without_an_end_is_cut() {
    let server = Server::start(|_| Act::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    let kind = SourceKind::Scrape {
        port: PortName::Number(1),
        path: "/".into(),
        reads: None,
        picks: vec![pick(Signal::Peers, "x")],
    };
    let poll = contracts::source(&kind, server.address, LONG, None).poll(&clock(), &[]).await;
    assert!(invalid(&poll, Signal::Peers).contains("larger than"));
    server.abandoned().await;
}

#[tokio::test]
async fn t17_bytes_that_are_no_text_cost_their_own_line() {
    let poll =
        page(b"x 1\ny{a=\"\xff\"} 2\n\0\n", None, vec![pick(Signal::Peers, "x"), pick(Signal::Mempool, "y")])
            .await;
    assert_eq!(of(&poll, Signal::Peers), &Ok(Value::Whole(1)));
    assert!(invalid(&poll, Signal::Mempool).contains("not UTF-8"), "a bad line is told, never dropped in silence");
}

#[tokio::test]
async fn t20_t21_a_series_must_be_of_now() {
    // The clock of the recording: 2019-08-01T11:52:25Z.
    let now = 1_564_660_345_000_i64;
    assert_eq!(of(&picked(&format!("x 1 {now}\n"), None).await, Signal::Peers), &Ok(Value::Whole(1)));
    let old = picked(&format!("x 1 {}\n", now - 600_000), None).await;
    assert!(invalid(&old, Signal::Peers).contains("measured 600 s ago"));
    let future = picked(&format!("x 1 {}\n", now + 3_600_000), None).await;
    assert!(invalid(&future, Signal::Peers).contains("in the future"));
}

#[tokio::test]
async fn a_page_of_something_else_is_not_health() {
    let poll = page("go_goroutines 7\n", Some(Exporter::Hermes), vec![]).await;
    assert!(invalid(&poll, Signal::RelayWorkers).contains("none of the 1 series on the page is one of Hermes's"));
    assert_eq!(of(&poll, Signal::Reachable), &Ok(Value::Whole(1)));
}

#[tokio::test]
async fn a_counter_that_stops_grows_old() {
    let body = ok("ws_events_total 5\nbacklog_size 2\nworkers{type=\"packet\"} 1\n");
    let server = Server::start(move |_| Act::Say(body.clone())).await;
    let kind = SourceKind::Scrape {
        port: PortName::Number(1),
        path: "/metrics".into(),
        reads: Some(Exporter::Hermes),
        picks: vec![],
    };
    let (mut source, clock) = (contracts::source(&kind, server.address, LONG, None), clock());
    let first = source.poll(&clock, &[]).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let second = source.poll(&clock, &[]).await;
    for signal in [Signal::RelayEventsAge, Signal::RelayBacklogAge] {
        assert_eq!(of(&first, signal), &Ok(Value::Micros(0)));
        assert!(matches!(of(&second, signal), Ok(Value::Micros(60_000..))), "{second:?}");
    }
}

#[tokio::test]
async fn the_fullest_disk_counts() {
    let text = "node_filesystem_avail_bytes{mountpoint=\"/\"} 10\nnode_filesystem_avail_bytes{mountpoint=\"/data\"} 5\n\
                node_filesystem_size_bytes{mountpoint=\"/\"} 40\nnode_filesystem_size_bytes{mountpoint=\"/data\"} 50\n\
                node_memory_MemAvailable_bytes 1\nnode_memory_MemTotal_bytes 4\nnode_timex_offset_seconds -0.25\n";
    let poll = page(text, Some(Exporter::Machine), vec![]).await;
    assert_eq!(of(&poll, Signal::DiskUsedRatio), &Ok(Value::Micros(900_000)));
    assert_eq!(of(&poll, Signal::MemoryUsedRatio), &Ok(Value::Micros(750_000)));
    assert_eq!(of(&poll, Signal::ClockOffset), &Ok(Value::Micros(-250_000)));
}

const COIN: i64 = 1_000_000;

/// What a page is expected to tell.
type Expected = (&'static str, Exporter, &'static [(Signal, Value)]);

/// Pages of every software that is known by name. Where each was taken from stands in its first line.
pub const PAGES: &[Expected] = {
    use Value::{Micros, Whole};
    &[
        (
            include_str!("metrics/cometbft.txt"),
            Exporter::CometBFT,
            &[
                (Signal::Head, Whole(81_204)),
                (Signal::Round, Whole(1)),
                (Signal::MissedBlocks, Whole(7)),
                (Signal::Peers, Whole(12)),
                (Signal::Mempool, Whole(3)),
                (Signal::Syncing, Whole(0)),
            ],
        ),
        (
            include_str!("metrics/tendermint.txt"),
            Exporter::CometBFT,
            &[(Signal::Head, Whole(4711)), (Signal::Peers, Whole(40)), (Signal::Syncing, Whole(1))],
        ),
        (
            include_str!("metrics/reth.txt"),
            Exporter::EthereumExecution,
            &[
                (Signal::Head, Whole(21_000_000)),
                (Signal::Finalized, Whole(20_999_936)),
                (Signal::Peers, Whole(98)),
                (Signal::Mempool, Whole(5120)),
            ],
        ),
        (
            include_str!("metrics/besu.txt"),
            Exporter::EthereumExecution,
            &[(Signal::Head, Whole(21_000_000)), (Signal::Peers, Whole(25)), (Signal::Syncing, Whole(0))],
        ),
        (
            include_str!("metrics/nethermind.txt"),
            Exporter::EthereumExecution,
            &[(Signal::Head, Whole(21_000_000)), (Signal::Peers, Whole(50)), (Signal::Mempool, Whole(2048))],
        ),
        (
            include_str!("metrics/lighthouse.txt"),
            Exporter::EthereumConsensus,
            &[
                (Signal::Head, Whole(9_000_000)),
                (Signal::Finalized, Whole(281_248)),
                (Signal::Peers, Whole(80)),
                (Signal::Syncing, Whole(0)),
            ],
        ),
        (
            include_str!("metrics/prysm.txt"),
            Exporter::EthereumConsensus,
            &[(Signal::Head, Whole(9_000_000)), (Signal::Peers, Whole(70))],
        ),
        (
            include_str!("metrics/teku.txt"),
            Exporter::EthereumConsensus,
            &[(Signal::Head, Whole(9_000_000)), (Signal::Peers, Whole(64)), (Signal::Syncing, Whole(0))],
        ),
        (
            include_str!("metrics/nimbus.txt"),
            Exporter::EthereumConsensus,
            &[(Signal::Head, Whole(9_000_000)), (Signal::Peers, Whole(160))],
        ),
        (
            include_str!("metrics/lodestar.txt"),
            Exporter::EthereumConsensus,
            &[(Signal::Peers, Whole(55)), (Signal::Syncing, Whole(1))],
        ),
        (
            include_str!("metrics/validator.txt"),
            Exporter::EthereumValidator,
            &[(Signal::Tombstoned, Whole(1)), (Signal::MissedBlocks, Whole(4))],
        ),
        (
            include_str!("metrics/substrate.txt"),
            Exporter::Substrate,
            &[
                (Signal::Head, Whole(22_000_000)),
                (Signal::Finalized, Whole(21_999_997)),
                (Signal::Peers, Whole(40)),
                (Signal::Syncing, Whole(0)),
                (Signal::Mempool, Whole(9)),
                (Signal::Signing, Whole(1)),
            ],
        ),
        (
            include_str!("metrics/solana.txt"),
            Exporter::Solana,
            &[
                (Signal::Head, Whole(302_000_100)),
                (Signal::Finalized, Whole(302_000_068)),
                (Signal::Syncing, Whole(0)),
                (Signal::Jailed, Whole(0)),
                (Signal::MissedBlocks, Whole(3)),
                (Signal::WalletBalance, Micros(COIN * 25 / 2)),
            ],
        ),
        (
            include_str!("metrics/rly.txt"),
            Exporter::Rly,
            &[
                (Signal::RelayBacklog, Whole(2)),
                (Signal::RelayEventsAge, Micros(0)),
                (Signal::ClientExpiry, Micros(604_800_000_000)),
                (Signal::WalletBalance, Micros(COIN * 83 / 2)),
            ],
        ),
        (
            include_str!("metrics/hyperlane.txt"),
            Exporter::Hyperlane,
            // A minute before the clock of these tests.
            &[
                (Signal::RelayBacklog, Whole(5)),
                (Signal::RelayEventsAge, Micros(60_318_000)),
                (Signal::WalletBalance, Micros(COIN * 3 / 4)),
            ],
        ),
        (
            include_str!("metrics/chainlink.txt"),
            Exporter::Chainlink,
            &[
                (Signal::Head, Whole(21_000_000)),
                (Signal::WalletBalance, Micros(COIN * 13 / 4)),
                (Signal::Mempool, Whole(2)),
            ],
        ),
        (
            include_str!("metrics/pyth.txt"),
            Exporter::Pyth,
            // The older of the two feeds.
            &[(Signal::FeedAge, Micros(30_318_000)), (Signal::WalletBalance, Micros(COIN / 2))],
        ),
    ]
};

#[tokio::test]
async fn the_page_of_every_software_is_understood() {
    for (text, exporter, expected) in PAGES {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("# transcribed from"), "{first}");
        let poll = page(text, Some(*exporter), vec![]).await;
        for (signal, value) in *expected {
            assert_eq!(of(&poll, *signal), &Ok(value.clone()), "{first}: {signal:?}");
        }
    }
}
