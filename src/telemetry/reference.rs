//! A second opinion: nodes outside the cluster that are asked for the network's head.

use std::time::Duration;

use super::{
    client::{Client, Deadline},
    clock::Clock,
    cometbft,
};
use crate::{
    api::Family,
    policy::{NetworkPlan, Reference},
    signal::Unknown,
};

/// The head of `network` as one of its references sees it. Within `timeout`, and of the right chain, or nothing.
///
/// A reference that is still catching up knows that its head is not the network's: it has no vote.
pub async fn reference_head(
    client: &Client,
    network: &NetworkPlan,
    reference: &Reference,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<u64, Unknown> {
    let deadline = Deadline::within(timeout);
    match network.family {
        Family::CometBFT => {
            let answer = cometbft::status(client, &reference.url, &network.chain_id, deadline, clock).await;
            let (status, _) = answer.map_err(|no_status| no_status.unknown())?;
            if status.syncing {
                return Err(Unknown::Invalid("the reference itself is catching up".into()));
            }
            Ok(status.head)
        }
    }
}
