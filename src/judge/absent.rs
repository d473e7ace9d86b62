//! `absent`: there is no reading at all. The one rule that is about not knowing; it never leads to an action.

use super::{hold::Stance, words};
use crate::signal::{Signal, Unknown};

/// What it means that a signal is known or not.
pub(super) fn stance(known: bool) -> Stance {
    if known { Stance::Clear } else { Stance::Breach }
}

/// The sentence for people. `lasted` (milliseconds): how long when it begins to fire.
pub(super) fn sentence(signal: Signal, why: &Unknown, lasted: Option<u64>) -> String {
    match lasted {
        Some(lasted @ 1..) => format!("{} has not been known for {}: {why}", signal.name(), words::span(lasted)),
        _ => format!("{} is not known: {why}", signal.name()),
    }
}
