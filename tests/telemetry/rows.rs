//! Rows of the fault table that have no other home here, each by name. The others: T01, T03, T04, T07, T12, T13, T14,
//! T17, T18 and T19 are rows of `garbage`, for every kind of source; T02 is in `cometbft` and `runner`; T05 to T07, T09
//! to T12, T17, T20 and T21 in `pages`; T08 and T23 beside the observatory; T15, T16 and T26 in `client` and beside
//! `address`; T22 in `decode`; T24 among the guards; T25 beside the judge.

use std::{sync::Arc, time::Duration};

use mainstay::{
    signal::{Signal, Unknown, Value},
    telemetry::{Client, Clock, Prometheus, Query, Source, SystemClock, address::Reach},
};

use crate::{
    client, clock, contracts,
    hostile::{Act, Server, ok},
    of,
};

pub fn query(signal: Signal) -> Query {
    Query {
        text: "missed{namespace=\"$namespace\"}".into(),
        namespace: "cosmos".into(),
        target_label: "pod".into(),
        signal,
        stale_after: 15_000,
        timeout: Duration::from_secs(20),
    }
}

/// A Prometheus that answers with this result, whose samples are `age` seconds old.
async fn prometheus(result: &str, age: i64) -> Server {
    let (result, now) = (result.to_owned(), clock().wall().0 / 1000);
    Server::start(move |question| {
        let result = if question.contains("timestamp%28") {
            result.replace("VALUE", &(now - age).to_string())
        } else {
            result.replace("VALUE", "7")
        };
        let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#);
        Act::Say(ok(body))
    })
    .await
}

const ONE: &str = r#"{"metric":{"pod":"val-0","namespace":"cosmos"},"value":[1564660345,"VALUE"]}"#;

async fn asked(result: &str, age: i64) -> Result<Value, Unknown> {
    let server = prometheus(result, age).await;
    let told = Prometheus::new(client(), &server.url(""), None)
        .ask(&query(Signal::MissedBlocks), &["val-0".into()], &clock())
        .await;
    of(&told[0].1, Signal::MissedBlocks).clone()
}

#[tokio::test]
async fn one_query_serves_every_target() {
    let two = format!("{ONE},{}", ONE.replace("val-0", "val-1"));
    let server = prometheus(&two, 3).await;
    let targets: Vec<String> = (0..50).map(|index| format!("val-{index}")).collect();
    let prometheus = Prometheus::new(client(), &server.url(""), None);
    let told = prometheus.ask(&query(Signal::MissedBlocks), &targets, &clock()).await;
    assert_eq!(told.len(), 50);
    assert_eq!(of(&told[1].1, Signal::MissedBlocks), &Ok(Value::Whole(7)));
    assert!(of(&told[2].1, Signal::MissedBlocks).is_err());
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 2, "the values and their times, whatever the number of targets");
    assert!(requests[0].contains("missed%7Bnamespace%3D%22cosmos%22%7D"), "{}", requests[0]);
}

#[tokio::test]
async fn t09_an_empty_result_is_neither_health_nor_illness() {
    assert!(matches!(asked("", 0).await, Err(Unknown::Invalid(why)) if why.contains("no series")));
}

#[tokio::test]
async fn t10_two_series_of_one_target_hold_and_name_their_labels() {
    let two = format!("{ONE},{}", ONE.replace("\"namespace\"", "\"node\":\"b\",\"namespace\""));
    assert!(matches!(asked(&two, 0).await, Err(Unknown::Invalid(why)) if why.contains("namespace, node, pod")));
}

#[tokio::test]
async fn t20_a_sample_that_prometheus_still_shows_may_be_too_old() {
    assert_eq!(asked(ONE, 10).await, Ok(Value::Whole(7)));
    assert!(matches!(asked(ONE, 60).await, Err(Unknown::Stale(60_000..62_000))));
}

#[tokio::test]
async fn t21_a_sample_from_the_future_is_not_known() {
    assert!(matches!(asked(ONE, -3600).await, Err(Unknown::Invalid(why)) if why.contains("in the future")));
}

#[tokio::test]
async fn a_series_of_another_namespace_is_not_ours() {
    let foreign = ONE.replace("\"cosmos\"", "\"osmosis\"");
    assert!(asked(&foreign, 0).await.is_err());
}

#[tokio::test]
async fn a_prometheus_that_is_away_is_not_the_targets_fault() {
    let told = Prometheus::new(client(), "http://127.0.0.1:1", None)
        .ask(&query(Signal::MissedBlocks), &["val-0".into()], &SystemClock::start())
        .await;
    assert!(matches!(of(&told[0].1, Signal::MissedBlocks), Err(Unknown::OurSide(_))));
}

#[tokio::test]
async fn what_happened_before_the_start_can_be_asked_for() {
    let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"pod":"val-0"},"values":[[1564660300,"1"],[1564660315,"NaN"],[1564660330,"3"]]}]}}"#;
    let server = Server::start(move |_| Act::Say(ok(body))).await;
    let history = Prometheus::new(client(), &server.url(""), None)
        .history(&query(Signal::MissedBlocks), Duration::from_secs(3600), &clock())
        .await
        .unwrap();
    let values: Vec<_> = history["val-0"].iter().map(|(at, value)| (at.0, value.clone())).collect();
    assert_eq!(values, [(1_564_660_300_000, Value::Whole(1)), (1_564_660_330_000, Value::Whole(3))]);
    assert!(server.requests.lock().unwrap()[0].contains("&start=1564656745&end=1564660345&step=15"));
}

/// T15: the name was checked when it was resolved, and the connection went to the very address that was checked. A
/// client that may go anywhere but to one address does not go there by another name.
#[tokio::test]
async fn t15_a_name_that_leads_to_the_api_server_is_refused() {
    let server = Server::healthy().await;
    let guarded = Client::new(Reach::Anywhere, &[server.address.ip()]).unwrap();
    let url = format!("http://localhost:{}/status", server.address.port());
    let deadline = mainstay::telemetry::Deadline::within(Duration::from_secs(5));
    assert!(guarded.get(&url, deadline, 1000).await.is_err());
    assert_eq!(server.requests.lock().unwrap().len(), 0);
}

/// T03, T12: what hostile targets cost in memory. In a process of its own: the other tests have their own appetite.
#[test]
fn memory_stays_flat_under_floods() {
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "rows::floods_in_a_process_of_their_own", "--ignored", "--nocapture"]);
    let output = alone.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[ignore = "run by memory_stays_flat_under_floods"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_in_a_process_of_their_own() {
    let flood = || Act::Flood(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nx 1\n".to_vec());
    let server = Arc::new(Server::start(move |_| flood()).await);
    let poll = async |rounds: usize| {
        for _ in 0..rounds {
            for kind in contracts::kinds() {
                let mut source = contracts::source(&kind, server.address, Duration::from_secs(20), None);
                source.poll(&clock(), &[]).await;
            }
        }
    };
    poll(3).await;
    let before = resident();
    poll(20).await;
    let after = resident();
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after");
}

/// Resident memory of this process (KiB).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
