//! What polls say of the chain, for the network to count.

use crate::{
    network::Seen,
    signal::{Mono, Poll, Signal, Unknown, Value},
};

/// What a poll says of the chain.
pub(super) fn seen(poll: &Poll, stale_after: u64) -> Seen<'_> {
    let head = poll.value(Signal::Head).cloned().unwrap_or(Err(Unknown::Unsupported));
    Seen {
        head: head.and_then(|head| head.whole().ok_or(Unknown::NotYet)),
        answered: poll.whole(Signal::Reachable) == Some(1),
        finalized: poll.whole(Signal::Finalized),
        skew: match poll.value(Signal::BlockTimeSkew) {
            Some(Ok(Value::Micros(skew))) => Some(*skew),
            _ => None,
        },
        told: &poll.told,
        observed_at: poll.observed_at,
        stale_after,
    }
}

/// When a target last said that it catches up. A poll that tells nothing of it takes nothing back: one lost answer would
/// otherwise make a node that catches up look like one that does not.
pub(super) fn catching_up(poll: &Poll, before: Option<Mono>) -> Option<Mono> {
    match poll.value(Signal::Syncing) {
        Some(Ok(value)) => (value.whole() == Some(1)).then_some(poll.observed_at),
        Some(Err(_)) | None => before,
    }
}
