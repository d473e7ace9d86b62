//! Mainstay: a self-healing controller for blockchain infrastructure.

pub mod api;
pub mod judge;
pub mod plan;
pub mod policy;
pub mod remedy;
pub mod signal;
