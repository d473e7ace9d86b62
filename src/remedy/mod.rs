//! PURE. The life of one remediation: `step(state, event) -> (state, effect)`.
//!
//! Reads, seats, journal writes and acts are values of one [`Effect`], returned one at a time, with the outcome fed
//! back as an [`Event`]. Whoever performs them (the operator, a simulator) decides nothing, so the order of steps
//! exists once: journal, seat, journal `Acting`, live read and guards, act, journal `Verifying`, watch, journal the
//! end, give the seat back, let the object go.
//!
//! What is persisted is the phase alone. A process that dies anywhere is resumed from there, and the only question
//! that matters, "did the act happen?", is answered by the cluster: the target's pod is still there, or it is not.

mod machine;
mod order;
mod state;

pub use machine::{resume, step};
pub use order::{Kind, Order};
pub use state::{Doubt, Effect, End, Entry, Event, Observation, Outcome, SeatOutcome, State};
