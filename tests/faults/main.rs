//! The fault proxy, and the proof that it does what it says.

mod proxy;
mod rig;

mod answers;
mod kills;
mod passage;
mod watches;
