//! Mainstay: a self-healing controller for blockchain infrastructure.

pub mod api;
pub mod cli;
pub mod judge;
pub mod policy;
pub mod signal;
