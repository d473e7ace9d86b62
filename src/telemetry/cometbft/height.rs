//! How far the chain is, as one node tells it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;

use crate::telemetry::{Client, client::Deadline, number::Decimal};

const CAP: usize = 64 * 1024;
const WITHIN: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Answer {
    result: Status,
}

#[derive(Deserialize)]
struct Status {
    sync_info: SyncInfo,
}

#[derive(Deserialize)]
struct SyncInfo {
    latest_block_height: Decimal,
}

/// Asks a node for its newest height.
pub async fn height(client: &Client, ip: IpAddr, port: u16) -> Option<u64> {
    let url = format!("http://{}/status", SocketAddr::new(ip, port));
    let answer = client.get(&url, Deadline::within(WITHIN), CAP).await.ok()?;
    Some(serde_json::from_slice::<Answer>(&answer.body).ok()?.result.sync_info.latest_block_height.0)
}
