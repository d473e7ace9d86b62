//! Nodes outside the cluster.

use std::time::Duration;

use mainstay::{
    api::Family,
    policy::Reference,
    signal::Unknown,
    telemetry::{AnySource, Client, Source, address::Reach, reference_head},
};

use crate::{
    CHAIN, STATUS, client, clock,
    hostile::{Act, Server, ok},
};

async fn head(client: &Client, url: String) -> Result<u64, Unknown> {
    let reference = Reference { name: "outside".into(), url, rest: None };
    let timeout = Duration::from_secs(20);
    let mut source = AnySource::of_reference(Family::CometBFT, CHAIN, &reference, client, timeout).unwrap();
    reference_head(&source.poll(&clock(), &[]).await)
}

#[tokio::test]
async fn a_reference_behind_a_path_tells_its_head() {
    let server = Server::start(|path| Act::Say(if path == "/cosmos/status" { ok(STATUS) } else { ok("") })).await;
    assert_eq!(head(&client(), server.url("/cosmos")).await, Ok(1_262_196));
}

#[tokio::test]
async fn a_reference_that_cannot_vote_says_why() {
    let wrong = Server::start(|_| Act::Say(ok(STATUS.replace(CHAIN, "osmosis-1")))).await;
    assert_eq!(head(&client(), wrong.url("")).await, Err(Unknown::WrongChain("osmosis-1".into())));
    let behind = Server::start(|_| Act::Say(ok(STATUS.replace(":false", ":true")))).await;
    assert!(matches!(head(&client(), behind.url("")).await, Err(Unknown::Invalid(_))));
    assert_eq!(head(&client(), "http://127.0.0.1:1".into()).await, Err(Unknown::NoAnswer));
}

/// T15
#[tokio::test]
async fn a_reference_does_not_lead_inside() {
    let guarded = Client::new(Reach::PodsOnly, &[]).unwrap();
    for url in ["http://169.254.169.254/latest", "http://localhost:8080", "https://[fe80::1]", "http://[::1]"] {
        assert!(matches!(head(&guarded, url.into()).await, Err(Unknown::OurSide(_))), "{url}");
    }
}
