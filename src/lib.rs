//! Mainstay: a self-healing controller for blockchain infrastructure.

pub mod api;
pub mod judge;
pub mod network;
pub mod policy;
pub mod signal;
