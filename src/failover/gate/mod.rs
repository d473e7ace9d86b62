//! The signer's door: what a gate signs, and what it writes into the record. Pure; the process round it has the socket,
//! the key, the disk and the client.
//!
//! A gate needs no clock, no lease and no view of the chain. It signs above `start` and up to `ceiling` only: `start` is
//! the ceiling in the record that its own claim wrote, so that no earlier process of the epoch can have signed above it;
//! `ceiling` is what the API server has confirmed to it, so that the next epoch's floor is no lower.

mod decide;
mod launch;
mod reach;
mod state;
mod watch;

pub use decide::{Answer, Ask, Refusal, Request, decide};
pub use launch::{Launcher, lasts};
pub use reach::{Sight, reach};
pub use state::{Content, Disk, Entry, Gate, Hold, Hrs, Key, Known, Latch, Limits, Me, Part, Step};
pub use watch::{Act, Event, step};

#[cfg(test)]
mod tests;
