//! The fault proxy, and the proof that it does what it says.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]

mod proxy;
mod rig;

mod answers;
mod kills;
mod passage;
mod watches;
