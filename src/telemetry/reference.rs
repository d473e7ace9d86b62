//! A second opinion: nodes outside the cluster that are asked for the network's head.

use std::time::Duration;

use crate::signal::{Poll, Signal, Unknown};

/// The head that a poll of a reference tells. One that is still catching up knows that its head is not the network's:
/// it has no vote.
pub fn reference_head(poll: &Poll) -> Result<u64, Unknown> {
    let head = match poll.value(Signal::Head) {
        Some(Ok(value)) => value.whole().ok_or(Unknown::Unsupported)?,
        Some(Err(why)) => return Err(why.clone()),
        None => return Err(Unknown::Unsupported),
    };
    if poll.whole(Signal::Syncing) == Some(1) {
        return Err(Unknown::Invalid("the reference itself is catching up".into()));
    }
    Ok(head)
}

/// How often a reference is asked: twice in a block, at most every two seconds and at least every thirty.
#[must_use]
pub fn reference_every(block_time: Duration) -> Duration {
    (block_time / 2).clamp(Duration::from_secs(2), Duration::from_secs(30))
}
