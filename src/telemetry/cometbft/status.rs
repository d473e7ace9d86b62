//! What a node's `/status` says, for whoever wants one part of it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::telemetry::{Client, client::Deadline};

const CAP: usize = 64 * 1024;
const WITHIN: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Answer<T> {
    result: T,
}

/// Asks a node; none if it does not answer, or not with that part.
pub(super) async fn status<T: DeserializeOwned>(client: &Client, ip: IpAddr, port: u16) -> Option<T> {
    let url = format!("http://{}/status", SocketAddr::new(ip, port));
    let answer = client.get(&url, Deadline::within(WITHIN), CAP).await.ok()?;
    Some(serde_json::from_slice::<Answer<T>>(&answer.body).ok()?.result)
}
