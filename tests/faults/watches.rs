//! Watches: passed on as they come, or frozen and thawed.

use std::time::Duration;

use futures::FutureExt;
use http::Method;

use crate::proxy::{Fault, Lists, request};
use crate::rig::{POD, PODS, Rig, SOON, WATCH};

const NODES: &str = "/api/v1/nodes?watch=true";

async fn line(watch: &mut reqwest::Response) -> Option<String> {
    watch.chunk().await.expect("an open stream").map(|chunk| String::from_utf8_lossy(&chunk).into_owned())
}

/// The next line of a frozen watch: none, although there was time for one to come.
async fn silence(watch: &mut reqwest::Response) -> bool {
    tokio::time::sleep(Duration::from_millis(50)).await;
    watch.chunk().now_or_never().is_none()
}

#[tokio::test]
async fn events_pass_one_by_one_while_the_watch_is_open() {
    let rig = Rig::start().await;
    for stream in [WATCH, "/api/v1/namespaces/chain/pods/node-0/log?follow=true"] {
        let mut watch = rig.open(Method::GET, stream).await.expect("a stream");
        for event in ["one\n", "two\n", "three\n"] {
            rig.mock.emit("pods", event);
            assert_eq!(line(&mut watch).await.as_deref(), Some(event));
        }
        rig.mock.end("pods");
        assert_eq!(line(&mut watch).await, None);
    }
}

#[tokio::test]
async fn a_frozen_watch_says_nothing_until_the_thaw() {
    let rig = Rig::start().await;
    let mut pods = rig.open(Method::GET, WATCH).await.expect("a watch");
    let mut nodes = rig.open(Method::GET, NODES).await.expect("a watch");
    rig.mock.emit("pods", "before\n");
    assert_eq!(line(&mut pods).await.as_deref(), Some("before\n"));

    rig.proxy.freeze("pods", Lists::Live);
    let mut late = rig.open(Method::GET, WATCH).await.expect("a new watch still opens");
    rig.mock.emit("pods", "one\n");
    rig.mock.emit("pods", "two\n");
    rig.mock.end("pods");
    rig.mock.emit("nodes", "other\n");
    assert_eq!(line(&mut nodes).await.as_deref(), Some("other\n"), "other resources go on");
    assert!(silence(&mut pods).await && silence(&mut late).await, "neither an event nor the end");

    rig.proxy.thaw("pods");
    for watch in [&mut pods, &mut late] {
        let mut withheld = String::new();
        while let Some(line) = line(watch).await {
            withheld += &line;
        }
        assert_eq!(withheld, "one\ntwo\n");
    }
}

#[tokio::test]
async fn a_frozen_resource_can_have_stale_lists_too() {
    let rig = Rig::start().await;
    let first = rig.get(PODS).await;
    rig.proxy.freeze("pods", Lists::Stale);
    rig.send(Method::DELETE, POD).await.expect("an answer");
    assert_eq!(rig.get(PODS).await, first);
    assert_eq!(rig.send(Method::GET, POD).await.expect("an answer").0, 404, "a live read is live");

    rig.proxy.freeze("pods", Lists::Live);
    assert!(!rig.get(PODS).await.contains("node-0"));
    rig.proxy.clear();
    assert!(!rig.get(PODS).await.contains("node-0"));
}

#[tokio::test]
async fn a_freeze_can_begin_at_a_request_and_end_with_clear() {
    let rig = Rig::start().await;
    let freeze = Fault::FreezeWatch { resource: "pods".into(), lists: Lists::Live };
    rig.proxy.on(request().watch().resource("pods").nth(1), freeze);
    let mut watch = rig.open(Method::GET, WATCH).await.expect("a watch");
    rig.mock.emit("pods", "one\n");
    assert!(silence(&mut watch).await);
    assert_eq!(rig.proxy.log()[0].fault, Some("freeze-watch"));
    rig.proxy.clear();
    assert_eq!(line(&mut watch).await.as_deref(), Some("one\n"));
}

#[tokio::test]
async fn the_server_never_notices_the_freeze() {
    let rig = Rig::start().await;
    let mut watch = rig.open(Method::GET, WATCH).await.expect("a watch");
    rig.proxy.freeze("pods", Lists::Live);
    // More than sockets buffer: the server is done with it only if somebody reads.
    let much = "x".repeat(16 << 20);
    rig.mock.emit("pods", &much);
    rig.mock.end("pods");
    unwatched(&rig).await;
    rig.proxy.thaw("pods");
    let mut withheld = 0;
    while let Some(line) = line(&mut watch).await {
        withheld += line.len();
    }
    assert_eq!(withheld, much.len());
}

#[tokio::test]
async fn a_watch_lost_by_the_client_is_lost_upstream() {
    let rig = Rig::start().await;
    drop(rig.open(Method::GET, WATCH).await.expect("a watch"));
    unwatched(&rig).await;
}

/// Waits until the last watch at the server has ended.
async fn unwatched(rig: &Rig) {
    let ended = async {
        while rig.mock.is_watched() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, ended).await.expect("the watch ended");
}
