//! How far the chain is, as one node tells it.

use std::net::IpAddr;

use serde::Deserialize;

use super::status::status;
use crate::telemetry::{Client, number::Decimal};

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
    let Status { sync_info } = status(client, ip, port).await?;
    Some(sync_info.latest_block_height.0)
}
