//! Mainstay: a self-healing controller for blockchain infrastructure.

pub mod api;
#[allow(clippy::disallowed_methods, reason = "an I/O room: it waits, within deadlines")]
pub mod controller;
pub mod effect;
pub mod judge;
pub mod plan;
pub mod policy;
pub mod remedy;
pub mod signal;
