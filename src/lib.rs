//! Mainstay: a self-healing controller for blockchain infrastructure.

#[allow(clippy::duplicated_attributes, reason = "print columns have types, and many have the same")]
pub mod api;
pub mod cli;
pub mod judge;
pub mod policy;
pub mod signal;
