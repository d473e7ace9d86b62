//! PURE. The life of one remediation: `step(state, event) -> (state, effect)`.
//!
//! Reads, seats, journal writes and acts are values of one [`Effect`], returned one at a time, with the outcome fed
//! back as an [`Event`]. Whoever performs them (the operator, a simulator) decides nothing, so the order of steps
//! exists once: journal, seat, journal `Acting`, live read and guards, act, journal `Verifying`, watch, journal the
//! end, give the seat back, let the object go.
//!
//! What is persisted is the phase alone. A process that dies anywhere is resumed from there, and the only question
//! that matters, "did the act happen?", is answered by the cluster: the target's pod is still there, or it is not.
//!
//! Nothing here rests on there being one process. Every journal write is a compare-and-swap against the version that
//! its writer read, and whoever takes over an announced act announces it anew before it removes anything: so who
//! announced it last knows whether anybody else can have acted. Where nobody can know (a lost answer, a process that
//! died), nothing is called undone: the target is watched, the seat stays taken and the budget spent. That is the one
//! case in which an attempt is spent although nothing may have been removed.

mod machine;
mod order;
mod state;

pub use machine::{REJECTED, resume, step};
pub use order::{Kind, Order};
pub use state::{Doubt, Effect, End, Entry, Event, Observation, Outcome, SeatOutcome, State};
