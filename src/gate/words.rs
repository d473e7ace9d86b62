//! What is said of a gate: in the log, to its node, and as names of steps.

use tracing::{error, info, warn};

use crate::failover::{
    Height,
    gate::{Latch, Part, Refusal, Step},
};

use super::privval;

/// The part of this process, in the log.
pub(super) fn part(part: &Part) {
    match part {
        Part::Idle => info!("nothing to sign: another member's turn"),
        Part::Bidding { tenure, .. } => info!(epoch = tenure.epoch.0, "claiming the place"),
        Part::Holding(hold) => {
            info!(
                epoch = hold.tenure.epoch.0,
                start = hold.start.0,
                "holding the place, and signing above the start"
            );
        }
        Part::Done(tenure) => info!(epoch = tenure.epoch.0, "done in this epoch"),
    }
}

/// What a person has to look at.
pub(super) fn latched(latch: Latch) {
    match latch {
        Latch::Restored => error!(
            "latched: the record knows less than this gate, so it was restored from a backup; nothing is signed until \
             `mainstay adopt` has begun a new epoch with a verified floor"
        ),
        Latch::Foreign => error!(
            "latched: the chain has a signature of this key that this gate did not make; no member signs any more; find out who else has the \
             key, then `mainstay adopt`"
        ),
    }
}

/// What the node is told, and logs.
pub(super) const fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::Latched => "latched: a person has to look",
        Refusal::NotHolder => "another member signs now",
        Refusal::Silent => "this epoch is sealed here",
        Refusal::Conflict => "something else was signed here before",
        Refusal::Behind => "something later was signed before",
        Refusal::BelowWindow => "below the window: another process may have signed here",
        Refusal::AboveWindow => "above the window that is confirmed",
        Refusal::Jump => "far above the window: no chain is there",
        Refusal::Unread => "the commits before are read first",
    }
}

/// That the node asks for what its chain is not at.
pub(super) fn far(height: Height, head: Option<Height>, reach: Height) {
    let (height, reach) = (height.0, reach.0);
    if let Some(Height(head)) = head {
        warn!(
            height,
            head, reach, "the node asks for a height that its chain is not at: the window is not raised for it"
        );
    } else {
        warn!(
            height,
            reach,
            "the node asks for a height far above where this process began, and its RPC has told no head: the window is not \
             raised for it; name the RPC with --rpc"
        );
    }
}

/// A step of the socket's protocol, as the state machine has it.
pub(super) const fn step(step: privval::Step) -> Step {
    match step {
        privval::Step::Propose => Step::Propose,
        privval::Step::Prevote => Step::Prevote,
        privval::Step::Precommit => Step::Precommit,
    }
}

/// The name of a step in the diary and in metrics.
pub(super) const fn kind(step: Step) -> &'static str {
    match step {
        Step::Propose => "proposal",
        Step::Prevote => "prevote",
        Step::Precommit => "precommit",
    }
}
